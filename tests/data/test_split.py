"""Splits into a training and a test part: at random, k entries of each user, by time, k-fold."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bad_input import check_refused
from conftest import SMALL, of_timed, random_matrix

import cymbals
from cymbals import Interactions, split


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array, "interactions"])
def test_splits_keep_shape_type_and_every_entry(kind):
    matrix = random_matrix((60, 40), 0.3)
    data = Interactions.from_csr(matrix, user_ids=np.arange(60) + 100) if kind == "interactions" else kind(matrix)
    plain = (lambda d: d.user_items) if kind == "interactions" else (lambda d: d)
    for cut in (lambda s: split.random(data, 0.25, s), lambda s: split.leave_k_out(data, 2, s)):
        train, test = cut(0)
        assert type(train) is type(test) is type(data)
        assert train.shape == test.shape == data.shape
        assert np.array_equal((plain(train) + plain(test)).toarray(), matrix.toarray())
        assert plain(train).nnz + plain(test).nnz == matrix.nnz
        again, other = cut(0)[1], cut(1)[1]
        assert np.array_equal(plain(test).toarray(), plain(again).toarray())
        assert not np.array_equal(plain(test).toarray(), plain(other).toarray())
    assert plain(split.random(data, 0.25)[1]).nnz == round(0.25 * matrix.nnz)
    held = np.diff(sp.csr_array(plain(split.leave_k_out(data, 2)[1])).indptr)
    lengths = np.diff(matrix.indptr)
    assert np.array_equal(held, np.where(lengths > 2, 2, 0))
    if kind == "interactions":
        assert train.user_ids.tolist() == data.user_ids.tolist()


def test_parts_of_a_matrix_may_be_changed():
    train, test = cymbals.split.random(random_matrix((20, 10)), 0.3)
    for part in (train, test):
        part.data[0] = 9
        part.indices[0] = part.indices[0]
        assert part.data[0] == 9


def test_k_fold_is_a_partition():
    for data in (random_matrix((40, 30), 0.3), Interactions.from_csr(random_matrix((40, 30), 0.3))):
        plain = [
            (sp.csr_array(getattr(a, "user_items", a)), sp.csr_array(getattr(b, "user_items", b)))
            for a, b in split.k_fold(data, 4)
        ]
        whole = sp.csr_array(getattr(data, "user_items", data))
        assert abs(sum(test for _, test in plain) - whole).sum() == 0
        assert all(abs(train + test - whole).sum() == 0 for train, test in plain)
        sizes = [test.nnz for _, test in plain]
        assert max(sizes) - min(sizes) <= 1
        again, other = (
            sp.csr_array(getattr(t, "user_items", t)) for t in (next(split.k_fold(data, 4, s))[1] for s in (0, 1))
        )
        assert abs(again - plain[0][1]).sum() == 0 < abs(other - plain[0][1]).sum()


def test_by_time_is_a_cut_at_one_moment(timed):
    data = of_timed(timed)
    train, test = split.by_time(data, 0.25)
    assert test.nnz == round(0.25 * data.nnz)
    assert train.times.max() < test.times.min()
    assert (train.user_items + test.user_items != data.user_items).nnz == 0
    cutoff = test.times.min()
    again = split.by_time(data, cutoff=cutoff)
    assert (again[1].user_items != test.user_items).nnz == 0
    if data.times.dtype.kind == "M":
        text = np.datetime_as_string(cutoff)
        assert (
            split.by_time(data, cutoff=text)[1].nnz == split.by_time(data, cutoff=pd.Timestamp(cutoff))[1].nnz == test.nnz
        )


def test_other_splits_keep_times(timed):
    data = of_timed(timed)
    of_pair = dict(
        zip(zip(data.csr.row_numbers().tolist(), data.csr.indices.tolist(), strict=True), data.times, strict=True)
    )
    for parts in (split.random(data, 0.3), split.leave_k_out(data, 1), *split.k_fold(data, 3)):
        for part in parts:
            at = zip(part.csr.row_numbers().tolist(), part.csr.indices.tolist(), strict=True)
            assert [of_pair[pair] for pair in at] == list(part.times)


def test_entries_of_one_time_stay_together():
    data = Interactions.from_arrays(range(6), range(6), times=[1, 2, 2, 2, 3, 3])
    assert split.by_time(data, 0.5)[1].nnz == 5


CASES = {
    **{
        f"test_fraction {v!r}": (lambda v=v: split.random(SMALL, v), "test_fraction")
        for v in (0, 1, -0.1, 1.5, math.nan, "x", None)
    },
    **{f"leave k {v!r}": (lambda v=v: split.leave_k_out(SMALL, v), "k") for v in (0, -1, 1.5, "x", None)},
    "split dense": (lambda: split.random(SMALL.toarray()), ""),
    "split seed": (lambda: split.random(SMALL, seed="x"), ""),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name):
    check_refused(*CASES[name])


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.coo_array, "interactions", "numbered"])
def test_held_out_users_are_in_no_part_of_train(kind):
    matrix = random_matrix((60, 40), 0.3)
    data = kind(matrix) if not isinstance(kind, str) else Interactions.from_csr(matrix)
    if kind == "interactions":
        data = Interactions.from_csr(matrix, user_ids=[f"u{u}" for u in range(60)], item_names={3: "three"})
    train, fold, test = split.users(data, 12, 0.7, seed=3)
    assert type(train) is type(fold) is type(test) is type(data)
    assert (train.shape, fold.shape, test.shape) == ((48, 40), (12, 40), (12, 40))
    train_rows, whole = (sp.csr_array(getattr(d, "user_items", d)).toarray() for d in (train, matrix))
    fold_rows, test_rows = (sp.csr_array(getattr(d, "user_items", d)).toarray() for d in (fold, test))
    assert not np.any((fold_rows != 0) & (test_rows != 0))
    lengths = np.count_nonzero(fold_rows + test_rows, axis=1)
    folded = np.count_nonzero(fold_rows, axis=1)
    assert np.array_equal(folded, np.clip(np.rint(0.7 * lengths), 1, lengths - 1))
    if isinstance(kind, str):
        rows = np.array([int(str(u).removeprefix("u")) for u in fold.user_ids])
        kept = np.array([int(str(u).removeprefix("u")) for u in train.user_ids])
        assert fold.user_ids.tolist() == test.user_ids.tolist()
        assert sorted([*rows, *kept]) == list(range(60))
        assert np.array_equal(fold_rows + test_rows, whole[rows])
        assert np.array_equal(train_rows, whole[kept])
        assert train.name_of(3) == ("three" if kind == "interactions" else "3")
    again, other = (split.users(data, 12, 0.7, seed=s)[2] for s in (3, 4))
    assert np.array_equal(sp.csr_array(getattr(again, "user_items", again)).toarray(), test_rows)
    assert not np.array_equal(sp.csr_array(getattr(other, "user_items", other)).toarray(), test_rows)


def test_held_out_users_keep_their_times():
    events = [(u, i, 1.0, 100 * u + i) for u in range(8) for i in range(u + 1)]
    data = of_timed(pd.DataFrame(events, columns=["u", "i", "r", "t"]))
    train, fold, test = split.users(data, 3)
    for part in (train, fold, test):
        rows = part.user_ids[part.csr.row_numbers()]
        assert np.array_equal(part.times.astype(np.int64), 100 * rows + part.item_ids[part.csr.indices])


@pytest.mark.parametrize(
    ("n", "fraction", "message"),
    [
        (0, 0.8, "n must be"),
        (4, 0.8, "n must be below the number of users, 4"),
        (3, 0.8, "at most 2"),
        (1, 1.0, "fold_fraction"),
    ],
)
def test_users_that_cannot_be_held_out(n, fraction, message):
    with pytest.raises(ValueError, match=message):
        split.users(sp.csr_array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]]), n, fraction)


def test_the_latest_entries_of_each_user_are_held_out():
    users, items = np.repeat([1, 2, 3], [4, 3, 1]), [10, 11, 12, 13, 10, 12, 13, 11]
    times = [5, 9, 1, 9, 3, 2, 1, 7]
    data = cymbals.Interactions.from_arrays(users, items, times=times)
    train, test = cymbals.split.leave_k_out(data, 2, latest=True)
    rows, columns = test.user_items.nonzero()
    held_out = set(zip(test.user_ids[rows].tolist(), test.item_ids[columns].tolist(), strict=True))
    assert held_out == {(1, 11), (1, 13), (2, 10), (2, 12)}
    assert train.nnz + test.nnz == data.nnz
    _, one = cymbals.split.leave_k_out(data, 1, latest=True)
    assert set(one.item_ids[one.user_items.nonzero()[1]].tolist()) == {13, 10}  # of two latest, the one in the later column
    stamps = cymbals.Interactions.from_arrays(users, items, times=np.array(times, "datetime64[s]"))
    assert np.array_equal(cymbals.split.leave_k_out(stamps, 2, latest=True)[1].csr.indices, test.csr.indices)
    with pytest.raises(ValueError, match="times"):
        cymbals.split.leave_k_out(data.user_items, 1, latest=True)
    with pytest.raises(TypeError, match="latest must be True or False"):
        cymbals.split.leave_k_out(data, 1, latest=1)
