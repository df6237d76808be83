"""The driver's side of a distributed fit: it starts the workers, calls them, and replaces those that are lost.

The driver owns every object that travels. A shard, the rows of one node and one half-step, is kept for two half-steps, by
the node that made it and by its neighbour. So if one node is lost, a new worker can make the lost state again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import SolveError
from ..base.recorder import current, phase
from ..data.stored_array import StoreError
from ..solve.basis import eigenbasis
from ..solve.half_step import Settings
from .plan import sides
from .traffic import WHOLE_SHARE
from .worker import Failure, Job, Previous, Reply, Source, Worker

_DRIVER = -1  # the sender of what the driver owns
_LOSSES = 10  # workers that may be lost while one half-step is done
_START_SECONDS = 120.0  # for a worker to start
_LOOK_SECONDS = 5.0  # between two looks at the nodes while a call runs
_GRACE_SECONDS = 60.0  # for a call to end after its node was lost


class NodeError(RuntimeError):
    """A distributed fit cannot go on: nodes cannot be used, or too many were lost."""


@dataclass
class HalfStep:
    """What the driver keeps of a half-step."""

    settings: Settings
    spectrum: NDArray[np.float64]
    basis: Source | None = None  # the eigenvectors; None: nothing is rotated
    shards: dict[int, Any] = field(default_factory=dict)  # by node: all its rows of the fixed side
    picked: dict[tuple[int, int], Any] = field(default_factory=dict)  # by owner and receiver: the rows that it needs


@dataclass
class Totals:
    """What one node did in one half-step."""

    seconds: float = 0.0
    waited: float = 0.0
    received: int = 0
    sent: int = 0
    memory: int = 0

    def amounts(self) -> dict[str, float]:
        """With the keys that `Profile.nodes` describes."""
        compute = self.seconds - self.waited
        return {
            "compute": compute,
            "wait": self.waited,
            "received": self.received,
            "sent": self.sent,
            "memory": self.memory,
        }


class Fleet:
    """The workers of a fit."""

    def __init__(self, ray: Any, nodes: Sequence[str], names: Sequence[str], cpus: int, job: Job) -> None:
        """`nodes` are Ray's ids of the nodes, one for each worker; `names` are for messages."""
        self.ray, self.job, self.cpus = ray, job, cpus
        self.nodes, self.names = list(nodes), list(names)
        self.n = len(nodes)
        self.now = 0  # the half-step that is under way
        self.kept: dict[int, HalfStep] = {}
        self.pids = [0] * self.n
        self.totals: dict[str, Totals] = {}
        self._actors: list[Any] = [None] * self.n
        self._losses = 0
        self._generations = [0] * self.n  # how often each worker was replaced
        self._counts: dict[int, list[NDArray[np.int64]]] = {}  # by node: for both sides, rows needed of each node
        self._needs: dict[tuple[int, int], list[Any]] = {}  # by solved side and receiver: lists by owner
        self._borders: dict[tuple[int, int], dict[int, Any]] = {}  # by side and owner: rows by the node that sums them
        self._grams: dict[tuple[int, int], NDArray[np.float64]] = {}  # by half-step and side
        self._ready = False
        self._lost_errors = tuple(
            getattr(ray.exceptions, name)
            for name in ("RayActorError", "WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ObjectLostError")
        )

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._kill(actor)
        self.kept.clear()
        self._needs.clear()
        self._borders.clear()

    # -- the beginning -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the workers, and have them open the store and draw the start."""
        for node in range(self.n):
            self._actors[node] = self._new_actor(node, self.cpus)
        self._wait_for_start()
        found = self.call("open", lambda node: ())
        for node, (facts, _) in found.items():
            self._note(node, facts)
        kinds = {(facts["version"], facts["simd"]) for facts, _ in found.values()}
        if len(kinds) > 1:
            raise NodeError(
                "the nodes have different versions of cymbals or instruction sets, so their factors would have different "
                f"bits: {sorted(kinds)}. Install one version, and set CYMBALS_SIMD to what all of them have"
            )
        self.zeros = any(facts["zeros"] for facts, _ in found.values())
        self.negative = any(facts["negative"] for facts, _ in found.values())

    def begin(self) -> None:
        """Exchange the lists of needed rows, and draw the start."""
        for side in (0, 1):
            self._exchange_needs(side, range(self.n))
        self.call("start", lambda node: ())
        self._ready = True

    def _note(self, node: int, facts: dict[str, Any]) -> None:
        self._counts[node], self.pids[node] = facts["needed"], facts["pid"]

    def _new_actor(self, node: int, cpus: int) -> Any:
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(self.nodes[node], soft=False)
        options = {"num_cpus": cpus, "scheduling_strategy": strategy, "max_restarts": 0, "max_task_retries": 0}
        return self.ray.remote(Worker).options(**options).remote(node, self.job)

    def _wait_for_start(self) -> None:
        waiting = {actor.__ray_ready__.remote(): node for node, actor in enumerate(self._actors)}
        ready, late = self.ray.wait(list(waiting), num_returns=len(waiting), timeout=_START_SECONDS)
        if late:
            names = ", ".join(self.names[waiting[ref]] for ref in late)
            raise NodeError(f"no worker started within {_START_SECONDS:g} s on {names}: are its {self.cpus} CPUs in use?")
        for ref in ready:
            try:
                self.ray.get(ref)
            except self.ray.exceptions.RayError as error:
                raise NodeError(f"{self.names[waiting[ref]]}: the worker did not start: {_short(error)}") from None

    @property
    def replaced(self) -> int:
        """How many lost workers were replaced."""
        return sum(self._generations)

    # -- calls -------------------------------------------------------------------------------------------------------

    def call(
        self,
        name: str,
        arguments: Callable[[int], tuple[Any, ...]],
        n_returns: Callable[[int], int] = lambda node: 1,
        nodes: Iterable[int] | None = None,
    ) -> dict[int, tuple[Any, list[Any]]]:
        """Call a method of the workers, until it has succeeded on each of `nodes`.

        A lost worker is replaced, and objects that are lost are made again. A worker that is lost after it has succeeded,
        while others are still at work, is called again, because its successor has the state of the beginning of the
        half-step. Returns the value and the references of each.
        """
        pending: dict[Any, tuple[int, list[Any]]] = {}
        late: dict[Any, float] = {}
        results: dict[int, tuple[Any, list[Any]]] = {}
        failures: list[tuple[int, Failure]] = []
        generations: dict[int, int] = {}

        def send(node: int) -> None:
            n = n_returns(node)
            generations[node] = self._generations[node]
            refs = self._actors[node].call.options(num_returns=n).remote(name, n, *arguments(node))
            refs = [refs] if n == 1 else refs
            pending[refs[0]] = (node, refs[1:])

        for node in range(self.n) if nodes is None else nodes:
            send(node)
        while pending:
            ready, _ = self.ray.wait(list(pending), num_returns=1, timeout=_LOOK_SECONDS)
            ready = ready or self._overdue(pending, late)
            for ref in ready:
                node, refs = pending.pop(ref)
                reply = None if ref in late and late[ref] < 0 else self._reply(ref)
                gone = reply is not None and reply.failure is not None and reply.failure.node_gone
                if reply is None or gone:
                    if generations[node] == self._generations[node]:  # else it has a successor already
                        self._replace(node, elsewhere=gone)
                    send(node)
                elif reply.failure is None:
                    self._add_usage(node, reply)
                    results[node] = reply.value, refs
                elif reply.failure.lost:
                    self._losses_of_objects(node, reply.failure)
                    send(node)
                else:
                    failures.append((node, reply.failure))
            for node in [node for node in results if generations[node] != self._generations[node]]:
                del results[node]
                send(node)
        if failures:
            raise self._error(failures)
        return results

    def _overdue(self, pending: dict[Any, tuple[int, list[Any]]], late: dict[Any, float]) -> list[Any]:
        """Calls to nodes that Ray says are lost, and that have not ended for long. Their time in `late` becomes -1."""
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        now, out = time.monotonic(), []
        for ref, (node, _) in pending.items():
            if self.nodes[node] not in alive and now - late.setdefault(ref, now) > _GRACE_SECONDS:
                late[ref] = -1.0
                out.append(ref)
        return out

    def _reply(self, ref: Any) -> Reply | None:
        """The reply to a call; None if the worker was lost."""
        try:
            reply: Reply = self.ray.get(ref)
        except self._lost_errors:
            return None
        except self.ray.exceptions.RayError as error:
            raise NodeError(f"a worker failed: {_short(error)}") from error
        return reply

    def _add_usage(self, node: int, reply: Reply) -> None:
        usage = reply.usage
        name = self.names[node]
        totals = self.totals.setdefault(name, Totals())
        totals.seconds += usage.seconds
        totals.waited += usage.waited
        totals.received += sum(usage.received.values())
        for sender, n_bytes in usage.received.items():
            of = "driver" if sender < 0 else self.names[sender]
            self.totals.setdefault(of, Totals()).sent += n_bytes
        totals.memory = max(totals.memory, usage.peak or 0)

    def _error(self, failures: list[tuple[int, Failure]]) -> Exception:
        """The exception for failed calls; if rows cannot be solved, for the lowest row, as on one machine."""
        rows = [failure for _, failure in failures if failure.kind == "SolveError"]
        if rows:
            lowest = min(rows, key=lambda failure: failure.row)
            return SolveError(lowest.error, lowest.row, lowest.too_heavy)
        node, failure = min(failures, key=lambda pair: pair[0])
        message = f"{self.names[node]}: {failure.error}"
        if failure.kind == "StoreError":
            return StoreError(message)
        if failure.kind in ("ValueError", "MemoryError"):
            return ValueError(message) if failure.kind == "ValueError" else MemoryError(message)
        return NodeError(f"{message} ({failure.kind})")

    # -- losses ------------------------------------------------------------------------------------------------------

    def _count_loss(self, what: str) -> None:
        self._losses += 1
        if self._losses > _LOSSES:
            raise NodeError(
                f"{what}, and {_LOSSES} times before in the same half-step: the fit cannot go on. See Ray's logs for why "
                "workers end; if memory is short, use more nodes"
            )

    def _losses_of_objects(self, node: int, failure: Failure) -> None:
        """Make lost objects again, or raise NodeError."""
        for key in failure.lost:
            self._count_loss(f"{self.names[node]} cannot fetch {key[0]}")
            if key[0] == "shard" and key[1] == self.now:
                self._publish([key[2]])
            elif key[0] == "borders":
                self._send_borders(key[1], [key[2]])
            elif key[0] == "needs":
                self._exchange_needs(key[1], [key[2]])
            elif key[0] in ("sums", "total") or key[:2] == ("shard", "loss"):
                raise _AgainError
            else:
                raise NodeError(
                    "rows were lost on two nodes at once, so they cannot be made again: start the fit again, or resume it "
                    "from its last checkpoint"
                )

    def _replace(self, node: int, elsewhere: bool = False) -> None:
        """Start another worker in place of a lost one, and give it the state that the lost one had.

        `elsewhere`: not on the same node, if there is another one.
        """
        self._count_loss(f"the worker on {self.names[node]} was lost")
        self._generations[node] += 1
        self._kill(self._actors[node])
        self._actors[node] = self._restarted(node, elsewhere)
        facts = self.call("open", lambda _: (), nodes=[node])[node][0]
        self._note(node, facts)
        if not self._ready:
            return
        for side in (0, 1):
            self._exchange_needs(side, [node])
        h = self.now
        current, before, start = self.kept.get(h), self.kept.get(h - 1), self.kept.get(h - 2)
        solved = None if before is None else self._kept_rows(before, node)
        fixed = None if current is None or node not in current.shards else self._kept_rows(current, node)
        previous = None
        if before is not None:
            shards = [self._kept_rows(before, other) for other in range(self.n)]
            first = None if start is None else self._kept_rows(start, node)
            previous = Previous(before.settings, before.spectrum, before.basis, shards, first)
        self.call("restore", lambda _: (h, solved, fixed, previous), nodes=[node])

    def _kept_rows(self, kept: HalfStep, owner: int) -> Source:
        return Source(owner, kept.shards[owner], whole=True)

    def _restarted(self, node: int, elsewhere: bool) -> Any:
        """A new actor: on the same node if it lives, else on the living node that has the fewest workers.

        It asks for no CPUs, because those of the node may be taken by the worker that was there before.
        """
        alive = [found for found in self.ray.nodes() if found["Alive"] and found["Resources"].get("CPU", 0) > 0]
        ids = [found["NodeID"] for found in alive]
        if not ids:
            raise NodeError("all nodes were lost")
        if elsewhere and len(ids) > 1:
            ids = [found for found in ids if found != self.nodes[node]]
        if self.nodes[node] not in ids:
            self.nodes[node] = min(ids, key=lambda i: (self.nodes.count(i), i))
        return self._new_actor(node, 0)

    def _kill(self, actor: Any) -> None:
        if actor is not None:
            with suppress(self.ray.exceptions.RayError):
                self.ray.kill(actor)

    # -- a half-step -------------------------------------------------------------------------------------------------

    def half_step(self, settings: Settings) -> dict[str, int]:
        """Do the half-step `now`. Returns the sum of its counts."""
        solved, fixed = sides(self.now)
        spectrum, basis = np.zeros(self.job.sides[0].width), None
        if settings.objective.unobserved_weight > 0:
            spectrum, vectors = eigenbasis(self.gramian(fixed))
            basis = Source(_DRIVER, self.ray.put(vectors), whole=True)
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
        return self.now, kept.settings, kept.spectrum, kept.basis, self._kept_rows(kept, node), sources

    def _source(self, kept: HalfStep, owner: int, receiver: int) -> Source:
        """Where the receiver finds the owner's rows. The owner's neighbour takes all of them, and keeps them."""
        if (owner, receiver) in kept.picked:
            return Source(owner, kept.picked[owner, receiver], whole=False)
        return Source(owner, kept.shards[owner], whole=True, hold=receiver == self._neighbour(owner))

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

    def _publish(self, nodes: Iterable[int]) -> None:
        """Have these nodes rotate the fixed side's rows and make shards of them."""
        kept, fixed = self.kept[self.now], sides(self.now)[1]
        found = self._shards(nodes, fixed, self.now, kept.basis)
        for node, refs in found.items():
            kept.shards[node] = refs[0]
            for receiver, ref in zip(self._receivers(fixed, node), refs[1:], strict=True):
                kept.picked[node, receiver] = ref

    def _shards(self, nodes: Iterable[int], side: int, half_step: int, basis: Any) -> dict[int, list[Any]]:
        def arguments(node: int) -> tuple[Any, ...]:
            wanted = [Source(to, self._needs[1 - side, to][node], True) for to in self._receivers(side, node)]
            return half_step, basis, wanted, self.now - 2, side

        found = self.call("publish", arguments, lambda node: 2 + len(self._receivers(side, node)), nodes)
        return {node: refs for node, (_, refs) in found.items()}

    def _exchange_needs(self, side: int, nodes: Iterable[int]) -> None:
        """Have these nodes list the rows of the fixed side that they need when they solve `side`."""
        wanting = {to for owner in range(self.n) for to in self._receivers(1 - side, owner)}
        nodes = [node for node in nodes if node in wanting]
        for node, (_, refs) in self.call("needs", lambda _: (side,), lambda _: 1 + self.n, nodes).items():
            self._needs[side, node] = refs

    # -- Gramians ----------------------------------------------------------------------------------------------------

    def gramian(self, side: int) -> NDArray[np.float64]:
        """The Gramian of one side, bitwise as `cymbals_gram` computes it."""
        if (self.now, side) not in self._grams:
            with phase("gram"):
                while True:
                    try:
                        self._grams[self.now, side] = self._gramian(side)
                        break
                    except _AgainError:
                        continue
        return self._grams[self.now, side]

    def _gramian(self, side: int) -> NDArray[np.float64]:
        plan, version = self.job.sides[side], (self.now, side)
        self._send_borders(side, [node for node in range(self.n) if (side, node) not in self._borders])
        adding = sorted(set(plan.summed_by))

        def sources(node: int) -> tuple[Any, ...]:
            owners = [other for other in range(self.n) if node in self._borders.get((side, other), {})]
            return version, side, [Source(other, self._borders[side, other][node], True) for other in owners]

        self.call("sums", sources, nodes=adding)
        total: Source | None = None
        for node in adding:
            found = self.call("add", partial(_constant, (version, total)), lambda _: 2, [node])
            total = Source(node, found[node][1][0], True)
        assert total is not None
        try:
            out: NDArray[np.float64] = np.array(self.ray.get(total.ref))
        except self._lost_errors:
            self._count_loss("a Gramian was lost")
            raise _AgainError from None
        self._driver_received(total.node, out.nbytes)
        return out

    def _send_borders(self, side: int, nodes: Iterable[int]) -> None:
        """Have these nodes return the rows that other nodes sum."""
        plan = self.job.sides[side]
        to = {node: sorted({border.summed_by for border in plan.borders(node)}) for node in nodes}
        with_borders = [node for node in to if to[node]]
        found = self.call("borders", lambda node: (side, to[node]), lambda node: 1 + len(to[node]), with_borders)
        for node, (_, refs) in found.items():
            self._borders[side, node] = dict(zip(to[node], refs, strict=True))

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
            except _AgainError:
                continue

    def _loss_terms(self, settings: Settings) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        shards = self._shards(range(self.n), 1, self.now - 1, None)
        kept = HalfStep(settings, np.empty(0))
        for owner, refs in shards.items():
            kept.shards[owner] = refs[0]
            kept.picked |= {(owner, to): ref for to, ref in zip(self._receivers(1, owner), refs[1:], strict=True)}

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
            while True:
                try:
                    part = self.ray.get(found[node][1][0])
                    break
                except self._lost_errors:
                    self._count_loss(f"results of {self.names[node]} were lost")
                    found |= self.call(name, arguments, lambda _: 2, [node])
            self._driver_received(node, part.nbytes)
            yield node, part

    def _driver_received(self, sender: int, n_bytes: int) -> None:
        self.totals.setdefault("driver", Totals()).received += n_bytes
        self.totals.setdefault(self.names[sender], Totals()).sent += n_bytes

    def record(self) -> None:
        """Give what the nodes did since the last call to the current profile, if there is one."""
        recorder = current()
        for name, totals in self.totals.items():
            if recorder is not None:
                recorder.node(name, totals.amounts())
        self.totals = {}


class _AgainError(Exception):
    """Parts of a Gramian or of a loss were lost with a worker: all of it is computed again."""


def _constant(value: tuple[Any, ...], node: int) -> tuple[Any, ...]:
    return value


def _short(error: Exception) -> str:
    """The last line of an error of Ray, which has the traceback of the worker in front of it."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
