/* The spans and row classes of a workspace that records. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

enum { ROWS = 300, COLS = 400, RANK = 16 };

static void test_records(int32_t n_threads) {
    WHERE("records, %d threads", (int)n_threads);
    cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    cymbals_workspace *workspace;
    options.n_threads = n_threads, options.record = 1;
    CHECK_EQUAL(cymbals_workspace_create(&options, &workspace), CYMBALS_OK);
    cymbals_csr rows = random_csr(ROWS, COLS, 0.2, CYMBALS_INT32, CYMBALS_FLOAT32, 40);
    cymbals_matrix solved = random_matrix(ROWS, RANK, RANK, CYMBALS_FLOAT32, 1, 41);
    cymbals_matrix fixed = random_matrix(COLS, RANK, RANK, CYMBALS_FLOAT32, 1, 42);
    const cymbals_objective hu = {sizeof hu, CYMBALS_HU, CYMBALS_LINEAR, 1, 1, 1};
    const cymbals_solve_options solve = CYMBALS_SOLVE_OPTIONS_INIT;
    double spectrum[RANK], gram[RANK * RANK];
    for (int j = 0; j < RANK; j++) spectrum[j] = 100;
    cymbals_solve_info info;
    const cymbals_span *spans;
    const cymbals_row_class *classes;
    int64_t n, lost, gram_rows = 0, solved_rows = 0, solved_entries = 0, wholes = 0;
    CHECK_OK(cymbals_gram(workspace, &fixed, gram));
    CHECK_OK(cymbals_half_step(workspace, &rows, &hu, &fixed, spectrum, &solved, &solve, &info));
    CHECK_OK(cymbals_workspace_spans(workspace, &spans, &n, &lost));
    CHECK_EQUAL(lost, 0);
    for (int64_t i = 0; i < n; i++) {
        const cymbals_span *s = &spans[i];
        CHECK(s->begin <= s->end && s->flops >= 0 && s->bytes >= 0 && s->rows >= 0 && s->entries >= 0);
        CHECK(s->thread >= -1 && s->thread < s->n_threads && s->n_threads <= n_threads);
        CHECK(s->phase >= CYMBALS_PHASE_OTHER && s->phase < CYMBALS_PHASES);
        if (s->thread < 0) {
            wholes++;
            CHECK(s->rows == 0 && s->flops == 0);
            continue;
        }
        int64_t around = 0; /* spans of whole calls that contain this span */
        for (int64_t j = 0; j < n; j++)
            around += spans[j].thread < 0 && spans[j].begin <= s->begin && s->end <= spans[j].end;
        CHECK_EQUAL(around, 1);
        if (s->phase == CYMBALS_PHASE_GRAM) gram_rows += s->rows;
        if (s->phase == CYMBALS_PHASE_SOLVE) solved_rows += s->rows, solved_entries += s->entries;
    }
    CHECK_EQUAL(wholes, 2);
    CHECK_EQUAL(gram_rows, COLS);
    CHECK_EQUAL(solved_rows, ROWS);
    CHECK_EQUAL(solved_entries, rows.indptr[ROWS]);

    int64_t class_rows = 0, class_entries = 0, class_steps = 0;
    CHECK_OK(cymbals_workspace_row_classes(workspace, &classes, &n));
    for (int64_t i = 0; i < n; i++) {
        const cymbals_row_class *c = &classes[i];
        class_rows += c->rows, class_entries += c->entries, class_steps += c->cg_steps;
        CHECK(c->thread >= 0 && c->thread < n_threads);
        CHECK(c->solver == CYMBALS_CG || c->solver == CYMBALS_DUAL || c->solver == CYMBALS_PRIMAL);
        CHECK(c->entries >= c->rows << c->length && c->entries < c->rows << (c->length + 1));
        CHECK(c->gather_time >= 0 && c->solve_time >= 0);
    }
    CHECK_EQUAL(class_rows, ROWS - info.rows_empty);
    CHECK_EQUAL(class_entries, rows.indptr[ROWS]);
    CHECK_EQUAL(class_steps, info.cg_steps);

    cymbals_workspace_forget(workspace);
    CHECK_OK(cymbals_workspace_spans(workspace, &spans, &n, NULL));
    CHECK_EQUAL(n, 0);
    CHECK_OK(cymbals_workspace_row_classes(workspace, &classes, &n));
    CHECK_EQUAL(n, 0);
    free_csr(&rows);
    free(solved.data), free(fixed.data);
    cymbals_workspace_destroy(workspace);
}

/* A workspace that does not record has no spans and no row classes. */
static void test_no_records(cymbals_workspace *workspace) {
    WHERE("no records");
    const cymbals_span *spans;
    const cymbals_row_class *classes;
    int64_t n = -1;
    CHECK_OK(cymbals_workspace_spans(workspace, &spans, &n, NULL));
    CHECK_EQUAL(n, 0);
    CHECK_OK(cymbals_workspace_row_classes(workspace, &classes, &n));
    CHECK_EQUAL(n, 0);
    cymbals_workspace_forget(workspace);
}

int main(void) {
    cymbals_workspace *workspace = make_workspace(2);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads++) test_records(n_threads);
    test_no_records(workspace);
    cymbals_workspace_destroy(workspace);
    return finish();
}
