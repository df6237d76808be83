"""Brings interactions into the row order of a model or of other interactions, by id."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.caller import warn_caller
from .csr import Csr
from .ids import Ids
from .merge import csr_of_sorted


def ids_of(like: Any) -> tuple[Ids, Ids]:
    """The ids of a model or of interactions."""
    for users, items in (("users_", "items_"), ("users", "items")):
        found = getattr(like, users, None), getattr(like, items, None)
        if isinstance(found[0], Ids) and isinstance(found[1], Ids):
            return found[0], found[1]
    raise TypeError(f"like must be a fitted model or Interactions, got {type(like).__name__}")


def placed(name: str, ids: Ids, given: NDArray[Any], of_event: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """The row of each event among `ids`, or -1; and how many of the distinct `given` ids are unknown.

    `of_event` is the place of each event's id in `given`.
    """
    if given.size and ids.n and ids.whole != (given.dtype.kind == "i"):
        kinds = ("whole numbers", "strings") if ids.whole else ("strings", "whole numbers")
        raise TypeError(
            f"{name}: the {ids.what} ids are {kinds[1]}, like {given.tolist()[0]!r}, "
            f"but those to compare with are {kinds[0]}"
        )
    rows = ids.find(given).astype(np.int64)
    return rows[of_event], int(np.count_nonzero(rows < 0))


def reordered(name: str, csr: Csr, users: tuple[Ids, Ids], items: tuple[Ids, Ids]) -> Csr:
    """A matrix with its rows and columns in another order.

    Parameters
    ----------
    name : str
        The caller's argument, for messages.
    csr : Csr
    users, items : (Ids, Ids)
        The ids of the rows and of the columns: the present ones and the wanted ones. Entries of other ids are left out,
        with a warning.
    """
    rows, no_users = placed(name, users[1], users[0].all(), csr.row_numbers())
    cols, no_items = placed(name, items[1], items[0].all(), csr.indices)
    known = (rows >= 0) & (cols >= 0)
    warn_of_unknown(name, known, no_users, no_items)
    kept = np.flatnonzero(known)
    order = kept[np.lexsort((cols[kept], rows[kept]))]
    return csr_of_sorted(rows[order], cols[order], csr.data[order], (users[1].n, items[1].n))


def warn_of_unknown(name: str, known: NDArray[np.bool_], no_users: int, no_items: int) -> None:
    """Warn if events are left out because their user or their item is unknown. Raises if that are all events."""
    left_out = known.size - np.count_nonzero(known)
    if not left_out:
        return
    if left_out == known.size:
        raise ValueError(f"{name}: no entry has a known user and a known item; are these the ids of the model?")
    warn_caller(
        f"{name}: {left_out:,} of {known.size:,} entries are left out, because their user or their item is unknown "
        f"(unknown users: {no_users:,}, unknown items: {no_items:,})"
    )
