"""Half-steps: the eigenbasis of the fixed side, and every row of the other solved in it.

The one place where factors are rotated. With G = Y'Y = Q diag(L) Q' and Y <- YQ, X <- XQ, scores and regularization
stay as they are and the Gramian becomes diagonal, so that a row costs no f^2 work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._record import phase
from .csr import Csr
from .objective import Objective
from .threads import single_blas_thread

SOLVERS = {"auto": 0, "cg": 1, "exact": 2, "dual": 3, "primal": 4}
NEVER, LARGE, ALWAYS = range(3)  # which fixed sides conjugate gradients read from a 16-bit copy
# Where CG in solver "auto" stops: |r|^2 <= tolerance^2 b'z bounds a row's excess loss by tolerance^2 of what it explains.
CG_TOLERANCE = 0.016


@dataclass(frozen=True)
class Settings:
    """What a half-step needs to know beside the data."""

    objective: Objective
    solver: str
    cg_steps: int
    n_threads: int
    simd: int = 0
    cg_tolerance: float = CG_TOLERANCE
    compact: int = LARGE
    workspace: _core.Workspace | None = None  # kept from one call to the next, with its memory and its record
    relaxation: float = 1.0
    mean: float | None = None  # of all values, where the last column of either side is its bias

    @property
    def how(self) -> _core.Workspace:
        """What calls work with."""
        return self.workspace or _core.Workspace(self.n_threads, self.simd)


def gramian(factors: NDArray[Any], how: int | _core.Workspace) -> NDArray[np.float64]:
    """Y'Y in float64, the same to the bit for any number of threads."""
    gram = np.empty((factors.shape[1],) * 2)
    _core.gram(factors, gram, how)
    return gram


def eigenbasis(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, at least 0, largest first, and eigenvectors, each with its largest entry positive."""
    if not np.isfinite(gram).all():
        raise ValueError("factors grew beyond their dtype: scale init down, raise regularization, or use dtype='float64'")
    with single_blas_thread(), phase("eigh"):  # without waiting for others, and without what the first call loads
        values, vectors = np.linalg.eigh(gram)
    spectrum, basis = np.empty_like(values), np.empty_like(gram)
    _core.basis(values, np.ascontiguousarray(vectors.T), 1.0, spectrum, basis)
    return spectrum, basis


def solve_rows(
    rows: Any, fixed: NDArray[Any], spectrum: NDArray[np.float64], solved: NDArray[Any], settings: Settings
) -> dict[str, int]:
    """Solves `rows` (CSR) into `solved`, whose contents are the start, the Gramian of `fixed` being diag(spectrum)."""
    objective = settings.objective
    return _core.half_step(
        rows,
        objective.code,
        fixed,
        np.ascontiguousarray(objective.unobserved_weight * spectrum),
        solved,
        objective.row_regularization(rows.indptr, rows.shape[1]),
        SOLVERS[settings.solver],
        settings.cg_steps,
        settings.cg_tolerance,
        settings.relaxation,
        settings.compact,
        settings.how,
    )


def _solve_row(
    row: Csr, fixed: NDArray[Any], spectrum: NDArray[np.float64], solved: NDArray[Any], settings: Settings
) -> None:
    objective = settings.objective
    _core.solve_row(
        row.indices,
        row.data,
        objective.code,
        fixed,
        np.ascontiguousarray(objective.unobserved_weight * spectrum),
        solved,
        float(np.atleast_1d(objective.row_regularization(row.indptr, row.shape[1]))[0]),
        SOLVERS[settings.solver],
        settings.cg_steps,
        settings.cg_tolerance,
        settings.how,
    )


def against(fixed: NDArray[Any], mean: float | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """What a side with biases is solved against: [y, b] as [y, 1], and mean + b, which stands in a score in any case.

    With a score mean + b_i + [x, b_u].[y, 1], a bias is one more factor. Without a mean, `fixed` itself and None.
    """
    if mean is None:
        return fixed, None
    ones = fixed.copy()
    ones[:, -1] = 1
    return ones, fixed[:, -1] + mean


def less(rows: Csr, offsets: NDArray[Any] | None) -> Csr:
    """`rows` with the offset of its column taken off each value; too large a value is left to the kernels to refuse."""
    if offsets is None:
        return rows
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(rows, data=rows.data - offsets.take(rows.indices))


def half_step(rows: Any, fixed: NDArray[Any], solved: NDArray[Any], settings: Settings) -> dict[str, int]:
    """Rotates both sides into the eigenbasis of `fixed`, in place, and solves `solved` for `rows`."""
    fixed, offsets = against(fixed, settings.mean)
    rows = less(rows, offsets)
    spectrum, how = np.zeros(fixed.shape[1]), settings.how
    if settings.objective.unobserved_weight > 0:
        spectrum, basis = eigenbasis(gramian(fixed, how))
        _core.rotate(fixed, basis, how)
        _core.rotate(solved, basis, how)
    return solve_rows(rows, fixed, spectrum, solved, settings)


@dataclass(frozen=True)
class Basis:
    """A fixed side in its own eigenbasis, for rows that are solved outside a fit."""

    fixed: NDArray[Any]
    spectrum: NDArray[np.float64]
    vectors: NDArray[np.float64]
    offsets: NDArray[Any] | None

    @classmethod
    def of(cls, factors: NDArray[Any], n_threads: int, mean: float | None = None) -> Basis:
        """A rotated copy of `factors`, whose last column holds biases where there is a mean."""
        fixed, offsets = against(factors, mean)
        spectrum, vectors = eigenbasis(gramian(fixed, n_threads))
        fixed = fixed.copy()
        _core.rotate(fixed, vectors, n_threads)
        return cls(fixed, spectrum, vectors, offsets)

    def solve(self, rows: Any, settings: Settings) -> NDArray[Any]:
        """Solutions of `rows`, in the basis that the factors came in."""
        solved = np.zeros((rows.shape[0], self.fixed.shape[1]), self.fixed.dtype)
        rows = less(rows, self.offsets)
        objective = settings.objective
        # Without work for all of the fixed side, which alone tells how large a ridge is where there is none at all.
        if rows.shape[0] == 1 and (objective.unobserved_weight > 0 or objective.regularization > 0):
            _solve_row(rows, self.fixed, self.spectrum, solved[0], settings)
        else:
            solve_rows(rows, self.fixed, self.spectrum, solved, settings)
        _core.rotate(solved, np.ascontiguousarray(self.vectors.T), settings.n_threads)
        return solved


def loss(
    rows: Any,
    x: NDArray[Any],
    y: NDArray[Any],
    objective: Objective,
    item_indptr: NDArray[np.int64],
    how: int | _core.Workspace,
    mean: float | None = None,
) -> float:
    """The objective over the number of cells (explicit: of entries), regularization included."""
    fixed, offsets = against(y, mean)
    total = _core.loss(less(rows, offsets), objective.code, x, fixed, how)
    if objective.unobserved_weight > 0:
        total += objective.unobserved_weight * float(np.sum(gramian(x, how) * gramian(y, how)))
    with phase("loss"):
        for factors, indptr, others in ((x, rows.indptr, y.shape[0]), (y, item_indptr, x.shape[0])):
            norms = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
            total += float(np.sum(objective.row_regularization(indptr, others) * norms))
    cells = rows.indices.shape[0] if objective.kind == "explicit" else rows.shape[0] * rows.shape[1]
    if not np.isfinite(total):
        raise ValueError("the loss overflows float64: scale the values down, or lower alpha or regularization")
    return float(total / max(cells, 1))
