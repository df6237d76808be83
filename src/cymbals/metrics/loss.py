"""The objective's value for given factors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace
from .._core import loss as core_loss
from ..base.recorder import phase
from ..data.csr import Csr
from ..solve.basis import gramian
from ..solve.half_step import less_offsets, without_biases
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
    """The objective, regularization included, divided by the number of cells ("explicit": of entries).

    Parameters
    ----------
    rows : Csr, shape (n_users, n_items)
        Values of users' rows.
    x, y : ndarray, shape (n_users, f) and (n_items, f)
        With a mean, the last column of each holds biases.
    objective : Objective
    item_indptr : ndarray, shape (n_items + 1,)
        `indptr` of the items' rows: an item's regularization may depend on its number of entries.
    workspace : int or Workspace
        A number of threads, or a workspace.
    mean : float, optional
        Of all values, in a model with biases.

    Returns
    -------
    float
    """
    fixed, offsets = without_biases(y, mean)
    total = core_loss(less_offsets(rows, offsets), objective.code, x, fixed, workspace)
    if objective.unobserved_weight > 0:
        total += objective.unobserved_weight * float(np.sum(gramian(x, workspace) * gramian(y, workspace)))
    with phase("loss"):
        for factors, indptr, others in ((x, rows.indptr, y.shape[0]), (y, item_indptr, x.shape[0])):
            norms = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
            total += float(np.sum(objective.row_regularization(indptr, others) * norms))
    n_terms = rows.indices.shape[0] if objective.kind == "explicit" else rows.shape[0] * rows.shape[1]
    if not np.isfinite(total):
        raise ValueError("the loss overflows float64: scale the values down, or lower alpha or regularization")
    return float(total / max(n_terms, 1))
