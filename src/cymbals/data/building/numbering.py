"""Gives each distinct id a code while the events are read, and its row number when all events are known.

Whole numbers in a short range are their own codes, and a table over the range counts them. Other ids get codes in the
order in which they come; then memory holds each distinct id once, and finds it by a hash table, which compares the ids
themselves. So memory grows with the number of distinct ids, and never with that of the events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core import renumber
from .budget import Budget
from .checking import Column
from .tables import HashTable, RangeTable, TextTable, parts_of_texts

_WHOLE = "^-?(0|[1-9][0-9]{0,18})([.]0+)?$"  # "-7", "7" and "7.0", but not "007", which stays a text
RANGED, LISTED = 0, 1  # the two kinds of codes


@dataclass
class Numbered:
    """The ids of a side in rising order, their number of events, and the row number of each code.

    Attributes
    ----------
    ids : ndarray of int64, or Arrow array of large_string
    counts : ndarray of int64
    lowest : int
        The code that the first element of the first table is for.
    tables : list of ndarray of int32
        For each of the two kinds of codes. An empty one if no run has codes of this kind.
    turned : int
        The number of runs with codes of the first kind. All later runs have the second.
    runs : int
        The number of all runs.
    """

    ids: Any
    counts: NDArray[np.int64]
    lowest: int
    tables: list[NDArray[np.int32]]
    turned: int
    runs: int

    @property
    def all_ranged(self) -> bool:
        """Whether all codes are in the order of the ids."""
        return self.turned == self.runs

    @property
    def n(self) -> int:
        return len(self.ids)

    def replace_by_rows(self, codes: NDArray[np.int32], kind: int, n_threads: int) -> None:
        """Replace each code by its row number."""
        table = self.tables[kind]
        if kind == RANGED and self.lowest:
            codes -= np.int32(self.lowest)
        renumber(codes, table, codes, np.empty(table.size, np.uint8), n_threads)


class Numbering:
    """The ids of one side, while events are read."""

    def __init__(self, what: str, budget: Budget, texts_may_be_numbers: bool, n_threads: int) -> None:
        self.what, self._texts_may_be_numbers, self._n_threads = what, texts_may_be_numbers, n_threads
        self._runs, self._turned = 0, 0
        self.range = RangeTable(budget.range)
        self._list: HashTable | TextTable | None = None

    @property
    def ranged(self) -> bool:
        """Whether the codes so far are in the order of the ids."""
        return self._list is None

    def code(self, column: Column) -> NDArray[np.int32]:
        """The code of each event of a run. Counts the events."""
        self._runs += 1
        if column.texts is not None or (column.numbers is None and not _is_whole(column.distinct)):
            self._list = self._list or TextTable()
            assert isinstance(self._list, TextTable)
            if column.texts is not None:
                return self._list.code(column.texts)
            assert column.places is not None
            return self._list.code_places(column.distinct, column.places)
        numbers = column.numbers if column.numbers is not None else column.distinct.to_numpy()[column.places]
        if self._list is None:
            codes = self.range.code(numbers, self._n_threads)
            if codes is not None:
                self._turned = self._runs
                return codes
            used = np.flatnonzero(self.range.counts)
            self._list = HashTable.of(used + self.range.lowest, self.range.counts[used])
        assert isinstance(self._list, HashTable)
        return self._list.code(numbers)

    @property
    def n(self) -> int:
        """Number of distinct ids so far."""
        return self.range.n if self._list is None else self._list.n

    @property
    def nbytes(self) -> int:
        """Memory that the ids take."""
        return self.range.nbytes + (0 if self._list is None else self._list.nbytes)

    def finish(self) -> Numbered:
        """Number the ids. This object cannot be used afterwards."""
        used, lowest = self.range.counts > 0, self.range.first_code
        if self._list is None:
            numbers = np.flatnonzero(used)
            table = np.cumsum(used, dtype=np.int32)
            table -= 1
            tables, ids = [table, np.zeros(0, np.int32)], numbers + self.range.lowest
            return Numbered(ids, self.range.counts[numbers], lowest, tables, self._turned, self._runs)
        ids, order = self._sorted(self._list.ids)
        rows = np.empty(order.size, np.int32)
        rows[order] = np.arange(order.size, dtype=np.int32)
        first = np.zeros(0, np.int32)
        if self._turned:  # the list begins with the ids of the table
            first = np.zeros(used.size, np.int32)
            first[used] = rows[: np.count_nonzero(used)]
        return Numbered(ids, self._list.counts[order], lowest, [first, rows], self._turned, self._runs)

    def _sorted(self, ids: Any) -> tuple[Any, NDArray[Any]]:
        """The ids in rising order, and the order that sorts them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._texts_may_be_numbers and (whole := _as_numbers(ids)) is not None:
            ids = whole
        if isinstance(ids, np.ndarray):
            order = np.argsort(ids, kind="stable")
            return ids[order], order
        order = pc.array_sort_indices(ids).to_numpy()
        return ids.take(pa.array(order)), order


def _is_whole(ids: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(ids.type))


def _as_numbers(texts: Any) -> NDArray[np.int64] | None:
    """Texts as whole numbers, if all of them are different whole numbers that fit; otherwise None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.all(pc.match_substring_regex(texts, _WHOLE)).as_py() and len(texts):
        return None
    try:
        numbers: NDArray[np.int64] = pc.replace_substring_regex(texts, "[.]0+$", "").cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    if np.unique(numbers).size != numbers.size or np.any(numbers == np.iinfo(np.int64).min):
        return None
    return numbers


def text_parts(ids: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The length of each text of an Arrow array, and the bytes of all."""
    begins, content = parts_of_texts(ids)
    return np.diff(begins), content[begins[0] : begins[-1]]


def texts_of(lengths: NDArray[np.int64], content: NDArray[np.uint8]) -> Any:
    """An Arrow array of texts, from what `text_parts` returned."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(lengths.size, pa.py_buffer(offsets), pa.py_buffer(content))
