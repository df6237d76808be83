"""The rows that a worker offers to the others: they are sent as far as they are ready."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .links import LinkError, Request, Serving, row_blocks, send, send_numbers

# What is published: the fixed side as solvers read it; all its rows as they are; the items for the loss; rows before they
# are rotated, for Gramians; the part of a Gramian that is summed so far.
FIXED, REPLICA, LOSS, BORDERS, TOTAL = range(5)
_WAIT_SECONDS = 1200.0  # for rows to be ready


class Publication:
    """Rows of a worker, and which of them very heavy entries read in float32."""

    def __init__(self, half_step: int, columns: Sequence[NDArray[Any]], ready: bool = False) -> None:
        """`columns` have one element or row for each row. `ready`: all rows are ready, and none is heavy."""
        self.half_step, self.columns = half_step, columns
        self.n = columns[0].shape[0]
        self.heavy = np.empty(0, np.int64)  # numbers of rows
        self.heavy_rows: NDArray[Any] = np.empty((self.n, 0), np.float32)
        self._ready, self._finished = self.n * ready, ready
        self._changed = threading.Condition()

    def advance(self, n: int) -> None:
        """The first n rows are ready."""
        with self._changed:
            self._ready = n
            self._changed.notify_all()

    def finish(self, heavy: NDArray[np.int64], heavy_rows: NDArray[Any] | None = None) -> None:
        """All rows are ready. Without `heavy_rows`, only the numbers of the heavy ones are sent."""
        with self._changed:
            self._ready, self._finished = self.n, True
            self.heavy = heavy
            if heavy_rows is not None:
                self.heavy_rows = heavy_rows
            self._changed.notify_all()

    def send(self, rows: NDArray[np.int64] | None, connection: socket.socket) -> None:
        """Send these rows (None: all), then the numbers of the heavy ones among them, and these in float32."""
        for block in row_blocks(self.columns, self.n if rows is None else rows.size):
            wanted = block if rows is None else rows[block]
            last = block.stop if rows is None else int(rows[block.stop - 1]) + 1
            self._wait(lambda last=last: self._ready >= last)
            for column in self.columns:
                send(connection, column[wanted])
        self._wait(lambda: self._finished)
        places, heavy_rows = self.heavy_among(rows)
        send_numbers(connection, places)
        send(connection, heavy_rows)

    def heavy_among(self, rows: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The places of heavy rows among these rows (None: all), and the heavy rows."""
        if rows is None:
            return self.heavy, self.heavy_rows
        places, at = common(rows, self.heavy)
        return places, self.heavy_rows[at]

    def _wait(self, ready: Any) -> None:
        with self._changed:
            if not self._changed.wait_for(ready, _WAIT_SECONDS):
                raise LinkError("rows were not ready in time")


class Outlet:
    """What a worker has published: the newest of each kind."""

    def __init__(self, host: str, secret: bytes) -> None:
        self._published: dict[int, Publication] = {}
        self._changed = threading.Condition()
        self._serving = Serving(host, secret, self._answer)
        self.address = self._serving.address

    def close(self) -> None:
        """Accept no more connections."""
        self._serving.close()

    def publish(self, what: int, publication: Publication) -> None:
        with self._changed:
            self._published[what] = publication
            self._changed.notify_all()

    def withdraw(self) -> None:
        """Offer nothing any more, so that the rows can be freed."""
        with self._changed:
            self._published.clear()

    def _answer(self, request: Request, connection: socket.socket) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest(request.what) >= request.half_step, _WAIT_SECONDS)
            found = self._published.get(request.what)
        if found is None or found.half_step != request.half_step:
            raise LinkError("these rows are not here")
        rows = request.rows
        if rows is not None and rows.size and not 0 <= rows[0] <= rows[-1] < found.n:
            raise LinkError("there are no such rows")
        found.send(rows, connection)

    def _newest(self, what: int) -> int:
        return self._published[what].half_step if what in self._published else -2


def common(rows: NDArray[Any], heavy: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where numbers stand that are in both ascending arrays: their places in `rows`, and in `heavy`."""
    places = np.searchsorted(rows, heavy)
    at = np.flatnonzero(places < rows.size)
    at = at[rows[places[at]] == heavy[at]]
    return places[at].astype(np.int64), at
