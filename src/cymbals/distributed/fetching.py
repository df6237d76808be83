"""Fetching objects of Ray in a worker: waiting is timed, bytes are counted, and lost objects and nodes are recognized."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..base.optional import optional
from .messages import Source, Usage

FETCH_SECONDS = 600.0  # to wait for an object of another node before it counts as lost


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

    def _arriving(self, refs: list[Any]) -> Iterator[Any]:
        """These references, each as soon as its object is here. Ends early if the next one takes too long."""
        while refs:
            with self._waiting():
                ready, refs = self._ray.wait(refs, num_returns=1, timeout=FETCH_SECONDS)
            if not ready:
                return
            yield from ready

    def _fetch(self, ref: Any, sender: int, key: Any) -> Any:
        errors = self._ray.exceptions
        try:
            with self._waiting():
                found = self._ray.get(ref, timeout=FETCH_SECONDS)
        except (errors.ObjectLostError, errors.GetTimeoutError, errors.RayActorError, errors.NodeDiedError):
            raise LostObjectError(key) from None
        if sender != self.node:
            parts = found.values() if isinstance(found, Mapping) else [found]
            received = self._usage.received
            received[sender] = received.get(sender, 0) + sum(part.nbytes for part in parts)
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
