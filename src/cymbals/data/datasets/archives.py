"""Copies single files out of zip and tar.gz archives.

The caller names each file and where to write it. Paths in the archive are only compared with these names, so no archive can
write elsewhere.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from ...base.files import beside
from ...base.format import first_few

_Opener = Callable[[str], IO[bytes]]


def copy_out(archive: Path, targets: Mapping[str, Path]) -> None:
    """Write files of an archive.

    Parameters
    ----------
    archive : Path
        A name that ends in .zip means a zip archive; all others are tar.gz.
    targets : mapping of str to Path
        The name of each wanted file in the archive, and the path to write it to.

    Raises
    ------
    ValueError
        The archive is damaged, or lacks one of the files.
    """
    try:
        with _opened(archive) as open_member:
            for name, target in targets.items():
                with open_member(name) as source, beside(target) as part, open(part, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{archive}: the archive is damaged: {error}") from error


@contextmanager
def _opened(archive: Path) -> Iterator[_Opener]:
    """A function that opens a file of the archive by its name."""
    with ExitStack() as stack:
        if archive.suffix == ".zip":
            packed = stack.enter_context(zipfile.ZipFile(archive))
            yield lambda name: packed.open(_known(archive, name, packed.namelist()))
        else:
            tar = stack.enter_context(tarfile.open(archive, "r:gz"))
            # Only regular files: a link can point to any file of this machine.
            files = {member.name.removeprefix("./"): member for member in tar if member.isreg()}
            yield lambda name: tar.extractfile(files[_known(archive, name, list(files))])  # type: ignore[return-value]


def _known(archive: Path, name: str, names: list[str]) -> str:
    if name not in names:
        raise ValueError(f"{archive}: the archive has no file {name}; it has {first_few(names)}")
    return name
