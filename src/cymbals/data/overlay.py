"""A sparse matrix with few changes that are kept apart from it.

To insert some events into a matrix of millions, all its arrays must be copied. An overlay copies nothing: it merges the
changes into the rows that somebody asks for, and into the whole matrix only when somebody needs all entries.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .csr import Csr, IndirectCsr
from .merge import resized, resolved

_FEW = 1024  # a change of at most this share of the entries, one in _FEW, is kept apart
_MOST = 64  # at most one in _MOST entries is kept apart
_MOST_MAPPED = 8  # the same for a mapped matrix, which must not be copied into memory for less


class Overlay(IndirectCsr):
    """A matrix `base`, and `changes` whose values replace those of `base` or are added to its entries."""

    base: Csr
    changes: Csr
    _gained: NDArray[np.float64]

    def __init__(self, base: Csr, changes: Csr) -> None:
        rows, n_rows = changes.row_numbers(), base.shape[0]
        at, known = base.find(rows, changes.indices)
        indptr = base.indptr + np.concatenate([[0], np.cumsum(np.bincount(rows[~known], minlength=n_rows))])
        indptr.flags.writeable = False
        gains = changes.data.astype(np.float64)
        gains[known] -= base.data[at[known]]
        gained = np.bincount(rows, gains, n_rows)  # the change of the sum of each row
        vars(self).update(base=base, changes=changes, indptr=indptr, shape=base.shape, _gained=gained)

    def whole(self) -> Csr:
        return self._merged

    def between(self, begin: int, end: int) -> Csr:
        return self.whole().between(begin, end)

    @cached_property
    def _merged(self) -> Csr:
        return self.base.after(self.changes)

    def owned(self) -> Csr:
        base = self.base.owned()
        return self if base is self.base else Overlay(base, self.changes)

    def take(self, rows: NDArray[np.int64], n_threads: int = 1) -> Csr:
        return self.base.after(self.changes, rows, n_threads)

    def row(self, r: int) -> tuple[NDArray[Any], NDArray[Any]]:
        row = self.take(np.array([r]))
        return row.indices, row.data

    def row_sum(self, r: int) -> float:
        return self.base.row_sum(r) + float(self._gained[r])


def with_changes(csr: Csr, changes: Csr, how: str, n_threads: int = 1) -> tuple[Csr, Csr, NDArray[np.float64]]:
    """A matrix after changes. It is an overlay if the changes are few.

    Parameters
    ----------
    csr : Csr
        It may be an overlay.
    changes : Csr
        Its shape is that of the result, which can have more rows and columns than `csr`.
    how : {"add", "replace"}
        What happens to a pair that both have: its values are added, or the new value replaces the old one.

    Returns
    -------
    matrix : Csr
    values : Csr
        `changes` with the values that its pairs have in `matrix`. They may be 0.
    gains : ndarray
        By how much each of them is larger than before. A pair without a value had 0.
    """
    values, gains = resolved(_layers(csr, changes.shape), changes, how)
    return with_values(csr, values, n_threads), values, gains


def with_values(csr: Csr, values: Csr, n_threads: int = 1) -> Csr:
    """A matrix in which the pairs of `values` have these values. It is an overlay if they are few."""
    layers = _layers(csr, values.shape)
    kept = layers[1].after(values) if len(layers) == 2 else values
    base = layers[0]
    few = values.nnz * _FEW <= base.nnz and kept.nnz * _MOST <= base.nnz
    if base.is_mapped:
        few = kept.nnz * _MOST_MAPPED <= base.nnz
    if few and values.data.dtype == layers[0].data.dtype:
        return Overlay(layers[0], kept)
    return layers[0].after(kept, n_threads=n_threads)


def _layers(csr: Csr, shape: tuple[int, int]) -> list[Csr]:
    parts = [csr.base, csr.changes] if isinstance(csr, Overlay) else [csr]
    return [resized(part, shape) for part in parts]
