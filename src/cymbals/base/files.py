"""Writing beside a file and renaming, so that it is the old one or the new one, never half of one.

A part file, which is not finished yet, has a name that begins with the target's, and is locked by its writer. One that is
not locked was left by a writer that was killed: whoever writes the same target next removes it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .locks import locked

_ACL = "system.posix_acl_access"
_LIVE = 2**40  # the byte of a part file that its writer locks


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises OSError where `path` cannot be written: before minutes of work, not after them."""
    target = Path(os.path.realpath(path))  # through links, to what they point at
    if not target.parent.is_dir() or not _allowed(target.parent, os.W_OK | os.X_OK):
        raise OSError(f"cannot write {path}: {target.parent} is no folder that can be written to")
    try:
        found = target.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"cannot write {path}: it is no regular file; name one, or a new one")
    if not found.st_mode & 0o222 or not _allowed(target, os.W_OK):  # the mode as well: root is allowed anything
        raise PermissionError(
            f"cannot write {path}: it is write-protected; allow it (chmod u+w), or save under another name"
        )
    if found.st_nlink > 1:
        raise OSError(
            f"cannot write {path}: it has {found.st_nlink} hard links, and only this one would become the new file; "
            "unlink it first, or save under another name"
        )


def _allowed(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


@contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields an empty file in `path`'s folder, which takes its place when the block ends and is gone if it raises.

    It gets the permissions of the file that it replaces, and nobody can read it before it is finished who could not read
    that one. A new file gets the usual permissions, those that the umask or the folder's access control list leaves.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    _remove_stale(target)
    with _part_of(target) as (part, file):
        try:
            yield part
            _keep_access(target, file)
            os.fsync(file)
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _sync_folder(target.parent)


@contextmanager
def _part_of(target: Path) -> Iterator[tuple[Path, int]]:
    """A new part file, open and locked."""
    mode = 0o600 if target.exists() else 0o666  # the kernel applies the umask
    while True:
        part = target.with_name(f"{_beginning(target)}{secrets.token_hex(8)}.part")
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with ExitStack() as stack:
            stack.callback(os.close, file)
            try:
                mine = stack.enter_context(locked(file, _LIVE, wait=False))
            except OSError:  # a filesystem without locks, where nobody can take this file for a stale one
                mine = True
            if mine and os.fstat(file).st_nlink:
                yield part, file
                return
        # another writer found the file before it was locked, and removes it


def _beginning(target: Path) -> str:
    """How the names of a target's part files begin; short enough for a name of at most 255 bytes."""
    return f".{target.name[:40]}.cymbals-"


def _remove_stale(target: Path) -> None:
    """Removes the part files of a target that no writer has locked.

    Those of another machine look so on a network mount that keeps locks to itself (nolock). Their writer then fails, and
    the old file stays.
    """
    part = re.compile(re.escape(_beginning(target)) + r"[0-9a-f]{16}\.part")
    try:
        with os.scandir(target.parent) as entries:
            found = [entry.path for entry in entries if part.fullmatch(entry.name)]
    except PermissionError:  # a folder that can be written to need not be readable
        return
    for name in found:
        with suppress(OSError), ExitStack() as stack:  # gone by now, another user's, or on a filesystem without locks
            file = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
            stack.callback(os.close, file)
            if stack.enter_context(locked(file, _LIVE, wait=False)):
                os.unlink(name)


def _keep_access(target: Path, file: int) -> None:
    """Gives a finished file the owner, the group and the permissions of the one that it replaces.

    Only root may give files away. To anybody else the file belongs afterwards, with the same group. A process that is not
    in that group either leaves the group no more than everybody had.
    """
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    mode, acl = stat.S_IMODE(old.st_mode) & 0o777, _acl_of(target)
    if not _give(file, old.st_uid, old.st_gid) and not _give(file, -1, old.st_gid):
        common = 0 if acl else mode >> 3 & mode & 0o7
        mode, acl = mode & 0o700 | common << 3 | common, None
    if acl:
        os.setxattr(file, _ACL, acl)
    elif hasattr(os, "removexattr"):
        with suppress(OSError):  # none came from the folder
            os.removexattr(file, _ACL)
    os.fchmod(file, mode)


def _give(file: int, owner: int, group: int) -> bool:
    """Sets the owner (-1: leaves it) and the group; False where the process may not."""
    has = os.fstat(file)
    if owner in (-1, has.st_uid) and group == has.st_gid:
        return True
    try:
        os.fchown(file, owner, group)
    except OSError:
        return False
    return True


def _acl_of(path: Path) -> bytes | None:
    """A file's access control list; None where it has none."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(path, _ACL)
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power failure, where the folder can be opened and the filesystem can do it."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(file)
