"""Which rows a node owns, and which node sums which segment of a Gramian.

A node owns a range of users and a range of items. The ranges have about the same number of entries. Ranges of users begin
where the loss begins a new sum, so that each sum is computed by one node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .._core import gram_segments
from ..data.csr import Csr

LOSS_ROWS = 64  # rows of a sum of the loss: see csrc/loss.cpp
_NAMES = ("by_user", "by_item")  # of the matrices of a store


class Border(NamedTuple):
    """Rows of a segment that one node owns and another node sums."""

    segment: int
    begin: int
    end: int
    summed_by: int


@dataclass(frozen=True)
class Side:
    """The rows of one side, users or items, and the ranges of the nodes."""

    n: int
    begins: tuple[int, ...]  # the first row of each node, and then n
    width: int  # of the factors

    @property
    def n_nodes(self) -> int:
        return len(self.begins) - 1

    def rows(self, node: int) -> range:
        """The rows that a node owns."""
        return range(self.begins[node], self.begins[node + 1])

    @cached_property
    def segments(self) -> list[range]:
        """The segments of the Gramian of this side. They depend on the shape of the factors alone."""
        return [range(begin, end) for begin, end in pairwise(gram_segments(self.n, self.width))]

    @cached_property
    def summed_by(self) -> list[int]:
        """For each segment, the node that owns most of its rows. These numbers never fall."""
        starts, ends = np.array(self.begins[:-1]), np.array(self.begins[1:])
        return [int(np.argmax(np.minimum(ends, rows.stop) - np.maximum(starts, rows.start))) for rows in self.segments]

    def borders(self, node: int) -> list[Border]:
        """The rows of a node that other nodes sum."""
        own, out = self.rows(node), []
        for s, rows in enumerate(self.segments):
            begin, end = max(own.start, rows.start), min(own.stop, rows.stop)
            if begin < end and self.summed_by[s] != node:
                out.append(Border(s, begin, end, self.summed_by[s]))
        return out

    def segments_of(self, node: int) -> list[int]:
        """The segments that a node sums."""
        return [s for s, by in enumerate(self.summed_by) if by == node]


def balanced(matrix: Csr, n_nodes: int, unit: int = 1) -> tuple[int, ...]:
    """The first row of each node, and then the number of rows. Nodes get about the same number of entries.

    A range begins at a block of the matrix, or a multiple of `unit` rows behind its beginning.
    """
    indptr, blocks = matrix.indptr, matrix.block_begins()
    cuts = np.searchsorted(indptr, np.arange(1, n_nodes) * (int(indptr[-1]) / n_nodes))
    starts = blocks[np.maximum(np.searchsorted(blocks, cuts, side="right") - 1, 0)]
    cuts = starts + (cuts - starts + unit // 2) // unit * unit
    return (0, *np.minimum(cuts, matrix.shape[0]).tolist(), matrix.shape[0])


def sides(half_step: int) -> tuple[int, int]:
    """The solved side and the fixed side of a half-step: 0 is users, 1 is items. Half-steps count from 0."""
    return half_step % 2, 1 - half_step % 2


def store_name(side: int) -> str:
    """The name of the matrix of a store whose rows are users (0) or items (1)."""
    return _NAMES[side]
