"""The steps of a build: read and spill the events, number the ids, write the matrix by user, write the matrix by item.

Each step reads what the one before has written to the temporary folder. The journal there remembers the finished steps.
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core import version
from ...base.checks import boolean, file_path
from ...base.progress import progress_bar
from ...base.threads import resolve
from .. import store
from ..ids import Ids
from ..packing import pack_strings
from . import sorting
from .ahead import ahead
from .budget import Budget, check_disk, memory_of
from .checking import Run, checked, parts_of_runs
from .journal import Journal
from .numbering import Numbered, Numbering, text_parts, texts_of
from .planning import MOST_PIECES, Piece, by_pieces, by_ranges, cuts
from .sorting import Types
from .sources import Source, ValuesAreFloats, open_source
from .spilling import Damaged, Groups, Spill

_MOST_RANGES = 10  # bits: how many ranges of users a run is divided into, at most
_TEXT_BYTES = 8  # a row of a text file has at least about this many bytes


def build(
    source: Any,
    out: str | os.PathLike[str],
    named: Mapping[str, str | None],
    names_of: Callable[[Ids], NDArray[Any] | None],
    memory: Any,
    temporary: str | os.PathLike[str] | None,
    progress: bool,
    n_threads: int | None,
    filesystem: Any,
) -> None:
    """Build the store `out`. The arguments are those of `Interactions.build`.

    `named` has the name of the column for each argument, and `names_of` makes the array of item names.
    """
    for argument in ("user", "item"):
        if named[argument] is None:
            raise TypeError(f"{argument} must name a column, got None")
    budget, threads, show = memory_of(memory), resolve(n_threads), boolean("progress", progress)
    target = Path(file_path("out", out))
    names_of(Ids("item", 0))
    folder = _temporary_folder(target, temporary)
    events = open_source(source, named, filesystem)
    arguments = {"source": events.identity, "columns": dict(named), "memory": budget.memory, "cymbals": version()}
    kept = [False]
    with store.writing(target, lambda: kept[0]) as new:
        journal = Journal(folder, None if events.identity is None else arguments)
        if not journal.steps:
            check_disk(str(folder), str(target), _most_events(events), False, named["time"] is not None)
        work = _Build(events, dict(named), budget, threads, show, journal, new)
        try:
            work.read_events()
            kept[0] = events.identity is not None
            users, items = work.sort_by_user()
            work.sort_by_item()
        except BaseException as error:
            # The same call would fail again, unless what went wrong is outside: the disk, or Ctrl-C.
            kept[0] = kept[0] and not isinstance(error, (ValueError, TypeError, MemoryError, Damaged))
            if not kept[0]:
                work.close()
                journal.remove()
            raise
        finally:
            work.close()
        work.commit(users, items, names_of)
        journal.remove()
    for path, n in events.rejected.items():
        if n:
            warnings.warn(f"{path}: {n:,} rows rejected for having more or fewer fields than the header", stacklevel=3)


def _temporary_folder(out: Path, temporary: str | os.PathLike[str] | None) -> Path:
    """The folder for temporary files of a store: beside it, or in the folder that the caller names."""
    if temporary is None:
        return out.with_name(f".{out.name}.building")
    parent = Path(file_path("temporary", temporary))
    if not parent.is_dir():
        raise FileNotFoundError(f"temporary must be a folder, and {parent} is none")
    return parent / f"{out.name}.{zlib.crc32(os.fsencode(os.path.realpath(out))):08x}.building"


def _most_events(source: Source) -> int:
    """About the largest number of events that a source may have; 0 if that is unknown."""
    return source.rows or (source.n_bytes or 0) // _TEXT_BYTES


class _Build:
    """A build at work, and what its finished steps have found."""

    def __init__(
        self,
        source: Source,
        named: dict[str, str | None],
        budget: Budget,
        n_threads: int,
        progress: bool,
        journal: Journal,
        new: store.NewStore,
    ) -> None:
        self.source, self.named, self.budget, self.n_threads = source, named, budget, n_threads
        self.progress, self.journal, self.new = progress, journal, new
        self._spills: list[Spill] = []

    # -- the first step --------------------------------------------------------------------------------------------------

    def read_events(self) -> None:
        """Read, check and spill the events, and number the ids."""
        if "events" in self.journal.steps and self._can_resume():
            return
        self.journal.begin_anew()
        try:
            self._read_events()
        except ValuesAreFloats:
            self.close()
            self.journal.begin_anew()
            self._read_events()

    def _can_resume(self) -> bool:
        """Whether the files of the finished steps are still there."""
        if "users" not in self.journal.steps:
            return self.journal.arrays("events") is not None and self._path("events").exists()
        files = self.journal.facts("users")["arrays"]
        adopted = all([self.new.adopt(name, entry) for name, entry in files.items()])
        arrays = [self.journal.arrays(step) for step in ("events", "users")]
        return adopted and None not in arrays and self._path("entries").exists()

    def _read_events(self) -> None:
        timed = self.named["time"] is not None
        spill = self._spill("events")
        half = max(1, self.n_threads // 2)
        sides = [Numbering(what, self.budget, self.source.texts, half) for what in ("user", "item")]
        facts: dict[str, Any] = {"rows": 0, "whole": True, "signed": False, "largest": 0.0, "wide": False, "times": None}
        shifts: list[int] = []
        rows, ranges = self.source.rows, _MOST_RANGES
        most = self.budget.run(timed, rows)
        if rows is not None:  # several ranges to a piece, so that most pieces are nearly full
            ranges = min(ranges, (4 * rows // self.budget.usual_piece(timed, True, rows)).bit_length())
        total = None if self.source.rows is None else _millions(self.source.rows)
        with progress_bar(self.progress, total, "read events (millions)") as step, ThreadPoolExecutor(2) as pool:
            for parts in ahead(parts_of_runs(self.source, most, self.budget.run_bytes)):
                run = checked(parts, self.named, pool)
                del parts
                codes = list(pool.map(Numbering.code, sides, (run.users, run.items)))
                needed = sum(side.nbytes for side in sides)
                self.budget.check_ids(needed, " and ".join(f"{side.n:,} {side.what}s" for side in sides))
                shifts.append(_spill_run(spill, run, sides[0], codes, ranges))
                facts["rows"] += run.size
                facts["whole"] = facts["whole"] and run.whole
                facts["signed"] = facts["signed"] or run.signed
                facts["largest"] = max(facts["largest"], run.largest)
                facts["wide"] = facts["wide"] or (run.values is not None and run.values.dtype == np.float64)
                facts["times"] = None if run.times is None else run.times.dtype.str
                step({"iteration": _millions(facts["rows"])})
                del run, codes
        spill.finish()
        arrays = {"index": spill.index.copy(), "shifts": np.array(shifts, np.int64)}
        for side in sides:
            arrays |= _pack(side.what, side.finish())
        if self.source.texts:
            facts["rejected"] = sum(self.source.rejected.values())
        self.journal.finished("events", facts, arrays)

    # -- the second step -------------------------------------------------------------------------------------------------

    def sort_by_user(self) -> tuple[Numbered, Numbered]:
        """Write the matrix by user. Spill its entries in pieces of items."""
        found, facts = self.journal.arrays("events"), self.journal.facts("events")
        assert found is not None
        users, items = (_unpack(what, found) for what in ("user", "item"))
        if "users" in self.journal.steps:
            return users, items
        timed = facts["times"] is not None
        spill = self._spill("events", found["index"])
        spilled = Types(np.dtype(np.float64 if facts["wide"] else np.float32), facts["times"])
        wide = facts["wide"] or (facts["whole"] and facts["largest"] >= 2**24)
        usual, most = self.budget.usual_piece(timed, wide, facts["rows"]), self.budget.piece(timed, wide)
        begins = cuts(items.counts, self.budget.usual_piece(False, wide, facts["rows"]))
        pieces = by_ranges(spill.index, found["shifts"].tolist(), users, usual, most) if users.all_ranged else None
        whole = facts["whole"] and not facts["signed"]
        known: tuple[Numbered, Numbered] | None = (users, items)
        if pieces is None:
            at = cuts(users.counts, usual)
            self._check_pieces(users, at, most)
            grouped = sorting.regrouped(spill, self._path("again"), users, items, spilled, whole, at, self.n_threads)
            self._spills.append(grouped)
            pieces, known = by_pieces(grouped.index, at), None
        else:
            grouped = spill
        if begins.size > MOST_PIECES:
            raise MemoryError(f"memory is too small for {facts['rows']:,} events; give twice as much")
        dtype, exact = (np.float64, False) if wide else (np.float32, facts["whole"])
        while True:
            try:
                indptr, largest, files, entries = self._sort(
                    grouped, pieces, known, (users.n, items.n), Types(np.dtype(dtype), facts["times"]), whole, exact, begins
                )
            except sorting.TooLarge:
                self.new.abandon()
                dtype, exact = np.float64, False
                continue
            if dtype == np.float64 and not facts["wide"] and largest <= 2**24:  # exact in float32 after all
                self.new.discard(files)
                dtype, exact = np.float32, False
                continue
            break
        self.new.add("by_user.indptr", indptr)
        files["by_user.indptr"] = self.new.entry("by_user.indptr")
        told = {"arrays": files, "type": np.dtype(dtype).str, "pairs": int(indptr[-1])}
        self.journal.finished("users", told, {"index": entries.index, "begins": begins})
        for one in (spill, grouped):
            one.remove()
        return users, items

    def _sort(
        self,
        grouped: Spill,
        pieces: list[Piece],
        known: tuple[Numbered, Numbered] | None,
        shape: tuple[int, int],
        types: Types,
        whole: bool,
        exact: bool,
        begins: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], float, dict[str, Any], Spill]:
        entries = self._spill("entries")
        loaded = (
            (
                piece,
                grouped.read(piece.blocks, types.values, types.times)
                if known is None
                else sorting.mapped(grouped, piece.blocks, *known, types, self.n_threads),
            )
            for piece in pieces
        )
        with progress_bar(self.progress, len(pieces), "sort by user") as step:
            indptr, largest, files = sorting.by_user(
                loaded, shape, types, whole, exact, self.new, entries, begins, self.n_threads, step
            )
        return indptr, largest, files, entries

    def _check_pieces(self, users: Numbered, begins: NDArray[np.int64], most: int) -> None:
        """Refuse users with more events than can be sorted at a time, and too many pieces."""
        if users.n and users.counts.max() > most:
            row = int(users.counts.argmax())
            needed = self.budget.memory * int(users.counts[row]) // most
            raise MemoryError(
                f"user {users.ids[row]} has {users.counts[row]:,} events, which are too many to be sorted within memory; "
                f"give at least memory='{-(-needed // 10**6) + 1}MB'"
            )
        if begins.size > MOST_PIECES:
            raise MemoryError(f"memory is too small for {users.counts.sum():,} events; give twice as much")

    # -- the third step --------------------------------------------------------------------------------------------------

    def sort_by_item(self) -> None:
        """Write the matrix by item."""
        found, events = self.journal.arrays("users"), self.journal.arrays("events")
        assert found is not None
        assert events is not None
        facts, begins = self.journal.facts("users"), found["begins"]
        spill = self._spill("entries", found["index"])
        n_items = int(events["item.counts"].size)
        del events
        with progress_bar(self.progress, begins.size - 1, "sort by item") as step:
            sorting.by_item(spill, begins, n_items, np.dtype(facts["type"]), self.new, self.n_threads, step)
        spill.close()

    def commit(self, users: Numbered, items: Numbered, names_of: Callable[[Ids], NDArray[Any] | None]) -> None:
        """Write the ids and names, and replace the store."""
        for name, side in (("users", users), ("items", items)):
            if isinstance(side.ids, np.ndarray):
                self.new.add(name, side.ids)
            else:
                lengths, content = text_parts(side.ids)
                self.new.add(f"{name}.length", lengths)
                self.new.add(f"{name}.bytes", content)
        array = items.ids if isinstance(items.ids, np.ndarray) else items.ids.to_numpy(zero_copy_only=False)
        names = names_of(Ids("item", items.n, array))
        if names is not None:
            for name, packed in pack_strings("names", names).items():
                self.new.add(name, packed)
        facts = self.journal.facts("events")
        report = {"rows": facts["rows"], "pairs": self.journal.facts("users")["pairs"]}
        if "rejected" in facts:
            report["lines_rejected"] = facts["rejected"]
        self.new.commit({"shape": [users.n, items.n], "report": report, "cymbals": version()})

    # -- files -----------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self.journal.folder / f"{name}.spill"

    def _spill(self, name: str, index: NDArray[np.int64] | None = None) -> Spill:
        spill = Spill(self._path(name), self.n_threads, index)
        self._spills.append(spill)
        return spill

    def close(self) -> None:
        """Close the temporary files."""
        for spill in self._spills:
            spill.close()


def _millions(n: int) -> int:
    return -(-n // 10**6)


def _spill_run(spill: Spill, run: Run, users: Numbering, codes: list[NDArray[np.int32]], ranges: int) -> int:
    """Write a run, in up to 2 ** ranges ranges of users if their codes are in the order of the ids.

    Returns the length of a range: 2 ** result codes.
    """
    if not run.size:
        return 0
    whole, groups = run.whole and not run.signed, None
    if users.ranged:
        table = users.range
        last = table.first_code + table.counts.size - 1
        shift = max(0, (table.counts.size - 1).bit_length() - ranges)
        first = table.first_code >> shift
        groups = Groups((last >> shift) - first + 1, shift, first)
    spill.add(codes[0], codes[1], run.values, run.times, whole, groups)
    return 0 if groups is None else groups.shift


def _pack(what: str, side: Numbered) -> dict[str, NDArray[Any]]:
    """The arrays of a side, for the journal."""
    arrays: dict[str, NDArray[Any]] = {"counts": side.counts, "ranged": side.tables[0], "listed": side.tables[1]}
    arrays["numbers"] = np.array([side.lowest, side.turned, side.runs], np.int64)
    if isinstance(side.ids, np.ndarray):
        arrays["ids"] = side.ids
    else:
        arrays["length"], arrays["bytes"] = text_parts(side.ids)
    return {f"{what}.{name}": array for name, array in arrays.items()}


def _unpack(what: str, arrays: Mapping[str, NDArray[Any]]) -> Numbered:
    part = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{what}.")}
    ids = part["ids"] if "ids" in part else texts_of(part["length"], part["bytes"])
    lowest, turned, runs = part["numbers"].tolist()
    return Numbered(ids, part["counts"], lowest, [part["ranged"], part["listed"]], turned, runs)
