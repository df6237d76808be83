"""Checks the times of events, and the moments and time spans that callers compare with them.

Times are stored as int64, float64 or datetime64[ns].
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import is_missing, real_number, refuse_masked, shown

_DATES = np.dtype("datetime64[ns]")


def checked(name: str, times: Any, n: int) -> NDArray[Any] | None:
    """The times of `n` events as an array. Raises if a time is missing or out of range; the error names the row."""
    if times is None:
        return None
    refuse_masked(name, times)
    array = np.asarray(times)
    if array.shape != (n,):
        raise ValueError(f"{name} must be as long as the ids, {n}; got shape {array.shape}")
    if array.dtype.kind not in "iufM":
        for row, value in enumerate(array.tolist() if array.dtype.kind == "O" else []):
            if is_missing(value):
                raise ValueError(f"column {name!r}, row {row} has no time ({value}); drop such rows")
        example = f", e.g. {shown(array[0])}" if n else ""
        raise TypeError(
            f"{name} must hold numbers or datetime64, got {array.dtype}{example}; convert texts with "
            "pandas.to_datetime, and times with a time zone with .dt.tz_convert(None)"
        )
    dates = array.dtype.kind == "M"
    missing = np.flatnonzero(np.isnat(array) if dates else ~np.isfinite(array))
    if missing.size:
        raise ValueError(f"column {name!r}, row {missing[0]} has no time ({array[missing[0]]}); drop such rows")
    if dates:
        out, limits = _in_nanoseconds(array), "the years 1678 to 2262"
        beyond = np.flatnonzero(np.isnat(out))
    else:
        out, limits = np.ascontiguousarray(array, "float64" if array.dtype.kind == "f" else "int64"), "63 bits"
        beyond = np.flatnonzero((out < 0) & (array > 0))  # uint64 has wrapped around
    if beyond.size:
        row = beyond[0]
        raise ValueError(f"column {name!r}, row {row} holds {array[row]}, beyond {limits}; drop or replace it")
    return out


def latest(rows: NDArray[Any], cols: NDArray[Any], times: NDArray[Any] | None) -> NDArray[Any] | None:
    """The latest time of each distinct (row, column) pair, in the order of the entries of a CSR matrix."""
    if times is None or not times.size:
        return times
    pairs = rows.astype(np.int64) * (int(cols.max()) + 1) + cols  # one number for each pair sorts faster than two
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    first = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1]))
    out: NDArray[Any] = np.maximum.reduceat(times[order], first)
    return out


def of(data: Any) -> NDArray[Any]:
    """The times of interactions. Raises ValueError if they have none."""
    times = getattr(data, "times", None)
    if times is None:
        raise ValueError("data must be Interactions with times: pass from_frame(..., time=column), or --time COLUMN")
    out: NDArray[Any] = times
    return out


def moment(name: str, value: Any, times: NDArray[Any]) -> Any:
    """Convert a caller's moment to the type of `times`, a number or a date, so that the two can be compared."""
    if times.dtype != _DATES:
        return real_number(name, value, least=-np.inf)
    dates = isinstance(value, (str, date, np.datetime64))
    if not dates or (isinstance(value, datetime) and value.tzinfo is not None):
        raise TypeError(f"{name} must be a date without a time zone, because the times are dates; got {value!r}")
    try:
        out: Any = _in_nanoseconds(np.datetime64(value))[()]
    except ValueError:
        out = np.datetime64("NaT", "ns")
    if np.isnat(out):
        raise ValueError(f"{name} must be a date such as '2005-05-31' from the years 1678 to 2262, got {value!r}")
    return out


def elapsed(moment: Any, times: NDArray[Any]) -> NDArray[np.float64]:
    """The time from each of `times` to a moment; 0 for times after it. In the unit of the times; for dates, nanoseconds."""
    if times.dtype == _DATES:
        moment, times = np.asarray(moment).astype(_DATES).astype(np.int64), times.astype(np.int64)
    if times.dtype.kind == "f" or np.asarray(moment).dtype.kind == "f":
        with np.errstate(over="ignore"):  # the difference of huge numbers is infinite, which is a valid age
            return np.asarray(np.maximum(moment - times, 0), np.float64)
    # the difference of two int64 can be too large for int64, but fits in uint64
    difference = np.asarray(moment).astype(np.uint64) - times.astype(np.uint64)
    return np.where(times <= moment, difference, 0).astype(np.float64)


def span(name: str, value: Any, times: NDArray[Any]) -> float:
    """Check a caller's time span, which must be above 0, and convert it to a number in the unit of `times`.

    If the times are dates, the caller gives a timedelta, and the result is in nanoseconds.
    """
    if times.dtype != _DATES:
        return real_number(name, value, open_end=True)
    if not isinstance(value, (np.timedelta64, timedelta)):
        raise TypeError(f"{name} must be a timedelta, because the times are dates; got {value!r}")
    given = np.timedelta64(value)
    if np.datetime_data(given)[0] in ("Y", "M"):
        raise ValueError(f"{name} must not be in months or years, whose lengths vary; got {value!r}: give it in days")
    out = _in_nanoseconds(given)[()]
    if np.isnat(out) and not np.isnat(given):
        raise ValueError(f"{name} must be below 292 years, got {value!r}")
    if not out > np.timedelta64(0, "ns"):
        raise ValueError(f"{name} must be above 0, got {value!r}")
    return float(out.astype(np.int64))


def _in_nanoseconds(times: Any) -> NDArray[Any]:
    """datetime64 or timedelta64 in nanoseconds.

    Those that do not fit in 63 bits become NaT, and so do dates between two nanoseconds.
    """
    times = np.asarray(times)
    kind = np.dtype(f"{times.dtype.kind}8[ns]")
    unit = np.datetime_data(times.dtype)[0]
    if unit not in ("ns", "generic") and np.can_cast(times.dtype, kind):
        # What fits, counted in this coarser unit from 1970. NumPy's conversion raises from 2.5 on, and wraps around before.
        counts, most = times.astype(np.int64), np.array(2**63 - 1).view(kind).astype(times.dtype).astype(np.int64)
        times = np.where((-most <= counts) & (counts <= most), times, np.array("NaT", times.dtype))
    out: NDArray[Any] = times.astype(kind, copy=False)
    if kind == _DATES and not np.can_cast(times.dtype, kind):  # a finer unit
        out = np.where(out.astype(times.dtype) == times, out, np.array("NaT", kind))
    return out
