"""Replaces a file as a whole: readers see the complete old file or the complete new file.

The new content goes to a part file in the same folder, which is then renamed. The name of a part file contains the
beginning of the target's name and a checksum of it. The writer of a part file keeps it locked. A part file without a lock
is left over from a writer that was killed, and the next writer of the same target removes it.

On Windows, a file that a process has mapped is first renamed to an old file. Between the two renames there is no target, so
old files are removed only after a new target has got its name.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from . import system
from .locks import locked

_ACL = "system.posix_acl_access"
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)  # Windows has no O_NOFOLLOW


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises OSError if `path` cannot be written. Called before the work starts, so that no result is lost."""
    target = Path(os.path.realpath(path))  # the file itself, if `path` is a symbolic link
    if not target.parent.is_dir() or not _allowed(target.parent, os.W_OK | os.X_OK):
        raise OSError(f"cannot write {path}: {target.parent} must be a folder that you can write to")
    try:
        found = target.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"cannot write {path}: it is not a regular file; give the path of a regular or a new file")
    # root may write to write-protected files, so os.access alone does not find them
    if not found.st_mode & 0o222 or not _allowed(target, os.W_OK):
        raise PermissionError(
            f"cannot write {path}: it is write-protected; make it writable (chmod u+w), or save under another name"
        )
    if found.st_nlink > 1:
        raise OSError(
            f"cannot write {path}: it has {found.st_nlink} hard links, and the other links would keep the old content; "
            "unlink it first, or save under another name"
        )


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


@contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields the path of an empty part file, which replaces `path` at the end of the block.

    If the block raises, the part file is removed and `path` stays as it was. The new file gets the permissions of the file
    that it replaces; until then only the owner can read it. If there was no file, the new one gets the usual permissions,
    from the umask or the folder's access control list.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    _remove_stale(target, "part")
    with _new_part_file(target) as (part, file):
        try:
            yield part
            _copy_access(target, file)
            os.fsync(file)
            system.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _remove_stale(target, "old")
    _sync_folder(target.parent)


@contextmanager
def _new_part_file(target: Path) -> Iterator[tuple[Path, int]]:
    """Yields the path and the descriptor of a new part file, which is locked."""
    # The part file of a new target gets the permissions of any new file: 0o666 without the bits of the umask. If the target
    # exists, only the user who writes the part file may read it, until `_copy_access` copies the target's permissions.
    mode = 0o600 if target.exists() else 0o666
    while True:
        part = target.with_name(f"{_part_prefix(target)}{secrets.token_hex(8)}.part")
        file = system.open_file(part, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
        with ExitStack() as stack:
            stack.callback(os.close, file)
            try:
                is_locked = stack.enter_context(locked(file, None, wait=False))
            except OSError:  # this filesystem has no locks, so no writer removes part files from it
                is_locked = True
            if is_locked and os.fstat(file).st_nlink:
                yield part, file
                return
        # another writer found the file before it was locked, and removes it: try again with a new name


def _part_prefix(target: Path) -> str:
    """Beginning of the names of a target's part files.

    Filesystems allow at most 255 bytes in a name, so it contains only the first letters of the target's name, and a
    checksum of the whole name.
    """
    return f".{target.name[:40]}.cymbals-{zlib.crc32(os.fsencode(target.name)):08x}-"


def _remove_stale(target: Path, kind: str) -> None:
    """Removes the part files of a target ("part"), or what it was before ("old"), except files that a writer has locked.

    On a network mount with the option nolock, a process cannot see the locks of other machines. It then also removes a part
    file that another machine is writing. The writer on that machine fails, and the old target stays.
    """
    part = re.compile(re.escape(_part_prefix(target)) + rf"[0-9a-f]{{16}}\.{kind}")
    try:
        with os.scandir(target.parent) as entries:
            found = [entry.path for entry in entries if part.fullmatch(entry.name)]
    except PermissionError:  # a folder can be writable without being readable
        return
    for name in found:
        with suppress(OSError), ExitStack() as stack:  # already removed, owned by another user, or no locks here
            file = system.open_file(name, _FLAGS)
            stack.callback(os.close, file)
            if stack.enter_context(locked(file, None, wait=False)):
                os.unlink(name)


def _copy_access(target: Path, file: int) -> None:
    """Gives a finished part file the owner, the group and the permissions of the file that it replaces.

    Only root can set another owner. If another user writes, the new file belongs to that user, and it gets the old group if
    the user is in that group. If not, the new file keeps the user's own group. In this case the group and all other
    users get only those permissions that the old file gave both to its group and to all others. If the old file had an
    access control list, they get no permissions.
    """
    if not hasattr(os, "fchown"):  # on Windows, the permissions come from the folder
        return
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    mode, acl = stat.S_IMODE(old.st_mode) & 0o777, _acl_of(target)
    if not _set_owner(file, old.st_uid, old.st_gid) and not _set_owner(file, -1, old.st_gid):
        common = 0 if acl else mode >> 3 & mode & 0o7
        mode, acl = mode & 0o700 | common << 3 | common, None
    if acl:
        os.setxattr(file, _ACL, acl)
    elif hasattr(os, "removexattr"):
        with suppress(OSError):  # the file has no access control list
            os.removexattr(file, _ACL)
    os.fchmod(file, mode)


def _set_owner(file: int, owner: int, group: int) -> bool:
    """Sets the owner (-1: no change) and the group; returns False if the process is not allowed to."""
    current = os.fstat(file)
    if owner in (-1, current.st_uid) and group == current.st_gid:
        return True
    try:
        os.fchown(file, owner, group)
    except OSError:
        return False
    return True


def _acl_of(path: Path) -> bytes | None:
    """A file's access control list; None if it has none."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        return os.getxattr(path, _ACL)
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power failure, if the folder can be opened and the filesystem supports it."""
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
