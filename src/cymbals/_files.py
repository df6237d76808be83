"""Writing beside a file and renaming, so that it is the old one or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields an empty file in `path`'s folder, which takes its place when the block ends and is gone if it raises."""
    target = Path(os.path.realpath(path))  # through links, to what they point at
    if target.exists() and not target.is_file():
        raise OSError(f"{path} is no regular file; name one, or a new one")
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
