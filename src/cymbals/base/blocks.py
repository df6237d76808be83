"""Work on many rows in blocks, so that copies stay small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BYTE_BUDGET = 64 * 1024 * 1024  # for the copies that one block needs


def blocks(n: int, bytes_each: int) -> Iterator[NDArray[np.int64]]:
    """0 .. n - 1 in runs whose copies, at `bytes_each` a number, stay within BYTE_BUDGET."""
    step = max(1, BYTE_BUDGET // max(1, bytes_each))
    for begin in range(0, n, step):
        yield np.arange(begin, min(n, begin + step))
