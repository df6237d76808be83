"""Explains scores: splits each score of a row's exact solution into one part for each entry of the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._core import SolveError
from ..base.threads import single_blas_thread
from ..data.csr import Csr
from .basis import eigenbasis, gramian
from .half_step import without_biases
from .objective import Objective


@dataclass(frozen=True)
class Explainer:
    """The fixed side and the eigenbasis of its Gramian.

    It computes in float64 even for float32 factors, so that the parts add up to the score.
    """

    factors: NDArray[Any]
    mean: float | None
    spectrum: NDArray[np.float64]
    vectors: NDArray[np.float64]

    @classmethod
    def of(cls, factors: NDArray[Any], mean: float | None, n_threads: int) -> Self:
        """Decompose the Gramian of `factors`. If there is a mean, the last column of `factors` holds the biases."""
        fixed, _ = without_biases(factors.astype(np.float64), mean)
        return cls(factors, mean, *eigenbasis(gramian(fixed, n_threads)))

    @single_blas_thread()  # the matrices are small: several threads would wait for each other longer than they compute
    def parts(
        self, row: Csr, items: NDArray[np.int64], objective: Objective
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The part that each entry of `row` adds to the score of each item, and what a prior adds.

        The first result has the shape (n_items, entries of the row). The second has the shape (n_items, f). Its product
        with the row's prior is the prior's part of the scores.

        Entry j of the row has the weight a_j, the weighted target b_j, and an item with the factors y_j. The matrix of the
        row's linear system is A, and the row's solution is A^-1 sum_j b_j y_j. The score of an item with the factors y is
        the product of the solution and y, so entry j adds b_j y_j'A^-1 y. A prior p adds lambda p to the sum, so lambda
        p'A^-1 y to the score.

        The factors are whitened as in a half-step. Then A = I + W'SW: row j of W is sqrt(|a_j|) y_j, and S is diagonal with
        the signs of the a_j. If no a_j is negative, the singular value decomposition W = U diag(s) V' gives
        A^-1 = I - V diag(s^2 / (1 + s^2)) V'. For entries with a large weight this difference would lose precision, so they
        use the equal form W A^-1 = U diag(s / (1 + s^2)) V'.
        """
        n = row.indices.size
        wanted = np.concatenate((row.indices, items))
        fixed, offsets = without_biases(self.factors[wanted].astype(np.float64), self.mean)
        values = objective.apply(row.data).astype(np.float64)
        a, b = objective.weights(values if offsets is None else values - offsets[:n])
        ridge = float(np.atleast_1d(objective.row_regularization(row.indptr, len(self.factors)))[0])
        roots = np.sqrt(self._diagonal(fixed[:n], ridge, objective))
        rotated = fixed @ self.vectors / roots
        own, targets, root = rotated[:n], rotated[n:].T, np.sqrt(np.abs(a))[:, None]
        whitened = root * own
        if np.any(a < 0):
            system = np.eye(len(targets)) + whitened.T @ (np.sign(a)[:, None] * whitened)
            try:
                lower = np.linalg.cholesky(system)
            except np.linalg.LinAlgError:
                raise SolveError("a row's system is not positive definite", 0) from None
            inner = np.linalg.solve(lower, targets)
            solved = np.linalg.solve(lower.T, inner)
            of_entries = np.linalg.solve(lower, own.T).T @ inner
            return np.asarray(b * of_entries.T), self._pull(solved, ridge, roots)
        u, s, v = np.linalg.svd(whitened, full_matrices=False)
        s, along = s[:, None], v @ targets
        solved = targets - v.T @ (s**2 / (1 + s**2) * along)
        light = own @ solved
        heavy = np.divide(u @ (s / (1 + s**2) * along), root, out=np.zeros_like(light), where=root > 0)
        is_heavy = np.einsum("ij,ij->i", whitened, whitened) > 1
        return np.asarray(b * np.where(is_heavy[:, None], heavy, light).T), self._pull(solved, ridge, roots)

    def _pull(self, solved: NDArray[np.float64], ridge: float, roots: NDArray[np.float64]) -> NDArray[np.float64]:
        """lambda A^-1 y of each item, from its solution in the whitened basis."""
        return np.asarray(ridge * (solved.T / roots) @ self.vectors.T)

    def _diagonal(self, own: NDArray[np.float64], ridge: float, objective: Objective) -> NDArray[np.float64]:
        """The diagonal of the matrix D in csrc/whiten.h. It has the same lower bound as in a fold-in of this row."""
        spectrum, eps = objective.unobserved_weight * self.spectrum, float(np.finfo(self.factors.dtype).eps)
        f, largest = spectrum.size, float(spectrum.max())
        floor = (largest + ridge) * f * max(16 * eps**2, float(np.finfo(np.float64).eps))
        if not largest + ridge > ridge:  # the weighted Gramian is 0, or so small that adding it to the ridge has no effect
            rows = own if ridge > 0 else without_biases(self.factors.astype(np.float64), self.mean)[0]
            longest = float(np.einsum("ij,ij->i", rows, rows).max(initial=0.0))
            floor = max(floor, longest * f * eps * (eps if ridge > 0 else 1)) or 1.0
        return np.asarray(np.maximum(spectrum + ridge, floor))
