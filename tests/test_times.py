"""Times of entries: kept through loading and splitting, splits by them, weights that fade with them; and k-fold."""

import datetime

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import random_matrix

import cymbals
from cymbals import Interactions, datasets, split, weighting


@pytest.fixture(params=["whole", "real", "dates"])
def events(request):
    """Events with repeated pairs, and their frame."""
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"u": rng.integers(0, 30, 900), "i": rng.integers(0, 20, 900), "r": rng.integers(1, 9, 900)})
    seconds = rng.permutation(900) * 7
    kinds = {"whole": seconds, "real": seconds / 2, "dates": np.datetime64("2005-01-01", "ns") + seconds * 10**9}
    df["t"] = kinds[request.param]
    return df


def load(df):
    return Interactions.from_frame(df, user="u", item="i", value="r", time="t")


def test_of_repeated_pairs_the_latest(events):
    data, want = load(events), events.groupby(["u", "i"])["t"].max()
    rows = data.csr.row_numbers()
    assert (want.loc[list(zip(data.user_ids[rows], data.item_ids[data.csr.indices], strict=True))] == data.times).all()
    assert data.times.dtype == want.to_numpy().dtype
    by_number = Interactions.from_arrays(events.u, events.i, events.r, shape=(30, 20), times=events.t)
    assert (by_number.times == data.times).all()


def test_by_time_is_a_cut_at_one_moment(events):
    data = load(events)
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


def test_other_splits_keep_times(events):
    data = load(events)
    of_pair = dict(
        zip(zip(data.csr.row_numbers().tolist(), data.csr.indices.tolist(), strict=True), data.times, strict=True)
    )
    for parts in (split.random(data, 0.3), split.leave_k_out(data, 1), *split.k_fold(data, 3)):
        for part in parts:
            at = zip(part.csr.row_numbers().tolist(), part.csr.indices.tolist(), strict=True)
            assert [of_pair[pair] for pair in at] == list(part.times)


def test_moments_between_whole_times():
    data = Interactions.from_arrays(range(3), range(3), [8, 8, 8], times=[2003, 2004, 2005])
    assert split.by_time(data, cutoff=2004.5)[1].nnz == 1
    assert weighting.time_decay(data, 1, now=2005.0).csr.data.tolist() == [2, 4, 8]
    assert weighting.time_decay(data, 1, now=2005.5).csr.data[2] == np.float32(8 * 0.5**0.5)


def test_entries_of_one_time_stay_together():
    data = Interactions.from_arrays(range(6), range(6), times=[1, 2, 2, 2, 3, 3])
    assert split.by_time(data, 0.5)[1].nnz == 5


def test_time_decay(events):
    data = load(events)
    dates = data.times.dtype.kind == "M"
    half_life = datetime.timedelta(minutes=10) if dates else 600
    got = weighting.time_decay(data, half_life)
    age = (data.times.max() - data.times) / np.timedelta64(1, "s") if dates else data.times.max() - data.times
    assert np.allclose(got.csr.data, data.csr.data * 0.5 ** (age / 600), rtol=1e-6)
    assert (got.times == data.times).all()
    early = weighting.time_decay(data, half_life, now=data.times.min())
    assert (early.csr.data == data.csr.data).all()


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


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_from_files(tmp_path, suffix):
    df = pd.DataFrame(
        {
            "user": [1, 1, 2],
            "item": [5, 6, 5],
            "value": [1, 2, 3],
            "when": ["2005-01-31", "2005-02-01T12:00:00Z", "2004-01-01"],
        }
    )
    path = tmp_path / f"events.{suffix}"
    df.to_csv(path, index=False) if suffix == "csv" else df.to_parquet(path)
    data = datasets.load(path, time="when")
    assert data.times.tolist() == np.array(["2005-01-31", "2005-02-01T12", "2004-01-01"], "datetime64[ns]").tolist()
    assert datasets.load(path).times is None


def test_bad_times_are_named():
    users, items = [1, 2], [3, 4]
    for times, error, words in (
        ([1.0, np.nan], ValueError, "row 1 has no time"),
        (np.array(["2005-01-01", "NaT"], "datetime64[s]"), ValueError, "row 1 has no time"),
        (["2005", "2006"], TypeError, "pandas.to_datetime"),
        ([1], ValueError, "as long as the ids, 2"),
        (np.array(["2005-01-01", "9999-12-31"], "datetime64[s]"), ValueError, "row 1 holds 9999.* beyond the years 1678"),
        (np.array([1, 2**64 - 1], np.uint64), ValueError, "row 1 holds 18446744073709551615, beyond 63 bits"),
    ):
        with pytest.raises(error, match=words):
            Interactions.from_arrays(users, items, times=times)
    timed = Interactions.from_arrays(users, items, times=[1, 2])
    dated = Interactions.from_arrays(users, items, times=np.array(["2005-01-01", "2006-01-01"], "datetime64[s]"))
    for call, error, words in (
        (lambda: split.by_time(Interactions.from_arrays(users, items)), ValueError, "Interactions with times"),
        (lambda: split.by_time(timed, cutoff=9), ValueError, "leaves the test part empty: times run from 1 to 2"),
        (lambda: split.by_time(timed, cutoff="x"), TypeError, "cutoff must be a number"),
        (lambda: split.by_time(timed, 0.1), ValueError, "leaves a part empty"),
        (lambda: split.k_fold(timed, 3), ValueError, "k must be at most the number of entries, 2"),
        (lambda: weighting.time_decay(timed, 0), ValueError, "half_life must be finite and above 0"),
        (lambda: weighting.time_decay(timed, "1 day"), TypeError, "half_life must be a number"),
        (lambda: split.by_time(timed, cutoff=float("nan")), ValueError, "cutoff must be finite"),
        (lambda: split.by_time(dated, cutoff=2004), TypeError, "cutoff must be a date without a time zone"),
        (lambda: split.by_time(dated, cutoff=pd.Timestamp("2005", tz="UTC")), TypeError, "without a time zone"),
        (lambda: split.by_time(dated, cutoff="3000-01-01"), ValueError, "from the years 1678 to 2262"),
        (lambda: weighting.time_decay(dated, 3), TypeError, "half_life must be a timedelta"),
        (lambda: weighting.time_decay(dated, np.timedelta64(-1, "D")), ValueError, "half_life must be above 0"),
        (lambda: weighting.time_decay(dated, np.timedelta64(1, "D"), now=np.datetime64("NaT")), ValueError, "now must"),
        (lambda: weighting.time_decay(Interactions.from_arrays(users, items), 1), ValueError, "with times"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_frame_without_the_time_column():
    with pytest.raises(KeyError, match="time='when': no such column"):
        Interactions.from_frame(pd.DataFrame({"user": [1], "item": [2], "value": [3]}), time="when")
    assert cymbals.Interactions.from_arrays([1], [2]).times is None
