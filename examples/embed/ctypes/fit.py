"""Alternating least squares through cymbals.h, by ctypes: python fit.py PROBLEM FACTORS (../README.md describes both).

NumPy arrays are the buffers, and numpy.linalg.eigh decomposes the Gramian. Nothing is compiled.
"""

import sys
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p, sizeof

import numpy as np

import cymbals

FLOAT32, INT32, HU, LINEAR, CG, COMPACT_LARGE = 0, 2, 0, 0, 1, 1  # the values in cymbals.h


class Sized(Structure):
    """Base class of those structs of cymbals.h that begin with their size."""

    _fields_ = [("struct_size", c_size_t)]

    def __init__(self, *values):
        super().__init__(sizeof(self), *values)


def struct(base=Sized, **fields):
    return type("Struct", (base,), {"_fields_": list(fields.items())})


Workspace = struct(n_threads=c_int32, simd=c_int32, progress=c_void_p, context=c_void_p, record=c_int32)
Csr = struct(
    n_rows=c_int64, n_cols=c_int64, indptr=c_void_p, indices=c_void_p, index_type=c_int32, values=c_void_p, type=c_int32
)
Matrix = struct(data=c_void_p, n_rows=c_int64, n_cols=c_int64, stride=c_int64, type=c_int32)
Objective = struct(kind=c_int32, confidence=c_int32, alpha=c_double, epsilon=c_double, alpha0=c_double)
Options = struct(
    solver=c_int32,
    cg_steps=c_int32,
    cg_tolerance=c_double,
    relaxation=c_double,
    compact=c_int32,
    reg=c_double,
    row_reg=c_void_p,
)
Info = struct(Structure, **dict.fromkeys("empty cg dual primal cg_steps retried failed_row".split(), c_int64))

library = CDLL(cymbals.get_library())
library.cymbals_workspace_create.argtypes = POINTER(Workspace), POINTER(c_void_p)
library.cymbals_workspace_message.argtypes = library.cymbals_workspace_destroy.argtypes = (c_void_p,)
library.cymbals_workspace_message.restype = library.cymbals_status_message.restype = c_char_p
doubles, csr, matrix = np.ctypeslib.ndpointer(np.float64, flags="C"), POINTER(Csr), POINTER(Matrix)
calls = {  # name of a function: types of its arguments after the workspace
    "transpose": (csr, c_void_p, c_void_p, c_int32, c_void_p),
    "gram": (matrix, doubles),
    "basis": (c_int64, doubles, doubles, c_double, doubles, doubles),
    "rotate": (matrix, doubles),
    "half_step": (csr, POINTER(Objective), matrix, doubles, matrix, POINTER(Options), POINTER(Info)),
}


def call(workspace, name, *arguments):
    function = getattr(library, f"cymbals_{name}")
    function.argtypes = (c_void_p, *calls[name])
    if function(workspace, *arguments) != 0:
        raise RuntimeError(library.cymbals_workspace_message(workspace).decode())


def csr_of(indptr, indices, values, n_cols):
    return Csr(indptr.size - 1, n_cols, indptr.ctypes.data, indices.ctypes.data, INT32, values.ctypes.data, FLOAT32)


def half_step(workspace, rows, fixed, solved, objective, options):
    """Solve every row of `solved` for the entries in `rows`, while `fixed`, the other side, stays fixed.

    Rotates both sides into the eigenbasis of the fixed side's Gramian.
    """
    f = fixed.n_cols
    gram, basis, spectrum, info = np.empty((f, f)), np.empty((f, f)), np.empty(f), Info()
    call(workspace, "gram", fixed, gram)
    values, vectors = np.linalg.eigh(gram)
    call(workspace, "basis", f, values, np.ascontiguousarray(vectors.T), objective.alpha0, spectrum, basis)
    call(workspace, "rotate", fixed, basis)
    call(workspace, "rotate", solved, basis)
    call(workspace, "half_step", rows, objective, fixed, spectrum, solved, options, info)
    return info


def fit(indptr, indices, values, x, y, iterations, n_threads):
    """Fit in place: x and y are the starting factors, and are replaced by the fitted ones."""
    objective = Objective(HU, LINEAR, 1, 1, 1)
    options = Options(CG, 3, 0, 1, COMPACT_LARGE, 0.05, None)
    transposed = np.empty(y.shape[0] + 1, np.int64), np.empty_like(indices), np.empty_like(values)
    rows, columns = csr_of(indptr, indices, values, y.shape[0]), csr_of(*transposed, x.shape[0])
    users, items = (Matrix(side.ctypes.data, *side.shape, side.shape[1], FLOAT32) for side in (x, y))
    workspace = c_void_p()
    status = library.cymbals_workspace_create(Workspace(n_threads, 0, None, None, 0), byref(workspace))
    if status != 0:
        raise RuntimeError(library.cymbals_status_message(status).decode())
    try:
        call(workspace, "transpose", rows, columns.indptr, columns.indices, INT32, columns.values)
        for iteration in range(1, iterations + 1):
            for part, fixed, solved in (rows, items, users), (columns, users, items):
                info = half_step(workspace, part, fixed, solved, objective, options)
            print(f"iteration {iteration}: {info.cg_steps} steps for {info.cg} items")
    finally:
        library.cymbals_workspace_destroy(workspace)


with open(sys.argv[1], "rb") as file:
    n_rows, n_cols, nnz, f, iterations, n_threads = np.fromfile(file, np.int64, 6).tolist()
    indptr, indices = np.fromfile(file, np.int64, n_rows + 1), np.fromfile(file, np.int32, nnz)
    values = np.fromfile(file, np.float32, nnz)
    x, y = (np.fromfile(file, np.float32, n * f).reshape(n, f) for n in (n_rows, n_cols))
fit(indptr, indices, values, x, y, iterations, n_threads)
with open(sys.argv[2], "wb") as file:
    x.tofile(file)
    y.tofile(file)
