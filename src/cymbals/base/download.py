"""Downloads a file over HTTP. A download that was cut off continues where it stopped, in this call or in a later one.

pooch calls the downloader, then compares checksums and renames the file. Until all bytes are there, they lie in a partial
file beside it. A second file holds the size and the version (ETag or date) that the server gave, so that a later call never
joins the parts of two versions.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from .._core import version
from .optional import optional
from .progress import progress_bar

UNREACHABLE = "Check the connection, or give the address of a copy with mirror= (--mirror)"
_TRIES = 5  # tries in a row that bring no new byte
_SECONDS_BEFORE_NEXT_TRY = 0.5  # doubled after each try that brings no new byte
_TIMEOUTS = (10, 60)  # seconds to connect, and between two pieces
_PIECE = 1 << 14  # bytes; what has arrived of a piece is lost if the connection ends
_MEGABYTE = 1_000_000
_BUSY = (408, 425, 429, 500, 502, 503, 504)  # status codes after which another try can succeed


class _Version(NamedTuple):
    """What tells two versions of the file on a server apart; None if the server does not say."""

    url: str
    size: int | None
    tag: str | None  # a strong ETag, or else the date of the last change


class Downloader:
    """A downloader for ``pooch.retrieve``, which passes it the address and the file to write.

    Parameters
    ----------
    partial : Path
        Where the bytes lie until all are there. Only one process at a time may use it.
    show : bool
        Whether to show the progress on stderr.
    """

    def __init__(self, partial: Path, show: bool) -> None:
        self._partial, self._notes = partial, partial.with_name(partial.name + ".json")
        self._show = show

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download `url`. Raises OSError if the server refuses, or if no try brings new bytes."""
        requests = optional("requests", "downloading")
        unfinished = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, _Incomplete)
        most, failures = self._size(), 0
        with ExitStack() as stack:
            report = _Report(stack, self._show, self._partial.name.removesuffix(".partial"))
            while True:
                try:
                    self._try(requests, url, report)
                    break
                except unfinished as error:
                    size = self._size()
                    most, failures = max(size, most), 0 if size > most else failures + 1
                    if failures >= _TRIES:
                        raise OSError(
                            f"{url}: the download failed {failures} times in a row, after {size:,} bytes: {error}. "
                            f"{UNREACHABLE}. The next call continues where this one stopped, if the server allows it"
                        ) from error
                time.sleep(_SECONDS_BEFORE_NEXT_TRY * 2**failures)
        os.replace(self._partial, output_file)
        self._notes.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _try(self, requests: Any, url: str, report: _Report) -> None:
        """One request: for the rest of the file if the server can continue, else for the whole file."""
        before, start = self._known(url), self._size()
        headers = {"Accept-Encoding": "identity", "User-Agent": f"cymbals/{version()}"}
        if before is None or before.tag is None or start == 0 or start == before.size:
            start = 0  # without a tag, the file on the server may have changed since
        else:
            headers |= {"Range": f"bytes={start}-", "If-Range": before.tag}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUTS) as answer:
            if answer.status_code in _BUSY:
                raise _Incomplete(f"the server answered {answer.status_code} {answer.reason}")
            if answer.status_code not in (200, 206):
                raise OSError(
                    f"{url}: the server answered {answer.status_code} {answer.reason}; the file may have moved: "
                    "give the address of a copy with mirror="
                )
            start, size = _span(answer, start)
            now = _Version(url, size, _tag(answer.headers))
            if start and (before is None or now.size != before.size):
                self._partial.unlink()
                raise _Incomplete("the file on the server has changed")
            self._notes.write_text(json.dumps(now._asdict()), encoding="utf-8")
            with open(self._partial, "ab" if start else "wb") as file:
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
                    report(file.tell(), size)
                length = file.tell()
        if size is not None and length != size:
            raise _Incomplete(f"the connection ended after {length:,} of {size:,} bytes")

    def _known(self, url: str) -> _Version | None:
        """What an earlier request noted about the partial file. None if it came from another address."""
        with suppress(OSError, ValueError, TypeError):
            noted = _Version(**json.loads(self._notes.read_text(encoding="utf-8")))
            return noted if noted.url == url else None
        return None


class _Incomplete(Exception):
    """The file did not arrive as a whole; another try may succeed."""


class _Report:
    """Shows how many megabytes have arrived. It begins with the first answer, which says how long the file is."""

    def __init__(self, stack: ExitStack, show: bool, title: str) -> None:
        self._stack, self._show, self._title = stack, show, title
        self._step: Callable[[dict[str, Any]], None] | None = None
        self._shown = 0

    def __call__(self, n_bytes: int, size: int | None) -> None:
        if self._step is None:
            total = math.ceil((size or 0) / _MEGABYTE)
            self._step = self._stack.enter_context(progress_bar(self._show and total > 0, total, f"{self._title}, MB"))
        arrived = math.ceil(n_bytes / _MEGABYTE) if n_bytes == size else n_bytes // _MEGABYTE
        while self._shown < arrived:
            self._shown += 1
            self._step({"iteration": self._shown})


def _span(answer: Any, start: int) -> tuple[int, int | None]:
    """At which byte the answer begins, and how long the whole file is."""
    if answer.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start:
            raise OSError(f"{answer.url}: the server sent another part of the file than the one asked for")
        return start, None if found[2] == "*" else int(found[2])
    plain = answer.headers.get("Content-Encoding", "identity") == "identity"
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if plain and length.isdecimal() else None


def _tag(headers: Any) -> str | None:
    """The version of a file for the header If-Range, which takes no weak ETags."""
    tag: str | None = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
