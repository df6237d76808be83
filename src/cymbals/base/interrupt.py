"""Ctrl-C, held back until there is a good moment for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


class Interrupts:
    """Tells whether Ctrl-C was pressed since it was last delivered."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._held: list[tuple[int, FrameType | None]] = []

    def __call__(self) -> bool:
        return bool(self._held)

    def hold(self, number: int, frame: FrameType | None) -> None:
        """Takes the signal's place until `deliver`."""
        self._held.append((number, frame))

    def deliver(self) -> None:
        """Calls the handler that was there before, which raises KeyboardInterrupt unless somebody replaced it."""
        while self._held:
            self._handler(*self._held.pop())


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Holds Ctrl-C back in this block. What is still held at its end is delivered then, unless the block raised."""
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
