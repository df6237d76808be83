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

from .budget import Budget
from .checking import Column

_WHOLE = "^-?(0|[1-9][0-9]{0,18})([.]0+)?$"  # "-7", "7" and "7.0", but not "007", which stays a text
_STEP = 1 << 16  # a table grows by multiples of this
_LISTED = 80  # bytes for each id of a list, with its hash table, besides the text itself
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

    def rows(self, codes: NDArray[np.int32], kind: int) -> NDArray[np.int32]:
        """The row number of each code."""
        return np.take(self.tables[kind], codes - self.lowest if kind == RANGED and self.lowest else codes)


class Numbering:
    """The ids of one side, while events are read."""

    def __init__(self, what: str, budget: Budget, texts_may_be_numbers: bool) -> None:
        self.what, self.budget, self._texts_may_be_numbers = what, budget, texts_may_be_numbers
        self._runs, self._turned = 0, 0
        self._origin: int | None = None
        self._lowest = 0  # the number that the first element of the table is for
        self._table = np.zeros(0, np.int64)  # how many events each number has
        self._known: Any = None  # the list: an Arrow array in the order of the codes
        self._counts = np.zeros(0, np.int64)  # how many events each element of the list has

    @property
    def ranged(self) -> bool:
        """Whether the codes so far are in the order of the ids."""
        return self._known is None

    @property
    def codes_from(self) -> int:
        """The lowest code of a table's range."""
        return self._lowest - (self._origin or 0)

    @property
    def span(self) -> int:
        """The length of the table's range."""
        return self._table.size

    def code(self, column: Column) -> NDArray[np.int32]:
        """The code of each event of a run. Counts the events."""
        self._runs += 1
        numbers = column.numbers
        if numbers is None:
            import pyarrow as pa

            if pa.types.is_integer(column.distinct.type):
                assert column.places is not None
                numbers = column.distinct.to_numpy()[column.places]
        if numbers is not None and self.ranged:
            codes = self._in_range(numbers)
            if codes is not None:
                self._turned = self._runs
                return codes
            self._turn()
        return self._in_list(column, numbers)

    def _in_range(self, numbers: NDArray[np.int64]) -> NDArray[np.int32] | None:
        """Codes by a table over the range of the ids; None if the range would become too long."""
        if not numbers.size:
            return np.zeros(0, np.int32)
        low, high = int(numbers.min()), int(numbers.max())
        if self._origin is not None:
            low, high = min(low, self._lowest), max(high, self._lowest + self._table.size - 1)
        if high - low + 1 > self.budget.range:
            return None
        if self._origin is None:
            self._origin, self._lowest = low, low
        self._reach(low, high)
        codes = np.empty(numbers.size, np.int32)
        np.subtract(numbers, self._lowest, out=codes, casting="unsafe")
        self._table += np.bincount(codes, minlength=self._table.size)
        if self._lowest != self._origin:
            codes += np.int32(self._lowest - self._origin)
        return codes

    def _reach(self, low: int, high: int) -> None:
        """Let the table reach from at most `low` to at least `high`, as far as the budget allows."""
        assert self._origin is not None
        size, spare = high - low + 1, min(_STEP, (self.budget.range - (high - low + 1)) // 2)
        if low < self._lowest:
            low -= spare
        if high >= self._lowest + self._table.size:
            high += spare
        size = high - low + 1
        if size > self._table.size:
            table = np.zeros(size, np.int64)
            at = self._lowest - low
            table[at : at + self._table.size] = self._table
            self._table, self._lowest = table, low

    def _turn(self) -> None:
        """Go on with a list, which begins with the ids of the table."""
        import pyarrow as pa

        used = np.flatnonzero(self._table)
        self._counts = self._table[used]
        self._known = pa.array(used + self._lowest, pa.int64())

    def _in_list(self, column: Column, numbers: NDArray[np.int64] | None) -> NDArray[np.int32]:
        import pyarrow as pa
        import pyarrow.compute as pc

        if numbers is None:
            distinct, places = column.distinct, column.places
            assert places is not None
        else:
            encoded = pa.array(numbers).dictionary_encode()
            distinct, places = encoded.dictionary, encoded.indices.to_numpy()
        if self._known is None:
            self._known = pa.array([], distinct.type)
        found = pc.index_in(distinct, value_set=self._known)
        new = pc.is_null(found)
        codes = found.fill_null(0).to_numpy().copy()
        fresh = np.flatnonzero(new.to_numpy(zero_copy_only=False))
        codes[fresh] = len(self._known) + np.arange(fresh.size)
        self._known = pa.concat_arrays([self._known, distinct.filter(new)])
        if len(self._known) >= 2**31 - 1:
            raise ValueError(f"there are over {2**31 - 2:,} distinct {self.what} ids, more than a store can number")
        counts = np.zeros(len(self._known), np.int64)
        counts[: self._counts.size] = self._counts
        counts[codes] += np.bincount(places, minlength=codes.size)
        self._counts = counts
        return np.take(codes.astype(np.int32, copy=False), places)

    @property
    def n(self) -> int:
        """Number of distinct ids so far."""
        return int(np.count_nonzero(self._table)) if self.ranged else len(self._known)

    @property
    def nbytes(self) -> int:
        """Memory that the ids take."""
        n_bytes = 20 * self._table.size
        return n_bytes if self._known is None else n_bytes + _LISTED * len(self._known) + 2 * self._known.nbytes

    def finish(self) -> Numbered:
        """Number the ids. This object cannot be used afterwards."""
        import pyarrow as pa
        import pyarrow.compute as pc

        lowest, used = self.codes_from, self._table > 0
        if self._known is None:
            numbers = np.flatnonzero(used)
            counts = self._table[numbers]
            table = np.cumsum(used, dtype=np.int32)
            table -= 1
            return Numbered(
                numbers + self._lowest, counts, lowest, [table, np.zeros(0, np.int32)], self._turned, self._runs
            )
        ids = self._known
        if self._texts_may_be_numbers and (whole := _as_numbers(ids)) is not None:
            ids = pa.array(whole)
        if pa.types.is_integer(ids.type):
            order = np.argsort(ids.to_numpy(), kind="stable")
            ids = ids.to_numpy()[order]
        else:
            order = pc.array_sort_indices(ids).to_numpy()
            ids = ids.take(pa.array(order))
        rows = np.empty(order.size, np.int32)
        rows[order] = np.arange(order.size, dtype=np.int32)
        first = np.zeros(0, np.int32)
        if self._turned:  # the list begins with the ids of the table
            first = np.full(self._table.size, -1, np.int32)
            first[used] = rows[: np.count_nonzero(used)]
        return Numbered(ids, self._counts[order], lowest, [first, rows], self._turned, self._runs)


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
    import pyarrow as pa

    ids = pa.concat_arrays([ids])
    _, offsets, content = ids.buffers()
    ends = np.frombuffer(offsets, np.int64, len(ids) + 1, 8 * ids.offset)
    n = int(ends[-1] - ends[0])
    text = np.frombuffer(content, np.uint8, n, int(ends[0])) if n else np.zeros(0, np.uint8)
    return np.diff(ends), text


def texts_of(lengths: NDArray[np.int64], content: NDArray[np.uint8]) -> Any:
    """An Arrow array of texts, from what `text_parts` returned."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(lengths.size, pa.py_buffer(offsets), pa.py_buffer(content))
