"""The driver's side of a distributed fit: half-steps, Gramians and losses, and the state of a worker that was lost.

Fixed rows travel from worker to worker. Objects of Ray, which the driver owns, keep them for two half-steps, on the node
that has made them and on its neighbour. So if one node is lost, a new worker can make the lost state again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.recorder import phase
from ..solve.basis import eigenbasis
from ..solve.half_step import Settings
from .links import Address
from .messages import Job, Previous, Source
from .plan import sides
from .table import Rows
from .workers import AgainError, NodeError, Workers

_DRIVER = -1  # the sender of what the driver owns


@dataclass
class HalfStep:
    """What the driver keeps of a half-step."""

    settings: Settings
    spectrum: NDArray[np.float64]
    basis: Source | None = None  # the eigenvectors; None: nothing is rotated
    shards: dict[int, Source] = field(default_factory=dict)  # by node: all its rows of the fixed side


class Fleet(Workers):
    """The workers of a fit, and what the driver knows of their state."""

    def __init__(self, ray: Any, nodes: Sequence[str], names: Sequence[str], cpus: int, job: Job) -> None:
        super().__init__(ray, nodes, names, cpus, job)
        self.now = 0  # the half-step that is under way; they count from the beginning of the fit
        self.kept: dict[int, HalfStep] = {}
        self.pids = [0] * self.n
        self.zeros = self.negative = False  # whether the store has such values
        self._kind: tuple[str, str] | None = None  # version and instruction set of the workers
        self._addresses: dict[int, Address] = {}  # by node: where its worker accepts connections
        self._grams: dict[tuple[int, int], NDArray[np.float64]] = {}  # by half-step and side
        self._given: dict[int, tuple[Source, Source]] = {}  # by node: the factors of its rows that the fit goes on from
        self._ready = False

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.kept.clear()
        self._given.clear()

    # -- the beginning -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the workers, and have them open and check the store."""
        self.start()
        for node, (facts, _) in self.call("open", lambda node: ()).items():
            self._note(node, facts)

    def begin(self, half_step: int = 0, given: tuple[NDArray[Any], NDArray[Any]] | None = None) -> None:
        """Have the workers take the factors before `half_step`, the first one to do.

        These are random, or they are `given`: those of all users and of all items.
        """
        self.now = half_step
        if given is not None:
            self._given = {node: self._rows_of(node, given) for node in range(self.n)}
        self.call("start", lambda node: (half_step, self._given.get(node)))
        self._ready = True

    def _rows_of(self, node: int, given: tuple[NDArray[Any], NDArray[Any]]) -> tuple[Source, Source]:
        """The rows of a node, of both sides, as objects that only this node fetches."""
        ranges, none_heavy = [side.rows(node) for side in self.job.sides], np.empty(0, np.int64)
        x, y = (Rows(part[rows.start : rows.stop], none_heavy) for part, rows in zip(given, ranges, strict=True))
        return self._owned(x), self._owned(y)

    def _owned(self, value: Any) -> Source:
        """An object of the driver."""
        return Source(_DRIVER, self.ray.put(value), self.ray.get_runtime_context().get_node_id())

    def _note(self, node: int, facts: dict[str, Any]) -> None:
        self._addresses[node], self.pids[node] = facts["address"], facts["pid"]
        self.zeros |= facts["zeros"]
        self.negative |= facts["negative"]
        kind = facts["version"], facts["simd"]
        self._kind = self._kind or kind
        if kind != self._kind:
            raise NodeError(
                "the nodes have different versions of cymbals or instruction sets, so their factors would have different "
                f"bits: {kind} on {self.names[node]}, {self._kind} elsewhere. Install one version, and set CYMBALS_SIMD to "
                "what all of them have"
            )

    # -- losses ------------------------------------------------------------------------------------------------------

    def _make_again(self, key: Any) -> None:
        if key[0] == "shard" and key[1] == self.now:
            self._publish([key[2]])
        elif key[0] == "total" or key[:2] == ("shard", "loss"):
            raise AgainError
        else:
            raise NodeError("rows were lost on two nodes at once, so they cannot be made again")

    def _restore(self, node: int) -> None:
        self._note(node, self.call("open", lambda _: (), nodes=[node])[node][0])
        if not self._ready:
            return
        h = self.now
        current, before, start = self.kept.get(h), self.kept.get(h - 1), self.kept.get(h - 2)
        solved = None if before is None else before.shards[node]
        fixed = None if current is None else current.shards.get(node)
        previous = None
        if before is not None:
            shards = [before.shards[other] for other in range(self.n)]
            first = None if start is None else start.shards[node]
            previous = Previous(before.settings, before.spectrum, before.basis, shards, first)
        self.call("restore", lambda _: (h, solved, fixed, previous, self._given.get(node)), nodes=[node])
        if fixed is not None:
            self._publish([node])

    # -- a half-step -------------------------------------------------------------------------------------------------

    def half_step(self, settings: Settings) -> dict[str, int]:
        """Do the half-step `now`. Returns the sum of its counts."""
        solved, fixed = sides(self.now)
        spectrum, basis = np.zeros(self.job.sides[0].width), None
        if settings.objective.unobserved_weight > 0:
            spectrum, vectors = eigenbasis(self.gramian(fixed))
            basis = self._owned(vectors)
            self._check_spectrum(settings, spectrum, solved)
        self.kept[self.now] = HalfStep(settings, spectrum, basis)
        with phase("publish"):
            self._publish(range(self.n))
        with phase("solve"):
            found = self.call("solve", self._solve_arguments, lambda _: 1 + (self.n > 1))
        if self.n > 1:
            for node in range(self.n):
                before = (node - 1) % self.n
                shards = self.kept[self.now].shards
                shards[before] = shards[before]._replace(spare=self._made(node, found[node][1][0]))
        counts: dict[str, int] = {}
        for node in range(self.n):
            for name, count in found[node][0].items():
                counts[name] = counts.get(name, 0) + count
        self.now += 1
        self._losses = 0
        self.kept = {h: kept for h, kept in self.kept.items() if h >= self.now - 2}
        if self.now - 2 in self.kept:  # then a lost worker is restored from what was published
            self._given.clear()
        self._grams.clear()
        return counts

    def _check_spectrum(self, settings: Settings, spectrum: NDArray[np.float64], solved: int) -> None:
        """Refuse factors so small that the solver would have to know the longest row of all nodes."""
        most = self.job.parts[solved].most_reg
        if not self.job.whole and not float(spectrum[0]) * settings.objective.unobserved_weight + most > most:
            raise ValueError(
                "the factors are too small beside the regularization for a distributed fit: lower regularization"
            )

    def _solve_arguments(self, node: int) -> tuple[Any, ...]:
        kept = self.kept[self.now]
        return self.now, kept.settings, kept.spectrum, kept.basis, kept.shards[node], self._peers(node)

    def _peers(self, node: int) -> dict[int, Address]:
        """The addresses of the other workers, the neighbour first, so that not all begin with the same one."""
        return {other % self.n: self._addresses[other % self.n] for other in range(node + 1, node + self.n)}

    def _publish(self, nodes: Iterable[int]) -> None:
        """Have these nodes rotate the fixed side's rows, and offer them to the others."""
        kept = self.kept[self.now]

        def arguments(node: int) -> tuple[Any, ...]:
            return self.now, kept.basis, kept.spectrum, self._peers(node)

        for node, (_, refs) in self.call("publish", arguments, lambda _: 2, nodes).items():
            kept.shards[node] = self._made(node, refs[0])

    # -- Gramians ----------------------------------------------------------------------------------------------------

    def gramian(self, side: int) -> NDArray[np.float64]:
        """The Gramian of one side, bitwise as `cymbals_gram` computes it."""
        if (self.now, side) not in self._grams:
            with phase("gram"):
                while True:
                    try:
                        self._grams[self.now, side] = self._gramian(side)
                        break
                    except AgainError:
                        continue
        return self._grams[self.now, side]

    def _gramian(self, side: int) -> NDArray[np.float64]:
        found = self.call("gram", lambda node: (self.now, side, self._peers(node)))
        (total,) = (value for value, _ in found.values() if value is not None)
        out: NDArray[np.float64] = np.array(total)
        return out

    # -- results -----------------------------------------------------------------------------------------------------

    def factors(self, side: int) -> NDArray[Any]:
        """All rows of one side, in this process."""
        plan = self.job.sides[side]
        out = np.empty((plan.n, plan.width), self.job.dtype)
        for node, part in self._results("rows", lambda node: (side,)):
            out[plan.begins[node] : plan.begins[node + 1]] = part
        return out

    def loss_terms(self, settings: Settings) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The entries' part of the loss for each LOSS_ROWS users, and the squared lengths of users and items."""
        while True:
            try:
                return self._loss_terms(settings)
            except AgainError:
                continue

    def _loss_terms(self, settings: Settings) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        self.call("offer_items", lambda node: (self.now,))

        def arguments(node: int) -> tuple[Any, ...]:
            return self.now, settings.mean, self._peers(node)

        sums = np.concatenate([part for _, part in self._results("loss", arguments)])
        norms = [
            np.concatenate([part for _, part in self._results("norms", partial(_constant, (side,)))]) for side in (0, 1)
        ]
        return sums, norms[0], norms[1]

    def _results(self, name: str, arguments: Callable[[int], tuple[Any, ...]]) -> Iterable[tuple[int, NDArray[Any]]]:
        """The arrays that a method returns on all nodes, in the order of the nodes."""
        found = self.call(name, arguments, lambda _: 2)
        for node in range(self.n):
            while (part := self._get(self._made(node, found[node][1][0]))) is None:
                self._count_loss(f"results of {self.names[node]} were lost")
                found |= self.call(name, arguments, lambda _: 2, [node])
            yield node, part


def _constant(value: tuple[Any, ...], node: int) -> tuple[Any, ...]:
    return value
