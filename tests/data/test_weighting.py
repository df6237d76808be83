"""Weightings against scikit-learn and plain formulas, and the decay of old entries."""

import datetime

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import of_timed, random_matrix

import cymbals
from cymbals import Interactions, weighting


def test_tfidf_equals_scikit_learns():
    data = random_matrix((50, 30), 0.2)
    text = pytest.importorskip("sklearn.feature_extraction.text")
    want = text.TfidfTransformer(norm=None).fit_transform(data)
    assert np.allclose(weighting.tfidf(data).toarray(), want.toarray(), rtol=1e-6)


def test_bm25_follows_its_formula():
    data = random_matrix((50, 30), 0.2)
    dense, k1, b = data.toarray().astype(float), 3.0, 0.6
    want = np.zeros_like(dense)
    mean = dense.sum() / 50
    for u, i in zip(*dense.nonzero(), strict=True):
        n = np.count_nonzero(dense[:, i])
        idf = np.log(1 + (50 - n + 0.5) / (n + 0.5))
        want[u, i] = idf * dense[u, i] * (k1 + 1) / (dense[u, i] + k1 * (1 - b + b * dense[u].sum() / mean))
    assert np.allclose(weighting.bm25(data, k1, b).toarray(), want, rtol=1e-5)


def test_stored_zeros_stay_and_overflow_is_refused():
    data = sp.csr_array(([0.0, 0.0, 3.0], ([0, 0, 1], [0, 1, 1])), shape=(3, 2))
    for weigh in (weighting.clip, weighting.tfidf, lambda d: weighting.bm25(d, b=1)):
        out = weigh(data)
        assert out.nnz == 3
        assert out.toarray()[0].tolist() == [0, 0]
        assert out[1, 1] > 0
    with pytest.raises(ValueError, match=r"up to 1e\+308, are too large"):
        weighting.bm25(sp.csr_array([[1e308, 1e308], [1, 0]]))


def test_clip():
    data = sp.csr_array([[1.0, -900, 900]])
    assert weighting.clip(data, 500).toarray().tolist() == [[1, -500, 500]]


@pytest.mark.parametrize("weigh", [weighting.clip, weighting.tfidf, weighting.bm25])
def test_weighting_keeps_types_and_entries(weigh):
    whole = random_matrix((20, 10), 0.4).astype(np.int64)
    got = weigh(whole.tocoo())
    assert isinstance(got, sp.coo_array)
    assert got.dtype.kind == "f"
    data = Interactions.from_arrays(["a", "b", "a"], ["x", "x", "y"], [3, 600, 2], times=[1, 2, 3], item_names={"x": "Ex"})
    out = weigh(data)
    assert (out.csr.indices == data.csr.indices).all()
    assert (out.csr.data > 0).all()
    assert out.times.tolist() == data.times.tolist()
    assert (out.user_ids.tolist(), out.name_of(0)) == (["a", "b"], "Ex")
    assert data.csr.data.max() == 600
    assert weigh(sp.csr_array((3, 4))).shape == (3, 4)


def test_bad_input_is_named():
    negative = sp.csr_array([[1.0, -2.0]])
    for call, error, words in (
        (lambda: weighting.tfidf(negative), ValueError, "data holds -2.0 at row 0, column 1"),
        (lambda: weighting.bm25(negative), ValueError, "data holds -2.0"),
        (lambda: weighting.bm25(abs(negative), b=2), ValueError, "b must be from 0 to 1"),
        (lambda: weighting.bm25(abs(negative), k1=0), ValueError, "k1 must be finite and above 0"),
        (lambda: weighting.clip(negative, 0), ValueError, "most must be finite and above 0"),
        (lambda: weighting.clip([[1]]), TypeError, "scipy sparse"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_time_decay(timed):
    data = of_timed(timed)
    dates = data.times.dtype.kind == "M"
    half_life = datetime.timedelta(minutes=10) if dates else 600
    got = weighting.time_decay(data, half_life)
    age = (data.times.max() - data.times) / np.timedelta64(1, "s") if dates else data.times.max() - data.times
    assert np.allclose(got.csr.data, data.csr.data * 0.5 ** (age / 600), rtol=1e-6)
    assert (got.times == data.times).all()
    early = weighting.time_decay(data, half_life, now=data.times.min())
    assert (early.csr.data == data.csr.data).all()


def test_decay_over_more_than_292_years():
    """Differences can be too large for 63 bits: of two dates in nanoseconds, and of two whole numbers."""
    dates = np.array(["1700-01-01", "2200-01-01", "2100-01-01"], "M8[ns]")
    data = Interactions.from_arrays([1, 1, 2], [5, 6, 7], np.full(3, 8.0), times=dates)
    days = (dates.max().astype("M8[D]") - dates.astype("M8[D]")).astype(float)
    decayed = weighting.time_decay(data, datetime.timedelta(days=36_525))
    np.testing.assert_allclose(decayed.csr.data, 8 * 0.5 ** (days / 36_525), rtol=1e-6)
    numbers = Interactions.from_arrays([1, 1], [5, 6], [8, 8], times=[-(2**63), 2**63 - 1])
    np.testing.assert_allclose(weighting.time_decay(numbers, 2**62).csr.data, [0.5, 8.0])
    for half_life in (datetime.timedelta(days=200_000), np.timedelta64("NaT", "D")):
        with pytest.raises(ValueError, match="half_life"):
            weighting.time_decay(data, half_life)


def test_a_half_life_in_years_is_refused():
    data = cymbals.Interactions.from_arrays([1, 1], [5, 6], times=np.array(["2003-01-01", "2005-01-01"], "datetime64[D]"))
    with pytest.raises(ValueError, match="half_life must not be in months or years"):
        cymbals.weighting.time_decay(data, half_life=np.timedelta64(1, "Y"))
