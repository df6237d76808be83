"""implicit's splits and ranking metrics. They work with every model that has implicit's method `recommend`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...base.progress import progress_bar
from .utils import check_random_state

_BATCH = 1000  # users for each call of `recommend`


def train_test_split(ratings: Any, train_percentage: float = 0.8, random_state: Any = None) -> tuple[Any, Any]:
    """Split the entries of a matrix at random. Entries below 0 are left out of the test part.

    Parameters
    ----------
    ratings : scipy sparse
    train_percentage : float
        The share of entries for the train part, from 0 to 1.
    random_state : int, Generator, RandomState or None
        The same seed gives the same parts as in implicit.

    Returns
    -------
    train, test : csr_matrix
    """
    entries = sp.coo_matrix(ratings)
    in_train = check_random_state(random_state).random(entries.nnz) < train_percentage
    train, test = _part(entries, in_train), _part(entries, ~in_train)
    test.data[test.data < 0] = 0
    test.eliminate_zeros()
    return train, test


def leave_k_out_split(ratings: Any, K: int = 1, train_only_size: float = 0.0, random_state: Any = None) -> tuple[Any, Any]:
    """Move K random entries of each user with more than K + 1 entries to the test part.

    Parameters
    ----------
    ratings : scipy sparse, shape (n_users, n_items)
    K : int
    train_only_size : float
        The share of users whose entries all stay in the train part: at least 0, below 1.
    random_state : int, Generator, RandomState or None
        The same seed gives the same parts. In implicit it does not.

    Returns
    -------
    train, test : csr_matrix
    """
    K = int(K)
    if K < 1:
        raise ValueError(f"The 'K' must be >= 1, got {K}")
    if not 0.0 <= train_only_size < 1.0:
        raise ValueError(f"The 'train_only_size' must be in the range (0.0 <= x < 1.0), got {train_only_size}")
    entries, rng = sp.coo_matrix(ratings), check_random_state(random_state)
    users, user_of, counts = np.unique(entries.row, return_inverse=True, return_counts=True)
    may_lose = counts > K + 1
    if train_only_size > 0 and users.size:
        may_lose[rng.choice(users.size, max(1, int(users.size * train_only_size)), replace=False)] = False
    order = np.lexsort((rng.random(entries.nnz), user_of))  # by user, and each user's entries at random
    place = np.arange(entries.nnz) - np.repeat(np.cumsum(counts) - counts, counts)
    in_test = np.zeros(entries.nnz, bool)
    in_test[order] = (place < K) & np.repeat(may_lose, counts)
    return _part(entries, ~in_test), _part(entries, in_test)


def _part(entries: Any, chosen: NDArray[np.bool_]) -> Any:
    places = (entries.row[chosen], entries.col[chosen])
    return sp.csr_matrix((entries.data[chosen], places), shape=entries.shape, dtype=entries.dtype)


def precision_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """Precision@K. See `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress, num_threads)["precision"]


def mean_average_precision_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """MAP@K. See `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress, num_threads)["map"]


def ndcg_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """NDCG@K. See `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress, num_threads)["ndcg"]


def AUC_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> float:
    """AUC of the K best items. See `ranking_metrics_at_k`."""
    return ranking_metrics_at_k(model, train_user_items, test_user_items, K, show_progress, num_threads)["auc"]


def ranking_metrics_at_k(
    model: Any,
    train_user_items: Any,
    test_user_items: Any,
    K: int = 10,
    show_progress: bool = True,
    num_threads: int = 1,
) -> dict[str, float]:
    """How well a model ranks the items of a test part.

    Users without test items do not count.

    Parameters
    ----------
    model : object with ``recommend(userids, user_items, N=...)``
    train_user_items, test_user_items : scipy sparse, shape (n_users, n_items)
    K : int
        Number of recommended items. Places beyond the number of items do not count, unlike in implicit, where they repeat
        item 0.
    show_progress : bool
        Show a progress bar on stderr.
    num_threads : int
        Not used, as in implicit: the model has its own number of threads.

    Returns
    -------
    dict of str to float
        "precision": all hits of all users, divided by the sum of min(K, test items of the user). "map", "ndcg", "auc":
        means over users. In "auc", test items that were not recommended count as being in the middle of the remaining
        items; users whose test part has all items have no AUC.

    Raises
    ------
    ZeroDivisionError
        No user has test items, or each of these users has all items.
    """
    train, test = sp.csr_matrix(train_user_items), _as_set(test_user_items)
    K, n_items = int(K), test.shape[1]
    if K < 1:
        raise ValueError(f"K must be at least 1, got {K}")
    n_liked = np.diff(test.indptr)
    users = np.flatnonzero(n_liked)
    factors = getattr(model, "item_factors", None)
    n_ranked = n_items if factors is None else max(n_items, factors.shape[0])
    hits = np.zeros((users.size, min(K, n_ranked)), bool)
    starts = range(0, users.size, _BATCH)
    with progress_bar(bool(show_progress), len(starts), "evaluate") as advance:
        for i, start in enumerate(starts):
            batch = users[start : start + _BATCH]
            ids = model.recommend(batch.astype(np.int32), train[batch], N=K)[0][:, : hits.shape[1]]
            hits[start : start + _BATCH, : ids.shape[1]] = _are_in(test, batch, ids)
            advance({"iteration": i + 1})
    return _metrics(hits, n_liked[users], n_items, K)


def _as_set(matrix: Any) -> Any:
    """A copy with each column at most once in a row."""
    csr = sp.csr_matrix(matrix, copy=True)
    csr.sum_duplicates()
    return csr


def _are_in(test: Any, users: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each item is among the user's test items."""
    rows = test[users].tocoo()
    keys = rows.row.astype(np.int64) * test.shape[1] + rows.col
    wanted = np.arange(users.size)[:, None] * test.shape[1] + ids.astype(np.int64)
    found: NDArray[np.bool_] = np.isin(wanted, keys) & (ids >= 0) & (ids < test.shape[1])
    return found


def _metrics(hits: NDArray[np.bool_], n_liked: NDArray[Any], n_items: int, K: int) -> dict[str, float]:
    if not n_liked.size:
        raise ZeroDivisionError("test_user_items has no entries, so there is nothing to measure")
    best_possible = np.minimum(K, n_liked)
    so_far = np.cumsum(hits, axis=1)
    found = so_far[:, -1]
    places = np.arange(1, hits.shape[1] + 1)
    gains = 1.0 / np.log2(np.arange(2, K + 2))
    average_precision = (hits * so_far / places).sum(axis=1) / best_possible
    dcg = (hits * gains[: hits.shape[1]]).sum(axis=1) / np.cumsum(gains)[best_possible - 1]
    missed, n_others = hits.shape[1] - found, n_items - n_liked
    ranked_right = (~hits * so_far).sum(axis=1) + (found + n_liked) / 2.0 * (n_others - missed)
    with_others = n_others > 0
    if not with_others.any():
        raise ZeroDivisionError("each user has all items in test_user_items, so there is no AUC")
    auc = ranked_right[with_others] / (n_liked * n_others)[with_others]
    return {
        "precision": float(found.sum() / best_possible.sum()),
        "map": float(average_precision.mean()),
        "ndcg": float(dcg.mean()),
        "auc": float(auc.mean()),
    }
