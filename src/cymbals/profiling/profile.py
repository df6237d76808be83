"""Profile: the time, threads, flops and bytes of each phase of a fit, of an evaluation and of recommending."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Token
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from .._core import simd_name
from ..base.checks import one_of
from ..base.files import beside
from ..base.html import html_table
from ..base.optional import frame
from ..base.recorder import Recorder, active, current
from ..base.threads import resolve
from .calls import PHASES, ROW_CLASS, SOLVERS, SPAN, Call, Sum
from .doctor import measure_peaks
from .roofline import roofline
from .table import table_lines
from .trace import write_trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# The machine's peak with which a phase's bytes per second are compared: "stream" for phases that are not listed.
_READS_FROM = {"gather": "gather", "loss": "gather", "cg": "near", "dual": "near", "primal": "near"}


class Profile:
    """Measures the calls of cymbals in a ``with`` block: time, threads, flops and bytes of each phase.

    Use it to find out which phase of a fit, an evaluation or recommending takes the time, and whether arithmetic or memory
    limits it. ``ALS.fit(profile=True)`` profiles that fit, and stores the profile as `profile_`. Only calls from the thread
    that enters the block are measured. Several fits in one block are added up. If the block of one Profile is inside the
    block of another, both measure the inner one.

    Times are measured on each thread. Flops and bytes are counted as csrc/README.md describes. The phases are:

    - before the iterations: "data" (check and copy the input), "check", "triplets", "transpose", "start" (random factors);
    - in each half-step: "gram", "eigh", "rotate", "whiten" (row norms and the 16-bit copy of the fixed side), "gather"
      (compute a row's weights and read the factors of its entries; for conjugate gradients also the first residual),
      "cg", "dual", "primal" (the solvers), "wait" (threads without rows wait for the others), "other";
    - in a distributed fit: "open" (the nodes start and read their rows), "gram", "eigh", "publish" (they rotate and publish
      rows), "solve", "collect" (their factors are sent here); `nodes` says what each of them did;
    - elsewhere: "loss", "keep" (copies for a callback), "checkpoint", "index", "topk", "metrics", "core" (any other call of
      the compiled core), "rest" (Python).

    The seconds of "gather" and of the solvers are means over the threads. The seconds of all phases add up to `seconds`.

    Attributes
    ----------
    seconds : float
        Wall time from the beginning of the block to its end, or to now if it has not ended.
    n_threads : int
        The largest number of threads that a call used.
    simd : str
        The instruction set in use: "baseline", "avx2" or "avx512".

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> plays = scipy.sparse.random_array((60, 40), density=0.2, rng=0)
    >>> with cymbals.Profile() as profile:
    ...     model = cymbals.ALS(factors=4, iterations=2, random_state=0).fit(plays)
    ...     ids, scores = model.recommend([0, 1])
    >>> {"gather", "topk"} <= {row["phase"] for row in profile.to_dict()["phases"]}
    True
    """

    def __init__(self) -> None:
        self.n_threads = 1
        self.thread = threading.get_ident()
        self._seconds = 0.0
        self._outer: Recorder | None = None
        self.simd = simd_name()
        self._calls: list[Call] = []
        self._open: list[Call] = []  # blocks of Python code that have not ended, the innermost last
        self._label = (0, "")
        self._lost = 0
        self._nodes: list[dict[str, Any]] = []
        self._begin = 0
        self._token: Token[Any] | None = None
        self._peaks: dict[str, float] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("this Profile is active already: make another cymbals.Profile() for the inner block")
        self.thread, self._outer = threading.get_ident(), current()
        self._token = active.set(self)
        self._begin = time.perf_counter_ns()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        self._seconds = self.seconds
        active.reset(self._token)
        self._token = self._outer = None

    @property
    def seconds(self) -> float:
        """Wall time of the block; up to now if it has not ended."""
        running = 0.0 if self._token is None else (time.perf_counter_ns() - self._begin) / 1e9
        return self._seconds + running

    # -- the Recorder interface ----------------------------------------------------------------------------------------

    def take(self, spans: bytes, row_classes: bytes, lost: int) -> None:
        """Part of the `Recorder` interface."""
        if self._outer is not None:
            self._outer.take(spans, row_classes, lost)
        found = np.frombuffer(spans, SPAN)
        for whole in found[found["thread"] < 0]:
            phase, begin, end, n = (int(whole[name]) for name in ("phase", "begin", "end", "n_threads"))
            call = Call(*self._label, PHASES[phase], begin, end, n)
            call.spans = found[found["thread"] >= 0]
            call.row_classes = np.frombuffer(row_classes, ROW_CLASS)
            self.n_threads = max(self.n_threads, n)
            self._calls.append(call)
            if self._open:
                self._open[-1].nested += end - begin
        self._lost += lost

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Part of the `Recorder` interface."""
        call = Call(*self._label, name, time.perf_counter_ns(), 0)
        self._open.append(call)
        try:
            with nullcontext() if self._outer is None else self._outer.phase(name):
                yield
        finally:
            self._open.pop()
            call.end = time.perf_counter_ns()
            self._calls.append(call)
            if self._open:
                self._open[-1].nested += call.end - call.begin

    @contextmanager
    def at(self, iteration: int, side: str) -> Iterator[None]:
        """Part of the `Recorder` interface."""
        before, self._label = self._label, (iteration, side)
        try:
            with nullcontext() if self._outer is None else self._outer.at(iteration, side):
                yield
        finally:
            self._label = before

    def node(self, name: str, amounts: dict[str, float]) -> None:
        """Part of the `Recorder` interface."""
        if self._outer is not None:
            self._outer.node(name, amounts)
        iteration, side = self._label
        self._nodes.append({"iteration": iteration, "side": side, "node": name} | amounts)

    # -- results -------------------------------------------------------------------------------------------------------

    def nodes(self) -> list[dict[str, Any]]:
        """One dict for each half-step and each node of a distributed fit, and for its driver.

        Use it to see which node the others wait for, and how much travels.

        Returns
        -------
        list of dict
            "iteration", "side", "node", "compute" and "wait" (seconds; it waits for what other nodes send), "received" and
            "sent" (bytes), and "memory": the largest anonymous memory so far, in bytes above what the process held before
            it opened the store (Linux only). What happens between half-steps has iteration 0.
        """
        return [dict(row) for row in self._nodes]

    @property
    def peaks(self) -> dict[str, float]:
        """Peak rates of this machine with `n_threads` threads, in float32; `doctor` explains them.

        "multiply_adds" is in 1e9 a second; "near", "stream" and "gather" are in GB/s. They are measured at the first use,
        which takes some seconds.
        """
        if self._peaks is None:
            token = active.set(None)
            try:
                self._peaks = measure_peaks(resolve(self.n_threads))
            finally:
                active.reset(token)
        return self._peaks

    def _rows(self, by: tuple[str, ...], peaks: bool) -> list[dict[str, Any]]:
        """One dict for each phase and each combination of the values of the attributes `by`.

        `by` names attributes of the calls, such as "side". The dicts have the order in which the phases ran. The last dict,
        "rest", has the time that no call or block has measured.
        """
        limits = self.peaks if peaks else None
        sums: dict[tuple[Any, ...], Sum] = {}
        for call in self._calls:
            group = tuple(getattr(call, name) for name in by)
            for phase, part in call.sums().items():
                sums.setdefault((*group, phase), Sum()).add(part)
        no_group = tuple({"iteration": 0, "side": ""}[name] for name in by)
        sums[*no_group, "rest"] = Sum(1e9 * self.seconds - sum(part.time for part in sums.values()))
        return [
            {**dict(zip(by, group, strict=True)), **self._row(part, phase, limits)}
            for (*group, phase), part in sums.items()
        ]

    def _row(self, part: Sum, phase: str, peaks: dict[str, float] | None) -> dict[str, Any]:
        seconds = part.time / 1e9
        threads = [part.threads.get(t, 0.0) / 1e9 for t in range(self.n_threads)] if part.threads else []
        gflop, gbyte = part.flops / 1e9, part.bytes / 1e9
        flop_rate, byte_rate = (amount / seconds if seconds > 0 else 0.0 for amount in (gflop, gbyte))
        row: dict[str, Any] = {
            "phase": phase,
            "calls": part.calls,
            "seconds": seconds,
            "thread_min": min(threads, default=None),
            "thread_mean": sum(threads) / len(threads) if threads else None,
            "thread_max": max(threads, default=None),
            "imbalance": max(threads) * len(threads) / sum(threads) if sum(threads) > 0 else None,
            "rows": part.rows,
            "entries": part.entries,
            "cg_steps": part.cg_steps,
            "retried": part.retried,
            "gflop": gflop,
            "gbyte": gbyte,
            "gflop_per_s": flop_rate,
            "gb_per_s": byte_rate,
            "flop_per_byte": gflop / gbyte if gbyte else None,
        }
        if peaks is not None:
            row["of_peak_flops"] = flop_rate / (2 * peaks["multiply_adds"])
            row["of_peak_bytes"] = byte_rate / peaks[_READS_FROM.get(phase, "stream")]
        return row

    def phases(self, peaks: bool = True) -> list[dict[str, Any]]:
        """One dict for each iteration, side and phase, in the order in which they ran.

        Use it to see how phases change from iteration to iteration; `summary` adds the iterations up. The last dict,
        "rest", is the time in Python that no phase has measured.

        Parameters
        ----------
        peaks : bool
            Also give each rate as a share of this machine's peak rate. The first use measures the peak rates, which takes
            some seconds.

        Returns
        -------
        list of dict
            Times are in seconds, "gflop" in 1e9 flops, "gbyte" in 1e9 bytes. A value is None if a phase has no such value.
        """
        return self._rows(("iteration", "side"), peaks)

    def summary(self, peaks: bool = True) -> list[dict[str, Any]]:
        """One dict for each side and phase, summed over all iterations.

        Use it to see which phase takes the most time.

        Parameters
        ----------
        peaks : bool
            As in `phases`.

        Returns
        -------
        list of dict
            The same keys as in `phases`, without "iteration".
        """
        return self._rows(("side",), peaks)

    def row_classes(self) -> list[dict[str, Any]]:
        """Counts and times of solved rows by iteration, side, row length and solver, summed over threads.

        Use it to see which rows take the time: the short ones or the long ones.

        Returns
        -------
        list of dict
            A length class is the rows with "least" to "most" entries; "least" is a power of two. "retried" counts rows that
            were solved a second time, exactly or in float64.
        """
        counts, times = ("rows", "entries", "cg_steps", "retried"), ("gather", "solve")
        sums: dict[tuple[Any, ...], dict[str, Any]] = {}
        for call in self._calls:
            for row in call.row_classes:
                key = (call.iteration, call.side, int(row["length"]), SOLVERS[int(row["solver"])])
                total = sums.setdefault(key, dict.fromkeys(counts, 0) | {f"{name}_thread_seconds": 0.0 for name in times})
                for name in counts:
                    total[name] += int(row[name])
                for name in times:
                    total[f"{name}_thread_seconds"] += float(row[f"{name}_time"]) / 1e9
        return [
            {"iteration": i, "side": side, "least": 2**length, "most": 2 ** (length + 1) - 1, "solver": solver, **total}
            for (i, side, length, solver), total in sorted(sums.items(), key=lambda pair: pair[0])
        ]

    def to_dict(self, peaks: bool = True) -> dict[str, Any]:
        """The whole profile as a dict, which ``json.dumps`` takes.

        Use it to store profiles, or to compare profiles in code of your own.

        Parameters
        ----------
        peaks : bool
            Also give each rate as a share of this machine's peak rate. The first use measures the peak rates, which takes
            some seconds.

        Returns
        -------
        dict
            Keys "seconds", "threads", "simd", "peaks", "phases", "row_classes" and "spans_lost" (time spans that were not
            recorded for lack of memory); after a distributed fit also "nodes".
        """
        return {
            "seconds": self.seconds,
            "threads": self.n_threads,
            "simd": self.simd,
            "peaks": self.peaks if peaks else None,
            "phases": self.phases(peaks),
            "row_classes": self.row_classes(),
            "spans_lost": self._lost,
        } | ({"nodes": self.nodes()} if self._nodes else {})

    def to_frame(self, what: str = "phases", peaks: bool = True) -> pd.DataFrame:
        """`phases`, `summary`, `row_classes` or `nodes` as a data frame, for notebooks and plots.

        Parameters
        ----------
        what : {"phases", "summary", "row_classes", "nodes"}
            The method whose result becomes the data frame.
        peaks : bool
            Also give each rate as a share of this machine's peak rate. The first use measures the peak rates, which takes
            some seconds.

        Returns
        -------
        DataFrame
        """
        one_of("what", what, ("phases", "summary", "row_classes", "nodes"))
        return frame(getattr(self, what)() if what in ("row_classes", "nodes") else getattr(self, what)(peaks))

    def print(self, file: IO[str] | None = None, peaks: bool = True) -> None:
        """Print a table of `summary`, for a quick look in a terminal.

        Phases that took less than 0.05 % of the time are left out.

        Parameters
        ----------
        file : text file, optional
            Where to print; by default stdout.
        peaks : bool
            Also give each rate as a share of this machine's peak rate. The first use measures the peak rates, which takes
            some seconds.
        """
        out = file or sys.stdout
        print(f"{self.seconds:.3f} s, {self.n_threads} threads, {self.simd}", file=out)
        for line in table_lines(self.summary(peaks), max(self.seconds, 1e-9), peaks):
            print(line, file=out)
        if peaks:
            limits = self.peaks
            print(
                f"peaks: {2 * limits['multiply_adds']:.0f} GFLOP/s in float32; GB/s: {limits['near']:.0f} from the "
                f"second-level cache, {limits['stream']:.1f} from memory in order, {limits['gather']:.1f} from memory in "
                "random rows",
                file=out,
            )

    def __repr__(self) -> str:
        return f"<Profile: {self.seconds:.3f} s, {self.n_threads} threads, {self.simd}>"

    def _repr_html_(self) -> str:
        columns = ("side", "phase", "calls", "seconds", "rows", "entries", "gflop_per_s", "gb_per_s")
        return html_table([{name: row[name] for name in columns} for row in self.summary(peaks=False)], repr(self)[1:-1])

    def roofline(self) -> Figure:
        """Draw a roofline plot: flops per second over flops per byte of each phase, below the peaks of this machine.

        Use it to see whether arithmetic or memory limits a phase. It needs matplotlib.

        Returns
        -------
        matplotlib Figure
        """
        rows = [row for row in self.summary() if row["flop_per_byte"] and row["gflop_per_s"]]
        return roofline(rows, self.peaks)

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write each time span of each thread to a trace file, which ui.perfetto.dev and chrome://tracing open.

        Use it to see on a time axis what each thread did, and when threads waited.

        Parameters
        ----------
        path : path-like
            The .json file to write.
        """
        with beside(path) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
            write_trace(file, self._calls, self.n_threads)
