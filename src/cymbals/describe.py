"""Tables that say what a data set looks like: who listens how much, what is listened to, by how many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .interactions import Interactions

PERCENTILES = (10, 25, 50, 75, 90)


def tables(data: Interactions, top: int = 10) -> dict[str, list[dict[str, Any]]]:
    """Tables of a data set, each a list of rows.

    Parameters
    ----------
    data : Interactions
    top : int
        Length of the top lists.

    Returns
    -------
    dict of str to list of dict
        "overview", "activity" and "popularity" (percentiles of plays and of distinct partners), "top items by plays",
        "top items by audience", "top users by plays", "top users by curiosity".
    """
    csr = data.csr
    plays = csr.data.astype(np.float64)
    by_user = np.bincount(csr.row_numbers(), plays, data.shape[0])
    by_item = np.bincount(csr.indices, plays, data.shape[1])
    distinct_items = np.diff(csr.indptr)
    audience = np.bincount(csr.indices, minlength=data.shape[1])

    def item(row: int) -> dict[str, Any]:
        return {"item": data.item_ids[row], "name": data.name_of(row)}

    def user(row: int) -> dict[str, Any]:
        return {"user": data.user_ids[row]}

    cells = data.shape[0] * data.shape[1]
    overview = {"users": data.shape[0], "items": data.shape[1], "pairs": data.nnz, "plays": plays.sum()}
    overview["density"] = data.nnz / cells if cells else 0.0
    return {
        "overview": [{"what": what, "value": value} for what, value in (overview | data.report).items()],
        "activity": _percentiles(by_user, distinct_items, "plays of a user", "distinct items"),
        "popularity": _percentiles(by_item, audience, "plays of an item", "distinct users"),
        "top items by plays": _top(by_item, top, item, "plays"),
        "top items by audience": _top(audience, top, item, "users"),
        "top users by plays": _top(by_user, top, user, "plays"),
        "top users by curiosity": _top(distinct_items, top, user, "items"),
    }


def _percentiles(a: NDArray[Any], b: NDArray[Any], name_a: str, name_b: str) -> list[dict[str, Any]]:
    if not a.size:
        return []
    rows = [("least", 0), *((f"{p} %", p) for p in PERCENTILES), ("most", 100)]
    return [{"": label, name_a: np.percentile(a, p), name_b: np.percentile(b, p)} for label, p in rows]


def _top(values: NDArray[Any], n: int, who: Any, what: str) -> list[dict[str, Any]]:
    return [who(row) | {what: values[row]} for row in np.argsort(-values, kind="stable")[:n]]
