"""Divides the rows of a matrix into pieces, so that the events of each piece can be sorted in memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .numbering import Numbered
from .spilling import BUCKET, EVENTS, RUN

MOST_PIECES = 2**16 - 1


class Piece(NamedTuple):
    """The rows from `begin` to `end`, and the blocks with their events, in the order of the events."""

    begin: int
    end: int
    blocks: NDArray[np.int64]


def by_ranges(index: NDArray[np.int64], shifts: list[int], users: Numbered, usual: int, most: int) -> list[Piece] | None:
    """Pieces of at most `usual` events, from blocks that are ranges of codes. A range with more is a piece of its own.

    Returns None if a range has more than `most` events.

    The buckets of run r are ranges of 2 ** shifts[r] codes. Those of different runs can have different lengths, but the
    longer ones consist of whole shorter ones.
    """
    if not index.size:
        return [Piece(0, users.n, index)]
    shift = max(shifts)
    ranges = index[:, BUCKET] >> (shift - np.array(shifts, np.int64)[index[:, RUN]])
    distinct, places = np.unique(ranges, return_inverse=True)
    counts = np.zeros(distinct.size, np.int64)
    np.add.at(counts, places, index[:, EVENTS])
    if counts.max() > most:
        return None
    piece_of_range = _piece_of_each(counts, usual)
    order = np.argsort(piece_of_range[places], kind="stable")  # the blocks of a piece stay in the order of the events
    first = np.searchsorted(piece_of_range[places[order]], np.arange(piece_of_range[-1] + 1))
    codes = distinct[np.flatnonzero(np.diff(piece_of_range, prepend=-1))] << shift  # where each piece begins
    at = np.clip(codes - users.lowest, 0, users.tables[0].size)
    rows = np.where(at > 0, users.tables[0][at - 1] + 1, 0)
    begins, ends = [0, *rows[1:].tolist()], [*rows[1:].tolist(), users.n]
    return [Piece(*one) for one in zip(begins, ends, np.split(index[order], first[1:]), strict=True)]


def cuts(counts: NDArray[np.int64], usual: int) -> NDArray[np.int64]:
    """Where pieces of at most `usual` events begin, and the number of rows. A row with more events is a piece alone."""
    ends = np.cumsum(counts)
    begins, at = [0], 0
    while at < counts.size:
        before = int(ends[at - 1]) if at else 0
        at = max(at + 1, int(np.searchsorted(ends, before + usual, "right")))
        begins.append(at)
    return np.array(begins if len(begins) > 1 else [0, counts.size])


def by_pieces(index: NDArray[np.int64], begins: NDArray[np.int64]) -> list[Piece]:
    """The pieces that begin at the rows `begins`, of blocks whose buckets are these pieces."""
    order = np.argsort(index[:, BUCKET], kind="stable")
    first = np.searchsorted(index[order, BUCKET], np.arange(begins.size - 1))
    blocks = np.split(index[order], first[1:])
    return [Piece(*one) for one in zip(begins[:-1].tolist(), begins[1:].tolist(), blocks, strict=True)]


def _piece_of_each(counts: NDArray[np.int64], usual: int) -> NDArray[np.int64]:
    begins = cuts(counts, usual)
    return np.repeat(np.arange(begins.size - 1), np.diff(begins))
