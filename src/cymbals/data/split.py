"""Splits data into a train and a test part. Both parts have the shape, the ids and the type of the data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..base.checks import boolean, generator, share, shown, whole_number
from ..base.threads import resolve
from . import deriving, times
from .csr import Csr, random_mask
from .ids import Ids
from .interactions import Interactions, as_interactions, derived, like

Data = TypeVar("Data")
Paths = tuple[str | os.PathLike[str], str | os.PathLike[str]]


def random(data: Data, test_fraction: float = 0.1, seed: Any = 0, *, out: Paths | None = None) -> tuple[Data, Data]:
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
    out : (path-like, path-like), optional
        Write train and test to two new stores in blocks, and return them opened. Use it for stores that are larger than
        memory. Drawing the test part still takes 9 bytes of memory for each entry.

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
    return _cut(data, interactions, random_mask(interactions.nnz, fraction, generator(seed, "seed")), out)


def leave_k_out(
    data: Data, k: int = 1, seed: Any = 0, *, latest: bool = False, out: Paths | None = None
) -> tuple[Data, Data]:
    """Hold out `k` entries of each user who has more than `k` entries, random ones or the latest.

    Use it if each user should have the same weight in the evaluation. All entries of users with `k` or
    fewer entries are in the train part.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    k : int
        Number of entries to hold out for each user, at least 1.
    seed : int, Generator or RandomState
        The same seed gives the same split. Not used with `latest`.
    latest : bool
        Hold out the entries with the latest times, as He et al. (2017) do. `data` must have times. Of entries with the same
        time, those in later columns are held out.
    out : (path-like, path-like), optional
        Write train and test to two new stores in blocks, and return them opened. Use it for stores that are larger than
        memory. Drawing the test part still takes 40 bytes of memory for each entry.

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
    if boolean("latest", latest):
        when = times.of(interactions)
        order = np.lexsort((-np.arange(csr.nnz), -_ordinal(when)))
    else:
        order = np.argsort(generator(seed, "seed").random(csr.nnz), kind="stable")
    held_out = (_places(csr, order) < k) & (csr.lengths()[csr.row_numbers()] > k)
    return _cut(data, interactions, held_out, out)


def users(data: Data, n: int, fold_fraction: float = 0.8, seed: Any = 0) -> tuple[Data, Data, Data]:
    """Hold out `n` whole users, and split the entries of each of them into a fold and a test part.

    Use it to measure how a model serves people whom it does not know: fit it on train, and call ``evaluate(model,
    rows=fold, test=test)``. Liang et al. (2018) made this protocol common.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    n : int
        Number of users to hold out, drawn from those with at least two entries.
    fold_fraction : float
        Share of a held-out user's entries that goes to the fold part, rounded to whole entries. Both parts get at least
        one entry.
    seed : int, Generator or RandomState
        The same seed gives the same split.

    Returns
    -------
    train, fold, test : like `data`
        `train` has the other users, with all items. `fold` and `test` have the held-out users, in the same order. Users
        keep their ids; without ids, they get the row numbers of `data` as ids, unless `data` is a matrix.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> data = scipy.sparse.random_array((50, 40), density=0.3, rng=0).tocsr()
    >>> train, fold, test = cymbals.split.users(data, 10)
    >>> model = cymbals.ALS(factors=4, random_state=0).fit(train)
    >>> train.shape, fold.shape, cymbals.evaluate(model, rows=fold, test=test).n_users
    ((40, 40), (10, 40), 10)
    """
    n, fraction, rng = whole_number("n", n, 1), share("fold_fraction", fold_fraction), generator(seed, "seed")
    interactions = as_interactions("data", data, resolve(None))
    lengths = interactions.csr.lengths()
    able = np.flatnonzero(lengths >= 2)
    if n > able.size or n >= lengths.size:
        raise ValueError(
            f"n must be below the number of users, {lengths.size}, and at most {able.size}, the number of users with two "
            f"entries or more; got {n}"
        )
    held_out = np.sort(rng.choice(able, n, replace=False))
    people = _of_users(interactions, held_out)
    folded = np.clip(np.rint(fraction * lengths[held_out]), 1, lengths[held_out] - 1)
    order = np.argsort(rng.random(people.csr.nnz), kind="stable")
    in_test = _places(people.csr, order) >= folded[people.csr.row_numbers()]
    train = _of_users(interactions, np.setdiff1d(np.arange(lengths.size), held_out))
    return like(data, train), like(data, people.where(~in_test)), like(data, people.where(in_test))


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
    return (_cut(data, interactions, part == fold, None) for fold in range(k))


def by_time(
    data: Interactions, test_fraction: float = 0.1, cutoff: Any = None, *, out: Paths | None = None
) -> tuple[Interactions, Interactions]:
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
    out : (path-like, path-like), optional
        Write train and test to two new stores in blocks, and return them opened. Use it for stores that are larger than
        memory. Drawing the test part still takes 17 bytes of memory for each entry.

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
    return _cut(data, data, late, out)


def _places(csr: Csr, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each entry, from 0, among its user's entries, in an order of all entries."""
    users = csr.row_numbers()
    order = order[np.argsort(users[order], kind="stable")]
    places = np.empty(csr.nnz, np.int64)
    places[order] = np.arange(csr.nnz) - csr.indptr[:-1][users]
    return places


def _ordinal(values: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers in the order of the values, with equal numbers for equal values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _of_users(data: Interactions, rows: NDArray[np.int64]) -> Interactions:
    """The interactions of some users, whose rows are in rising order. They have their row numbers as ids, if no others."""
    kept = np.zeros(data.shape[0], bool)
    kept[rows] = True
    times = None if data.times is None else data.times[np.repeat(kept, data.csr.lengths())]
    ids = Ids("user", rows.size, data.users.all()[rows])
    return Interactions(data.csr.take(rows), ids, data.items, data.item_names, None, times)


def _cut(data: Data, interactions: Interactions, held_out: NDArray[np.bool_], out: Paths | None) -> tuple[Data, Data]:
    """The entries that are not held out, and those that are: in memory, or as two opened stores."""
    if out is None:
        deriving.refuse_copies(interactions, 1, "split")
        return like(data, interactions.where(~held_out)), like(data, interactions.where(held_out))
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(f"out must be the paths of two stores, for train and test; got {shown(out)}")
    train, test = (
        derived(data, interactions, interactions.users, _kept(interactions, held_out, part), path)
        for part, path in ((False, out[0]), (True, out[1]))
    )
    return train, test


def _kept(data: Interactions, held_out: NDArray[np.bool_], part: bool) -> Iterator[deriving.Block]:
    """The blocks of the entries for which `held_out` is `part`."""
    for begin, block, when in deriving.blocks_of(data):
        keep = held_out[data.csr.indptr[begin] : data.csr.indptr[begin + block.shape[0]]] == part
        yield block.where(keep), None if when is None else when[keep]
