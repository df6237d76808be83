"""Locks and files on Windows. `system` chooses between this module and `posix`, which has the same functions."""

# mypy: disable-error-code="attr-defined"
# (on other systems, mypy does not know what ctypes and msvcrt define on Windows)

from __future__ import annotations

import ctypes
import errno
import msvcrt
import os
import secrets
import threading
import time
from contextlib import suppress
from ctypes import wintypes

_GENERIC_READ, _GENERIC_WRITE = 0x80000000, 0x40000000
_SHARE_READ, _SHARE_WRITE, _SHARE_DELETE = 1, 2, 4
_CREATE_NEW, _OPEN_EXISTING, _OPEN_ALWAYS = 1, 3, 4
_INVALID_HANDLE = ctypes.c_void_p(-1).value
_WHOLE = 2**40  # this byte stands for the whole file
_POLL = 0.05  # seconds between two tries to get a lock

_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel32.CreateFileW.restype = wintypes.HANDLE
_kernel32.CreateFileW.argtypes = [
    wintypes.LPCWSTR,
    wintypes.DWORD,
    wintypes.DWORD,
    wintypes.LPVOID,
    wintypes.DWORD,
    wintypes.DWORD,
    wintypes.HANDLE,
]
_moving = threading.Lock()  # held while a descriptor stands at the byte that is to be locked


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """Opens a file and returns its descriptor. Other processes can rename and remove the file while it is open.

    `flags` are those of os.open. The permissions come from the folder, so `mode` has no effect.
    """
    access = _GENERIC_READ | (_GENERIC_WRITE if flags & os.O_RDWR else 0)
    create = _CREATE_NEW if flags & os.O_EXCL else _OPEN_ALWAYS if flags & os.O_CREAT else _OPEN_EXISTING
    sharing = _SHARE_READ | _SHARE_WRITE | _SHARE_DELETE
    handle = _kernel32.CreateFileW(os.fspath(path), access, sharing, None, create, 0, None)
    if handle == _INVALID_HANDLE:
        error = ctypes.WinError(ctypes.get_last_error())  # for example FileNotFoundError
        error.filename = os.fspath(path)
        raise error
    return int(msvcrt.open_osfhandle(handle, flags & (os.O_RDWR | os.O_APPEND) | os.O_BINARY))


def read_from(file: int, begin: int) -> bytes:
    """The bytes of a file from a position to its end. One thread at a time may use the descriptor."""
    os.lseek(file, begin, os.SEEK_SET)
    parts = []
    while part := os.read(file, 2**20):
        parts.append(part)
    return b"".join(parts)


def replace(new: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Renames `new` to `target`, whose old content is then gone.

    Windows does not overwrite a file that a process has mapped into its memory, but it can rename such a file. So the old
    file gets a name that ends with .old, and the next writer of the target removes it. Between the two renames, for some
    microseconds, there is no file `target`.
    """
    try:
        os.replace(new, target)
    except PermissionError:
        folder, name = os.path.split(os.fspath(new))
        old = os.path.join(folder, f"{name.rpartition('-')[0]}-{secrets.token_hex(8)}.old")
        os.rename(target, old)
        try:
            os.replace(new, target)  # another process can have written a target in the meantime
        except BaseException:
            with suppress(OSError):  # that other process's target stays
                os.rename(old, target)
            raise
        with suppress(OSError):  # still mapped
            os.unlink(old)


def lock(file: int, byte: int | None, wait: bool) -> bool:
    """Locks a byte of a file, or the whole file (None). False if another process has the lock and `wait` is false.

    msvcrt.locking waits for ten seconds at most, and Ctrl-C does not interrupt it. So it is called without waiting, again
    and again.
    """
    while not _locking(file, msvcrt.LK_NBLCK, byte):
        if not wait:
            return False
        time.sleep(_POLL)
    return True


def unlock(file: int, byte: int | None) -> None:
    """Releases a lock of this process."""
    _locking(file, msvcrt.LK_UNLCK, byte)


def _locking(file: int, mode: int, byte: int | None) -> bool:
    """Calls msvcrt.locking, which locks the byte at the descriptor's position; returns False if another process has it."""
    with _moving:
        os.lseek(file, _WHOLE if byte is None else byte, os.SEEK_SET)
        try:
            msvcrt.locking(file, mode, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
    return True
