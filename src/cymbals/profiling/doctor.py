"""Facts about this machine that decide how cymbals runs: instruction set, threads, libraries, measured peaks."""

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
    """The instruction set in use: "baseline" (SSE2 or NEON), "avx2" or "avx512".

    Call this to check which kernels run, for example before you compare the times or the factors of two machines. By
    default it is the best set that this machine has. The environment variable ``CYMBALS_SIMD`` chooses another one; it is
    read once, when the library first runs.

    Returns
    -------
    str

    Raises
    ------
    RuntimeError
        ``CYMBALS_SIMD`` names an unknown instruction set, or one that this machine lacks.

    Examples
    --------
    >>> import cymbals
    >>> cymbals.simd() in ("baseline", "avx2", "avx512")
    True
    """
    try:
        return simd_name()
    except RuntimeError:
        requested = os.environ.get("CYMBALS_SIMD")
        raise RuntimeError(
            f"CYMBALS_SIMD={requested!r}: this machine has {', '.join(supported())}; unset it or name one of these"
        ) from None


def supported() -> dict[str, int]:
    """The instruction sets that this machine has, with their numbers in ``cymbals.h``."""
    found = {}
    for number, name in _SETS.items():
        try:
            simd_name(number)
        except RuntimeError:
            continue
        found[name] = number
    return found


def doctor(peaks: bool = False) -> dict[str, Any]:
    """Facts about this installation: versions, instruction set, threads, compiler, OpenMP and BLAS libraries.

    Call this when cymbals is slower than expected, and add its output to bug reports. "simd_reason" and "threads_reason"
    say which limit or variable decided.

    Parameters
    ----------
    peaks : bool
        Also measure the peak rates of this machine, in float32 with the default number of threads: multiply-adds in
        registers ("peak_multiply_adds", 1e9 a second); sequential reads from the second-level cache ("peak_near", GB/s) and
        from memory ("peak_stream", GB/s); random reads of 256-byte rows from 256 MB ("peak_gather", GB/s). This takes some
        seconds. No other program should be busy meanwhile.

    Returns
    -------
    dict
        Strings, numbers and lists, which ``json.dumps`` takes.

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
    """Peak rates of this machine: multiply_adds (1e9 a second); near, stream and gather (GB/s). `doctor` explains them."""
    multiply_adds, near, stream, gather = core_peaks(n_threads)
    limits = {"multiply_adds": multiply_adds, "near": near, "stream": stream, "gather": gather * 256}
    return {name: limit / 1e9 for name, limit in limits.items()}
