"""The cluster that a call uses: connecting to it, and choosing its nodes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..base.checks import whole_number
from ..base.threads import MOST
from .workers import NodeError


@dataclass(frozen=True)
class ClusterRequest:
    """The arguments `nodes`, `threads_per_node` and `address` of `fit`. They are checked when this is made."""

    nodes: int | None
    threads_per_node: int | None
    address: str | None

    def __post_init__(self) -> None:
        for name in ("nodes", "threads_per_node"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name), 1, MOST)


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connects this process to a cluster, and disconnects it at the end. A connection that exists is used and kept."""
    if ray.is_initialized():
        yield
        return
    try:
        with _keeping_sigterm():
            ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise NodeError(f"cannot connect to a Ray cluster at {address or 'the default address'}: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """If the program handles SIGTERM, this puts its handler back after the block. `ray.init` replaces it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def usable_nodes(ray: Any, wanted: int | None) -> tuple[list[str], list[str], int]:
    """Ray's ids of the nodes to use, their names for messages, and the CPUs that each of them has at least."""
    found = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    found.sort(key=lambda node: ("node:__internal_head__" not in node["Resources"], node["NodeID"]))
    if not found or (wanted is not None and wanted > len(found)):
        raise NodeError(f"the cluster has {len(found)} nodes with CPUs, and nodes={wanted or 1} are wanted")
    found = found[:wanted]
    names = [f"node {i} ({node['NodeManagerAddress']})" for i, node in enumerate(found)]
    return [node["NodeID"] for node in found], names, min(int(node["Resources"]["CPU"]) for node in found)
