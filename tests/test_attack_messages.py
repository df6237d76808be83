"""Messages that name the argument and the value, and counts that are refused before anything is read or allocated."""

import time

import numpy as np
import pytest
from conftest import random_matrix, run_python

import cymbals
from cymbals import ALS, evaluate

M = random_matrix((20, 12), 0.3)


@pytest.mark.parametrize("how", [{}, {"objective": "ials"}, {"objective": "explicit", "regularization": 1e30}])
def test_a_regularization_that_overflows_names_nu(how):
    with pytest.raises(ValueError, match=r"nu=300 is too large: the regularization of a row of \d+ entries"):
        ALS(factors=2, nu=300, **how).fit(M)


def test_nu_is_refused_before_the_first_half_step(monkeypatch):
    monkeypatch.setattr("cymbals.solve.loop.half_step", lambda *args: pytest.fail("a half-step ran"))
    with pytest.raises(ValueError, match="nu"):
        ALS(factors=2, nu=300).fit(M)


@pytest.mark.parametrize("k", [range(1, 2**29), range(1, 2**33)])
def test_too_many_cutoffs_are_refused_at_once(k):
    """Two and four figures for each of 2^29 cut-offs are more than 31 bits count."""
    model = ALS(factors=2, random_state=0, iterations=1).fit(M)
    started = time.process_time()
    with pytest.raises(ValueError, match="k must name at most 100,000 cut-offs"):
        evaluate(model, M, M, k=k)
    assert time.process_time() - started < 5  # to list them takes minutes and 8 GB
    assert "ndcg@199" in evaluate(model, M, M, k=range(1, 200))


def test_the_library_refuses_too_many_cutoffs_before_it_reads_them():
    code = """
import ctypes, numpy as np, cymbals
from pathlib import Path
library = ctypes.CDLL(str(Path(cymbals.get_library_dir()) / "libcymbals.so"))
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
    status = library.cymbals_rank_metrics(workspace, *refs, ctypes.c_void_p(one.ctypes.data), ctypes.c_int32(n),
                                          ctypes.c_void_p(numbers.ctypes.data), ctypes.c_void_p(numbers.ctypes.data))
    library.cymbals_workspace_message.restype = ctypes.c_char_p
    print(status, library.cymbals_workspace_message(workspace).decode())
"""
    lines = run_python(code).splitlines()
    assert lines == [f"1 n_k is {n}: it must lie between 1 and 100000" for n in (2**29, 2**31 - 1)]


def test_one_id_where_one_is_meant():
    model = ALS(factors=2, iterations=1, random_state=0).fit(random_matrix((9, 8), 0.4))
    for call in (lambda: model.explain([0], 0), lambda: model.name_of([0]), lambda: model.rank_items([0], [1])):
        with pytest.raises(TypeError, match=r"must be one id, got \[0\]"):
            call()


def test_updates_name_the_id_that_will_not_do():
    matrix = random_matrix((9, 8), 0.4)
    model = ALS(factors=2, iterations=1, random_state=0).fit(matrix)
    with pytest.raises(ValueError, match="distinct; 1 stands more than once"):
        model.update_users([1, 1], matrix[:2])
    with pytest.raises(KeyError, match="must be the next row numbers, 9; got 12"):
        model.update_users([12], matrix[:1])


def test_a_cut_off_beyond_all_bounds_is_refused_before_any_fit(monkeypatch):
    monkeypatch.setattr(ALS, "fit", lambda *args, **how: pytest.fail("a model was fitted"))
    with pytest.raises(ValueError, match=r"metric 'ndcg@99999999999': k must be from 1"):
        cymbals.search(random_matrix((9, 8), 0.4), n=2, metric="ndcg@99999999999")


def test_iterations_take_no_memory():
    model = ALS(factors=2, iterations=2**31 - 1, tol=1e-3, random_state=0).fit(random_matrix((30, 20), 0.3))
    assert model.n_iter_ < 100


def test_a_half_life_in_years_is_refused():
    data = cymbals.Interactions.from_arrays([1, 1], [5, 6], times=np.array(["2003-01-01", "2005-01-01"], "datetime64[D]"))
    with pytest.raises(ValueError, match="half_life must not be in months or years"):
        cymbals.weighting.time_decay(data, half_life=np.timedelta64(1, "Y"))


@pytest.mark.parametrize("shape", [(2**62, 5), (5, 2**63 - 1)])
def test_shapes_beyond_any_memory_are_refused_by_name(shape):
    with pytest.raises(ValueError, match="shape must be from 0 to"):
        cymbals.Interactions.from_arrays([0], [0], shape=shape)
