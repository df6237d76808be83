"""Delays Ctrl-C until the running code can stop safely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


class Interrupts:
    """Stores signals that arrive, and delivers them later. Calling the object tells whether it holds one."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._held: list[tuple[int, FrameType | None]] = []

    def __call__(self) -> bool:
        return bool(self._held)

    def hold(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: stores the signal until `deliver` is called."""
        self._held.append((number, frame))

    def deliver(self) -> None:
        """Calls the original handler for each stored signal. Python's own handler raises KeyboardInterrupt."""
        while self._held:
            self._handler(*self._held.pop())


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Delays Ctrl-C in this block. If the block ends without an exception, stored signals are delivered at its end.

    In a thread other than the main thread, nothing is delayed: Python lets only the main thread set signal handlers.
    Nothing is delayed either if SIGINT is ignored, or if no Python function handles it.
    """
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(handler):
        yield Interrupts(signal.default_int_handler)
        return
    interrupts = Interrupts(handler)
    signal.signal(signal.SIGINT, interrupts.hold)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, handler)
    interrupts.deliver()
