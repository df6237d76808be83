"""Answers of a model as values that JSON can hold: lists of items with ids, names and scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.ids import Ids, one_id
from ..model.factor_model import FactorModel


def id_of(ids: Ids, text: str) -> Any:
    """The id that a text denotes: a whole number if the ids are whole numbers. Use it for ids in addresses and in JSON.

    Parameters
    ----------
    ids : Ids
        ``model.users_`` or ``model.items_``.
    text : str

    Returns
    -------
    int or str
        The model may not know it.

    Raises
    ------
    KeyError
        The ids are whole numbers, and the text is none.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> from cymbals.serving.answers import id_of
    >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1))
    >>> id_of(model.items_, "7")
    7
    """
    return one_id(ids.whole, text)


def listed(model: FactorModel, ids: Any, scores: Any) -> list[dict[str, Any]]:
    """The items of one answer of `recommend` or `similar_items`. Use it to send such an answer as JSON.

    Parameters
    ----------
    model : ALS
    ids, scores : ndarray, shape (n,)

    Returns
    -------
    list of dict
        For each place that is filled: "item", "name" and "score".

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> from cymbals.serving.answers import listed
    >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1))
    >>> [list(place) for place in listed(model, *model.similar_items(3, n=1))]
    [['item', 'name', 'score']]
    """
    filled = np.asarray(scores) > -np.inf
    pairs = zip(ids[filled].tolist(), scores[filled].tolist(), strict=True)
    return [{"item": item, "name": model.name_of(item), "score": score} for item, score in pairs]
