# cython: freethreading_compatible=True
"""libcymbals for Python: buffers to pointers, GIL off, status to exception. No arithmetic, no checks of
meaning: those stand at the Python door. CSR matrices are anything with shape, indptr (int64), indices and data."""

from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous,
                             PyBuffer_Release, PyObject_GetBuffer)


class SolveError(ArithmeticError):
    """A row of a half-step could not be solved; ``row`` is the lowest such row."""

    def __init__(self, message, row):
        super().__init__(message)
        self.row = row


cdef class Buffer:
    """A C-contiguous array, held for the time of a call."""
    cdef Py_buffer view
    cdef int32_t type

    def __cinit__(self, array, str kinds, int ndim, bint writable=False):
        PyObject_GetBuffer(array, &self.view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
        kind = (<bytes>self.view.format).decode() if self.view.format != NULL else "B"
        if kind == "?":
            kind = "B"
        if kind == "l" or kind == "q":
            kind = "q" if self.view.itemsize == 8 else "i"
        if kind not in kinds or self.view.ndim != ndim or not PyBuffer_IsContiguous(&self.view, b"C"):
            raise ValueError(f"expected a C-contiguous array of {ndim} dimensions and type in {kinds!r}, "
                             f"got {self.view.ndim} dimensions of {kind!r}")
        self.type = {"f": CYMBALS_FLOAT32, "d": CYMBALS_FLOAT64, "i": CYMBALS_INT32, "q": CYMBALS_INT64, "B": -1}[kind]

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef int64_t size(self, int axis=0) noexcept nogil:
        return self.view.shape[axis]

    cdef need(self, int64_t size):
        if self.view.shape[0] != size:
            raise ValueError(f"expected {size} elements, got {self.view.shape[0]}")
        return self


cdef class Matrix:
    """A dense matrix and the buffer it borrows."""
    cdef Buffer buffer
    cdef cymbals_matrix c

    def __cinit__(self, array, bint writable=False):
        self.buffer = Buffer(array, "fd", 2, writable)
        self.c.struct_size = sizeof(cymbals_matrix)
        self.c.data = self.buffer.view.buf
        self.c.n_rows = self.buffer.size(0)
        self.c.n_cols = self.c.stride = self.buffer.size(1)
        self.c.type = self.buffer.type


cdef class Csr:
    """A sparse matrix and the buffers it borrows."""
    cdef Buffer indptr, indices, values
    cdef cymbals_csr c

    def __cinit__(self, matrix):
        self.indptr = Buffer(matrix.indptr, "q", 1).need(matrix.shape[0] + 1)
        self.indices = Buffer(matrix.indices, "iq", 1)
        self.values = Buffer(matrix.data, "fd", 1).need(self.indices.size())
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


cdef raise_for(int32_t status, int64_t row=-1):
    if status == CYMBALS_OK:
        return
    message = cymbals_status_message(status).decode()
    if status == CYMBALS_NO_MEMORY:
        raise MemoryError(message)
    if status == CYMBALS_NO_SIMD:
        raise RuntimeError(message)
    if status == CYMBALS_INDEFINITE or status == CYMBALS_BAD_VALUE:
        raise SolveError(message, row)
    raise ValueError(message)


def version():
    return cymbals_version().decode()


def compiler():
    return cymbals_compiler().decode()


def abi_version():
    return cymbals_abi_version()


def simd_name(int simd=0):
    """Name of the instruction set that a number stands for on this machine; 0 is the automatic choice."""
    cdef int32_t resolved = 0
    raise_for(cymbals_simd_resolve(simd, &resolved))
    return cymbals_simd_name(resolved).decode()


def measure_peaks(int n_threads, int simd=0):
    """Multiply-adds, bytes from the second-level cache, from memory and rows of 256 bytes gathered, all a second."""
    cdef cymbals_peaks peaks
    cdef int32_t status
    peaks.struct_size = sizeof(peaks)
    with nogil:
        status = cymbals_measure_peaks(&peaks, n_threads, simd)
    raise_for(status)
    return peaks.multiply_adds, peaks.near_bytes, peaks.stream_bytes, peaks.gather_rows


def gramian(y, gram, int n_threads, int simd=0):
    cdef Matrix m = Matrix(y)
    cdef Buffer g = Buffer(gram, "d", 2, True).need(m.c.n_cols)
    cdef int32_t status
    with nogil:
        status = cymbals_gramian(&m.c, <double *>g.view.buf, n_threads, simd)
    raise_for(status)


def rotate(x, basis, int n_threads, int simd=0):
    cdef Matrix m = Matrix(x, True)
    cdef Buffer q = Buffer(basis, "d", 2).need(m.c.n_cols)
    cdef int32_t status
    with nogil:
        status = cymbals_rotate(&m.c, <const double *>q.view.buf, n_threads, simd)
    raise_for(status)


def half_step(rows, objective, fixed, spectrum, solved, reg, int solver, int cg_steps, double cg_tolerance,
              double relaxation, bint compact, int n_threads, int simd=0, memory=None):
    """reg is a number, or an array of one a row; memory: bytes for the 16-bit copy. Returns the solve info as a dict."""
    cdef Csr r = Csr(rows)
    cdef cymbals_objective o = objective_of(objective)
    cdef Matrix y = Matrix(fixed), x = Matrix(solved, True)
    cdef Buffer d = Buffer(spectrum, "d", 1).need(y.c.n_cols), row_reg = None
    cdef cymbals_solve_options options
    cdef cymbals_solve_info info
    cdef int32_t status
    options.struct_size = sizeof(options)
    options.solver = solver
    options.cg_steps = cg_steps
    options.cg_tolerance = cg_tolerance
    options.relaxation = relaxation
    options.compact = compact
    options.reg = 0
    options.row_reg = NULL
    cdef Buffer room = None if memory is None else Buffer(memory, "B", 1, True)
    options.memory = NULL if room is None else room.view.buf
    options.memory_bytes = 0 if room is None else room.size()
    if isinstance(reg, float):
        options.reg = reg
    else:
        row_reg = Buffer(reg, "d", 1).need(r.c.n_rows)
        options.row_reg = <const double *>row_reg.view.buf
    with nogil:
        status = cymbals_half_step(&r.c, &o, &y.c, <const double *>d.view.buf, &x.c, &options, &info, n_threads, simd)
    raise_for(status, info.failed_row if status > CYMBALS_NO_SIMD else -1)
    result = dict(info)
    del result["failed_row"]
    return result


def loss(rows, objective, x, y, int n_threads, int simd=0):
    cdef Csr r = Csr(rows)
    cdef cymbals_objective o = objective_of(objective)
    cdef Matrix left = Matrix(x), right = Matrix(y)
    cdef double result = 0
    cdef int32_t status
    with nogil:
        status = cymbals_loss(&r.c, &o, &left.c, &right.c, &result, n_threads, simd)
    raise_for(status)
    return result


def transpose(matrix, t_indptr, t_indices, t_values, int n_threads):
    cdef Csr m = Csr(matrix)
    cdef Buffer indptr = Buffer(t_indptr, "q", 1, True).need(m.c.n_cols + 1)
    cdef Buffer indices = Buffer(t_indices, "iq", 1, True).need(m.indices.size())
    cdef Buffer values = Buffer(t_values, "fd", 1, True).need(m.indices.size())
    cdef int32_t status
    if values.type != m.values.type:
        raise ValueError("the transpose's values must have the matrix's type")
    with nogil:
        status = cymbals_transpose(&m.c, <int64_t *>indptr.view.buf, indices.view.buf, indices.type, values.view.buf,
                                   n_threads)
    raise_for(status)


def from_triplets(rows, cols, values, shape, indptr, indices, out, int n_threads):
    cdef Buffer r = Buffer(rows, "iq", 1), c = Buffer(cols, "iq", 1).need(r.size())
    cdef Buffer v = Buffer(values, "fd", 1).need(r.size())
    cdef int64_t n_rows = shape[0], n_cols = shape[1]
    cdef Buffer p = Buffer(indptr, "q", 1, True).need(n_rows + 1)
    cdef Buffer i = Buffer(indices, "iq", 1, True).need(r.size())
    cdef Buffer o = Buffer(out, "fd", 1, True).need(r.size())
    cdef int32_t status
    if c.type != r.type or i.type != r.type or o.type != v.type:
        raise ValueError("rows, cols and indices must share a type, and so must values and out")
    with nogil:
        status = cymbals_from_triplets(r.size(), r.view.buf, c.view.buf, r.type, v.view.buf, v.type, n_rows, n_cols,
                                       <int64_t *>p.view.buf, i.view.buf, o.view.buf, n_threads)
    raise_for(status)


def check_csr(matrix, int n_threads):
    """(problem, row, position): the first thing wrong with a CSR matrix, (0, -1, -1) for nothing."""
    cdef Csr m = Csr(matrix)
    cdef cymbals_csr_report report
    cdef int32_t status
    with nogil:
        status = cymbals_check_csr(&m.c, m.indices.size(), &report, n_threads)
    raise_for(status)
    return report.problem, report.row, report.position


def topk(queries, items, item_list, item_scale, skip, ids, scores, int n_threads, int simd=0):
    cdef Matrix q = Matrix(queries), m = Matrix(items)
    cdef Buffer chosen = None if item_list is None else Buffer(item_list, "q", 1)
    cdef Buffer scale = None if item_scale is None else Buffer(item_scale, "fd", 1).need(m.c.n_rows)
    cdef Csr left_out = None if skip is None else Csr(skip)
    cdef Buffer out_ids = Buffer(ids, "q", 2, True).need(q.c.n_rows)
    cdef Buffer out_scores = Buffer(scores, "fd", 2, True).need(q.c.n_rows)
    cdef int64_t k = out_ids.size(1)
    cdef int32_t status
    if out_scores.size(1) != k or out_scores.type != m.c.type or (scale is not None and scale.type != m.c.type):
        raise ValueError("scores and item_scale must have the factors' type, and scores the shape of ids")
    with nogil:
        status = cymbals_topk(&q.c, &m.c, NULL if chosen is None else <const int64_t *>chosen.view.buf,
                              0 if chosen is None else chosen.size(), NULL if scale is None else scale.view.buf,
                              NULL if left_out is None else &left_out.c, k, <int64_t *>out_ids.view.buf,
                              out_scores.view.buf, n_threads, simd)
    raise_for(status)


def rank_metrics(users, items, train, test, k, out, covered, int n_threads, int simd=0):
    cdef Matrix u = Matrix(users), m = Matrix(items)
    cdef Csr seen = Csr(train), held_out = Csr(test)
    cdef Buffer ks = Buffer(k, "q", 1), o = Buffer(out, "d", 2, True).need(u.c.n_rows)
    cdef Buffer c = Buffer(covered, "B", 2, True).need(ks.size())
    cdef int32_t status
    if o.size(1) != 2 + 4 * ks.size() or c.size(1) != m.c.n_rows:
        raise ValueError("out must have 2 + 4 len(k) columns, covered a column an item")
    with nogil:
        status = cymbals_rank_metrics(&u.c, &m.c, &seen.c, &held_out.c, <const int64_t *>ks.view.buf, <int32_t>ks.size(),
                                      <double *>o.view.buf, <uint8_t *>c.view.buf, n_threads, simd)
    raise_for(status)


cdef class Text:
    """Bytes, held for the time of a call."""
    cdef Py_buffer view

    def __cinit__(self, data):
        PyObject_GetBuffer(data, &self.view, PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


def count_lines(data, int n_threads):
    cdef Text text = Text(data)
    cdef int64_t n_lines = 0
    cdef int32_t status
    with nogil:
        status = cymbals_parse_numbers(<const char *>text.view.buf, text.view.len, 1, &n_lines, NULL, NULL, NULL, NULL,
                                       n_threads)
    raise_for(status)
    return n_lines


def parse_numbers(data, numbers, int n_threads, bint names=False):
    """Fills numbers (fields x count_lines), with `names` ids and where names begin and end; returns
    (lines taken, [(rejected, first line)] by reason)."""
    cdef Text text = Text(data)
    cdef Buffer out = Buffer(numbers, "q", 2, True)
    cdef int64_t n_lines = out.size(1), n_good = 0
    cdef int64_t rejected[CYMBALS_LINE_REASONS]
    cdef int64_t first[CYMBALS_LINE_REASONS]
    cdef int32_t status
    if n_lines == 0:
        return 0, [(0, 0)] * CYMBALS_LINE_REASONS
    if names and out.size() != 3:
        raise ValueError("names take three columns")
    with nogil:
        if names:
            status = cymbals_parse_names(<const char *>text.view.buf, text.view.len, &n_lines, <int64_t *>out.view.buf,
                                         &n_good, rejected, first, n_threads)
        else:
            status = cymbals_parse_numbers(<const char *>text.view.buf, text.view.len, <int32_t>out.size(), &n_lines,
                                           <int64_t *>out.view.buf, &n_good, rejected, first, n_threads)
    raise_for(status)
    return n_good, [(rejected[i], first[i]) for i in range(CYMBALS_LINE_REASONS)]


def number_ids(ids, int64_t lowest, table, int n_threads):
    """Fills table (int32, one for each number from `lowest` on); returns how many distinct ids there are."""
    cdef Buffer i = Buffer(ids, "q", 1), t = Buffer(table, "i", 1, True)
    cdef int64_t n_distinct = 0
    cdef int32_t status
    with nogil:
        status = cymbals_number_ids(i.size(), <const int64_t *>i.view.buf, lowest, t.size(), <int32_t *>t.view.buf,
                                    &n_distinct, n_threads)
    raise_for(status)
    return n_distinct


def look_up_ids(ids, int64_t lowest, table, places, int n_threads):
    """Fills places (int32, one an id) from such a table."""
    cdef Buffer i = Buffer(ids, "q", 1), t = Buffer(table, "i", 1), p = Buffer(places, "i", 1, True).need(i.size())
    cdef int32_t status
    with nogil:
        status = cymbals_look_up_ids(i.size(), <const int64_t *>i.view.buf, lowest, t.size(),
                                     <const int32_t *>t.view.buf, <int32_t *>p.view.buf, n_threads)
    raise_for(status)
