"""Times of entries: how they are kept, and which times are refused."""

import numpy as np
import pandas as pd
import pytest
from conftest import of_timed

from cymbals import Interactions, split, weighting


def test_a_repeated_pair_has_its_latest_time(timed):
    data, want = of_timed(timed), timed.groupby(["u", "i"])["t"].max()
    rows = data.csr.row_numbers()
    assert (want.loc[list(zip(data.user_ids[rows], data.item_ids[data.csr.indices], strict=True))] == data.times).all()
    assert data.times.dtype == want.to_numpy().dtype
    by_number = Interactions.from_arrays(timed.u, timed.i, timed.r, shape=(30, 20), times=timed.t)
    assert (by_number.times == data.times).all()


def test_cutoff_and_now_may_have_fractions_if_times_are_whole():
    data = Interactions.from_arrays(range(3), range(3), [8, 8, 8], times=[2003, 2004, 2005])
    assert split.by_time(data, cutoff=2004.5)[1].nnz == 1
    assert weighting.time_decay(data, 1, now=2005.0).csr.data.tolist() == [2, 4, 8]
    assert weighting.time_decay(data, 1, now=2005.5).csr.data[2] == np.float32(8 * 0.5**0.5)


@pytest.mark.parametrize(
    ("unit", "good", "bad"),
    [
        ("Y", ["1678", "2262"], ["1677", "2263"]),
        ("M", ["1677-10", "2262-04"], ["1677-09", "2262-05"]),
        ("D", ["1677-09-22", "2262-04-11"], ["1677-09-21", "2262-04-12"]),
        ("s", ["1677-09-21T00:12:44", "2262-04-11T23:47:16"], ["1677-09-21T00:12:43", "2262-04-11T23:47:17"]),
        ("ps", ["1970-01-31T00:00:00.000000001"], ["1970-01-31T00:00:00.000000001500"]),
    ],
)
def test_first_and_last_date(unit, good, bad):
    for text in good:
        times = np.array([text], f"M8[{unit}]")
        assert Interactions.from_arrays([1], [2], times=times).times == times
    for text in bad:
        with pytest.raises(ValueError, match="beyond the years 1678 to 2262"):
            Interactions.from_arrays([1], [2], times=np.array([text], f"M8[{unit}]"))


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
        (
            lambda: weighting.time_decay(dated, np.timedelta64(1, "D"), now=np.datetime64("NaT", "D")),
            ValueError,
            "now must",
        ),
        (lambda: weighting.time_decay(Interactions.from_arrays(users, items), 1), ValueError, "with times"),
    ):
        with pytest.raises(error, match=words):
            call()
