"""The N best rows of a matrix of factors for each query, in the form in which implicit returns them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.csr import Csr, from_scipy
from ...model import retrieval
from .recommender_base import Results
from .utils import n_threads_of


def best(
    factors: NDArray[Any],
    queries: NDArray[Any],
    n: int,
    *,
    norms: NDArray[Any] | None = None,
    liked: Any = None,
    filtered: Any = None,
    num_threads: int = 0,
) -> Results:
    """The n rows of `factors` with the highest scores for each query.

    Parameters
    ----------
    factors : ndarray, shape (n_items, f)
    queries : ndarray, shape (m, f) or (f,)
    n : int
    norms : ndarray, shape (n_items,), optional
        Divide the scores by these.
    liked : csr_matrix with m rows, optional
        Items to filter for each query.
    filtered : indices, optional
        Items to filter for all queries.
    num_threads : int

    Returns
    -------
    ids : ndarray of int32, shape (m, n)
    scores : ndarray, shape (m, n)
        Best first. Filtered items come after all others, with the score -max of the dtype. If there are fewer than n
        items, places that are left have the id 0 and the score 0.
    """
    factors, queries = np.ascontiguousarray(factors), np.atleast_2d(queries)
    if queries.ndim != 2:
        raise ValueError(f"ids must be one id or a list of ids, got an array of {queries.ndim - 1} dimensions")
    queries = np.ascontiguousarray(queries, dtype=factors.dtype)
    if not np.isfinite(queries).all():
        raise ValueError("the factors of a query are not finite, so nothing can be ranked: fit the model again")
    n = int(n)
    n_items, n_threads = factors.shape[0], n_threads_of(num_threads)
    ids = np.zeros((queries.shape[0], n), np.int32)
    scores = np.zeros((queries.shape[0], n), queries.dtype)
    places = min(n, n_items)
    if not ids.size or not places:
        return ids, scores
    unwanted = np.empty(0, np.int64) if filtered is None else np.unique(np.arange(n_items)[filtered])
    skip = None if liked is None else _skipped(liked, queries.shape[0], n_items, n_threads)
    rows, found = retrieval.topk(
        lambda block: queries[block],
        factors,
        queries.shape[0],
        places,
        n_threads,
        None if skip is None else skip.take,
        np.setdiff1d(np.arange(n_items), unwanted, assume_unique=True) if unwanted.size else None,
        None if norms is None else (1 / norms).astype(factors.dtype),
    )
    for query in np.flatnonzero(rows[:, -1] < 0):
        left = np.flatnonzero(rows[query] < 0)
        hidden = unwanted if skip is None else np.union1d(unwanted, skip.row(int(query))[0])
        # implicit fills these places with filtered items: with the last ones among the first `places` items
        rows[query, left] = hidden[hidden < places][::-1][: left.size]
        found[query, left] = -np.finfo(found.dtype).max
    ids[:, :places], scores[:, :places] = rows, found
    return ids, scores


def _skipped(liked: Any, n_queries: int, n_items: int, n_threads: int) -> Csr:
    """The stored entries of `liked`, also its zeros, with a column for each item."""
    csr = from_scipy("user_items", liked, n_threads)
    if csr.indices.size and (largest := int(csr.indices.max())) >= n_items:
        raise IndexError(f"user_items has an entry in column {largest}, but the model has {n_items} items")
    return Csr(csr.indptr, csr.indices, csr.data, (n_queries, n_items))
