"""Replaces and appends rows of ids, factors and seen items, for the updates of a fitted model."""

from __future__ import annotations

from collections.abc import Callable
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


def longer(
    factors: NDArray[Any], n: int, layout: Callable[[NDArray[Any], float | None], NDArray[Any]], mean: float | None
) -> NDArray[Any]:
    """The factors, followed by rows for a solution of 0 up to `n` rows. `layout` is `user_rows` or `item_rows`."""
    if factors.shape[0] == n:
        return factors
    solved = np.zeros((n - factors.shape[0], factors.shape[1] - (mean is not None)), factors.dtype)
    return np.concatenate([factors, layout(solved, mean)])


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
