"""Locks and files on Linux and macOS. `system` chooses between this module and `windows`, which has the same functions."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys

_WHOLE = 2**40  # this byte stands for the whole file


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


def lock(file: int, byte: int | None, wait: bool) -> bool:
    """Locks a byte of a file, or the whole file (None). False if another process has the lock and `wait` is false."""
    return _set_lock(file, fcntl.F_WRLCK, byte, wait)


def unlock(file: int, byte: int | None) -> None:
    """Releases a lock of this process."""
    _set_lock(file, fcntl.F_UNLCK, byte, True)


def _set_lock(file: int, kind: int, byte: int | None, wait: bool) -> bool:
    """Locks or unlocks; returns False if another process holds the lock.

    Linux and macOS have locks on bytes that belong to the open file (OFD). gVisor and some network filesystems have none.
    There, whole files are locked by flock, and bytes by POSIX record locks. A record lock belongs to the process, which
    loses it as soon as any of its threads opens and closes the same file.
    """
    try:
        try:
            fcntl.fcntl(file, _ofd_commands()[wait], _flock(kind, _WHOLE if byte is None else byte))
            return True
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
                raise
        operation = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
        if byte is None:
            fcntl.flock(file, operation)
        else:
            fcntl.lockf(file, operation, 1, byte)
    except BlockingIOError:
        return False
    return True


def _ofd_commands() -> tuple[int, int]:
    """The commands of fcntl that lock without and with waiting. Python for macOS can lack the names of these numbers."""
    return getattr(fcntl, "F_OFD_SETLK", 90), getattr(fcntl, "F_OFD_SETLKW", 91)


def _flock(kind: int, byte: int) -> bytes:
    """The C structure `flock` for one byte."""
    if sys.platform == "darwin":
        return struct.pack("qqihh", byte, 1, 0, kind, os.SEEK_SET)
    return struct.pack("hhqqi", kind, os.SEEK_SET, byte, 1, 0)
