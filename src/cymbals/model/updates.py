"""Replaces and appends rows of ids, factors and seen items, for the updates of a fitted model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.csr import Csr
from ..data.ids import Ids, id_array, listed


def placed(ids: Ids, name: str, wanted: Any, n_rows: int) -> tuple[Ids, NDArray[np.int64]]:
    """Append the unknown ids of `wanted` to `ids`. Returns the longer ids, and the row of each wanted id."""
    array = id_array(name, listed(wanted))
    if array.size != n_rows:
        raise ValueError(f"{name} has {array.size} {ids.what}s, but rows has {n_rows} rows; give one row for each id")
    values, counts = np.unique(array, return_counts=True)
    if values.size != array.size:
        raise ValueError(f"{name} must be distinct; {values[counts > 1].tolist()[0]!r} appears more than once")
    rows = ids.find(array)
    new = np.flatnonzero(rows < 0)
    extended = ids.extended(array[new]) if new.size else ids
    rows[new] = ids.n + np.arange(new.size)
    return extended, rows


def with_rows(factors: NDArray[Any], at: NDArray[np.int64], rows: NDArray[Any], n: int) -> NDArray[Any]:
    """A copy of `factors` with `n` rows. Row at[i] of the copy is rows[i]; it can be an old row or a new one."""
    if n == factors.shape[0]:
        out = factors.copy()
    else:
        out = np.zeros((n, factors.shape[1]), factors.dtype)
        out[: factors.shape[0]] = factors
    out[at] = rows
    return out


def with_seen(seen: Csr, at: NDArray[np.int64], rows: Csr, n: int, n_threads: int) -> Csr:
    """A copy of `seen` with `n` rows. Row at[i] of the copy is row i of `rows`; it can be an old row or a new one."""
    old_rows = seen.row_numbers()
    kept = ~np.isin(old_rows, at)
    return Csr.from_triplets(
        np.concatenate([old_rows[kept], at[rows.row_numbers()]]),
        np.concatenate([seen.indices[kept], rows.indices]),
        np.concatenate([seen.data[kept], rows.data]),
        (n, seen.shape[1]),
        n_threads,
    )


_LONG = 1000  # entries of a row
_STEP = 1 / 256  # relative growth of a long row between two solutions


def moved(before: Csr, after: Csr, rows: NDArray[np.int64], falling: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each of these rows, which have events, is worth solving again: all but long rows that have hardly grown.

    One event in a row of thousands changes its solution by less than the tolerance of conjugate gradients, and long rows
    hold most entries. A long row is solved again each time when its number of entries, or the sum of its values, has
    passed the next power of 1 + _STEP. While values only grow, it is never further from its last solution than such a step.
    If a value falls, the row is always solved.

    Parameters
    ----------
    before, after : Csr
        The same matrix without the events, possibly with fewer rows, and with them.
    rows : ndarray
    falling : ndarray of bool
        For each of these rows, whether a value becomes smaller.
    """
    lengths = after.lengths()[rows]
    out = (lengths <= _LONG) | (rows >= before.shape[0]) | falling
    for i in np.flatnonzero(~out):
        r = rows[i]
        old_length, old_sum = before.indptr[r + 1] - before.indptr[r], before.row_sum(r)
        out[i] = _power(old_length) != _power(lengths[i]) or _power(old_sum) != _power(after.row_sum(r))
    return out


def _power(size: float) -> float:
    """The largest power of 1 + _STEP that is not above `size`. NaN, which equals nothing, if `size` is not above 0."""
    return np.floor(np.log(size) / np.log1p(_STEP)) if size > 0 else np.nan
