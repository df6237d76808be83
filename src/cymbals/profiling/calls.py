"""Recorded calls of the core. Each call is divided into phases, and their times add up to the time of the call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _struct(**fields: str) -> np.dtype[Any]:
    """The dtype of a C struct.

    Each keyword is a type, and its value has the names of the fields of this type. The arguments have the order of the
    fields in the struct.
    """
    return np.dtype([(name, kind) for kind, names in fields.items() for name in names.split()], align=True)


# Copies of definitions in cymbals.h: the structs cymbals_span and cymbals_row_class, the phases, and the recorded solvers.
# tests/test_abi.py checks that the copies equal the definitions.
SPAN = _struct(i8="begin end rows entries", f8="flops bytes", i4="phase thread n_threads reserved")
ROW_CLASS = _struct(
    i4="thread solver length",
    i8="rows entries cg_steps retried gather_time solve_time",
    f8="gather_flops gather_bytes solve_flops solve_bytes",
)
PHASES = "core gram rotate whiten solve loss transpose triplets check index topk metrics".split()
SOLVERS = {1: "cg", 3: "dual", 4: "primal"}


@dataclass
class Sum:
    """Time and work of a phase, in nanoseconds. `threads` has the time that each thread worked, without waiting."""

    time: float = 0.0
    threads: dict[int, float] = field(default_factory=dict)
    calls: int = 0
    rows: int = 0
    entries: int = 0
    cg_steps: int = 0
    retried: int = 0
    flops: float = 0.0
    bytes: float = 0.0

    def busy(self, thread: int, time: float) -> None:
        self.threads[thread] = self.threads.get(thread, 0.0) + time

    def add(self, other: Sum) -> None:
        self.time += other.time
        for thread, time_of_thread in other.threads.items():
            self.busy(thread, time_of_thread)
        for name in ("calls", "rows", "entries", "cg_steps", "retried", "flops", "bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Call:
    """A call of the core, or a block of Python code. `nested` is the time of the calls inside the block."""

    iteration: int
    side: str
    phase: str
    begin: int
    end: int
    n_threads: int = 1
    nested: int = 0
    spans: NDArray[Any] = field(default_factory=lambda: np.empty(0, SPAN))
    row_classes: NDArray[Any] = field(default_factory=lambda: np.empty(0, ROW_CLASS))

    def sums(self) -> dict[str, Sum]:
        """The sums by phase; their times add up to the time of the call without `nested`."""
        whole = float(self.end - self.begin - self.nested)
        parts: dict[str, Sum] = {}
        for number in np.unique(self.spans["phase"]) if self.phase != "core" else ():
            spans = self.spans[self.spans["phase"] == number]
            part = parts[PHASES[number]] = Sum(calls=1)
            for thread in np.unique(spans["thread"]):
                own = spans[spans["thread"] == thread]
                part.busy(int(thread), float(np.sum(own["end"] - own["begin"])))
            for name in ("rows", "entries", "flops", "bytes"):
                setattr(part, name, spans[name].sum().item())
            part.time = float(spans["end"].max() - spans["begin"].min())
        if "solve" in parts:
            parts |= self._solvers(parts.pop("solve"))
        own_part = parts.setdefault("other" if self.phase == "solve" else self.phase, Sum())
        own_part.calls = 1
        own_part.time += whole - sum(part.time for part in parts.values())
        return parts

    def _solvers(self, region: Sum) -> dict[str, Sum]:
        """Divides a phase that solves rows into gathering, solvers, waiting and the rest; times are means over threads."""
        n = self.n_threads
        parts = {"gather": Sum()} | {name: Sum() for name in SOLVERS.values()}
        for row in self.row_classes:
            gather, part, thread = parts["gather"], parts[SOLVERS[int(row["solver"])]], int(row["thread"])
            gather.busy(thread, float(row["gather_time"]))
            part.busy(thread, float(row["solve_time"]))
            for to, name in ((gather, "gather"), (part, "solve")):
                to.time += float(row[f"{name}_time"]) / n
                to.flops += float(row[f"{name}_flops"])
                to.bytes += float(row[f"{name}_bytes"])
                to.rows += int(row["rows"])
                to.entries += int(row["entries"])
            part.cg_steps += int(row["cg_steps"])
            part.retried += int(row["retried"])
        busy = sum(region.threads.values()) / n
        parts["wait"] = Sum(max(0.0, region.time - busy))
        parts["other"] = Sum(region.time - sum(part.time for part in parts.values()))
        for part in parts.values():
            part.calls = 1
        return {name: part for name, part in parts.items() if part.time or name == "other"}
