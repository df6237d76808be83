# cython: freethreading_compatible=True
"""libcymbals for Python: takes pointers from arrays, releases the GIL, and raises an exception for a status.

It does no arithmetic, and checks only types and sizes; the functions that call it check the numbers themselves. A CSR
matrix is any object with shape, indptr (int64), indices and data. `workspace` is a Workspace, or a number of threads."""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport strchr, strlen

from cpython.pycapsule cimport PyCapsule_New
from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous,
                             PyBuffer_Release, PyObject_GetBuffer)

from cymbals cimport *

from cymbals.base.recorder import current as recorder
from cymbals.base.threads import warn_of_fewer

# The table of functions for extensions that do not link: see "Without linking" in cymbals.h.
_C_API = PyCapsule_New(<void *>cymbals_functions(), b"cymbals._core._C_API", NULL)


class SolveError(ArithmeticError):
    """A row of a half-step could not be solved.

    ``row`` is the lowest such row. ``too_heavy``: the sum of its weighted targets is too large for the
    factors' type."""

    def __init__(self, message, row, too_heavy=False):
        super().__init__(message)
        self.row = row
        self.too_heavy = too_heavy


cdef class Buffer:
    """A C-contiguous array: it cannot be freed or resized while this object lives."""
    cdef Py_buffer view
    cdef int32_t type

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef int64_t size(self, int axis=0) noexcept nogil:
        return self.view.shape[axis]

    cdef need(self, int64_t size, int64_t width=-1):
        if self.view.shape[0] != size or (width >= 0 and self.view.shape[1] != width):
            raise ValueError(f"expected {size} elements{f' of {width}' if width >= 0 else ''}, got "
                             f"{' x '.join(str(self.view.shape[axis]) for axis in range(self.view.ndim))}")
        return self


cdef Buffer buffer_of(array, const char *kinds, int ndim, bint writable=False):
    """The buffer of an array. Raises if the code of its type is not a character of `kinds`."""
    cdef Buffer b = Buffer.__new__(Buffer)
    PyObject_GetBuffer(array, &b.view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
    cdef const char *format = "B"
    if b.view.format != NULL:
        format = b.view.format
    cdef char kind = format[0] if strlen(format) == 1 else b"-"  # "-": of no use here
    if kind == b"?":
        kind = b"B"
    elif kind == b"l" or kind == b"q":
        kind = b"q" if b.view.itemsize == 8 else b"i"
    contiguous = PyBuffer_IsContiguous(&b.view, b"C")
    if strchr(kinds, kind) == NULL or b.view.ndim != ndim or not contiguous:
        found = chr(kind) if kind != b"-" else format.decode()
        raise ValueError(f"expected a C-contiguous array of {ndim} dimensions and type in {kinds.decode()!r}, "
                         f"got {b.view.ndim} dimensions of {found!r}{'' if contiguous else ', not contiguous'}")
    b.type = (CYMBALS_FLOAT32 if kind == b"f" else CYMBALS_FLOAT64 if kind == b"d" else
              CYMBALS_INT32 if kind == b"i" else CYMBALS_INT64 if kind == b"q" else -1)
    return b


cdef class Matrix:
    """A dense matrix for the C library, and the array that holds its numbers."""
    cdef Buffer buffer
    cdef cymbals_matrix c

    def __cinit__(self, array, bint writable=False):
        self.buffer = buffer_of(array, "fd", 2, writable)
        self.c.struct_size = sizeof(cymbals_matrix)
        self.c.data = self.buffer.view.buf
        self.c.n_rows = self.buffer.size(0)
        self.c.n_cols = self.c.stride = self.buffer.size(1)
        self.c.type = self.buffer.type


cdef class Csr:
    """A sparse matrix for the C library, and the arrays that hold its numbers."""
    cdef Buffer indptr, indices, values
    cdef cymbals_csr c

    def __cinit__(self, matrix):
        self.indptr = buffer_of(matrix.indptr, "q", 1).need(matrix.shape[0] + 1)
        self.indices = buffer_of(matrix.indices, "iq", 1)
        self.values = buffer_of(matrix.data, "fd", 1).need(self.indices.size())
        self.c.struct_size = sizeof(cymbals_csr)
        self.c.n_rows = matrix.shape[0]
        self.c.n_cols = matrix.shape[1]
        self.c.indptr = <const int64_t *>self.indptr.view.buf
        self.c.indices = self.indices.view.buf
        self.c.index_type = self.indices.type
        self.c.values = self.values.view.buf
        self.c.value_type = self.values.type


cdef cymbals_objective objective_of(values) except *:
    cdef cymbals_objective o
    o.struct_size = sizeof(o)
    o.kind, o.confidence, o.alpha, o.epsilon, o.alpha0 = values
    return o


cdef raise_for(int32_t status, int64_t row=-1, str detail=""):
    if status == CYMBALS_OK:
        return
    message = cymbals_status_message(status).decode()
    if status == CYMBALS_NO_MEMORY:
        raise MemoryError(message)
    if status == CYMBALS_NO_SIMD:
        raise RuntimeError(message)
    if status == CYMBALS_BAD_INDEX:
        raise ValueError(f"row {row} has an index out of range: the matrix was changed since it was checked")
    if row >= 0:
        raise SolveError(message, row, status == CYMBALS_TOO_HEAVY)
    raise ValueError(detail or message)


cdef class Workspace:
    """Threads, instruction set and memory for calls; one call at a time may use it.

    Each call reports its spans and row classes to the recorder that was active when the workspace was made. With
    ``record`` and no recorder, the workspace keeps them."""
    cdef cymbals_workspace *c
    cdef readonly int n_threads
    cdef object recorder

    def __cinit__(self, int n_threads, int simd=0, bint record=False):
        cdef cymbals_workspace_options options
        options.struct_size = sizeof(options)
        options.n_threads = self.n_threads = n_threads
        options.simd = simd
        options.progress = NULL
        options.progress_context = NULL
        self.recorder = recorder()
        options.record = record or self.recorder is not None
        raise_for(cymbals_workspace_create(&options, &self.c))

    def __dealloc__(self):
        cymbals_workspace_destroy(self.c)

    @property
    def nbytes(self):
        """Bytes of memory that the workspace keeps between calls."""
        return cymbals_workspace_bytes(self.c)

    def spans(self):
        """All recorded ``cymbals_span`` as bytes, and the number of spans for which there was no memory."""
        cdef const cymbals_span *found = NULL
        cdef int64_t n = 0, lost = 0
        raise_for(cymbals_workspace_spans(self.c, &found, &n, &lost))
        return (<const char *>found)[:n * sizeof(cymbals_span)], lost

    def row_classes(self):
        """All recorded ``cymbals_row_class`` as bytes."""
        cdef const cymbals_row_class *found = NULL
        cdef int64_t n = 0
        raise_for(cymbals_workspace_row_classes(self.c, &found, &n))
        return (<const char *>found)[:n * sizeof(cymbals_row_class)]

    def forget(self):
        cymbals_workspace_forget(self.c)

    cdef end(self, int32_t status, int64_t row=-1):
        """After each call: reports to the recorder, then raises if the call failed."""
        message = cymbals_workspace_message(self.c).decode()  # first: reporting clears it
        if self.recorder is not None:
            spans, lost = self.spans()
            self.recorder.take(spans, self.row_classes(), lost)
            self.forget()
        raise_for(status, row, message)
        if cymbals_workspace_threads(self.c) < self.n_threads:
            warn_of_fewer(cymbals_workspace_threads(self.c), self.n_threads)


cdef Workspace workspace_for(workspace, int simd=0):
    """The workspace itself, or a new one with that number of threads."""
    return workspace if isinstance(workspace, Workspace) else Workspace(workspace, simd)


def version():
    return cymbals_version().decode()


def compiler():
    return cymbals_compiler().decode()


def abi_version():
    return cymbals_abi_version()


def simd_name(int simd=0):
    """The name of an instruction set by its number; 0: the one chosen automatically on this machine."""
    cdef int32_t resolved = 0
    raise_for(cymbals_simd_resolve(simd, &resolved))
    return cymbals_simd_name(resolved).decode()


def measure_peaks(workspace, int simd=0):
    """Rates per second: multiply-adds, bytes from the second-level cache, bytes from memory, gathered rows of 256 bytes."""
    cdef Workspace w = workspace_for(workspace, simd)
    cdef cymbals_peaks peaks
    cdef int32_t status
    peaks.struct_size = sizeof(peaks)
    with nogil:
        status = cymbals_measure_peaks(w.c, &peaks)
    w.end(status)
    return peaks.multiply_adds, peaks.near_bytes, peaks.stream_bytes, peaks.gather_rows


def gram(y, out, workspace, int simd=0):
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Matrix m = Matrix(y)
    cdef Buffer g = buffer_of(out, "d", 2, True).need(m.c.n_cols, m.c.n_cols)
    cdef int32_t status
    with nogil:
        status = cymbals_gram(w.c, &m.c, <double *>g.view.buf)
    w.end(status)


def gram_segments(int64_t n_rows, int64_t n_cols):
    """The first row of each segment into which gram cuts the rows of a matrix, and then n_rows."""
    cdef int64_t n = 0
    cdef int64_t[65] begins
    raise_for(cymbals_gram_segments(n_rows, n_cols, &n, begins))
    return [begins[i] for i in range(n + 1)]


def gram_parts(y, begins, sums, workspace, int simd=0):
    """Fills sums (n x f x f) with the Gramians of n segments; y has the rows from begins[0] to begins[n]."""
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Matrix m = Matrix(y)
    cdef Buffer b = buffer_of(begins, "q", 1), s = buffer_of(sums, "d", 3, True).need(b.size() - 1, m.c.n_cols)
    cdef int32_t status
    if s.size(2) != m.c.n_cols:
        raise ValueError("each sum must have as many rows and columns as y has columns")
    with nogil:
        status = cymbals_gram_parts(w.c, &m.c, s.size(), <const int64_t *>b.view.buf, <double *>s.view.buf)
    w.end(status)


def basis(values, vectors, double alpha0, spectrum, out):
    """Fills spectrum and out. Each row of vectors is an eigenvector; it becomes a column of out."""
    cdef Workspace w = Workspace(1)
    cdef Buffer v = buffer_of(values, "d", 1), rows = buffer_of(vectors, "d", 2).need(v.size(), v.size())
    cdef Buffer s = buffer_of(spectrum, "d", 1, True).need(v.size()), b = buffer_of(out, "d", 2, True).need(v.size(), v.size())
    w.end(cymbals_basis(w.c, v.size(), <const double *>v.view.buf, <const double *>rows.view.buf, alpha0,
                        <double *>s.view.buf, <double *>b.view.buf))


def rotate(x, vectors, workspace, int simd=0):
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Matrix m = Matrix(x, True)
    cdef Buffer q = buffer_of(vectors, "d", 2).need(m.c.n_cols, m.c.n_cols)
    cdef int32_t status
    with nogil:
        status = cymbals_rotate(w.c, &m.c, <const double *>q.view.buf)
    w.end(status)


cdef class Options:
    """Solve options for the C library; reg is a float, or an array with a number for each row."""
    cdef cymbals_solve_options c
    cdef cymbals_part part
    cdef cymbals_copy copy
    cdef Buffer row_reg, pairs, leverage, heavy
    cdef Matrix prior

    def __cinit__(self, reg, int solver, int cg_steps, double cg_tolerance, double relaxation, int compact, n_rows,
                  prior=None, part=None, copy=None):
        self.c.struct_size = sizeof(self.c)
        self.c.solver = solver
        self.c.cg_steps = cg_steps
        self.c.cg_tolerance = cg_tolerance
        self.c.relaxation = relaxation
        self.c.compact = compact
        self.c.reg = 0
        self.c.row_reg = NULL
        if isinstance(reg, float):
            self.c.reg = reg
        else:
            self.row_reg = buffer_of(reg, "d", 1).need(n_rows)
            self.c.row_reg = <const double *>self.row_reg.view.buf
        self.c.prior = NULL
        if prior is not None:
            self.prior = Matrix(prior)
            self.c.prior = &self.prior.c
        self.c.part = NULL
        if part is not None:
            self.part.struct_size = sizeof(self.part)
            self.part.least_reg, self.part.most_reg, self.part.prepared = part
            self.part.copy = NULL
            self.c.part = &self.part
        if copy is not None:
            pairs, leverage, heavy = copy
            self.pairs, self.leverage = buffer_of(pairs, "i", 2), buffer_of(leverage, "f", 1).need(len(pairs))
            self.heavy = buffer_of(heavy, "q", 1)
            self.copy.struct_size = sizeof(self.copy)
            self.copy.n_rows = self.pairs.size()
            self.copy.pairs = <const int32_t *>self.pairs.view.buf
            self.copy.leverage = <const float *>self.leverage.view.buf
            self.copy.rows = <const int64_t *>self.heavy.view.buf
            self.part.copy = &self.copy


def half_step(rows, objective, fixed, spectrum, solved, reg, int solver, int cg_steps, double cg_tolerance,
              double relaxation, int compact, workspace, int simd=0, prior=None, part=None, first_row=0, copy=None):
    """Returns the solve info as a dict.

    `part` is (least_reg, most_reg, prepared); errors count rows from first_row. `copy` is (pairs, leverage, rows): see
    cymbals_copy. It needs `part`.
    """
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Csr r = Csr(rows)
    cdef cymbals_objective o = objective_of(objective)
    cdef Matrix y = Matrix(fixed), x = Matrix(solved, True)
    cdef Buffer d = buffer_of(spectrum, "d", 1).need(y.c.n_cols)
    cdef Options options = Options(
        reg, solver, cg_steps, cg_tolerance, relaxation, compact, r.c.n_rows, prior, part, copy)
    cdef cymbals_solve_info info
    cdef int32_t status
    if copy is not None:
        if part is None:
            raise ValueError("a copy needs a part")
        options.pairs.need(r.c.n_cols, compact_width(y.c.n_cols))
        options.heavy.need(y.c.n_rows)
    info.failed_row = -1
    with nogil:
        status = cymbals_half_step(w.c, &r.c, &o, &y.c, <const double *>d.view.buf, &x.c, &options.c, &info)
    w.end(status, info.failed_row if info.failed_row < 0 else first_row + info.failed_row)
    result = dict(info)
    del result["failed_row"]
    return result


def compress(fixed, spectrum, double least_reg, double most_reg, pairs, leverage, workspace, int simd=0):
    """Fills pairs and leverage with the 16-bit copy of the rows of a float32 fixed side."""
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Matrix y = Matrix(fixed)
    cdef Buffer d = buffer_of(spectrum, "d", 1).need(y.c.n_cols)
    cdef Buffer p = buffer_of(pairs, "i", 2, True).need(y.c.n_rows, compact_width(y.c.n_cols))
    cdef Buffer l = buffer_of(leverage, "f", 1, True).need(y.c.n_rows)
    cdef int32_t status
    with nogil:
        status = cymbals_compress(w.c, &y.c, <const double *>d.view.buf, least_reg, most_reg, <int32_t *>p.view.buf,
                                  <float *>l.view.buf)
    w.end(status)


def compact_width(int64_t f):
    """The number of int32 in a row of the 16-bit copy."""
    return (f + 31) // 32 * 16


def heaviest_compact():
    """The largest weight, times the leverage, of an entry that reads the copy."""
    return CYMBALS_HEAVIEST_COMPACT


def half_step_bytes(rows, fixed, int solver, int cg_steps, int compact, workspace, int simd=0):
    """The memory in bytes that a half-step with these arguments keeps in the workspace."""
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Csr r = Csr(rows)
    cdef Matrix y = Matrix(fixed)
    cdef Options options = Options(0.0, solver, cg_steps, 0, 1, compact, 0)
    cdef int64_t result = 0
    w.end(cymbals_half_step_bytes(w.c, &r.c, &y.c, &options.c, &result))
    return result


def solve_row(indices, values, objective, fixed, spectrum, solved, double reg, int solver, int cg_steps,
              double cg_tolerance, workspace, int simd=0):
    """Solves one row, and writes its factors to the array `solved`, in the basis of `fixed`."""
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Buffer i = buffer_of(indices, "iq", 1), v = buffer_of(values, "fd", 1).need(i.size())
    cdef cymbals_objective o = objective_of(objective)
    cdef Matrix y = Matrix(fixed)
    cdef Buffer d = buffer_of(spectrum, "d", 1).need(y.c.n_cols), x = buffer_of(solved, "fd", 1, True).need(y.c.n_cols)
    cdef Options options = Options(reg, solver, cg_steps, cg_tolerance, 1, CYMBALS_COMPACT_NEVER, 1)
    cdef cymbals_solve_info info
    cdef int32_t status
    info.failed_row = -1
    if x.type != y.buffer.type:
        raise ValueError("solved must have the factors' type")
    with nogil:
        status = cymbals_solve_row(w.c, i.size(), i.view.buf, i.type, v.view.buf, v.type, &o, &y.c,
                                   <const double *>d.view.buf, x.view.buf, &options.c, &info)
    w.end(status, info.failed_row)


def loss(rows, objective, x, y, workspace, int simd=0):
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Csr r = Csr(rows)
    cdef cymbals_objective o = objective_of(objective)
    cdef Matrix left = Matrix(x), right = Matrix(y)
    cdef double result = 0
    cdef int32_t status
    with nogil:
        status = cymbals_loss(w.c, &r.c, &o, &left.c, &right.c, &result)
    w.end(status)
    return result


def draw_normal(out, uint64_t key, int32_t stream, int64_t first_row, double scale, workspace):
    """Fills a matrix with normal numbers; each row depends on key, stream and its number alone."""
    cdef Workspace w = workspace_for(workspace)
    cdef Matrix m = Matrix(out, True)
    cdef int32_t status
    with nogil:
        status = cymbals_draw_normal(w.c, key, stream, first_row, scale, &m.c)
    w.end(status)


def transpose(matrix, t_indptr, t_indices, t_values, workspace):
    cdef Workspace w = workspace_for(workspace)
    cdef Csr m = Csr(matrix)
    cdef Buffer indptr = buffer_of(t_indptr, "q", 1, True).need(m.c.n_cols + 1)
    cdef Buffer indices = buffer_of(t_indices, "iq", 1, True).need(m.indices.size())
    cdef Buffer values = buffer_of(t_values, "fd", 1, True).need(m.indices.size())
    cdef int32_t status
    if values.type != m.values.type:
        raise ValueError("the transpose's values must have the matrix's type")
    with nogil:
        status = cymbals_transpose(w.c, &m.c, <int64_t *>indptr.view.buf, indices.view.buf, indices.type,
                                   values.view.buf)
    w.end(status)


def from_triplets(rows, cols, values, shape, indptr, indices, out, workspace):
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer r = buffer_of(rows, "iq", 1), c = buffer_of(cols, "iq", 1).need(r.size())
    cdef Buffer v = buffer_of(values, "fd", 1).need(r.size())
    cdef int64_t n_rows = shape[0], n_cols = shape[1]
    cdef Buffer p = buffer_of(indptr, "q", 1, True).need(n_rows + 1)
    cdef Buffer i = buffer_of(indices, "iq", 1, True).need(r.size())
    cdef Buffer o = buffer_of(out, "fd", 1, True).need(r.size())
    cdef int32_t status
    if c.type != r.type or i.type != r.type or o.type != v.type:
        raise ValueError("rows, cols and indices must share a type, and so must values and out")
    with nogil:
        status = cymbals_from_triplets(w.c, r.size(), r.view.buf, c.view.buf, r.type, v.view.buf, v.type, n_rows,
                                       n_cols, <int64_t *>p.view.buf, i.view.buf, o.view.buf)
    w.end(status)


def merge_rows(matrix, changes, rows, indptr, workspace, indices=None, out=None):
    """Fills indptr; with the arrays indices and out, these. `changes` and `rows` may be None."""
    cdef Workspace w = workspace_for(workspace)
    cdef Csr m = Csr(matrix), more = None if changes is None else Csr(changes)
    cdef Buffer r, p = buffer_of(indptr, "q", 1, True), i, o
    cdef const int64_t *chosen = NULL
    cdef void *columns = NULL
    cdef void *values = NULL
    cdef int64_t n_rows = p.size() - 1
    cdef int32_t status
    if n_rows < 0:
        raise ValueError("indptr must not be empty")
    if rows is not None:
        r = buffer_of(rows, "q", 1).need(n_rows)
        chosen = <const int64_t *>r.view.buf
    if indices is not None:
        i = buffer_of(indices, "iq", 1, True).need((<const int64_t *>p.view.buf)[n_rows])
        o = buffer_of(out, "fd", 1, True).need(i.size())
        if i.type != m.indices.type or o.type != m.values.type:
            raise ValueError("indices and out must have the matrix's types")
        columns, values = i.view.buf, o.view.buf
    with nogil:
        status = cymbals_merge_rows(w.c, &m.c, m.indices.size(), NULL if more is None else &more.c, n_rows, chosen,
                                    <int64_t *>p.view.buf, columns, values)
    w.end(status)


def check_csr(matrix, workspace):
    """Returns (problem, row, position) of the first thing wrong with a CSR matrix; (0, -1, -1) if nothing is."""
    cdef Workspace w = workspace_for(workspace)
    cdef Csr m = Csr(matrix)
    cdef cymbals_csr_report report
    cdef int32_t status
    with nogil:
        status = cymbals_check_csr(w.c, &m.c, m.indices.size(), &report)
    w.end(status)
    return report.problem, report.row, report.position


cdef class Items:
    """The items to search, and the arrays that hold them: all items or a list of them, and a scale for each item or none."""
    cdef Matrix matrix
    cdef Buffer chosen, scale

    def __cinit__(self, items, item_list, item_scale):
        self.matrix = Matrix(items)
        self.chosen = None if item_list is None else buffer_of(item_list, "q", 1)
        self.scale = None if item_scale is None else buffer_of(item_scale, "fd", 1).need(self.matrix.c.n_rows)
        if self.scale is not None and self.scale.type != self.matrix.c.type:
            raise ValueError("item_scale must have the factors' type")

    cdef const int64_t *list(self) noexcept:
        if self.chosen is None:
            return NULL
        return <const int64_t *>self.chosen.view.buf

    cdef int64_t n_list(self) noexcept:
        return 0 if self.chosen is None else self.chosen.size()

    cdef const void *scales(self) noexcept:
        return NULL if self.scale is None else self.scale.view.buf


cdef class TopK:
    """The outputs of a search: k ids and k scores for each query. Also the items that each query must not get."""
    cdef Buffer ids, scores
    cdef Csr skip
    cdef int64_t k

    def __cinit__(self, ids, scores, Csr skip, Matrix queries):
        self.ids = buffer_of(ids, "q", 2, True).need(queries.c.n_rows)
        self.scores = buffer_of(scores, "fd", 2, True).need(queries.c.n_rows)
        self.skip = skip
        self.k = self.ids.size(1)
        if self.scores.size(1) != self.k or self.scores.type != queries.c.type:
            raise ValueError("scores must have the factors' type and the shape of ids")

    cdef const cymbals_csr *skipped(self) noexcept:
        return NULL if self.skip is None else &self.skip.c


def topk(queries, items, item_list, item_scale, skip, ids, scores, workspace, int simd=0):
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Matrix q = Matrix(queries)
    cdef Items searched = Items(items, item_list, item_scale)
    cdef TopK best = TopK(ids, scores, None if skip is None else Csr(skip), q)
    cdef const int64_t *chosen = searched.list()
    cdef int64_t n_chosen = searched.n_list()
    cdef const void *scale = searched.scales()
    cdef const cymbals_csr *skipped = best.skipped()
    cdef int32_t status
    with nogil:
        status = cymbals_topk(w.c, &q.c, &searched.matrix.c, chosen, n_chosen, scale, skipped, best.k,
                              <int64_t *>best.ids.view.buf, best.scores.view.buf)
    w.end(status)


cdef class Index:
    """Items prepared for searches with few queries each; keeps references to the arrays it was made from."""
    cdef cymbals_index *c
    cdef Items items

    def __cinit__(self, items, item_list, item_scale, workspace, int simd=0):
        cdef Workspace w = workspace_for(workspace, simd)
        self.items = Items(items, item_list, item_scale)
        cdef const int64_t *chosen = self.items.list()
        cdef int64_t n_chosen = self.items.n_list()
        cdef const void *scale = self.items.scales()
        cdef int32_t status
        with nogil:
            status = cymbals_index_create(w.c, &self.items.matrix.c, chosen, n_chosen, scale, &self.c)
        w.end(status)

    def __dealloc__(self):
        cymbals_index_destroy(self.c)

    @property
    def nbytes(self):
        """Bytes of memory that the index holds, without the item factors."""
        return cymbals_index_bytes(self.c)

    def topk(self, queries, skip, ids, scores, workspace, int simd=0):
        cdef Workspace w = workspace_for(workspace, simd)
        cdef Matrix q = Matrix(queries)
        cdef TopK best = TopK(ids, scores, None if skip is None else Csr(skip), q)
        cdef const cymbals_csr *skipped = best.skipped()
        cdef int32_t status
        with nogil:
            status = cymbals_index_topk(w.c, self.c, &q.c, skipped, best.k, <int64_t *>best.ids.view.buf,
                                        best.scores.view.buf)
        w.end(status)


def solve_and_rank(Index index, row, objective, fixed, spectrum, vectors, solved, double reg, int solver, int cg_steps,
                   double cg_tolerance, bint exclude, ids, scores, workspace, int simd=0):
    """Solves one row as solve_row does, rotates its factors `solved` (1 x f) by `vectors` if there are any, and finds its
    best items in `index`. With `exclude`, the items of the row are left out. One call, so that Python's lock is released
    only once."""
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Csr r = Csr(row)
    cdef cymbals_objective o = objective_of(objective)
    cdef Matrix y = Matrix(fixed), x = Matrix(solved, True)
    cdef Buffer d = buffer_of(spectrum, "d", 1).need(y.c.n_cols), q
    cdef Options options = Options(reg, solver, cg_steps, cg_tolerance, 1, CYMBALS_COMPACT_NEVER, 1)
    cdef TopK best = TopK(ids, scores, r if exclude else None, x)
    cdef const cymbals_csr *skipped = best.skipped()
    cdef const double *back = NULL
    cdef cymbals_solve_info info
    cdef int32_t status
    info.failed_row = -1
    if r.c.n_rows != 1 or x.c.n_rows != 1 or x.c.n_cols != y.c.n_cols or x.c.type != y.c.type:
        raise ValueError("row must have one row, and solved one row of the factors' width and type")
    if vectors is not None:
        q = buffer_of(vectors, "d", 2).need(x.c.n_cols, x.c.n_cols)
        back = <const double *>q.view.buf
    with nogil:
        status = cymbals_solve_row(w.c, r.indices.size(), r.c.indices, r.c.index_type, r.c.values, r.c.value_type, &o,
                                   &y.c, <const double *>d.view.buf, x.c.data, &options.c, &info)
        if status == CYMBALS_OK and back != NULL:
            status = cymbals_rotate(w.c, &x.c, back)
        if status == CYMBALS_OK:
            status = cymbals_index_topk(w.c, index.c, &x.c, skipped, best.k, <int64_t *>best.ids.view.buf,
                                        best.scores.view.buf)
    w.end(status, info.failed_row)


def rank_metrics(users, items, train, test, k, out, covered, novelty, workspace, int simd=0):
    cdef Workspace w = workspace_for(workspace, simd)
    cdef Matrix u = Matrix(users), m = Matrix(items)
    cdef Csr seen = Csr(train), held_out = Csr(test)
    cdef Buffer ks = buffer_of(k, "q", 1), o = buffer_of(out, "d", 2, True).need(u.c.n_rows)
    cdef Buffer c = buffer_of(covered, "B", 2, True).need(ks.size())
    cdef Buffer of_items
    cdef const double *of_item = NULL
    cdef int32_t status, n_k = <int32_t>min(ks.size(), INT32_MAX)
    if o.size(1) != 2 + 5 * ks.size() or c.size(1) != m.c.n_rows:
        raise ValueError("out must have 2 + 5 len(k) columns, and covered must have a column for each item")
    if novelty is not None:
        of_items = buffer_of(novelty, "d", 1).need(m.c.n_rows)
        of_item = <const double *>of_items.view.buf
    with nogil:
        status = cymbals_rank_metrics(w.c, &u.c, &m.c, &seen.c, &held_out.c, of_item,
                                      <const int64_t *>ks.view.buf, n_k, <double *>o.view.buf, <uint8_t *>c.view.buf)
    w.end(status)


cdef class Bytes:
    """The bytes of an object: they cannot be freed while this object lives."""
    cdef Py_buffer view

    def __cinit__(self, data):
        PyObject_GetBuffer(data, &self.view, PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


def count_lines(data, workspace):
    cdef Workspace w = workspace_for(workspace)
    cdef Bytes text = Bytes(data)
    cdef int64_t n_lines = 0
    cdef int32_t status
    with nogil:
        status = cymbals_parse_numbers(w.c, <const char *>text.view.buf, text.view.len, 1, &n_lines, NULL, NULL, NULL, NULL)
    w.end(status)
    return n_lines


def parse_numbers(data, numbers, workspace, bint names=False):
    """Fills numbers (fields x count_lines); with `names`, its rows are ids and the positions where names begin and end.

    Returns the number of good lines, and for each reason how many lines were rejected and the first of them."""
    cdef Workspace w = workspace_for(workspace)
    cdef Bytes text = Bytes(data)
    cdef Buffer out = buffer_of(numbers, "q", 2, True)
    cdef int64_t n_lines = out.size(1), n_good = 0
    cdef int64_t rejected[CYMBALS_LINE_REASONS]
    cdef int64_t first[CYMBALS_LINE_REASONS]
    cdef int32_t status
    if n_lines == 0:
        return 0, [(0, 0)] * CYMBALS_LINE_REASONS
    if names and out.size() != 3:
        raise ValueError("numbers must have 3 rows for names")
    with nogil:
        if names:
            status = cymbals_parse_names(w.c, <const char *>text.view.buf, text.view.len, &n_lines, <int64_t *>out.view.buf,
                                         &n_good, rejected, first)
        else:
            status = cymbals_parse_numbers(w.c, <const char *>text.view.buf, text.view.len, <int32_t>out.size(), &n_lines,
                                           <int64_t *>out.view.buf, &n_good, rejected, first)
    w.end(status)
    return n_good, [(rejected[i], first[i]) for i in range(CYMBALS_LINE_REASONS)]


def number_ids(ids, int64_t lowest, table, workspace):
    """Fills table (int32): table[id - lowest] is the id's position among the distinct ids. Returns their number."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer i = buffer_of(ids, "q", 1), t = buffer_of(table, "i", 1, True)
    cdef int64_t n_distinct = 0
    cdef int32_t status
    with nogil:
        status = cymbals_number_ids(w.c, i.size(), <const int64_t *>i.view.buf, lowest, t.size(), <int32_t *>t.view.buf,
                                    &n_distinct)
    w.end(status)
    return n_distinct


def look_up_ids(ids, int64_t lowest, table, places, workspace):
    """Fills places (int32, one for each id) from a table that number_ids filled."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer i = buffer_of(ids, "q", 1), t = buffer_of(table, "i", 1), p = buffer_of(places, "i", 1, True).need(i.size())
    cdef int32_t status
    with nogil:
        status = cymbals_look_up_ids(w.c, i.size(), <const int64_t *>i.view.buf, lowest, t.size(),
                                     <const int32_t *>t.view.buf, <int32_t *>p.view.buf)
    w.end(status)


def renumber(codes, table, places, used, workspace):
    """Fills places (int32) with table[codes], or with codes if table is None. Sets used (uint8) to 1 for each code that
    occurs, else to 0."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer c = buffer_of(codes, "iq", 1), t
    cdef Buffer p = buffer_of(places, "i", 1, True).need(c.size()), u = buffer_of(used, "B", 1, True)
    cdef const int32_t *numbers = NULL
    cdef int32_t status
    if table is not None:
        t = buffer_of(table, "i", 1).need(u.size())
        numbers = <const int32_t *>t.view.buf
    with nogil:
        status = cymbals_renumber(w.c, c.size(), c.view.buf, c.type, u.size(), numbers, <int32_t *>p.view.buf,
                                  <uint8_t *>u.view.buf)
    w.end(status)


def count_ids(ids, int64_t lowest, counts, codes, workspace):
    """Fills codes (int32) with ids - lowest, and adds the number of each code to counts (int64)."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer i = buffer_of(ids, "q", 1), n = buffer_of(counts, "q", 1, True)
    cdef Buffer c = buffer_of(codes, "i", 1, True).need(i.size())
    cdef int32_t status
    with nogil:
        status = cymbals_count_ids(w.c, i.size(), <const int64_t *>i.view.buf, lowest, n.size(), <int64_t *>n.view.buf,
                                   <int32_t *>c.view.buf)
    w.end(status)


def code_ids(ids, slots, known, counts, int64_t n_known, codes, workspace):
    """Fills codes (int32) with the positions of ids in `known`. Returns how many are known now, and how many got codes."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer i = buffer_of(ids, "q", 1), s = buffer_of(slots, "q", 2, True), k = buffer_of(known, "q", 1, True)
    cdef Buffer n = buffer_of(counts, "q", 1, True).need(k.size()), c = buffer_of(codes, "i", 1, True).need(i.size())
    cdef int64_t n_done = 0
    cdef int32_t status
    s.need(s.size(), 2)
    with nogil:
        status = cymbals_code_ids(w.c, i.size(), <const int64_t *>i.view.buf, s.size(), <int64_t *>s.view.buf, k.size(),
                                  <int64_t *>k.view.buf, <int64_t *>n.view.buf, &n_known, <int32_t *>c.view.buf, &n_done)
    w.end(status)
    return n_known, n_done


def code_texts(offsets, text, slots, known_offsets, known, counts, int64_t n_known, codes, workspace):
    """Like code_ids, for texts: element i is text[offsets[i]:offsets[i + 1]]; known_offsets and known hold the known ones."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer c = buffer_of(codes, "i", 1, True), o = buffer_of(offsets, "q", 1).need(c.size() + 1)
    cdef Buffer t = buffer_of(text, "B", 1), s = buffer_of(slots, "q", 2, True), n = buffer_of(counts, "q", 1, True)
    cdef Buffer k = buffer_of(known_offsets, "q", 1, True).need(n.size() + 1), b = buffer_of(known, "B", 1, True)
    cdef int64_t n_done = 0
    cdef int32_t status
    s.need(s.size(), 2)
    if (<const int64_t *>o.view.buf)[c.size()] > t.size():
        raise ValueError("offsets reach beyond the text")
    with nogil:
        status = cymbals_code_texts(w.c, c.size(), <const int64_t *>o.view.buf, <const char *>t.view.buf, s.size(),
                                    <int64_t *>s.view.buf, n.size(), b.size(), <int64_t *>k.view.buf, <char *>b.view.buf,
                                    <int64_t *>n.view.buf, &n_known, <int32_t *>c.view.buf, &n_done)
    w.end(status)
    return n_known, n_done


def group(rows, int32_t shift, int64_t first, table, begins, fields, grouped, workspace):
    """Copies fields (arrays with an element for each row) to `grouped`, in groups of rows. Fills begins."""
    cdef Workspace w = workspace_for(workspace)
    cdef Buffer r = buffer_of(rows, "i", 1), b = buffer_of(begins, "q", 1, True), t
    cdef const int32_t *groups = NULL
    cdef int64_t n_rows = 0
    cdef const void *inputs[4]
    cdef void *outputs[4]
    cdef int32_t bytes[4]
    cdef int32_t n = len(fields), status
    if n > 4 or n != len(grouped) or b.size() < 1:
        raise ValueError("expected at most 4 fields, as many arrays for the result, and begins of at least one element")
    if table is not None:
        t = buffer_of(table, "i", 1)
        groups, n_rows = <const int32_t *>t.view.buf, t.size()
    kept = [buffer_of(field, "iqfd", 1).need(r.size()) for field in fields]
    results = [buffer_of(field, "iqfd", 1, True).need(r.size()) for field in grouped]
    for f in range(n):
        inputs[f], outputs[f] = (<Buffer>kept[f]).view.buf, (<Buffer>results[f]).view.buf
        bytes[f] = <int32_t>(<Buffer>kept[f]).view.itemsize
        if (<Buffer>results[f]).view.itemsize != bytes[f]:
            raise ValueError("fields and grouped must have the same types")
    with nogil:
        status = cymbals_group(w.c, r.size(), <const int32_t *>r.view.buf, shift, first, n_rows, groups, b.size() - 1,
                               <int64_t *>b.view.buf, n, inputs, outputs, bytes)
    w.end(status)
