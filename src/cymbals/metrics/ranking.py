"""How well scores rank held-out items: exact, over the full catalogue, for every user, in one threaded pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import rank_metrics
from ..data.csr import Csr

AT_CUTOFF = ("precision", "recall", "map", "ndcg")  # what csrc/metrics.cpp gives for each cut-off, in its order


def ranking(
    x: NDArray[Any], y: NDArray[Any], train: Csr, test: Csr, cutoffs: NDArray[np.int64], n_threads: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Ranking metrics of scores x.y; `cymbals.evaluate` has their definitions.

    Parameters
    ----------
    x, y : ndarray, shape (n_users, f) and (n_items, f)
    train, test : Csr, shape (n_users, n_items)
        Items that are not ranked, and held-out items.
    cutoffs : ndarray of int64
        The k of the metrics "@k".
    n_threads : int

    Returns
    -------
    per_user : dict of str to ndarray, shape (n_users,)
        "auc", "mrr", and "precision@k", "recall@k", "map@k", "ndcg@k"; NaN for users without held-out items.
    together : dict of str to float
        "coverage@k" of all users.
    """
    figures = np.empty((x.shape[0], 2 + len(AT_CUTOFF) * cutoffs.size))
    covered = np.zeros((cutoffs.size, y.shape[0]), np.uint8)
    rank_metrics(x, y, train, test, cutoffs, figures, covered, n_threads)
    names = ["auc", "mrr"] + [f"{name}@{k}" for k in cutoffs for name in AT_CUTOFF]
    per_user = dict(zip(names, np.ascontiguousarray(figures.T), strict=True))
    together = {f"coverage@{k}": float(covered[i].mean()) if y.shape[0] else 0.0 for i, k in enumerate(cutoffs)}
    return per_user, together


def mean_over_users(values: NDArray[np.float64]) -> float:
    """The mean over users for whom a metric is defined; NaN where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
