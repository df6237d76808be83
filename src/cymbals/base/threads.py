"""How many threads a call uses: what was asked for, or what this process may use.

libgomp does not survive a fork once it has run in parallel, so a child forked after that works on one thread.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import threadpoolctl

from .checks import whole_number

MOST = 4096  # threads of a call

_parallel_ran = False
_forked_after_parallel = False
_warned = _warned_of_fewer = False
_blas_lock = threading.Lock()
_blas: threadpoolctl.ThreadpoolController | None = None


def threads() -> int:
    """Number of threads that calls use by default.

    Read anew at every call: ``CYMBALS_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the CPUs this process may use by
    its affinity and its cgroup's quota.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import cymbals
    >>> cymbals.threads() >= 1
    True
    """
    return default()[0]


def default() -> tuple[int, str]:
    """The default number of threads, and where it comes from."""
    for variable in ("CYMBALS_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(variable, "").strip()
        if variable == "OMP_NUM_THREADS":
            value = value.split(",")[0].strip()  # OpenMP allows a list, one number a nesting level
        if not value:
            continue
        if not (value.isascii() and value.isdigit()) or not 1 <= int(value) <= MOST:
            raise ValueError(f"{variable}={value!r}: must be a whole number from 1 to {MOST}; unset it or set it so")
        return int(value), variable
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    if quota is not None and quota < cpus:
        return quota, "cgroup CPU quota"
    return cpus, "CPUs this process may run on"


def resolve(n_threads: int | None) -> int:
    """The number of threads for one call, checked; 1 in a process forked after a parallel call."""
    global _parallel_ran, _warned
    n = threads() if n_threads is None else whole_number("n_threads", n_threads, 1, MOST)
    if _forked_after_parallel:
        if not _warned:
            _warned = True
            warnings.warn(
                "this process was forked after cymbals had worked in parallel; it uses one thread from here on "
                "(start workers with the 'spawn' or 'forkserver' method to use more)",
                RuntimeWarning,
                stacklevel=3,
            )
        return 1
    if n > 1:
        _parallel_ran = True
    return n


def warn_of_fewer(started: int, asked: int) -> None:
    """Say once that the system refused to start some of the threads asked for."""
    global _warned_of_fewer
    if not _warned_of_fewer:
        _warned_of_fewer = True
        warnings.warn(
            f"only {started} of {asked} threads can be started here, so cymbals goes on with {started}: raise the limit on "
            "processes or memory, or set CYMBALS_NUM_THREADS",
            RuntimeWarning,
            stacklevel=2,
        )


def _after_fork() -> None:
    global _forked_after_parallel, _blas_lock, _warned
    _forked_after_parallel = _parallel_ran or _forked_after_parallel
    _warned = False
    _blas_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """LAPACK's results depend on the number of BLAS threads; inside it is one. One such section at a time."""
    global _blas
    with _blas_lock:
        if _blas is None:
            np.linalg.eigh(np.eye(2))  # loads the library that is to be limited
            _blas = threadpoolctl.ThreadpoolController()
        with _blas.limit(limits=1, user_api="blas"):
            yield


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """CPUs that the cgroup's quota allows, rounded up, or None; version 2 and version 1, each up to its root."""
    quotas = []
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root if not controllers else root / controllers if (root / controllers).is_dir() else root / "cpu"
        # inside a container the path may be the host's: then only the mounted root says something
        folder = base / group.strip("/")
        for place in [folder, *folder.parents]:
            if not place.is_relative_to(base):
                break
            try:
                if controllers:
                    quota = (place / "cpu.cfs_quota_us").read_text().strip()
                    period = (place / "cpu.cfs_period_us").read_text().strip()
                else:
                    quota, period = (place / "cpu.max").read_text().split()
                if quota not in ("max", "-1") and int(quota) > 0:
                    quotas.append(max(1, -(-int(quota) // int(period))))
            except (OSError, ValueError):
                continue
    return min(quotas, default=None)
