"""Alternating least squares through `cimport cymbals`: a whole fit without the GIL. SciPy provides LAPACK's dsyevd."""

import numpy as np

from libc.stdint cimport int32_t, int64_t

from cymbals cimport *
from scipy.linalg.cython_lapack cimport dsyevd

cymbals_import()

cdef cymbals_objective objective = cymbals_objective(
    sizeof(cymbals_objective), CYMBALS_HU, CYMBALS_LINEAR, alpha=1, epsilon=1, alpha0=1)
cdef cymbals_solve_options options = cymbals_solve_options(
    sizeof(cymbals_solve_options), CYMBALS_CG, cg_steps=3, cg_tolerance=0, relaxation=1,
    compact=CYMBALS_COMPACT_LARGE, reg=0.05, row_reg=NULL)


cdef int check(int32_t status, cymbals_workspace *workspace) except -1 nogil:
    if status != CYMBALS_OK:
        with gil:
            raise RuntimeError(cymbals_workspace_message(workspace).decode())
    return 0


cdef int half_step(cymbals_workspace *workspace, const cymbals_csr *rows, cymbals_matrix *fixed,
                   cymbals_matrix *solved, double *memory, int *iwork) except -1 nogil:
    """Solve every row of `solved` for the entries in `rows`, while `fixed`, the other side, stays fixed.

    Rotates both sides into the eigenbasis of the fixed side's Gramian.
    """
    cdef int f = fixed.n_cols, lwork = 1 + 6 * f + 2 * f * f, liwork = 3 + 5 * f, failed
    cdef double *gram = memory
    cdef double *basis = gram + f * f
    cdef double *values = basis + f * f
    cdef double *spectrum = values + f
    cdef double *work = spectrum + f
    cdef cymbals_solve_info info
    check(cymbals_gram(workspace, fixed, gram), workspace)
    dsyevd(b"V", b"L", &f, gram, &f, values, work, &lwork, iwork, &liwork, &failed)
    if failed:
        with gil:
            raise RuntimeError(f"dsyevd failed: {failed}")
    check(cymbals_basis(workspace, f, values, gram, objective.alpha0, spectrum, basis), workspace)
    check(cymbals_rotate(workspace, fixed, basis), workspace)
    check(cymbals_rotate(workspace, solved, basis), workspace)
    check(cymbals_half_step(workspace, rows, &objective, fixed, spectrum, solved, &options, &info), workspace)
    return 0


def fit(const int64_t[::1] indptr, const int32_t[::1] indices, const float[::1] values,
        float[:, ::1] x, float[:, ::1] y, int iterations, int n_threads):
    """Fit in place: x and y are the starting factors, and are replaced by the fitted ones.

    indptr, indices and values must be a valid CSR matrix with one row for each row of x and one column for each row of y.
    """
    cdef int64_t n_rows = x.shape[0], n_cols = y.shape[0], f = x.shape[1]
    cdef int64_t[::1] t_indptr = np.empty(n_cols + 1, np.int64)
    cdef int32_t[::1] t_indices = np.empty(indices.size, np.int32)
    cdef float[::1] t_values = np.empty(values.size, np.float32)
    cdef double[::1] memory = np.empty(4 * f * f + 8 * f + 1)
    cdef int[::1] iwork = np.empty(3 + 5 * f, np.intc)
    cdef cymbals_csr rows = cymbals_csr(
        sizeof(cymbals_csr), n_rows, n_cols, &indptr[0], &indices[0], CYMBALS_INT32, &values[0], CYMBALS_FLOAT32)
    cdef cymbals_csr columns = cymbals_csr(
        sizeof(cymbals_csr), n_cols, n_rows, &t_indptr[0], &t_indices[0], CYMBALS_INT32, &t_values[0], CYMBALS_FLOAT32)
    cdef cymbals_matrix users = cymbals_matrix(sizeof(cymbals_matrix), &x[0, 0], n_rows, f, f, CYMBALS_FLOAT32)
    cdef cymbals_matrix items = cymbals_matrix(sizeof(cymbals_matrix), &y[0, 0], n_cols, f, f, CYMBALS_FLOAT32)
    cdef cymbals_workspace_options workspace_options = cymbals_workspace_options(
        sizeof(cymbals_workspace_options), n_threads, CYMBALS_AUTO, NULL, NULL, record=0)
    cdef cymbals_workspace *workspace
    cdef int32_t status = cymbals_workspace_create(&workspace_options, &workspace)
    if status != CYMBALS_OK:
        raise RuntimeError(cymbals_status_message(status).decode())
    try:
        with nogil:
            check(cymbals_transpose(workspace, &rows, &t_indptr[0], &t_indices[0], CYMBALS_INT32, &t_values[0]), workspace)
            for _ in range(iterations):
                half_step(workspace, &rows, &items, &users, &memory[0], &iwork[0])
                half_step(workspace, &columns, &users, &items, &memory[0], &iwork[0])
    finally:
        cymbals_workspace_destroy(workspace)
