"""A sparse matrix in a store: its entries stay in files, which are mapped and read in blocks of rows.

A block of rows is checked when somebody first reads it: its checksums, and then that its indices are in range and in order
and its values finite. While a caller works on a block, a thread checks the next one, or has the system read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .csr import Csr, IndirectCsr, is_valid
from .stored_array import ArrayRange, StoredArray, StoreError


class MappedCsr(IndirectCsr):
    """A matrix whose indices and values are in files. `indptr` is in memory, and was checked.

    The attributes `indices` and `data` check the whole matrix when they are first read. Callers that read row by row use
    `parts` instead.
    """

    _indices: StoredArray | ArrayRange
    _data: StoredArray | ArrayRange
    _name: str  # for messages: the store's path
    _begins: NDArray[np.int64]  # the first row of each block, and the number of rows
    _problems: NDArray[np.int32]  # what `check_csr` found in each block; -1: not checked yet

    def __init__(
        self,
        indptr: NDArray[np.int64],
        indices: StoredArray | ArrayRange,
        data: StoredArray | ArrayRange,
        n_cols: int,
        name: str,
    ) -> None:
        indptr.flags.writeable = False
        vars(self).update(indptr=indptr, shape=(indptr.size - 1, n_cols))
        vars(self).update(_indices=indices, _data=data, _name=name, _begins=self.block_begins())
        vars(self).update(_problems=np.full(self._begins.size - 1, -1, np.int32))

    @property
    def is_mapped(self) -> bool:
        return True

    @property
    def types(self) -> tuple[np.dtype[Any], np.dtype[Any]]:
        return self._indices.dtype, self._data.dtype

    def parts(self) -> Iterator[tuple[int, Csr]]:
        return self.blocks()

    def part_begins(self) -> NDArray[np.int64]:
        return self._begins

    def blocks(self) -> Iterator[tuple[int, Csr]]:
        begins = self._begins.tolist()
        if len(begins) <= 2:
            yield from ((begins[i], self._block(i)) for i in range(len(begins) - 1))
            return
        with ThreadPoolExecutor(1, "cymbals-read-ahead") as reader:
            ahead = reader.submit(self._block, 0)
            for i, begin in enumerate(begins[:-1]):
                block = ahead.result()
                if i + 2 < len(begins):
                    ahead = reader.submit(self._block, i + 1)
                yield begin, block

    def worst(self, n_threads: int) -> int:
        if (self._problems < 0).any():
            for _ in self.blocks():
                pass
        found = self._problems[self._problems > 0]
        return int(found.min()) if found.size else 0

    def owned(self) -> Csr:
        """This matrix: its methods check what they copy from the files."""
        return self

    def between(self, begin: int, end: int) -> Csr:
        for array in (self._indices, self._data):
            array.check(int(self.indptr[begin]), int(self.indptr[end]))
        return self._unchecked().between(begin, end)

    def whole(self) -> Csr:
        self.worst(1)
        return self._unchecked()

    def take(self, rows: NDArray[np.int64], n_threads: int = 1) -> Csr:
        """As `Csr.take`. The result is in memory."""
        for array in (self._indices, self._data):
            array.check(self.indptr[rows], self.indptr[rows + 1])
        return self._unchecked().after(None, rows, n_threads)

    def row(self, r: int) -> tuple[NDArray[Any], NDArray[Any]]:
        row = self.take(np.array([r]))
        return row.indices, row.data

    def has_zeros(self) -> bool:
        return self.worst(1) != 0 and super().has_zeros()

    def without_zeros(self) -> Csr:
        return self.whole().without_zeros() if self.has_zeros() else self

    def _block(self, i: int) -> Csr:
        """Block i of the rows, checked. If it was checked before, the system begins to read it."""
        begin, end = (int(self._begins[k]) for k in (i, i + 1))
        first, last = int(self.indptr[begin]), int(self.indptr[end])
        block = self._unchecked().between(begin, end)
        if self._problems[i] >= 0:
            self._indices.fetch(first, last)
            self._data.fetch(first, last)
            return block
        self._indices.check(first, last)
        self._data.check(first, last)
        problem = block.worst(1)
        if not is_valid(problem):
            raise StoreError(
                f"{self._name}: rows {begin} to {end - 1} have indices out of order or out of range, or values that are "
                "not finite; write the store again"
            )
        self._problems[i] = problem
        return block

    def _unchecked(self) -> Csr:
        return Csr(self.indptr, self._indices.unchecked, self._data.unchecked, self.shape)


def mapped_csr(
    path: str | os.PathLike[str], arrays: Mapping[str, StoredArray], name: str, shape: tuple[int, int], what: str
) -> MappedCsr:
    """The matrix `name` of a store. `what` names its rows in messages. Raises ValueError if its row pointers are wrong."""
    pointers, indices, data = _arrays(arrays, name, shape[0], what)
    indptr = pointers.copied()
    if indptr[0] != 0 or indptr[-1] != indices.size or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name}.indptr must rise from 0 to the number of entries, {indices.size}")
    return MappedCsr(indptr, indices, data, shape[1], os.fspath(path))


def mapped_rows(
    path: str | os.PathLike[str],
    arrays: Mapping[str, StoredArray],
    name: str,
    shape: tuple[int, int],
    what: str,
    rows: range,
) -> MappedCsr:
    """Some rows of the matrix `name` of a store, as `mapped_csr`. It reads and checks nothing of the other rows."""
    pointers, indices, data = _arrays(arrays, name, shape[0], what)
    pointers.check(rows.start, rows.stop + 1)
    indptr = np.array(pointers.unchecked[rows.start : rows.stop + 1])
    first, last = int(indptr[0]), int(indptr[-1])
    if not 0 <= first <= last <= indices.size or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name}.indptr must rise from 0 to the number of entries, {indices.size}")
    return MappedCsr(indptr - first, indices.between(first, last), data.between(first, last), shape[1], os.fspath(path))


def _arrays(
    arrays: Mapping[str, StoredArray], name: str, n_rows: int, what: str
) -> tuple[StoredArray, StoredArray, StoredArray]:
    """The row pointers, indices and values of a matrix, after their types and sizes were checked."""
    types = {"indptr": "<i8", "indices": ("<i4", "<i8"), "data": ("<f4", "<f8")}
    for part, kinds in types.items():
        if f"{name}.{part}" not in arrays or arrays[f"{name}.{part}"].dtype.str not in kinds:
            raise ValueError(f"array '{name}.{part}' is missing, or it has a wrong type")
    indptr, indices, data = (arrays[f"{name}.{part}"] for part in types)
    if indptr.size != n_rows + 1 or indices.size != data.size:
        raise ValueError(f"{name}.indptr, {name}.indices and {name}.data do not match each other or the {n_rows} {what}")
    return indptr, indices, data
