"""Other values for the same entries: what a count is worth before a model sees it. Times, names and ids stay.

A confidence ("linear", "log", a function) weighs a value by itself; these look at the whole matrix, or at the clock.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..base.checks import real_number
from ..base.threads import resolve
from . import times
from .csr import refuse_negative
from .interactions import Interactions, as_interactions, like

Data = TypeVar("Data")


def clip(data: Data, most: float = 500.0) -> Data:
    """Values of at most `most` (and at least -`most`).

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items.
    most : float
        Above 0.

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
    return _reweighted(data, interactions, np.clip(interactions.csr.data, -bound, bound))


def tfidf(data: Data) -> Data:
    """Plays times the rarity of the item: r (1 + log((1 + users) / (1 + users of the item))).

    A user is the document, an item the term, its plays the frequency (Sparck Jones 1972; scikit-learn's smooth variant,
    rows not normalised).

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items, no negative values.

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
    csr = interactions.csr
    rarity = 1 + np.log((1 + csr.shape[0]) / (1 + _audience(interactions)))
    return _reweighted(data, interactions, csr.data * rarity[csr.indices])


def bm25(data: Data, k1: float = 100.0, b: float = 0.8) -> Data:
    """Okapi BM25: plays that saturate, less for users who play much, more for rare items.

    idf r (k1 + 1) / (r + k1 (1 - b + b L / mean L)), L being the plays of the user and
    idf = log(1 + (users - n + 1/2) / (n + 1/2)) for an item of n users (Robertson and Zaragoza 2009; idf as in Lucene,
    never negative).

    Parameters
    ----------
    data : Interactions or scipy sparse matrix or array
        Users x items, no negative values.
    k1 : float
        Plays at which a user of average length reaches half of what is to be had; above 0.
    b : float
        How much a user's length counts, 0 to 1.

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
    audience = _audience(interactions)
    rarity = np.log1p((csr.shape[0] - audience + 0.5) / (audience + 0.5))
    users, plays = csr.row_numbers(), csr.data.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
        length = np.bincount(users, plays, csr.shape[0])
        relative = length / max(length.mean(), np.finfo(float).tiny) if length.size else length
        spread = plays + k1 * (1 - b + b * relative)[users]
        weight = np.divide(plays * (k1 + 1), spread, out=np.zeros_like(plays), where=plays > 0)  # a stored 0 stays one
    return _reweighted(data, interactions, weight * rarity[csr.indices])


def time_decay(data: Interactions, half_life: Any, now: Any = None) -> Interactions:
    """Values that halve with every `half_life` that has passed: r 2^(-age / half_life).

    Parameters
    ----------
    data : Interactions
        With `times`.
    half_life : number, timedelta or timedelta64
        In the unit of the times; a time difference where they are datetimes. Above 0.
    now : like the times, optional
        When age is 0, by default the latest time; what is later counts in full.

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
    age = times.passed(latest, when) / step
    return data.with_values((data.csr.data * 0.5**age).astype(data.csr.data.dtype))


def _counts(data: Any) -> Interactions:
    interactions = as_interactions("data", data, resolve(None))
    refuse_negative("data", interactions.csr, "this weighting", resolve(None))
    return interactions


def _audience(interactions: Interactions) -> NDArray[np.int64]:
    csr = interactions.csr
    return np.bincount(csr.indices[csr.data > 0], minlength=csr.shape[1])


def _reweighted(data: Data, interactions: Interactions, values: NDArray[Any]) -> Data:
    values = values.astype(interactions.csr.data.dtype, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"data: its values, up to {interactions.csr.data.max():g}, are too large; scale them down")
    out: Data = like(data, interactions.with_values(values), values.dtype)
    return out
