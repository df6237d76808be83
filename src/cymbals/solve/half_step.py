"""A half-step: rotate both sides into the eigenbasis of the fixed side's Gramian, then solve every row of the other side.

In that basis the Gramian is diagonal, so multiplying by it costs f operations instead of f^2. Without unobserved weight,
the Gramian is not needed and nothing is rotated. Only half-steps rotate factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace, rotate
from .._core import half_step as core_half_step
from ..data.csr import Csr
from .basis import eigenbasis, gramian
from .compact import Copy, weighted_spectrum
from .objective import Objective

SOLVERS = {"auto": 0, "cg": 1, "exact": 2, "dual": 3, "primal": 4}
# When solvers "auto" and "cg" read a 16-bit copy of a float32 fixed side. NEVER: not at all. LARGE: only if the fixed side
# is large, and not with more than 8 steps of solver "cg". ALWAYS: without these two conditions.
NEVER, LARGE, ALWAYS = range(3)
_LARGE_BYTES, _COMPACT_STEPS = 2 * 1024 * 1024, 8
# Solver "auto" stops the conjugate gradients of a row once |residual|^2 <= CG_TOLERANCE^2 b'z, in whitened coordinates,
# where b is the right-hand side and z the current solution. b'z is the part of the loss that z explains. The loss
# is then above its minimum by at most CG_TOLERANCE^2 times this part.
CG_TOLERANCE = 0.016


@dataclass(frozen=True)
class Settings:
    """How a half-step solves rows."""

    objective: Objective
    solver: str = "auto"
    cg_steps: int = 3
    cg_tolerance: float = CG_TOLERANCE
    compact: int = LARGE
    relaxation: float = 1.0
    mean: float | None = None  # mean of all values; only with biases, which are then the last column of each side


class Part(NamedTuple):
    """What some of the rows of a half-step must know about all of its rows, so that they get the same bits."""

    least_reg: float  # of all rows with entries
    most_reg: float
    first_row: int  # the number of the first of these rows; errors count rows from 0

    @classmethod
    def of(cls, objective: Objective, indptr: NDArray[np.int64], n_others: int, first_row: int = 0) -> Part:
        """Rows from `first_row` on, of all the rows with these row pointers. The other side has `n_others` rows."""
        return cls(*_range(objective.row_regularization(indptr, n_others), indptr), first_row)


def half_step(
    rows: Csr, fixed: NDArray[Any], solved: NDArray[Any], settings: Settings, workspace: int | Workspace
) -> dict[str, int]:
    """Solve the rows of one side while the other side stays fixed.

    Parameters
    ----------
    rows : Csr, shape (m, n)
        Values of the rows to solve.
    fixed : ndarray, shape (n, f)
        Factors of the other side. With unobserved weight they are rotated in place, together with `solved`, into the
        eigenbasis of their Gramian. Their scores do not change.
    solved : ndarray, shape (m, f)
        The previous factors of these rows. Conjugate gradients start from them. Overwritten with the solution.
    settings : Settings
    workspace : int or Workspace
        A number of threads, or a workspace.

    Returns
    -------
    dict of str to int
        Counts: rows by solver, steps of conjugate gradients, rows retried.

    Raises
    ------
    SolveError
        A row's system is not positive definite, or its values are too large for the dtype. Both arrays are then only
        partly updated and must be discarded.
    """
    fixed, offsets = without_biases(fixed, settings.mean)
    spectrum = np.zeros(fixed.shape[1])
    if settings.objective.unobserved_weight > 0:
        spectrum, basis = eigenbasis(gramian(fixed, workspace))
        rotate(fixed, basis, workspace)
        rotate(solved, basis, workspace)
    return solve_rows(rows, fixed, spectrum, solved, settings, workspace, offsets=offsets)


def solve_rows(
    rows: Csr,
    fixed: NDArray[Any],
    spectrum: NDArray[np.float64],
    solved: NDArray[Any],
    settings: Settings,
    workspace: int | Workspace,
    prior: NDArray[Any] | None = None,
    offsets: NDArray[Any] | None = None,
    part: Part | None = None,
    n_others: int | None = None,
    copy: Copy | None = None,
) -> dict[str, int]:
    """Solve `rows` as `half_step` does, without rotating. With unobserved weight, diag(spectrum) must be the Gramian.

    With `prior`, an array like `solved`, the regularization pulls each row towards its row of `prior` instead of 0. With
    `offsets`, a number for each row of `fixed`, they are subtracted from the values.

    With `part`, `rows` are only some rows of the half-step. `n_others` is the number of rows of the whole fixed side, if
    `fixed` has only those that the entries name. With `copy`, which needs `part`, `fixed` has only the rows ``copy.heavy``.
    """
    objective = settings.objective
    regularization = objective.row_regularization(rows.indptr, rows.shape[1] if n_others is None else n_others)
    least, most, first = (*_range(regularization, rows.indptr), 0) if part is None else part
    weighted = weighted_spectrum(objective, spectrum)
    prepared, counts = False, dict[str, int]()
    if copy is not None and part is None:
        raise ValueError("a copy needs a part")
    if not isinstance(workspace, Workspace):
        workspace = Workspace(workspace)
    for begin, block in rows.parts():
        at = slice(begin, begin + block.shape[0])
        found = core_half_step(
            subtract_offsets(block, offsets),
            objective.code,
            fixed,
            weighted,
            solved[at],
            regularization if isinstance(regularization, float) else regularization[at],
            SOLVERS[settings.solver],
            settings.cg_steps,
            settings.cg_tolerance,
            settings.relaxation,
            settings.compact,
            workspace,
            prior=None if prior is None else prior[at],
            part=(least, most, prepared),
            first_row=first + begin,
            copy=copy,
        )
        counts = {name: counts.get(name, 0) + count for name, count in found.items()}
        prepared = True
    return counts


def _range(regularization: float | NDArray[np.float64], indptr: NDArray[np.int64]) -> tuple[float, float]:
    """The least and the largest regularization of the rows with entries; (0, 0) if there are none."""
    if isinstance(regularization, float):
        return regularization, regularization
    used = regularization[indptr[1:] > indptr[:-1]]
    return (float(used.min()), float(used.max())) if used.size else (0.0, 0.0)


def compact_of(settings: Settings, n_fixed: int, width: int) -> int:
    """NEVER or ALWAYS: what LARGE means for a fixed side of this shape. ``csrc/solver_choice.h`` has the same rule."""
    if settings.compact != LARGE:
        return settings.compact
    few_steps = settings.solver != "cg" or settings.cg_steps <= _COMPACT_STEPS
    return ALWAYS if few_steps and n_fixed * width * 4 >= _LARGE_BYTES else NEVER


def reads_copy(settings: Settings, n_fixed: int, width: int, dtype: np.dtype[Any]) -> bool:
    """Whether rows are solved with a 16-bit copy of a fixed side of this shape and type."""
    if dtype != np.float32 or settings.solver not in ("auto", "cg"):
        return False
    return compact_of(settings, n_fixed, width) == ALWAYS


def without_biases(fixed: NDArray[Any], mean: float | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The fixed side with ones instead of biases, and the offset that each of its rows adds to every score.

    A model with biases scores mean + b_i + [x, b_u].[y, 1], so the bias b_u is solved like one more factor of the user.
    Rows [y, b_i] become [y, 1], and item i has the offset mean + b_i. A model without biases has no mean: this returns
    `fixed` itself, and None.
    """
    if mean is None:
        return fixed, None
    ones = fixed.copy()
    ones[:, -1] = 1
    return ones, fixed[:, -1] + mean


def subtract_offsets(rows: Csr, offsets: NDArray[Any] | None) -> Csr:
    """A copy of `rows` in which the offset of a value's column is subtracted from the value.

    Without offsets, this returns `rows` itself. If a value overflows, the kernels refuse it.
    """
    if offsets is None:
        return rows
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(rows, data=rows.data - offsets.take(rows.indices))
