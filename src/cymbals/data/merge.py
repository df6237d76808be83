"""Merges changes into a sparse matrix: adds or replaces values, and inserts entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .csr import Csr, index_type


def csr_of_sorted(rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]) -> Csr:
    """A matrix of distinct triplets that are sorted by row, then by column."""
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return Csr(indptr, cols.astype(index_type(max(shape))), values, shape)


def transposed_by_sorting(csr: Csr) -> Csr:
    """The transpose of a matrix with few entries: faster than the kernel, whose time depends on the shape too."""
    rows = csr.row_numbers()
    order = np.lexsort((rows, csr.indices))
    return csr_of_sorted(csr.indices[order], rows[order], csr.data[order], csr.shape[::-1])


def resized(csr: Csr, shape: tuple[int, int]) -> Csr:
    """The same entries in a matrix with at least as many rows and columns."""
    indptr = np.concatenate([csr.indptr, np.full(shape[0] - csr.shape[0], csr.nnz)])
    return Csr(indptr, csr.indices, csr.data, shape)


_FEW = 20_000  # insertions


@dataclass(frozen=True)
class Places:
    """Where the changes are in the arrays of a merged matrix."""

    old: NDArray[np.int64]  # the position of each change in the old arrays, or where it is inserted
    new: NDArray[np.bool_]  # whether the change is inserted

    def after(self) -> NDArray[np.int64]:
        """The position of each change in the merged arrays."""
        return self.old + np.cumsum(self.new) - self.new

    def latest(self, times: NDArray[Any], changed: NDArray[Any]) -> NDArray[Any]:
        """The times of the merged entries, from those of the old entries and of the changes: the later one of both."""
        if times.dtype != changed.dtype:
            raise TypeError(
                f"time: the data have times of the type {times.dtype}, the events {changed.dtype}; use one type"
            )
        out = times.copy()
        at = self.old[~self.new]
        out[at] = np.maximum(out[at], changed[~self.new])
        return np.insert(out, self.old[self.new], changed[self.new])


def merged(base: Csr, changes: Csr, how: str) -> tuple[Csr, Places]:
    """`base` with the entries of `changes`, which has the same shape.

    Parameters
    ----------
    base, changes : Csr
    how : {"add", "replace"}
        What happens to a pair that both have: its values are added, or the new value replaces the old one.

    Returns
    -------
    merged : Csr
        Zeros that result are stored.
    places : Places
    """
    rows = changes.row_numbers()
    at, found = base.find(rows, changes.indices)
    values = changes.data.astype(np.float64)
    if how == "add":
        values[found] += base.data[at[found]]
    dtype = _dtype(base, changes, values)
    with np.errstate(over="ignore"):
        held = values.astype(dtype)
    beyond = np.flatnonzero(~np.isfinite(held))
    if beyond.size:
        i = beyond[0]
        raise ValueError(f"the values of row {rows[i]}, column {changes.indices[i]} add up to {values[i]}: too large")
    new = ~found
    places = Places(at, new)
    data = _inserted(base.data.astype(dtype, copy=False), at[new], held[new])
    data[places.after()[found]] = held[found]
    more = np.concatenate([[0], np.cumsum(np.bincount(rows[new], minlength=base.shape[0]))])
    out = Csr(
        base.indptr + more,
        _inserted(base.indices, at[new], changes.indices[new]),
        data,
        base.shape,
    )
    return out, places


def _inserted(array: NDArray[Any], at: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    """A copy of `array` in which values[i] stands before array[at[i]]. `at` is in rising order."""
    if at.size > _FEW:
        return np.insert(array, at, values)
    # numpy.insert makes a mask of the whole array; copying the pieces between few insertions is several times faster
    out = np.empty(array.size + at.size, array.dtype)
    out[at + np.arange(at.size)] = values
    begin = 0
    for i, end in enumerate([*at.tolist(), array.size]):
        out[begin + i : end + i] = array[begin:end]
        begin = end
    return out


def _dtype(base: Csr, changes: Csr, values: NDArray[np.float64]) -> type[np.float32] | type[np.float64]:
    """float32, if both are float32 and no whole number is too large to be exact in it."""
    if base.data.dtype == np.float64 or changes.data.dtype == np.float64:
        return np.float64
    whole = values == np.rint(values)
    return np.float64 if np.any(whole & (np.abs(values) > 2**24)) else np.float32


def without_rows_and_columns(csr: Csr, keep_rows: NDArray[np.bool_], keep_columns: NDArray[np.bool_]) -> Csr:
    """The entries in rows and columns for which the masks are true. Both are renumbered."""
    rows = csr.take(np.flatnonzero(keep_rows))
    kept = rows.where(keep_columns[rows.indices])
    places = np.cumsum(keep_columns) - 1
    columns = places[kept.indices].astype(kept.indices.dtype)
    return Csr(kept.indptr, columns, kept.data, (kept.shape[0], int(keep_columns.sum())))
