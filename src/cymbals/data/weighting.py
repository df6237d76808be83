"""Replaces the values of interactions before a fit. Entries, times, names and ids stay the same.

A model's `confidence` ("linear", "log", a function) depends on the values alone. Functions here can also use the users,
the items or the times.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..base.checks import real_number
from ..base.threads import resolve
from . import deriving, times
from .csr import Csr, refuse_negative
from .interactions import Interactions, as_interactions, derived, like

Data = TypeVar("Data")
Path = str | os.PathLike[str]


def clip(data: Data, most: float = 500.0, *, out: Path | None = None) -> Data:
    """Limit values to the range from -`most` to `most`.

    Use it if a few users have huge counts that would dominate the fit.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    most : float
        The largest absolute value; above 0.
    out : path-like, optional
        Write the result to a new store in blocks, and return it opened. Use it for stores that are larger than memory.

    Returns
    -------
    like `data`

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> cymbals.weighting.clip(scipy.sparse.csr_array([[1, 900]]), 500).toarray()
    array([[  1., 500.]], dtype=float32)
    """
    bound = real_number("most", most, open_end=True)
    interactions = as_interactions("data", data, resolve(None))
    return _reweighted(data, interactions, lambda begin, block, when: np.clip(block.data, -bound, bound), out)


def tfidf(data: Data, *, out: Path | None = None) -> Data:
    """Multiply each value by the rarity of its item (TF-IDF).

    Use it if popular items dominate the recommendations. A value r becomes
    r (1 + log((1 + number of users) / (1 + number of users of the item))). In the terms of text search, a user is the
    document, an item is the term, and r is the term frequency (Sparck Jones 1972). The formula is scikit-learn's smooth
    variant; rows are not normalised.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items, no negative values.
    out : path-like, optional
        Write the result to a new store in blocks, and return it opened. Use it for stores that are larger than memory.

    Returns
    -------
    like `data`

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> cymbals.weighting.tfidf(scipy.sparse.csr_array([[1, 1], [1, 0]])).toarray().round(2)
    array([[1.  , 1.41],
           [1.  , 0.  ]], dtype=float32)
    """
    interactions = _counts(data)
    rarity = 1 + np.log((1 + interactions.shape[0]) / (1 + interactions.csr.column_counts(positive=True)))
    return _reweighted(data, interactions, lambda begin, block, when: block.data * rarity[block.indices], out)


def bm25(data: Data, k1: float = 100.0, b: float = 0.8, *, out: Path | None = None) -> Data:
    """Weight values by Okapi BM25: large counts saturate, active users count less, rare items count more.

    Use it if a few large counts, very active users or popular items dominate the recommendations. A value r becomes
    idf r (k1 + 1) / (r + k1 (1 - b + b L / mean L)). L is the sum of the user's values. For an item with n users,
    idf = log(1 + (number of users - n + 1/2) / (n + 1/2)), as in Lucene, which is never negative (Robertson and Zaragoza
    2009).

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items, no negative values.
    k1 : float
        For a user with average L, the value r that gets half of the largest possible weight; above 0.
    b : float
        Influence of L: 0 ignores it, 1 takes it fully into account.
    out : path-like, optional
        Write the result to a new store in blocks, and return it opened. Use it for stores that are larger than memory.

    Returns
    -------
    like `data`

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> cymbals.weighting.bm25(scipy.sparse.csr_array([[1, 0], [9, 1]]), k1=1, b=0).toarray().round(2)
    array([[0.18, 0.  ],
           [0.33, 0.69]], dtype=float32)
    """
    k1, b = real_number("k1", k1, open_end=True), real_number("b", b)
    if b > 1:
        raise ValueError(f"b must be from 0 to 1, got {b}")
    interactions = _counts(data)
    csr = interactions.csr
    audience = csr.column_counts(positive=True)
    rarity = np.log1p((csr.shape[0] - audience + 0.5) / (audience + 0.5))
    length = np.zeros(csr.shape[0])
    with np.errstate(over="ignore", invalid="ignore"):  # _reweighted refuses weights that are not finite
        for begin, block in csr.blocks():
            sums = np.bincount(block.row_numbers(), block.data.astype(np.float64), block.shape[0])
            length[begin : begin + block.shape[0]] = sums
        relative = length / max(length.mean(), np.finfo(float).tiny) if length.size else length

    def weight(begin: int, block: Csr, when: NDArray[Any] | None) -> NDArray[Any]:
        users, plays = begin + block.row_numbers(), block.data.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            spread = plays + k1 * (1 - b + b * relative)[users]
            weight = np.divide(plays * (k1 + 1), spread, out=np.zeros_like(plays), where=plays > 0)  # a stored 0 stays 0
            return np.asarray(weight * rarity[block.indices])

    return _reweighted(data, interactions, weight, out)


def time_decay(data: Interactions, half_life: Any, now: Any = None, *, out: Path | None = None) -> Interactions:
    """Reduce the values of old entries: r becomes r 2^(-age / half_life).

    Use it if tastes change, so that recent events say more about what a user likes now.

    Parameters
    ----------
    data : Interactions
        They must have `times`.
    half_life : number, timedelta or timedelta64
        The age at which a value is halved; above 0. A number in the unit of the times, or a time difference if they are
        datetimes.
    now : like the times, optional
        The moment from which ages are counted; by default the latest time. Later entries keep their values.
    out : path-like, optional
        Write the result to a new store in blocks, and return it opened. Use it for stores that are larger than memory.

    Returns
    -------
    Interactions

    Examples
    --------
    >>> import cymbals
    >>> plays = cymbals.Interactions.from_arrays([1, 1], [5, 6], [8, 8], times=[2003, 2005])
    >>> cymbals.weighting.time_decay(plays, half_life=1).user_items.toarray()
    array([[2., 8.]], dtype=float32)
    """
    when = times.of(data)
    step = times.span("half_life", half_life, when)
    if not when.size:
        return data
    latest = when.max() if now is None else times.moment("now", now, when)

    def weight(begin: int, block: Csr, when: NDArray[Any] | None) -> NDArray[Any]:
        assert when is not None
        return np.asarray(block.data * 0.5 ** (times.elapsed(latest, when) / step))

    return _reweighted(data, data, weight, out)


def _counts(data: Any) -> Interactions:
    """`data` as Interactions. Raises ValueError if a value is negative."""
    interactions = as_interactions("data", data, resolve(None))
    refuse_negative("data", interactions.csr, "this weighting takes no negative values: drop them", resolve(None))
    return interactions


def _reweighted(
    data: Data,
    interactions: Interactions,
    weight: Callable[[int, Csr, NDArray[Any] | None], NDArray[Any]],
    out: Path | None,
) -> Data:
    """`interactions` with new values, in the type of `data`, or as an opened store if there is an `out`.

    `weight` returns the values of a block, given its first row, the block, and the times of its entries. Raises ValueError
    if a value is not finite.
    """
    value_type = interactions.csr.types[1]

    def weighted(begin: int, block: Csr, when: NDArray[Any] | None) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            values = weight(begin, block, when).astype(value_type, copy=False)
        if not np.isfinite(values).all():
            raise ValueError(f"data: its values, up to {block.data.max():g}, are too large; scale them down")
        return values

    if out is not None:
        blocks = deriving.blocks_of(interactions)
        changed = ((replace(block, data=weighted(begin, block, when)), when) for begin, block, when in blocks)
        return derived(data, interactions, interactions.users, changed, out)
    deriving.refuse_copies(interactions, 3, "weighting")
    values = weighted(0, interactions.csr.whole(), interactions.times)
    made: Data = like(data, interactions.with_values(values), values.dtype)
    return made
