"""What a search has found so far, in a file: one JSON line a setting, after one line that says which search it is.

A line counts once its newline is written, so a process may be killed at any time. Processes and threads that share the
file share the work: each locks the setting it works on, which ends with it, and appends under a lock.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .._core import version
from ..base import strict_json
from ..base.locks import locked
from ..base.writing import Writing

FORMAT = 1
_BEGINNING = json.dumps({"cymbals search": FORMAT})[:-1].encode()
_APPENDING = 2**40  # locked bytes, far behind the last one written: this one while appending
_CLAIMS = 2**41  # and from this one on one for each setting


@dataclass(frozen=True)
class Trial:
    """One setting and what came of it.

    Attributes
    ----------
    params : dict
    status : {"done", "pruned", "failed"}
    score : float or None
        Of the best iteration; None where it failed.
    iterations : int
        The best iteration where each was scored, else those done.
    seconds : float
        Fit and scoring.
    metrics : dict of str to float
        At that iteration.
    trace : list of float
        The score after each iteration, where each was scored.
    error : str
    number : int
        Of the proposal, where settings are proposed one after another.
    """

    params: dict[str, Any]
    status: str
    score: float | None
    iterations: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    trace: list[float] = field(default_factory=list)
    error: str = ""
    number: int = -1

    @property
    def key(self) -> str:
        return key_of(self.params)

    @classmethod
    def of_line(cls, line: bytes) -> Trial:
        """From a journal's line; ValueError where it is not one that was written."""
        try:
            out = cls(**strict_json.parse(line))
        except TypeError as error:
            raise ValueError(str(error)) from None
        wrong = [name for name, right in out._fields_are_right().items() if not right]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(out, wrong[0])!r:.80}")
        return out

    def _fields_are_right(self) -> dict[str, bool]:
        """Whether each field is of its type and in its range, which a file need not keep to."""
        failed, number = self.status == "failed", strict_json.is_number
        return {
            "params": isinstance(self.params, dict),
            "status": self.status in ("done", "pruned", "failed"),
            "score": self.score is None if failed else number(self.score),
            "iterations": strict_json.is_whole(self.iterations, 0 if failed else 1, 2**31 - 1),
            "seconds": number(self.seconds),
            "metrics": isinstance(self.metrics, dict) and all(map(number, self.metrics.values())),
            "trace": isinstance(self.trace, list) and all(map(number, self.trace)),
            "error": isinstance(self.error, str),
            "number": strict_json.is_whole(self.number, -1),
        }


def key_of(params: dict[str, Any]) -> str:
    """A setting as text, the same for equal settings."""
    return json.dumps(params, sort_keys=True, default=repr)


class Journal:
    """Trials in the order in which they ended: in a file, in one named after the search in a folder, or in memory alone."""

    def __init__(self, path: str | os.PathLike[str] | None, search: dict[str, Any]) -> None:
        self._trials: dict[str, Trial] = {}
        self._read, self._n_lines = 0, 1  # bytes of the file that are in _trials, and lines, the first of which is none
        self._file = -1
        self._reading = Writing()
        self.temporary = path is not None and os.path.isdir(path)
        if self.temporary:
            path = os.path.join(str(path), f"search-{zlib.crc32(json.dumps(search).encode()):08x}.jsonl")
        self.path = path
        if path is None:
            return
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise ValueError(f"journal {path} is no regular file; name one, or a new one")
            with self._appending():
                text = os.pread(self._file, os.fstat(self._file).st_size, 0)
                if not text or (b"\n" not in text and (text.startswith(_BEGINNING) or _BEGINNING.startswith(text))):
                    os.ftruncate(self._file, 0)  # nothing, or what somebody who was killed had begun to write
                    self._write({"cymbals search": FORMAT, "cymbals": version()} | search)
                self._check(search)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file, which ends all claims."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def done(self) -> None:
        """Removes the file that stands in a folder: nobody will go on from it."""
        if self.temporary and self.path is not None:
            Path(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def trials(self) -> dict[str, Trial]:
        """All that any process has finished, by setting."""
        with self._reading:
            for line in self._lines():
                try:
                    trial = Trial.of_line(line)
                except ValueError as error:
                    where = f"journal {self.path}: line {self._n_lines + 1}"
                    raise ValueError(f"{where} is no finished setting ({error}): delete it, or name another file") from None
                self._trials.setdefault(trial.key, trial)
                self._read, self._n_lines = self._read + len(line) + 1, self._n_lines + 1
            return dict(self._trials)

    def append(self, trial: Trial) -> None:
        """Adds a trial."""
        if self._file < 0:
            self._trials[trial.key] = trial
            return
        with self._appending():
            self._write(asdict(trial))

    @contextmanager
    def claim(self, key: str, wait: bool) -> Iterator[bool]:
        """Yields whether the setting is this block's alone, among processes and threads; with `wait` it is in the end."""
        if self._file < 0:
            yield True
            return
        with locked(self._file, _CLAIMS + zlib.crc32(key.encode()), wait) as mine:
            yield mine

    @contextmanager
    def _appending(self) -> Iterator[None]:
        with locked(self._file, _APPENDING, wait=True):
            yield

    def _write(self, record: dict[str, Any]) -> None:
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":  # the end of one who was killed while writing
            whole = os.pread(self._file, size, 0).rfind(b"\n") + 1
            os.ftruncate(self._file, whole)
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    def _lines(self) -> list[bytes]:
        """Whole lines that were not read yet."""
        if self._file < 0:
            return []
        text = os.pread(self._file, os.fstat(self._file).st_size - self._read, self._read)
        return text.split(b"\n")[:-1]

    def _check(self, search: dict[str, Any]) -> None:
        """Refuses a file that is no journal, or another search's; stands behind the first line afterwards."""
        text = os.pread(self._file, os.fstat(self._file).st_size, 0)
        first, newline, _ = text.partition(b"\n")
        try:
            found = strict_json.parse(first) if newline else None
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("cymbals search") != FORMAT:
            raise ValueError(f"journal {self.path}: holds something else than a search's journal; name another file")
        wanted = json.loads(json.dumps(search))
        for name in wanted:
            if found.get(name) != wanted[name]:
                raise ValueError(
                    f"journal {self.path} belongs to another search: {name} is {found.get(name)!r} there, "
                    f"{wanted[name]!r} here; name another file"
                )
        self._read = len(first) + 1
