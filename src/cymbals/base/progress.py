"""A progress bar on stderr, drawn by rich where it is installed and stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(show: bool, total: int, title: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields a function to call after each of `total` steps with what is worth showing."""
    if not show or not sys.stderr.isatty():
        yield lambda entry: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:

        def line(entry: dict[str, Any]) -> None:
            sys.stderr.write(f"\r{title} {entry['iteration']}/{total}{_loss(entry)}")
            sys.stderr.flush()

        yield line
        sys.stderr.write("\n")
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda entry: bar.update(task, advance=1, description=title + _loss(entry))


def _loss(entry: dict[str, Any]) -> str:
    return f" loss {entry['loss']:.6f}" if "loss" in entry else ""
