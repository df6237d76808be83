"""The format of stores: a folder with an array in each file, checksums, and a list of the files. No pickle.

The list is `store.json`: a line of JSON, and a line with its CRC-32. `stored_array` has the format of an array file, which
is in little-endian order. Array files are never changed. To replace a store, a writer adds files with other names, and then
replaces the list. So readers find the old store or the new one, never a mixture.

Checksums detect damage, but not malice: a malicious store can have correct checksums. So readers check everything else too.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import strict_json, system
from ..base.checks import shown
from ..base.files import beside
from ..base.locks import locked
from .stored_array import BLOCK, StoredArray, StoreError

VERSION = 1
_LIST, _LOCK = "store.json", "store.lock"
_BEGINNING = b'{"cymbals store"'  # of every list
_TYPES = ("<f4", "<f8", "<i4", "<i8", "|u1", "<M8[ns]")
_FILE = re.compile(r"[a-z_.]+\.[0-9a-f]{16}")
_MOST_BYTES = 1 << 24  # of a list
_TRIES = 10  # to open the files of a list, if writers replace the store meanwhile


def write(path: str | os.PathLike[str], facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Make or replace a store. If this fails, the store stays as it was."""
    folder = Path(path)
    _check_folder(folder)
    folder.mkdir(exist_ok=True)
    token = secrets.token_hex(8)
    with _writing(folder):
        try:
            files = {name: _write_array(folder, f"{name}.{token}", array) for name, array in arrays.items()}
            text = json.dumps({"cymbals store": VERSION, "facts": dict(facts), "arrays": files}, allow_nan=False).encode()
            if len(text) > _MOST_BYTES:
                raise ValueError(f"the report takes {len(text):,} bytes; a store holds at most {_MOST_BYTES:,}")
            with beside(folder / _LIST) as unfinished:
                unfinished.write_bytes(text + b"\n%08x\n" % zlib.crc32(text))
        except BaseException:
            _remove(folder, lambda name: name.endswith(token))
            raise
        kept = {entry["file"] for entry in files.values()}
        _remove(folder, lambda name: name not in kept)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, StoredArray]]:
    """Read the facts of a store, and map its arrays."""
    folder = Path(path)
    for _ in range(_TRIES):
        text = _listed(folder)
        with refusing(path):
            facts, entries = _contents(text)
            try:
                return facts, {name: _mapped(folder, entry) for name, entry in entries.items()}
            except FileNotFoundError as error:
                missing = error
        if _listed(folder) == text:  # else a writer has replaced the store since
            break
    raise StoreError(f"{path}: {Path(missing.filename).name} is missing; write the store again")


@contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn a TypeError or ValueError about the content of a store into a StoreError that names the folder."""
    try:
        yield
    except StoreError:
        raise
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path}: not a complete store: {error}; write the store again") from None


# -- writing -------------------------------------------------------------------------------------------------------------


def _check_folder(folder: Path) -> None:
    """Refuse a path that cannot become a store, or that holds other files."""
    if not folder.exists():
        if not folder.parent.is_dir():
            raise FileNotFoundError(f"cannot write {folder}: {folder.parent} is not a folder")
        return
    if not folder.is_dir():
        raise FileExistsError(f"cannot write {folder}: it is a file, and a store is a folder; name another path")
    names = sorted(entry.name for entry in os.scandir(folder))
    if _LIST in names and not (folder / _LIST).read_bytes().startswith(_BEGINNING):
        raise FileExistsError(f"cannot write {folder}: its {_LIST} is not that of a store; name a new folder")
    if names and _LIST not in names and not all(_FILE.fullmatch(name) or name == _LOCK for name in names):
        raise FileExistsError(f"cannot write {folder}: it holds other files, such as {names[0]}; name a new folder")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Refuses a second writer. A file that is kept serves as the lock, because the list is replaced."""
    descriptor = system.open_file(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with locked(descriptor, None, wait=False) as alone:
            if not alone:
                raise BlockingIOError(f"{folder}: another process is writing this store; try again when it is done")
            yield
    finally:
        os.close(descriptor)


def _write_array(folder: Path, name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Write an array file, and return its entry of the list."""
    stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    content = stored.view(np.uint8).reshape(-1) if stored.dtype.kind != "M" else stored.view(np.int64).view(np.uint8)
    checksums = np.array([zlib.crc32(block) for block in _blocks(content)], "<u4")
    with open(folder / name, "xb") as file:
        file.write(content.data)
        file.write(checksums.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return {"file": name, "type": stored.dtype.str, "size": stored.size, "crc32": zlib.crc32(checksums.tobytes())}


def _blocks(content: NDArray[np.uint8]) -> Iterator[Any]:
    return (content[begin : begin + BLOCK].data for begin in range(0, content.size, BLOCK))


def _remove(folder: Path, unwanted: Any) -> None:
    """Remove array files. On Windows, those that a process has open stay until a later writer removes them."""
    for entry in os.scandir(folder):
        if _FILE.fullmatch(entry.name) and unwanted(entry.name):
            try:
                os.unlink(entry.path)
            except OSError:
                continue


# -- reading -------------------------------------------------------------------------------------------------------------


def _listed(folder: Path) -> bytes:
    """The text of the list, after its checksum was checked."""
    try:
        with open(folder / _LIST, "rb") as file:
            found = file.read(_MOST_BYTES + 16)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: not a store: it has no {_LIST}; Interactions.save writes one") from None
    text, newline, rest = found.partition(b"\n")
    if not newline or rest != b"%08x\n" % zlib.crc32(text):
        raise StoreError(f"{folder}: {_LIST} was altered or truncated since it was written; write the store again")
    return text


def _contents(text: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The facts and the entries of a list. Raises ValueError for a list that `write` would not have written."""
    content = strict_json.parse(text)
    if not isinstance(content, dict) or "cymbals store" not in content:
        raise ValueError(f"{_LIST} is not the list of a store")
    if content["cymbals store"] != VERSION:
        raise ValueError(f"format version {shown(content['cymbals store'])}, but this cymbals reads version {VERSION}")
    facts, entries = content.get("facts"), content.get("arrays")
    if not isinstance(facts, dict) or not isinstance(entries, dict):
        raise ValueError(f"{_LIST} has no facts or no arrays")
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.get("type") not in _TYPES:
            raise ValueError(f"array {name!r} has an unknown type")
        if not isinstance(entry.get("file"), str) or not _FILE.fullmatch(entry["file"]):
            raise ValueError(f"array {name!r} has an impossible file name")
        if not all(strict_json.is_whole(entry.get(number)) for number in ("size", "crc32")):
            raise ValueError(f"array {name!r} has no size or no checksum")
    return facts, entries


def _mapped(folder: Path, entry: Mapping[str, Any]) -> StoredArray:
    return StoredArray(folder / entry["file"], np.dtype(entry["type"]), entry["size"], entry["crc32"])
