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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base import strict_json, system
from ..base.checks import shown
from ..base.files import beside
from ..base.locks import locked
from .stored_array import BLOCK, ArrayFile, StoredArray, StoreError

VERSION = 1
LIST, _LOCK = "store.json", "store.lock"
_BEGINNING = b'{"cymbals store"'  # of every list
_TYPES = ("<f4", "<f8", "<i4", "<i8", "|u1", "<M8[ns]")
_FILE = re.compile(r"[a-z_.]+\.[0-9a-f]{16}")
_MOST_BYTES = 1 << 24  # of a list
_TRIES = 10  # to open the files of a list, if writers replace the store meanwhile


def write(path: str | os.PathLike[str], facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Make or replace a store. If this fails, the store stays as it was."""
    with writing(path) as new:
        for name, array in arrays.items():
            new.add(name, array)
        new.commit(facts)


@contextmanager
def writing(path: str | os.PathLike[str], keep: Callable[[], bool] = lambda: False) -> Iterator[NewStore]:
    """Yields a new store, which replaces the one at `path` when it is committed. Other writers are refused meanwhile.

    If the block raises, or ends without a commit, the store stays as it was, and the new array files are removed. They are
    kept if `keep` then returns true: the caller remembers them, and a later call takes them over with `NewStore.adopt`.
    """
    folder = Path(path)
    _check_folder(folder)
    folder.mkdir(exist_ok=True)
    with _alone(folder):
        new = NewStore(folder)
        try:
            yield new
        finally:
            new.close()
            if not new.committed and not keep():
                _remove(folder, lambda name: name.endswith(new.token))


class NewStore:
    """A store that is being written. Readers do not see its arrays before `commit`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token, self.committed = folder, secrets.token_hex(8), False
        self._entries: dict[str, dict[str, Any]] = {}
        self._open: list[ArrayFile] = []

    def begin(self, name: str, dtype: Any) -> ArrayFile:
        """A new, empty array, to which the caller appends. Pass it to `end` when it is complete."""
        file = ArrayFile(self.folder, f"{name}.{self.token}", dtype)
        self._open.append(file)
        return file

    def end(self, name: str, file: ArrayFile) -> dict[str, Any]:
        """Complete an array. Returns its entry of the list."""
        self._entries[name] = file.finish()
        self._open.remove(file)
        return self._entries[name]

    def entry(self, name: str) -> dict[str, Any]:
        """The entry of a complete array."""
        return self._entries[name]

    def discard(self, names: Iterable[str]) -> None:
        """Remove complete arrays."""
        for name in names:
            os.unlink(self.folder / self._entries.pop(name)["file"])

    def abandon(self) -> None:
        """Remove the arrays that are not complete."""
        self.close()
        for file in self._open:
            os.unlink(file.path)
        self._open = []

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Write a whole array."""
        file = self.begin(name, array.dtype)
        file.append(array)
        self.end(name, file)

    def adopt(self, name: str, entry: dict[str, Any]) -> bool:
        """Take over an array that an earlier writer has completed. False if its file is not there any more."""
        n_bytes = np.dtype(entry["type"]).itemsize * entry["size"]
        path = self.folder / entry["file"]
        if not path.is_file() or path.stat().st_size != n_bytes + 4 * -(-n_bytes // BLOCK):
            return False
        self._entries[name] = entry
        return True

    def commit(self, facts: Mapping[str, Any]) -> None:
        """Replace the list. Then readers see the new store, and the array files of the old one are removed."""
        content = {"cymbals store": VERSION, "facts": dict(facts), "arrays": self._entries}
        text = json.dumps(content, allow_nan=False).encode()
        if len(text) > _MOST_BYTES:
            raise ValueError(f"the report takes {len(text):,} bytes; a store holds at most {_MOST_BYTES:,}")
        with beside(self.folder / LIST) as unfinished:
            unfinished.write_bytes(text + b"\n%08x\n" % zlib.crc32(text))
        self.committed = True
        kept = {entry["file"] for entry in self._entries.values()}
        _remove(self.folder, lambda name: name not in kept)

    def close(self) -> None:
        """Close the files of arrays that were not completed."""
        for file in self._open:
            file.close()


class Opened(NamedTuple):
    """One version of a store: its facts, its mapped arrays, and the text of its list."""

    path: str
    facts: dict[str, Any]
    arrays: dict[str, StoredArray]
    text: bytes


def refuse_changed(opened: Opened) -> None:
    """Raises StoreError if the store has another version now."""
    if _listed(Path(opened.path)) != opened.text:
        raise StoreError(f"{opened.path}: the store was replaced since it was opened: open it again, and append to that")


def read(path: str | os.PathLike[str]) -> Opened:
    """Read the facts of a store, and map its arrays."""
    folder = Path(path)
    for _ in range(_TRIES):
        text = _listed(folder)
        with refusing(path):
            facts, entries = _contents(text)
            try:
                arrays = {name: _mapped(folder, entry) for name, entry in entries.items()}
                return Opened(os.fspath(path), facts, arrays, text)
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
    if LIST in names and not (folder / LIST).read_bytes().startswith(_BEGINNING):
        raise FileExistsError(f"cannot write {folder}: its {LIST} is not that of a store; name a new folder")
    if names and LIST not in names and not all(_FILE.fullmatch(name) or name == _LOCK for name in names):
        raise FileExistsError(f"cannot write {folder}: it holds other files, such as {names[0]}; name a new folder")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuses a second writer. A file that is kept serves as the lock, because the list is replaced."""
    descriptor = system.open_file(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with locked(descriptor, None, wait=False) as alone:
            if not alone:
                raise BlockingIOError(f"{folder}: another process is writing this store; try again when it is done")
            yield
    finally:
        os.close(descriptor)


def _blocks(content: NDArray[np.uint8]) -> Iterator[Any]:
    return (content[begin : begin + BLOCK].data for begin in range(0, content.size, BLOCK))


def _remove(folder: Path, unwanted: Callable[[str], bool]) -> None:
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
        with open(folder / LIST, "rb") as file:
            found = file.read(_MOST_BYTES + 16)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: not a store: it has no {LIST}; Interactions.save writes one") from None
    text, newline, rest = found.partition(b"\n")
    if not newline or rest != b"%08x\n" % zlib.crc32(text):
        raise StoreError(f"{folder}: {LIST} was altered or truncated since it was written; write the store again")
    return text


def _contents(text: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The facts and the entries of a list. Raises ValueError for a list that `write` would not have written."""
    content = strict_json.parse(text)
    if not isinstance(content, dict) or "cymbals store" not in content:
        raise ValueError(f"{LIST} is not the list of a store")
    if content["cymbals store"] != VERSION:
        raise ValueError(f"format version {shown(content['cymbals store'])}, but this cymbals reads version {VERSION}")
    facts, entries = content.get("facts"), content.get("arrays")
    if not isinstance(facts, dict) or not isinstance(entries, dict):
        raise ValueError(f"{LIST} has no facts or no arrays")
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
