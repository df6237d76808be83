/* cymbals_half_step against rows solved one by one in float64, cymbals_solve_row against it, cymbals_loss against a
 * sum. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "reference.h"

enum { ROWS = 40, COLS = 60, RANK = 9 };

typedef struct {
    cymbals_csr rows;
    cymbals_matrix fixed, start; /* fixed is in the basis of its Gramian */
    double gram[RANK * RANK], spectrum[RANK], row_reg[ROWS];
    cymbals_objective objective;
} problem;

static problem make_problem(cymbals_workspace *workspace, int32_t type, int32_t index_type, int32_t value_type,
                            int32_t kind, int32_t confidence) {
    problem p = {.rows = random_csr(ROWS, COLS, 0.2, index_type, value_type, 3),
                 .fixed = random_matrix(COLS, RANK, RANK + 4, type, 0.5, 4),
                 .start = random_matrix(ROWS, RANK, RANK + 2, type, 0.5, 5),
                 .objective = {sizeof p.objective, kind, confidence, 0.7, 1.5, kind == CYMBALS_EXPLICIT ? 0 : 0.9}};
    if (kind != CYMBALS_IALS) set_real((void *)p.rows.values, value_type, 5, -2);
    for (int64_t r = 0; r < ROWS; r++) p.row_reg[r] = 0.3 + 0.01 * (double)r;
    double *gram = reference_gram(&p.fixed), values[RANK], vectors[RANK * RANK], basis[RANK * RANK];
    jacobi(gram, RANK, values, vectors);
    CHECK_OK(cymbals_basis(workspace, RANK, values, vectors, p.objective.alpha0, p.spectrum, basis));
    CHECK_OK(cymbals_rotate(workspace, &p.fixed, basis));
    free(gram), gram = reference_gram(&p.fixed);
    memcpy(p.gram, gram, sizeof p.gram);
    free(gram);
    return p;
}

static void free_problem(problem *p) {
    free_csr(&p->rows);
    free(p->fixed.data), free(p->start.data);
}

static int n_missing_tested; /* problems that had a heavy entry */

static double near(int32_t type) { return type == CYMBALS_FLOAT32 ? 2e-4 : 1e-9; }

static void test_rows(cymbals_workspace *workspace, problem *p, const cymbals_solve_options *options) {
    const int32_t type = p->fixed.type;
    cymbals_matrix solved = copy_matrix(&p->start);
    cymbals_solve_info info, of_row;
    double wanted[RANK];
    CHECK_OK(cymbals_half_step(workspace, &p->rows, &p->objective, &p->fixed, p->spectrum, &solved, options, &info));
    CHECK_EQUAL(info.failed_row, -1);
    CHECK_EQUAL(info.rows_empty + info.rows_cg + info.rows_dual + info.rows_primal, ROWS);
    for (int64_t r = 0; r < ROWS; r++) {
        const int64_t begin = p->rows.indptr[r], n = p->rows.indptr[r + 1] - begin;
        const double reg = options->row_reg ? options->row_reg[r] : options->reg;
        reference_row(&p->rows, r, &p->objective, &p->fixed, p->gram, reg, wanted);
        for (int64_t j = 0; j < RANK; j++) {
            const double from = n > 0 ? element(&p->start, r, j) : wanted[j];
            CHECK_NEAR(element(&solved, r, j), from + options->relaxation * (wanted[j] - from), near(type));
        }
        for (int64_t j = RANK; j < solved.stride; j++) CHECK(isnan(element(&solved, r, j)));

        cymbals_solve_options alone = *options;
        alone.reg = reg, alone.row_reg = NULL;
        void *row = copy_of((char *)p->start.data + r * p->start.stride * (int64_t)size_of(type), RANK, size_of(type));
        CHECK_OK(cymbals_solve_row(workspace, n, (char *)p->rows.indices + begin * (int64_t)size_of(p->rows.index_type),
                                   p->rows.index_type,
                                   (char *)p->rows.values + begin * (int64_t)size_of(p->rows.value_type),
                                   p->rows.value_type, &p->objective, &p->fixed, p->spectrum, row, &alone, &of_row));
        CHECK_EQUAL(of_row.rows_empty + of_row.rows_cg + of_row.rows_dual + of_row.rows_primal, 1);
        for (int64_t j = 0; j < RANK; j++) CHECK_NEAR(real(row, type, j), element(&solved, r, j), near(type));
        free(row);
    }
    free(solved.data);
}

static void test_solvers(cymbals_workspace *workspace, problem *p) {
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    options.cg_tolerance = 1e-9, options.reg = 0.4;
    for (int32_t solver = CYMBALS_SOLVER_AUTO; solver <= CYMBALS_PRIMAL; solver++) {
        options.solver = solver;
        options.cg_steps = 40;
        test_rows(workspace, p, &options);
    }
    options.solver = CYMBALS_EXACT;
    options.relaxation = 1.4;
    test_rows(workspace, p, &options);
    options.relaxation = 1;
    options.row_reg = p->row_reg;
    test_rows(workspace, p, &options);
    options.struct_size = offsetof(cymbals_solve_options, prior); /* an older caller */
    options.prior = (const cymbals_matrix *)(const void *)p;      /* is not read */
    test_rows(workspace, p, &options);
}

/* A half-step that reads the 16-bit copy is as accurate as the copy's 8 significant bits allow: errors are below 0.03.
 */
static void test_compact(cymbals_workspace *workspace) {
    WHERE("compact");
    problem p = make_problem(workspace, CYMBALS_FLOAT32, CYMBALS_INT32, CYMBALS_FLOAT32, CYMBALS_HU, CYMBALS_LOG);
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    cymbals_solve_info info;
    cymbals_matrix solved = copy_matrix(&p.start);
    double wanted[RANK];
    options.solver = CYMBALS_CG, options.cg_steps = 20, options.reg = 0.4, options.compact = CYMBALS_COMPACT_ALWAYS;
    CHECK_OK(cymbals_half_step(workspace, &p.rows, &p.objective, &p.fixed, p.spectrum, &solved, &options, &info));
    for (int64_t r = 0; r < ROWS; r++) {
        reference_row(&p.rows, r, &p.objective, &p.fixed, p.gram, options.reg, wanted);
        for (int64_t j = 0; j < RANK; j++) CHECK_NEAR(element(&solved, r, j), wanted[j], 0.03);
    }
    free(solved.data);
    free_problem(&p);
}

/* Rows `begin` to `end` - 1 as a part of the half-step; the rows of `solved` before and after them stay. */
static void solve_part(cymbals_workspace *workspace, problem *p, const cymbals_solve_options *whole,
                       const cymbals_part *part, int64_t begin, int64_t end, cymbals_matrix *solved) {
    int64_t indptr[ROWS + 1];
    const int64_t from = p->rows.indptr[begin], n = end - begin;
    for (int64_t r = 0; r <= n; r++) indptr[r] = p->rows.indptr[begin + r] - from;
    cymbals_csr rows = p->rows;
    rows.n_rows = n, rows.indptr = indptr;
    rows.indices = (const char *)rows.indices + from * (int64_t)size_of(rows.index_type);
    rows.values = (const char *)rows.values + from * (int64_t)size_of(rows.value_type);
    cymbals_matrix x = *solved;
    x.n_rows = n, x.data = (char *)x.data + begin * x.stride * (int64_t)size_of(x.type);
    cymbals_solve_options options = *whole;
    options.part = part;
    if (options.row_reg) options.row_reg += begin;
    cymbals_solve_info info;
    CHECK_OK(cymbals_half_step(workspace, &rows, &p->objective, &p->fixed, p->spectrum, &x, &options, &info));
}

/* With a copy of the fixed side that was made in two pieces, and the rows of heavy entries, a half-step gives the bits
 * of `wanted`. Without these rows, those of heavy entries fail. */
static void test_copy(cymbals_workspace *workspace, problem *p, const cymbals_solve_options *given,
                      const cymbals_part *of, const cymbals_matrix *wanted) {
    enum { WIDTH = 16, FIRST = 23 };
    int32_t pairs[COLS * WIDTH];
    float leverage[COLS];
    int64_t heavy[COLS], n_heavy = 0, missing = -1;
    for (int64_t begin = 0; begin < COLS; begin += FIRST) {
        cymbals_matrix piece = p->fixed;
        piece.data = (float *)p->fixed.data + begin * p->fixed.stride;
        piece.n_rows = COLS - begin < FIRST ? COLS - begin : FIRST;
        CHECK_OK(cymbals_compress(workspace, &piece, p->spectrum, of->least_reg, of->most_reg, pairs + begin * WIDTH,
                                  leverage + begin));
    }
    cymbals_matrix few = copy_matrix(&p->fixed);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t at = p->rows.indptr[r]; at < p->rows.indptr[r + 1]; at++) {
            const int64_t item = whole(p->rows.indices, p->rows.index_type, at);
            double a, b;
            reference_cell(&p->objective, real(p->rows.values, p->rows.value_type, at), &a, &b);
            if (fabs(a) * (double)leverage[item] > 0.999 * CYMBALS_HEAVIEST_COMPACT) {
                int64_t place = 0;
                while (place < n_heavy && heavy[place] < item) place++;
                if (place < n_heavy && heavy[place] == item) continue;
                memmove(heavy + place + 1, heavy + place, (size_t)(n_heavy++ - place) * sizeof *heavy);
                heavy[place] = item;
                if (missing < 0 && fabs(a) * (double)leverage[item] > 1.001 * CYMBALS_HEAVIEST_COMPACT) missing = r;
            }
        }
    for (int64_t i = 0; i < n_heavy; i++)
        memcpy((float *)few.data + i * few.stride, (float *)p->fixed.data + heavy[i] * p->fixed.stride,
               RANK * sizeof(float));
    few.n_rows = n_heavy;
    const cymbals_copy copy = {sizeof copy, COLS, pairs, leverage, heavy};
    cymbals_part part = *of;
    cymbals_solve_options options = *given;
    part.copy = &copy, options.part = &part;
    cymbals_matrix solved = copy_matrix(&p->start);
    cymbals_solve_info info;
    CHECK_OK(cymbals_half_step(workspace, &p->rows, &p->objective, &few, p->spectrum, &solved, &options, &info));
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t j = 0; j < RANK; j++) CHECK_NEAR(element(&solved, r, j), element(wanted, r, j), 0);
    few.n_rows = 0;
    if (missing >= 0) {
        CHECK_EQUAL(cymbals_half_step(workspace, &p->rows, &p->objective, &few, p->spectrum, &solved, &options, &info),
                    CYMBALS_BAD_VALUE);
        CHECK_EQUAL(info.failed_row, missing);
    }
    n_missing_tested += missing >= 0;
    free(solved.data), free(few.data);
}

/* A half-step in three parts, of which the later ones take what the first has prepared, gives the bits of the whole. */
static void test_parts(cymbals_workspace *workspace, problem *p) {
    const int64_t cuts[] = {0, 7, 8, ROWS};
    cymbals_solve_info info;
    for (int32_t solver = CYMBALS_SOLVER_AUTO; solver <= CYMBALS_PRIMAL; solver++)
        for (int scaled = 0; scaled < 2; scaled++)
            for (int32_t compact = CYMBALS_COMPACT_NEVER; compact <= CYMBALS_COMPACT_ALWAYS; compact++) {
                cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
                options.solver = solver, options.compact = compact, options.reg = 0.4, options.relaxation = 1.3;
                options.row_reg = scaled ? p->row_reg : NULL;
                cymbals_part part = {sizeof part, 0.4, 0.4, 0, NULL};
                if (scaled) {
                    part.least_reg = INFINITY, part.most_reg = 0;
                    for (int64_t r = 0; r < ROWS; r++)
                        if (p->rows.indptr[r] < p->rows.indptr[r + 1]) {
                            part.least_reg = fmin(part.least_reg, p->row_reg[r]);
                            part.most_reg = fmax(part.most_reg, p->row_reg[r]);
                        }
                }
                cymbals_matrix whole = copy_matrix(&p->start), parts = copy_matrix(&p->start);
                CHECK_OK(cymbals_half_step(workspace, &p->rows, &p->objective, &p->fixed, p->spectrum, &whole, &options,
                                           &info));
                for (int i = 0; i < 3; i++, part.prepared = 1)
                    solve_part(workspace, p, &options, &part, cuts[i], cuts[i + 1], &parts);
                for (int64_t r = 0; r < ROWS; r++)
                    for (int64_t j = 0; j < RANK; j++) CHECK_NEAR(element(&parts, r, j), element(&whole, r, j), 0);
                const int reads_copy = p->fixed.type == CYMBALS_FLOAT32 && solver <= CYMBALS_CG &&
                                       compact == CYMBALS_COMPACT_ALWAYS && p->objective.alpha0 > 0;
                if (reads_copy) test_copy(workspace, p, &options, &part, &whole);
                free(whole.data), free(parts.data);
            }
}

/* A row with an index that is no row of the fixed side fails, and all other rows are solved. */
static void test_bad_index(cymbals_workspace *workspace, problem *p) {
    enum { BAD_ROW = 5 };
    const int64_t bad[] = {-1, COLS, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX};
    const int64_t at = p->rows.indptr[BAD_ROW];
    if (at == p->rows.indptr[BAD_ROW + 1]) return;
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    options.reg = 0.4;
    cymbals_matrix wanted = copy_matrix(&p->start);
    cymbals_solve_info info;
    CHECK_OK(cymbals_half_step(workspace, &p->rows, &p->objective, &p->fixed, p->spectrum, &wanted, &options, &info));
    const int64_t good = whole(p->rows.indices, p->rows.index_type, at);
    for (int i = 0; i < (p->rows.index_type == CYMBALS_INT32 ? 4 : 6); i++) {
        double loss;
        cymbals_matrix solved = copy_matrix(&p->start);
        set_whole((void *)p->rows.indices, p->rows.index_type, at, bad[i]);
        CHECK_EQUAL(
            cymbals_half_step(workspace, &p->rows, &p->objective, &p->fixed, p->spectrum, &solved, &options, &info),
            CYMBALS_BAD_INDEX);
        CHECK_EQUAL(info.failed_row, BAD_ROW);
        CHECK_EQUAL(cymbals_loss(workspace, &p->rows, &p->objective, &p->start, &p->fixed, &loss),
                    CYMBALS_BAD_ARGUMENT);
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t j = 0; j < RANK && r != BAD_ROW; j++)
                CHECK_NEAR(element(&solved, r, j), element(&wanted, r, j), 0);
        free(solved.data);
    }
    set_whole((void *)p->rows.indices, p->rows.index_type, at, good);
    free(wanted.data);
}

static void test_loss(cymbals_workspace *workspace, problem *p) {
    double loss, wanted = 0;
    CHECK_OK(cymbals_loss(workspace, &p->rows, &p->objective, &p->start, &p->fixed, &loss));
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t at = p->rows.indptr[r]; at < p->rows.indptr[r + 1]; at++) {
            const int64_t item = whole(p->rows.indices, p->rows.index_type, at);
            double a, b, s = 0;
            reference_cell(&p->objective, real(p->rows.values, p->rows.value_type, at), &a, &b);
            for (int64_t j = 0; j < RANK; j++) s += element(&p->start, r, j) * element(&p->fixed, item, j);
            wanted += a * s * s - 2 * b * s + (p->objective.kind == CYMBALS_EXPLICIT ? b * b : b);
        }
    CHECK_NEAR(loss, wanted, fabs(wanted) * near(p->fixed.type));
}

/* Matrices without entries, of 0 or 2 rows and columns, each with a new workspace. */
static void test_nothing(int32_t type) {
    WHERE("nothing, type %d", (int)type);
    const int64_t indptr[3] = {0, 0, 0};
    const cymbals_objective hu = {sizeof hu, CYMBALS_HU, CYMBALS_LINEAR, 1, 1, 1};
    const double spectrum[2] = {1, 1};
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    options.compact = CYMBALS_COMPACT_ALWAYS;
    for (int64_t n_rows = 0; n_rows <= 2; n_rows += 2)
        for (int64_t n_cols = 0; n_cols <= 2; n_cols += 2) {
            cymbals_workspace *workspace = make_workspace(2);
            const cymbals_csr rows = {sizeof rows, n_rows, n_cols, indptr, NULL, CYMBALS_INT32, NULL, CYMBALS_FLOAT32};
            double x[4] = {9, 9, 9, 9}, y[4] = {1, 2, 3, 4}, loss = 7;
            cymbals_matrix solved = {sizeof solved, n_rows ? x : NULL, n_rows, 2, 2, type};
            const cymbals_matrix fixed = {sizeof fixed, n_cols ? y : NULL, n_cols, 2, 2, type};
            cymbals_solve_info info;
            CHECK_OK(cymbals_half_step(workspace, &rows, &hu, &fixed, spectrum, &solved, &options, &info));
            CHECK_EQUAL(info.rows_empty, n_rows);
            for (int64_t i = 0; i < 2 * n_rows; i++) CHECK_NEAR(real(x, type, i), 0, 0);
            CHECK_OK(cymbals_loss(workspace, &rows, &hu, &solved, &fixed, &loss));
            CHECK_NEAR(loss, 0, 0);
            cymbals_workspace_destroy(workspace);

            workspace = make_workspace(1);
            CHECK_OK(cymbals_solve_row(workspace, 0, NULL, CYMBALS_INT32, NULL, CYMBALS_FLOAT32, &hu, &fixed, spectrum,
                                       x, &options, &info));
            CHECK_NEAR(real(x, type, 1), 0, 0);
            cymbals_workspace_destroy(workspace);
        }
}

/* The failing row is reported; the others are solved. */
static void test_failing_row(cymbals_workspace *workspace) {
    WHERE("failing row");
    problem p = make_problem(workspace, CYMBALS_FLOAT64, CYMBALS_INT64, CYMBALS_FLOAT64, CYMBALS_HU, CYMBALS_LINEAR);
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    cymbals_solve_info info;
    cymbals_matrix solved = copy_matrix(&p.start);
    double wanted[RANK];
    options.reg = 0.4, options.solver = CYMBALS_EXACT;
    set_real((void *)p.rows.values, CYMBALS_FLOAT64, p.rows.indptr[7], NAN);
    CHECK_EQUAL(cymbals_half_step(workspace, &p.rows, &p.objective, &p.fixed, p.spectrum, &solved, &options, &info),
                CYMBALS_BAD_VALUE);
    CHECK_EQUAL(info.failed_row, 7);
    CHECK(strstr(cymbals_workspace_message(workspace), "row 7"));
    reference_row(&p.rows, 8, &p.objective, &p.fixed, p.gram, options.reg, wanted);
    for (int64_t j = 0; j < RANK; j++) CHECK_NEAR(element(&solved, 8, j), wanted[j], 1e-9);
    free(solved.data);
    free_problem(&p);
}

int main(void) {
    cymbals_workspace *workspace = make_workspace(2);
    for (int32_t kind = CYMBALS_HU; kind <= CYMBALS_EXPLICIT; kind++)
        for (int32_t confidence = CYMBALS_LINEAR; confidence <= CYMBALS_TOTAL - (kind == CYMBALS_IALS); confidence++)
            for (int t = 0; t < 2; t++)
                for (int v = 0; v < 2; v++)
                    for (int i = 0; i < 2; i++) {
                        WHERE("kind %d, confidence %d, type %d, value type %d, index type %d", (int)kind,
                              (int)confidence, (int)float_types[t], (int)float_types[v], (int)index_types[i]);
                        problem p =
                            make_problem(workspace, float_types[t], index_types[i], float_types[v], kind, confidence);
                        test_solvers(workspace, &p);
                        test_loss(workspace, &p);
                        test_parts(workspace, &p);
                        test_bad_index(workspace, &p);
                        free_problem(&p);
                    }
    test_compact(workspace);
    for (int i = 0; i < 2; i++) { /* with very heavy entries */
        problem p =
            make_problem(workspace, CYMBALS_FLOAT32, index_types[i], CYMBALS_FLOAT32, CYMBALS_HU, CYMBALS_LINEAR);
        p.objective.alpha = 3000;
        test_parts(workspace, &p);
        free_problem(&p);
    }
    CHECK(n_missing_tested > 0);
    test_failing_row(workspace);
    for (int t = 0; t < 2; t++) test_nothing(float_types[t]);
    cymbals_workspace_destroy(workspace);
    return finish();
}
