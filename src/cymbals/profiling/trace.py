"""The calls of a profile as trace events, the format of chrome://tracing and ui.perfetto.dev."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from .calls import PHASES, Call


def write_trace(file: IO[str], calls: list[Call], n_threads: int) -> None:
    """Writes a JSON object with all trace events."""
    events = list(_trace_events(calls, n_threads))
    json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file, separators=(",", ":"))


def _trace_events(calls: list[Call], n_threads: int) -> Iterator[dict[str, Any]]:
    """Trace events, in microseconds: calls and Python blocks on track 0, the spans of thread t on track t + 1."""
    origin = min((call.begin for call in calls), default=0)
    names = ["calls", *(f"thread {t}" for t in range(n_threads))]
    for track, name in enumerate(names):
        yield {"ph": "M", "name": "thread_name", "pid": 1, "tid": track, "ts": 0, "args": {"name": name}}
    for call in calls:
        label = {"iteration": call.iteration, "side": call.side} if call.side else {}
        yield _event(call.phase, 0, call.begin - origin, call.end - origin, label)
        for begin, end, rows, entries, flops, size, phase, thread, *_ in call.spans.tolist():
            done = {"rows": rows, "entries": entries, "kflop": round(flops / 1e3), "kbyte": round(size / 1e3)}
            yield _event(PHASES[phase], thread + 1, begin - origin, end - origin, label | done)


def _event(name: str, track: int, begin: int, end: int, args: dict[str, Any]) -> dict[str, Any]:
    span = {"ts": round(begin / 1e3, 3), "dur": round((end - begin) / 1e3, 3)}
    return {"ph": "X", "cat": "cymbals", "name": name, "pid": 1, "tid": track, **span, "args": args}
