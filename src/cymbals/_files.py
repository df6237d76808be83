"""Writing beside a file and renaming, so that it is the old one or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises OSError where `path` cannot be written: before minutes of work, not after them."""
    target = Path(os.path.realpath(path))  # through links, to what they point at
    if target.exists() and not target.is_file():
        raise OSError(f"cannot write {path}: it is no regular file; name one, or a new one")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise OSError(f"cannot write {path}: {target.parent} is no folder that can be written to")


@contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields an empty file in `path`'s folder, which takes its place when the block ends and is gone if it raises."""
    check_writable(path)
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(prefix=".cymbals.", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp's files are private; this is a file like any other
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
