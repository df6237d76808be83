"""Events in any form that callers have: a frame, an Arrow stream, arrays, or Interactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .arrow import columns_of
from .csr import Csr, exact, own, summed, values_array
from .ids import Ids, id_array
from .merge import csr_of_sorted
from .times import checked as checked_times

_FEW = 200_000  # events; for more, the kernel that makes matrices is faster than sorting


@dataclass(frozen=True)
class Events:
    """Checked events, with an element of each array for each. A (user, item) pair may occur several times."""

    users: NDArray[Any]
    items: NDArray[Any]
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
        if hasattr(events, "__getitem__") and not isinstance(events, (str, bytes, np.ndarray)) and not sp.issparse(events):
            return cls.of_frame(events, user, item, value, time)
        if hasattr(events, "__arrow_c_stream__"):
            return cls.of_stream(events, user, item, value, time)
        fix = "; for a matrix, make Interactions with from_csr" if sp.issparse(events) else ""
        raise TypeError(
            "events must be a frame, an Arrow stream, Interactions, or (users, items, values); "
            f"got {type(events).__name__}{fix}"
        )

    @classmethod
    def of_frame(cls, frame: Any, user: Any, item: Any, value: Any, time: Any) -> Events:
        """Read the named columns of a frame. Without `value`, each row counts as 1."""
        columns: dict[str, Any] = {"value": None, "time": None}
        for argument, column in (("user", user), ("item", item), ("value", value), ("time", time)):
            if column is None:
                if argument in ("user", "item"):
                    raise TypeError(f"{argument} must name a column, got None")
                continue
            try:
                series = frame[column]
            except (KeyError, IndexError, ValueError):
                known = ", ".join(map(str, getattr(frame, "columns", [])))
                fix = "; value=None (--value '') counts every row as 1" if argument == "value" else ""
                raise KeyError(f"{argument}={column!r}: no such column; the table has {known}{fix}") from None
            is_arrow = hasattr(series, "__arrow_c_array__")  # its to_numpy refuses to copy
            as_array = hasattr(series, "to_numpy") and not is_arrow
            columns[argument] = series.to_numpy() if as_array else np.asanyarray(series)
        names = (str(user), str(item), str(value), str(time))
        return cls._checked(columns["user"], columns["item"], columns["value"], columns["time"], names)

    @classmethod
    def of_stream(cls, stream: Any, user: Any, item: Any, value: Any, time: Any) -> Events:
        """Read the named columns of an Arrow stream, batch by batch."""
        return cls.of_frame(columns_of(stream, (user, item, value, time)), user, item, value, time)

    @classmethod
    def of_arrays(cls, users: Any, items: Any, values: Any = None, times: Any = None) -> Events:
        return cls._checked(users, items, values, times, ("users", "items", "values", "times"))

    @classmethod
    def _checked(cls, users: Any, items: Any, values: Any, times: Any, names: tuple[str, str, str, str]) -> Events:
        user_of, item_of = id_array(names[0], users), id_array(names[1], items)
        if user_of.size != item_of.size:
            raise ValueError(f"{names[0]} and {names[1]} must have the same length, got {user_of.size} and {item_of.size}")
        checked = checked_values(names[2], values, user_of, item_of)
        when = checked_times(names[3], times, user_of.size)
        return cls(own(user_of, users), own(item_of, items), checked, when)

    def rows_among(self, users: Ids, items: Ids) -> tuple[Ids, Ids, NDArray[np.int64], NDArray[np.int64]]:
        """The ids with those of the events appended, and the row of each event's user and of each event's item."""
        for ids, numbered in zip((users, items), self.numbered, strict=True):
            if numbered and ids.array is not None:
                raise TypeError(
                    f"the events have row numbers instead of {ids.what} ids; give them the ids of the {ids.what}s"
                )
        users, rows = users.with_new(self.users)
        items, cols = items.with_new(self.items)
        return users, items, rows, cols

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


def checked_values(name: str, values: Any, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
    """The values of events as floats that the caller cannot change. Raises if one is not finite, and names its row."""
    if users.size != items.size:
        raise ValueError(f"users and items must have the same length, got {users.size} and {items.size}")
    if values is None:
        return np.ones(users.size, np.float32)
    array = own(values_array(name, values), values)
    if array.shape != users.shape:
        raise ValueError(f"{name} must be as long as the ids, {users.size}; got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        row = bad[0]
        raise ValueError(
            f"column {name!r}, row {row} holds {array[row]} (user {users[row]}, item {items[row]}); values must be finite: "
            "drop such rows, or replace the value"
        )
    return array
