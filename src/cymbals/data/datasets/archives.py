"""Copies single files out of zip and tar.gz archives.

The caller names each file and where to write it. Paths in the archive are only compared with these names, so no archive can
write elsewhere. All checksums of an archive are compared: a damaged archive leaves no files.
"""

from __future__ import annotations

import errno
import gzip
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ...base.files import beside
from ...base.format import first_few

_PIECE = 1 << 20
# RuntimeError: damage has set the bit for a password, or the number of an unknown method
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, struct.error, RuntimeError)


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
        (_from_zip if archive.suffix == ".zip" else _from_tar)(archive, targets)
    except BaseException as error:
        for target in targets.values():
            target.unlink(missing_ok=True)
        impossible_position = isinstance(error, OSError) and error.errno == errno.EINVAL
        if isinstance(error, _DAMAGE) or impossible_position:
            raise ValueError(f"{archive}: the archive is damaged: {error}") from error
        raise


def _from_zip(archive: Path, targets: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(archive) as packed:
        _check_names(archive, targets, packed.namelist())
        for name, target in targets.items():
            with packed.open(name) as source:
                _write(source, target)


def _from_tar(archive: Path, targets: Mapping[str, Path]) -> None:
    names = []
    with gzip.open(archive) as unpacked:
        with tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                source = tar.extractfile(member) if member.isreg() else None  # a link could point to any file
                if source is None:
                    continue
                names.append(member.name)
                if member.name in targets:
                    _write(source, targets[member.name])
        while unpacked.read(_PIECE):  # the checksum is behind the last byte
            pass
    _check_names(archive, targets, names)


def _write(source: IO[bytes], target: Path) -> None:
    with beside(target) as part, open(part, "wb") as file:
        shutil.copyfileobj(source, file, _PIECE)


def _check_names(archive: Path, wanted: Mapping[str, Path], names: list[str]) -> None:
    for name in wanted:
        if name not in names:
            raise ValueError(f"{archive}: the archive has no file {name}; it has {first_few(names)}")
