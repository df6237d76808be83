"""Locks on single bytes of files, which exclude other processes and other threads of this one.

A lock ends with the block that holds it, or with its process and the children that were forked inside the block.

The only module that knows fcntl. Locked bytes may lie far behind a file's end: where locks are mandatory (SMB), they then
keep nobody from reading or writing the file.
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

_held: set[tuple[int, int, int]] = set()  # device, inode and byte of each lock that a thread of this process holds
_changed = threading.Condition()


@contextmanager
def locked(file: int, byte: int, wait: bool) -> Iterator[bool]:
    """Yields whether `byte` of an open, writable file is locked for this block; with `wait` it is, sooner or later."""
    status, process = os.fstat(file), os.getpid()
    mine = (status.st_dev, status.st_ino, byte)
    with _changed:
        free = _changed.wait_for(lambda: mine not in _held) if wait else mine not in _held
        if free:
            _held.add(mine)
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
            if os.getpid() == process:  # a forked child shares the open file, and would unlock it for its parent
                _set_lock(file, fcntl.F_UNLCK, byte, wait)
    finally:
        with _changed:
            _held.discard(mine)
            _changed.notify_all()


def _set_lock(file: int, kind: int, byte: int, wait: bool) -> bool:
    """Locks or unlocks a byte; False where another process has it.

    Linux ties the lock to the open file: a record lock of POSIX is lost as soon as any thread closes the same file. Where
    there are only those (other systems, gVisor), `_held` still excludes this process's other threads.
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
    """The parent's threads, which hold what is in `_held`, do not exist in the child."""
    global _changed
    _held.clear()
    _changed = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
