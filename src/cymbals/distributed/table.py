"""The rows of the fixed side that a node needs, put together from the rows of all nodes.

Where solvers read the 16-bit copy, the rows are a copy (`CopyTable`), which has half the bytes; only rows that very heavy
entries name are there in float32, too. Else they are as they are (`FullTable`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace
from ..solve.compact import Copy, Whitening
from .publishing import common

NEARLY_ALL = 0.95  # a node that needs so large a share of the fixed rows holds all of them
_BLOCK_ROWS = 1 << 13  # rows that are copied at a time, so that little memory is needed beside the table


class Rows(NamedTuple):
    """All rows of a node, as objects of Ray hold them."""

    rows: NDArray[Any]
    heavy: NDArray[np.int64]  # numbers of those that heavy entries read in float32, counted from the node's first row


class Needed:
    """Which rows of the other side a node needs, and where they stand in its table."""

    def __init__(self, rows: NDArray[np.int64] | None, begins: tuple[int, ...]) -> None:
        """`rows` are numbers of all nodes' rows, ascending; None: all. `begins` are the first rows of the nodes."""
        self._rows, self._begins = rows, np.array(begins)
        self._places = self._begins if rows is None else np.searchsorted(rows, self._begins)
        self.n = int(self._places[-1])

    def of_node(self, node: int) -> NDArray[np.int64] | None:
        """The rows needed of a node, counted from its first row; None: all."""
        if self._rows is None:
            return None
        local: NDArray[np.int64] = self._rows[self._places[node] : self._places[node + 1]] - self._begins[node]
        return local

    def places(self, node: int) -> slice:
        """Where the rows of a node stand."""
        return slice(int(self._places[node]), int(self._places[node + 1]))


class FullTable:
    """The needed rows as they are."""

    heavy_width = 0

    def __init__(self, needed: Needed, width: int, dtype: str) -> None:
        self.needed = needed
        self.rows = np.empty((needed.n, width), dtype)

    def columns(self, node: int) -> list[NDArray[Any]]:
        """Where the rows of a node belong."""
        return [self.rows[self.needed.places(node)]]

    def enter_heavy(self, node: int, places: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Nothing: all rows are as they are."""

    def fill(self, node: int, found: Rows, workspace: Workspace) -> None:
        """Enter the rows of a node."""
        copy_rows([found.rows], self.needed.of_node(node), self.columns(node))


class CopyTable:
    """The needed rows as a copy."""

    def __init__(self, needed: Needed, width: int, whitening: Whitening) -> None:
        self.needed, self.heavy_width, self._whitening = needed, width, whitening
        self._copy = Copy.empty(needed.n, width)
        self._heavy: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}  # by node: places and rows

    def columns(self, node: int) -> list[NDArray[Any]]:
        """Where the copy of a node's rows belongs."""
        at = self.needed.places(node)
        return [self._copy.pairs[at], self._copy.leverage[at]]

    def enter_heavy(self, node: int, places: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Enter the rows of a node that heavy entries read. `places` counts the needed rows of the node."""
        self._heavy[node] = self.needed.places(node).start + places, rows

    def fill(self, node: int, found: Rows, workspace: Workspace) -> None:
        """Make the copy of a node's rows, and enter it."""
        local, first = self.needed.of_node(node), self.needed.places(node).start
        if local is None:
            self.enter_heavy(node, found.heavy, found.rows[found.heavy])
            self._whitening.write(found.rows, self._copy, first, workspace)
            return
        places, at = common(local, found.heavy)
        self.enter_heavy(node, places, found.rows[found.heavy[at]])
        for begin in range(0, local.size, _BLOCK_ROWS):
            block = found.rows[local[begin : begin + _BLOCK_ROWS]]
            self._whitening.write(block, self._copy, first + begin, workspace)

    def done(self) -> tuple[Copy, NDArray[np.float32]]:
        """The copy, and the rows that heavy entries read."""
        parts = [self._heavy[node] for node in sorted(self._heavy)]
        heavy = np.concatenate([np.empty(0, np.int64), *(places for places, _ in parts)])
        rows = np.concatenate([np.empty((0, self.heavy_width), np.float32), *(rows for _, rows in parts)])
        return self._copy._replace(heavy=heavy), rows


def copy_rows(columns: Sequence[NDArray[Any]], local: NDArray[np.int64] | None, to: Sequence[NDArray[Any]]) -> None:
    """Copy these rows (None: all) of each column."""
    for column, place in zip(columns, to, strict=True):
        if local is None:
            place[:] = column
        else:  # mode "clip" writes to `out` without a buffer; all indices are in range
            np.take(column, local, axis=0, out=place, mode="clip")
