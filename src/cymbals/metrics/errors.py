"""Root mean square error and mean absolute error of models whose scores estimate values, such as ratings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.blocks import blocks
from ..data.csr import Csr


def pair_scores(x: NDArray[Any], y: NDArray[Any], users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[Any]:
    """The score x[u] . y[i] of each pair of a user row u and an item row i."""
    out = np.empty(users.size, y.dtype)
    for block in blocks(users.size, 2 * y.itemsize * y.shape[1]):
        out[block] = np.einsum("ij,ij->i", x[users[block]], y[items[block]])
    return out


def errors(x: NDArray[Any], y: NDArray[Any], test: Csr) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Root mean square error ("rmse") and mean absolute error ("mae") of the scores x.y against the values of `test`.

    Parameters
    ----------
    x, y : ndarray, shape (n_users, f) and (n_items, f)
    test : Csr, shape (n_users, n_items)

    Returns
    -------
    per_user : dict of str to ndarray, shape (n_users,)
        NaN for users without entries.
    together : dict of str to float
        One number over all entries. It is not the mean over users.
    """
    sizes = np.abs(pair_scores(x, y, test.row_numbers(), test.indices) - test.data.astype(np.float64))
    powers = np.column_stack([sizes**2, sizes])
    sums = np.column_stack([np.bincount(test.row_numbers(), p, test.shape[0]) for p in powers.T])
    with np.errstate(invalid="ignore"):  # users without entries give 0 / 0
        of_users = sums / test.lengths()[:, None]
        of_all = powers.sum(axis=0) / test.nnz
    for means in (of_users, of_all):
        means[..., 0] = np.sqrt(means[..., 0])
    names = ("rmse", "mae")
    return dict(zip(names, np.ascontiguousarray(of_users.T), strict=True)), dict(zip(names, of_all.tolist(), strict=True))
