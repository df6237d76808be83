"""CSR matrices: which arrays are copied, which are shared, and which matrices are refused."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bad_input import MASKED, broken_csr, check_refused, masked, poked
from conftest import SMALL, random_matrix, run_python

import cymbals
from cymbals import ALS, Interactions, _core
from cymbals.data import csr
from cymbals.data.csr import Csr

M = random_matrix((30, 20), 0.3)
OUTSIDE = 2**31 - 1
PARTS = ("data", "indices", "indptr")


# -- scipy's matrices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_matrix, sp.lil_array, sp.dok_array, sp.bsr_array]
)
def test_any_scipy_matrix(make):
    dense = random_matrix((9, 12)).toarray()
    data = Interactions.from_csr(make(dense))
    assert np.array_equal(data.user_items.toarray(), dense)
    for dtype in (bool, np.int8, np.int64, np.uint16, np.float64):
        assert np.array_equal(Interactions.from_csr(make(dense).astype(dtype)).user_items.toarray(), dense.astype(dtype))


def test_unsorted_and_repeated_entries_and_wide_indices():
    for index in (np.int32, np.int64):
        m = sp.csr_array(
            (np.ones(5, np.float32), np.array([2, 0, 2, 1, 1], index), np.array([0, 3, 5], index)), shape=(2, 3)
        )
        before = m.indices.copy()
        assert Interactions.from_csr(m).user_items.toarray().tolist() == [[1, 0, 2], [0, 2, 0]]
        assert np.array_equal(m.indices, before), "the input was changed"


def test_zeros_that_fill_up_blocks_of_a_bsr_matrix_are_no_entries():
    dense = np.array([[1, 0, 0, 2], [0, 3, 0, 0]], np.float32)
    assert Interactions.from_csr(sp.bsr_array(dense, blocksize=(2, 2))).nnz == 3


def test_entries_are_found_by_row_and_column():
    matrix = random_matrix((30, 50), 0.3)
    csr = Interactions.from_csr(matrix).csr
    rows, columns = np.divmod(np.arange(30 * 50), 50)
    assert np.array_equal(csr.holds(rows, columns), (matrix.toarray() != 0).ravel())
    empty = Interactions.from_csr(sp.csr_array((3, 4))).csr
    assert not empty.holds(np.array([0, 2]), np.array([0, 3])).any()


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("share", [0, 0.01, 0.7])
def test_rows_after_changes_are_those_of_a_dense_matrix(share, n_threads):
    matrix, more = random_matrix((500, 80), 0.3), random_matrix((500, 80), share, seed=1)
    csr, changes = (Interactions.from_csr(m).csr for m in (matrix, more))
    want = np.where(more.toarray() != 0, more.toarray(), matrix.toarray())
    assert np.array_equal(csr.after(changes, n_threads=n_threads).to_scipy().toarray(), want)
    for rows in (np.empty(0, np.int64), np.array([3]), np.arange(499, -1, -1), np.array([7, 7, 0, 499])):
        taken = csr.after(changes, rows, n_threads)
        assert np.array_equal(taken.to_scipy().toarray(), want[rows])
        assert np.array_equal(csr.take(rows, n_threads).to_scipy().toarray(), matrix.toarray()[rows])
        assert np.array_equal(taken.lengths(), np.count_nonzero(want[rows], axis=1))


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("value", [np.float32, np.float64])
def test_a_matrix_after_changes_of_other_types_can_hold_both(index, value):
    base = Csr(np.array([0, 2]), np.array([1, 4], np.int32), np.array([1, 2], np.float32), (1, 5))
    changes = Csr(np.array([0, 2]), np.array([0, 4], index), np.array([3, 0.1], value), (1, 5))
    after = base.after(changes)
    assert after.indices.dtype == index
    assert after.data.dtype == value
    assert after.indices.tolist() == [0, 1, 4]
    assert after.data.tolist() == [3, 1, value(0.1)]


def test_error_for_a_wrong_type_says_what_to_pass_instead():
    matrix = random_matrix((20, 12), 0.3)
    data = Interactions.from_csr(matrix)
    frame = pd.DataFrame({"user": [1], "item": [2], "value": [3]})
    model = cymbals.ALS(2, random_state=0).fit(data)
    with pytest.raises(
        TypeError, match=r"rows must be a scipy sparse matrix or array; got Interactions: pass its user_items"
    ):
        model.recommend(rows=data)
    with pytest.raises(TypeError, match=r"train must be Interactions or a scipy.*got DataFrame: .*Interactions.from_frame"):
        cymbals.ALS(2).fit(frame)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_transpose_and_triplets(index, n_threads):
    rng = np.random.default_rng(0)
    for shape in ((0, 5), (5, 0), (1, 1), (40, 7), (7, 400)):
        n = 0 if 0 in shape else 500
        rows, cols = (rng.integers(m, size=n).astype(index) if m else np.empty(0, index) for m in shape)
        for dtype in (np.float32, np.float64):
            values = rng.integers(1, 9, n).astype(dtype)
            want = np.zeros(shape)
            np.add.at(want, (rows, cols), values)
            csr = Csr.from_triplets(rows, cols, values, shape, n_threads)
            assert np.array_equal(csr.to_scipy().toarray(), want)
            assert _core.check_csr(csr, n_threads) == (0, -1, -1)
            assert np.array_equal(csr.transposed(n_threads).to_scipy().toarray(), want.T)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize(
    ("shape", "n", "repeats"),
    [
        ((100_000, 3000), 200_000, 1),  # many groups of rows
        ((100_000, 3000), 200_000, 4),  # each pair occurs four times
        ((3, 2**31 - 1), 100_000, 2),  # the columns need so many bits that a group is a single row
        ((200_000, 2**31 - 1), 50_000, 2),
        ((200_000, 2**40), 50_000, 2),  # 64-bit keys
        ((2**20, 2), 5, 1),  # far more rows than entries
        ((1, 70_000), 100_000, 2),  # all in one row
    ],
)
def test_triplets_of_every_size(shape, n, repeats, n_threads):
    """Compared with sorting by NumPy. Half of the entries are in a tenth of the rows."""
    rng = np.random.default_rng(1)
    rows = np.where(rng.random(n) < 0.5, rng.integers(0, -(-shape[0] // 10), n), rng.integers(0, shape[0], n))
    rows, cols = np.tile(rows, repeats), np.tile(rng.integers(0, shape[1], n), repeats)
    shuffled = rng.permutation(rows.size)
    rows, cols, values = rows[shuffled], cols[shuffled], rng.standard_normal(rows.size)
    order = np.lexsort((cols, rows))
    first = np.append(True, (np.diff(rows[order]) != 0) | (np.diff(cols[order]) != 0))
    begins = np.flatnonzero(first)
    got = Csr.from_triplets(rows, cols, values, shape, n_threads)
    assert np.array_equal(got.row_numbers(), rows[order][first])
    assert np.array_equal(got.indices, cols[order][first])
    np.testing.assert_allclose(got.data, np.add.reduceat(values[order], begins), rtol=1e-12, atol=1e-12)
    in_order = Csr.from_triplets(got.row_numbers(), got.indices, got.data, shape, n_threads)  # sorted already
    assert np.array_equal(in_order.indices, got.indices)
    assert np.array_equal(in_order.data, got.data)


def test_check_csr_reports_the_worst_defect_first():
    def report(indptr, indices, data, n_cols=4):
        csr = Csr(np.array(indptr), np.array(indices, np.int32), np.array(data, np.float32), (len(indptr) - 1, n_cols))
        return _core.check_csr(csr, 2)

    assert report([0, 2, 3], [0, 1, 2], [1, 1, 1]) == (0, -1, -1)
    assert report([1, 2, 3], [0, 1, 2], [1, 1, 1])[0] == 1
    assert report([0, 3, 2], [0, 1, 2], [1, 1, 1])[0] == 1
    assert report([0, 2, 9], [0, 1, 2], [1, 1, 1])[0] == 1
    assert report([0, 2, 3], [0, 1, 4], [1, 1, np.nan]) == (2, 1, 2)
    assert report([0, 2, 3], [0, -1, 0], [1, 1, 1]) == (2, 0, 1)
    assert report([0, 2, 3], [1, 0, 2], [1, 1, np.inf]) == (3, 1, 2)
    assert report([0, 2, 3], [1, 1, 2], [1, 1, 1]) == (4, 0, 1)
    assert report([0, 2, 3], [0, 1, 2], [1, 0, -1]) == (5, 1, 2)
    assert report([0, 2, 3], [0, 1, 2], [1, 0, 1]) == (6, 0, 1)


# -- arrays that others can write to --------------------------------------------------------------------------------


def of_parts(parts):
    """A CSR array with exactly these arrays. SciPy's constructor would copy some of them."""
    out = M.copy()
    for name, array in parts.items():
        setattr(out, name, array)
    return out


def test_memory_is_shared_only_if_it_is_immutable(tmp_path):
    """Only arrays over bytes objects are shared. Read-only views, mapped files and Arrow's buffers may still change."""
    matrix = random_matrix((30, 20))
    matrix.sort_indices()
    parts = {"data": matrix.data, "indices": matrix.indices.astype(np.int32), "indptr": matrix.indptr.astype(np.int32)}
    for name, array in parts.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in parts]
    frozen = [array.copy() for array in parts.values()]
    for array in frozen:
        array.setflags(write=False)
    of_bytes = [np.frombuffer(array.tobytes(), array.dtype) for array in parts.values()]
    data = Interactions.from_csr(sp.csr_array(tuple(of_bytes), shape=matrix.shape))
    assert np.shares_memory(data.csr.data, of_bytes[0])
    assert np.shares_memory(data.csr.indices, of_bytes[1])
    assert (data.user_items != matrix).nnz == 0
    views = [array.copy()[:] for array in parts.values()]
    for array in views:
        array.setflags(write=False)  # the array under the view can still be written to
    writeable = [array.copy() for array in parts.values()]
    appended = [np.load(tmp_path / f"{name}.npy", mmap_mode="r+") for name in parts]
    of_arrow = [pytest.importorskip("pyarrow").array(array).to_numpy() for array in parts.values()]
    for arrays in (mapped, frozen, views, writeable, appended, of_arrow):
        data = Interactions.from_csr(sp.csr_array(tuple(arrays), shape=matrix.shape))
        assert not np.shares_memory(data.csr.data, arrays[0])
        assert not np.shares_memory(data.csr.indices, arrays[1])


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
    """A thread that writes all the time rarely writes just after the check; this test always does."""
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


def test_arrays_that_models_share_are_read_only():
    data = Interactions.from_arrays([0, 1], [5, 6], item_names={5: "a", 6: "b"})
    for array in (data.item_names, data.user_items.indices, data.user_items.data, data.user_items.indptr):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# -- matrices that are refused ---------------------------------------------------------------------------------------


MATRICES = {
    "None": lambda: None,
    "list": lambda: [[1, 2], [3, 4]],
    "dense": lambda: SMALL.toarray(),
    "frame": lambda: pd.DataFrame(SMALL.toarray()),
    "text": lambda: "data.csv",
    "complex": lambda: SMALL.astype(complex),
    "no entries": lambda: sp.csr_array((5, 5)),
    "no rows": lambda: sp.csr_array((0, 5)),
    "no columns": lambda: sp.csr_array((5, 0)),
    "nothing": lambda: sp.csr_array((0, 0)),
    "only zeros": lambda: sp.csr_array((np.zeros(2), ([0, 1], [0, 1]))),
    "nan": lambda: broken_csr(data=poked(SMALL.data, 3, np.nan)),
    "inf": lambda: broken_csr(data=poked(SMALL.data, 3, np.inf)),
    "-inf": lambda: broken_csr(data=poked(SMALL.data, -1, -np.inf)),
    "negative index": lambda: broken_csr(indices=poked(SMALL.indices, 0, -1)),
    "index too large": lambda: broken_csr(indices=poked(SMALL.indices, 5, 12)),
    "huge index": lambda: broken_csr(indices=poked(SMALL.indices.astype(np.int64), 5, 2**62)),
    "float indices": lambda: broken_csr(indices=SMALL.indices.astype(float)),
    "indptr falls": lambda: broken_csr(indptr=poked(SMALL.indptr, 4, 0)),
    "indptr beyond the end": lambda: broken_csr(indptr=poked(SMALL.indptr, -1, SMALL.nnz + 7)),
    "indptr starts late": lambda: broken_csr(indptr=poked(SMALL.indptr, 0, 1)),
    "indptr negative": lambda: broken_csr(indptr=poked(SMALL.indptr, 2, -5)),
    "indptr huge": lambda: broken_csr(indptr=poked(SMALL.indptr.astype(np.int64), 2, 2**62)),
    "indptr short": lambda: broken_csr(indptr=SMALL.indptr[:-1]),
    "indptr float": lambda: broken_csr(indptr=SMALL.indptr.astype(float)),
    "fewer values than indices": lambda: broken_csr(data=SMALL.data[:-2]),
    "fewer indices than values": lambda: broken_csr(indices=SMALL.indices[:-2]),
    "shape too narrow": lambda: broken_csr(shape=(20, 3)),
    "shape too tall": lambda: broken_csr(shape=(99, 12)),
    "csc nan": lambda: sp.csc_array(broken_csr(data=poked(SMALL.data, 3, np.nan))),
    "coo nan": lambda: sp.coo_array(broken_csr(data=poked(SMALL.data, 3, np.nan))),
    "text values": lambda: broken_csr(data=SMALL.data.astype(str)),
    "object values": lambda: broken_csr(data=np.array(["a"] * SMALL.nnz, dtype=object)),
}


def bad_coo():
    matrix = sp.coo_array(SMALL)
    matrix.coords = (poked(matrix.coords[0], 0, 99), matrix.coords[1])
    return Interactions.from_csr(matrix)


CASES = {f"fit {name}": (lambda make=make: ALS(factors=2).fit(make()), "train") for name, make in MATRICES.items()} | {
    "fit ials negative": (lambda: ALS(objective="ials").fit(broken_csr(data=poked(SMALL.data, 3, -1))), "row"),
    "nan names row and column": (lambda: ALS().fit(broken_csr(data=poked(SMALL.data, 0, np.nan))), "row 0, column"),
    "coo row outside": (bad_coo, "99"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name):
    check_refused(*CASES[name])


@pytest.mark.parametrize("change", ["indptr far", "indptr negative", "index far"])
def test_blocks_that_point_outside_are_refused(change):
    """SciPy's conversion or the check after it refuses the matrix. Nothing outside the arrays is read."""
    matrix = sp.bsr_array(np.kron(np.eye(4), np.ones((2, 2))))
    if change == "index far":
        matrix.indices = np.array([10**8, 1, 2, 3], np.int32)
    else:
        matrix.indptr = np.array([0, -5 if change == "indptr negative" else 10**8, 2, 3, 4], np.int32)
    with pytest.raises(ValueError, match=r"indptr|index|length|repeats"):
        Interactions.from_csr(matrix)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_masked_values_of_a_sparse_matrix(kind):
    matrix = sp.eye_array(10, format=kind)
    matrix.data = masked(matrix.data)
    with pytest.raises(ValueError, match=f"matrix: {MASKED}"):
        Interactions.from_csr(matrix)
    with pytest.raises(ValueError, match=f"train: {MASKED}"):
        ALS(factors=2).fit(matrix)
