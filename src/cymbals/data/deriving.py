"""Writes stores that are made from the entries of other data, such as the parts of a split and weighted values.

The entries come by user, in blocks. They are written as they come, and sorted by item in pieces, in temporary files beside
the store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core import version
from ..base.checks import file_path
from ..base.system_memory import available
from ..base.threads import resolve
from . import store
from .building import sorting
from .building.planning import cuts
from .building.spilling import Groups, Spill
from .csr import Csr, index_type
from .ids import Ids
from .packing import pack_labels

if TYPE_CHECKING:
    from .interactions import Interactions

_PIECE = 2**21  # entries that are sorted by item at a time
Block = tuple[Csr, NDArray[Any] | None]  # rows, and the times of their entries


def blocks_of(data: Interactions) -> Iterator[tuple[int, Csr, NDArray[Any] | None]]:
    """The blocks of interactions: the first row, the rows, and the times of their entries."""
    for begin, block in data.csr.blocks():
        first, last = data.csr.indptr[begin], data.csr.indptr[begin + block.shape[0]]
        yield begin, block, None if data.times is None else data.times[first:last]


def write(path: Any, data: Interactions, users: Ids, blocks: Iterator[Block]) -> None:
    """Write a store with these blocks of rows of `users`. The items and their names are those of `data`."""
    out, n_threads, n_items = Path(file_path("out", path)), resolve(None), data.shape[1]
    if index_type(max(users.n, n_items)) != np.int32:
        raise ValueError(f"out: a store of more than 2^31 - 1 rows cannot be written in parts; got {users.n} and {n_items}")
    types = {"by_user.indices": np.dtype(np.int32), "by_user.data": data.csr.types[1]}
    if data.times is not None:
        types["times"] = data.times.dtype
    begins = cuts(data.csr.column_counts(), _PIECE)
    with store.writing(out) as new, tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        files = {name: new.begin(name, dtype) for name, dtype in types.items()}
        spill, groups = Spill(Path(folder, "entries.spill"), n_threads), Groups.of_pieces(begins)
        indptr, at = np.zeros(users.n + 1, np.int64), 0
        for block, times in blocks:
            end = at + block.shape[0]
            indptr[at + 1 : end + 1] = indptr[at] + block.indptr[1:]
            for name, array in zip(types, (block.indices, block.data, times), strict=False):
                assert array is not None
                files[name].append(array)
            rows = np.repeat(np.arange(at, end, dtype=np.int32), block.lengths())
            spill.add(block.indices, rows, block.data, None, False, groups)
            at = end
        for name, file in files.items():
            new.end(name, file)
        new.add("by_user.indptr", indptr)
        spill.finish()
        sorting.by_item(spill, begins, n_items, types["by_user.data"], new, n_threads, lambda entry: None)
        spill.close()
        for name, array in pack_labels(users, data.items, data.item_names).items():
            new.add(name, array)
        new.commit({"shape": [users.n, n_items], "report": {"pairs": int(indptr[-1])}, "cymbals": version()})


def refuse_copies(data: Interactions, n_copies: int, call: str) -> None:
    """Raises MemoryError if copies of the entries of a store do not fit in memory. `call` is what takes `out`."""
    if not data.csr.is_mapped:
        return
    entry = sum(dtype.itemsize for dtype in data.csr.types) + (0 if data.times is None else 8)
    needed, free = n_copies * data.nnz * entry, available()
    if free is not None and needed > free:
        raise MemoryError(
            f"{call} would take {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; name new stores in out"
        )
