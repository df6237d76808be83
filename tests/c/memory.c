/* Checks how much memory a workspace keeps after a half-step, and that cymbals_solve_row allocates only in its first
 * call, unless a later row is longer. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

/* Counts allocations: these functions replace the C library's, and call glibc's other names for them. -DNO_COUNTING
 * switches this off for sanitizers and valgrind, which replace the same functions. */
#if defined(__GLIBC__) && !defined(NO_COUNTING)
enum { COUNTING = 1 };
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_memalign(size_t, size_t);
static long allocations;
void *malloc(size_t n) { return allocations++, __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return allocations++, __libc_calloc(n, size); }
void *aligned_alloc(size_t to, size_t n) { return allocations++, __libc_memalign(to, n); }
#else
enum { COUNTING = 0 };
static const long allocations = 0;
#endif

static const cymbals_objective objective = {sizeof objective, CYMBALS_HU, CYMBALS_LINEAR, 1, 1, 1};

static void test_half_step(int32_t n_threads, int32_t type, int32_t compact, int64_t n_rows, int64_t n_cols,
                           int64_t f) {
    WHERE("%d threads, type %d, compact %d, %lld x %lld, f %lld", (int)n_threads, (int)type, (int)compact,
          (long long)n_rows, (long long)n_cols, (long long)f);
    cymbals_workspace *workspace = make_workspace(n_threads);
    cymbals_csr rows = random_csr(n_rows, n_cols, 0.1, CYMBALS_INT32, CYMBALS_FLOAT32, 20);
    cymbals_matrix fixed = random_matrix(n_cols, f, f, type, 1, 21), solved = random_matrix(n_rows, f, f, type, 1, 22);
    double *spectrum = allocate(f, sizeof *spectrum);
    for (int64_t j = 0; j < f; j++) spectrum[j] = 10;
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    cymbals_solve_info info;
    int64_t bytes = -1;
    options.compact = compact;
    CHECK_OK(cymbals_half_step_bytes(workspace, &rows, &fixed, &options, &bytes));
    CHECK_EQUAL(cymbals_workspace_bytes(workspace), 0);
    for (int call = 0; call < 2; call++) {
        CHECK_OK(cymbals_half_step(workspace, &rows, &objective, &fixed, spectrum, &solved, &options, &info));
        CHECK_EQUAL(cymbals_workspace_bytes(workspace), bytes);
    }
    free_csr(&rows);
    free(fixed.data), free(solved.data), free(spectrum);
    cymbals_workspace_destroy(workspace);
}

static void test_solve_row(int32_t type) {
    enum { N = 50, COLS = 80, RANK = 12 };
    WHERE("solve_row, type %d", (int)type);
    cymbals_workspace *workspace = make_workspace(2);
    cymbals_matrix fixed = random_matrix(COLS, RANK, RANK, type, 1, 23);
    int64_t indices[N];
    double values[N], spectrum[RANK], solved[RANK] = {0};
    for (int64_t i = 0; i < N; i++) indices[i] = i, values[i] = 1;
    for (int64_t j = 0; j < RANK; j++) spectrum[j] = 10;
    const cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    cymbals_solve_info info;
    int64_t bytes = 0;
    for (int call = 0; call < 3; call++) { /* the third call has a shorter row */
        const long before = allocations;
        CHECK_OK(cymbals_solve_row(workspace, call < 2 ? N : N / 2, indices, CYMBALS_INT64, values, CYMBALS_FLOAT64,
                                   &objective, &fixed, spectrum, solved, &options, &info));
        CHECK_EQUAL(info.rows_retried, 0); /* a second attempt may allocate */
        if (call > 0) CHECK_EQUAL(cymbals_workspace_bytes(workspace), bytes);
        if (COUNTING) CHECK_EQUAL(allocations > before, call == 0);
        bytes = cymbals_workspace_bytes(workspace);
    }
    CHECK(bytes > 0);
    free(fixed.data);
    cymbals_workspace_destroy(workspace);
}

int main(void) {
    for (int32_t n_threads = 1; n_threads <= 2; n_threads++)
        for (int t = 0; t < 2; t++)
            for (int32_t compact = CYMBALS_COMPACT_NEVER; compact <= CYMBALS_COMPACT_ALWAYS; compact++) {
                test_half_step(n_threads, float_types[t], compact, 30, 40, 5);
                test_half_step(n_threads, float_types[t], compact, 200, 900,
                               33); /* one row has 900 entries, more than a short row (256) */
                test_half_step(n_threads, float_types[t], compact, 0, 40, 5);
                test_half_step(n_threads, float_types[t], compact, 2, 0, 5);
            }
    for (int t = 0; t < 2; t++) test_solve_row(float_types[t]);
    return finish();
}
