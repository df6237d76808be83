"""Ranking metrics of held-out items.

They are exact: all items that the user does not have in train are ranked, not a sample of them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import rank_metrics
from ..data.csr import Csr

_WRITTEN = ("precision", "recall", "map", "ndcg", "novelty")  # in the order in which csrc/metrics.cpp writes them
CUTOFF_METRICS = (*_WRITTEN, "capped_recall", "hit_rate")


def ranking(
    x: NDArray[Any],
    y: NDArray[Any],
    train: Csr,
    test: Csr,
    cutoffs: NDArray[np.int64],
    n_threads: int,
    novelty: NDArray[np.float64] | None = None,
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
    novelty : ndarray of float64, shape (n_items,), optional
        The novelty of each item, as `item_novelty` computes it. Without it, "novelty@k" is NaN.

    Returns
    -------
    per_user : dict of str to ndarray, shape (n_users,)
        "auc", "mrr", and "precision@k", "recall@k", "map@k", "ndcg@k", "novelty@k", "capped_recall@k", "hit_rate@k";
        NaN for users without held-out items.
    together : dict of str to float
        "coverage@k", computed over all users together.
    """
    per_user, covered = ranked_users(x, y, train, test, cutoffs, n_threads, novelty)
    return per_user, coverage(covered, cutoffs)


def ranked_users(
    x: NDArray[Any],
    y: NDArray[Any],
    train: Csr,
    test: Csr,
    cutoffs: NDArray[np.int64],
    n_threads: int,
    novelty: NDArray[np.float64] | None = None,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.uint8]]:
    """The metrics of each user, as `ranking`; and for each cut-off and item, 1 if the item is in the top k of a user."""
    results = np.empty((x.shape[0], 2 + len(_WRITTEN) * cutoffs.size))
    covered = np.zeros((cutoffs.size, y.shape[0]), np.uint8)
    for begin, end in itertools.pairwise(_part_begins(train, test).tolist()):
        part = slice(begin, end)
        seen, held_out = (csr.between(begin, end).owned() for csr in (train, test))
        rank_metrics(x[part], y, seen, held_out, cutoffs, results[part], covered, novelty, n_threads)
    names = ["auc", "mrr"] + [f"{name}@{k}" for k in cutoffs for name in _WRITTEN]
    per_user = dict(zip(names, np.ascontiguousarray(results.T), strict=True))
    for k in cutoffs:
        per_user |= _of_hits(per_user[f"precision@{k}"], per_user[f"recall@{k}"], int(k))
    return per_user, covered


def coverage(covered: NDArray[np.uint8], cutoffs: NDArray[np.int64]) -> dict[str, float]:
    """The metrics "coverage@k", from what `ranked_users` returns."""
    return {f"coverage@{k}": float(row.mean()) if row.size else 0.0 for k, row in zip(cutoffs, covered, strict=True)}


def _part_begins(train: Csr, test: Csr) -> NDArray[np.int64]:
    """The first user of each part, and then the number of users. If a matrix is in a store, its parts fit in memory."""
    begins = train.part_begins()
    return begins if begins.size > 2 else test.part_begins()


def item_novelty(train: Csr) -> NDArray[np.float64]:
    """-log2 of the share of the users who have an item, for each item (Zhou et al. 2010).

    Only users with entries in `train` count. An item that nobody has is treated as if one user had it.
    """
    n_users = max(1, np.count_nonzero(train.lengths()))
    audience = train.column_counts()
    out: NDArray[np.float64] = np.log2(n_users / np.maximum(audience, 1))
    return out


def _of_hits(precision: NDArray[np.float64], recall: NDArray[np.float64], k: int) -> dict[str, NDArray[np.float64]]:
    """The metrics that depend on the number of hits and of held-out items. With hits, both follow from other metrics."""
    hits = np.rint(precision * k)
    with np.errstate(divide="ignore", invalid="ignore"):
        held_out = np.rint(hits / recall)
        capped = np.where(hits > 0, hits / np.minimum(k, held_out), precision)
    return {f"capped_recall@{k}": capped, f"hit_rate@{k}": np.where(np.isnan(precision), np.nan, hits > 0)}


def mean_of_defined(values: NDArray[Any]) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
