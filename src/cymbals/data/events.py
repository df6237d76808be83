"""Events in any form that callers have: a frame, an Arrow stream, arrays, or Interactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .coded import Coded, coded
from .columns import columns_of, is_frame, to_numpy
from .csr import Csr, exact, own, summed, values_array
from .ids import Ids
from .merge import csr_of_sorted
from .times import checked as checked_times

_FEW = 200_000  # events; for more, the kernel that makes matrices is faster than sorting


@dataclass(frozen=True)
class Events:
    """Checked events, with an element of each array for each. A (user, item) pair may occur several times."""

    users: Coded
    items: Coded
    values: NDArray[Any]
    times: NDArray[Any] | None
    numbered: tuple[bool, bool] = (False, False)  # whether users and items are row numbers of data without ids

    @classmethod
    def of(cls, events: Any, user: Any, item: Any, value: Any, time: Any = None) -> Events:
        """Read events in any of these forms. The other arguments name columns of frames and streams."""
        if isinstance(events, Events):
            return events
        if hasattr(events, "as_events"):  # Interactions
            out: Events = events.as_events()
            return out
        if isinstance(events, (tuple, list)):
            if len(events) not in (2, 3):
                raise TypeError(f"events must be (users, items) or (users, items, values), got {len(events)} parts")
            return cls.of_arrays(*events)
        if is_frame(events):
            return cls.of_frame(events, user, item, value, time)
        fix = "; for a matrix, make Interactions with from_csr" if sp.issparse(events) else ""
        raise TypeError(
            "events must be a frame, an Arrow stream, Interactions, or (users, items, values); "
            f"got {type(events).__name__}{fix}"
        )

    @classmethod
    def of_frame(cls, frame: Any, user: Any, item: Any, value: Any, time: Any) -> Events:
        """Read the named columns of a frame or stream. Without `value`, each row counts as 1."""
        for argument, column in (("user", user), ("item", item)):
            if column is None:
                raise TypeError(f"{argument} must name a column, got None")
        columns = columns_of(frame, {"user": user, "item": item, "value": value, "time": time})
        names = (str(user), str(item), str(value), str(time))
        return cls._checked(columns["user"], columns["item"], columns["value"], columns["time"], names)

    @classmethod
    def of_arrays(cls, users: Any, items: Any, values: Any = None, times: Any = None) -> Events:
        return cls._checked(users, items, values, times, ("users", "items", "values", "times"))

    @classmethod
    def _checked(cls, users: Any, items: Any, values: Any, times: Any, names: tuple[str, str, str, str]) -> Events:
        user_of, item_of = coded(names[0], users), coded(names[1], items)
        if user_of.size != item_of.size:
            raise ValueError(f"{names[0]} and {names[1]} must have the same length, got {user_of.size} and {item_of.size}")
        given = to_numpy(values)
        checked = checked_values(
            names[2], given, user_of.size, lambda row: f"user {user_of.of(row)}, item {item_of.of(row)}"
        )
        when = checked_times(names[3], to_numpy(times), user_of.size)
        return cls(user_of, item_of, checked, when)

    def rows_among(self, users: Ids, items: Ids) -> tuple[Ids, Ids, NDArray[np.int64], NDArray[np.int64]]:
        """The ids with those of the events appended, and the row of each event's user and of each event's item.

        Interactions can have users and items without events. They are not appended.
        """
        for ids, numbered in zip((users, items), self.numbered, strict=True):
            if numbered and ids.array is not None:
                raise TypeError(
                    f"the events have row numbers instead of {ids.what} ids; give them the ids of the {ids.what}s"
                )
        users, user_rows = users.with_new(self.users.ids, self.users.used())
        items, item_rows = items.with_new(self.items.ids, self.items.used())
        return users, items, user_rows[self.users.places], item_rows[self.items.places]

    def matrix(self, rows: NDArray[Any], cols: NDArray[Any], shape: tuple[int, int], how: str, n_threads: int) -> Csr:
        """A matrix of the values. With "add", values of the same pair are added; with "replace", the last one counts."""
        if how == "add" and rows.size > _FEW:
            return summed(rows, cols, self.values, shape, n_threads)
        order = np.lexsort((np.arange(rows.size), cols, rows))
        rows, cols, values = rows[order], cols[order], self.values[order]
        last = np.ones(rows.size, bool)
        last[:-1] = (np.diff(rows) != 0) | (np.diff(cols) != 0)
        if how == "add" and not last.all():
            first = np.flatnonzero(np.append(True, last[:-1]))
            sums = np.add.reduceat(values.astype(np.float64), first)
            values = exact(sums) if values.dtype == np.float32 else sums
        else:
            values = values[last]
        return csr_of_sorted(rows[last], cols[last], values, shape)


def checked_values(name: str, values: Any, n: int, pair: Callable[[int], str]) -> NDArray[Any]:
    """The values of `n` events as floats that the caller cannot change.

    Raises if one is not finite, and names its row and what `pair` says of that row.
    """
    if values is None:
        return np.ones(n, np.float32)
    array = own(values_array(name, values), values)
    if array.shape != (n,):
        raise ValueError(f"{name} must be as long as the ids, {n}; got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        row = int(bad[0])
        raise ValueError(
            f"column {name!r}, row {row} holds {array[row]} ({pair(row)}); values must be finite: "
            "drop such rows, or replace the value"
        )
    return array
