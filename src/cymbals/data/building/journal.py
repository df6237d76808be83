"""Remembers which steps of a build are finished, so that a build that was broken off can go on.

The journal is a file in the temporary folder: a line of JSON, and a line with its CRC-32. It is replaced as a whole. It
names the arguments of the build and the state of the source. If these differ, the build begins anew.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base import strict_json
from ...base.files import beside

_FILE = "journal.json"
_OWN = re.compile(r"journal\.json|\.journal\.json\.cymbals-.*|[a-z]+\.[a-z_.0-9]+\.npy|[a-z]+\.spill")
_KEY, _STEPS = "arguments", "steps"


class Journal:
    """The finished steps of a build, in its temporary folder."""

    def __init__(self, folder: Path, key: Any) -> None:
        """Open the folder. What another build left in it is removed. A key of None means that nothing can be resumed."""
        self.folder, self._key = folder, key
        self.steps: dict[str, Any] = {}
        found = self._read() if folder.is_dir() else None
        if key is not None and found is not None and found.get(_KEY) == json.loads(json.dumps(key)):
            self.steps = found[_STEPS]
        else:
            self.remove()
            folder.mkdir()

    def _read(self) -> dict[str, Any] | None:
        try:
            text, _, rest = (self.folder / _FILE).read_bytes().partition(b"\n")
            content = strict_json.parse(text)
        except (OSError, ValueError):
            return None
        is_whole = rest == b"%08x\n" % zlib.crc32(text) and isinstance(content, dict)
        return content if is_whole and isinstance(content.get(_STEPS), dict) else None

    def finished(self, step: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Remember a finished step with what later steps need of it."""
        sums = {name: self._write(f"{step}.{name}.npy", array) for name, array in arrays.items()}
        self.steps[step] = {"facts": dict(facts), "arrays": sums}
        if self._key is not None:
            text = json.dumps({_KEY: self._key, _STEPS: self.steps}).encode()
            with beside(self.folder / _FILE) as unfinished:
                unfinished.write_bytes(text + b"\n%08x\n" % zlib.crc32(text))

    def _write(self, name: str, array: NDArray[Any]) -> int:
        with open(self.folder / name, "wb") as file:
            np.save(file, array, allow_pickle=False)
        return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)

    def facts(self, step: str) -> dict[str, Any]:
        facts: dict[str, Any] = self.steps[step]["facts"]
        return facts

    def arrays(self, step: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of a finished step. None if a file is missing or damaged."""
        out = {}
        for name, checksum in self.steps[step]["arrays"].items():
            try:
                array = np.load(self.folder / f"{step}.{name}.npy", allow_pickle=False)
            except (OSError, ValueError):
                return None
            if zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data) != checksum:
                return None
            out[name] = array
        return out

    def begin_anew(self) -> None:
        """Forget all steps."""
        self.steps = {}
        self.remove()
        self.folder.mkdir()

    def remove(self) -> None:
        """Remove the temporary folder. It must hold only files of a build."""
        if not self.folder.is_dir():
            return
        names = os.listdir(self.folder)
        foreign = next((name for name in names if not _OWN.fullmatch(name)), None)
        if foreign is not None:
            raise FileExistsError(f"{self.folder} holds other files than those of a build, such as {foreign}; remove it")
        for name in names:
            os.unlink(self.folder / name)
        self.folder.rmdir()
