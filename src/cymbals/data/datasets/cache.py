"""Keeps the files of data sets in a folder: downloads them once, and checks their checksums whenever they are used.

Each data set has a subfolder and, beside it, a record: where its files came from, and their checksums. The record is
written last, so a data set without a record is not complete. If no file is missing, nothing is written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ...base import system
from ...base.download import UNREACHABLE, Downloader
from ...base.files import beside
from ...base.locks import locked
from ...base.optional import optional
from .archives import copy_out
from .catalog import Dataset, Download

FOLDER, MIRROR = "CYMBALS_CACHE", "CYMBALS_MIRROR"  # environment variables


def ready(dataset: Dataset, folder: str | os.PathLike[str] | None, mirror: str | None, show: bool) -> Path:
    """The folder with the files of a data set. Downloads them if they are not there."""
    root, base = _root(folder), _base(mirror)
    record = root / f"{dataset.name}.json"
    if _complete(dataset, root, record):
        return root / dataset.name
    try:
        (root / dataset.name).mkdir(parents=True, exist_ok=True)
        with _alone(root / f".{dataset.name}.lock", show, f"another process downloads {dataset.name}: waiting for it"):
            if not _complete(dataset, root, record):
                _say(show, f"{dataset.title} ({dataset.size})\nTerms: {dataset.terms}\nSee {dataset.page}")
                _download(dataset, root, record, base, show)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise PermissionError(
            f"cannot write to the folder of data sets, {root}: {error}; name another one with folder= or {FOLDER}"
        ) from error
    return root / dataset.name


def _root(folder: str | os.PathLike[str] | None) -> Path:
    """The folder of all data sets: the argument, or else the environment variable, or else the usual place for caches."""
    chosen = folder if folder is not None else os.environ.get(FOLDER)
    if chosen is not None and not os.fspath(chosen):
        raise ValueError(
            f"{'folder' if folder is not None else FOLDER} is empty; give the path of a folder, or leave it out"
        )
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(_pooch().os_cache("cymbals"), "datasets")


def _base(mirror: str | None) -> str:
    """The address of a mirror: the argument, or else the environment variable. Empty for the publishers' addresses."""
    name = "mirror" if mirror is not None else MIRROR
    chosen = mirror if mirror is not None else os.environ.get(MIRROR, "")
    if chosen and not str(chosen).startswith(("http://", "https://")):
        raise ValueError(f"{name} must be an address that begins with http:// or https://, got {chosen!r}")
    return chosen.rstrip("/")


def _pooch() -> Any:
    return optional("pooch", "fetching data sets")


def _complete(dataset: Dataset, root: Path, record: Path) -> bool:
    """Whether all files are there. Raises ValueError if one has changed since it was written."""
    known = _read(record).get("files", {})
    paths = {name: root / dataset.name / name for name in dataset.files}
    if not all(name in known and path.is_file() for name, path in paths.items()):
        return False
    for name, path in paths.items():
        found = _digest(path, "sha256")
        if found != known[name]:
            raise ValueError(
                f"{path} has changed since it was downloaded: its SHA-256 is {found}, and was {known[name]}; remove the "
                "file to download it again"
            )
    return True


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{record} is damaged: {error}; remove it to download the data set again") from None
    return found if isinstance(found, dict) else {}


@contextmanager
def _alone(path: Path, show: bool, notice: str) -> Iterator[None]:
    """Lets one process at a time into this block; the others wait. On filesystems without locks nobody waits."""
    file = system.open_file(path, os.O_RDWR | os.O_CREAT, 0o666)
    with ExitStack() as stack:
        stack.callback(os.close, file)
        with suppress(OSError):
            for wait in (False, True):
                with ExitStack() as lock:
                    if lock.enter_context(locked(file, None, wait)):
                        stack.enter_context(lock.pop_all())
                        break
                _say(show, notice)
        yield


def _download(dataset: Dataset, root: Path, record: Path, mirror: str, show: bool) -> None:
    """Download and unpack all files of a data set, then write the record."""
    before = _read(record).get("downloads", {})
    downloads, files = {}, {}
    place = root / dataset.name
    for download in dataset.downloads:
        url = f"{mirror}/{dataset.name}/{download.name}" if mirror else download.url
        earlier = before.get(download.name, {}).get("sha256")
        downloads[download.name] = _fetch(download, url, place, earlier, show)
        archive = place / download.name
        if download.members:
            try:
                copy_out(archive, {name: place / target for name, target in download.members.items()})
            finally:
                archive.unlink()
        files.update({name: _digest(place / name, "sha256") for name in download.files})
    with beside(record) as part:
        part.write_text(json.dumps({"downloads": downloads, "files": files}, indent=2) + "\n", encoding="utf-8")


def _fetch(download: Download, url: str, place: Path, earlier: str | None, show: bool) -> dict[str, str]:
    """Download one file and compare its checksum: with its publisher's and with that of an earlier download."""
    pooch = _pooch()
    md5 = _published_md5(f"{url}.md5") if download.md5_beside else None
    target = place / download.name
    target.unlink(missing_ok=True)  # pooch would take an unknown file for a download
    downloader = Downloader(place / f"{download.name}.partial", show)
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(url, md5 and f"md5:{md5}", fname=download.name, path=place, downloader=downloader)
    except ValueError as error:
        if isinstance(error, OSError):  # some errors of requests are both
            raise
        raise ValueError(f"{url}: the file does not have the checksum that its publisher gives: {error}") from None
    found = _digest(target, "sha256")
    if earlier and found != earlier:
        target.unlink()
        raise ValueError(
            f"{url}: the file has changed since an earlier download: its SHA-256 is {found}, and was {earlier}; remove "
            f"{place}.json to accept the new file"
        )
    verdict = f"MD5 {md5}, as its publisher gives it" if md5 else "unverified, because its publisher gives no checksum"
    _say(show, f"{download.name}: {verdict}; SHA-256 {found}")
    return {"url": url, "sha256": found, "checksum": verdict}


def _published_md5(url: str) -> str | None:
    """The MD5 in a publisher's file; None if there is no such file."""
    requests = optional("requests", "fetching data sets")
    try:
        with requests.get(url, timeout=(10, 60)) as answer:
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            text = answer.text
    except requests.RequestException as error:
        raise OSError(f"{url} cannot be read: {error}. {UNREACHABLE}") from error
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if not found:
        raise ValueError(f"{url}: holds no MD5, but {text[:60]!r}")
    return found[0].lower()


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextmanager
def _quiet(logger: Any) -> Iterator[None]:
    """Keeps pooch from printing what this thread does."""
    this = threading.get_ident()

    def other(record: Any) -> bool:
        return bool(record.thread != this)

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def _say(show: bool, text: str) -> None:
    if show:
        print(text, file=sys.stderr, flush=True)
