"""Fetching objects of Ray in a worker: waiting is timed, bytes are counted, and lost objects and nodes are recognized."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..base.optional import optional
from .messages import Source, Usage

_LOOK_SECONDS = 2.0  # between two looks at the machines while a worker waits
GRACE_SECONDS = 20.0  # for an object to come, or for Ray to say that it is lost, after its machine was lost
KEPT_SECONDS = 300.0  # the same for objects that cannot be made again, but that another machine may send
FETCH_SECONDS = 1200.0  # for the next object to come


class LostObjectError(Exception):
    """An object of another node cannot be fetched. `key` says which."""

    def __init__(self, key: Any) -> None:
        super().__init__(key)
        self.key = key


class NodeGoneError(Exception):
    """Ray no longer works in this process: its part on this machine has ended."""


class Fetching:
    """What a worker needs to fetch objects. `_usage` counts what the current call took."""

    def __init__(self, node: int) -> None:
        self.node = node
        self._ray = optional("ray", "cymbals.distributed")
        self._usage = Usage()

    def _prefetch(self, sources: Sequence[Source]) -> None:
        """Have Ray begin to fetch these objects, and do not wait for them."""
        if sources:
            with self._waiting():
                self._ray.wait([source.ref for source in sources], num_returns=len(sources), timeout=0)

    def _arriving(
        self, sources: Sequence[Source], key: Callable[[Source], Any], grace: float = GRACE_SECONDS
    ) -> Iterator[Source]:
        """These sources, each as soon as its object is here.

        Raises LostObjectError with the `key` of a source whose object does not come. Ray raises an error for most lost
        objects, but not for all: it can wait forever for an object of which a part was fetched before its machine was lost.
        """
        left = {source.ref: source for source in sources}
        began, gone_since = time.monotonic(), dict[str, float]()
        while left:
            with self._waiting():
                ready, _ = self._ray.wait(list(left), num_returns=1, timeout=_LOOK_SECONDS)
            yield from [left.pop(ref) for ref in ready]
            if ready:
                began = time.monotonic()
                continue
            with self._waiting():
                alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
            now = time.monotonic()
            for source in left.values():
                since = gone_since.setdefault(source.place, now) if source.place not in alive else now
                if now - since > grace or now - began > FETCH_SECONDS:
                    raise LostObjectError(key(source))

    def _fetch(self, source: Source, key: Any, grace: float = GRACE_SECONDS) -> Any:
        errors = self._ray.exceptions
        for _ in self._arriving([source], lambda _: key, grace):
            pass
        try:
            with self._waiting():
                found = self._ray.get(source.ref, timeout=FETCH_SECONDS)
        except (errors.ObjectLostError, errors.GetTimeoutError, errors.RayActorError, errors.NodeDiedError):
            raise LostObjectError(key) from None
        if source.node != self.node:
            received = self._usage.received
            received[source.node] = received.get(source.node, 0) + _nbytes(found)
        return found

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Counts the time of a block that waits for Ray. Errors that mean that the node is lost become NodeGoneError."""
        errors, began = self._ray.exceptions, time.perf_counter()
        try:
            yield
        except (OSError, errors.RaySystemError, errors.LocalRayletDiedError) as error:
            if isinstance(error, errors.GetTimeoutError):  # it is an OSError too, because it is a TimeoutError
                raise
            raise NodeGoneError from None
        finally:
            self._usage.waited += time.perf_counter() - began


def _nbytes(found: Any) -> int:
    """The bytes of the arrays of an object."""
    if isinstance(found, Mapping):
        found = tuple(found.values())
    if isinstance(found, tuple):
        return sum(map(_nbytes, found))
    return 0 if found is None else int(found.nbytes)
