/* The progress function: on which thread and with which numbers it is called, how it cancels a call, and that another
 * call cannot use the workspace meanwhile. */
#include <cymbals/cymbals.h>
#include <pthread.h>

#include "check.h"
#include "problem.h"

enum { ROWS = 500, COLS = 300, RANK = 8, K = 3 };

typedef struct {
    pthread_t caller;
    int64_t calls, last, wanted_total, cancel_at; /* cancel_at: cancels when so many rows are done */
    cymbals_workspace *busy;                      /* null, or a workspace in use, which `intrude` passes to functions */
} watch;

/* Makes calls with a workspace that another call uses; they must fail. */
static void *intrude(void *busy) {
    double gram[1], one = 1;
    const cymbals_matrix m = {sizeof m, &one, 1, 1, 1, CYMBALS_FLOAT64};
    const cymbals_span *spans;
    const cymbals_row_class *classes;
    int64_t n;
    CHECK_EQUAL(cymbals_gram(busy, &m, gram), CYMBALS_BAD_ARGUMENT);
    CHECK_EQUAL(cymbals_workspace_spans(busy, &spans, &n, NULL), CYMBALS_BAD_ARGUMENT);
    CHECK_EQUAL(cymbals_workspace_row_classes(busy, &classes, &n), CYMBALS_BAD_ARGUMENT);
    cymbals_workspace_forget(busy);
    return NULL;
}

static int32_t watching(void *context, int64_t done, int64_t total) {
    watch *w = context;
    CHECK(pthread_equal(pthread_self(), w->caller));
    CHECK(w->calls == 0 ? done == 0 : done > w->last && done <= total);
    CHECK_EQUAL(total, w->wanted_total);
    w->calls++, w->last = done;
    if (w->busy && w->calls == 1) {
        pthread_t other;
        intrude(w->busy);
        if (pthread_create(&other, NULL, intrude, w->busy) != 0) abort();
        pthread_join(other, NULL);
    }
    return done >= w->cancel_at;
}

static cymbals_csr rows;
static cymbals_matrix users, items;
static int64_t ids[ROWS * K];
static float scores[ROWS * K];
static double metrics[ROWS * 7], spectrum[RANK];
static uint8_t covered[COLS];
static cymbals_index *index_of_items;

static int32_t solve(cymbals_workspace *workspace, cymbals_matrix *solved) {
    const cymbals_objective hu = {sizeof hu, CYMBALS_HU, CYMBALS_LINEAR, 1, 1, 1};
    const cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    cymbals_solve_info info;
    return cymbals_half_step(workspace, &rows, &hu, &items, spectrum, solved, &options, &info);
}
static int32_t run(cymbals_workspace *workspace, int function, cymbals_matrix *solved) {
    const int64_t k = K;
    switch (function) {
        case 0:
            return solve(workspace, solved);
        case 1:
            return cymbals_topk(workspace, &users, &items, NULL, 0, NULL, &rows, K, ids, scores);
        case 2:
            return cymbals_index_topk(workspace, index_of_items, &users, &rows, K, ids, scores);
        default:
            return cymbals_rank_metrics(workspace, &users, &items, &rows, &rows, NULL, &k, 1, metrics, covered);
    }
}

static void test_function(int function, int32_t n_threads, int64_t cancel_at) {
    WHERE("function %d, %d threads, cancelled at %lld", function, (int)n_threads, (long long)cancel_at);
    watch w = {pthread_self(), 0, -1, ROWS, cancel_at, NULL};
    cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    cymbals_workspace *workspace;
    options.n_threads = n_threads, options.progress = watching, options.progress_context = &w;
    CHECK_EQUAL(cymbals_workspace_create(&options, &workspace), CYMBALS_OK);
    cymbals_matrix solved = copy_matrix(&users);
    w.busy = workspace;
    const int32_t status = run(workspace, function, &solved);
    CHECK(w.calls > 0);
    /* other threads may finish all rows before the caller's thread starts */
    if (n_threads == 1 && cancel_at > ROWS) CHECK_EQUAL(w.last, ROWS);
    CHECK_EQUAL(status, w.last >= cancel_at ? CYMBALS_CANCELLED : CYMBALS_OK);
    CHECK_EQUAL(strstr(cymbals_workspace_message(workspace), "cancelled") != NULL, status == CYMBALS_CANCELLED);
    free(solved.data);
    cymbals_workspace_destroy(workspace);
}

/* Each row is unchanged or finished. If the first call of the progress function cancels, all rows are unchanged. If a
 * later call cancels, some rows are finished, and with one thread others are unchanged. */
static void test_cancelled_rows(int32_t n_threads, int64_t cancel_at) {
    WHERE("rows, %d threads, cancelled at %lld", (int)n_threads, (long long)cancel_at);
    watch w = {pthread_self(), 0, -1, ROWS, cancel_at, NULL};
    cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    cymbals_workspace *workspace = make_workspace(n_threads), *stopped;
    options.n_threads = n_threads, options.progress = watching, options.progress_context = &w;
    CHECK_EQUAL(cymbals_workspace_create(&options, &stopped), CYMBALS_OK);
    cymbals_matrix done = copy_matrix(&users), partly = copy_matrix(&users);
    CHECK_OK(solve(workspace, &done));
    const int32_t status = solve(stopped, &partly);
    CHECK_EQUAL(status, w.last >= cancel_at ? CYMBALS_CANCELLED : CYMBALS_OK);
    int64_t as_before = 0, solved = 0;
    for (int64_t r = 0; r < ROWS; r++) {
        const size_t size = RANK * sizeof(float);
        const float *row = (const float *)partly.data + r * RANK;
        const int before = memcmp(row, (const float *)users.data + r * RANK, size) == 0;
        const int after = memcmp(row, (const float *)done.data + r * RANK, size) == 0;
        CHECK(before || after);
        as_before += before, solved += after;
    }
    if (cancel_at == 0) CHECK_EQUAL(solved, 0);
    if (cancel_at > 0) CHECK(solved > 0);
    if (n_threads == 1) CHECK(as_before > 0);
    free(done.data), free(partly.data);
    cymbals_workspace_destroy(workspace);
    cymbals_workspace_destroy(stopped);
}

int main(void) {
    cymbals_workspace *workspace = make_workspace(1);
    rows = random_csr(ROWS, COLS, 0.1, CYMBALS_INT32, CYMBALS_FLOAT32, 30);
    users = random_matrix(ROWS, RANK, RANK, CYMBALS_FLOAT32, 1, 31);
    items = random_matrix(COLS, RANK, RANK, CYMBALS_FLOAT32, 1, 32);
    for (int64_t j = 0; j < RANK; j++) spectrum[j] = 100;
    CHECK_OK(cymbals_index_create(workspace, &items, NULL, 0, NULL, &index_of_items));
    for (int32_t n_threads = 1; n_threads <= 2; n_threads++) {
        for (int function = 0; function < 4; function++) {
            test_function(function, n_threads, ROWS + 1);
            test_function(function, n_threads, 1);
            test_function(function, n_threads, 0);
        }
        test_cancelled_rows(n_threads, 1);
        test_cancelled_rows(n_threads, 0);
    }
    cymbals_index_destroy(index_of_items);
    cymbals_workspace_destroy(workspace);
    free_csr(&rows);
    free(users.data), free(items.data);
    return finish();
}
