"""Solves rows outside a fit: rows of new users and items, and rows that changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._core import rotate, solve_row
from ..data.csr import Csr
from .basis import eigenbasis, gramian
from .half_step import SOLVERS, Settings, solve_rows, subtract_offsets, without_biases


@dataclass(frozen=True)
class FixedSide:
    """The factors of the fixed side, rotated into the eigenbasis of their Gramian. Solutions use the model's basis."""

    rotated: NDArray[Any]
    spectrum: NDArray[np.float64]
    vectors: NDArray[np.float64]
    offsets: NDArray[Any] | None

    @classmethod
    def of(cls, factors: NDArray[Any], n_threads: int, mean: float | None = None) -> Self:
        """Rotate a copy of `factors`. If there is a mean, the last column of `factors` holds the biases."""
        fixed, offsets = without_biases(factors, mean)
        spectrum, vectors = eigenbasis(gramian(fixed, n_threads))
        fixed = fixed.copy()
        rotate(fixed, vectors, n_threads)
        return cls(fixed, spectrum, vectors, offsets)

    def solve(self, rows: Csr, settings: Settings, n_threads: int, start: NDArray[Any] | None = None) -> NDArray[Any]:
        """Solve each row, and return the solutions in the model's basis, shape (m, f).

        Conjugate gradients start from `start`, which has the same shape, or from 0.
        """
        solved = np.zeros((rows.shape[0], self.rotated.shape[1]), self.rotated.dtype)
        if start is not None:
            solved[:] = start
            rotate(solved, self.vectors, n_threads)
        rows = subtract_offsets(rows, self.offsets)
        objective = settings.objective
        # `_solve_one` reads only those rows of the fixed side for which the row to solve has an entry. Without unobserved
        # weight and regularization, this is too little: the diagonal D of csrc/whiten.h then depends on the longest of all
        # rows of the fixed side. `solve_rows` reads them all.
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
