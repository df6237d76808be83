"""Adds events to a store: merges them with its entries block by block, and writes the result as its next version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import store
from .csr import Csr, index_type
from .mapped import MappedCsr
from .merge import merged_with_times, transposed_by_sorting
from .stored_array import StoredArray


@dataclass(frozen=True)
class Times:
    """The times of a store's entries, and those of the changed entries in the order of the changes."""

    old: StoredArray
    new: NDArray[Any]

    def old_of(self, first: int, last: int) -> NDArray[Any]:
        self.old.check(first, last)
        return self.old.unchecked[first:last]


def append(
    opened: store.Opened,
    by_user: MappedCsr,
    by_item: MappedCsr,
    changes: Csr,
    times: NDArray[Any] | None,
    names: Mapping[str, NDArray[Any]],
) -> None:
    """Write the next version of a store.

    Parameters
    ----------
    opened : Opened
    by_user, by_item : MappedCsr
        Its entries.
    changes : Csr
        Entries with the values that they get in the new version, by user. Its shape is that of the new version.
    times : ndarray or None
        The times of these entries. Without them, or if the store has none, the new version has none.
    names : dict of str to ndarray
        The arrays of ids and names.

    Raises StoreError if somebody has replaced the store since it was opened.
    """
    old_times = opened.arrays.get("times")
    both = None if old_times is None or times is None else Times(old_times, times)
    with store.writing(opened.path) as to:
        store.refuse_changed(opened)
        n = _merge(to, "by_user", by_user, changes, both)
        _merge(to, "by_item", by_item, transposed_by_sorting(changes), None)
        for name, array in names.items():
            to.add(name, array)
        to.commit(opened.facts | {"shape": list(changes.shape), "report": {"pairs": n}})


def _merge(to: store.NewStore, name: str, base: MappedCsr, changes: Csr, times: Times | None) -> int:
    """Write the arrays of one matrix, and the times of its entries if there are any. Returns the number of entries."""
    types = {
        f"{name}.indices": np.result_type(base.types[0], index_type(changes.shape[1])),
        f"{name}.data": np.result_type(base.types[1], changes.data.dtype),
    }
    if times is not None:
        types["times"] = times.old.dtype
    files = {array: to.begin(array, dtype) for array, dtype in types.items()}
    indptr = np.zeros(changes.shape[0] + 1, np.int64)
    for rows, block, part in _blocks(base, changes):
        if times is None:
            merged = block.after(part)
        else:
            first, last = base.indptr[[min(row, base.shape[0]) for row in (rows.start, rows.stop)]].tolist()
            new = times.new[changes.indptr[rows.start] : changes.indptr[rows.stop]]
            merged, later = merged_with_times(block, part, times.old_of(first, last), new)
            files["times"].append(later)
        files[f"{name}.indices"].append(merged.indices)
        files[f"{name}.data"].append(merged.data)
        indptr[rows.start + 1 : rows.stop + 1] = indptr[rows.start] + merged.indptr[1:]
    for array, file in files.items():
        to.end(array, file)
    to.add(f"{name}.indptr", indptr)
    return int(indptr[-1])


def _blocks(base: MappedCsr, changes: Csr) -> Iterator[tuple[range, Csr, Csr]]:
    """Blocks of rows: their numbers, the rows of `base` in the shape of the new version, and those of `changes`."""
    n_columns = changes.shape[1]
    for begin, block in base.blocks():
        rows = range(begin, begin + block.shape[0])
        yield rows, replace(block, shape=(len(rows), n_columns)), changes.between(rows.start, rows.stop)
    new = range(base.shape[0], changes.shape[0])
    if len(new):
        index, value = base.types
        empty = Csr(np.zeros(len(new) + 1, np.int64), np.empty(0, index), np.empty(0, value), (len(new), n_columns))
        yield new, empty, changes.between(new.start, new.stop)
