"""Ctrl-C at a moment of our choosing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible(before: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Holds Ctrl-C back until a checkpoint, which then calls `before` and the handler; one that returns goes on."""
    hit: list[Any] = []
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(handler):
        yield lambda: None
        return

    def checkpoint() -> None:
        if hit:
            before()
            handler(*hit.pop())

    signal.signal(signal.SIGINT, lambda number, frame: hit.append((number, frame)))
    try:
        yield checkpoint
    finally:
        signal.signal(signal.SIGINT, handler)
    if hit:
        handler(*hit.pop())
