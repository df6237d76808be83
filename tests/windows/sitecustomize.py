"""Makes Python on Linux look like Python on Windows: no fcntl, no os.pread, no fork, but msvcrt and CreateFileW.

    PYTHONPATH=tests/windows pytest tests/choose/test_journal.py

Python imports this module at its start, so the processes that a test starts look like Windows too. The locks are real locks
of the system, and exclude other processes. What Linux and Windows do differently stays untested: above all, Windows
refuses to rename or remove a file that a process has opened without sharing.
"""

import ctypes
import errno
import fcntl
import multiprocessing.util  # noqa: F401  (the standard library itself keeps the modules of this system)
import os
import shutil
import struct
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
import types

HIDDEN_MODULES = ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty")
HIDDEN = """
O_NOFOLLOW O_NONBLOCK chown fchmod fchown fork geteuid getgroups getxattr mkfifo pread pwrite
register_at_fork removexattr sched_getaffinity sched_setaffinity setegid seteuid setgroups setxattr
"""

_last_error = 0
_ERRORS = {errno.ENOENT: 2, errno.EACCES: 5, errno.EISDIR: 5, errno.EEXIST: 80, errno.ENOTDIR: 3}  # as Windows numbers them
_KINDS = {2: errno.ENOENT, 3: errno.ENOENT, 5: errno.EACCES, 80: errno.EEXIST}
_open = os.open


def _create_file(path, access, share, security, create, attributes, template):
    """CreateFileW: returns a descriptor as the handle. -1 means an error, which GetLastError then tells."""
    global _last_error
    assert share == 7, "other processes must be able to rename the file"
    assert (security, attributes, template) == (None, 0, None)
    flags = {1: os.O_CREAT | os.O_EXCL, 3: 0, 4: os.O_CREAT}[create] | os.O_CLOEXEC
    try:
        return _open(path, flags | (os.O_RDWR if access & 0x40000000 else os.O_RDONLY), 0o666)
    except OSError as error:
        _last_error = _ERRORS.get(error.errno, 31)
        return ctypes.c_void_p(-1).value


def _open_osfhandle(handle, flags):
    if flags & os.O_APPEND:
        fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) | os.O_APPEND)
    return handle


def _locking(file, mode, n_bytes):
    """msvcrt.locking: locks bytes from the descriptor's position on. The lock belongs to the open file."""
    kind = {0: fcntl.F_UNLCK, 2: fcntl.F_WRLCK}[mode]
    lock = struct.pack("hhqqi", kind, os.SEEK_SET, os.lseek(file, 0, os.SEEK_CUR), n_bytes, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


class _Kernel32:
    def __init__(self, name, use_last_error):
        assert (name, use_last_error) == ("kernel32", True)
        self.CreateFileW = types.FunctionType(_create_file.__code__, globals())


def install():
    for name in HIDDEN_MODULES:
        sys.modules[name] = None
    for name in HIDDEN.split():
        if hasattr(os, name):
            delattr(os, name)
    os.O_BINARY = 0
    shutil._use_fd_functions, shutil._rmtree_impl = False, getattr(shutil, "_rmtree_unsafe", None)
    os.supports_effective_ids = set()
    sys.modules["msvcrt"] = types.ModuleType("msvcrt")
    vars(sys.modules["msvcrt"]).update(LK_UNLCK=0, LK_NBLCK=2, locking=_locking, open_osfhandle=_open_osfhandle)
    ctypes.WinDLL = _Kernel32
    ctypes.get_last_error = lambda: _last_error
    ctypes.WinError = lambda code: OSError(_KINDS.get(code, errno.EIO), os.strerror(_KINDS.get(code, errno.EIO)))


install()
