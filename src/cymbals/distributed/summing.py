"""A node's part of a Gramian: the segments for which it is responsible."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace, gram_parts
from .plan import Side


class Piece(NamedTuple):
    """Rows of a segment that another node owns."""

    segment: int
    node: int
    rows: NDArray[np.generic]


def segment_sums(
    plan: Side, node: int, own: NDArray[np.generic], pieces: list[Piece], workspace: Workspace
) -> NDArray[np.float64]:
    """The Gramian of each segment of `node`. `own` are its rows, and `pieces` have those of other nodes."""
    mine, first = plan.segments_of(node), plan.rows(node).start
    sums = np.empty((len(mine), plan.width, plan.width))
    with_pieces = {piece.segment for piece in pieces}
    place = 0
    while place < len(mine):
        end = place
        while end < len(mine) and mine[end] not in with_pieces:
            end += 1
        if end > place:  # segments whose rows are all in this node's range
            begins = np.array([plan.segments[s].start for s in mine[place:end]] + [plan.segments[mine[end - 1]].stop])
            gram_parts(own[begins[0] - first : begins[-1] - first], begins, sums[place:end], workspace)
            place = end
            continue
        rows = plan.segments[mine[place]]
        inside = Piece(mine[place], node, own[max(rows.start - first, 0) : max(rows.stop - first, 0)])
        parts = [inside, *(piece for piece in pieces if piece.segment == mine[place])]
        joined = np.concatenate([part.rows for part in sorted(parts, key=_node_of)])
        gram_parts(joined, np.array([rows.start, rows.stop]), sums[place : place + 1], workspace)
        place += 1
    return sums


def _node_of(piece: Piece) -> int:
    return piece.node
