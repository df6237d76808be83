"""The Audioscrobbler dump's three files, read as they are, and cleaned: aliases resolved, repeated pairs merged.

Every good line is taken; every other is counted by reason, with the number of the first one.
"""

from __future__ import annotations

import codecs
import functools
import mmap
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core import count_lines, parse_numbers
from ..base.checks import instance
from ..base.optional import frame
from ..base.threads import resolve
from .csr import summed
from .ids import Ids, Places, distinct, id_array, listed
from .interactions import Interactions

if TYPE_CHECKING:
    import pandas as pd

PLAYS, ARTISTS, ALIASES = "user_artist_data", "artist_data", "artist_alias"
_REASONS = ("", "wrong number of fields", "not a whole number", "negative number", "number too large", "")
_NAME_REASONS = ("", "no tab", "artist id is not a whole number", "", "number too large", "empty name")


@dataclass(frozen=True)
class Rejected:
    """Lines of one file that were not taken for one reason."""

    file: str
    reason: str
    lines: int
    first_line: int


@dataclass(frozen=True, repr=False)
class Names(Sequence[str]):
    """Pieces of a text, each decoded when asked for; bytes that are not UTF-8 become U+FFFD."""

    text: bytes
    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.begin.size)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Names(self.text, self.begin[i], self.end[i])
        return self.text[self.begin[i] : self.end[i]].decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<Names: {len(self):,}>"

    def containing(self, text: str) -> NDArray[np.int64]:
        """Which of them contain a text, ASCII letters in either case."""
        if not len(self):
            return np.empty(0, np.int64)
        wanted = text.encode()
        start = np.fromiter((m.start() for m in re.finditer(re.escape(wanted), self.text, re.IGNORECASE)), np.int64)
        row = np.searchsorted(self.begin, start, side="right") - 1
        inside = (row >= 0) & (start + len(wanted) <= self.end[row])  # not in an id, or a line that was not taken
        return np.unique(row[inside])

    def not_utf8(self) -> int:
        """How many have bytes that are not UTF-8."""
        if self.text.isascii():
            return 0
        high = np.flatnonzero(np.frombuffer(self.text, np.uint8) >= 128)
        count = 0
        for after in np.unique(np.searchsorted(self.begin, high, side="right")).tolist():
            try:
                if after > 0:  # else it stands before the first name
                    self.text[self.begin[after - 1] : self.end[after - 1]].decode("utf-8")
            except UnicodeDecodeError:
                count += 1
        return count


@dataclass(frozen=True, repr=False)
class RawEvents:
    """The three files as found.

    Attributes
    ----------
    play_rows, artist_ids, alias_rows : ndarray
        int64: (user, artist, count), ids of named artists, (misspelled, canonical).
    artist_names : sequence of str
    rejected : list of Rejected
        Lines not taken, by file and reason.
    notes : dict
        Counts of what was taken with a remark: names that are not UTF-8, artists named twice, missing files.
    """

    play_rows: NDArray[np.int64]
    artist_ids: NDArray[np.int64]
    artist_names: Names
    alias_rows: NDArray[np.int64]
    rejected: list[Rejected]
    notes: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        plays, names, aliases = (f"{len(part):,}" for part in (self.play_rows, self.artist_names, self.alias_rows))
        rejected = sum(r.lines for r in self.rejected)
        return f"<RawEvents: {plays} lines of plays, {names} artist names, {aliases} aliases, {rejected:,} lines rejected>"

    @property
    def plays(self) -> pd.DataFrame:
        """Columns user, artist, count: a row a line."""
        return frame(dict(zip(("user", "artist", "count"), self.play_rows.T, strict=True)))

    @property
    def artists(self) -> pd.DataFrame:
        """Columns artist, name."""
        return frame({"artist": self.artist_ids, "name": list(self.artist_names)})

    @property
    def aliases(self) -> pd.DataFrame:
        """Columns misspelled, canonical."""
        return frame(dict(zip(("misspelled", "canonical"), self.alias_rows.T, strict=True)))

    def names_of(self, artists: Any) -> list[str]:
        """The name of each artist id, or the id itself where it has none.

        Parameters
        ----------
        artists : int or array_like of int
        """
        wanted = id_array("artists", listed(artists))
        rows = np.flatnonzero(np.isin(self.artist_ids, wanted))[::-1]  # so that the first name of an artist counts
        row_of = dict(zip(self.artist_ids[rows].tolist(), rows.tolist(), strict=True))
        return [self.artist_names[row_of[a]] if a in row_of else str(a) for a in wanted.tolist()]

    def find(self, text: str) -> pd.DataFrame:
        """Artists whose name contains a text, ASCII letters in either case.

        Parameters
        ----------
        text : str

        Returns
        -------
        DataFrame
            Columns artist, name, canonical (what the id finally stands for), plays (under this id, as found).
        """
        rows = self.artist_names.containing(instance("text", text, str))
        artists = self.artist_ids[rows]
        known, places = np.unique(artists, return_inverse=True)
        at = Ids("artist", known.size, known).find(self.play_rows[:, 1])
        plays = np.bincount(at[at >= 0], self.play_rows[at >= 0, 2], known.size)[places].astype(np.int64)
        names = [self.artist_names[row] for row in rows.tolist()]
        return frame({"artist": artists, "name": names, "canonical": self.resolve(artists), "plays": plays})

    def resolve(self, artists: Any) -> NDArray[np.int64]:
        """What artist ids finally stand for: equal for two that are the same artist.

        Parameters
        ----------
        artists : int or array_like of int

        Returns
        -------
        ndarray of int64
            An id without an alias stands for itself.
        """
        wanted = id_array("artists", listed(artists))
        wrong, right, _ = self.canonical()
        at = Ids("alias", wrong.size, wrong).find(wanted)
        return np.where(at >= 0, right[np.maximum(at, 0)], wanted) if wrong.size else wanted

    def canonical(self) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
        """Misspelled ids, rising, what each finally stands for, and counts of chains and cycles met.

        Of two lines for one id the first counts. A cycle stands for its smallest id.
        """
        own = self.alias_rows[self.alias_rows[:, 0] != self.alias_rows[:, 1]]
        wrong, first = np.unique(own[:, 0], return_index=True)
        right = own[first, 1]
        at = Ids("alias", wrong.size, wrong).find(right)  # the alias that a target is itself, -1 for none
        end = np.where(at >= 0, at, np.arange(at.size))
        for _ in range(int(at.size).bit_length()):  # each round goes twice as far
            end = end[end]
        final = right[end]
        lowest: dict[int, int] = {}  # of the cycle that an alias is in
        cycles = 0
        for start in np.unique(end[at[end] >= 0]).tolist():
            if start not in lowest:
                cycle = [start]
                while (here := int(at[cycle[-1]])) != start:
                    cycle.append(here)
                lowest |= dict.fromkeys(cycle, int(wrong[cycle].min()))
                cycles += 1
        for i in np.flatnonzero(at[end] >= 0).tolist():
            final[i] = lowest[end[i]]
        stands = final != wrong
        report = {"alias_chains": int(np.sum(final != right)), "alias_cycles": cycles}
        return wrong[stands], final[stands], report

    def clean(self) -> Interactions:
        """Canonical ids, each (user, artist) pair once with its counts added up, names beside the artists.

        Returns
        -------
        Interactions
            Its `report` counts rows, rows renamed, pairs, pairs merged away, users, artists before and after, artists
            without a name, alias chains and cycles, and rejected lines.
        """
        n_threads = resolve(None)
        user, artist, count = self.play_rows.T
        wrong, right, report = self.canonical()
        user_ids, rows = distinct(user, n_threads)
        artists = Places(artist, n_threads)
        aliases = Ids("alias", wrong.size, wrong)
        at = aliases.find(artists.values)
        renamed_ids = np.where(at >= 0, right[np.maximum(at, 0)], artists.values) if wrong.size else artists.values
        item_ids, columns = distinct(renamed_ids, n_threads)
        shape = (user_ids.size, item_ids.size)
        values = count.astype(np.float32 if count.size and count.max() <= 2**24 else np.float64)
        csr = summed(rows, artists.of_ids(columns), values, shape, n_threads)
        items = Ids("item", item_ids.size, item_ids)
        name_of = np.full(item_ids.size, -1)
        found = items.find(self.artist_ids)[::-1]  # so that the first name of an artist is written last
        name_of[found[found >= 0]] = np.arange(found.size)[::-1][found >= 0]

        texts = self.artist_names  # not self, which holds all plays

        @functools.cache  # for all that is made of these interactions
        def names() -> NDArray[Any]:
            out = np.full(name_of.size, None, dtype=object)
            for row in np.flatnonzero(name_of >= 0).tolist():
                out[row] = texts[name_of[row]]
            return out

        counts = {
            "rows": int(user.size),
            "rows_renamed": int(np.count_nonzero(aliases.find(artist) >= 0)),
            "pairs": csr.nnz,
            "pairs_merged": int(user.size) - csr.nnz,
            "users": shape[0],
            "artists_before": int(artists.values.size),
            "artists": shape[1],
            "artists_without_name": int(np.sum(name_of < 0)),
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
    plays = _lines(plays_file, 3, rejected)
    if not plays.size and rejected:
        why = ", ".join(f"{r.lines:,} for {r.reason}, the first on line {r.first_line}" for r in rejected)
        raise ValueError(f"{plays_file}: every line was rejected: {why}. A line is: user artist count")
    aliases = np.empty((0, 2), np.int64)
    alias_file, artist_file = find(folder, ALIASES), find(folder, ARTISTS)
    if alias_file is None:
        notes[f"missing_{ALIASES}"] = 1
    else:
        aliases = _lines(alias_file, 2, rejected)
    ids, begin, end = np.empty((3, 0), np.int64)
    text = b""
    if artist_file is None:
        notes[f"missing_{ARTISTS}"] = 1
    else:
        ids, begin, end = _lines(artist_file, 3, rejected, names=True).T
        text = artist_file.read_bytes().removeprefix(codecs.BOM_UTF8)
    names = Names(text, begin, end)
    if artist_file is not None:
        notes["names_not_utf8"] = names.not_utf8()
        notes["artists_named_twice"] = ids.size - distinct(ids, resolve(None))[0].size
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
    """use(the file's bytes), mapped rather than read, without a byte order mark."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return use(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            marked = data[: len(codecs.BOM_UTF8)] == codecs.BOM_UTF8
            with memoryview(data) as whole, whole[len(codecs.BOM_UTF8) * marked :] as text:
                return use(text)


def _lines(path: Path, n_fields: int, rejected: list[Rejected], names: bool = False) -> NDArray[np.int64]:
    """Lines of whole numbers, or of artists' ids and where their names begin and end; and what was not taken."""

    def parse(data: Any) -> NDArray[np.int64]:
        n_threads = resolve(None)
        out = np.empty((n_fields, count_lines(data, n_threads)), np.int64)
        n_good, counts = parse_numbers(data, out, n_threads, names)
        for reason, (lines, first) in zip(_NAME_REASONS if names else _REASONS, counts, strict=True):
            if lines:
                rejected.append(Rejected(path.name, reason, lines, first))
        return out[:, :n_good].T

    result: NDArray[np.int64] = _mapped(path, parse)
    return result
