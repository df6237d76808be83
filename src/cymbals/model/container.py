"""The file format of models: named arrays and a few facts, with a version and checksums, without pickle.

Layout, in little-endian order:

* MAGIC, the format version (uint32), the CRC-32 of the header (uint32), the length of the header (uint64);
* the header: JSON, padded with spaces so that the arrays begin at a multiple of 64 bytes;
* the arrays in the header's order, each at the next multiple of 64 bytes, so that a memory map can read them in place.
  Zeros fill the gaps.

Checksums detect damage, but not malice: a malicious file can have correct checksums. So `read` checks everything else too.
"""

from __future__ import annotations

import json
import math
import mmap as memory
import os
import stat
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base import strict_json, system
from ..base.files import beside

MAGIC = b"cymbals\n"
VERSION, WITH_FEATURES = 1, 2  # versions of the format; cymbals without features reads only the first
_OF_FEATURES = ("user_features.weights", "item_features.weights")  # a file with one of these arrays has WITH_FEATURES
_FIXED = struct.Struct("<8sIIQ")
_TYPES = ("<f4", "<f8", "<i4", "<i8", "|u1")
_MAX_HEADER_BYTES = 2**28
# The largest dimension of an array. If one dimension is 0, the array has 0 bytes, so the size of the file sets no limit to
# the other dimension.
_MAX_DIMENSION = 2**48


class ModelFileError(ValueError):
    """The file is not a model file, or it was damaged after it was written."""


def write(path: str | os.PathLike[str], facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a model file: first a temporary file beside `path`, which is then renamed to `path`."""
    placed: dict[str, dict[str, Any]] = {}
    offset = 0
    ordered = {name: _little_endian(array) for name, array in arrays.items()}
    for name, array in ordered.items():
        offset = -(-offset // 64) * 64
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data)
        placed[name] = {"type": array.dtype.str, "shape": array.shape, "offset": offset, "crc32": crc}
        offset += array.nbytes
    header = json.dumps({"facts": facts, "arrays": placed, "size": offset}, allow_nan=False).encode()
    header += b" " * (-(_FIXED.size + len(header)) % 64)
    if len(header) > _MAX_HEADER_BYTES:
        raise ValueError(f"history and report take {len(header):,} bytes; a model file holds at most {_MAX_HEADER_BYTES:,}")
    with beside(path) as unfinished, open(unfinished, "wb") as file:
        file.write(_FIXED.pack(MAGIC, _version_for(arrays), zlib.crc32(header), len(header)))
        file.write(header)
        start = file.tell()
        for name, array in ordered.items():
            file.write(b"\0" * (start + placed[name]["offset"] - file.tell()))
            file.write(array.reshape(-1).view(np.uint8).data)


@contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn a TypeError or ValueError about a file's content into a ModelFileError that names the file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: not a complete cymbals model: {error}; save the model again") from None


def read(path: str | os.PathLike[str], *, mmap: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the facts and the arrays of a file. With `mmap` the arrays are read-only views of the file."""
    with open(path, "rb", opener=_opened) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path}: not a regular file")
        size = status.st_size
        fixed = file.read(_FIXED.size)
        if len(fixed) < _FIXED.size or not fixed.startswith(MAGIC):
            raise ModelFileError(f"{path}: not a cymbals model file")
        _, version, crc, length = _FIXED.unpack(fixed)
        if version not in (VERSION, WITH_FEATURES):
            raise ModelFileError(
                f"{path}: format version {version}, but this cymbals reads versions up to {WITH_FEATURES}; save the model "
                "again"
            )
        if length > _MAX_HEADER_BYTES:
            raise ModelFileError(f"{path}: the header has {length:,} bytes; at most {_MAX_HEADER_BYTES:,} are possible")
        if length > size - _FIXED.size:
            raise ModelFileError(f"{path}: truncated; save the model again")
        header = file.read(length)
        if zlib.crc32(header) != crc:
            raise ModelFileError(f"{path}: altered since it was written (wrong checksum of the header)")
        start = _FIXED.size + length
        with refusing(path):
            facts, places = _contents(header, start, size)
            whole: Any = memory.mmap(file.fileno(), size, access=memory.ACCESS_READ) if mmap else None
            if version != _version_for(places):
                raise ValueError(f"format version {version} does not have the arrays {', '.join(places)}")
        arrays, end = {}, start
        for name, place in places.items():
            count, begin = math.prod(place.shape), start + place.offset
            if (whole[end:begin] if mmap else file.read(begin - end)).strip(b"\0"):
                raise ModelFileError(f"{path}: altered since it was written (before array {name!r})")
            end = begin + count * place.type.itemsize
            if mmap:
                array = np.frombuffer(whole, place.type, count, begin)
            else:
                array = np.empty(count, place.type)
                if file.readinto(array.view(np.uint8).data) != array.nbytes:
                    raise ModelFileError(f"{path}: truncated while it was read")
            if zlib.crc32(array.view(np.uint8).data) != place.crc:
                raise ModelFileError(f"{path}: altered since it was written (wrong checksum of array {name!r})")
            arrays[name] = array.reshape(place.shape)
    return facts, arrays


def _version_for(names: Collection[str]) -> int:
    """The format version of a file with these arrays: the lowest one whose readers know them all."""
    return WITH_FEATURES if any(name in names for name in _OF_FEATURES) else VERSION


def _opened(path: str, flags: int) -> int:
    """Opens a file for `open`."""
    # O_NONBLOCK: without it, opening a pipe that has no writer would wait for ever. Windows has no such flag.
    return system.open_file(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Place(NamedTuple):
    """The header's entry for one array: its type, its shape, its position in the file, its checksum."""

    type: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    crc: int


def _contents(header: bytes, start: int, size: int) -> tuple[dict[str, Any], dict[str, _Place]]:
    """The facts and the array entries of a header. Raises ValueError for a header that `write` would not have written.

    `start` is the position of the first array, `size` the size of the file, both in bytes.
    """
    content = strict_json.parse(header)
    if not isinstance(content, dict):
        raise ValueError("the header is not a JSON object")
    facts, arrays = content.get("facts"), content.get("arrays")
    if not isinstance(facts, dict) or not isinstance(arrays, dict):
        raise ValueError("the header has no facts or no arrays")
    places, end = {}, 0
    for name, entry in arrays.items():
        place = _place(name, entry)
        if place.offset != -(-end // 64) * 64:
            raise ValueError(f"array {name!r} does not follow the array before it")
        places[name], end = place, place.offset + place.type.itemsize * math.prod(place.shape)
    if start % 64 or content.get("size") != end:
        raise ValueError("the header has the wrong size")
    if size != start + end:
        raise ValueError(f"the file has {size} bytes, but should have {start + end}: truncated or altered")
    return facts, places


def _place(name: str, entry: Any) -> _Place:
    if not isinstance(entry, dict) or entry.get("type") not in _TYPES:
        raise ValueError(f"array {name!r} has an unknown type")
    shape: Any = entry.get("shape")
    possible = isinstance(shape, list) and all(strict_json.is_whole(n, 0, _MAX_DIMENSION) for n in shape)
    if not possible or len(shape) not in (1, 2):
        raise ValueError(f"array {name!r} has an impossible shape")
    numbers: list[Any] = [entry.get("offset"), entry.get("crc32")]
    if not all(map(strict_json.is_whole, numbers)):
        raise ValueError(f"array {name!r} has no offset or no checksum")
    return _Place(np.dtype(entry["type"]), tuple(shape), *numbers)


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
