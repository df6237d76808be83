"""Fold-in and top-k for one user at a time, from many threads. A request is solved and searched without the GIL."""

import numpy as np

from libc.stdint cimport int32_t, int64_t

from cymbals cimport *

cymbals_import()

CONFIDENCES = {"linear": CYMBALS_LINEAR, "log": CYMBALS_LOG, "binary": CYMBALS_BINARY, "total": CYMBALS_TOTAL}


cdef int check(int32_t status, cymbals_workspace *workspace) except -1:
    if status != CYMBALS_OK:
        raise ValueError((cymbals_status_message(status) if workspace == NULL else
                          cymbals_workspace_message(workspace)).decode())
    return 0


cdef cymbals_workspace *new_workspace(int n_threads) except NULL:
    cdef cymbals_workspace_options options = cymbals_workspace_options(
        sizeof(cymbals_workspace_options), n_threads, CYMBALS_AUTO, NULL, NULL, record=0)
    cdef cymbals_workspace *workspace
    check(cymbals_workspace_create(&options, &workspace), NULL)
    return workspace


cdef class Server:
    """The items of a model in the eigenbasis of their Gramian, and an index of them. All sessions read them."""
    cdef float[:, ::1] items
    cdef double[::1] spectrum
    cdef cymbals_matrix matrix
    cdef cymbals_index *index
    cdef cymbals_objective objective
    cdef cymbals_solve_options options
    cdef readonly int k, n_items

    def __cinit__(self, model, int k=10, int n_threads=1):
        params = model.get_params()
        if params["objective"] != "hu" or params["nu"] != 0:
            raise ValueError("this server supports only objective 'hu' with nu=0")
        self.k = k
        self.items = np.array(model.item_factors_, np.float32)
        self.n_items, f = self.items.shape[0], self.items.shape[1]
        self.objective = cymbals_objective(sizeof(cymbals_objective), CYMBALS_HU, CONFIDENCES[params["confidence"]],
                                           params["alpha"], epsilon=1, alpha0=params["unobserved_weight"])
        self.options = cymbals_solve_options(sizeof(cymbals_solve_options), CYMBALS_EXACT, cg_steps=1, cg_tolerance=0,
                                             relaxation=1, compact=CYMBALS_COMPACT_NEVER, reg=params["regularization"],
                                             row_reg=NULL)
        self.matrix = cymbals_matrix(sizeof(cymbals_matrix), &self.items[0, 0], self.items.shape[0], f, f, CYMBALS_FLOAT32)
        self.spectrum = np.empty(f)
        cdef double[:, ::1] gram = np.empty((f, f)), basis = np.empty((f, f)), vectors
        cdef double[::1] values
        cdef cymbals_workspace *workspace = new_workspace(n_threads)
        try:
            check(cymbals_gram(workspace, &self.matrix, &gram[0, 0]), workspace)
            values, columns = np.linalg.eigh(gram)
            vectors = np.ascontiguousarray(columns.T)
            check(cymbals_basis(workspace, f, &values[0], &vectors[0, 0], self.objective.alpha0, &self.spectrum[0],
                                &basis[0, 0]), workspace)
            check(cymbals_rotate(workspace, &self.matrix, &basis[0, 0]), workspace)
            check(cymbals_index_create(workspace, &self.matrix, NULL, 0, NULL, &self.index), workspace)
        finally:
            cymbals_workspace_destroy(workspace)

    def __dealloc__(self):
        cymbals_index_destroy(self.index)


cdef class Session:
    """The workspace and the buffer of one thread. Each thread needs a session of its own."""
    cdef Server server
    cdef cymbals_workspace *workspace
    cdef float[::1] x

    def __cinit__(self, Server server):
        self.server = server
        self.workspace = new_workspace(1)
        self.x = np.empty(server.items.shape[1], np.float32)

    def __dealloc__(self):
        cymbals_workspace_destroy(self.workspace)

    def recommend(self, const int32_t[::1] items, const float[::1] values):
        """Row numbers and scores of the best items for a user. Items that the user has are left out.

        `items` are the row numbers of the user's items, in ascending order, and `values` are the play counts.
        """
        cdef Server s = self.server
        cdef int64_t n = items.shape[0], f = s.items.shape[1]
        cdef int64_t indptr[2]
        cdef int64_t[::1] ids = np.empty(s.k, np.int64)
        cdef float[::1] scores = np.empty(s.k, np.float32)
        cdef cymbals_matrix x = cymbals_matrix(sizeof(cymbals_matrix), &self.x[0], 1, f, f, CYMBALS_FLOAT32)
        cdef cymbals_csr seen
        cdef cymbals_solve_info info
        cdef int64_t i
        cdef int32_t status
        for i in range(1, n):
            if items[i] <= items[i - 1]:
                raise ValueError(f"items must be in ascending order, got {items[i - 1]} before {items[i]}")
        if n == 0 or values.shape[0] != n:
            raise ValueError(f"items and values must have the same length, at least 1, got {n} and {values.shape[0]}")
        indptr[:] = [0, n]
        seen = cymbals_csr(sizeof(cymbals_csr), 1, s.n_items, &indptr[0], &items[0], CYMBALS_INT32, NULL, CYMBALS_FLOAT32)
        with nogil:
            status = cymbals_solve_row(self.workspace, n, &items[0], CYMBALS_INT32, &values[0], CYMBALS_FLOAT32,
                                       &s.objective, &s.matrix, &s.spectrum[0], &self.x[0], &s.options, &info)
            if status == CYMBALS_OK:
                status = cymbals_index_topk(self.workspace, s.index, &x, &seen, s.k, &ids[0], &scores[0])
        check(status, self.workspace)
        return ids.base, scores.base
