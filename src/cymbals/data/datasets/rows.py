"""Reads large text tables without quotes: a line for each event, whose fields have fixed places.

pyarrow parses them. It does not say in which line a field is wrong, so the file is then read a second time, line by line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.caller import warn_caller
from ...base.checks import shown
from ...base.format import first_few
from ...base.optional import optional
from ..ids import Ids
from ..interactions import Interactions

_WHOLE = re.compile(rb"-?[0-9]+")
_NUMBER = re.compile(rb"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Layout:
    """How a table is laid out.

    Attributes
    ----------
    fields : tuple of str
        What each field of a line is: "user", "item", "value" or "time" (seconds since 1970). Other names are skipped.
    separator : str
        What is between two fields: a tab, a comma, or "::".
    texts : bool
        Whether the ids are texts; else they are whole numbers.
    header : bool
        Whether the first line holds names of columns.
    """

    fields: tuple[str, ...]
    separator: str
    texts: bool = False
    header: bool = False

    @property
    def wanted(self) -> list[str]:
        """The fields that are read."""
        return [name for name in self.fields if name in ("user", "item", "value", "time")]


def load(path: str | os.PathLike[str], layout: Layout, item_names: Any = None) -> Interactions:
    """Read a table.

    Lines with more or fewer fields than the layout, and lines with an empty user, item, value or time, are rejected.
    ``report["lines_rejected"]`` counts them, and a warning names the first five.

    Parameters
    ----------
    path : path-like
    layout : Layout
    item_names : mapping or Series, optional
        Maps item ids to names.

    Returns
    -------
    Interactions
        The times are datetime64.

    Raises
    ------
    ValueError
        A field is not a number, or not UTF-8, where the layout says so; or every line is rejected. The message names the
        line.
    """
    place = Path(path)
    table, rejected = _parsed(place, layout)
    columns = {name: table.column(name) for name in layout.wanted}
    empty = {name: _empty(column) for name, column in columns.items()}
    good = ~np.logical_or.reduce(list(empty.values()))
    rejected += int(good.size - np.count_nonzero(good))
    if rejected:
        _report(place, layout, rejected, not good.any())
    values = _numbers(columns["value"])[good]
    times = _numbers(columns["time"])[good].astype("datetime64[s]") if "time" in columns else None
    data = _interactions(columns["user"], columns["item"], good, values, times, item_names, layout.texts)
    data.report["lines_rejected"] = rejected
    return data


def _parsed(place: Path, layout: Layout) -> tuple[Any, int]:
    """The wanted columns as an Arrow table, and the number of lines with more or fewer fields."""
    pa, csv = optional("pyarrow", "reading this data set"), optional("pyarrow.csv", "reading this data set")
    ids = pa.dictionary(pa.int32(), pa.string()) if layout.texts else pa.int64()
    types = {"user": ids, "item": ids, "value": pa.float64(), "time": pa.int64()}
    short = list[None]()  # list.append needs no lock, and the parser's threads call it

    def skip(row: Any) -> str:
        short.append(None)
        return "skip"

    source: Any = place
    if len(layout.separator) > 1:  # the parser takes single characters
        source = pa.BufferReader(place.read_bytes().replace(layout.separator.encode(), b"\t"))
    try:
        table = csv.read_csv(
            source,
            csv.ReadOptions(column_names=layout.fields, skip_rows=int(layout.header)),
            csv.ParseOptions(
                delimiter=layout.separator if len(layout.separator) == 1 else "\t",
                quote_char=False,
                invalid_row_handler=skip,
            ),
            csv.ConvertOptions(column_types=types, include_columns=layout.wanted, null_values=[""]),
        )
    except pa.ArrowInvalid as error:
        wrong = _wrong_field(place, layout)
        raise ValueError(f"{place}: {wrong or f'cannot be read: {error}'}") from None
    return table.unify_dictionaries(), len(short)


def _empty(column: Any) -> NDArray[np.bool_]:
    """Which fields of a column are empty."""
    if not hasattr(column.type, "index_type"):
        out: NDArray[np.bool_] = column.is_null().to_numpy()
        return out
    codes, texts = _codes(column)
    return np.equal(texts, "")[codes] if texts.size else np.zeros(codes.size, bool)


def _numbers(column: Any) -> NDArray[Any]:
    """The numbers of a column, with 0 for empty fields: without it, whole numbers would become floats."""
    out: NDArray[Any] = column.fill_null(0).to_numpy()
    return out


def _codes(column: Any) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """The distinct texts of a column, and the position of each field among them."""
    if column.num_chunks == 0:
        return np.empty(0, np.int32), np.empty(0, object)
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])
    return codes, column.chunk(0).dictionary.to_numpy(zero_copy_only=False)


def _interactions(
    users: Any, items: Any, good: NDArray[np.bool_], values: Any, times: Any, names: Any, texts: bool
) -> Interactions:
    """Interactions of the good lines, with their distinct ids in rising order."""
    values = values.astype(np.float32) if np.array_equal(values, values.astype(np.float32)) else values
    if not texts:
        return Interactions.from_arrays(_numbers(users)[good], _numbers(items)[good], values, item_names=names, times=times)
    rows, user_ids = _ranked(users, good)
    cols, item_ids = _ranked(items, good)
    data = Interactions.from_arrays(rows, cols, values, (user_ids.size, item_ids.size), times=times)
    people, things = Ids("user", user_ids.size, user_ids), Ids("item", item_ids.size, item_ids)
    return Interactions(data.csr, people, things, report=data.report, times=data.times)


def _ranked(column: Any, good: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The rank of each good line's id among the distinct ids of good lines, and these ids in rising order."""
    codes, texts = _codes(column)
    codes = codes[good]
    used = np.flatnonzero(np.bincount(codes, minlength=texts.size))
    order = used[np.argsort(texts[used])]
    rank = np.full(texts.size, -1)
    rank[order] = np.arange(order.size)
    return rank[codes], texts[order]


def _report(place: Path, layout: Layout, rejected: int, all_of_them: bool) -> None:
    """Warns of rejected lines. Raises ValueError if all lines were rejected."""
    first = list(islice(_rejected_lines(place, layout), min(rejected, 5)))
    lines = first_few(first) + (f" and {rejected - 5:,} more" if rejected > 5 else "")
    need = f"a line must have {len(layout.fields)} fields, {', '.join(layout.fields)}"
    if all_of_them:
        raise ValueError(f"{place}: every line was rejected: {need}; rejected: lines {lines}")
    what = "1 line" if rejected == 1 else f"{rejected:,} lines"
    warn_caller(f"{place}: {what} rejected: {need}, and none of those read may be empty; rejected: {lines}")


def _lines(place: Path, layout: Layout) -> Iterator[tuple[int, list[bytes]]]:
    """The number and the fields of each line, without the header and blank lines."""
    separator = layout.separator.encode()
    with open(place, "rb") as file:
        for number, text in enumerate(file, 1):
            line = text.rstrip(b"\r\n")
            if line and not (number == 1 and layout.header):
                yield number, line.split(separator)


def _rejected_lines(place: Path, layout: Layout) -> Iterator[int]:
    """The numbers of the lines with more or fewer fields than the layout, or with an empty field that is wanted."""
    n_fields, places = len(layout.fields), [layout.fields.index(name) for name in layout.wanted]
    for number, fields in _lines(place, layout):
        if len(fields) != n_fields or not all([fields[at] for at in places]):
            yield number


def _wrong_field(place: Path, layout: Layout) -> str | None:
    """Where the first field is that is not a number, or not UTF-8, but should be; None if there is none."""
    checks = [(layout.fields.index(name), name, _check_of(name, layout.texts)) for name in layout.wanted]
    for number, fields in _lines(place, layout):
        if len(fields) != len(layout.fields):
            continue
        for at, name, check in checks:
            if fields[at] and not check(fields[at]):
                kind = "UTF-8" if check is _is_utf8 else "a number" if name == "value" else "a whole number"
                return f"line {number}: the {name} is not {kind}: {shown(fields[at])[1:]}"
    return None


def _check_of(name: str, texts: bool) -> Callable[[bytes], Any]:
    if name in ("user", "item") and texts:
        return _is_utf8
    return _NUMBER.fullmatch if name == "value" else _WHOLE.fullmatch


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
