"""Checks events as the methods of Interactions do that read all at once, a run of events at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..coded import coded
from ..columns import to_numpy
from ..csr import values_array
from ..events import checked_values
from ..ids import id_array
from ..times import checked as checked_times
from .sources import Part, Source

_ROWS = re.compile(r"(: row |, row | of row )(\d+)")
_FEW = 1 << 18  # values that are checked at a time, while they are in a cache


class Column(NamedTuple):
    """The ids of a run's events, in one of three forms.

    Whole numbers; texts (a chunked array of large_string); or distinct ids (an Arrow array) and the place of each event's
    id among them.
    """

    numbers: NDArray[np.int64] | None = None
    texts: Any = None
    distinct: Any = None
    places: NDArray[Any] | None = None


@dataclass
class Run:
    """Consecutive events that were checked together."""

    users: Column
    items: Column
    values: NDArray[Any] | None  # float32 or float64; None if each event counts as 1
    times: NDArray[Any] | None
    size: int
    whole: bool  # whether all values are whole numbers
    largest: float  # the largest absolute value
    signed: bool  # whether a value has a minus sign


def parts_of_runs(source: Source, most: int, most_bytes: int) -> Iterator[list[Part]]:
    """The parts of a source, in lists of at most `most` events and about `most_bytes` bytes. There is at least one list."""
    parts: list[Part] = []
    size, n_bytes, n_lists, empty = 0, 0, 0, None
    for part in source.parts():
        empty = empty or part.slice(0, 0)
        begin = 0
        while begin < part.size:
            piece = part.slice(begin, min(most - size, part.size - begin))
            parts.append(piece)
            begin, size = begin + piece.size, size + piece.size
            n_bytes += sum(map(_bytes_of, piece.columns.values()))
            if size == most or n_bytes >= most_bytes:
                yield parts
                parts, size, n_bytes, n_lists = [], 0, 0, n_lists + 1
    if parts:
        yield parts
    elif n_lists == 0 and empty is not None:
        yield [empty]


def _bytes_of(column: Any) -> int:
    """About the size of an Arrow array in bytes."""
    try:
        return int(column.nbytes)
    except TypeError:  # pyarrow 18 has no such size for views of texts; this one counts all that a view can reach
        return int(column.get_total_buffer_size())


def checked(parts: list[Part], names: dict[str, str | None], pool: Executor) -> Run:
    """Check a run. Errors name the file, and the row in it."""
    try:
        return _checked(parts, names, pool.map)
    except (ValueError, TypeError):
        for part in parts:
            try:
                _checked([part], names, map)
            except (ValueError, TypeError) as error:
                where = f"{part.label}: " if part.label else ""
                raise type(error)(f"{where}{moved(str(error), part.first)}") from None
        raise


def moved(message: str, first: int) -> str:
    """A message about a row of a part, with the number that the row has in the whole."""
    return _ROWS.sub(lambda found: f"{found[1]}{int(found[2]) + first}", message, count=1)


def _checked(parts: list[Part], names: dict[str, str | None], mapping: Callable[..., Iterable[Any]]) -> Run:
    import pyarrow as pa

    parts = [part for part in parts if part.size] or parts[:1]
    columns = {name: pa.chunked_array([part.columns[name] for part in parts]) for name in parts[0].columns}
    size = len(columns["user"])
    users, items = mapping(_column, *zip(*((str(names[side]), columns[side]) for side in ("user", "item")), strict=True))
    values, whole, least, most = None, True, 1.0, 1.0
    if "value" in columns:
        values = values_array(str(names["value"]), to_numpy(columns["value"]))
        whole, least, most = _facts(values)
        if not (np.isfinite(least) and np.isfinite(most)):
            sides = coded("user", columns["user"]), coded("item", columns["item"])
            checked_values(
                str(names["value"]), values, size, lambda row: f"user {sides[0].of(row)}, item {sides[1].of(row)}"
            )
    times = checked_times(str(names["time"]), to_numpy(columns["time"]), size) if "time" in columns else None
    if values is not None and whole and least == most == 1.0:
        values = None
    signed = values is not None and bool(np.signbit(values).any())
    return Run(users, items, values, times, size, whole, max(most, -least), signed)


def _facts(values: NDArray[Any]) -> tuple[bool, float, float]:
    """Whether all values are whole numbers, and the smallest and the largest. These are not finite if a value is not."""
    whole, least, most = True, [0.0] * (values.size == 0), [0.0] * (values.size == 0)
    for begin in range(0, values.size, _FEW):
        part = values[begin : begin + _FEW]
        least.append(float(part.min()))
        most.append(float(part.max()))
        whole = whole and bool(np.all(part == np.rint(part)))
    return whole, float(np.min(least)), float(np.max(most))


def _column(name: str, column: Any) -> Column:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) and not column.null_count:
        return Column(numbers=id_array(name, column.to_numpy()))
    if (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and not column.null_count:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            coded(name, column)  # raises the error that names the row
            raise
        return Column(texts=column.cast(pa.large_string()))
    found = coded(name, column)
    if found.ids.dtype == object:
        return Column(distinct=pa.array(found.ids, pa.large_string()), places=found.places)
    return Column(distinct=pa.array(found.ids, pa.int64()), places=found.places)
