"""Locks on single bytes of files. A lock excludes other processes and the other threads of this process.

A lock is released at the end of its block. If the process dies in the block, the lock remains until all child
processes that were forked in the block have ended. Then the system releases it. On some filesystems (SMB), other processes
cannot read or write a locked byte. Callers therefore lock bytes far behind the end of the file, where nothing is stored.
Only this module uses fcntl.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_held: set[tuple[int, int, int]] = set()  # (device, inode, byte) of each lock that this process holds
_changed = threading.Condition()


@contextmanager
def locked(file: int, byte: int, wait: bool) -> Iterator[bool]:
    """Locks one byte of an open, writable file in this block, and yields whether that worked.

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
        if not _set_lock(file, fcntl.F_WRLCK, byte, wait):
            yield False
            return
        try:
            yield True
        finally:
            if os.getpid() == process:  # a forked child shares the open file and would release its parent's lock
                _set_lock(file, fcntl.F_UNLCK, byte, wait)
    finally:
        with _changed:
            _held.discard(key)
            _changed.notify_all()


def _set_lock(file: int, kind: int, byte: int, wait: bool) -> bool:
    """Locks or unlocks a byte; returns False if another process holds the lock.

    A POSIX record lock belongs to the process, and is lost as soon as any thread closes the same file. Linux also has locks
    that belong to the open file (OFD), so these are tried first. With record locks (other systems, gVisor) `_held` still
    excludes the other threads of this process.
    """
    try:
        if sys.platform == "linux":
            try:
                command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
                fcntl.fcntl(file, command, struct.pack("hhqqi", kind, os.SEEK_SET, byte, 1, 0))
                return True
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        operation = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
        fcntl.lockf(file, operation, 1, byte)
    except BlockingIOError:
        return False
    return True


def _after_fork() -> None:
    """Forgets the locks in `_held`: they belong to the parent, whose other threads do not exist in the child."""
    global _changed
    _held.clear()
    _changed = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
