"""Filling a table with the rows of other workers, in the background."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .._core import Workspace
from .links import Address, Link, LinkError, Request
from .publishing import REPLICA
from .table import CopyTable, FullTable, Rows


class Before(NamedTuple):
    """The node whose rows are kept here, too, and what rows these are."""

    node: int
    shape: tuple[int, int]
    dtype: str


class Links:
    """The connections of a worker to the others: one to each, made when it is first needed."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._links: dict[int, Link] = {}

    def to(self, node: int, address: Address) -> Link:
        link = self._links.get(node)
        if link is None or link.address != address:
            link = self._links[node] = Link(address, self._secret)
        return link

    def drop(self, node: int) -> None:
        """Close a connection that has failed."""
        link = self._links.pop(node, None)
        if link is not None:
            link.close()


class Pulls:
    """Rows on their way from other workers to a table, each in a thread of its own.

    From the node `before` this one come all rows, as they are, and not only those that the table needs: they are the
    `replica`, which keeps them on a second machine.
    """

    def __init__(
        self, links: Links, what: int, half_step: int, list_number: int, table: FullTable | CopyTable, before: Before | None
    ) -> None:
        """`list_number` stands for the rows that the table needs. Without `before` there is no replica."""
        self.half_step, self.table = half_step, table
        self.replica: Rows | None = None
        self._links, self._what, self._list_number, self._before = links, what, list_number, before
        self._threads: dict[int, threading.Thread] = {}
        self._received: dict[int, int] = {}  # bytes by node, of those whose rows are here
        self._error: Exception | None = None  # of a thread, if it is not one of the connection

    def start(self, peers: Mapping[int, Address]) -> None:
        """Begin with those that have not been pulled."""
        for node, address in peers.items():
            if node not in self._received:
                thread = self._threads[node] = threading.Thread(target=self._pull, args=(node, address), daemon=True)
                thread.start()

    def wait(self) -> list[int]:
        """Wait until no row is on its way. Returns the nodes whose rows could not be pulled."""
        for thread in self._threads.values():
            thread.join()
        if self._error is not None:
            raise self._error
        return [node for node in self._threads if node not in self._received]

    def received(self) -> dict[int, int]:
        """The bytes received since the last call, by node."""
        out = {node: n for node, n in self._received.items() if n}
        self._received = dict.fromkeys(self._received, 0)
        return out

    def _pull(self, node: int, address: Address) -> None:
        try:
            link = self._links.to(node, address)
            if self._before is not None and node == self._before.node:
                self._received[node] = self._pull_replica(link, self._before)
            else:
                self._received[node] = self._pull_needed(link, node)
        except LinkError:
            self._links.drop(node)
        except Exception as error:  # such as MemoryError: the caller of `wait` gets it
            self._links.drop(node)
            self._error = error

    def _pull_needed(self, link: Link, node: int) -> int:
        columns = self.table.columns(node)
        link.request(Request(self._what, self.half_step, self.table.needed.of_node(node)), self._list_number)
        link.receive_rows(columns)
        places = link.receive_numbers()
        rows = np.empty((places.size, self.table.heavy_width), np.float32)
        link.receive_rows([rows])
        self.table.enter_heavy(node, places, rows)
        return sum(array.nbytes for array in (*columns, places, rows))

    def _pull_replica(self, link: Link, before: Before) -> int:
        rows = np.empty(before.shape, before.dtype)
        link.request(Request(REPLICA, self.half_step, None))
        link.receive_rows([rows])
        self.replica = Rows(rows, link.receive_numbers())
        self.table.fill(before.node, self.replica, Workspace(1))
        return rows.nbytes + self.replica.heavy.nbytes
