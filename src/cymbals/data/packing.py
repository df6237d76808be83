"""Turns ids, names and matrices into named arrays of numbers, which files hold without pickle, and back.

The functions that begin with ``unpack`` trust nothing: they raise ValueError for arrays that those that begin with ``pack``
would not have made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .csr import Csr
from .ids import Ids

Arrays = Mapping[str, NDArray[Any]]


def pack_csr(name: str, csr: Csr) -> dict[str, NDArray[Any]]:
    """The arrays of a matrix: NAME.indptr, NAME.indices and NAME.data."""
    return {f"{name}.{part}": getattr(csr, part) for part in ("indptr", "indices", "data")}


def pack_ids(name: str, ids: Ids) -> dict[str, NDArray[Any]]:
    """Ids as the array NAME, or as strings. Nothing if they are row numbers."""
    if ids.array is None:
        return {}
    return {name: ids.array} if ids.whole else pack_strings(name, ids.array)


def pack_labels(users: Ids, items: Ids, names: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    """The ids of users and items, and the names of items if there are any."""
    arrays = pack_ids("users", users) | pack_ids("items", items)
    return arrays if names is None else arrays | pack_strings("names", names)


def pack_strings(name: str, strings: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Strings or None as the arrays NAME.length and NAME.bytes, UTF-8 one after another. None has the length -1."""
    encoded = [b"" if s is None else s.encode("utf-8", "surrogatepass") for s in strings]
    length = np.array([-1 if s is None else len(e) for s, e in zip(strings, encoded, strict=True)], np.int64)
    return {f"{name}.length": length, f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8)}


def unpack(arrays: Arrays, name: str, types: tuple[str, ...], ndim: int = 1) -> NDArray[Any]:
    """An array that must be there, with one of these types."""
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    array = arrays[name]
    if array.dtype.name not in types or array.ndim != ndim:
        kinds = f"{' or '.join(types)} and have {ndim} dimension{'s' if ndim > 1 else ''}"
        raise ValueError(f"array {name!r} must be {kinds}, got {array.dtype} of shape {array.shape}")
    return array


def unpack_csr(arrays: Arrays, name: str, shape: tuple[int, int], what: str) -> Csr | None:
    """A matrix, or None if there is none. `what` names its rows in messages."""
    parts = {"indptr": ("int64",), "indices": ("int32", "int64"), "data": ("float32", "float64")}
    if not any(f"{name}.{part}" in arrays for part in parts):
        return None
    indptr, indices, data = (unpack(arrays, f"{name}.{part}", types) for part, types in parts.items())
    # `is_broken` reads indices and data up to the end that indptr gives. Check first that they are that long.
    if indptr.size != shape[0] + 1 or indptr[-1] != indices.size or indices.size != data.size:
        raise ValueError(f"{name}.indptr, {name}.indices and {name}.data do not match each other or the {shape[0]} {what}")
    found = Csr(indptr, indices, data, shape)
    if found.is_broken():
        raise ValueError(f"{name} has indices out of order or out of range, or values that are not finite")
    return found


def unpack_ids(arrays: Arrays, name: str, what: str, n: int) -> Ids:
    """Ids of `n` rows, which must be distinct."""
    array = unpack(arrays, name, ("int64",)) if name in arrays else unpack_strings(arrays, name)
    return Ids.checked(what, array, n)


def unpack_strings(arrays: Arrays, name: str) -> NDArray[Any] | None:
    """The strings that `pack_strings` packed, or None if there are none."""
    parts = {"length": "int64", "bytes": "uint8"}
    if not any(f"{name}.{part}" in arrays for part in parts):
        return None
    lengths, packed = (unpack(arrays, f"{name}.{part}", (kind,)) for part, kind in parts.items())
    text = packed.tobytes()
    # Check each length first, so that the sum cannot overflow.
    if np.any((lengths < -1) | (lengths > len(text))) or np.maximum(lengths, 0).sum() != len(text):
        raise ValueError("the lengths of the strings do not add up to the number of their bytes")
    out, at = np.full(lengths.size, None, dtype=object), 0
    for i, length in enumerate(lengths.tolist()):
        if length >= 0:
            out[i] = text[at : at + length].decode("utf-8", "surrogatepass")
            at += length
    return out
