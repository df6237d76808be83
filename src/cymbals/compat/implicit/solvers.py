"""implicit's functions of arrays: solve the rows of one side, compute the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core import Workspace, rotate
from ...metrics.loss import loss
from ...solve.basis import eigenbasis, gramian
from ...solve.half_step import solve_rows
from .confidence import Confidences, confidences
from .utils import n_threads_of


def least_squares(Cui: Any, X: NDArray[Any], Y: NDArray[Any], regularization: float, num_threads: int = 0) -> None:
    """Solve every user exactly, and write the factors to X.

    Parameters
    ----------
    Cui : csr_matrix, shape (n_users, n_items)
        Confidences, already multiplied by alpha.
    X, Y : ndarray, shape (n_users, f) and (n_items, f)
        Factors of users and of items.
    regularization : float
    num_threads : int
    """
    _solve_into(Cui, X, Y, regularization, num_threads, solver="exact")


def least_squares_cg(
    Cui: Any, X: NDArray[Any], Y: NDArray[Any], regularization: float, num_threads: int = 0, cg_steps: int = 3
) -> None:
    """Improve every user by conjugate gradients from the factors in X, and write the result to X.

    Parameters
    ----------
    Cui, X, Y, regularization, num_threads
        See `least_squares`.
    cg_steps : int
    """
    _solve_into(Cui, X, Y, regularization, num_threads, solver="cg", cg_steps=max(1, cg_steps))


def _solve_into(
    Cui: Any, X: NDArray[Any], Y: NDArray[Any], regularization: float, num_threads: int, **changes: Any
) -> None:
    n_threads = n_threads_of(num_threads)
    given = _confidences_for(X, Y, Cui, n_threads)
    fixed, solved = np.array(Y, order="C"), np.array(X, order="C")
    spectrum, vectors = eigenbasis(gramian(fixed, n_threads))
    rotate(fixed, vectors, n_threads)
    rotate(solved, vectors, n_threads)
    solve_rows(given.csr, fixed, spectrum, solved, given.settings(regularization, **changes), n_threads)
    rotate(solved, np.ascontiguousarray(vectors.T), n_threads)
    X[:] = solved


def _confidences_for(X: NDArray[Any], Y: NDArray[Any], Cui: Any, n_threads: int) -> Confidences:
    given = confidences("Cui", Cui, 1.0, Y.dtype, n_threads)
    if given.csr.shape != (X.shape[0], Y.shape[0]):
        raise ValueError(f"Cui must have the shape {(X.shape[0], Y.shape[0])}, as X and Y have, got {given.csr.shape}")
    return given


def calculate_loss(Cui: Any, X: NDArray[Any], Y: NDArray[Any], regularization: float, num_threads: int = 0) -> float:
    """The loss that implicit reports.

    Parameters
    ----------
    Cui, X, Y, regularization, num_threads
        See `least_squares`.

    Returns
    -------
    float
        The value of the objective, divided by the sum of all weights. Each cell with a confidence below 0 adds its weight
        to the objective once more, as in implicit.
    """
    n_threads = n_threads_of(num_threads)
    given = _confidences_for(X, Y, Cui, n_threads)
    return loss_of(given, np.ascontiguousarray(X), np.ascontiguousarray(Y), regularization, n_threads)


def loss_of(
    given: Confidences, x: NDArray[Any], y: NDArray[Any], regularization: float, workspace: int | Workspace
) -> float:
    """The loss of confidences that were made from a matrix, as `calculate_loss` defines it."""
    csr = given.csr
    indptr = np.zeros(csr.shape[1] + 1, np.int64)  # the regularization does not depend on the number of entries
    n_cells = csr.shape[0] * csr.shape[1]
    objective = loss(csr, x, y, given.objective(regularization), indptr, workspace) * n_cells * given.scale
    weights = (np.abs(csr.data.astype(np.float64)) + 1) * given.scale
    return float((objective + weights[csr.data < 0].sum()) / (weights.sum() + n_cells - csr.nnz))
