"""One file for named arrays and a few facts: versioned, checksummed, free of pickle, readable through a memory map.

Layout: MAGIC, then little-endian uint32 format version, CRC-32 of the header, and uint64 header length; the header,
JSON; then each array at a multiple of 64 bytes. Every array's CRC-32 is checked on reading.
"""

from __future__ import annotations

import json
import mmap as memory
import os
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._files import beside

MAGIC = b"cymbals\n"
VERSION = 1
_FIXED = struct.Struct("<8sIIQ")
_TYPES = ("<f4", "<f8", "<i4", "<i8", "|u1")


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
    with beside(path) as unfinished, open(unfinished, "wb") as file:
        file.write(_FIXED.pack(MAGIC, VERSION, zlib.crc32(header), len(header)))
        file.write(header)
        start = file.tell()
        for name, array in ordered.items():
            file.write(b"\0" * (start + placed[name]["offset"] - file.tell()))
            file.write(array.reshape(-1).view(np.uint8).data)


def read(path: str | os.PathLike[str], *, mmap: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a file; with mmap the arrays are read-only views of it."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        fixed = file.read(_FIXED.size)
        if len(fixed) < _FIXED.size or not fixed.startswith(MAGIC):
            raise ModelFileError(f"{path}: not a cymbals model file")
        _, version, crc, length = _FIXED.unpack(fixed)
        if version != VERSION:
            raise ModelFileError(f"{path}: format version {version}, this cymbals reads version {VERSION}; save it again")
        if length > size - _FIXED.size:
            raise ModelFileError(f"{path}: truncated; write it again")
        header = file.read(length)
        if zlib.crc32(header) != crc:
            raise ModelFileError(f"{path}: altered since it was written (header checksum)")
        content = json.loads(header)
        start = _FIXED.size + length
        if size != start + content["size"]:
            raise ModelFileError(f"{path}: {size} bytes, should be {start + content['size']}: truncated or altered")
        whole: Any = memory.mmap(file.fileno(), 0, access=memory.ACCESS_READ) if mmap else None
        arrays = {}
        for name, place in content["arrays"].items():
            if place["type"] not in _TYPES:
                raise ModelFileError(f"{path}: array {name!r} has the unknown type {place['type']!r}")
            kind, count = np.dtype(place["type"]), int(np.prod(place["shape"], dtype=np.int64))
            if mmap:
                array = np.frombuffer(whole, kind, count, start + place["offset"])
            else:
                file.seek(start + place["offset"])
                array = np.empty(count, kind)
                if file.readinto(array.view(np.uint8).data) != array.nbytes:
                    raise ModelFileError(f"{path}: truncated while it was read")
            if zlib.crc32(array.view(np.uint8).data) != place["crc32"]:
                raise ModelFileError(f"{path}: altered since it was written (checksum of {name!r})")
            arrays[name] = array.reshape(place["shape"])
    return content["facts"], arrays


def pack_strings(strings: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Strings (None allowed) as offsets and UTF-8 bytes; a None has a length of -1 in `length`."""
    encoded = [b"" if s is None else s.encode("utf-8", "surrogatepass") for s in strings]
    length = np.array([-1 if s is None else len(e) for s, e in zip(strings, encoded, strict=True)], np.int64)
    return {"length": length, "bytes": np.frombuffer(b"".join(encoded), np.uint8)}


def unpack_strings(parts: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """What pack_strings took."""
    text, out = parts["bytes"].tobytes(), np.full(parts["length"].size, None, dtype=object)
    at = 0
    for i, length in enumerate(parts["length"].tolist()):
        if length >= 0:
            out[i] = text[at : at + length].decode("utf-8", "surrogatepass")
            at += length
    return out


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
