"""The 16-bit copy of a fixed side, in parts: each machine of a distributed fit makes that of its rows, and sends it.

`half_step` does not need this file: its kernel makes the copy itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace, compact_width, compress, heaviest_compact
from .objective import Objective

_MARGIN = 1e-4  # weights are computed in float64 here, and in float32 in the kernel


class Copy(NamedTuple):
    """The copy of some rows of a fixed side. ``cymbals_copy`` in ``cymbals.h`` describes it."""

    pairs: NDArray[np.int32]  # shape (n, compact_width(f))
    leverage: NDArray[np.float32]  # shape (n,)
    heavy: NDArray[np.int64]  # ascending numbers of the rows that entries of large weight read in float32

    @classmethod
    def empty(cls, n: int, f: int) -> Copy:
        """Room for n rows."""
        return cls(np.empty((n, compact_width(f)), np.int32), np.empty(n, np.float32), np.empty(0, np.int64))


class Whitening(NamedTuple):
    """How fixed rows become a copy: the diagonal of their Gramian, weighted, and the regularization of the solved rows."""

    spectrum: NDArray[np.float64]
    least_reg: float
    most_reg: float

    def write(self, rows: NDArray[np.float32], to: Copy, first: int, workspace: Workspace) -> None:
        """Write the copy of `rows` to rows `first` and on of `to`."""
        at = slice(first, first + rows.shape[0])
        compress(rows, *self, to.pairs[at], to.leverage[at], workspace)


def weighted_spectrum(objective: Objective, spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spectrum as kernels take it."""
    return np.ascontiguousarray(objective.unobserved_weight * spectrum)


def heaviest_weights(objective: Objective, indptr: NDArray[np.int64], values: NDArray[Any]) -> NDArray[np.float64]:
    """For each row of a matrix, a bound of the weights of its entries. 0 for an empty row."""
    out = np.zeros(indptr.size - 1)
    used = np.flatnonzero(np.diff(indptr))
    if used.size:
        starts = indptr[used]
        largest = np.maximum(np.maximum.reduceat(values, starts), -np.minimum.reduceat(values, starts))
        # A weight grows with the size of its value, from what it is for a value of 0, which may be negative.
        (of_zero,) = np.abs(objective.weights(np.zeros(1))[0])
        out[used] = np.maximum(np.abs(objective.weights(largest.astype(np.float64))[0]), of_zero)
    return out


def heavy_rows(leverage: NDArray[np.float32], heaviest: NDArray[np.float64]) -> NDArray[np.int64]:
    """The fixed rows that some entry may read in float32, given the heaviest weight of the entries that name each row."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.flatnonzero(~(heaviest * leverage <= heaviest_compact() * (1 - _MARGIN)))
