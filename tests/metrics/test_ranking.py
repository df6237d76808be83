"""Ranking metrics: how many cut-offs there may be."""

import time

import pytest
from conftest import SMALL, run_python

from cymbals import ALS, evaluate


@pytest.mark.parametrize("k", [range(1, 2**29), range(1, 2**33)])
def test_too_many_cutoffs_are_refused_at_once(k):
    """With several values for each cut-off, 2^29 cut-offs overflow a 32-bit count."""
    model = ALS(factors=2, random_state=0, iterations=1).fit(SMALL)
    started = time.process_time()
    with pytest.raises(ValueError, match="k must name at most 100,000 cut-offs"):
        evaluate(model, SMALL, SMALL, k=k)
    assert time.process_time() - started < 5  # listing them would take minutes and 8 GB
    assert "ndcg@199" in evaluate(model, SMALL, SMALL, k=range(1, 200))


def test_the_library_refuses_too_many_cutoffs_before_it_reads_them():
    code = """
import ctypes, numpy as np, cymbals
library = ctypes.CDLL(cymbals.get_library())
class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("n", ctypes.c_int32), ("simd", ctypes.c_int32), ("progress", ctypes.c_void_p),
                ("context", ctypes.c_void_p), ("record", ctypes.c_int32)]
class Matrix(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p), ("rows", ctypes.c_int64), ("cols", ctypes.c_int64),
                ("stride", ctypes.c_int64), ("type", ctypes.c_int32)]
class Csr(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("rows", ctypes.c_int64), ("cols", ctypes.c_int64), ("indptr", ctypes.c_void_p),
                ("indices", ctypes.c_void_p), ("index_type", ctypes.c_int32), ("values", ctypes.c_void_p),
                ("value_type", ctypes.c_int32)]
workspace = ctypes.c_void_p()
options = Options(ctypes.sizeof(Options), 1, 0, None, None, 0)
assert library.cymbals_workspace_create(ctypes.byref(options), ctypes.byref(workspace)) == 0
numbers, one, indptr = np.ones(1, np.float32), np.ones(1, np.int64), np.zeros(2, np.int64)
matrix = Matrix(ctypes.sizeof(Matrix), numbers.ctypes.data, 1, 1, 1, 0)
csr = Csr(ctypes.sizeof(Csr), 1, 1, indptr.ctypes.data, indptr.ctypes.data, 3, numbers.ctypes.data, 0)
for n in (2**29, 2**31 - 1):  # k, out and covered have room for one
    refs = [ctypes.byref(x) for x in (matrix, matrix, csr, csr)]
    status = library.cymbals_rank_metrics(workspace, *refs, None, ctypes.c_void_p(one.ctypes.data), ctypes.c_int32(n),
                                          ctypes.c_void_p(numbers.ctypes.data), ctypes.c_void_p(numbers.ctypes.data))
    library.cymbals_workspace_message.restype = ctypes.c_char_p
    print(status, library.cymbals_workspace_message(workspace).decode())
"""
    lines = run_python(code).splitlines()
    assert lines == [f"1 n_k is {n}: it must lie between 1 and 100000" for n in (2**29, 2**31 - 1)]
