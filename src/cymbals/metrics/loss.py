"""The value of the objective for given factors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace
from .._core import loss as core_loss
from ..base.recorder import phase
from ..data.csr import Csr
from ..solve.basis import gramian
from ..solve.half_step import subtract_offsets, without_biases
from ..solve.objective import Objective


def loss(
    rows: Csr,
    x: NDArray[Any],
    y: NDArray[Any],
    objective: Objective,
    item_indptr: NDArray[np.int64],
    workspace: int | Workspace,
    mean: float | None = None,
) -> float:
    """The objective with its regularization, divided by the number of cells. With "explicit": by the number of entries.

    Parameters
    ----------
    rows : Csr, shape (n_users, n_items)
        Values, one row for each user.
    x, y : ndarray, shape (n_users, f) and (n_items, f)
        If there is a mean, the last column of each holds the biases.
    objective : Objective
    item_indptr : ndarray, shape (n_items + 1,)
        `indptr` of the items' rows. It gives the number of entries of each item, on which the regularization may depend.
    workspace : int or Workspace
        A number of threads, or a workspace.
    mean : float, optional
        The mean of all values, for a model with biases.

    Returns
    -------
    float
    """
    fixed, offsets = without_biases(y, mean)
    total = 0.0
    for begin, block in rows.blocks():
        of_block = x[begin : begin + block.shape[0]]
        total += core_loss(subtract_offsets(block, offsets), objective.code, of_block, fixed, workspace)
    if objective.unobserved_weight > 0:
        total += objective.unobserved_weight * float(np.sum(gramian(x, workspace) * gramian(y, workspace)))
    with phase("loss"):
        for factors, indptr, others in ((x, rows.indptr, y.shape[0]), (y, item_indptr, x.shape[0])):
            norms = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
            total += float(np.sum(objective.row_regularization(indptr, others) * norms))
    n_terms = rows.nnz if objective.kind == "explicit" else rows.shape[0] * rows.shape[1]
    if not np.isfinite(total):
        raise ValueError("the loss overflows float64: scale the values down, or lower alpha or regularization")
    return float(total / max(n_terms, 1))
