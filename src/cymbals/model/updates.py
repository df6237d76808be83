"""Rows replaced or appended: of ids, of factors, of what was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.csr import Csr
from ..data.ids import Ids, id_array, listed


def placed(ids: Ids, name: str, wanted: Any, n_rows: int) -> tuple[Ids, NDArray[np.int64]]:
    """Ids with the unknown ones of `wanted` appended, and the row of each."""
    array = id_array(name, listed(wanted))
    if array.size != n_rows:
        raise ValueError(f"{name} names {array.size} {ids.what}s, rows holds {n_rows}")
    values, counts = np.unique(array, return_counts=True)
    if values.size != array.size:
        raise ValueError(f"{name} must be distinct; {values[counts > 1].tolist()[0]!r} stands more than once")
    rows = ids.find(array)
    new = np.flatnonzero(rows < 0)
    extended = ids.extended(array[new]) if new.size else ids
    rows[new] = ids.n + np.arange(new.size)
    return extended, rows


def with_rows(factors: NDArray[Any], at: NDArray[np.int64], rows: NDArray[Any], n: int) -> NDArray[Any]:
    """`n` rows of factors: those `at` are new or replaced."""
    out = np.zeros((n, factors.shape[1]), factors.dtype)
    out[: factors.shape[0]] = factors
    out[at] = rows
    return out


def with_seen(seen: Csr, at: NDArray[np.int64], rows: Csr, n: int, n_threads: int) -> Csr:
    """`n` rows of what was seen: those `at` are new or replaced."""
    old_rows = seen.row_numbers()
    stays = ~np.isin(old_rows, at)
    return Csr.from_triplets(
        np.concatenate([old_rows[stays], at[rows.row_numbers()]]),
        np.concatenate([seen.indices[stays], rows.indices]),
        np.concatenate([seen.data[stays], rows.data]),
        (n, seen.shape[1]),
        n_threads,
    )
