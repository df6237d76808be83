"""Tables that give distinct ids codes, and count the events of each id, while the events come in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core import code_ids, code_texts, count_ids

_STEP = 1 << 16  # by how many numbers a table over a range grows at least
_FIRST = 1 << 16  # slots of a new hash table


class RangeTable:
    """Whole numbers in a short range. The code of a number is its distance from the smallest one of the first part.

    Attributes
    ----------
    lowest : int
        The number that the first element of `counts` is for.
    counts : ndarray of int64
        How many events each number has.
    """

    def __init__(self, most: int) -> None:
        self._most, self._origin = most, 0
        self.lowest, self.counts = 0, np.zeros(0, np.int64)

    @property
    def first_code(self) -> int:
        """The code that the first element of `counts` is for. Negative if a later part has smaller numbers."""
        return self.lowest - self._origin

    def code(self, numbers: NDArray[np.int64], n_threads: int) -> NDArray[np.int32] | None:
        """The code of each number. None if the range becomes too long."""
        codes = np.empty(numbers.size, np.int32)
        if not numbers.size:
            return codes
        low, high = int(numbers.min()), int(numbers.max())
        if not self.counts.size:
            self._origin = self.lowest = low
        if not self._reach(min(low, self.lowest), max(high, self.lowest + self.counts.size - 1)):
            return None
        count_ids(numbers, self.lowest, self.counts, codes, n_threads)
        if self.first_code:
            codes += np.int32(self.first_code)
        return codes

    def _reach(self, low: int, high: int) -> bool:
        """Let the table reach from `low` to `high`, and a bit further where it grows. False if that is too long."""
        spare = self._most - (high - low + 1)
        if spare < 0:
            return False
        if high - low + 1 > self.counts.size:
            spare = min(max(_STEP, (high - low) // 8), spare // 2)
            low, high = low - spare * (low < self.lowest), high + spare * (high >= self.lowest + self.counts.size)
            counts = np.zeros(high - low + 1, np.int64)
            at = self.lowest - low
            counts[at : at + self.counts.size] = self.counts
            self.counts, self.lowest = counts, low
        return True

    @property
    def n(self) -> int:
        """Number of distinct ids."""
        return int(np.count_nonzero(self.counts))

    @property
    def nbytes(self) -> int:
        """Memory of the table, and of the table of row numbers that is made of it."""
        return 20 * self.counts.size


class HashTable:
    """Any whole numbers. The codes count them in the order in which they come."""

    def __init__(self) -> None:
        self._slots = _free_slots(_FIRST)
        self._known, self._counts, self.n = np.empty(_FIRST // 2, np.int64), np.empty(_FIRST // 2, np.int64), 0

    @classmethod
    def of(cls, numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> HashTable:
        """A table of numbers that have been counted already."""
        table = cls()
        table.code(numbers)
        table._counts[: table.n] = counts
        return table

    def code(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """The code of each number."""
        codes, done = np.empty(numbers.size, np.int32), 0
        while True:
            self.n, n = code_ids(numbers[done:], self._slots, self._known, self._counts, self.n, codes[done:], 1)
            done += n
            if done == numbers.size:
                return codes
            self._grow()

    def _grow(self) -> None:
        if self._known.size > 2**30:
            raise ValueError("there are over a billion distinct ids, more than a store can number")
        known, counts = self.ids, self.counts
        self._slots = _free_slots(2 * len(self._slots))
        self._known, self._counts = (np.empty(2 * self._known.size, np.int64) for _ in range(2))
        self.n, _ = code_ids(known, self._slots, self._known, self._counts, 0, np.empty(known.size, np.int32), 1)
        self._counts[: self.n] = counts

    @property
    def ids(self) -> NDArray[np.int64]:
        """The distinct numbers, in the order of their codes."""
        return self._known[: self.n]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many events each has."""
        return self._counts[: self.n]

    @property
    def nbytes(self) -> int:
        """Memory of the table, and of what is made of it to number the ids."""
        return self._slots.nbytes + self._known.nbytes + self._counts.nbytes + 28 * self.n


class TextTable:
    """Texts. The codes count them in the order in which they come."""

    def __init__(self) -> None:
        self._slots = _free_slots(_FIRST)
        self._offsets, self._bytes = np.zeros(_FIRST // 2 + 1, np.int64), np.empty(8 * _FIRST, np.uint8)
        self._counts, self.n = np.empty(_FIRST // 2, np.int64), 0

    def code(self, texts: Any) -> NDArray[np.int32]:
        """The code of each text of a chunked array of large_string."""
        codes, at = np.empty(len(texts), np.int32), 0
        for chunk in texts.chunks:
            offsets, content = parts_of_texts(chunk)
            self._code(offsets, content, codes[at : at + len(chunk)])
            at += len(chunk)
        return codes

    def code_places(self, distinct: Any, places: NDArray[Any]) -> NDArray[np.int32]:
        """The code of each event, from distinct texts (an Arrow array) and the place of each event's text among them."""
        codes = np.empty(len(distinct), np.int32)
        self._code(*parts_of_texts(distinct), codes)
        self._counts[codes] += np.bincount(places, minlength=codes.size) - 1  # each has been counted once
        return np.take(codes, places)

    def _code(self, offsets: NDArray[np.int64], content: NDArray[np.uint8], codes: NDArray[np.int32]) -> None:
        done = 0
        while True:
            table = (self._slots, self._offsets, self._bytes, self._counts, self.n)
            self.n, n = code_texts(offsets[done:], content, *table, codes[done:], 1)
            done += n
            if done == codes.size:
                return
            self._grow(int(offsets[done + 1] - offsets[done]))

    def _grow(self, n_bytes: int) -> None:
        """Make room for more texts, or for `n_bytes` more bytes of them."""
        if self.n < self._counts.size:
            grown = np.empty(2 * self._bytes.size + n_bytes, np.uint8)
            grown[: self._bytes.size] = self._bytes
            self._bytes = grown
            return
        if self.n > 2**30:
            raise ValueError("there are over a billion distinct ids, more than a store can number")
        offsets, counts = self._offsets[: self.n + 1], self.counts
        self._slots = _free_slots(2 * len(self._slots))
        self._offsets, self._counts = np.zeros(2 * self.n + 1, np.int64), np.empty(2 * self.n, np.int64)
        table = (self._slots, self._offsets, np.empty_like(self._bytes), self._counts)
        self.n, _ = code_texts(offsets, self._bytes, *table, 0, np.empty(self.n, np.int32), 1)
        self._counts[: self.n] = counts

    @property
    def ids(self) -> Any:
        """The distinct texts, in the order of their codes: an Arrow array of large_string."""
        import pyarrow as pa

        offsets = pa.py_buffer(self._offsets[: self.n + 1])
        return pa.LargeStringArray.from_buffers(self.n, offsets, pa.py_buffer(self._bytes))

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many events each has."""
        return self._counts[: self.n]

    @property
    def nbytes(self) -> int:
        """Memory of the table, and of what is made of it to number the ids."""
        held = sum(array.nbytes for array in (self._slots, self._offsets, self._bytes, self._counts))
        return held + 36 * self.n + int(self._offsets[self.n])


def parts_of_texts(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each text of an Arrow array of large_string begins, and the bytes that these offsets point into."""
    _, offsets, content = texts.buffers()
    if offsets is None or not len(texts):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    begins = np.frombuffer(offsets, np.int64, len(texts) + 1, 8 * texts.offset)
    return begins, np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)


def _free_slots(n: int) -> NDArray[np.int64]:
    return np.full((n, 2), -1, np.int64)
