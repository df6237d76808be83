"""Train and test parts of the same shape, ids and type as what is split."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._validation import generator, real_number, whole_number
from .csr import Csr
from .interactions import Interactions, as_interactions
from .threads import resolve

Data = TypeVar("Data")


def random(data: Data, test_fraction: float = 0.1, seed: Any = 0) -> tuple[Data, Data]:
    """Split entries at random.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    test_fraction : float
        Share of the entries, rounded to whole entries, that goes to the test part; above 0, below 1.
    seed : int, Generator or RandomState
        The same seed gives the same split.

    Returns
    -------
    train, test : like `data`
        Both of `data`'s shape and type; together they hold each entry once.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> train, test = cymbals.split.random(scipy.sparse.eye_array(10, format="csr"), test_fraction=0.2)
    >>> train.nnz, test.nnz, test.shape
    (8, 2, (10, 10))
    """
    fraction = real_number("test_fraction", test_fraction, open_end=True)
    if fraction >= 1:
        raise ValueError(f"test_fraction must be below 1, got {fraction}")
    interactions = as_interactions("data", data, resolve(None))
    held_out = np.zeros(interactions.nnz, dtype=bool)
    order = generator(seed).permutation(interactions.nnz)
    held_out[order[: round(fraction * interactions.nnz)]] = True
    return _cut(data, interactions, held_out)


def leave_k_out(data: Data, k: int = 1, seed: Any = 0) -> tuple[Data, Data]:
    """Hold out `k` random entries of each user who has more than `k`; other users stay in the train part whole.

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    k : int
        Entries held out for each user, at least 1.
    seed : int, Generator or RandomState
        The same seed gives the same split.

    Returns
    -------
    train, test : like `data`
        Both of `data`'s shape and type; together they hold each entry once.

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
    order = np.lexsort((generator(seed).random(csr.nnz), users))
    place = np.empty(csr.nnz, np.int64)  # of each entry in its user's random order
    place[order] = np.arange(csr.nnz) - csr.indptr[:-1][users]
    held_out = (place < k) & (np.diff(csr.indptr)[users] > k)
    return _cut(data, interactions, held_out)


def _cut(data: Data, interactions: Interactions, held_out: NDArray[np.bool_]) -> tuple[Data, Data]:
    parts = (interactions.csr.where(~held_out), interactions.csr.where(held_out))
    return (_like(data, interactions, parts[0]), _like(data, interactions, parts[1]))


def _like(data: Any, interactions: Interactions, csr: Csr) -> Any:
    if isinstance(data, Interactions):
        return interactions.with_entries(csr)
    out = type(data)(csr.to_scipy().copy().asformat(data.format))  # a copy: the Csr's arrays are read-only
    return out if data.dtype.kind not in "biuf" else out.astype(data.dtype, copy=False)
