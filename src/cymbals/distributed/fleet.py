"""The driver's side of a distributed fit: half-steps, Gramians and losses, and the state of a worker that was lost.

The driver owns every object that travels. A shard, the rows of one node and one half-step, is kept for two half-steps, by
the node that made it and by its neighbour. So if one node is lost, a new worker can make the lost state again.
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
from .messages import Job, Previous, Source
from .plan import sides
from .traffic import WHOLE_SHARE
from .workers import AgainError, NodeError, Workers

_DRIVER = -1  # the sender of what the driver owns


@dataclass
class HalfStep:
    """What the driver keeps of a half-step."""

    settings: Settings
    spectrum: NDArray[np.float64]
    basis: Source | None = None  # the eigenvectors; None: nothing is rotated
    shards: dict[int, Source] = field(default_factory=dict)  # by node: all its rows of the fixed side
    copied: dict[int, Source] = field(default_factory=dict)  # by node: the 16-bit copy of all its rows
    picked: dict[tuple[int, int], Source] = field(default_factory=dict)  # by owner and receiver: the rows that it needs


class Fleet(Workers):
    """The workers of a fit, and what the driver knows of their state."""

    def __init__(self, ray: Any, nodes: Sequence[str], names: Sequence[str], cpus: int, job: Job) -> None:
        super().__init__(ray, nodes, names, cpus, job)
        self.now = 0  # the half-step that is under way
        self.kept: dict[int, HalfStep] = {}
        self.pids = [0] * self.n
        self.zeros = self.negative = False  # whether the store has such values
        self._kind: tuple[str, str] | None = None  # version and instruction set of the workers
        self._counts: dict[int, list[NDArray[np.int64]]] = {}  # by node: for both sides, rows needed of each node
        self._needs: dict[tuple[int, int], list[Source]] = {}  # by solved side and receiver: lists by owner
        self._borders: dict[tuple[int, int], dict[int, Source]] = {}  # by side and owner: rows by the node that sums them
        self._grams: dict[tuple[int, int], NDArray[np.float64]] = {}  # by half-step and side
        self._ready = False

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.kept.clear()
        self._needs.clear()
        self._borders.clear()

    # -- the beginning -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the workers, and have them open and check the store."""
        self.start()
        for node, (facts, _) in self.call("open", lambda node: ()).items():
            self._note(node, facts)

    def begin(self) -> None:
        """Exchange the lists of needed rows, and draw the start."""
        for side in (0, 1):
            self._exchange_needs(side, range(self.n))
        self.call("start", lambda node: ())
        self._ready = True

    def _note(self, node: int, facts: dict[str, Any]) -> None:
        self._counts[node], self.pids[node] = facts["needed"], facts["pid"]
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
        elif key[0] == "borders":
            self._send_borders(key[1], [key[2]])
        elif key[0] == "needs":
            self._exchange_needs(key[1], [key[2]])
        elif key[0] in ("sums", "total") or key[:2] == ("shard", "loss"):
            raise AgainError
        else:
            raise NodeError("rows were lost on two nodes at once, so they cannot be made again: start the fit again")

    def _restore(self, node: int) -> None:
        self._note(node, self.call("open", lambda _: (), nodes=[node])[node][0])
        if not self._ready:
            return
        for side in (0, 1):
            self._exchange_needs(side, [node])
        h = self.now
        current, before, start = self.kept.get(h), self.kept.get(h - 1), self.kept.get(h - 2)
        solved = None if before is None else before.shards[node]
        fixed = None if current is None else current.shards.get(node)
        previous = None
        if before is not None:
            shards = [before.shards[other] for other in range(self.n)]
            first = None if start is None else start.shards[node]
            previous = Previous(before.settings, before.spectrum, before.basis, shards, first)
        self.call("restore", lambda _: (h, solved, fixed, previous), nodes=[node])

    # -- a half-step -------------------------------------------------------------------------------------------------

    def half_step(self, settings: Settings) -> dict[str, int]:
        """Do the half-step `now`. Returns the sum of its counts."""
        solved, fixed = sides(self.now)
        spectrum, basis = np.zeros(self.job.sides[0].width), None
        if settings.objective.unobserved_weight > 0:
            spectrum, vectors = eigenbasis(self.gramian(fixed))
            basis = Source(_DRIVER, self.ray.put(vectors), self.ray.get_runtime_context().get_node_id())
            self._check_spectrum(settings, spectrum, solved)
        self.kept[self.now] = HalfStep(settings, spectrum, basis)
        with phase("publish"):
            self._publish(range(self.n))
        with phase("solve"):
            found = self.call("solve", self._solve_arguments)
        counts: dict[str, int] = {}
        for node in range(self.n):
            for name, count in found[node][0].items():
                counts[name] = counts.get(name, 0) + count
        self.kept[self.now].picked.clear()  # only whole shards are needed to restore a worker
        self.kept[self.now].copied.clear()
        self.now += 1
        self._losses = 0
        self.kept = {h: kept for h, kept in self.kept.items() if h >= self.now - 2}
        self._borders.clear()
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
        sources = [self._source(kept, other, node) for other in range(self.n) if other != node]
        return self.now, kept.settings, kept.spectrum, kept.basis, kept.shards[node], sources

    def _source(self, kept: HalfStep, owner: int, receiver: int) -> Source:
        """Where the receiver finds the owner's rows. The owner's neighbour takes all of them, and keeps them."""
        if (owner, receiver) in kept.picked:
            return kept.picked[owner, receiver]
        if receiver == self._neighbour(owner):
            return kept.shards[owner]._replace(hold=True)
        return kept.copied.get(owner, kept.shards[owner])

    def _neighbour(self, node: int) -> int:
        return (node + 1) % self.n

    def _receivers(self, side: int, owner: int) -> list[int]:
        """The nodes to which an owner of rows of `side` sends only the rows that they need."""
        n = len(self.job.sides[side].rows(owner))
        return [
            node
            for node in range(self.n)
            if node not in (owner, self._neighbour(owner)) and self._counts[node][1 - side][owner] < WHOLE_SHARE * n
        ]

    def _takes_all(self, side: int, owner: int) -> bool:
        """Whether there is a node, besides the neighbour, to which an owner of rows of `side` sends all of them."""
        return len(self._receivers(side, owner)) < self.n - 2

    def _publish(self, nodes: Iterable[int]) -> None:
        """Have these nodes rotate the fixed side's rows and make shards of them."""
        kept, (solved, fixed) = self.kept[self.now], sides(self.now)
        copies = self.job.copies[solved]
        found = self._shards(nodes, fixed, self.now, kept.basis, kept.spectrum, copies)
        self._keep(kept, fixed, found, copies)

    def _keep(self, kept: HalfStep, side: int, found: dict[int, list[Any]], copies: bool) -> None:
        """Note where the published rows are."""
        for node, (whole, *picked) in found.items():
            kept.shards[node] = self._made(node, whole)
            if copies and self._takes_all(side, node):
                kept.copied[node] = self._made(node, picked.pop(0))
            for receiver, ref in zip(self._receivers(side, node), picked, strict=True):
                kept.picked[node, receiver] = self._made(node, ref)._replace(whole=False)

    def _shards(
        self, nodes: Iterable[int], side: int, half_step: int, basis: Any, spectrum: Any, copies: bool
    ) -> dict[int, list[Any]]:
        def all_copied(node: int) -> bool:
            return copies and self._takes_all(side, node)

        def arguments(node: int) -> tuple[Any, ...]:
            wanted = [self._needs[1 - side, to][node] for to in self._receivers(side, node)]
            return half_step, basis, spectrum, all_copied(node), wanted, self.now - 2, side

        found = self.call("publish", arguments, lambda node: 2 + all_copied(node) + len(self._receivers(side, node)), nodes)
        return {node: refs for node, (_, refs) in found.items()}

    def _exchange_needs(self, side: int, nodes: Iterable[int]) -> None:
        """Have these nodes list the rows of the fixed side that they need when they solve `side`."""
        wanting = {to for owner in range(self.n) for to in self._receivers(1 - side, owner)}
        nodes = [node for node in nodes if node in wanting]
        for node, (_, refs) in self.call("needs", lambda _: (side,), lambda _: 1 + self.n, nodes).items():
            self._needs[side, node] = [self._made(node, ref) for ref in refs]

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
        plan, version = self.job.sides[side], (self.now, side)
        self._send_borders(side, [node for node in range(self.n) if (side, node) not in self._borders])
        adding = sorted(set(plan.summed_by))

        def sources(node: int) -> tuple[Any, ...]:
            owners = [other for other in range(self.n) if node in self._borders.get((side, other), {})]
            return version, side, [self._borders[side, other][node] for other in owners]

        self.call("sums", sources, nodes=adding)
        total: Source | None = None
        for node in adding:
            found = self.call("add", partial(_constant, (version, total)), lambda _: 2, [node])
            total = self._made(node, found[node][1][0])
        assert total is not None
        found_total = self._get(total)
        if found_total is None:
            self._count_loss("a Gramian was lost")
            raise AgainError
        out: NDArray[np.float64] = np.array(found_total)
        return out

    def _send_borders(self, side: int, nodes: Iterable[int]) -> None:
        """Have these nodes return the rows that other nodes sum."""
        plan = self.job.sides[side]
        to = {node: sorted({border.summed_by for border in plan.borders(node)}) for node in nodes}
        with_borders = [node for node in to if to[node]]
        found = self.call("borders", lambda node: (side, to[node]), lambda node: 1 + len(to[node]), with_borders)
        for node, (_, refs) in found.items():
            self._borders[side, node] = {by: self._made(node, ref) for by, ref in zip(to[node], refs, strict=True)}

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
        kept = HalfStep(settings, np.empty(0))
        self._keep(kept, 1, self._shards(range(self.n), 1, self.now - 1, None, None, False), False)

        def arguments(node: int) -> tuple[Any, ...]:
            sources = [self._source(kept, other, node)._replace(hold=False) for other in range(self.n) if other != node]
            return settings.objective, settings.mean, sources

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
