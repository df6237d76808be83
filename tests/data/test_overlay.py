"""A matrix with few changes kept apart is the same as one with the changes merged."""

import pickle

import numpy as np
import pytest
from conftest import random_matrix

from cymbals.data.csr import Csr, from_scipy
from cymbals.data.merge import csr_of_sorted, resized
from cymbals.data.overlay import Overlay, with_changes

BIG = from_scipy("m", random_matrix((300, 200), density=0.5), 1)


def dense(csr):
    return csr.to_scipy().toarray()


def triplets(rows, cols, values, shape=BIG.shape):
    order = np.lexsort((cols, rows))
    rows, cols, values = (np.asarray(a)[order] for a in (rows, cols, values))
    return csr_of_sorted(rows, cols.astype(np.int32), values.astype(np.float32), shape)


def changed(before, changes, how):
    after = np.zeros(changes.shape)
    after[: before.shape[0], : before.shape[1]] = dense(before)
    rows = changes.row_numbers()
    if how == "replace":
        after[rows, changes.indices] = changes.data
    else:
        after[rows, changes.indices] += changes.data
    return after


@pytest.mark.parametrize("how", ["add", "replace"])
def test_changes_in_a_row_are_those_of_a_dense_matrix(how):
    rng = np.random.default_rng(0)
    csr, want, kinds = BIG, dense(BIG), []
    for k in range(60):
        shape = (csr.shape[0] + k % 2, csr.shape[1] + k % 3)
        n = 400 if k == 40 else rng.integers(1, 25)
        pairs = np.unique(rng.integers(0, shape[0], n) * shape[1] + rng.integers(0, shape[1], n))
        changes = triplets(*np.divmod(pairs, shape[1]), rng.integers(1, 9, pairs.size), shape)
        previous = csr
        csr, resolved, gains = with_changes(csr, changes, how)
        grown = np.zeros(shape)
        grown[: want.shape[0], : want.shape[1]] = want
        want = changed(csr_of_sorted(*np.nonzero(grown), grown[np.nonzero(grown)], shape), changes, how)
        kinds.append(type(csr))
        rows = np.sort(rng.choice(shape[0], 20, replace=False))
        assert np.array_equal(dense(csr.take(rows)), want[rows])
        assert np.array_equal(np.diff(csr.indptr), (want != 0).sum(axis=1))
        assert csr.nnz == np.count_nonzero(want)
        assert csr.row_sum(rows[0]) == want[rows[0]].sum()
        assert np.array_equal(csr.row(rows[0])[1], want[rows[0]][want[rows[0]] != 0])
        at = resolved.row_numbers(), resolved.indices
        assert np.array_equal(resolved.data, want[at])
        assert np.array_equal(gains, want[at] - dense(resized(previous, shape))[at])
    assert np.array_equal(dense(csr.whole()), want)
    assert {Overlay} < set(kinds)  # some were merged, after the big change and whenever many had come together
    assert np.array_equal(dense(csr.transposed(2)), want.T)


def test_an_overlay_is_like_a_matrix():
    overlay = with_changes(BIG, triplets([0, 4], [1, 2], [5, 6]), "replace")[0]
    whole = overlay.whole()
    assert isinstance(overlay, Overlay)
    assert not isinstance(whole, Overlay)
    assert overlay.whole() is whole
    for loaded in (overlay, pickle.loads(pickle.dumps(overlay)), overlay.where(np.ones(overlay.nnz, bool))):
        assert np.array_equal(loaded.indices, whole.indices)
        assert np.array_equal(loaded.data, whole.data)
        assert np.array_equal(loaded.indptr, whole.indptr)
    assert np.array_equal(dense(resized(overlay, (301, 201)))[:300, :200], dense(whole))
    assert np.array_equal(overlay.row_numbers(), whole.row_numbers())
    assert overlay.holds(np.array([0]), np.array([1])).all()
    with pytest.raises(AttributeError, match="nothing"):
        _ = overlay.nothing
    with pytest.raises(ValueError, match="read-only"):
        overlay.indptr[0] = 1


def test_values_that_need_float64_are_merged_at_once():
    big = with_changes(BIG, triplets([0, 1], [1, 1], [2**24, 1]), "replace")[0]
    after, resolved, gains = with_changes(big, triplets([0], [1], [1]), "add")
    assert resolved.data.tolist() == [2**24 + 1]
    assert gains.tolist() == [1]
    assert after.data.dtype == np.float64
    assert not isinstance(after, Overlay)


def test_values_that_overflow_are_refused():
    one = triplets([0], [1], [1])
    huge = Csr(one.indptr, one.indices, np.array([1.7e308]), one.shape)
    with pytest.raises(ValueError, match="row 0, column 1 add up to inf: too large"):
        with_changes(with_changes(BIG, huge, "replace")[0], huge, "add")


def test_merging_needs_no_order_of_calls():
    one, other = triplets([3, 9], [5, 7], [1, 2]), triplets([3, 8], [5, 7], [3, 4])
    assert np.array_equal(dense(BIG.after(one).after(other)), dense(BIG.after(one.after(other))))


def test_a_mapped_base_is_copied_and_checked(tmp_path):
    path = tmp_path / "data"
    BIG.data.tofile(path)
    mapped = Csr(BIG.indptr, BIG.indices, np.memmap(path, np.float32, "r+"), BIG.shape)
    overlay = with_changes(mapped, triplets([0], [1], [5]), "replace")[0]
    assert isinstance(overlay, Overlay)
    assert isinstance(overlay.owned(), Overlay)
    assert overlay.owned() is not overlay
    in_memory = with_changes(BIG, triplets([0], [1], [5]), "replace")[0]
    assert in_memory.owned() is in_memory
    np.memmap(path, np.float32, "r+")[:] = np.nan
    with pytest.raises(ValueError, match="was changed while it was in use"):
        overlay.owned()
