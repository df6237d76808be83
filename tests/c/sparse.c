/* cymbals_transpose, cymbals_from_triplets, cymbals_merge_rows and cymbals_check_csr, for every pair of types. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

static void test_transpose(cymbals_workspace *workspace, int64_t n_rows, int64_t n_cols, int32_t index_type,
                           int32_t t_index_type, int32_t value_type) {
    WHERE("transpose %lld x %lld, types %d %d %d", (long long)n_rows, (long long)n_cols, (int)index_type,
          (int)t_index_type, (int)value_type);
    cymbals_csr m = random_csr(n_rows, n_cols, 0.3, index_type, value_type, 6);
    const int64_t n = m.indptr[n_rows];
    int64_t *indptr = allocate(n_cols + 1, sizeof *indptr), at = 0;
    void *indices = allocate(n, size_of(t_index_type)), *values = allocate(n, size_of(value_type));
    CHECK_OK(cymbals_transpose(workspace, &m, indptr, indices, t_index_type, values));
    for (int64_t c = 0; c < n_cols; c++) {
        CHECK_EQUAL(indptr[c], at);
        for (int64_t r = 0; r < n_rows; r++)
            for (int64_t i = m.indptr[r]; i < m.indptr[r + 1]; i++)
                if (whole(m.indices, index_type, i) == c) {
                    CHECK_EQUAL(whole(indices, t_index_type, at), r);
                    CHECK_NEAR(real(values, value_type, at), real(m.values, value_type, i), 0);
                    at++;
                }
    }
    CHECK_EQUAL(indptr[n_cols], n);
    free_csr(&m);
    free(indptr), free(indices), free(values);
}

/* Compares with a dense table of sums. */
/* More columns than int32 can count: those of the triplets fit in it. */
static void test_wide_triplets(cymbals_workspace *workspace, int32_t index_type, int32_t value_type) {
    WHERE("wide triplets, types %d %d", (int)index_type, (int)value_type);
    const int32_t narrow_rows[] = {3, 0, 3, 0}, narrow_cols[] = {INT32_MAX, 1, 0, 1};
    const int64_t wide_rows[] = {3, 0, 3, 0}, wide_cols[] = {INT32_MAX, 1, 0, 1}, want[] = {0, 1, 1, 1, 3};
    const double doubles[] = {1, 2, 3, 4};
    const float floats[] = {1, 2, 3, 4};
    int64_t indptr[5], indices[4];
    double values[4];
    const int narrow = index_type == CYMBALS_INT32;
    const int64_t widths[] = {(int64_t)1 << 31, (int64_t)1 << 32, (int64_t)1 << 40};
    for (int w = 0; w < 3; w++) {
        CHECK_OK(cymbals_from_triplets(workspace, 4, narrow ? (const void *)narrow_rows : wide_rows,
                                       narrow ? (const void *)narrow_cols : wide_cols, index_type,
                                       value_type == CYMBALS_FLOAT32 ? (const void *)floats : doubles, value_type, 4,
                                       widths[w], indptr, indices, values));
        CHECK_SAME(indptr, want, sizeof want);
        for (int i = 0; i < 3; i++) {
            const int64_t column = narrow ? ((int32_t *)indices)[i] : indices[i];
            CHECK_EQUAL(column, (i == 0 ? 1 : i == 1 ? 0 : INT32_MAX));
        }
    }
}

static void test_from_triplets(cymbals_workspace *workspace, int64_t n, int64_t n_rows, int64_t n_cols,
                               int32_t index_type, int32_t value_type) {
    WHERE("%lld triplets, types %d %d", (long long)n, (int)index_type, (int)value_type);
    void *rows = allocate(n, size_of(index_type)), *cols = allocate(n, size_of(index_type));
    void *indices = allocate(n, size_of(index_type));
    void *values = allocate(n, size_of(value_type)), *sums = allocate(n, size_of(value_type));
    int64_t *indptr = allocate(n_rows + 1, sizeof *indptr), at = 0;
    double *dense = allocate(n_rows * n_cols, sizeof *dense);
    uint64_t seed = 7;
    for (int64_t i = 0; i < n_rows * n_cols; i++) dense[i] = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t r = (int64_t)(uniform(&seed) * uniform(&seed) * (double)n_rows);
        const int64_t c = (int64_t)(uniform(&seed) * (double)n_cols);
        set_whole(rows, index_type, i, r), set_whole(cols, index_type, i, c);
        set_real(values, value_type, i, (double)(i % 9 + 1)); /* whole: sums are exact */
        dense[r * n_cols + c] += (double)(i % 9 + 1);
    }
    CHECK_OK(cymbals_from_triplets(workspace, n, rows, cols, index_type, values, value_type, n_rows, n_cols, indptr,
                                   indices, sums));
    for (int64_t r = 0; r < n_rows; r++) {
        CHECK_EQUAL(indptr[r], at);
        for (int64_t c = 0; c < n_cols; c++)
            if (dense[r * n_cols + c] > 0) {
                CHECK_EQUAL(whole(indices, index_type, at), c);
                CHECK_NEAR(real(sums, value_type, at), dense[r * n_cols + c], 0);
                at++;
            }
    }
    CHECK_EQUAL(indptr[n_rows], at);
    free(rows), free(cols), free(indices), free(values), free(sums), free(indptr), free(dense);
}

/* Adds problems to a matrix, one after the other, and checks that the new one is reported each time: it is worse than
 * the old ones, or of the same kind and in an earlier place. */
static void test_check_csr(cymbals_workspace *workspace, int32_t index_type, int32_t value_type) {
    WHERE("check_csr, types %d %d", (int)index_type, (int)value_type);
    cymbals_csr m = random_csr(9, 12, 0.5, index_type, value_type, 8);
    int64_t *indptr = (int64_t *)m.indptr;
    void *indices = (void *)m.indices, *values = (void *)m.values;
    const int64_t n = indptr[9], full = indptr[3]; /* where the full row begins */
    cymbals_csr_report report;
#define CHECK_REPORT(wanted, in_row, at)                        \
    do {                                                        \
        CHECK_OK(cymbals_check_csr(workspace, &m, n, &report)); \
        CHECK_EQUAL(report.problem, wanted);                    \
        CHECK_EQUAL(report.row, in_row);                        \
        CHECK_EQUAL(report.position, at);                       \
    } while (0)
    CHECK_REPORT(CYMBALS_CSR_GOOD, -1, -1);
    set_real(values, value_type, full + 7, 0);
    CHECK_REPORT(CYMBALS_CSR_ZERO, 3, full + 7);
    set_real(values, value_type, full + 5, -1);
    CHECK_REPORT(CYMBALS_CSR_NEGATIVE, 3, full + 5);
    set_whole(indices, index_type, full + 4, 3);
    CHECK_REPORT(CYMBALS_CSR_UNSORTED, 3, full + 4);
    set_real(values, value_type, full + 6, INFINITY);
    CHECK_REPORT(CYMBALS_CSR_NAN, 3, full + 6);
    set_real(values, value_type, 1, NAN);
    CHECK_REPORT(CYMBALS_CSR_NAN, 0, 1);
    set_whole(indices, index_type, full + 11, 12);
    CHECK_REPORT(CYMBALS_CSR_INDEX, 3, full + 11);
    set_whole(indices, index_type, full + 2, -1);
    CHECK_REPORT(CYMBALS_CSR_INDEX, 3, full + 2);
    m.values = NULL;
    CHECK_REPORT(CYMBALS_CSR_INDEX, 3, full + 2);
    m.values = values;
    indptr[9] = n + 1;
    CHECK_REPORT(CYMBALS_CSR_INDPTR, 8, 9);
    indptr[5] = indptr[4] - 1;
    CHECK_REPORT(CYMBALS_CSR_INDPTR, 4, 5);
    indptr[0] = 1;
    CHECK_REPORT(CYMBALS_CSR_INDPTR, 0, 0);
#undef CHECK_REPORT
    free_csr(&m);
}

/* Writes a row of a matrix into a dense one: NaN where it has no entry. */
static void scatter(const cymbals_csr *m, int64_t row, double *dense) {
    for (int64_t i = m->indptr[row]; i < m->indptr[row + 1]; i++)
        dense[whole(m->indices, m->index_type, i)] = real(m->values, m->value_type, i);
}

static void test_merge_rows(cymbals_workspace *workspace, int64_t n_rows, int64_t n_cols, double density,
                            int32_t index_type, int32_t value_type) {
    WHERE("merge rows of %lld x %lld, %g, types %d %d", (long long)n_rows, (long long)n_cols, density, (int)index_type,
          (int)value_type);
    cymbals_csr m = random_csr(n_rows, n_cols, 0.3, index_type, value_type, 6);
    cymbals_csr changes = random_csr(n_rows, n_cols, density, index_type, value_type, 7);
    const int64_t n_taken = 2 * n_rows; /* each row twice, the last one first */
    int64_t *taken = allocate(n_taken, sizeof *taken), *indptr = allocate(n_taken + 1, sizeof *indptr);
    double *want = allocate(n_cols, sizeof *want);
    for (int64_t i = 0; i < n_taken; i++) taken[i] = n_rows - 1 - i / 2;
    for (int with_rows = 0; with_rows < 2; with_rows++)
        for (int with_changes = 0; with_changes < 2; with_changes++) {
            const int64_t *rows = with_rows ? taken : NULL, n = with_rows ? n_taken : n_rows;
            const cymbals_csr *more = with_changes ? &changes : NULL;
            CHECK_OK(cymbals_merge_rows(workspace, &m, m.indptr[n_rows], more, n, rows, indptr, NULL, NULL));
            void *indices = allocate(indptr[n], size_of(index_type));
            void *values = allocate(indptr[n], size_of(value_type));
            CHECK_OK(cymbals_merge_rows(workspace, &m, m.indptr[n_rows], more, n, rows, indptr, indices, values));
            int64_t at = 0;
            for (int64_t i = 0; i < n; i++) {
                for (int64_t c = 0; c < n_cols; c++) want[c] = NAN;
                scatter(&m, rows ? rows[i] : i, want);
                if (more) scatter(more, rows ? rows[i] : i, want);
                CHECK_EQUAL(indptr[i], at);
                for (int64_t c = 0; c < n_cols; c++)
                    if (!isnan(want[c])) {
                        CHECK_EQUAL(whole(indices, index_type, at), c);
                        CHECK_NEAR(real(values, value_type, at), want[c], 0);
                        at++;
                    }
            }
            CHECK_EQUAL(indptr[n], at);
            if (at > 0) { /* the matrix has changed between the two calls */
                for (int64_t i = 0; i <= n; i++) indptr[i] += i;
                CHECK_EQUAL(cymbals_merge_rows(workspace, &m, m.indptr[n_rows], more, n, rows, indptr, indices, values),
                            CYMBALS_BAD_ARGUMENT);
            }
            free(indices), free(values);
        }
    free_csr(&m), free_csr(&changes);
    free(taken), free(indptr), free(want);
}

int main(void) {
    cymbals_workspace *workspace = make_workspace(3);
    for (int i = 0; i < 2; i++)
        for (int v = 0; v < 2; v++) {
            for (int t = 0; t < 2; t++) {
                test_transpose(workspace, 50, 20, index_types[i], index_types[t], float_types[v]);
                test_transpose(workspace, 0, 20, index_types[i], index_types[t], float_types[v]);
                test_transpose(workspace, 50, 0, index_types[i], index_types[t], float_types[v]);
                test_transpose(workspace, 0, 0, index_types[i], index_types[t], float_types[v]);
            }
            test_from_triplets(workspace, 0, 0, 0, index_types[i], float_types[v]);
            test_wide_triplets(workspace, index_types[i], float_types[v]);
            test_from_triplets(workspace, 0, 5, 7, index_types[i], float_types[v]);
            test_from_triplets(workspace, 1, 5, 7, index_types[i], float_types[v]);
            test_from_triplets(workspace, 5000, 40, 300, index_types[i], float_types[v]);
            test_check_csr(workspace, index_types[i], float_types[v]);
            test_merge_rows(workspace, 0, 0, 0, index_types[i], float_types[v]);
            test_merge_rows(workspace, 1, 7, 0, index_types[i], float_types[v]);
            test_merge_rows(workspace, 30, 1, 1, index_types[i], float_types[v]);
            test_merge_rows(workspace, 700, 90, 0.02, index_types[i], float_types[v]);
            test_merge_rows(workspace, 700, 90, 0.6, index_types[i], float_types[v]);
        }
    cymbals_workspace_destroy(workspace);
    return finish();
}
