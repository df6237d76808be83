"""Locks and files on Linux and macOS. `system` chooses between this module and `windows`, which has the same functions."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """Opens a file as os.open does, and returns its descriptor."""
    return os.open(path, flags, mode)


def read_from(file: int, begin: int) -> bytes:
    """The bytes of a file from a position to its end. The descriptor's own position, which forked children share, stays."""
    parts = []
    while part := os.pread(file, 2**20, begin):
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


def replace(new: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Renames `new` to `target`, whose old content is then gone."""
    os.replace(new, target)


def lock(file: int, byte: int, wait: bool) -> bool:
    """Locks a byte of a file; returns False if another process holds the lock and `wait` is false."""
    return _set_lock(file, fcntl.F_WRLCK, byte, wait)


def unlock(file: int, byte: int) -> None:
    """Releases a lock of this process."""
    _set_lock(file, fcntl.F_UNLCK, byte, True)


def _set_lock(file: int, kind: int, byte: int, wait: bool) -> bool:
    """Locks or unlocks a byte; returns False if another process holds the lock.

    A POSIX record lock belongs to the process, and is lost as soon as any thread closes the same file. Linux also has locks
    that belong to the open file (OFD), so these are tried first. Other systems, and gVisor, have record locks only.
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
