"""Progress on stderr: a bar in a terminal; one line every few seconds in notebooks, pipes and log files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS_BETWEEN_LINES = 2.0


@contextmanager
def progress_bar(show: bool, total: int | None, title: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields a function that the caller calls after each of `total` steps, or after each of the last ones of them.

    Its argument is a dict with "iteration" (from 1) and, where known, "loss". The function does nothing if `show` is false.
    If the number of steps is not known before, `total` is None.
    """
    if not show:
        yield lambda entry: None
        return
    try:
        if not sys.stderr.isatty():
            raise ImportError
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield _Lines(total, title)
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda entry: bar.update(task, completed=entry["iteration"], description=title + _loss(entry))


class _Lines:
    """Prints a line for the first step, for the last, and for one step every few seconds between them."""

    def __init__(self, total: int | None, title: str) -> None:
        self.total, self.title, self.next = total, title, 0.0

    def __call__(self, entry: dict[str, Any]) -> None:
        now = time.monotonic()
        if now >= self.next or entry["iteration"] == self.total:
            self.next = now + _SECONDS_BETWEEN_LINES
            of = "" if self.total is None else f"/{self.total}"
            print(f"{self.title} {entry['iteration']}{of}{_loss(entry)}", file=sys.stderr, flush=True)


def _loss(entry: dict[str, Any]) -> str:
    return f" loss {entry['loss']:.6f}" if "loss" in entry else ""
