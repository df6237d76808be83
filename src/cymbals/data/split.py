"""Splits data into a train and a test part. Both parts have the shape, the ids and the type of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..base.checks import generator, share, whole_number
from ..base.threads import resolve
from . import times
from .csr import random_mask
from .interactions import Interactions, as_interactions, like

Data = TypeVar("Data")


def random(data: Data, test_fraction: float = 0.1, seed: Any = 0) -> tuple[Data, Data]:
    """Split the entries at random into a train and a test part.

    Use it to evaluate a model when times are unknown. With times, `by_time` is closer to how a recommender is used.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    test_fraction : float
        Share of the entries that goes to the test part, rounded to whole entries; above 0 and below 1.
    seed : int, Generator or RandomState
        The same seed gives the same split.

    Returns
    -------
    train, test : like `data`
        Both have the shape and the type of `data`. Each entry is in exactly one of them.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> train, test = cymbals.split.random(scipy.sparse.eye_array(10, format="csr"), test_fraction=0.2)
    >>> train.nnz, test.nnz, test.shape
    (8, 2, (10, 10))
    """
    fraction = share("test_fraction", test_fraction)
    interactions = as_interactions("data", data, resolve(None))
    return _cut(data, interactions, random_mask(interactions.nnz, fraction, generator(seed, "seed")))


def leave_k_out(data: Data, k: int = 1, seed: Any = 0) -> tuple[Data, Data]:
    """Hold out `k` random entries of each user who has more than `k` entries.

    Use it if each user should have the same weight in the evaluation. All entries of users with `k` or
    fewer entries are in the train part.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    k : int
        Number of entries to hold out for each user, at least 1.
    seed : int, Generator or RandomState
        The same seed gives the same split.

    Returns
    -------
    train, test : like `data`
        Both have the shape and the type of `data`. Each entry is in exactly one of them.

    Examples
    --------
    >>> import cymbals, numpy, scipy.sparse
    >>> train, test = cymbals.split.leave_k_out(scipy.sparse.csr_array(numpy.ones((4, 3))), k=1)
    >>> test.sum(axis=1)
    array([1., 1., 1., 1.])
    """
    k = whole_number("k", k, 1)
    interactions = as_interactions("data", data, resolve(None))
    csr = interactions.csr
    users = csr.row_numbers()
    order = np.lexsort((generator(seed, "seed").random(csr.nnz), users))
    place = np.empty(csr.nnz, np.int64)  # position of each entry in its user's random order
    place[order] = np.arange(csr.nnz) - csr.indptr[:-1][users]
    held_out = (place < k) & (csr.lengths()[users] > k)
    return _cut(data, interactions, held_out)


def k_fold(data: Data, k: int = 5, seed: Any = 0) -> Iterator[tuple[Data, Data]]:
    """Split the entries into `k` random parts for cross-validation; their sizes differ by at most one entry.

    Use it to see how much a metric varies between test parts. Use it also when a single test part would be too small. Each
    part is the test part once. The train part then consists of the other parts.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    k : int
        Number of parts, from 2 to the number of entries.
    seed : int, Generator or RandomState
        The same seed gives the same parts.

    Returns
    -------
    iterator of (train, test)
        Each pair is made when the iterator reaches it, which saves memory.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> [test.nnz for train, test in cymbals.split.k_fold(scipy.sparse.eye_array(10, format="csr"), k=3)]
    [4, 3, 3]
    """
    interactions = as_interactions("data", data, resolve(None))
    if whole_number("k", k, 2) > interactions.nnz:
        raise ValueError(f"k must be at most the number of entries, {interactions.nnz}; got {k}")
    part = np.empty(interactions.nnz, np.int64)
    part[generator(seed, "seed").permutation(interactions.nnz)] = np.arange(interactions.nnz) % k
    return (_cut(data, interactions, part == fold) for fold in range(k))


def by_time(data: Interactions, test_fraction: float = 0.1, cutoff: Any = None) -> tuple[Interactions, Interactions]:
    """Hold out the latest entries, so that the model predicts the future from the past.

    Use it if times are known: a recommender in use must predict the future from the past, too.

    Parameters
    ----------
    data : Interactions
        They must have `times`.
    test_fraction : float
        Share of the entries that goes to the test part, beginning with the latest; above 0 and below 1. Entries with the
        same time as the earliest test entry go to the test part too. Not used if `cutoff` is given.
    cutoff : number, datetime64, datetime or str, optional
        Entries at this time or later go to the test part.

    Returns
    -------
    train, test : Interactions

    Raises
    ------
    ValueError
        The data have no times, or one of the parts would be empty.

    Examples
    --------
    >>> import cymbals
    >>> plays = cymbals.Interactions.from_arrays([1, 1, 2], [5, 6, 5], times=[2003, 2005, 2004])
    >>> train, test = cymbals.split.by_time(plays, cutoff=2004)
    >>> test.user_items.toarray()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    fraction = share("test_fraction", test_fraction)
    when = times.of(data)
    if cutoff is None:
        held_out = round(fraction * when.size)
        if not 0 < held_out < when.size:
            raise ValueError(f"test_fraction {fraction} of {when.size} entries leaves a part empty; change the fraction")
        first = np.partition(when, when.size - held_out)[when.size - held_out]
    else:
        first = times.moment("cutoff", cutoff, when)
    late = when >= first
    if late.all() or not late.any():
        between = f"times run from {when.min()} to {when.max()}" if when.size else "there are no entries"
        raise ValueError(f"cutoff {first} leaves the {'test' if not late.any() else 'train'} part empty: {between}")
    return data.where(~late), data.where(late)


def _cut(data: Data, interactions: Interactions, held_out: NDArray[np.bool_]) -> tuple[Data, Data]:
    return like(data, interactions.where(~held_out)), like(data, interactions.where(held_out))
