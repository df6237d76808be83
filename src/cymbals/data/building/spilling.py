"""Temporary files of events, which are grouped by ranges of rows within each run.

A run is divided into blocks, one for each bucket (a range of rows) that has events in it. The events of a block keep their
order. A block holds a field of all its events after the other, each in the fewest bytes that its numbers need.
"""

from __future__ import annotations

import os
import threading
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._core import group

# Columns of the index, which has a row for each block
RUN, BUCKET, OFFSET, BYTES, EVENTS, CHECKSUM, FORMS, ROW, COLUMN, TIME = range(10)
_ONES = 0  # the form of values that are all 1


class Damaged(OSError):
    """A temporary file is not as it was written."""


class Entries(NamedTuple):
    """Events or entries in memory. Rows and columns are int32."""

    rows: NDArray[Any]
    columns: NDArray[Any]
    values: NDArray[Any]
    times: NDArray[Any] | None = None

    def part(self, begin: int, end: int) -> Entries:
        """Views of some of them."""
        part = slice(begin, end)
        times = None if self.times is None else self.times[part]
        return Entries(self.rows[part], self.columns[part], self.values[part], times)


class Groups(NamedTuple):
    """How the rows are divided into buckets: by a table with the bucket of each row, or into ranges of 2 ** shift rows."""

    n: int
    shift: int = 0
    first: int = 0  # the number of the first range
    table: NDArray[np.int32] | None = None

    @classmethod
    def of_pieces(cls, begins: NDArray[np.int64]) -> Groups:
        """The pieces that begin at these rows. The last element is the number of all rows."""
        n = begins.size - 1
        return cls(n, table=np.repeat(np.arange(n, dtype=np.int32), np.diff(begins)))


class Spill:
    """A temporary file that is written run by run, and then read bucket by bucket."""

    def __init__(self, path: Path, n_threads: int, index: NDArray[np.int64] | None = None) -> None:
        self.path, self.runs, self._n_threads = path, 0, n_threads
        self._file: Any = open(path, "wb" if index is None else "rb")  # noqa: SIM115 (close closes it)
        self._blocks: list[tuple[int, ...]] = []
        self._memory: dict[int, NDArray[Any]] = {}
        self._index, self._offset, self._lock = index, 0, threading.Lock()

    @property
    def index(self) -> NDArray[np.int64]:
        """A row for each block, in the order of the file."""
        if self._index is None:
            self._index = np.array(self._blocks, np.int64).reshape(-1, 10)
        return self._index

    def add(
        self,
        rows: NDArray[Any],
        columns: NDArray[Any],
        values: NDArray[Any] | None,
        times: NDArray[Any] | None,
        whole: bool,
        groups: Groups | None = None,
    ) -> None:
        """Write a run.

        `values` of None means that all are 1. `whole` says that all values are whole numbers without a minus sign. Without
        `groups`, all events are in one bucket.
        """
        begins, first_bucket = np.array([0, rows.size]), 0
        if groups is not None:
            begins, first_bucket = np.empty(groups.n + 1, np.int64), groups.first
            fields = [rows, columns]
            fields += [field for field in (values, None if times is None else _as_numbers(times)) if field is not None]
            grouped = [self._scratch(at, field) for at, field in enumerate(fields)]
            group(rows, groups.shift, groups.first, groups.table, begins, fields, grouped, self._n_threads)
            rows, columns, *rest = grouped
            times = None if times is None else rest.pop().view(times.dtype)
            values = rest.pop() if rest else None
        self._write(begins, first_bucket, rows, columns, values, times, whole)

    def _scratch(self, at: int, field: NDArray[Any]) -> NDArray[Any]:
        """Memory for a grouped field, which the next run reuses: new memory costs as much time as grouping."""
        held = self._memory.get(at)
        if held is None or held.size < field.size or held.dtype != field.dtype:
            held = self._memory[at] = np.empty_like(field)
        return held[: field.size]

    def _write(
        self,
        begins: NDArray[np.int64],
        first_bucket: int,
        rows: NDArray[Any],
        columns: NDArray[Any],
        values: NDArray[Any] | None,
        times: NDArray[Any] | None,
        whole: bool,
    ) -> None:
        for bucket in np.flatnonzero(np.diff(begins)).tolist():
            part = slice(begins[bucket], begins[bucket + 1])
            first, left = int(rows[part].min()), int(columns[part].min())
            forms, content = [], []
            for form, pieces in (
                _whole(rows[part], first),
                _whole(columns[part], left),
                (_ONES, []) if values is None else _values(values[part], whole),
            ):
                forms.append(form)
                content += pieces
            since = 0
            if times is not None:
                form, since, piece = _time(times[part])
                forms.append(form)
                content.append(piece)
            checksum, size = 0, 0
            for piece in content:
                checksum = zlib.crc32(piece.data, checksum)
                self._file.write(piece.data)
                size += piece.nbytes
            code = sum(form << 8 * at for at, form in enumerate(forms))
            n = int(begins[bucket + 1] - begins[bucket])
            self._blocks.append(
                (self.runs, first_bucket + bucket, self._offset, size, n, checksum, code, first, left, since)
            )
            self._offset += size
        self.runs += 1
        self._index = None

    def finish(self) -> None:
        """Make what was written ready to be read."""
        self._memory = {}
        self._file.close()
        self._file = open(self.path, "rb")  # noqa: SIM115 (close closes it)

    def read(self, blocks: NDArray[np.int64], value_type: Any, time_type: Any) -> Entries:
        """The events of some blocks (rows of the index), in this order."""
        n = int(blocks[:, EVENTS].sum())
        times = None if time_type is None else np.empty(n, time_type)
        found = Entries(np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, value_type), times)
        at, buffer = 0, np.empty(int(blocks[:, BYTES].max(initial=0)), np.uint8)
        for block in blocks.tolist():
            self._read(block, buffer[: block[BYTES]], found.part(at, at + block[EVENTS]))
            at += block[EVENTS]
        return found

    def _read(self, block: list[int], content: NDArray[np.uint8], to: Entries) -> None:
        with self._lock:
            self._file.seek(block[OFFSET])
            n_bytes = self._file.readinto(content.data)
        if n_bytes != block[BYTES] or zlib.crc32(content.data) != block[CHECKSUM]:
            raise Damaged(f"{self.path} was altered since it was written; build the store again")
        forms = [block[FORMS] >> 8 * at & 255 for at in range(4)]
        at = _take_whole(content, 0, forms[0], to.rows)
        at = _take_whole(content, at, forms[1], to.columns)
        for numbers, first in ((to.rows, block[ROW]), (to.columns, block[COLUMN])):
            if first:
                numbers += np.int32(first)
        at = _take_values(content, at, forms[2], to.values)
        if to.times is not None:
            moments = _as_numbers(to.times)
            _take(content, at, f"{'u' if forms[3] == 4 else moments.dtype.kind}{forms[3]}", moments)
            if block[TIME]:
                moments += block[TIME]

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        self._file.close()
        if self.path.exists():
            os.unlink(self.path)


def _whole(numbers: NDArray[Any], first: int) -> tuple[int, list[NDArray[Any]]]:
    """Numbers from `first` in 1 to 4 bytes: how many bytes, and the content."""
    if first:
        numbers = numbers - np.int32(first)
    most = int(numbers.max())
    if most < 2**8:
        return 1, [numbers.astype(np.uint8)]
    if most < 2**16:
        return 2, [numbers.astype(np.uint16)]
    if most < 2**24:
        return 3, [numbers.astype(np.uint16), (numbers >> 16).astype(np.uint8)]
    return 4, [np.ascontiguousarray(numbers, np.int32)]


def _take_whole(content: NDArray[np.uint8], at: int, form: int, to: NDArray[Any]) -> int:
    if form != 3:
        return _take(content, at, ("u1", "u2", "", "i4")[form - 1], to)
    at = _take(content, at, "u2", to)
    high = content[at : at + to.size].astype(np.int32)
    high <<= 16
    to |= high
    return at + to.size


def _values(values: NDArray[Any], whole: bool) -> tuple[int, list[NDArray[Any]]]:
    """Small whole numbers in 1 or 2 bytes, and other values as they are (form 4 or 8)."""
    most = values.max() if whole else np.inf
    if most < 2**16:
        small = values.astype(np.uint8 if most < 2**8 else np.uint16)
        return small.itemsize, [small]
    return values.itemsize, [np.ascontiguousarray(values)]


def _take_values(content: NDArray[np.uint8], at: int, form: int, to: NDArray[Any]) -> int:
    if form == _ONES:
        to.fill(1)
        return at
    return _take(content, at, ("u1", "u2", "f4", "f8")[(1, 2, 4, 8).index(form)], to)


def _as_numbers(times: NDArray[Any]) -> NDArray[Any]:
    """Dates as whole numbers; other times as they are."""
    return times.view(np.int64) if times.dtype.kind == "M" else times


def _time(times: NDArray[Any]) -> tuple[int, int, NDArray[Any]]:
    """Times as they are, or in 4 bytes: how many bytes, the moment from which they are counted, and the content."""
    if times.dtype.kind == "f":
        return 8, 0, np.ascontiguousarray(times)
    numbers = _as_numbers(times)
    first = int(numbers.min())
    if int(numbers.max()) - first < 2**32:
        return 4, first, (numbers - first).astype(np.uint32)
    return 8, 0, np.ascontiguousarray(numbers)


def _take(content: NDArray[np.uint8], at: int, kind: str, to: NDArray[Any]) -> int:
    n_bytes = np.dtype(kind).itemsize * to.size
    to[:] = np.frombuffer(content.data, kind, to.size, at)
    return at + n_bytes
