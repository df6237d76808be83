"""How fast a core does the work of a distributed fit: measured by a small fit on this machine."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

from ..data.interactions import Interactions
from ..model.als import ALS
from ..solve.basis import eigenbasis
from .links import receive_into, send

_ENTRIES = 4_000_000  # of the small fit, at most
_ROWS = 250_000  # of a side, at most
_ITERATIONS = 3
_BYTES, _ROUNDS = 64 << 20, 3  # that are sent and copied; the fastest round counts
# Seconds that a call of all workers takes, whatever they do: Ray 2.60 with nodes in one machine, 2 cores of an AMD EPYC
# (Zen 3).
_CALL = 0.004


@dataclass(frozen=True)
class Rates:
    """Seconds that one core takes for a piece of work, at one rank."""

    entry: float  # to gather an entry and use it to solve its row, in one half-step
    rotate: float  # to rotate a row
    gram: float  # to add a row to the Gramian
    whiten: float  # to whiten a row and copy it in 16 bits
    eigh: float  # to decompose a Gramian
    send: float  # to send a byte and to receive one
    copy: float  # to copy a byte to shared memory
    call: float = _CALL  # for a call of all workers

    @classmethod
    def measured(cls, shape: tuple[int, int], entries: float, factors: int) -> Rates:
        """Measure this machine with data like these, but fewer. Takes some seconds."""
        n_users, n_items = (min(n, _ROWS) for n in shape)
        n = int(min(entries / shape[0] * n_users, _ENTRIES))
        rng = np.random.default_rng(0)
        users, items = rng.integers(0, n_users, n), (n_items * rng.random(n) ** 1.5).astype(np.int64)
        values = 1 + rng.exponential(2, n).astype(np.float32)
        data = Interactions.from_arrays(users, items, values, shape=(n_users, n_items))
        model = ALS(factors, iterations=_ITERATIONS, random_state=0, n_threads=1).fit(data, profile=True)
        rows = [row for row in model.profile_.phases(peaks=False) if row["iteration"] > 1]
        n_rows, done = (n_users + n_items) * (_ITERATIONS - 1), 2 * data.nnz * (_ITERATIONS - 1)

        def seconds(*names: str) -> float:
            return float(sum(row["seconds"] for row in rows if row["phase"] in names))

        gram = np.cov(rng.standard_normal((factors, 4 * factors)))
        began = time.perf_counter()
        eigenbasis(np.atleast_2d(gram))
        eigh = time.perf_counter() - began
        return cls(
            entry=seconds("gather", "cg", "dual", "primal", "other") / done,
            rotate=seconds("rotate") / (2 * n_rows),  # both sides are rotated in each half-step
            gram=seconds("gram") / n_rows,
            whiten=seconds("whiten") / n_rows,
            eigh=eigh,
            send=_seconds_to_send() / _BYTES,
            copy=_seconds_to_copy() / _BYTES,
        )


def _seconds_to_send() -> float:
    """Processor time for sending and receiving _BYTES within this machine."""
    here, there = np.ones(_BYTES, np.uint8), np.ones(_BYTES, np.uint8)
    seconds = []
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        receiver, _ = server.accept()
        with receiver:
            for _ in range(_ROUNDS):
                began = time.process_time()
                thread = threading.Thread(target=send, args=(sender, here))
                thread.start()
                receive_into(receiver, there)
                thread.join()
                seconds.append(time.process_time() - began)
    return min(seconds)


def _seconds_to_copy() -> float:
    here, there = np.ones(_BYTES, np.uint8), np.ones(_BYTES, np.uint8)
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        there[:] = here
        seconds.append(time.perf_counter() - began)
    return min(seconds)
