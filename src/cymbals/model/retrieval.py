"""Ranking items by score: exact top-k from factors, seen and excluded items left out. Knows arrays, not ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Index
from .._core import topk as core_topk
from ..base.blocks import blocks
from ..data.csr import Csr

MOST_PLACES = 10_000_000  # for one query
LEAST_CHOICE = 16  # items for each place: with fewer, csrc/topk.cpp makes no use of an index
FEW_QUERIES = 256  # for which an index, kept from call to call, is worth its memory


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
    """The k best items of each query, best first, ties to the lower row; missing places -1 and -inf.

    Parameters
    ----------
    queries : callable
        Query numbers to their factors, (m, f).
    items : ndarray, shape (n_items, f)
    n_queries, k : int
    n_threads : int
    skip : callable, optional
        Query numbers to the items each must not get, as a Csr.
    candidates : ndarray, optional
        Rising rows of the items that compete.
    scale : ndarray, shape (n_items,), optional
        Multiplies each item's scores.
    index : Index, optional
        Of all items, if all compete and nothing scales them.
    """
    found = min(k, items.shape[0] if candidates is None else candidates.size)
    ids = np.full((n_queries, k), -1, np.int64)
    scores = np.full((n_queries, k), -np.inf, items.dtype)
    if not found:
        return ids, scores
    for block in blocks(n_queries, (items.itemsize + 16) * (items.shape[1] + found) + 16 * 256):
        best, values = np.empty((block.size, found), np.int64), np.empty((block.size, found), items.dtype)
        left_out = None if skip is None else skip(block)
        if index is None:
            core_topk(queries(block), items, candidates, scale, left_out, best, values, n_threads)
        else:
            index.topk(queries(block), left_out, best, values, n_threads)
        ids[block, :found], scores[block, :found] = best, values
    return ids, scores


def union(a: Csr, b: Csr, n_threads: int) -> Csr:
    """Entries of either matrix; values mean nothing."""
    rows = np.concatenate([a.row_numbers(), b.row_numbers()])
    cols = np.concatenate([a.indices.astype(np.int64), b.indices.astype(np.int64)])
    return Csr.from_triplets(rows, cols, np.ones(rows.size, np.float32), a.shape, n_threads)


def directions(factors: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows, and 1 / length of each, 0 for rows of zeros.

    Rows whose squares would leave the dtype's range are scaled by powers of two, in a copy; else they are `factors` itself.
    """
    largest = np.maximum(factors.max(axis=1, initial=0), -factors.min(axis=1, initial=0))
    exponent = np.frexp(largest)[1]
    far = np.abs(exponent) > np.finfo(factors.dtype).maxexp * 3 // 8
    if far.any():
        factors = np.ldexp(factors, np.where(far, -exponent, 0)[:, None])
    length = np.sqrt(np.einsum("ij,ij->i", factors, factors))
    inverse: NDArray[Any] = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    return factors, inverse
