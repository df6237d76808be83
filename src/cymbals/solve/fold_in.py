"""Solves rows outside a fit: rows of new users and items, and rows that changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._core import Index, rotate, solve_and_rank, solve_row
from ..data.csr import Csr
from .basis import beside_diagonal, eigenbasis, gramian
from .half_step import CG_TOLERANCE, NEVER, SOLVERS, Settings, solve_rows, subtract_offsets, without_biases
from .objective import Objective


@dataclass(frozen=True)
class FixedSide:
    """The factors of the fixed side, in a basis in which their Gramian is diagonal. Solutions use the model's basis.

    Attributes
    ----------
    rotated : ndarray, shape (n, f)
        The factors in this basis.
    gram : ndarray of float64, shape (f, f)
        The Gramian of `rotated`. What `of` returns has a diagonal one, but for rounding. After `with_rows` it is only close
        to diagonal, and its entries beside the diagonal are ignored.
    vectors : ndarray of float64, shape (f, f), or None
        They turn rows from the model's basis into this one. None if both are the same.
    offsets : ndarray or None
        With biases: what each row of the fixed side adds to every score.
    """

    rotated: NDArray[Any]
    gram: NDArray[np.float64]
    vectors: NDArray[np.float64] | None
    offsets: NDArray[Any] | None

    @classmethod
    def of(cls, factors: NDArray[Any], n_threads: int, mean: float | None = None) -> Self:
        """Rotate a copy of `factors`. If there is a mean, the last column of `factors` holds the biases.

        If their Gramian is diagonal already, as that of the users after a fit, they are not copied.
        """
        fixed, offsets = without_biases(factors, mean)
        gram = gramian(fixed, n_threads)
        if beside_diagonal(gram) <= 16 * np.finfo(fixed.dtype).eps * gram.shape[0] ** 0.5:
            return cls(fixed, gram, None, offsets)
        spectrum, vectors = eigenbasis(gram)
        fixed = fixed.copy()
        rotate(fixed, vectors, n_threads)
        return cls(fixed, np.diag(spectrum), vectors, offsets)

    def with_rows(
        self, factors: NDArray[Any], at: NDArray[np.int64], n_threads: int, mean: float | None = None
    ) -> Self | None:
        """The same side after its rows `at` have changed to those of `factors`, which can have further rows.

        The basis stays, which saves the rotation of the other rows. None if the Gramian is then too far from diagonal: to
        ignore its entries beside the diagonal could change a solution by more than the tolerance of conjugate gradients.
        """
        n = self.rotated.shape[0]
        at = np.union1d(at, np.arange(n, factors.shape[0]))
        new, offsets = without_biases(factors[at], mean)
        new = self.into(new, n_threads)
        gram = self.gram - gramian(self.rotated[at[at < n]], n_threads) + gramian(new, n_threads)
        if not beside_diagonal(gram) <= CG_TOLERANCE:
            return None
        if self.vectors is None and mean is None:
            return type(self)(factors, gram, None, None)
        rotated = np.empty((factors.shape[0], new.shape[1]), new.dtype)
        rotated[:n] = self.rotated
        rotated[at] = new
        return type(self)(rotated, gram, self.vectors, None if offsets is None else without_biases(factors, mean)[1])

    @cached_property
    def back(self) -> NDArray[np.float64] | None:
        """The vectors that turn rows from this basis into the model's. None if both are the same."""
        return None if self.vectors is None else np.ascontiguousarray(self.vectors.T)

    @cached_property
    def spectrum(self) -> NDArray[np.float64]:
        """The diagonal of the Gramian, shape (f,)."""
        return np.maximum(np.diag(self.gram), 0)

    def into(self, rows: NDArray[Any], n_threads: int) -> NDArray[Any]:
        """A copy of `rows` in this side's basis."""
        rows = np.array(rows, order="C")
        if self.vectors is not None:
            rotate(rows, self.vectors, n_threads)
        return rows

    def solve(
        self,
        rows: Csr,
        settings: Settings,
        n_threads: int,
        start: NDArray[Any] | None = None,
        prior: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Solve each row, and return the solutions in the model's basis, shape (m, f).

        Conjugate gradients start from `start`, or from 0. The solutions overwrite `start`, so that no copy of it is needed.
        With `prior`, of the same shape, the regularization pulls each row towards its row of `prior`; a row without
        entries becomes that row.
        """
        if start is None:
            solved = np.zeros((rows.shape[0], self.rotated.shape[1]), self.rotated.dtype)
        else:
            solved = start
            if self.vectors is not None:
                rotate(solved, self.vectors, n_threads)
        rows = subtract_offsets(rows, self.offsets)
        if rows.shape[0] == 1 and prior is None and solves_alone(settings):
            self._solve_one(rows, solved[0], settings, n_threads)
        else:
            if rows.nnz < self.rotated.shape[0]:  # a compact copy of the fixed side would take longer than it saves
                settings = replace(settings, compact=NEVER)
            towards = None if prior is None else self.into(prior, n_threads)
            solve_rows(rows, self.rotated, self.spectrum, solved, settings, n_threads, towards)
        if self.back is not None:
            rotate(solved, self.back, n_threads)
        return solved

    def ranked(
        self, row: Csr, settings: Settings, index: Index, k: int, exclude: bool, n_threads: int
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Solve one row as `solve` does, and find the k rows of an index with the highest scores, best first.

        Only for settings that `solves_alone` accepts, and without offsets. With `exclude`, the columns of `row` are left
        out. Both results have the shape (1, k). Missing rows are -1, their scores -inf.
        """
        solved = np.zeros((1, self.rotated.shape[1]), self.rotated.dtype)
        ids, scores = np.empty((1, k), np.int64), np.empty((1, k), solved.dtype)
        objective = settings.objective
        solve_and_rank(
            index,
            row,
            objective.code,
            self.rotated,
            objective.unobserved_weight * self.spectrum,
            self.back,
            solved,
            _regularization(objective, row),
            SOLVERS[settings.solver],
            settings.cg_steps,
            settings.cg_tolerance,
            exclude,
            ids,
            scores,
            n_threads,
        )
        return ids, scores

    def _solve_one(self, row: Csr, solved: NDArray[Any], settings: Settings, n_threads: int) -> None:
        objective = settings.objective
        solve_row(
            row.indices,
            row.data,
            objective.code,
            self.rotated,
            objective.unobserved_weight * self.spectrum,
            solved,
            _regularization(objective, row),
            SOLVERS[settings.solver],
            settings.cg_steps,
            settings.cg_tolerance,
            n_threads,
        )


def solves_alone(settings: Settings) -> bool:
    """Whether a single row can be solved from those rows of the fixed side for which it has an entry.

    Without unobserved weight and regularization, it cannot: the diagonal D of csrc/whiten.h then depends on the longest of
    all rows of the fixed side.
    """
    return settings.objective.unobserved_weight > 0 or settings.objective.regularization > 0


def _regularization(objective: Objective, row: Csr) -> float:
    found = objective.row_regularization(row.indptr, row.shape[1])
    return found if isinstance(found, float) else float(found[0])
