"""Locks on files, or on single bytes of files. A lock excludes other processes and the other threads of this process.

A lock is released at the end of its block. If the process dies in the block, the lock remains until all child
processes that were forked in the block have ended. Then the system releases it. On some filesystems (SMB), other processes
cannot read or write a locked byte; on Windows they never can. Callers therefore lock bytes far behind the end of the file,
where nothing is stored, and one such byte stands for the whole file. On Windows a lock moves the position at which the
descriptor reads, so a descriptor that locks should not read or write.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from . import system

_held: set[tuple[int, int, int | None]] = set()  # (device, inode, byte) of each lock that this process holds
_changed = threading.Condition()


@contextmanager
def locked(file: int, byte: int | None, wait: bool) -> Iterator[bool]:
    """Locks one byte of an open, writable file in this block, or the whole file (None), and yields whether that worked.

    A file is locked either as a whole or by bytes, never both.

    If another process or thread holds the lock, `wait` decides: true waits for the lock, false yields False at once.
    """
    status, process = os.fstat(file), os.getpid()
    key = (status.st_dev, status.st_ino, byte)
    with _changed:
        free = _changed.wait_for(lambda: key not in _held) if wait else key not in _held
        if free:
            _held.add(key)
    if not free:
        yield False
        return
    try:
        if not system.lock(file, byte, wait):
            yield False
            return
        try:
            yield True
        finally:
            if os.getpid() == process:  # a forked child shares the open file and would release its parent's lock
                system.unlock(file, byte)
    finally:
        with _changed:
            _held.discard(key)
            _changed.notify_all()


def _after_fork() -> None:
    """Forgets the locks in `_held`: they belong to the parent, whose other threads do not exist in the child."""
    global _changed
    _held.clear()
    _changed = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
