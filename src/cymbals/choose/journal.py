"""The journal of a search: a file with one JSON line for each finished setting, after a first line that names the search.

A line is valid once its newline is written, so a process may be killed at any time. Several processes and threads can share
one journal, and with it the work. Each locks the setting that it is trying; the lock ends with the process. Each appends
its lines under another lock.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .._core import version
from ..base import strict_json, system
from ..base.locks import locked
from ..base.writing import Writing

FORMAT = 1
_BEGINNING = json.dumps({"cymbals search": FORMAT})[:-1].encode()
# Positions of the bytes that are locked. They lie far behind the end of the file, so that no lock covers its content.
_APPEND_LOCK = 2**40
_CLAIM_LOCKS = 2**41  # each setting locks the byte at this position plus the CRC-32 of its key


@dataclass(frozen=True)
class Trial:
    """The result of one setting that a search has tried.

    Attributes
    ----------
    params : dict
        The setting: arguments of `ALS`. Of `tune`, perhaps also "weighting", a function of `cymbals.weighting`.
    status : {"done", "pruned", "failed"}
    score : float or None
        The score of the best iteration. None if the fit failed.
    iterations : int
        The number of the best iteration if each was scored, else the number of iterations done.
    seconds : float
        Time of fitting and scoring.
    metrics : dict of str to float
        All metrics at that iteration.
    trace : list of float
        The score after each iteration, if each was scored.
    error : str
        The message of the failure, or empty.
    number : int
        The number of the proposal with ``backend="optuna"``, else -1.
    per_user : list of float
        Of `tune`: the score of each user for whom the metric is defined, to 6 digits.
    phases : dict of str to float
        Of `tune`: the seconds of "start" (of the fit, before its iterations), "iterations" and "scoring". Trials that ran
        at the same time have equal shares of that time.
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
    per_user: list[float] = field(default_factory=list, repr=False)
    phases: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        return key_of(self.params)

    @classmethod
    def from_line(cls, line: bytes) -> Trial:
        """Read a trial from a line of a journal. Raises ValueError for a line that no journal would contain."""
        try:
            out = cls(**strict_json.parse(line))
        except TypeError as error:
            raise ValueError(str(error)) from None
        wrong = [name for name, valid in out._valid_fields().items() if not valid]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(out, wrong[0])!r:.80}")
        return out

    def _valid_fields(self) -> dict[str, bool]:
        """For each field, whether its type and its range are valid. A file may contain anything."""
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
            "per_user": isinstance(self.per_user, list) and all(map(number, self.per_user)),
            "phases": isinstance(self.phases, dict) and all(map(number, self.phases.values())),
        }


def key_of(params: dict[str, Any]) -> str:
    """A setting as text. Equal settings have equal texts."""
    return json.dumps(params, sort_keys=True, default=repr)


def check_storable(*settings: Mapping[str, Any]) -> None:
    """Refuse values that JSON cannot store, such as functions: a resumed search could not compare them."""
    for params in settings:
        for name, value in params.items():
            try:
                json.dumps(list(value) if isinstance(value, (list, tuple)) else None if hasattr(value, "rvs") else value)
            except TypeError:
                raise TypeError(
                    f"a journal can only store numbers and texts, not {name}={value!r}: search without a journal"
                ) from None


class Journal:
    """The finished trials of a search, in the order in which they ended.

    `path` is a file, a folder or None. In a folder, the journal is a file that is named after the search. With None, the
    journal is only in memory.
    """

    def __init__(self, path: str | os.PathLike[str] | None, search: dict[str, Any]) -> None:
        self._trials: dict[str, Trial] = {}
        self._read, self._n_lines = 0, 1  # bytes and lines that were read; the first line names the search
        self._file = self._locks = -1  # two descriptors of the file: one reads and writes, one locks
        self._using = Writing()
        self.temporary = path is not None and os.path.isdir(path)
        if self.temporary:
            path = os.path.join(str(path), f"search-{zlib.crc32(json.dumps(search).encode()):08x}.jsonl")
        self.path = path
        if path is None:
            return
        try:
            self._open(path)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise ValueError(f"journal {path} is not a regular file; name a regular file, or one that does not exist")
            with self._appending():
                text = self._text(0)
                if not text or (b"\n" not in text and (text.startswith(_BEGINNING) or _BEGINNING.startswith(text))):
                    os.ftruncate(self._file, 0)  # a new file, or the incomplete first line of a process that was killed
                    self._write({"cymbals search": FORMAT, "cymbals": version()} | search)
                self._check(search)
        except BaseException:
            self.close()
            raise

    def _open(self, path: str | os.PathLike[str]) -> None:
        """Open the two descriptors. Another process can remove the file in between, after its search has finished."""
        while True:
            self._file = system.open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            with suppress(FileNotFoundError):
                self._locks = system.open_file(path, os.O_RDWR)
                if os.path.samestat(os.fstat(self._file), os.fstat(self._locks)):
                    return
            self.close()

    def close(self) -> None:
        """Close the file. This ends all claims."""
        for file in (self._file, self._locks):
            if file >= 0:
                os.close(file)
        self._file = self._locks = -1

    def remove_temporary(self) -> None:
        """Remove the file if `path` was a folder. Call it after a finished search, which needs no resuming."""
        if self.temporary and self.path is not None:
            Path(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def trials(self) -> dict[str, Trial]:
        """The trials that all processes have finished so far. The keys are those of `Trial.key`."""
        with self._using:
            for line in self._lines():
                try:
                    trial = Trial.from_line(line)
                except ValueError as error:
                    where = f"journal {self.path}: line {self._n_lines + 1}"
                    raise ValueError(
                        f"{where} records no finished setting ({error}): delete the line, or name another file"
                    ) from None
                self._trials.setdefault(trial.key, trial)
                self._read, self._n_lines = self._read + len(line) + 1, self._n_lines + 1
            return dict(self._trials)

    def append(self, trial: Trial) -> None:
        """Add a trial, and write it to the file."""
        if self._file < 0:
            self._trials[trial.key] = trial
            return
        with self._appending():
            self._write(asdict(trial))

    @contextmanager
    def claim(self, key: str, wait: bool) -> Iterator[bool]:
        """Lock a setting during the block, and yield whether that succeeded.

        It fails if another process or thread has the setting. With `wait` it waits for the lock, and always succeeds.
        """
        if self._file < 0:
            yield True
            return
        with locked(self._locks, _CLAIM_LOCKS + zlib.crc32(key.encode()), wait) as claimed:
            yield claimed

    @contextmanager
    def _appending(self) -> Iterator[None]:
        with locked(self._locks, _APPEND_LOCK, wait=True), self._using:
            yield

    def _write(self, record: dict[str, Any]) -> None:
        size = os.fstat(self._file).st_size
        if size and self._text(size - 1) != b"\n":  # the incomplete line of a process that was killed
            os.ftruncate(self._file, self._text(0).rfind(b"\n") + 1)
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    def _lines(self) -> list[bytes]:
        """The complete lines that were not read yet."""
        if self._file < 0:
            return []
        return self._text(self._read).split(b"\n")[:-1]

    def _text(self, begin: int) -> bytes:
        """The bytes of the file from a position to the end."""
        with self._using:
            return system.read_from(self._file, begin)

    def _check(self, search: dict[str, Any]) -> None:
        """Refuse a file that is not a journal or belongs to another search. Reading then begins at the second line."""
        text = self._text(0)
        first, newline, _ = text.partition(b"\n")
        try:
            found = strict_json.parse(first) if newline else None
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("cymbals search") != FORMAT:
            raise ValueError(f"journal {self.path}: the file is not the journal of a search; name another file")
        wanted = json.loads(json.dumps(search))
        for name in wanted:
            if found.get(name) != wanted[name]:
                raise ValueError(
                    f"journal {self.path} belongs to another search: {name} is {found.get(name)!r} there, "
                    f"{wanted[name]!r} here; name another file"
                )
        self._read = len(first) + 1
