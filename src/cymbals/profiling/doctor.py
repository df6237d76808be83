"""What cymbals found on this machine, and why it works the way it does here."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import scipy
import threadpoolctl

from .._core import abi_version, compiler, simd_name, version
from .._core import measure_peaks as core_peaks
from ..base.threads import default as default_threads
from ..base.threads import resolve

_SETS = {1: "baseline", 2: "avx2", 3: "avx512"}


def simd() -> str:
    """The instruction set in use: "baseline" (SSE2, NEON), "avx2" or "avx512".

    The best that this machine has, or what ``CYMBALS_SIMD`` asked for when the library first ran.

    Raises
    ------
    RuntimeError
        ``CYMBALS_SIMD`` asks for something unknown, or that this machine lacks.

    Examples
    --------
    >>> import cymbals
    >>> cymbals.simd() in ("baseline", "avx2", "avx512")
    True
    """
    try:
        return simd_name()
    except RuntimeError:
        wish = os.environ.get("CYMBALS_SIMD")
        raise RuntimeError(
            f"CYMBALS_SIMD={wish!r}: this machine has {', '.join(supported())}; unset it or name one of these"
        ) from None


def supported() -> dict[str, int]:
    """Instruction sets that run here, and their numbers."""
    found = {}
    for number, name in _SETS.items():
        try:
            simd_name(number)
        except RuntimeError:
            continue
        found[name] = number
    return found


def doctor(peaks: bool = False) -> dict[str, Any]:
    """Version, instruction set, threads and why, compiler, OpenMP and BLAS libraries.

    Parameters
    ----------
    peaks : bool
        Also measure what this machine does at most with the default threads, in float32: multiply-adds in registers
        ("peak_multiply_adds", 1e9 a second), the second-level cache and memory read in order ("peak_near",
        "peak_stream", GB/s), and rows of 256 bytes read at random from 256 MB ("peak_gather", GB/s). Takes some
        seconds; the rest of the machine should be quiet.

    Returns
    -------
    dict
        Plain values, ready for JSON.

    Examples
    --------
    >>> import cymbals
    >>> cymbals.doctor()["version"] == cymbals.__version__
    True
    """
    count, why = default_threads()
    pools = threadpoolctl.threadpool_info()
    name = simd()
    facts: dict[str, Any] = {
        "version": version(),
        "abi_version": abi_version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "platform": platform.platform(),
        "simd": name,
        "simd_supported": list(supported()),
        "simd_reason": "CYMBALS_SIMD" if os.environ.get("CYMBALS_SIMD") else "best that this machine has",
        "threads": count,
        "threads_reason": why,
        "cpus": os.cpu_count(),
        "compiler": compiler(),
        "openmp": sorted({p["filepath"] for p in pools if p["user_api"] == "openmp"}),
        "blas": sorted({p["filepath"] for p in pools if p["user_api"] == "blas"}),
    }
    if peaks:
        facts |= {f"peak_{name}": limit for name, limit in measure_peaks(resolve(None)).items()}
    return facts


def measure_peaks(n_threads: int) -> dict[str, float]:
    """What this machine does at most: multiply_adds (1e9 a second), near, stream and gather (GB/s); see `doctor`."""
    multiply_adds, near, stream, gather = core_peaks(n_threads)
    limits = {"multiply_adds": multiply_adds, "near": near, "stream": stream, "gather": gather * 256}
    return {name: limit / 1e9 for name, limit in limits.items()}
