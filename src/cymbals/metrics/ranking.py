"""Ranking metrics of held-out items.

They are exact: all items that the user does not have in train are ranked, not a sample of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import rank_metrics
from ..data.csr import Csr

CUTOFF_METRICS = ("precision", "recall", "map", "ndcg")  # in the order in which csrc/metrics.cpp writes them


def ranking(
    x: NDArray[Any], y: NDArray[Any], train: Csr, test: Csr, cutoffs: NDArray[np.int64], n_threads: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Ranking metrics of the scores x.y. `cymbals.evaluate` documents their definitions.

    Parameters
    ----------
    x, y : ndarray, shape (n_users, f) and (n_items, f)
    train, test : Csr, shape (n_users, n_items)
        The items of `train` are not ranked. The items of `test` are the held-out items.
    cutoffs : ndarray of int64
        The values of k for metrics such as "ndcg@k".
    n_threads : int

    Returns
    -------
    per_user : dict of str to ndarray, shape (n_users,)
        "auc", "mrr", and "precision@k", "recall@k", "map@k", "ndcg@k"; NaN for users without held-out items.
    together : dict of str to float
        "coverage@k", computed over all users together.
    """
    results = np.empty((x.shape[0], 2 + len(CUTOFF_METRICS) * cutoffs.size))
    covered = np.zeros((cutoffs.size, y.shape[0]), np.uint8)
    rank_metrics(x, y, train, test, cutoffs, results, covered, n_threads)
    names = ["auc", "mrr"] + [f"{name}@{k}" for k in cutoffs for name in CUTOFF_METRICS]
    per_user = dict(zip(names, np.ascontiguousarray(results.T), strict=True))
    together = {f"coverage@{k}": float(covered[i].mean()) if y.shape[0] else 0.0 for i, k in enumerate(cutoffs)}
    return per_user, together


def mean_of_defined(values: NDArray[Any]) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
