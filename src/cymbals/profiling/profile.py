"""What the library did with its time: phases of a fit, of an evaluation, of recommending; threads, flops and bytes."""

from __future__ import annotations

import json
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
from ..base.format import cell, is_number
from ..base.html import html_table
from ..base.optional import frame
from ..base.recorder import Recorder, active, current
from ..base.threads import resolve
from .calls import PHASES, ROW_CLASS, SOLVERS, SPAN, Call, Sum
from .doctor import measure_peaks
from .roofline import roofline

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Which of the machine's limits a phase's bytes stand against; the others stream from memory.
_READS_FROM = {"gather": "gather", "loss": "gather", "cg": "near", "dual": "near", "primal": "near"}


class Profile:
    """Takes down what calls in its block do, in this thread; `ALS.fit(profile=True)` leaves one in `profile_`.

    Times are measured on each thread, flops and bytes counted by the model in csrc/README.md. Phases: "data" (input
    checked and copied), "check", "triplets", "transpose", "start" (noise), then for each half-step "gram", "eigh",
    "rotate", "whiten" (lengths and 16-bit copy of the fixed side), "gather" (a row's weights and entries read from
    memory; with conjugate gradients also their first residual, made meanwhile), "cg", "dual", "primal", "wait" (threads
    that have no more rows), "other"; "loss", "keep" (copies for a callback), "index", "topk", "metrics", "core" (any
    other call), "rest" (Python). Seconds of "gather" and the solvers are means over threads, so that phases add up to the
    whole. Several fits in one block add up, too; a Profile inside another reports to both.

    Attributes
    ----------
    seconds : float
        From the block's begin to its end, or to now.
    n_threads : int
        The most that a call used.
    simd : str

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
        self._open: list[Call] = []  # blocks of Python that have not ended, the innermost last
        self._label = (0, "")
        self._lost = 0
        self._begin = 0
        self._token: Token[Any] | None = None
        self._peaks: dict[str, float] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("this Profile is active already")
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
        """Wall time of the block, up to now where it has not ended."""
        running = 0.0 if self._token is None else (time.perf_counter_ns() - self._begin) / 1e9
        return self._seconds + running

    # -- what reports to it --------------------------------------------------------------------------------------------

    def take(self, spans: bytes, row_classes: bytes, lost: int) -> None:
        """See `Recorder`."""
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
        """See `Recorder`."""
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
        """See `Recorder`."""
        before, self._label = self._label, (iteration, side)
        try:
            with nullcontext() if self._outer is None else self._outer.at(iteration, side):
                yield
        finally:
            self._label = before

    # -- what it says --------------------------------------------------------------------------------------------------

    @property
    def peaks(self) -> dict[str, float]:
        """What this machine does at most with as many threads: multiply_adds (1e9 a second); near, stream, gather (GB/s).

        Measured at the first use, which takes some seconds, on the machine that this is.
        """
        if self._peaks is None:
            token = active.set(None)
            try:
                self._peaks = measure_peaks(resolve(self.n_threads))
            finally:
                active.reset(token)
        return self._peaks

    def _rows(self, by: tuple[str, ...], peaks: bool) -> list[dict[str, Any]]:
        """A row for each of what calls belong to and phase, in the order of the work; what remains, in Python, is last."""
        limits = self.peaks if peaks else None
        sums: dict[tuple[Any, ...], Sum] = {}
        for call in self._calls:
            belongs = tuple(getattr(call, name) for name in by)
            for phase, part in call.sums().items():
                sums.setdefault((*belongs, phase), Sum()).add(part)
        nothing = tuple({"iteration": 0, "side": ""}[name] for name in by)
        sums[*nothing, "rest"] = Sum(1e9 * self.seconds - sum(part.time for part in sums.values()))
        return [
            {**dict(zip(by, belongs, strict=True)), **self._row(part, phase, limits)}
            for (*belongs, phase), part in sums.items()
        ]

    def _row(self, part: Sum, phase: str, peaks: dict[str, float] | None) -> dict[str, Any]:
        seconds = part.time / 1e9
        threads = [part.threads.get(t, 0.0) / 1e9 for t in range(self.n_threads)] if part.threads else []
        gflop, gbyte = part.flops / 1e9, part.bytes / 1e9
        rate, flow = (amount / seconds if seconds > 0 else 0.0 for amount in (gflop, gbyte))
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
            "gflop_per_s": rate,
            "gb_per_s": flow,
            "flop_per_byte": gflop / gbyte if gbyte else None,
        }
        if peaks is not None:
            row["of_peak_flops"] = rate / (2 * peaks["multiply_adds"])
            row["of_peak_bytes"] = flow / peaks[_READS_FROM.get(phase, "stream")]
        return row

    def phases(self, peaks: bool = True) -> list[dict[str, Any]]:
        """A row for each iteration, side and phase, in the order of the work; the last is what remains, in Python.

        Parameters
        ----------
        peaks : bool
            Also tell the shares of this machine's peaks, which are measured for it.

        Returns
        -------
        list of dict
            Seconds; "gflop" and "gbyte" in 1e9; None where nothing is to be said.
        """
        return self._rows(("iteration", "side"), peaks)

    def summary(self, peaks: bool = True) -> list[dict[str, Any]]:
        """The same over all iterations.

        Parameters
        ----------
        peaks : bool
            As in `phases`.

        Returns
        -------
        list of dict
        """
        return self._rows(("side",), peaks)

    def row_classes(self) -> list[dict[str, Any]]:
        """How rows were solved, by iteration, side, length (powers of two) and solver, summed over threads.

        Returns
        -------
        list of dict
            "least" and "most" are entries of a row; "retried" rows were solved again, exactly or in float64.
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
        """All of it in plain values, ready for JSON.

        Parameters
        ----------
        peaks : bool
            Also tell the shares of this machine's peaks, which are measured for it.

        Returns
        -------
        dict
        """
        return {
            "seconds": self.seconds,
            "threads": self.n_threads,
            "simd": self.simd,
            "peaks": self.peaks if peaks else None,
            "phases": self.phases(peaks),
            "row_classes": self.row_classes(),
            "spans_lost": self._lost,
        }

    def to_frame(self, what: str = "phases", peaks: bool = True) -> pd.DataFrame:
        """A data frame.

        Parameters
        ----------
        what : {"phases", "summary", "row_classes"}
            By iteration, side and phase; by side and phase; how rows of each length were solved.
        peaks : bool
            Also tell the shares of this machine's peaks, which are measured for it.

        Returns
        -------
        DataFrame
        """
        one_of("what", what, ("phases", "summary", "row_classes"))
        return frame(self.row_classes() if what == "row_classes" else getattr(self, what)(peaks))

    def print(self, file: IO[str] | None = None, peaks: bool = True) -> None:
        """Write a summary by side and phase.

        Parameters
        ----------
        file : text file, optional
            stdout by default.
        peaks : bool
            Also tell the shares of this machine's peaks, which are measured for it.
        """
        seconds = max(self.seconds, 1e-9)
        rows = [row for row in self.summary(peaks) if row["seconds"] >= 5e-4 * seconds]
        columns = ["side", "phase", "calls", "seconds", "of_all", "thread_min", "thread_max", "rows", "entries", "cg_steps"]
        columns += ["gflop_per_s", "gb_per_s", "flop_per_byte"] + ["of_peak_flops", "of_peak_bytes"] * peaks
        lines = [
            {name: _short(name, row["seconds"] / seconds if name == "of_all" else row[name]) for name in columns}
            for row in rows
        ]
        heads = {name: name.replace("_per_", "/").replace("_", " ") for name in columns}
        width = {name: max(len(line[name]) for line in [heads, *lines]) for name in columns}
        out = file or sys.stdout
        print(f"{seconds:.3f} s, {self.n_threads} threads, {self.simd}", file=out)
        for line in [heads, *lines]:
            cells = (line[n].ljust(width[n]) if n in ("side", "phase") else line[n].rjust(width[n]) for n in columns)
            print("  ".join(cells).rstrip(), file=out)
        if peaks:
            limits = self.peaks
            print(
                f"peaks: {2 * limits['multiply_adds']:.0f} GFLOP/s in float32; GB/s: {limits['near']:.0f} near cache, "
                f"{limits['stream']:.1f} memory in order, {limits['gather']:.1f} rows at random",
                file=out,
            )

    def __repr__(self) -> str:
        return f"<Profile: {self.seconds:.3f} s, {self.n_threads} threads, {self.simd}>"

    def _repr_html_(self) -> str:
        columns = ("side", "phase", "calls", "seconds", "rows", "entries", "gflop_per_s", "gb_per_s")
        return html_table([{name: row[name] for name in columns} for row in self.summary(peaks=False)], repr(self)[1:-1])

    def roofline(self) -> Figure:
        """Phases that compute, by flops a byte and flops a second, under the limits of this machine.

        Returns
        -------
        matplotlib Figure
        """
        rows = [row for row in self.summary() if row["flop_per_byte"] and row["gflop_per_s"]]
        return roofline(rows, self.peaks)

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write every span of every thread as trace events, which ui.perfetto.dev and chrome://tracing open.

        Parameters
        ----------
        path : path-like
            A .json file.
        """
        with beside(path) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": list(self._events()), "displayTimeUnit": "ms"}, file, separators=(",", ":"))

    def _events(self) -> Iterator[dict[str, Any]]:
        """Calls and blocks of Python on track 0, thread t's spans on track t + 1; microseconds."""
        zero = min((call.begin for call in self._calls), default=0)
        names = ["calls", *(f"thread {t}" for t in range(self.n_threads))]
        for track, name in enumerate(names):
            yield {"ph": "M", "name": "thread_name", "pid": 1, "tid": track, "ts": 0, "args": {"name": name}}
        for call in self._calls:
            label = {"iteration": call.iteration, "side": call.side} if call.side else {}
            yield _event(call.phase, 0, call.begin - zero, call.end - zero, label)
            for begin, end, rows, entries, flops, size, phase, thread, *_ in call.spans.tolist():
                done = {"rows": rows, "entries": entries, "kflop": round(flops / 1e3), "kbyte": round(size / 1e3)}
                yield _event(PHASES[phase], thread + 1, begin - zero, end - zero, label | done)


def _event(name: str, track: int, begin: int, end: int, args: dict[str, Any]) -> dict[str, Any]:
    span = {"ts": round(begin / 1e3, 3), "dur": round((end - begin) / 1e3, 3)}
    return {"ph": "X", "cat": "cymbals", "name": name, "pid": 1, "tid": track, **span, "args": args}


def _short(column: str, value: Any) -> str:
    """A cell of the printed table."""
    if value is None or (is_number(value) and value == 0 and column != "seconds"):
        return ""
    if column.startswith("of_"):
        return f"{value:.1%}"
    if column == "seconds" or column.startswith("thread_"):
        return f"{value:.3f}"
    return f"{value:.1f}" if isinstance(value, float) else cell(column, value)
