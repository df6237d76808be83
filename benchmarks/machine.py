"""Names the processor that a benchmark ran on, because its figures mean little without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import cymbals


def machine() -> str:
    """The processor, its instruction set in use, and the number of CPUs. The family tells generations of one name apart."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = found.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in found:
        name += f" (family {found['cpu family']}, model {found['model']})"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cymbals.simd()}, {cpus} CPUs"
