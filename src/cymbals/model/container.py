"""One file for named arrays and a few facts: versioned, checksummed, free of pickle, readable through a memory map.

Layout: MAGIC, then little-endian uint32 format version, CRC-32 of the header, and uint64 header length; the header,
JSON, filled up with spaces to a multiple of 64 bytes; then the arrays in the header's order, each at the next multiple of
64 bytes. Checksums tell damage, not intent: a file with right ones may still hold anything, so everything is checked.
"""

from __future__ import annotations

import json
import math
import mmap as memory
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base import strict_json
from ..base.files import beside

MAGIC = b"cymbals\n"
VERSION = 1
_FIXED = struct.Struct("<8sIIQ")
_TYPES = ("<f4", "<f8", "<i4", "<i8", "|u1")
_LONGEST_HEADER = 2**28
_LONGEST = 2**48  # of an array's side: with a side of 0, no size in bytes tells that the other one is nonsense


class ModelFileError(ValueError):
    """A file that is no model file, or no longer the one that was written."""


def write(path: str | os.PathLike[str], facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Writes beside `path` and renames."""
    placed: dict[str, dict[str, Any]] = {}
    offset = 0
    ordered = {name: _little(array) for name, array in arrays.items()}
    for name, array in ordered.items():
        offset = -(-offset // 64) * 64
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data)
        placed[name] = {"type": array.dtype.str, "shape": array.shape, "offset": offset, "crc32": crc}
        offset += array.nbytes
    header = json.dumps({"facts": facts, "arrays": placed, "size": offset}, allow_nan=False).encode()
    header += b" " * (-(_FIXED.size + len(header)) % 64)
    if len(header) > _LONGEST_HEADER:
        raise ValueError(f"history and report take {len(header):,} bytes; a model file holds at most {_LONGEST_HEADER:,}")
    with beside(path) as unfinished, open(unfinished, "wb") as file:
        file.write(_FIXED.pack(MAGIC, VERSION, zlib.crc32(header), len(header)))
        file.write(header)
        start = file.tell()
        for name, array in ordered.items():
            file.write(b"\0" * (start + placed[name]["offset"] - file.tell()))
            file.write(array.reshape(-1).view(np.uint8).data)


@contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what is wrong with a file's content into ModelFileError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: not a whole cymbals model: {error}; save it again") from None


def read(path: str | os.PathLike[str], *, mmap: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a file; with mmap the arrays are read-only views of it."""
    # A pipe that nobody writes to would block `open` for ever.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{path}: not a regular file")
        size = status.st_size
        fixed = file.read(_FIXED.size)
        if len(fixed) < _FIXED.size or not fixed.startswith(MAGIC):
            raise ModelFileError(f"{path}: not a cymbals model file")
        _, version, crc, length = _FIXED.unpack(fixed)
        if version != VERSION:
            raise ModelFileError(f"{path}: format version {version}, this cymbals reads version {VERSION}; save it again")
        if length > _LONGEST_HEADER:
            raise ModelFileError(f"{path}: a header of {length:,} bytes; at most {_LONGEST_HEADER:,} are written")
        if length > size - _FIXED.size:
            raise ModelFileError(f"{path}: truncated; write it again")
        header = file.read(length)
        if zlib.crc32(header) != crc:
            raise ModelFileError(f"{path}: altered since it was written (header checksum)")
        start = _FIXED.size + length
        with refusing(path):
            facts, places = _contents(header, start, size)
            whole: Any = memory.mmap(file.fileno(), size, access=memory.ACCESS_READ) if mmap else None
        arrays = {}
        for name, place in places.items():
            count = math.prod(place.shape)
            if mmap:
                array = np.frombuffer(whole, place.type, count, start + place.offset)
            else:
                file.seek(start + place.offset)
                array = np.empty(count, place.type)
                if file.readinto(array.view(np.uint8).data) != array.nbytes:
                    raise ModelFileError(f"{path}: truncated while it was read")
            if zlib.crc32(array.view(np.uint8).data) != place.crc:
                raise ModelFileError(f"{path}: altered since it was written (checksum of {name!r})")
            arrays[name] = array.reshape(place.shape)
    return facts, arrays


class _Place(NamedTuple):
    """What the header says about an array."""

    type: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    crc: int


def _contents(header: bytes, start: int, size: int) -> tuple[dict[str, Any], dict[str, _Place]]:
    """Facts and arrays of a file of `size` bytes; ValueError where `write` would not have written the header so."""
    content = strict_json.parse(header)
    if not isinstance(content, dict):
        raise ValueError("the header is no JSON object")
    facts, arrays = content.get("facts"), content.get("arrays")
    if not isinstance(facts, dict) or not isinstance(arrays, dict):
        raise ValueError("the header has no facts or no arrays")
    places, end = {}, 0
    for name, said in arrays.items():
        place = _place(name, said)
        if place.offset != -(-end // 64) * 64:
            raise ValueError(f"array {name!r} does not stand behind the one before it")
        places[name], end = place, place.offset + place.type.itemsize * math.prod(place.shape)
    if start % 64 or content.get("size") != end:
        raise ValueError("the header has the wrong size")
    if size != start + end:
        raise ValueError(f"{size} bytes, should be {start + end}: truncated or altered")
    return facts, places


def _place(name: str, said: Any) -> _Place:
    if not isinstance(said, dict) or said.get("type") not in _TYPES:
        raise ValueError(f"array {name!r} has no known type")
    shape: Any = said.get("shape")
    sides_possible = isinstance(shape, list) and all(strict_json.is_whole(n, 0, _LONGEST) for n in shape)
    if not sides_possible or len(shape) not in (1, 2):
        raise ValueError(f"array {name!r} has no possible shape")
    numbers: list[Any] = [said.get("offset"), said.get("crc32")]
    if not all(map(strict_json.is_whole, numbers)):
        raise ValueError(f"array {name!r} has no offset or no checksum")
    return _Place(np.dtype(said["type"]), tuple(shape), *numbers)


def pack_strings(strings: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Strings (None allowed) as offsets and UTF-8 bytes; a None has a length of -1 in `length`."""
    encoded = [b"" if s is None else s.encode("utf-8", "surrogatepass") for s in strings]
    length = np.array([-1 if s is None else len(e) for s, e in zip(strings, encoded, strict=True)], np.int64)
    return {"length": length, "bytes": np.frombuffer(b"".join(encoded), np.uint8)}


def unpack_strings(parts: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """What pack_strings took; ValueError for lengths and bytes that it did not return."""
    lengths, text = parts["length"], parts["bytes"].tobytes()
    # each alone first, so that the sum cannot overflow
    if np.any((lengths < -1) | (lengths > len(text))) or np.maximum(lengths, 0).sum() != len(text):
        raise ValueError("the lengths of strings do not add up to their bytes")
    out, at = np.full(lengths.size, None, dtype=object), 0
    for i, length in enumerate(lengths.tolist()):
        if length >= 0:
            out[i] = text[at : at + length].decode("utf-8", "surrogatepass")
            at += length
    return out


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
