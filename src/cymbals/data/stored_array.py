"""The array files of a store: the array, and then the CRC-32 (uint32) of each block of BLOCK bytes.

A file is written once, and then mapped read-only. A block is compared with its checksum when somebody first reads it. The
checksum of the checksums is in the store's list, and is compared when the file is opened.
"""

from __future__ import annotations

import mmap
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 20


class StoreError(ValueError):
    """The folder is not a store of interactions, or it was damaged after it was written."""


class ArrayFile:
    """A new array file. The caller appends to it; memory holds only the checksums of its blocks."""

    def __init__(self, folder: Path, name: str, dtype: Any) -> None:
        self.path, self.type, self.size = folder / name, np.dtype(dtype).newbyteorder("<"), 0
        self._checksums: list[int] = []
        self._last, self._filled = 0, 0  # of the last block: the checksum, and its number of bytes
        self._file = open(self.path, "xb")  # noqa: SIM115 (finish and close close it)

    def append(self, array: NDArray[Any]) -> None:
        """Write elements behind those that were written before."""
        stored = np.ascontiguousarray(array, dtype=self.type)
        content = stored.view(np.int64) if stored.dtype.kind == "M" else stored
        content = content.view(np.uint8).reshape(-1)
        begin = 0
        while begin < content.size:
            end = min(content.size, begin + BLOCK - self._filled)
            self._last = zlib.crc32(content[begin:end].data, self._last)
            self._filled += end - begin
            if self._filled == BLOCK:
                self._end_block()
            begin = end
        self._file.write(content.data)
        self.size += stored.size

    def _end_block(self) -> None:
        self._checksums.append(self._last)
        self._last, self._filled = 0, 0

    def finish(self) -> dict[str, Any]:
        """Write the checksums, and make sure that the file survives a power failure. Returns its entry of the list."""
        if self._filled:
            self._end_block()
        checksums = np.array(self._checksums, "<u4").tobytes()
        self._file.write(checksums)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"file": self.path.name, "type": self.type.str, "size": self.size, "crc32": zlib.crc32(checksums)}

    def close(self) -> None:
        """Close the file without completing it."""
        self._file.close()


class StoredArray:
    """The array in one file. Raises StoreError if the file is not what the store's list says, or if it is damaged.

    The file is never changed: a writer that replaces the store writes other files. So the map stays valid, even if the file
    is removed.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], size: int, crc32: int) -> None:
        self._path, self.dtype, self.size = path, dtype, size
        n_bytes = dtype.itemsize * size
        n_blocks = -(-n_bytes // BLOCK)
        with open(path, "rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != n_bytes + 4 * n_blocks:
                raise self._error(f"has {found} bytes, but should have {n_bytes + 4 * n_blocks}")
            file.seek(n_bytes)
            checksums = file.read(4 * n_blocks)
            if zlib.crc32(checksums) != crc32:
                raise self._error("was altered since it was written (wrong checksum of its checksums)")
            # mmap cannot map 0 bytes
            self._content = mmap.mmap(file.fileno(), n_bytes, access=mmap.ACCESS_READ) if n_bytes else b""
        self._checksums = np.frombuffer(checksums, "<u4")
        self._checked = np.zeros(n_blocks, bool)

    @property
    def unchecked(self) -> NDArray[Any]:
        """The whole array, of which only those parts may be used for which `check` was called."""
        return np.frombuffer(self._content, self.dtype)

    def check(self, begins: Any, ends: Any) -> None:
        """Compare elements begin to end - 1 with their checksums, unless that was done before. Also for several ranges."""
        first, end = np.asarray(begins) * self.dtype.itemsize // BLOCK, -(-np.asarray(ends) * self.dtype.itemsize // BLOCK)
        opens = np.zeros(self._checked.size + 1, np.int64)  # ranges that begin at a block, less those that end before it
        np.add.at(opens, first[first < end], 1)
        np.add.at(opens, end[first < end], -1)
        for block in np.flatnonzero((np.cumsum(opens)[:-1] > 0) & ~self._checked).tolist():
            with memoryview(self._content) as content:
                self._compare(block, content[block * BLOCK : (block + 1) * BLOCK])
            self._checked[block] = True

    def checked(self) -> NDArray[Any]:
        """The whole array, mapped, after all of it was checked."""
        self.check(0, self.size)
        return self.unchecked

    def copied(self) -> NDArray[Any]:
        """A checked copy in memory. Later changes of the file do not affect it."""
        copy = np.array(self.unchecked)
        content = copy.view(np.uint8)
        for block in range(self._checksums.size):
            self._compare(block, content[block * BLOCK : (block + 1) * BLOCK].data)
        return copy

    def fetch(self, begin: int, end: int) -> None:
        """Ask the system to read elements `begin` to `end` - 1 from the disk, and do not wait for it."""
        if begin < end and hasattr(mmap, "MADV_WILLNEED") and isinstance(self._content, mmap.mmap):
            start = begin * self.dtype.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
            self._content.madvise(mmap.MADV_WILLNEED, start, end * self.dtype.itemsize - start)

    def between(self, begin: int, end: int) -> ArrayRange:
        """Elements `begin` to `end` - 1, which are checked and fetched apart from the others."""
        return ArrayRange(self, begin, end)

    def _compare(self, block: int, content: memoryview) -> None:
        if zlib.crc32(content) != self._checksums[block]:
            raise self._error(f"was altered since it was written (wrong checksum of block {block})")

    def _error(self, problem: str) -> StoreError:
        return StoreError(f"{self._path.parent}: not a complete store: {self._path.name} {problem}; write the store again")


class ArrayRange:
    """A range of a stored array, with the methods that a matrix needs of an array."""

    def __init__(self, whole: StoredArray, begin: int, end: int) -> None:
        self._whole, self._begin, self._end = whole, begin, end
        self.dtype, self.size = whole.dtype, end - begin

    @property
    def unchecked(self) -> NDArray[Any]:
        """As `StoredArray.unchecked`."""
        return self._whole.unchecked[self._begin : self._end]

    def check(self, begins: Any, ends: Any) -> None:
        """As `StoredArray.check`; positions count from the beginning of the range."""
        self._whole.check(np.asarray(begins) + self._begin, np.asarray(ends) + self._begin)

    def checked(self) -> NDArray[Any]:
        """The range, mapped, after all of it was checked."""
        self.check(0, self.size)
        return self.unchecked

    def fetch(self, begin: int, end: int) -> None:
        """As `StoredArray.fetch`; positions count from the beginning of the range."""
        self._whole.fetch(begin + self._begin, end + self._begin)
