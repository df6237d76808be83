"""What one node of a distributed fit does. An actor of Ray wraps a `Worker`; the driver calls its methods.

A worker keeps the current factors of the rows that it owns. It changes them in place, so each method says at which
half-step it works, and does nothing if that was done before. So the driver may call a method again after a failure. While
a side is fixed, its factors are those of the shard that the worker has made, in shared memory, and not a copy of them.

Objects that the methods return are kept by Ray in shared memory, and the driver owns them: they outlive the worker.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import SolveError, Workspace, gram_parts, rotate, simd_name, version
from .._core import loss as core_loss
from ..data.csr import Csr, index_type
from ..data.interactions import stored_rows
from ..solve.compact import Whitening, heaviest_weights, weighted_spectrum
from ..solve.half_step import Settings, compact_of, solve_rows, subtract_offsets
from ..solve.objective import Objective
from ..solve.start import noise
from .fetching import GRACE_SECONDS, KEPT_SECONDS, Fetching, LostObjectError, NodeGoneError
from .messages import Failure, Job, Previous, Reply, Source, Usage
from .plan import LOSS_ROWS, counts_within, sides, store_name
from .table import CopiedRows, CopyTable, FullTable, Needed, Rows
from .watch import Watch, return_freed_memory

NEARLY_ALL = 0.95  # a node that needs so large a share of the fixed rows holds all of them


class Worker(Fetching):
    """One node of a distributed fit."""

    def __init__(self, node: int, job: Job) -> None:
        return_freed_memory()
        super().__init__(node)
        self.job = job
        self._workspace = Workspace(job.threads)
        self._rows: list[Csr] = []
        self._needed: list[NDArray[np.int64] | None] = [None, None]  # rows of the other side; None: all
        self._heaviest: list[NDArray[np.float64]] = []  # for each own row, the largest weight of the entries that name it
        self._factors: list[NDArray[Any]] = []
        self._rotated = [-1, -1]  # the last half-step at which the factors of each side were rotated
        self._solved, self._counts = -1, dict[str, int]()
        self._wanted: dict[tuple[int, int], NDArray[Any]] = {}  # (side, node): rows that this node needs
        self._sums: tuple[Any, NDArray[np.float64] | None] = (None, None)
        self._held: dict[int, list[Any]] = {}  # objects of other nodes, by half-step
        self._memory = Watch() if job.watch else None

    def call(self, name: str, n_returns: int, *args: Any) -> Any:
        """Call a method. Returns a `Reply`, and then the other `n_returns` - 1 results of the method."""
        began, self._usage = time.perf_counter(), Usage()
        value, failure = None, None
        objects: tuple[Any, ...] = ()
        try:
            value, *rest = getattr(self, name)(*args)
            objects = tuple(rest)
        except LostObjectError as error:
            failure = Failure(lost=(error.key,))
        except NodeGoneError:
            failure = Failure(node_gone=True)
        except SolveError as error:
            failure = Failure((), str(error), "SolveError", error.row, error.too_heavy)
        except (ArithmeticError, ImportError, MemoryError, OSError, TypeError, ValueError) as error:
            failure = Failure((), str(error) or type(error).__name__, type(error).__name__)
        self._usage.seconds = time.perf_counter() - began
        if self._memory is not None:
            self._usage.peak = self._memory.peak()
        reply = Reply(value, failure, self._usage)
        objects += (None,) * (n_returns - 1 - len(objects))
        return (reply, *objects) if n_returns > 1 else reply

    # -- the beginning -----------------------------------------------------------------------------------------------

    def open(self) -> tuple[dict[str, Any]]:
        """Open the rows of this node, check them, and find out which rows of the other side they need."""
        if self._memory is not None:
            self._memory.begin()
        self._rows, self._heaviest, needed, zeros, negative = [], [], [], False, False
        for side in (0, 1):
            mapped = stored_rows(self.job.path, store_name(side), self.job.sides[side].rows(self.node))
            others = self.job.sides[1 - side]
            self._check_shape(mapped, side)
            used, heaviest = np.zeros(others.n, bool), np.zeros(mapped.shape[0] if self.job.copies[1 - side] else 0)
            for begin, block in mapped.blocks():
                used[block.indices] = True
                if heaviest.size:
                    of_block = heaviest_weights(self.job.objective, block.indptr, block.data)
                    heaviest[begin : begin + block.shape[0]] = of_block
            self._heaviest.append(heaviest)
            zeros |= mapped.has_zeros()
            negative |= mapped.has_negative()
            if self.job.whole or np.count_nonzero(used) >= NEARLY_ALL * others.n:
                self._needed[side] = None
                self._rows.append(mapped)
                needed.append(np.diff(others.begins))
                continue
            rows = self._needed[side] = np.flatnonzero(used)
            places = np.cumsum(used, dtype=index_type(others.n)) - 1
            indices = np.empty(mapped.nnz, index_type(rows.size))
            for begin, block in mapped.blocks():
                indices[mapped.indptr[begin] :][: block.nnz] = places[block.indices]
            self._rows.append(Csr(mapped.indptr, indices, mapped.whole().data, (mapped.shape[0], rows.size)))
            needed.append(counts_within(rows, others.begins))
        facts = {
            "zeros": zeros,
            "negative": negative,
            "needed": needed,
            "simd": simd_name(),
            "version": version(),
            "pid": os.getpid(),
        }
        return (facts,)

    def needs(self, side: int) -> tuple[Any, ...]:
        """For each node, which of its rows of the fixed side this node needs, when it solves `side`."""
        rows, others = self._needed[side], self.job.sides[1 - side]
        assert rows is not None
        places = np.searchsorted(rows, others.begins)
        parts = [rows[a:b] - first for a, b, first in zip(places[:-1], places[1:], others.begins[:-1], strict=True)]
        return (None, *(part.astype(np.int32 if others.n < 2**31 else np.int64) for part in parts))

    def start(self) -> tuple[None]:
        """Draw the random factors of this node's rows."""
        self._factors = [self._noise(side) for side in (0, 1)]
        self._rotated, self._solved = [-1, -1], -1
        return (None,)

    def _noise(self, side: int) -> NDArray[Any]:
        job, rows = self.job, self.job.sides[side].rows(self.node)
        return noise(job.key, side, rows, job.rank, np.dtype(job.dtype), job.objective.biases, self._workspace)

    def _check_shape(self, rows: Csr, side: int) -> None:
        expected = (len(self.job.sides[side].rows(self.node)), self.job.sides[1 - side].n)
        if rows.shape != expected:
            raise ValueError(f"{self.job.path} has another shape here than where the fit was started; copy the store again")

    # -- the Gramian -------------------------------------------------------------------------------------------------

    def borders(self, side: int, destinations: Sequence[int]) -> tuple[Any, ...]:
        """For each of these nodes, the rows that it sums and this node owns: {segment: rows}."""
        own, first = self._factors[side], self.job.sides[side].rows(self.node).start
        borders = self.job.sides[side].borders(self.node)
        return (
            None,
            *({b.segment: own[b.begin - first : b.end - first] for b in borders if b.summed_by == d} for d in destinations),
        )

    def sums(self, version: Any, side: int, sources: Sequence[Source]) -> tuple[None]:
        """Sum the segments of the Gramian for which this node is responsible."""
        plan, width = self.job.sides[side], self.job.sides[side].width
        pieces: dict[int, list[tuple[int, NDArray[Any]]]] = {}
        for source in sources:
            for segment, rows in self._fetch(source, ("borders", side, source.node)).items():
                pieces.setdefault(segment, []).append((source.node, rows))
        mine = plan.segments_of(self.node)
        sums = np.empty((len(mine), width, width))
        own, first = self._factors[side], plan.rows(self.node).start
        place = 0
        while place < len(mine):
            end = place
            while end < len(mine) and mine[end] not in pieces:
                end += 1
            if end > place:  # segments whose rows are all in this node's range
                begins = np.array([plan.segments[s].start for s in mine[place:end]] + [plan.segments[mine[end - 1]].stop])
                gram_parts(own[begins[0] - first : begins[-1] - first], begins, sums[place:end], self._workspace)
                place = end
                continue
            rows = plan.segments[mine[place]]
            inside = own[max(rows.start - first, 0) : max(rows.stop - first, 0)]
            joined = np.concatenate([part for _, part in sorted([*pieces[mine[place]], (self.node, inside)], key=_first)])
            gram_parts(joined, np.array([rows.start, rows.stop]), sums[place : place + 1], self._workspace)
            place += 1
        self._sums = (version, sums)
        return (None,)

    def add(self, version: Any, total: Source | None) -> tuple[None, NDArray[np.float64]]:
        """Add this node's sums, in order, to those of the nodes before it."""
        known, sums = self._sums
        if known != version or sums is None:
            raise LostObjectError(("sums", self.node))
        given = None if total is None else self._fetch(total, ("total", total.node))
        out = np.array(sums[0] if given is None else given)
        for part in sums[given is None :]:
            out += part
        self._sums = (None, None)
        return None, out

    # -- half-steps --------------------------------------------------------------------------------------------------

    def publish(
        self,
        half_step: int,
        basis: Source | None,
        spectrum: NDArray[np.float64] | None,
        all_copied: bool,
        wanted: Sequence[Source],
        keep_from: int,
        side: int | None = None,
    ) -> tuple[Any, ...]:
        """Rotate the fixed side's rows. Returns all of them, and for each of `wanted` those that this node needs.

        With `spectrum`, those are copies if solvers read copies. With `all_copied`, the copy of all rows is returned, too.
        """
        solved, fixed = sides(half_step)
        fixed = fixed if side is None else side
        self._held = {h: objects for h, objects in self._held.items() if h >= keep_from}
        lists = [self._list(fixed, source) for source in wanted]
        self._rotate(fixed, half_step, basis)
        own = self._factors[fixed]
        whitening = None if spectrum is None else self._whitening(solved, spectrum)
        if whitening is None:
            return (None, Rows(own, None), *(Rows(own[rows], None) for rows in lists))
        copied = CopiedRows.of(own, self._heaviest[fixed], whitening, self._workspace)
        return (None, Rows(own, copied.copy.heavy), *[copied] * all_copied, *(copied.picked(rows) for rows in lists))

    def _whitening(self, solved: int, spectrum: NDArray[np.float64]) -> Whitening | None:
        """How fixed rows become copies; None: rows are solved without."""
        if not self.job.copies[solved]:
            return None
        part = self.job.parts[solved]
        return Whitening(weighted_spectrum(self.job.objective, spectrum), part.least_reg, part.most_reg)

    def solve(
        self,
        half_step: int,
        settings: Settings,
        spectrum: NDArray[np.float64],
        basis: Source | None,
        own: Source,
        sources: Sequence[Source],
    ) -> tuple[dict[str, int]]:
        """Solve the rows of this node. Returns the counts of the half-step.

        `own` has this node's rows of the fixed side, and `sources` have those of the others.
        """
        solved, fixed = sides(half_step)
        if self._solved != half_step:
            self._prefetch(sources)
            for side in (fixed, solved):  # while the rows of other nodes are on their way
                self._rotate(side, half_step, basis)
            published = self._fetch(own, ("shard", half_step, self.node))
            self._factors[fixed] = published.rows
            self._counts = self._solve(solved, spectrum, settings, sources, published, half_step)
            self._solved = half_step
        return (self._counts,)

    def _solve(
        self,
        side: int,
        spectrum: NDArray[np.float64],
        settings: Settings,
        sources: Sequence[Source],
        own: Rows | None,
        half_step: int | str,
    ) -> dict[str, int]:
        whitening = self._whitening(side, spectrum)
        part = self.job.parts[side]._replace(first_row=self.job.sides[side].rows(self.node).start)
        copy, offsets = None, None
        if whitening is None:
            table = self._full_table(side, sources, own, half_step)
            offsets = _split_biases(table, settings.mean)
        else:
            needed = Needed(self._needed[side], self.job.sides[1 - side].begins)
            copies = CopyTable(needed, self.job.sides[1 - side].width, whitening, self._workspace)
            self._fill(copies, sources, own, half_step)
            copy, table = copies.done()
        solved = self._writable(side)
        others = self.job.sides[1 - side].n
        return solve_rows(
            self._rows[side],
            table,
            spectrum,
            solved,
            replace(settings, compact=compact_of(settings, others, table.shape[1])),
            self._workspace,
            offsets=offsets,
            part=part,
            n_others=others,
            copy=copy,
        )

    def _rotate(self, side: int, half_step: int, basis: Source | None) -> None:
        if basis is None or self._rotated[side] >= half_step:
            return
        vectors = self._fetch(basis, ("basis", half_step))
        rotate(self._writable(side), vectors, self._workspace)
        self._rotated[side] = half_step

    def _writable(self, side: int) -> NDArray[Any]:
        """The factors of this node's rows, after they were copied from shared memory if they are there."""
        if not self._factors[side].flags.writeable:
            self._factors[side] = np.array(self._factors[side])
        return self._factors[side]

    def _full_table(self, side: int, sources: Sequence[Source], own: Rows | None, half_step: int | str) -> NDArray[Any]:
        """The rows of the fixed side that the rows of `side` need, as they are."""
        others = self.job.sides[1 - side]
        table = FullTable(Needed(self._needed[side], others.begins), others.width, self.job.dtype)
        self._fill(table, sources, own, half_step)
        return table.rows

    def _fill(
        self, table: FullTable | CopyTable, sources: Sequence[Source], own: Rows | None, half_step: int | str
    ) -> None:
        """Enter the rows of this node, if given, and those of each source as soon as they arrive."""
        if own is not None:
            table.fill(self.node, own, True)
        grace = KEPT_SECONDS if half_step == "kept" else GRACE_SECONDS
        for source in self._arriving(sources, lambda source: ("shard", half_step, source.node), grace):
            rows = self._fetch(source, ("shard", half_step, source.node), grace)
            if source.hold and isinstance(half_step, int):
                self._held.setdefault(half_step, []).append(rows)
            table.fill(source.node, rows, source.whole)

    def restore(
        self, half_step: int, solved: Source | None, fixed: Source | None, previous: Previous | None
    ) -> tuple[None]:
        """Make the state of this node before a half-step, from objects of the half-steps before it.

        `solved` and `fixed` are this node's rows as they were published, or None. Without `fixed`, the rows of the fixed
        side are solved again.
        """
        solved_side, fixed_side = sides(half_step)
        self._rotated, self._solved = [half_step - 1] * 2, half_step - 1
        factors: list[Any] = [None, None]
        key = ("kept", half_step, self.node)
        factors[solved_side] = self._noise(solved_side) if solved is None else self._copied(solved, key)
        if fixed is not None:
            try:
                factors[fixed_side] = self._copied(fixed, key, GRACE_SECONDS)  # else they can be solved again
                self._rotated[fixed_side] = half_step
            except LostObjectError:
                fixed = None
        self._factors = factors
        if fixed is not None:
            return (None,)
        if previous is None:
            factors[fixed_side] = self._noise(fixed_side)
            return (None,)
        factors[fixed_side] = self._noise(fixed_side) if previous.start is None else self._copied(previous.start, key)
        if previous.basis is not None:
            basis = self._fetch(previous.basis, ("basis", half_step - 1))
            rotate(factors[fixed_side], basis, self._workspace)
        self._solve(fixed_side, previous.spectrum, previous.settings, previous.shards, None, "kept")
        return (None,)

    def rows(self, side: int) -> tuple[None, NDArray[Any]]:
        """The factors of this node's rows."""
        return None, self._factors[side]

    # -- the loss ----------------------------------------------------------------------------------------------------

    def loss(self, objective: Objective, mean: float | None, sources: Sequence[Source]) -> tuple[None, NDArray[np.float64]]:
        """The sums of the entries' part of the loss, for each LOSS_ROWS users of this node."""
        table = self._full_table(0, sources, Rows(self._factors[1], None), "loss")
        offsets = _split_biases(table, mean)
        x, rows = self._factors[0], self._rows[0]
        begins = range(0, rows.shape[0], LOSS_ROWS)
        local = threading.local()

        def one(begin: int) -> float:
            if not hasattr(local, "workspace"):
                local.workspace = Workspace(1)
            block = rows.between(begin, min(begin + LOSS_ROWS, rows.shape[0]))
            of_block = x[begin : begin + block.shape[0]]
            return core_loss(subtract_offsets(block, offsets), objective.code, of_block, table, local.workspace)

        rows = rows.whole()
        with ThreadPoolExecutor(self.job.threads) as pool:
            return None, np.array(list(pool.map(one, begins)))

    def norms(self, side: int) -> tuple[None, NDArray[np.float64]]:
        """The squared length of each row."""
        factors = self._factors[side]
        return None, np.einsum("ij,ij->i", factors, factors, dtype=np.float64)

    # -- objects of other nodes ---------------------------------------------------------------------------------------

    def _copied(self, source: Source, key: Any, grace: float = KEPT_SECONDS) -> NDArray[Any]:
        """An array of the rows of a node, which may be changed."""
        return np.array(self._fetch(source, key, grace).rows)

    def _list(self, side: int, source: Source) -> NDArray[Any]:
        """The rows of this node that another one needs."""
        if (side, source.node) not in self._wanted:
            key = ("needs", 1 - side, source.node)
            self._wanted[side, source.node] = self._fetch(source, key)
        return self._wanted[side, source.node]


def _split_biases(table: NDArray[Any], mean: float | None) -> NDArray[Any] | None:
    """As `without_biases`, but it changes `table` instead of a copy, and returns the offsets alone."""
    if mean is None:
        return None
    offsets: NDArray[Any] = table[:, -1] + mean
    table[:, -1] = 1
    return offsets


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]
