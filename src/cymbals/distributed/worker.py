"""What one node of a distributed fit does. An actor of Ray wraps a `Worker`; the driver calls its methods.

A worker keeps the current factors of the rows that it owns. It changes them in place, so each method says at which
half-step it works, and does nothing if that was done before. So the driver may call a method again after a failure.

Objects that the methods return are kept by Ray in shared memory, and the driver owns them: they outlive the worker. Its
rows of the fixed side are such an object, from which a lost worker can be restored. Its neighbour returns the same rows
again, so that they exist on two machines. While a side is fixed, the worker's factors are that object and not a copy of it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import SolveError, Workspace, rotate, simd_name, version
from .._core import loss as core_loss
from ..data.csr import Csr, index_type
from ..data.interactions import stored_rows
from ..solve.compact import Copy, Whitening, heaviest_weights, heavy_rows, weighted_spectrum
from ..solve.half_step import Settings, compact_of, solve_rows, subtract_offsets
from ..solve.start import noise
from .fetching import GRACE_SECONDS, KEPT_SECONDS, Fetching, LostObjectError, NodeGoneError
from .links import Address, LinkError, Request
from .messages import Failure, Job, Previous, Reply, Source, Usage
from .plan import LOSS_ROWS, sides, store_name
from .publishing import BORDERS, FIXED, LOSS, REPLICA, TOTAL, Outlet, Publication
from .pulling import Before, Links, Pulls
from .summing import Piece, segment_sums
from .table import NEARLY_ALL, CopyTable, FullTable, Needed, Rows, copy_rows
from .watch import Watch, return_freed_memory

_PUBLISH_BYTES = 8 << 20  # rows that are rotated before the others may have them


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
        self._outlet = Outlet(self._ray.util.get_node_ip_address(), job.secret)
        self._links = Links(job.secret)
        self._published = -1  # the half-step whose fixed rows are offered to others: `_offered`
        self._offered: Publication | None = None
        self._whole: Publication | None = None  # the same rows as they are, for the node after this one
        self._pulls: Pulls | None = None  # the fixed rows of the others
        self._replica: Rows | None = None  # the fixed rows of the node before this one
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
        self._rows, self._heaviest, zeros, negative = [], [], False, False
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
                continue
            rows = self._needed[side] = np.flatnonzero(used)
            places = np.cumsum(used, dtype=index_type(others.n)) - 1
            indices = np.empty(mapped.nnz, index_type(rows.size))
            for begin, block in mapped.blocks():
                indices[mapped.indptr[begin] :][: block.nnz] = places[block.indices]
            self._rows.append(Csr(mapped.indptr, indices, mapped.whole().data, (mapped.shape[0], rows.size)))
        facts = {
            "zeros": zeros,
            "negative": negative,
            "simd": simd_name(),
            "version": version(),
            "pid": os.getpid(),
            "address": self._outlet.address,
        }
        return (facts,)

    def start(self, half_step: int, given: Sequence[Source] | None) -> tuple[None]:
        """Take the factors that this node's rows have before the first half-step, which is `half_step`."""
        self._factors = [self._first_factors(side, given) for side in (0, 1)]
        self._rotated, self._solved, self._published = [half_step - 1] * 2, half_step - 1, half_step - 1
        return (None,)

    def _first_factors(self, side: int, given: Sequence[Source] | None) -> NDArray[Any]:
        """The given factors of this node's rows, by side. Without them, random ones."""
        if given is not None:
            return self._copied(given[side], ("start", self.node))
        job, rows = self.job, self.job.sides[side].rows(self.node)
        assert job.key is not None
        return noise(job.key, side, rows, job.rank, np.dtype(job.dtype), job.objective.biases, self._workspace)

    def _check_shape(self, rows: Csr, side: int) -> None:
        expected = (len(self.job.sides[side].rows(self.node)), self.job.sides[1 - side].n)
        if rows.shape != expected:
            raise ValueError(f"{self.job.path} has another shape here than where the fit was started; copy the store again")

    # -- the Gramian -------------------------------------------------------------------------------------------------

    def gram(self, half_step: int, side: int, peers: Mapping[int, Address]) -> tuple[NDArray[np.float64] | None]:
        """Sum the segments of this node, and add them to those of the nodes before it. The last node returns all."""
        plan, version = self.job.sides[side], 2 * half_step + side
        self._outlet.publish(BORDERS, Publication(version, [self._factors[side]], ready=True))
        adding = sorted(set(plan.summed_by))
        if self.node not in adding:
            return (None,)
        pieces = [piece for node in peers for piece in self._border_rows(version, side, node, peers[node])]
        sums = segment_sums(plan, self.node, self._factors[side], pieces, self._workspace)
        place = adding.index(self.node)
        total = None
        if place > 0:
            before = adding[place - 1]
            total = self._pull(before, peers[before], Request(TOTAL, version, None), sums[0].shape, np.float64)
        for part in sums:
            total = np.array(part) if total is None else total + part
        assert total is not None
        self._outlet.publish(TOTAL, Publication(version, [total], ready=True))
        return (total if place == len(adding) - 1 else None,)

    def _border_rows(self, version: int, side: int, node: int, address: Address) -> list[Piece]:
        """The rows of another node that belong to segments of this one."""
        plan = self.job.sides[side]
        first = plan.rows(node).start
        out = []
        for border in plan.borders(node):
            if border.summed_by == self.node:
                rows = np.arange(border.begin - first, border.end - first)
                shape = rows.size, plan.width
                found = self._pull(node, address, Request(BORDERS, version, rows), shape, self.job.dtype)
                out.append(Piece(border.segment, node, found))
        return out

    def _pull(self, node: int, address: Address, wanted: Request, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Rows of another worker, none of which are heavy."""
        out = np.empty(shape, dtype)
        with self._waiting():
            try:
                link = self._links.to(node, address)
                link.request(wanted)
                link.receive_rows([out])
                link.receive_numbers()
            except LinkError:
                self._links.drop(node)
                raise LostObjectError(("total", node)) from None
        self._count(node, out.nbytes)
        return out

    # -- half-steps --------------------------------------------------------------------------------------------------

    def publish(
        self,
        half_step: int,
        basis: Source | None,
        spectrum: NDArray[np.float64],
        peers: Mapping[int, Address],
    ) -> tuple[Any, ...]:
        """Rotate the fixed side's rows, and offer them to the `peers`, whose rows begin to come. Returns the rows."""
        solved, fixed = sides(half_step)
        if self._published != half_step:
            self._outlet.withdraw()  # all nodes have what was published before: its memory is free for the table
            self._offered = self._whole = self._replica = None
            vectors = self._vectors(fixed, half_step, basis)
            own, whitening = self._writable(fixed), self._whitening(solved, spectrum)
            copy = None if whitening is None else Copy.empty(*own.shape)
            self._offered = Publication(half_step, [own] if copy is None else [copy.pairs, copy.leverage])
            self._whole = Publication(half_step, [own])
            self._outlet.publish(FIXED, self._offered)
            self._outlet.publish(REPLICA, self._whole)
            table = self._empty_table(solved, whitening)
            self._pulls = Pulls(self._links, FIXED, half_step, solved, table, self._node_before(fixed))
            self._pulls.start(peers)
            step = max(1, _PUBLISH_BYTES // max(1, own.itemsize * own.shape[1]))
            for begin in range(0, own.shape[0], step):
                rows = own[begin : begin + step]
                if vectors is not None:
                    rotate(rows, vectors, self._workspace)
                if copy is not None and whitening is not None:
                    whitening.write(rows, copy, begin, self._workspace)
                self._offered.advance(begin + rows.shape[0])
                self._whole.advance(begin + rows.shape[0])
            if vectors is not None:
                self._rotated[fixed] = half_step
            heavy = np.empty(0, np.int64) if copy is None else heavy_rows(copy.leverage, self._heaviest[fixed])
            self._offered.finish(heavy, None if copy is None else own[heavy])
            self._whole.finish(heavy)
            self._published = half_step
        assert self._offered is not None
        return None, Rows(self._factors[fixed], self._offered.heavy)

    def _empty_table(self, solved: int, whitening: Whitening | None) -> FullTable | CopyTable:
        """Room for the fixed rows that the rows of this node need."""
        others = self.job.sides[1 - solved]
        needed = Needed(self._needed[solved], others.begins)
        if whitening is None:
            return FullTable(needed, others.width, self.job.dtype)
        return CopyTable(needed, others.width, whitening)

    def _node_before(self, side: int) -> Before:
        """The node whose rows of this side are kept here, too."""
        plan = self.job.sides[side]
        before = (self.node - 1) % plan.n_nodes
        return Before(before, (len(plan.rows(before)), plan.width), self.job.dtype)

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
        peers: Mapping[int, Address],
    ) -> tuple[Any, ...]:
        """Solve the rows of this node. Returns the counts of the half-step, and the fixed rows of the node before it.

        `own` has this node's rows of the fixed side. `peers` are the addresses of the others.
        """
        solved, fixed = sides(half_step)
        if self._solved != half_step:
            assert self._pulls is not None
            assert self._offered is not None
            assert self._whole is not None
            self._rotate(solved, half_step, basis)  # while rows of other nodes are on their way
            published = self._fetch(own, ("shard", half_step, self.node))
            self._factors[fixed] = published.rows
            table = self._pulls.table
            local = table.needed.of_node(self.node)
            copy_rows(self._offered.columns, local, table.columns(self.node))
            table.enter_heavy(self.node, *self._offered.heavy_among(local))
            self._wait_for(self._pulls, peers, half_step)
            self._whole.columns = [published.rows]  # so that the array from which they were made can be freed
            if not self.job.copies[solved]:
                self._offered.columns = self._whole.columns
            self._counts = self._solve_with(solved, table, spectrum, settings)
            self._replica = self._pulls.replica
            self._solved, self._pulls = half_step, None
        return (self._counts, self._replica) if peers else (self._counts,)

    def _wait_for(self, pulls: Pulls, peers: Mapping[int, Address], half_step: int | str) -> None:
        """Wait for all rows. Those that did not come are pulled once more."""
        with self._waiting():
            missing = pulls.wait()
            if missing:
                pulls.start(peers)
                missing = pulls.wait()
        for node, n_bytes in pulls.received().items():
            self._count(node, n_bytes)
        if missing:
            raise LostObjectError(("shard", half_step, missing[0]))

    def _solve_with(
        self, side: int, table: FullTable | CopyTable, spectrum: NDArray[np.float64], settings: Settings
    ) -> dict[str, int]:
        part = self.job.parts[side]._replace(first_row=self.job.sides[side].rows(self.node).start)
        copy, offsets = None, None
        if isinstance(table, CopyTable):
            copy, fixed = table.done()
        else:
            fixed = table.rows
            offsets = _split_biases(fixed, settings.mean)
        solved = self._writable(side)
        others = self.job.sides[1 - side].n
        return solve_rows(
            self._rows[side],
            fixed,
            spectrum,
            solved,
            replace(settings, compact=compact_of(settings, others, fixed.shape[1])),
            self._workspace,
            offsets=offsets,
            part=part,
            n_others=others,
            copy=copy,
        )

    def _rotate(self, side: int, half_step: int, basis: Source | None) -> None:
        vectors = self._vectors(side, half_step, basis)
        if vectors is not None:
            rotate(self._writable(side), vectors, self._workspace)
            self._rotated[side] = half_step

    def _vectors(self, side: int, half_step: int, basis: Source | None) -> NDArray[np.float64] | None:
        """The basis into which the factors of a side have still to be rotated in this half-step; None: there is none."""
        if basis is None or self._rotated[side] >= half_step:
            return None
        vectors: NDArray[np.float64] = self._fetch(basis, ("basis", half_step))
        return vectors

    def _writable(self, side: int) -> NDArray[Any]:
        """The factors of this node's rows, after they were copied from shared memory if they are there."""
        if not self._factors[side].flags.writeable:
            self._factors[side] = np.array(self._factors[side])
        return self._factors[side]

    def restore(
        self,
        half_step: int,
        solved: Source | None,
        fixed: Source | None,
        previous: Previous | None,
        given: Sequence[Source] | None,
    ) -> tuple[None]:
        """Make the state of this node before a half-step, from objects of the half-steps before it.

        `solved` and `fixed` are this node's rows as they were published, or None. Without `fixed`, the rows of the fixed
        side are solved again. `given` are the first factors, as in `start`.
        """
        solved_side, fixed_side = sides(half_step)
        self._rotated, self._solved, self._published = [half_step - 1] * 2, half_step - 1, half_step - 1
        factors: list[Any] = [None, None]
        key = ("kept", half_step, self.node)
        factors[solved_side] = self._first_factors(solved_side, given) if solved is None else self._copied(solved, key)
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
            factors[fixed_side] = self._first_factors(fixed_side, given)
            return (None,)
        first = previous.start
        factors[fixed_side] = self._first_factors(fixed_side, given) if first is None else self._copied(first, key)
        if previous.basis is not None:
            basis = self._fetch(previous.basis, ("basis", half_step - 1))
            rotate(factors[fixed_side], basis, self._workspace)
        table = self._empty_table(fixed_side, self._whitening(fixed_side, previous.spectrum))
        for node, source in enumerate(previous.shards):
            table.fill(node, self._fetch(source, ("kept", half_step, node), KEPT_SECONDS), self._workspace)
        self._solve_with(fixed_side, table, previous.spectrum, previous.settings)
        return (None,)

    def rows(self, side: int) -> tuple[None, NDArray[Any]]:
        """The factors of this node's rows."""
        return None, self._factors[side]

    # -- the loss ----------------------------------------------------------------------------------------------------

    def offer_items(self, half_step: int) -> tuple[None]:
        """Offer the factors of this node's items to the others, for the loss after this half-step."""
        self._outlet.publish(LOSS, Publication(half_step, [self._factors[1]], ready=True))
        return (None,)

    def loss(self, half_step: int, mean: float | None, peers: Mapping[int, Address]) -> tuple[None, NDArray[np.float64]]:
        """The sums of the entries' part of the loss, for each LOSS_ROWS users of this node."""
        objective, needed = self.job.objective, Needed(self._needed[0], self.job.sides[1].begins)
        full = FullTable(needed, self.job.sides[1].width, self.job.dtype)
        pulls = Pulls(self._links, LOSS, half_step, 0, full, None)
        pulls.start(peers)
        copy_rows([self._factors[1]], needed.of_node(self.node), full.columns(self.node))
        self._wait_for(pulls, peers, "loss")
        table = full.rows
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


def _split_biases(table: NDArray[Any], mean: float | None) -> NDArray[Any] | None:
    """As `without_biases`, but it changes `table` instead of a copy, and returns the offsets alone."""
    if mean is None:
        return None
    offsets: NDArray[Any] = table[:, -1] + mean
    table[:, -1] = 1
    return offsets
