"""Makes both matrices of a store from spilled events, a piece of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core import group
from ..csr import Csr
from ..store import NewStore
from ..stored_array import ArrayFile
from ..times import latest
from .ahead import ahead
from .checking import moved
from .numbering import LISTED, RANGED, Numbered
from .planning import Piece, by_pieces
from .spilling import EVENTS, RUN, Entries, Groups, Spill

Step = Callable[[dict[str, Any]], None]


@dataclass
class Types:
    """The types of spilled values and times. `times` is None if there are no times."""

    values: Any
    times: Any


def mapped(
    spill: Spill, blocks: NDArray[np.int64], users: Numbered, items: Numbered, types: Types, n_threads: int
) -> Entries:
    """The events of blocks of codes, with row numbers instead of the codes."""
    found = spill.read(blocks, types.values, types.times)
    for side, codes in ((users, found.rows), (items, found.columns)):
        n = int(blocks[blocks[:, RUN] < side.turned, EVENTS].sum())
        side.replace_by_rows(codes[:n], RANGED, n_threads)
        side.replace_by_rows(codes[n:], LISTED, n_threads)
    return found


def regrouped(
    spill: Spill,
    path: Path,
    users: Numbered,
    items: Numbered,
    types: Types,
    whole: bool,
    begins: NDArray[np.int64],
    n_threads: int,
) -> Spill:
    """The events with row numbers instead of codes, grouped by the pieces that begin at the rows `begins`."""
    out, groups = Spill(path, n_threads), Groups.of_pieces(begins)
    runs = np.split(spill.index, np.flatnonzero(np.diff(spill.index[:, RUN])) + 1)
    for found in ahead(mapped(spill, blocks, users, items, types, n_threads) for blocks in runs if blocks.size):
        out.add(*found, whole, groups)
    out.finish()
    return out


class TooLarge(Exception):
    """A sum of whole numbers is not exact in float32."""


def by_user(
    loaded: Iterator[tuple[Piece, Entries]],
    shape: tuple[int, int],
    types: Types,
    whole: bool,
    exact: bool,
    new: NewStore,
    entries: Spill,
    item_begins: NDArray[np.int64],
    n_threads: int,
    step: Step,
) -> tuple[NDArray[np.int64], float, dict[str, dict[str, Any]]]:
    """Write the arrays of the matrix by user, except indptr. Spill its entries in pieces of items.

    Parameters
    ----------
    whole : bool
        Whether all values are whole numbers without a minus sign.
    exact : bool
        Whether to raise TooLarge if a sum is so large that whole numbers may not be exact in float32.

    Returns
    -------
    indptr : ndarray
    largest : float
        The largest absolute value.
    arrays : dict
        The entry of each array in the store's list.
    """
    indptr, largest, groups = np.zeros(shape[0] + 1, np.int64), 0.0, Groups.of_pieces(item_begins)
    files = _files(new, "by_user", types.values)
    if types.times is not None:
        files["times"] = new.begin("times", types.times)
    with ThreadPoolExecutor(1) as thread:
        writing: Future[None] | None = None
        for number, (piece, events) in enumerate(ahead(loaded), 1):
            csr, times = _matrix(piece, events, shape[1], n_threads)
            del events
            indptr[piece.begin + 1 : piece.end + 1] = csr.lengths()
            if csr.nnz:
                largest = max(largest, float(csr.data.max()), -float(csr.data.min()))
            if exact and largest >= 2**24:
                raise TooLarge
            if writing is not None:
                writing.result()
            writing = thread.submit(_append, files.values(), [csr.indices, csr.data, times])
            users = np.repeat(np.arange(piece.begin, piece.end, dtype=np.int32), csr.lengths())
            entries.add(csr.indices, users, csr.data, None, whole, groups)
            step({"iteration": number})
            del csr, times, users
        if writing is not None:
            writing.result()
    np.cumsum(indptr, out=indptr)
    entries.finish()
    return indptr, largest, {name: new.end(name, file) for name, file in files.items()}


def _matrix(piece: Piece, events: Entries, n_columns: int, n_threads: int) -> tuple[Csr, NDArray[Any] | None]:
    """The sums of a piece's events, and the latest times."""
    rows = events.rows if piece.begin == 0 else events.rows - np.int32(piece.begin)
    shape = (piece.end - piece.begin, n_columns)
    try:
        csr = Csr.from_triplets(rows, events.columns, events.values, shape, n_threads)
    except ValueError as error:
        raise ValueError(moved(str(error), piece.begin)) from None
    return csr, latest(rows, events.columns, events.times)


def by_item(
    spill: Spill,
    begins: NDArray[np.int64],
    n_items: int,
    dtype: Any,
    new: NewStore,
    n_threads: int,
    step: Step,
) -> None:
    """Write the arrays of the matrix by item."""
    indptr, files = np.zeros(n_items + 1, np.int64), _files(new, "by_item", dtype)
    pieces = by_pieces(spill.index, begins)
    with ThreadPoolExecutor(1) as thread:
        writing: Future[None] | None = None
        for number, (piece, found) in enumerate(ahead(_loaded(spill, pieces, dtype)), 1):
            if writing is not None:
                writing.result()
            if found is None:  # a single item: its entries are in rising order of the users, and may be many
                indptr[piece.end] = piece.blocks[:, EVENTS].sum()
                writing = thread.submit(_copy, spill, piece, dtype, files)
            else:
                # The entries come in rising order of the users, so grouping them by item sorts them.
                begin, users, values = np.empty(piece.end - piece.begin + 1, np.int64), found.columns, found.values
                ordered = [np.empty_like(users), np.empty_like(values)]
                group(found.rows, 0, piece.begin, None, begin, [users, values], ordered, n_threads)
                indptr[piece.begin + 1 : piece.end + 1] = np.diff(begin)
                writing = thread.submit(_append, files.values(), ordered)
                del users, values, ordered
            step({"iteration": number})
            del found
        if writing is not None:
            writing.result()
    for name, file in files.items():
        new.end(name, file)
    np.cumsum(indptr, out=indptr)
    new.add("by_item.indptr", indptr)


def _loaded(spill: Spill, pieces: list[Piece], dtype: Any) -> Iterator[tuple[Piece, Entries | None]]:
    """The entries of each piece. None for a piece of one item, whose entries need not be sorted."""
    for piece in pieces:
        yield piece, None if piece.end - piece.begin == 1 else spill.read(piece.blocks, dtype, None)


def _copy(spill: Spill, piece: Piece, dtype: Any, files: dict[str, ArrayFile]) -> None:
    """Write the entries of one item, block by block."""
    for block in range(len(piece.blocks)):
        found = spill.read(piece.blocks[block : block + 1], dtype, None)
        _append(files.values(), [found.columns, found.values])


def _files(new: NewStore, name: str, dtype: Any) -> dict[str, ArrayFile]:
    kinds = {f"{name}.indices": np.int32, f"{name}.data": dtype}
    return {part: new.begin(part, kind) for part, kind in kinds.items()}


def _append(files: Iterable[ArrayFile], arrays: Iterable[Any]) -> None:
    for file, array in zip(files, arrays, strict=False):
        file.append(array)
