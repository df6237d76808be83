"""Splits work on many rows into blocks, which limits the memory for temporary copies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BYTE_BUDGET = 64 * 1024 * 1024  # for the temporary copies of one block


def blocks(n: int, bytes_each: int) -> Iterator[NDArray[np.int64]]:
    """Yields the row numbers 0 .. n - 1 in consecutive blocks.

    Each row needs `bytes_each` bytes of temporary memory. A block with more than one row needs at most BYTE_BUDGET bytes.
    If a single row needs more, it is a block of its own.
    """
    step = max(1, BYTE_BUDGET // max(1, bytes_each))
    for begin in range(0, n, step):
        yield np.arange(begin, min(n, begin + step))
