"""A lock for data that several threads of one process replace.

In a forked child the lock is free, even if a thread of the parent held it during the fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType


class Writing:
    """A reentrant lock, used as ``with writing:`` around code that reads a shared value and then replaces it.

    Without the lock a second thread could replace the value between the two steps, and one of the changes would be lost.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()


_all: weakref.WeakSet[Writing] = weakref.WeakSet()


def _after_fork() -> None:
    """Replaces all locks: in the child, no thread would release a lock that another thread of the parent held."""
    for writing in list(_all):
        writing._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
