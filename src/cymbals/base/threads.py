"""How many threads a call uses: the number that the caller passes, else the default.

A process uses one thread if it was forked after its parent used several: libgomp cannot run in parallel in such a child.
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

MOST = 4096  # threads in one call

_parallel_ran = False
_forked_after_parallel = False
_warned = _warned_of_fewer = False
_blas_lock = threading.Lock()
_blas: threadpoolctl.ThreadpoolController | None = None


def threads() -> int:
    """Number of threads that a call uses when its `n_threads` is None.

    Call this to see the default before you set ``n_threads`` or an environment variable. The number is
    ``CYMBALS_NUM_THREADS`` if that is set, else ``OMP_NUM_THREADS``, else the number of CPUs that the CPU affinity and the
    cgroup quota of this process allow. It is looked up at each call.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        ``CYMBALS_NUM_THREADS`` or ``OMP_NUM_THREADS`` is not a whole number from 1 to 4096.

    Examples
    --------
    >>> import cymbals
    >>> cymbals.threads() >= 1
    True
    """
    return default()[0]


def default() -> tuple[int, str]:
    """The default number of threads, and the variable or limit that sets it."""
    for variable in ("CYMBALS_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(variable, "").strip()
        if variable == "OMP_NUM_THREADS":
            value = value.split(",")[0].strip()  # OpenMP allows a list: one number for each nesting level
        if not value:
            continue
        if not (value.isascii() and value.isdigit()) or not 1 <= int(value) <= MOST:
            raise ValueError(f"{variable}={value!r}: must be a whole number from 1 to {MOST}; change or unset it")
        return int(value), variable
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    if quota is not None and quota < cpus:
        return quota, "cgroup CPU quota"
    return cpus, "CPUs this process may run on"


def resolve(n_threads: int | None) -> int:
    """The checked number of threads for one call. It is 1 in a process that was forked after a parallel call."""
    global _parallel_ran, _warned
    n = threads() if n_threads is None else whole_number("n_threads", n_threads, 1, MOST)
    if _forked_after_parallel:
        if not _warned:
            _warned = True
            warnings.warn(
                "this process was forked after cymbals had used several threads, so cymbals uses one thread here; "
                "to use more, start processes with multiprocessing's 'spawn' or 'forkserver' method",
                RuntimeWarning,
                stacklevel=3,
            )
        return 1
    if n > 1:
        _parallel_ran = True
    return n


def warn_of_fewer(started: int, asked: int) -> None:
    """Warns, once for each process, that the system refused to start some of the threads."""
    global _warned_of_fewer
    if not _warned_of_fewer:
        _warned_of_fewer = True
        warnings.warn(
            f"only {started} of {asked} threads can be started here, so cymbals uses {started}: raise the limit on "
            f"processes or memory, or set CYMBALS_NUM_THREADS to {started} or less",
            RuntimeWarning,
            stacklevel=2,
        )


def _after_fork() -> None:
    global _forked_after_parallel, _blas_lock, _warned, _warned_of_fewer
    _forked_after_parallel = _parallel_ran or _forked_after_parallel
    _warned = _warned_of_fewer = False
    _blas_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Limits BLAS to one thread in this block, because LAPACK's results depend on the number of BLAS threads, and because
    several threads take longer for small matrices.

    Only one thread at a time can be in such a block; others wait.
    """
    global _blas
    with _blas_lock:
        if _blas is None:
            np.linalg.eigh(np.eye(2))  # loads BLAS: threadpoolctl finds loaded libraries only
            _blas = threadpoolctl.ThreadpoolController()
        with _blas.limit(limits=1, user_api="blas"):
            yield


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """Number of CPUs that the cgroup quota allows, rounded up; None without a quota.

    Reads cgroup versions 1 and 2. A parent group can have a lower quota, so all groups up to the root are read.
    """
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
        # In a container, `group` can be a path of the host. Its folders then do not exist in the container, and only the
        # quota in the folder `base` can be read.
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
