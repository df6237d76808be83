"""Reads and cleans the three files of the Audioscrobbler dump.

`read` returns all lines that can be parsed, and counts the other lines by reason. `RawEvents.clean` replaces aliases by
the ids of the artists, and sums repeated (user, artist) pairs.
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
    """The lines of one file that were rejected for the same reason: their number, and the line number of the first."""

    file: str
    reason: str
    lines: int
    first_line: int


@dataclass(frozen=True, repr=False)
class Names(Sequence[str]):
    """Names, stored as the bytes of the file. Indexing decodes a name; bytes that are not UTF-8 become U+FFFD."""

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
        """Positions of the names that contain a text. The case of ASCII letters is ignored."""
        if not len(self):
            return np.empty(0, np.int64)
        wanted = text.encode()
        start = np.fromiter((m.start() for m in re.finditer(re.escape(wanted), self.text, re.IGNORECASE)), np.int64)
        row = np.searchsorted(self.begin, start, side="right") - 1
        inside = (row >= 0) & (start + len(wanted) <= self.end[row])  # the match can also be in an id or in a rejected line
        return np.unique(row[inside])

    def not_utf8(self) -> int:
        """Number of names with bytes that are not UTF-8."""
        if self.text.isascii():
            return 0
        high = np.flatnonzero(np.frombuffer(self.text, np.uint8) >= 128)
        count = 0
        for after in np.unique(np.searchsorted(self.begin, high, side="right")).tolist():
            try:
                if after > 0:  # otherwise the byte is before the first name
                    self.text[self.begin[after - 1] : self.end[after - 1]].decode("utf-8")
            except UnicodeDecodeError:
                count += 1
        return count


@dataclass(frozen=True, repr=False)
class RawEvents:
    """The content of the three files before cleaning.

    `audioscrobbler.read` returns this. Use it to inspect the raw data; call `clean` to get the `Interactions` for a fit.

    Attributes
    ----------
    play_rows : ndarray of int64, shape (n_lines, 3)
        User, artist and count of each line of plays.
    artist_ids : ndarray of int64
        Ids of the artists that have a name.
    artist_names : sequence of str
        The name of each of `artist_ids`.
    alias_rows : ndarray of int64, shape (n_aliases, 2)
        Misspelled and canonical artist id of each alias.
    rejected : list of Rejected
        Number of rejected lines, by file and reason.
    notes : dict
        Counts of problems that reject no line: names that are not UTF-8, artists with two names, missing files.
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
        """A data frame with a row for each line of plays; columns user, artist, count."""
        return frame(dict(zip(("user", "artist", "count"), self.play_rows.T, strict=True)))

    @property
    def artists(self) -> pd.DataFrame:
        """A data frame with a row for each artist name; columns artist, name."""
        return frame({"artist": self.artist_ids, "name": list(self.artist_names)})

    @property
    def aliases(self) -> pd.DataFrame:
        """A data frame with a row for each alias; columns misspelled, canonical."""
        return frame(dict(zip(("misspelled", "canonical"), self.alias_rows.T, strict=True)))

    def names_of(self, artists: Any) -> list[str]:
        """The name of each artist id, for display; the id as text if it has no name.

        Parameters
        ----------
        artists : int or array_like of int

        Returns
        -------
        list of str
        """
        wanted = id_array("artists", listed(artists))
        # reversed, so that the first name of an artist replaces later ones in the dict
        rows = np.flatnonzero(np.isin(self.artist_ids, wanted))[::-1]
        row_of = dict(zip(self.artist_ids[rows].tolist(), rows.tolist(), strict=True))
        return [self.artist_names[row_of[a]] if a in row_of else str(a) for a in wanted.tolist()]

    def find(self, text: str) -> pd.DataFrame:
        """Artists whose name contains a text; the case of ASCII letters is ignored.

        Use it to find an artist's id, and to see under which misspelled ids the plays are counted.

        Parameters
        ----------
        text : str

        Returns
        -------
        DataFrame
            Columns artist, name, canonical (the id after following all aliases), plays (of the id in column artist).
        """
        rows = self.artist_names.containing(instance("text", text, str))
        artists = self.artist_ids[rows]
        known, places = np.unique(artists, return_inverse=True)
        at = Ids("artist", known.size, known).find(self.play_rows[:, 1])
        plays = np.bincount(at[at >= 0], self.play_rows[at >= 0, 2], known.size)[places].astype(np.int64)
        names = [self.artist_names[row] for row in rows.tolist()]
        return frame({"artist": artists, "name": names, "canonical": self.resolve(artists), "plays": plays})

    def resolve(self, artists: Any) -> NDArray[np.int64]:
        """Canonical ids of artists: two ids of the same artist get the same canonical id.

        Use it to look up ids of the raw files in data that `clean` returned.

        Parameters
        ----------
        artists : int or array_like of int

        Returns
        -------
        ndarray of int64
            An id without an alias is its own canonical id.
        """
        wanted = id_array("artists", listed(artists))
        misspelled, canonical, _ = self.canonical()
        at = Ids("alias", misspelled.size, misspelled).find(wanted)
        return np.where(at >= 0, canonical[np.maximum(at, 0)], wanted) if misspelled.size else wanted

    def canonical(self) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
        """Resolves all aliases, and chains of aliases. `clean` uses it; call `resolve` for single ids.

        If two lines have the same misspelled id, the first line counts. All ids of a cycle get the smallest of them.

        Returns
        -------
        misspelled, canonical : ndarray of int64
            Ids with an alias, in rising order, and the canonical id of each.
        counts : dict
            "alias_chains", the aliases that lead to their canonical id through other aliases, and "alias_cycles".
        """
        aliases = self.alias_rows[self.alias_rows[:, 0] != self.alias_rows[:, 1]]
        misspelled, first = np.unique(aliases[:, 0], return_index=True)
        target = aliases[first, 1]
        at = Ids("alias", misspelled.size, misspelled).find(target)  # position of the target's own alias; -1 for none
        end = np.where(at >= 0, at, np.arange(at.size))
        for _ in range(int(at.size).bit_length()):  # each round doubles the number of steps
            end = end[end]
        final = target[end]
        lowest: dict[int, int] = {}  # position of an alias in a cycle: the smallest id of that cycle
        cycles = 0
        for start in np.unique(end[at[end] >= 0]).tolist():
            if start not in lowest:
                cycle = [start]
                while (here := int(at[cycle[-1]])) != start:
                    cycle.append(here)
                lowest |= dict.fromkeys(cycle, int(misspelled[cycle].min()))
                cycles += 1
        for i in np.flatnonzero(at[end] >= 0).tolist():
            final[i] = lowest[end[i]]
        changed = final != misspelled
        report = {"alias_chains": int(np.sum(final != target)), "alias_cycles": cycles}
        return misspelled[changed], final[changed], report

    def clean(self) -> Interactions:
        """The `Interactions` to fit a model on: aliases replaced by canonical ids, counts of equal pairs summed.

        Returns
        -------
        Interactions
            With artist names as `item_names`. Its `report` has the numbers of rows, rows with an alias, (user, artist)
            pairs, rows merged into another one, users, artists before and after cleaning, artists without a name, alias
            chains and cycles, and rejected lines.
        """
        n_threads = resolve(None)
        user, artist, count = self.play_rows.T
        misspelled, canonical, report = self.canonical()
        user_ids, rows = distinct(user, n_threads)
        artists = Places(artist, n_threads)
        aliases = Ids("alias", misspelled.size, misspelled)
        at = aliases.find(artists.values)
        renamed_ids = np.where(at >= 0, canonical[np.maximum(at, 0)], artists.values) if misspelled.size else artists.values
        item_ids, columns = distinct(renamed_ids, n_threads)
        shape = (user_ids.size, item_ids.size)
        values = count.astype(np.float32 if count.size and count.max() <= 2**24 else np.float64)
        csr = summed(rows, artists.of_ids(columns), values, shape, n_threads)
        items = Ids("item", item_ids.size, item_ids)
        name_of = np.full(item_ids.size, -1)
        found = items.find(self.artist_ids)[::-1]  # reversed, so that the first name of an artist overwrites later ones
        name_of[found[found >= 0]] = np.arange(found.size)[::-1][found >= 0]

        texts = self.artist_names  # a reference to self would keep all plays in memory

        @functools.cache  # Interactions derived from these share the function, and so the names
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
    """Read the three files of the dump from a folder, without cleaning them.

    Use it to inspect the raw data or its errors; `load` reads and cleans in one step. All lines that can be parsed are
    read; other lines are counted in `RawEvents.rejected`.

    Parameters
    ----------
    directory : path-like
        Folder with ``user_artist_data.txt`` and, optionally, ``artist_data.txt`` and ``artist_alias.txt``. Names with
        ``_small`` before ``.txt`` are found too.

    Returns
    -------
    RawEvents

    Raises
    ------
    FileNotFoundError
        The folder has no file of play counts.
    ValueError
        No line of the play counts can be parsed.

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
    plays_file = _find_file(folder, PLAYS)
    if plays_file is None:
        raise FileNotFoundError(f"{folder} holds neither {PLAYS}.txt nor {PLAYS}_small.txt")
    plays = _lines(plays_file, 3, rejected)
    if not plays.size and rejected:
        why = ", ".join(f"{r.lines:,} for {r.reason}, the first on line {r.first_line}" for r in rejected)
        raise ValueError(f"{plays_file}: every line was rejected: {why}. A line must be: user artist count")
    aliases = np.empty((0, 2), np.int64)
    alias_file, artist_file = _find_file(folder, ALIASES), _find_file(folder, ARTISTS)
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
    """Read and clean the dump in one step: ``read(directory).clean()``.

    Use it to fit a model on the Audioscrobbler data.

    Parameters
    ----------
    directory : path-like
        The folder with the files, as for `read`.

    Returns
    -------
    Interactions
    """
    return read(directory).clean()


def _find_file(folder: Path, stem: str) -> Path | None:
    """The path of a file of the dump under one of its two names; None if there is none."""
    for name in (f"{stem}.txt", f"{stem}_small.txt"):
        if (folder / name).is_file():
            return folder / name
    return None


def _mapped(path: Path, parse: Callable[[Any], Any]) -> Any:
    """Calls `parse` with the file's bytes, without a byte order mark. The file is mapped, which needs no extra memory."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return parse(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            marked = data[: len(codecs.BOM_UTF8)] == codecs.BOM_UTF8
            with memoryview(data) as whole, whole[len(codecs.BOM_UTF8) * marked :] as text:
                return parse(text)


def _lines(path: Path, n_fields: int, rejected: list[Rejected], names: bool = False) -> NDArray[np.int64]:
    """Parses a file, and adds the lines that cannot be parsed to `rejected`.

    Returns an array with a row for each good line: its `n_fields` whole numbers or, with `names`, the artist's id and the
    positions at which the name begins and ends in the file, without its byte order mark.
    """

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
