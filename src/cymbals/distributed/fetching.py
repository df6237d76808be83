"""Fetching objects of Ray in a worker: waiting is timed, bytes are counted, and lost objects and nodes are recognized."""

from __future__ import annotations

import time
from collections.abc import Iterator
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

    def _fetch(self, source: Source, key: Any, grace: float = GRACE_SECONDS) -> Any:
        """An object, or its spare. Raises LostObjectError with the `key` if neither comes."""
        if source.spare is not None:
            try:
                return self._fetch(source._replace(spare=None), key)
            except LostObjectError:
                return self._fetch(source.spare, key, grace)
        errors = self._ray.exceptions
        self._await(source, key, grace)
        try:
            with self._waiting():
                found = self._ray.get(source.ref, timeout=FETCH_SECONDS)
        except (errors.ObjectLostError, errors.GetTimeoutError, errors.RayActorError, errors.NodeDiedError):
            raise LostObjectError(key) from None
        if source.node != self.node:
            self._count(source.node, _nbytes(found))
        return found

    def _await(self, source: Source, key: Any, grace: float) -> None:
        """Wait for an object.

        Ray raises an error for most lost objects, but not for all: it can wait forever for an object of which a part was
        fetched before its machine was lost.
        """
        began, gone_since = time.monotonic(), None
        while True:
            with self._waiting():
                if self._ray.wait([source.ref], num_returns=1, timeout=_LOOK_SECONDS)[0]:
                    return
                alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
            now = time.monotonic()
            gone_since = (gone_since or now) if source.place not in alive else None
            if now - began > FETCH_SECONDS or (gone_since is not None and now - gone_since > grace):
                raise LostObjectError(key)

    def _count(self, node: int, n_bytes: int) -> None:
        """Note that bytes have come from a node."""
        self._usage.received[node] = self._usage.received.get(node, 0) + n_bytes

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
    """The bytes of an array, or of a tuple of arrays."""
    return sum(map(_nbytes, found)) if isinstance(found, tuple) else int(found.nbytes)
