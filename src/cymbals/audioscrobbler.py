"""The Audioscrobbler dump's three files, read as they are, and cleaned: aliases resolved, repeated pairs merged.

Every good line is taken; every other is counted by reason, with the number of the first one.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .csr import exact, summed
from .ids import Ids
from .interactions import Interactions
from .threads import resolve

if TYPE_CHECKING:
    import pandas as pd

PLAYS, ARTISTS, ALIASES = "user_artist_data", "artist_data", "artist_alias"
_REASONS = ("", "wrong number of fields", "not a whole number", "negative number", "number too large")


@dataclass(frozen=True)
class Rejected:
    """Lines of one file that were not taken for one reason."""

    file: str
    reason: str
    lines: int
    first_line: int


@dataclass(frozen=True)
class RawEvents:
    """The three files as found.

    Attributes
    ----------
    plays_, artists_ids_, aliases_ : ndarray
        int64: (user, artist, count), ids of named artists, (misspelled, canonical).
    names_ : list of str
    rejected : list of Rejected
        Lines not taken, by file and reason.
    notes : dict
        Counts of what was taken with a remark: names that are not UTF-8, artists named twice, missing files.
    """

    plays_: NDArray[np.int64]
    artist_ids_: NDArray[np.int64]
    names_: list[str]
    aliases_: NDArray[np.int64]
    rejected: list[Rejected]
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def plays(self) -> pd.DataFrame:
        """Columns user, artist, count: a row a line."""
        return _frame(dict(zip(("user", "artist", "count"), self.plays_.T, strict=True)))

    @property
    def artists(self) -> pd.DataFrame:
        """Columns artist, name."""
        return _frame({"artist": self.artist_ids_, "name": self.names_})

    @property
    def aliases(self) -> pd.DataFrame:
        """Columns misspelled, canonical."""
        return _frame(dict(zip(("misspelled", "canonical"), self.aliases_.T, strict=True)))

    def canonical(self) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
        """Misspelled ids, rising, what each finally stands for, and counts of chains and cycles met.

        Of two lines for one id the first counts. A cycle stands for its smallest id.
        """
        target: dict[int, int] = {}
        for wrong, right in self.aliases_.tolist():
            if wrong != right:
                target.setdefault(wrong, right)
        final: dict[int, int] = {}
        cycles = 0
        for start in target:
            path, here = [start], target[start]
            on_path = {start}
            while here in target and here not in final and here not in on_path:
                path.append(here)
                on_path.add(here)
                here = target[here]
            if here in on_path:
                cycles += 1
                here = min(path[path.index(here) :])
            here = final.get(here, here)
            for artist in path:
                final[artist] = here
        chains = sum(final[wrong] != right for wrong, right in target.items())
        wrong = np.array(sorted(a for a, b in final.items() if a != b), np.int64)
        return (
            wrong,
            np.array([final[a] for a in wrong.tolist()], np.int64),
            {"alias_chains": chains, "alias_cycles": cycles},
        )

    def clean(self) -> Interactions:
        """Canonical ids, each (user, artist) pair once with its counts added up, names beside the artists.

        Returns
        -------
        Interactions
            Its `report` counts rows, rows renamed, pairs, pairs merged away, users, artists before and after, artists
            without a name, alias chains and cycles, and rejected lines.
        """
        user, artist, count = self.plays_.T
        wrong, right, report = self.canonical()
        user_ids, rows = np.unique(user, return_inverse=True)
        raw_ids, raw_columns = np.unique(artist, return_inverse=True)
        renamed_ids = raw_ids.copy()
        renamed = np.zeros(raw_ids.size, dtype=bool)
        if wrong.size:
            at = np.minimum(np.searchsorted(wrong, raw_ids), wrong.size - 1)
            renamed = wrong[at] == raw_ids
            renamed_ids[renamed] = right[at[renamed]]
        item_ids, columns = np.unique(renamed_ids, return_inverse=True)
        shape = (user_ids.size, item_ids.size)
        csr = summed(rows, columns[raw_columns], exact(count.astype(np.float64)), shape, resolve(None))
        items = Ids("item", item_ids.size, item_ids)
        names = np.full(item_ids.size, None, dtype=object)
        found = items.find(self.artist_ids_)
        for row, name in zip(found.tolist(), self.names_, strict=True):
            if row >= 0 and names[row] is None:
                names[row] = name
        counts = {
            "rows": int(user.size),
            "rows_renamed": int(np.sum(renamed[raw_columns])),
            "pairs": csr.nnz,
            "pairs_merged": int(user.size) - csr.nnz,
            "users": shape[0],
            "artists_before": int(raw_ids.size),
            "artists": shape[1],
            "artists_without_name": int(sum(name is None for name in names)),
            **report,
            "lines_rejected": sum(r.lines for r in self.rejected),
            **self.notes,
        }
        return Interactions(csr, Ids("user", user_ids.size, user_ids), items, names, counts)


def read(directory: str | os.PathLike[str]) -> RawEvents:
    """Read the three files of a folder, under their names or with ``_small`` before ``.txt``.

    Parameters
    ----------
    directory : path-like
        Holds ``user_artist_data.txt`` and, if known, ``artist_data.txt`` and ``artist_alias.txt``.

    Returns
    -------
    RawEvents

    Raises
    ------
    FileNotFoundError
        No play counts there.

    Examples
    --------
    >>> import cymbals
    >>> raw = cymbals.audioscrobbler.read("profiledata/")  # doctest: +SKIP
    >>> raw.clean().report["pairs"]  # doctest: +SKIP
    24203646
    """
    folder = Path(directory)
    rejected: list[Rejected] = []
    notes: dict[str, int] = {}
    plays_file = find(folder, PLAYS)
    if plays_file is None:
        raise FileNotFoundError(f"{folder} holds neither {PLAYS}.txt nor {PLAYS}_small.txt")
    plays = _numbers(plays_file, 3, rejected)
    aliases = np.empty((0, 2), np.int64)
    alias_file, artist_file = find(folder, ALIASES), find(folder, ARTISTS)
    if alias_file is None:
        notes[f"missing_{ALIASES}"] = 1
    else:
        aliases = _numbers(alias_file, 2, rejected)
    ids, names = np.empty(0, np.int64), list[str]()
    if artist_file is None:
        notes[f"missing_{ARTISTS}"] = 1
    else:
        ids, names = _names(artist_file, rejected, notes)
    return RawEvents(plays, ids, names, aliases, rejected, notes)


def load(directory: str | os.PathLike[str]) -> Interactions:
    """Read and clean in one step: ``read(directory).clean()``.

    Parameters
    ----------
    directory : path-like

    Returns
    -------
    Interactions
    """
    return read(directory).clean()


def find(folder: Path, stem: str) -> Path | None:
    """A file of the dump under either of its names."""
    for name in (f"{stem}.txt", f"{stem}_small.txt"):
        if (folder / name).is_file():
            return folder / name
    return None


def _mapped(path: Path, use: Callable[[Any], Any]) -> Any:
    """use(the file's bytes), mapped rather than read."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return use(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return use(data)


def _numbers(path: Path, n_fields: int, rejected: list[Rejected]) -> NDArray[np.int64]:
    """Lines of whole numbers, and what was not taken."""

    def parse(data: Any) -> NDArray[np.int64]:
        n_threads = resolve(None)
        out = np.empty((_core.count_lines(data, n_threads), n_fields), np.int64)
        n_good, counts = _core.parse_numbers(data, out, n_threads)
        for reason, (lines, first) in enumerate(counts):
            if lines:
                rejected.append(Rejected(path.name, _REASONS[reason], lines, first))
        return out[:n_good]

    result: NDArray[np.int64] = _mapped(path, parse)
    return result


def _names(path: Path, rejected: list[Rejected], notes: dict[str, int]) -> tuple[NDArray[np.int64], list[str]]:
    """Artist ids and names: everything behind a line's first tab is the name."""
    ids: list[int] = []
    names: list[str] = []
    refused: dict[str, list[int]] = {}
    not_utf8 = 0
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        key, tab, text = line.partition(b"\t")
        key, text = key.strip(), text.strip()
        if not tab:
            refused.setdefault("no tab", []).append(number)
        elif not key.isdigit():
            refused.setdefault("artist id is not a whole number", []).append(number)
        elif len(key) > 18:
            refused.setdefault("number too large", []).append(number)
        elif not text:
            refused.setdefault("empty name", []).append(number)
        else:
            try:
                name = text.decode("utf-8")
            except UnicodeDecodeError:
                name = text.decode("utf-8", "replace")
                not_utf8 += 1
            ids.append(int(key))
            names.append(name)
    rejected += [Rejected(path.name, reason, len(lines), lines[0]) for reason, lines in refused.items()]
    notes["names_not_utf8"] = not_utf8
    notes["artists_named_twice"] = len(ids) - len(set(ids))
    return np.array(ids, np.int64), names


def _frame(columns: dict[str, Any]) -> pd.DataFrame:
    try:
        import pandas
    except ImportError:
        raise ImportError("frames need pandas: pip install 'cymbals[lab]'") from None
    return pandas.DataFrame(columns)
