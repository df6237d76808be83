"""Exact top-k items by score, without seen and excluded items. Works on arrays of factors; ids are handled elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Index
from .._core import topk as core_topk
from ..base.blocks import blocks
from ..data.csr import Csr

MAX_N = 10_000_000  # results of one query
MIN_ITEMS_PER_RESULT = 16  # with fewer items for each result, csrc/topk.cpp does not use an index
FEW_QUERIES = 256  # with fewer queries, a cached index saves enough time to be worth its memory


def topk(
    queries: Callable[[NDArray[np.int64]], NDArray[Any]],
    items: NDArray[Any],
    n_queries: int,
    k: int,
    n_threads: int,
    skip: Callable[[NDArray[np.int64]], Csr] | None = None,
    candidates: NDArray[np.int64] | None = None,
    scale: NDArray[Any] | None = None,
    index: Index | None = None,
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The k best items of each query, best first. If items have equal scores, the lower row comes first.

    Parameters
    ----------
    queries : callable
        Takes an array of m query numbers and returns their factors, shape (m, f).
    items : ndarray, shape (n_items, f)
    n_queries, k : int
    n_threads : int
    skip : callable, optional
        Takes an array of query numbers and returns the items to leave out for each, as a Csr.
    candidates : ndarray, optional
        Rows of the only items to rank, in ascending order. All items by default.
    scale : ndarray, shape (n_items,), optional
        For each item, a number by which its scores are multiplied.
    index : Index, optional
        Index of all items. Only without `candidates` and `scale`.

    Returns
    -------
    rows, scores : ndarray, shape (n_queries, k)
        If a query has fewer than k items, its last rows are -1 and their scores -inf.
    """
    found = min(k, items.shape[0] if candidates is None else candidates.size)
    ids = np.full((n_queries, k), -1, np.int64)
    scores = np.full((n_queries, k), -np.inf, items.dtype)
    if not found:
        return ids, scores
    for block in blocks(n_queries, (items.itemsize + 16) * (items.shape[1] + found) + 16 * 256):
        best, values = np.empty((block.size, found), np.int64), np.empty((block.size, found), items.dtype)
        skipped = None if skip is None else skip(block)
        if index is None:
            core_topk(queries(block), items, candidates, scale, skipped, best, values, n_threads)
        else:
            index.topk(queries(block), skipped, best, values, n_threads)
        ids[block, :found], scores[block, :found] = best, values
    return ids, scores


def union(a: Csr, b: Csr, n_threads: int) -> Csr:
    """The entries that are in at least one of two matrices. Their values have no meaning."""
    rows = np.concatenate([a.row_numbers(), b.row_numbers()])
    cols = np.concatenate([a.indices.astype(np.int64), b.indices.astype(np.int64)])
    return Csr.from_triplets(rows, cols, np.ones(rows.size, np.float32), a.shape, n_threads)


def directions(factors: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The rows of `factors`, and 1 / length of each row, which is 0 for rows of zeros.

    The squares of very large or very small numbers overflow or underflow. If some rows have such numbers, the result is a
    copy in which these rows are scaled by powers of two. Otherwise it is `factors` itself.
    """
    largest = np.maximum(factors.max(axis=1, initial=0), -factors.min(axis=1, initial=0))
    exponent = np.frexp(largest)[1]
    far = np.abs(exponent) > np.finfo(factors.dtype).maxexp * 3 // 8
    if far.any():
        factors = np.ldexp(factors, np.where(far, -exponent, 0)[:, None])
    length = np.sqrt(np.einsum("ij,ij->i", factors, factors))
    inverse: NDArray[Any] = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    return factors, inverse
