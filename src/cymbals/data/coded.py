"""Codes the ids of events: finds their distinct ids, and the place of each event's id among them.

Columns that are already coded, such as categories and Arrow dictionaries, keep their codes. Other strings are coded by
Arrow where the column is an Arrow array, and otherwise by a Python dict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from .._core import renumber
from ..base.threads import resolve
from .columns import as_arrow
from .csr import index_type, own
from .ids import distinct, id_array


@dataclass(frozen=True)
class Coded:
    """The ids of events. `ids` are distinct, and `places` has the place of each event's id among them.

    The ids are in rising order, and each has an event. Those of existing interactions keep their order, and some may have
    no event.
    """

    ids: NDArray[Any]
    places: NDArray[Any]

    @property
    def size(self) -> int:
        """Number of events."""
        return int(self.places.size)

    def used(self) -> NDArray[np.bool_]:
        """Whether each id has an event."""
        out = np.zeros(self.ids.size, bool)
        out[self.places] = True
        return out

    def of(self, event: int) -> Any:
        """The id of one event."""
        return self.ids[self.places[event]]


def coded(name: str, column: Any) -> Coded:
    """Code a column of ids: an array or list, a column of a frame, or an Arrow array. Errors begin with `name`."""
    column = getattr(column, "array", column) if hasattr(column, "cat") else column  # a pandas Series of categories
    if hasattr(column, "codes") and hasattr(column, "categories"):
        return _recoded(name, [np.asarray(column.codes)], coded(f"the categories of {name}", column.categories))
    arrow = as_arrow(column)
    if arrow is not None:
        return _of_arrow(name, arrow)
    given = column.to_numpy() if hasattr(column, "to_numpy") else column
    array = own(id_array(name, given), given)
    if array.dtype == object:
        return _of_strings(array)
    return Coded(*distinct(array, resolve(None)))


def _of_strings(strings: NDArray[Any]) -> Coded:
    if strings.size and (strings[:-1] < strings[1:]).all():  # as categories usually are
        return Coded(strings, np.arange(strings.size, dtype=index_type(strings.size)))
    found = dict.fromkeys(strings.tolist())
    ids = sorted(found)
    found.update(zip(ids, range(len(ids)), strict=True))
    places = np.fromiter(map(found.__getitem__, strings), index_type(len(ids)), strings.size)
    array = np.empty(len(ids), object)
    array[:] = ids
    return Coded(array, places)


def _of_arrow(name: str, column: Any) -> Coded:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, is_uuid = column.type, False
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        is_uuid, kind = kind.extension_name == "arrow.uuid", kind.storage_type
    if pa.types.is_dictionary(kind):
        _check_codes(name, column)
        if any(chunk.dictionary.null_count for chunk in column.chunks):
            column, kind = column.cast(kind.value_type), kind.value_type
    if column.null_count:
        row = pc.index(pc.is_null(column), pa.scalar(True)).as_py()
        raise ValueError(f"{name}: row {row} has no id (None); drop such rows")
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):  # Arrow has few functions for these
        kind = pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
        column = column.cast(kind)
    if _is_text(kind):
        return _of_texts(name, column, is_uuid)
    if pa.types.is_decimal(kind):
        try:
            return coded(name, column.cast(pa.int64()).to_numpy())
        except pa.ArrowInvalid:
            raise TypeError(
                f"{name} holds {kind}, and not all are whole numbers below 2^63: cast it, or use strings"
            ) from None
    if not pa.types.is_dictionary(kind):
        return coded(name, column.to_numpy())
    codes, values = _unified(column)
    if not _is_text(values.type):
        return _recoded(name, codes, coded(f"the categories of {name}", values))
    return _recoded(name, codes, _sorted_texts(f"the categories of {name}", values, is_uuid))


def _of_texts(name: str, column: Any, is_uuid: bool) -> Coded:
    if not is_uuid and _is_rising(column):  # as categories usually are
        ids = id_array(name, _as_objects(name, column))
        return Coded(ids, np.arange(ids.size, dtype=index_type(ids.size)))
    codes, values = _unified(column.dictionary_encode())
    try:
        return _recoded(name, codes, _sorted_texts(name, values, is_uuid))
    except ValueError:
        id_array(name, _as_objects(name, column))  # raises the error that names the row of the column
        raise


def _sorted_texts(name: str, values: Any, is_uuid: bool) -> Coded:
    """Code distinct texts. Arrow sorts them faster than Python."""
    import pyarrow.compute as pc

    order = pc.array_sort_indices(values).to_numpy()
    texts: Any = _as_objects(name, values.take(order))
    in_order = coded(name, [UUID(bytes=text) for text in texts] if is_uuid else texts)
    places = np.empty_like(in_order.places)
    places[order] = in_order.places
    return Coded(in_order.ids, places)


def _unified(column: Any) -> tuple[list[NDArray[Any]], Any]:
    """The codes of each part of a dictionary column, and the values that they point to."""
    import pyarrow as pa

    parts = column.unify_dictionaries().chunks
    values = parts[0].dictionary if parts else pa.array([], column.type.value_type)
    return [part.indices.to_numpy() for part in parts], values


def _check_codes(name: str, column: Any) -> None:
    """Refuse codes outside their dictionary: Arrow does not check them when it unifies dictionaries."""
    begin = 0
    for part in column.chunks:
        codes = part.indices.drop_null().to_numpy()
        if codes.size and (codes.min() < 0 or codes.max() >= len(part.dictionary)):
            codes = part.indices.fill_null(0).to_numpy()
            at = int(np.argmax((codes < 0) | (codes >= len(part.dictionary))))
            raise ValueError(
                f"{name}: row {begin + at} has no id: its code is {codes[at]}, and the dictionary has "
                f"{len(part.dictionary)} values"
            )
        begin += len(part)


def _as_objects(name: str, texts: Any) -> NDArray[Any]:
    import pyarrow as pa

    try:
        out: NDArray[Any] = texts.to_numpy() if isinstance(texts, pa.ChunkedArray) else texts.to_numpy(zero_copy_only=False)
        return out
    except (pa.ArrowException, UnicodeDecodeError):
        raise ValueError(f"{name} holds an id that is not text in UTF-8; use bytes.hex() or numbers as ids") from None


def _is_rising(column: Any) -> bool:
    """Whether all values are distinct and in rising order. The first few usually show that they are not."""
    import pyarrow.compute as pc

    return all(pc.all(pc.less(part[:-1], part[1:])).as_py() is True for part in (column[:9], column) if len(part) > 1)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    tests = ("string", "large_string", "binary", "large_binary", "fixed_size_binary")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _recoded(name: str, codes: list[NDArray[Any]], known: Coded) -> Coded:
    """The ids of codes that point to `known` categories; each element of `codes` is a part of the column.

    Categories without events are left out.
    """
    n_threads, size = resolve(None), sum(part.size for part in codes)
    if known.size == 0 and size:
        raise _without_id(name, codes, 0)
    in_order = np.array_equal(known.places, np.arange(known.size))
    table = None if in_order else np.ascontiguousarray(known.places, np.int32)
    places, used, begin = np.empty(size, np.int32), np.zeros(known.size, bool), 0
    for part in codes:
        here, marks = places[begin : begin + part.size], np.empty(known.size, np.uint8)
        if part.dtype.itemsize < 4:
            here[:] = part
            part = here
        try:
            renumber(np.ascontiguousarray(part).view(f"i{part.dtype.itemsize}"), table, here, marks, n_threads)
        except ValueError:
            raise _without_id(name, codes, known.size) from None
        used |= marks.view(bool)
        begin += part.size
    kept = np.zeros(known.ids.size, bool)
    kept[known.places[used]] = True
    if not kept.all():
        renumber(places, (np.cumsum(kept) - 1).astype(np.int32), places, np.empty(kept.size, np.uint8), n_threads)
    return Coded(known.ids[kept], places)


def _without_id(name: str, codes: list[NDArray[Any]], n: int) -> ValueError:
    each = np.concatenate(codes)
    row = int(np.argmax((each < 0) | (each >= n)))
    return ValueError(f"{name}: row {row} has no id (None); drop such rows")
