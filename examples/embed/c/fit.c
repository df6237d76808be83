/* Alternating least squares through cymbals.h: fit PROBLEM FACTORS. ../README.md describes both files.
 *
 * To embed cymbals, copy half_step. The other functions call it in turn for users and items, compute the loss, and read
 * and write the files. */
#include <stdio.h>
#include <stdlib.h>

#include "cymbals/cymbals.h"

#ifndef DSYEVD
#define DSYEVD dsyevd_ /* the name in most LAPACKs */
#endif
/* The last two arguments are the lengths of the strings jobz and uplo. Fortran passes them after all others. */
void DSYEVD(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *values, double *work,
            const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);

#define TRY(call)                                \
    do {                                         \
        const int32_t status = (call);           \
        if (status != CYMBALS_OK) return status; \
    } while (0)

static const cymbals_objective objective = {sizeof objective, CYMBALS_HU, CYMBALS_LINEAR, 1, 1, 1};
static const cymbals_solve_options options = {.struct_size = sizeof options,
                                              .solver = CYMBALS_CG,
                                              .cg_steps = 3,
                                              .relaxation = 1,
                                              .compact = CYMBALS_COMPACT_LARGE,
                                              .reg = 0.05};

typedef struct scratch {
    double *gram, *basis, *values, *spectrum, *work;
    int *iwork, lwork, liwork;
} scratch;

/* Solves every row of `solved` for the entries in `rows`, while `fixed`, the other side, stays fixed. Rotates both
 * sides into the eigenbasis of the fixed side's Gramian. */
static int32_t half_step(cymbals_workspace *workspace, const scratch *s, const cymbals_csr *rows, cymbals_matrix *fixed,
                         cymbals_matrix *solved) {
    const int f = (int)fixed->n_cols;
    int failed;
    cymbals_solve_info info;
    TRY(cymbals_gram(workspace, fixed, s->gram));
    DSYEVD("V", "L", &f, s->gram, &f, s->values, s->work, &s->lwork, s->iwork, &s->liwork, &failed, 1, 1);
    if (failed) return CYMBALS_BAD_VALUE;
    /* dsyevd has replaced the Gramian by its eigenvectors. */
    TRY(cymbals_basis(workspace, f, s->values, s->gram, objective.alpha0, s->spectrum, s->basis));
    TRY(cymbals_rotate(workspace, fixed, s->basis));
    TRY(cymbals_rotate(workspace, solved, s->basis));
    return cymbals_half_step(workspace, rows, &objective, fixed, s->spectrum, solved, &options, &info);
}

/* The loss: the objective divided by the number of cells. The objective is the sum of three parts. The first part,
 * from cymbals_loss, is a sum over all entries: the loss of the cell minus the loss that the cell would have without an
 * entry. The second part is alpha0 times the sum of all squared scores. To compute this sum, the two Gramians are
 * multiplied element by element, and the products are added up. The third part is the regularization: the trace of a
 * Gramian is the sum of the squares of all factors of its side. */
static int32_t mean_loss(cymbals_workspace *workspace, const scratch *s, const cymbals_csr *rows,
                         const cymbals_matrix *x, const cymbals_matrix *y, double *loss) {
    const int64_t f = x->n_cols;
    TRY(cymbals_loss(workspace, rows, &objective, x, y, loss));
    TRY(cymbals_gram(workspace, x, s->gram));
    TRY(cymbals_gram(workspace, y, s->basis));
    for (int64_t i = 0; i < f * f; i++) *loss += objective.alpha0 * s->gram[i] * s->basis[i];
    for (int64_t i = 0; i < f * f; i += f + 1) *loss += options.reg * (s->gram[i] + s->basis[i]);
    *loss /= (double)x->n_rows * (double)y->n_rows;
    return CYMBALS_OK;
}

static int32_t fit(cymbals_workspace *workspace, const scratch *s, const cymbals_csr *rows, const cymbals_csr *columns,
                   cymbals_matrix *x, cymbals_matrix *y, int64_t iterations) {
    for (int64_t i = 1; i <= iterations; i++) {
        double loss;
        TRY(half_step(workspace, s, rows, y, x));
        TRY(half_step(workspace, s, columns, x, y));
        TRY(mean_loss(workspace, s, rows, x, y, &loss));
        printf("iteration %d: loss %.9f\n", (int)i, loss);
    }
    return CYMBALS_OK;
}

static void check(int bad, const char *what, const char *why) {
    if (!bad) return;
    fprintf(stderr, "fit: %s: %s\n", what, why);
    exit(1);
}

/* Allocates an array, which is not freed before the program ends. */
static void *memory(int64_t n, size_t size) {
    void *const array = malloc((size_t)n * size);
    check(!array, "no memory", "the problem is too large");
    return array;
}

static void *load(FILE *file, int64_t n, size_t size) {
    void *const array = memory(n, size);
    check(fread(array, size, (size_t)n, file) != (size_t)n, "problem", "the file is too short");
    return array;
}

int main(int argc, char **argv) {
    check(argc != 3, "usage", "fit PROBLEM FACTORS");
    FILE *const in = fopen(argv[1], "rb");
    check(!in, argv[1], "cannot be read");
    const int64_t *const head = load(in, 6, sizeof *head);
    const int64_t n_rows = head[0], n_cols = head[1], nnz = head[2], f = head[3];
    const int64_t *const indptr = load(in, n_rows + 1, sizeof *indptr);
    const int32_t *const indices = load(in, nnz, sizeof *indices);
    const float *const values = load(in, nnz, sizeof *values);
    cymbals_matrix x = {sizeof x, load(in, n_rows * f, sizeof(float)), n_rows, f, f, CYMBALS_FLOAT32};
    cymbals_matrix y = {sizeof y, load(in, n_cols * f, sizeof(float)), n_cols, f, f, CYMBALS_FLOAT32};
    fclose(in);

    int64_t *const t_indptr = memory(n_cols + 1, sizeof *t_indptr);
    int32_t *const t_indices = memory(nnz, sizeof *t_indices);
    float *const t_values = memory(nnz, sizeof *t_values);
    cymbals_csr rows = {sizeof rows, n_rows, n_cols, indptr, indices, CYMBALS_INT32, values, CYMBALS_FLOAT32};
    cymbals_csr columns = {sizeof columns, n_cols,        n_rows,   t_indptr,
                           t_indices,      CYMBALS_INT32, t_values, CYMBALS_FLOAT32};
    /* The documentation of dsyevd requires at least these sizes of work and iwork. */
    scratch s = {.lwork = (int)(1 + 6 * f + 2 * f * f), .liwork = (int)(3 + 5 * f)};
    s.gram = memory(f * f, sizeof(double)), s.basis = memory(f * f, sizeof(double));
    s.values = memory(f, sizeof(double)), s.spectrum = memory(f, sizeof(double));
    s.work = memory(s.lwork, sizeof(double)), s.iwork = memory(s.liwork, sizeof(int));

    cymbals_workspace_options workspace_options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    cymbals_workspace *workspace;
    cymbals_csr_report report;
    workspace_options.n_threads = (int32_t)head[5];
    int32_t status = cymbals_workspace_create(&workspace_options, &workspace);
    check(status != CYMBALS_OK, "workspace", cymbals_status_message(status));
    status = cymbals_check_csr(workspace, &rows, nnz, &report);
    check(status == CYMBALS_OK && report.problem != CYMBALS_CSR_GOOD, argv[1],
          "not CSR of finite counts above 0, each row sorted");
    if (status == CYMBALS_OK)
        status = cymbals_transpose(workspace, &rows, t_indptr, t_indices, CYMBALS_INT32, t_values);
    if (status == CYMBALS_OK) status = fit(workspace, &s, &rows, &columns, &x, &y, head[4]);
    check(status != CYMBALS_OK, cymbals_status_message(status), cymbals_workspace_message(workspace));
    cymbals_workspace_destroy(workspace);

    FILE *const out = fopen(argv[2], "wb");
    check(!out || fwrite(x.data, sizeof(float) * (size_t)f, (size_t)n_rows, out) != (size_t)n_rows ||
              fwrite(y.data, sizeof(float) * (size_t)f, (size_t)n_cols, out) != (size_t)n_cols || fclose(out) != 0,
          argv[2], "cannot be written");
    return 0;
}
