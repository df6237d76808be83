"""The rows of the fixed side that a node needs, put together from what the nodes have published.

A node publishes its rows as they are (`Rows`) and, where solvers read the 16-bit copy, as a copy (`CopiedRows`), which
has half the bytes. Both say which rows very heavy entries read in float32; a copy has these in float32, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace
from ..solve.compact import Copy, Whitening, heavy_rows

_BLOCK_ROWS = 1 << 13  # rows that are copied at a time, so that little memory is needed beside the table


class Rows(NamedTuple):
    """All rows of a node."""

    rows: NDArray[Any]
    heavy: NDArray[np.int64] | None  # numbers of those that heavy entries read, counted from the node's first row


class CopiedRows(NamedTuple):
    """Rows of a node, all of them or those that another node needs, as a copy."""

    copy: Copy
    heavy_rows: NDArray[np.float32]  # the rows copy.heavy

    @classmethod
    def of(
        cls, rows: NDArray[np.float32], heaviest: NDArray[np.float64], whitening: Whitening, workspace: Workspace
    ) -> CopiedRows:
        """The copy of these rows, given the heaviest weight of the entries that name each."""
        copy = Copy.empty(*rows.shape)
        whitening.write(rows, copy, 0, workspace)
        heavy = heavy_rows(copy.leverage, heaviest)
        return cls(copy._replace(heavy=heavy), rows[heavy])

    def picked(self, rows: NDArray[Any]) -> CopiedRows:
        """Only these rows."""
        copy, (places, at) = self.copy, _common(rows, self.copy.heavy)
        return CopiedRows(Copy(copy.pairs[rows], copy.leverage[rows], places), self.heavy_rows[at])


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

    def __init__(self, needed: Needed, width: int, dtype: str) -> None:
        self._needed = needed
        self.rows = np.empty((needed.n, width), dtype)

    def fill(self, node: int, found: Rows, whole: bool) -> None:
        """Enter the rows of a node: all of them (`whole`), or those that are needed."""
        to = self.rows[self._needed.places(node)]
        local = self._needed.of_node(node) if whole else None
        if local is None:
            to[:] = found.rows
        else:  # mode "clip" writes to `out` without a buffer; all indices are in range
            np.take(found.rows, local, axis=0, out=to, mode="clip")


class CopyTable:
    """The needed rows as a copy."""

    def __init__(self, needed: Needed, width: int, whitening: Whitening, workspace: Workspace) -> None:
        self._needed, self._whitening, self._workspace = needed, whitening, workspace
        self._width = width
        self._copy = Copy.empty(needed.n, width)
        self._heavy: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}  # by node: places and rows

    def fill(self, node: int, found: Rows | CopiedRows, whole: bool) -> None:
        """Enter the rows of a node: all of them (`whole`), or those that are needed."""
        at, local = self._needed.places(node), self._needed.of_node(node) if whole else None
        if isinstance(found, Rows):
            assert found.heavy is not None
            places, which = (found.heavy, found.heavy) if local is None else _common(local, found.heavy)
            which = found.heavy if local is None else found.heavy[which]
            self._heavy[node] = at.start + places, found.rows[which]
            self._compress(found.rows, local, at.start)
            return
        if local is not None:
            found = found.picked(local)
        self._copy.pairs[at], self._copy.leverage[at] = found.copy.pairs, found.copy.leverage
        self._heavy[node] = at.start + found.copy.heavy, np.array(found.heavy_rows)

    def _compress(self, rows: NDArray[Any], local: NDArray[np.int64] | None, first: int) -> None:
        if local is None:
            self._whitening.write(rows, self._copy, first, self._workspace)
            return
        for begin in range(0, local.size, _BLOCK_ROWS):
            block = rows[local[begin : begin + _BLOCK_ROWS]]
            self._whitening.write(block, self._copy, first + begin, self._workspace)

    def done(self) -> tuple[Copy, NDArray[np.float32]]:
        """The copy, and the rows that heavy entries read."""
        parts = [self._heavy[node] for node in sorted(self._heavy)]
        heavy = np.concatenate([places for places, _ in parts]) if parts else np.empty(0, np.int64)
        rows = np.concatenate([rows for _, rows in parts]) if parts else np.empty((0, self._width), np.float32)
        return self._copy._replace(heavy=heavy), rows


def _common(rows: NDArray[Any], heavy: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where rows stand that are in both ascending arrays: their places in `rows`, and in `heavy`."""
    places = np.searchsorted(rows, heavy)
    at = np.flatnonzero(places < rows.size)
    at = at[rows[places[at]] == heavy[at]]
    return places[at].astype(np.int64), at
