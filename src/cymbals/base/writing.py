"""One writer at a time for what several threads share. A forked child is free to write at once."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType


class Writing:
    """Held by the thread that replaces something: it reads what it will replace, and replaces it, before another does."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()


_all: weakref.WeakSet[Writing] = weakref.WeakSet()


def _after_fork() -> None:
    """A thread of the parent that was writing is not in the child, and would hold the lock for ever."""
    for writing in list(_all):
        writing._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
