"""What cymbals has checked, nobody else can change: arrays are copied before they are checked, and mapped interactions
again before a kernel gathers by them."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import random_matrix, run_python

import cymbals
from cymbals import ALS, Interactions
from cymbals.data import csr, interactions

M = random_matrix((30, 20), 0.3)
OUTSIDE = 2**31 - 1
PARTS = ("data", "indices", "indptr")


def of_parts(parts):
    """A CSR array of just these arrays: its constructor would copy some of them."""
    out = M.copy()
    for name, array in parts.items():
        setattr(out, name, array)
    return out


def test_a_read_only_view_of_a_bytearray_is_copied():
    owners = {name: bytearray(getattr(M, name).tobytes()) for name in PARTS}
    views = {name: np.frombuffer(memoryview(o).toreadonly(), getattr(M, name).dtype) for name, o in owners.items()}
    data = Interactions.from_csr(of_parts(views))
    for owner in owners.values():
        owner[:] = b"\xff\xff\xff\x7f" * (len(owner) // 4)
    assert (data.user_items != M).nnz == 0


def test_a_file_mapped_for_reading_is_copied(tmp_path):
    for name in PARTS:
        np.save(tmp_path / f"{name}.npy", getattr(M, name))
    data = Interactions.from_csr(of_parts({name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in PARTS}))
    for name in PARTS:
        np.load(tmp_path / f"{name}.npy", mmap_mode="r+")[:] = OUTSIDE
    assert (data.user_items != M).nnz == 0


@pytest.mark.parametrize("make", [sp.csr_array, sp.csc_array, sp.csr_matrix])
def test_a_write_right_after_the_check_changes_nothing(make, monkeypatch):
    """A thread that writes all the time hits this moment now and then; here it is hit each time."""
    matrix = make(M, copy=True)
    check = csr.check_csr

    def check_and_write(*args):
        found = check(*args)
        for name in PARTS:
            getattr(matrix, name)[:] = OUTSIDE
        return found

    monkeypatch.setattr(csr, "check_csr", check_and_write)
    data = Interactions.from_csr(matrix)
    assert (data.user_items != M).nnz == 0


def test_a_write_right_after_the_check_of_triplets_changes_nothing(monkeypatch):
    matrix = sp.coo_array(M, copy=True)
    check = csr._check_triplets

    def check_and_write(*args):
        check(*args)
        matrix.coords[0][:], matrix.coords[1][:], matrix.data[:] = OUTSIDE, OUTSIDE, np.nan

    monkeypatch.setattr(csr, "_check_triplets", check_and_write)
    assert (Interactions.from_csr(matrix).user_items != M).nnz == 0


def test_a_write_right_after_the_check_of_events_changes_nothing(monkeypatch):
    coo = sp.coo_array(M)
    rows, cols, values = coo.coords[0].astype(np.int64), coo.coords[1].astype(np.int64), coo.data.astype(np.float32)
    make = interactions.summed

    def write_and_make(*args):
        rows[:], cols[:], values[:] = OUTSIDE, OUTSIDE, np.nan
        return make(*args)

    monkeypatch.setattr(interactions, "summed", write_and_make)
    assert (Interactions.from_arrays(rows, cols, values, shape=M.shape).user_items != M).nnz == 0


def test_a_thread_that_writes_all_the_time_crashes_nothing():
    code = """
import threading, time
import numpy as np, scipy.sparse as sp, cymbals
matrix = sp.random_array((3000, 2000), density=0.02, format="csr", rng=0)
good, stop = matrix.indices.copy(), threading.Event()
def write():
    while not stop.is_set():
        matrix.indices[:] = 2**31 - 1
        matrix.indices[:] = good
threading.Thread(target=write, daemon=True).start()
outcomes, end = set(), time.monotonic() + 3
while time.monotonic() < end:
    try:
        cymbals.ALS(factors=4, iterations=1).fit(matrix)
        outcomes.add("fitted")
    except ValueError as error:
        assert "index outside" in str(error), error
        outcomes.add("refused")
stop.set()
print(*sorted(outcomes))
"""
    assert run_python(code).split()


def test_interactions_of_a_mapped_model_are_bounded(tmp_path):
    """Whoever writes to the file breaks the rule of `mmap=True`; a kernel must still not gather outside its arrays."""
    code = f"""
import numpy as np, cymbals
from cymbals.model import container
path = {str(tmp_path / "m")!r}
matrix = __import__("scipy.sparse").sparse.random_array((900, 800), density=0.05, format="csr", rng=0)
cymbals.ALS(factors=4, iterations=1, random_state=0).fit(matrix).save(path)
model = cymbals.load(path, mmap=True)
seen = model.state_.seen.indices
text = open(path, "rb").read()
at = text.index(seen.tobytes())
with open(path, "r+b") as file:
    file.seek(at)
    file.write(np.full(seen.size, 2**31 - 1, seen.dtype).tobytes())
assert model.state_.seen.indices[0] == 2**31 - 1
try:
    model.update_items([0], matrix.T.tocsr()[[0]])
except ValueError as error:
    print("refused:", error)
"""
    assert run_python(code).startswith("refused: the interactions in the model's file")


def test_a_model_is_read_into_memory_unless_it_is_mapped(tmp_path):
    ALS(factors=4, iterations=1, random_state=0).fit(M).save(tmp_path / "m")
    model = cymbals.load(tmp_path / "m")
    before = model.item_factors_.copy()
    (tmp_path / "m").write_bytes(b"\xff" * (tmp_path / "m").stat().st_size)
    assert np.array_equal(model.item_factors_, before)


@pytest.mark.parametrize("change", ["indptr far", "indptr negative", "index far"])
def test_blocks_that_point_outside_are_refused(change):
    """scipy's own conversion reads where indptr says."""
    matrix = sp.bsr_array(np.kron(np.eye(4), np.ones((2, 2))))
    if change == "index far":
        matrix.indices = np.array([10**8, 1, 2, 3], np.int32)
    else:
        matrix.indptr = np.array([0, -5 if change == "indptr negative" else 10**8, 2, 3, 4], np.int32)
    with pytest.raises(ValueError, match=r"indptr|index|length|repeats"):
        Interactions.from_csr(matrix)
