"""How many events may be in memory at a time, and how much room on disk a store takes while it is built."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

from ...base.checks import byte_count

LEAST = 64 << 20  # bytes; with less memory there would be too many small pieces
# Bytes of memory for each event, measured with float32 values. They include the next run, which is read meanwhile, and the
# piece before, which is written meanwhile.
_RUN, _PIECE = 130, 110
_LONG = 60  # more, for float64 values
_TIMED = 60  # more, for times
_ENOUGH = 1 << 21  # events; larger runs and pieces are slower, because caches hold less of them
_MOST_PARTS = 256  # but more runs and pieces would make too many small blocks


@dataclass(frozen=True)
class Budget:
    """Sizes that follow from the argument `memory`."""

    memory: int

    def run(self, timed: bool, n: int | None) -> int:
        """How many of `n` events are read and spilled at a time. None if their number is not known."""
        most = self.memory // 2 // (_RUN + _TIMED * timed + _LONG // 2)
        return min(_enough(2 * _ENOUGH * _MOST_PARTS if n is None else n), max(1, most))

    @property
    def run_bytes(self) -> int:
        """Size of Arrow's arrays of a run. It matters for long texts."""
        return self.memory // 10

    def piece(self, timed: bool, wide: bool) -> int:
        """The largest number of events or entries that can be sorted at a time."""
        return max(1, self.memory // 2 // (_PIECE + _TIMED * timed + _LONG * wide))

    def usual_piece(self, timed: bool, wide: bool, n: int) -> int:
        """How many of `n` events or entries are sorted at a time, unless a single row has more."""
        return min(_enough(n), self.piece(timed, wide))

    @property
    def range(self) -> int:
        """The longest range of ids that is counted in a table, for each side. A number takes 20 bytes."""
        return min(self.memory // 4 // 20, 2**31 - 1)

    def check_ids(self, n_bytes: int, what: str) -> None:
        """Refuse ids that take more than half the memory."""
        if n_bytes > self.memory // 2:
            raise MemoryError(
                f"the tables of ids take {megabytes(n_bytes)} so far ({what}), which is more than half of "
                f"memory={megabytes(self.memory)}; give at least memory='{-(-2 * n_bytes // 10**6)}MB'"
            )


def _enough(n: int) -> int:
    """The size of the runs or pieces of `n` events, if memory is large enough."""
    return max(_ENOUGH, -(-n // _MOST_PARTS))


def megabytes(n: int) -> str:
    return f"{-(-n // 10**6):,} MB"


def memory_of(value: Any) -> Budget:
    """The argument `memory`: a number of bytes, or a text such as "4GB"."""
    n = byte_count("memory", value)
    if n < LEAST:
        raise ValueError(f"memory must be at least {megabytes(LEAST)}, got {megabytes(n)}")
    return Budget(n)


def check_disk(temporary: str, out: str, n: int, wide: bool, timed: bool) -> None:
    """Refuse to begin if a disk has too little room for `n` events.

    For each event, the temporary folder gets up to 24 bytes and the store up to 16. float64 values take 8 more in each, and
    times 8 more.
    """
    spilled, stored = n * (24 + 8 * wide + 8 * timed), n * (16 + 8 * wide + 8 * timed)
    if os.stat(temporary).st_dev == os.stat(out).st_dev:
        needed = [(out, spilled + stored)]
    else:
        needed = [(temporary, spilled), (out, stored)]
    for folder, n_bytes in needed:
        free = shutil.disk_usage(folder).free
        if n_bytes > free:
            raise OSError(
                f"{n:,} events may take {megabytes(n_bytes)} in {folder} while the store is built, and it has "
                f"{megabytes(free)}; free some room, or name a folder on another disk with temporary="
            )
