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
