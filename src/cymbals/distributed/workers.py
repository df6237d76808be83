"""The workers of a distributed fit as actors of Ray: starting, calling and replacing them.

A call ends in an answer, in a lost worker, or in an error. Nothing here knows what the methods of a worker do.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .._core import SolveError
from ..base.recorder import current
from ..data.stored_array import StoreError
from .fetching import GRACE_SECONDS
from .messages import Failure, Job, Reply, Source
from .worker import Worker

_LOSSES = 10  # workers that may be lost while one half-step is done
_START_SECONDS = 120.0  # for a worker to start
_LOOK_SECONDS = 5.0  # between two looks at the nodes while a call runs
_GRACE_SECONDS = 60.0  # for a call to end after its node was lost


class NodeError(RuntimeError):
    """A distributed fit cannot go on: nodes cannot be used, or too many were lost."""


class AgainError(Exception):
    """Parts of a Gramian or of a loss were lost with a worker: all of it is computed again."""


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


class Workers(ABC):
    """One actor on each node."""

    def __init__(self, ray: Any, nodes: Sequence[str], names: Sequence[str], cpus: int, job: Job) -> None:
        """`nodes` are Ray's ids of the nodes, one for each worker; `names` are for messages."""
        self.ray, self.job, self.cpus = ray, job, cpus
        self.nodes, self.names = list(nodes), list(names)
        self.n = len(nodes)
        self.totals: dict[str, Totals] = {}  # by name, since the last `record`
        self._actors: list[Any] = [None] * self.n
        self._generations = [0] * self.n  # how often each worker was replaced
        self._losses = 0  # of workers and of objects, in this half-step
        self._lost_errors = tuple(
            getattr(ray.exceptions, name)
            for name in ("RayActorError", "WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ObjectLostError")
        )

    def start(self) -> None:
        """Start the workers."""
        for node in range(self.n):
            self._actors[node] = self._new_actor(node, self.cpus)
        self._wait_for_start()

    def end(self) -> None:
        """End the workers."""
        for actor in self._actors:
            self._kill(actor)

    @property
    def replaced(self) -> int:
        """How many lost workers were replaced."""
        return sum(self._generations)

    @abstractmethod
    def _restore(self, node: int) -> None:
        """Give a new worker the state that the lost one had."""

    @abstractmethod
    def _make_again(self, key: Any) -> None:
        """Make a lost object again, or raise NodeError."""

    # -- actors ------------------------------------------------------------------------------------------------------

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

    def _replace(self, node: int, elsewhere: bool = False) -> None:
        """Start another worker in place of a lost one, and give it the state that the lost one had.

        `elsewhere`: not on the same node, if there is another one.
        """
        self._count_loss(f"the worker on {self.names[node]} was lost")
        self._generations[node] += 1
        self._kill(self._actors[node])
        self._actors[node] = self._restarted(node, elsewhere)
        self._restore(node)

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
                    for key in reply.failure.lost:
                        self._count_loss(f"{self.names[node]} cannot fetch {key[0]}")
                        self._make_again(key)
                    send(node)
                else:
                    failures.append((node, reply.failure))
            for node in [node for node in results if generations[node] != self._generations[node]]:
                del results[node]
                send(node)
        if failures:
            raise self._error(failures)
        return results

    def _made(self, node: int, ref: Any) -> Source:
        """An object that this worker has made just now."""
        return Source(node, ref, self.nodes[node])

    def _get(self, source: Source) -> Any:
        """An array in this process; None if it is lost."""
        gone_since: float | None = None
        try:
            while not self.ray.wait([source.ref], timeout=_LOOK_SECONDS)[0]:
                now = time.monotonic()
                gone_since = (gone_since or now) if source.place not in self._alive() else None
                if gone_since is not None and now - gone_since > GRACE_SECONDS:
                    return None
            found = self.ray.get(source.ref)
        except self._lost_errors:
            return None
        self._driver_received(source.node, found.nbytes)
        return found

    def _alive(self) -> set[str]:
        """Ray's ids of the machines that live."""
        return {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}

    def _overdue(self, pending: dict[Any, tuple[int, list[Any]]], late: dict[Any, float]) -> list[Any]:
        """Calls to nodes that Ray says are lost, and that have not ended for long. Their time in `late` becomes -1."""
        alive, now, out = self._alive(), time.monotonic(), []
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

    def _count_loss(self, what: str) -> None:
        self._losses += 1
        if self._losses > _LOSSES:
            raise NodeError(
                f"{what}, and {_LOSSES} times before in the same half-step, so the fit stops. See Ray's logs for why "
                "workers end; if memory is short, use more nodes"
            )

    # -- usage -------------------------------------------------------------------------------------------------------

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


def _short(error: Exception) -> str:
    """The last line of an error of Ray, which has the traceback of the worker in front of it."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
