"""How fast a core does the work of a distributed fit: measured by a small fit on this machine."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

from .._core import compact_width
from ..data.csr import Csr, index_type
from ..data.interactions import Interactions
from ..model.als import ALS
from ..model.arguments import settings_of
from ..solve.basis import eigenbasis
from ..solve.compact import Copy
from ..solve.half_step import Part, solve_rows
from .links import receive_into, send

_ENTRIES = 8_000_000  # of the small fit, at most
_ITERATIONS = 3
_SIDES = ("users", "items")
_SKEW = (1.0, 2.0)  # of users and items: see _seconds_of_entry
_BYTES, _ROUNDS = 64 << 20, 3  # that are sent and copied; the fastest round counts
_TABLE_BYTES = 1 << 30  # of the large table from which rows are gathered, at most
_GATHERED = 2_000_000  # rows of it
# Seconds of processor time for a call of one worker, whatever it does: of the driver, which calls the workers one after the
# other, and of the worker's node. Ray 2.60 with up to four nodes that share 2 cores of an AMD EPYC (Zen 3).
_CALL, _CALLED = 0.001, 0.007


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
    call: float = _CALL  # to call a worker
    called: float = _CALLED  # for a node, when its worker is called

    @classmethod
    def measured(cls, shape: tuple[int, int], entries: float, factors: int) -> Rates:
        """Measure this machine with data like these, but fewer. Takes some seconds."""
        n = int(min(entries, _ENTRIES))
        n_users, n_items = (max(1, round(rows * n / entries)) for rows in shape)  # so that rows are as long
        rng = np.random.default_rng(0)
        users, items = rng.integers(0, n_users, n), (n_items * rng.random(n) ** _SKEW[1]).astype(np.int64)
        values = 1 + rng.exponential(2, n).astype(np.float32)
        data = Interactions.from_arrays(users, items, values, shape=(n_users, n_items))
        model = ALS(factors, iterations=_ITERATIONS, random_state=0, n_threads=1).fit(data, profile=True)
        rows = [row for row in model.profile_.phases(peaks=False) if row["iteration"] > 1]
        n_rows = (n_users + n_items) * (_ITERATIONS - 1)

        def total(what: str, *names: str, sides: tuple[str, ...] = _SIDES) -> float:
            return float(sum(row[what] for row in rows if row["phase"] in names and row["side"] in sides))

        of_sides = []
        for side, n_solved in enumerate((n_users, n_items)):
            here = (_SIDES[side],)
            in_fit = total("seconds", "gather", "cg", "dual", "primal", "other", sides=here)
            steps = total("cg_steps", "cg", sides=here) / (n_solved * (_ITERATIONS - 1))
            length = max(1, round(entries / shape[side]))
            far = _seconds_of_entry(factors, shape[1 - side], _SKEW[1 - side], length, max(1, round(steps)))
            of_sides.append(max(in_fit / (data.nnz * (_ITERATIONS - 1)), far))
        gram = np.cov(rng.standard_normal((factors, 4 * factors)))
        began = time.perf_counter()
        eigenbasis(np.atleast_2d(gram))
        eigh = time.perf_counter() - began
        return cls(
            entry=sum(of_sides) / 2,
            rotate=total("seconds", "rotate") / (2 * n_rows),  # both sides are rotated in each half-step
            gram=total("seconds", "gram") / n_rows,
            whiten=total("seconds", "whiten") / n_rows,
            eigh=eigh,
            send=_seconds_to_send() / _BYTES,
            copy=_seconds_to_copy() / _BYTES,
        )


def _seconds_of_entry(factors: int, n_fixed: int, skew: float, length: int, steps: int) -> float:
    """Seconds for an entry of rows of this length, if their fixed rows are read from a table that no cache holds.

    `skew`: the share s of the fixed side has the share s^(1 / skew) of the entries. `steps`: of conjugate gradients.
    """
    n_fixed = min(n_fixed, _TABLE_BYTES // (4 * compact_width(factors)))
    copy = Copy.empty(n_fixed, factors)
    copy.pairs[:] = 0x3C003C00  # twice the number 2^-7 in bfloat16
    copy.leverage[:] = factors * 2.0**-14
    length = min(length, _GATHERED)
    n = _GATHERED // length
    indices = (n_fixed * np.random.default_rng(0).random(n * length) ** skew).astype(index_type(n_fixed))
    rows = Csr(np.arange(n + 1) * length, indices, np.ones(n * length, np.float32), (n, n_fixed))
    settings = settings_of(ALS(factors, solver="cg", cg_steps=steps).get_params())
    none, solved, seconds = np.empty((0, factors), np.float32), np.zeros((n, factors), np.float32), []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        solve_rows(rows, none, np.ones(factors), solved, settings, 1, part=Part(1.0, 1.0, 0), copy=copy)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / (n * length)


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
