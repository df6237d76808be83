"""Merges changes into a sparse matrix: adds or replaces values, and inserts entries."""

from __future__ import annotations

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


def resolved(layers: list[Csr], changes: Csr, how: str) -> tuple[Csr, NDArray[np.float64]]:
    """`changes` with the values that its pairs get, and by how much each value grows.

    Parameters
    ----------
    layers : list of Csr
        The present matrix. If several layers have an entry for a pair, the last one counts. All have the shape of
        `changes`.
    changes : Csr
    how : {"add", "replace"}
        What happens to a pair that has a value: the values are added, or the new value replaces the old one.

    Returns
    -------
    values : Csr
        The entries of `changes`. They are float64 if those of the first layer or of `changes` are, or if a whole number
        among them is too large for float32.
    gains : ndarray, shape (nnz,)
        A pair without a value grows from 0.
    """
    rows, values, present = changes.row_numbers(), changes.data.astype(np.float64), np.zeros(changes.nnz)
    for layer in layers:
        at, found = layer.find(rows, changes.indices)
        present[found] = layer.data[at[found]]
    with np.errstate(over="ignore"):  # an infinity is refused below
        if how == "add":
            values += present
        held = values.astype(_dtype(layers[0], changes, values))
        gains = values - present
    beyond = np.flatnonzero(~np.isfinite(held))
    if beyond.size:
        i = beyond[0]
        raise ValueError(f"the values of row {rows[i]}, column {changes.indices[i]} add up to {values[i]}: too large")
    return Csr(changes.indptr, changes.indices, held, changes.shape), gains


def merged_with_times(base: Csr, changes: Csr, times: NDArray[Any], changed: NDArray[Any]) -> tuple[Csr, NDArray[Any]]:
    """`base.after(changes)`, and the later time of each entry.

    `times` are those of the entries of `base`, `changed` those of `changes`.
    """
    if times.dtype != changed.dtype:
        raise TypeError(f"time: the data have times of the type {times.dtype}, the events {changed.dtype}; use one type")
    at, found = base.find(changes.row_numbers(), changes.indices)
    later = times.copy()
    later[at[found]] = np.maximum(later[at[found]], changed[found])
    return base.after(changes), np.insert(later, at[~found], changed[~found])


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
