"""Solving rows outside a fit: of users the model has not seen, and of rows that changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._core import rotate, solve_row
from ..data.csr import Csr
from .basis import eigenbasis, gramian
from .half_step import SOLVERS, Settings, less_offsets, solve_rows, without_biases


@dataclass(frozen=True)
class FixedSide:
    """The factors of one side in their own eigenbasis. Solutions come back in the basis that the factors had."""

    rotated: NDArray[Any]
    spectrum: NDArray[np.float64]
    vectors: NDArray[np.float64]
    offsets: NDArray[Any] | None

    @classmethod
    def of(cls, factors: NDArray[Any], n_threads: int, mean: float | None = None) -> Self:
        """From a copy of `factors`, whose last column holds biases where there is a mean."""
        fixed, offsets = without_biases(factors, mean)
        spectrum, vectors = eigenbasis(gramian(fixed, n_threads))
        fixed = fixed.copy()
        rotate(fixed, vectors, n_threads)
        return cls(fixed, spectrum, vectors, offsets)

    def solve(self, rows: Csr, settings: Settings, n_threads: int) -> NDArray[Any]:
        """The solution of each row, shape (m, f)."""
        solved = np.zeros((rows.shape[0], self.rotated.shape[1]), self.rotated.dtype)
        rows = less_offsets(rows, self.offsets)
        objective = settings.objective
        # Solving one row needs no pass over the fixed side, unless only such a pass tells how large a ridge must be.
        if rows.shape[0] == 1 and (objective.unobserved_weight > 0 or objective.regularization > 0):
            self._solve_one(rows, solved[0], settings, n_threads)
        else:
            solve_rows(rows, self.rotated, self.spectrum, solved, settings, n_threads)
        rotate(solved, np.ascontiguousarray(self.vectors.T), n_threads)
        return solved

    def _solve_one(self, row: Csr, solved: NDArray[Any], settings: Settings, n_threads: int) -> None:
        objective = settings.objective
        solve_row(
            row.indices,
            row.data,
            objective.code,
            self.rotated,
            np.ascontiguousarray(objective.unobserved_weight * self.spectrum),
            solved,
            float(np.atleast_1d(objective.row_regularization(row.indptr, row.shape[1]))[0]),
            SOLVERS[settings.solver],
            settings.cg_steps,
            settings.cg_tolerance,
            n_threads,
        )
