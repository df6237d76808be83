"""Delays Ctrl-C, and SIGTERM where a program asks for it, until the running code can stop safely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object]


class Interrupts:
    """Stores signals that arrive, and delivers them later. Calling the object tells whether it holds one."""

    def __init__(self, handlers: dict[int, Handler]) -> None:
        self._handlers = handlers
        self._held: list[tuple[int, FrameType | None]] = []

    def __call__(self) -> bool:
        return bool(self._held)

    def hold(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: stores the signal until `deliver` is called."""
        self._held.append((number, frame))

    def deliver(self) -> None:
        """Calls the original handler for each stored signal. Python's own handler of Ctrl-C raises KeyboardInterrupt."""
        while self._held:
            number, frame = self._held.pop()
            self._handlers[number](number, frame)


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Delays Ctrl-C in this block. If the block ends without an exception, stored signals are delivered at its end.

    Inside `exiting_on_sigterm`, SIGTERM is delayed too. Other handlers of SIGTERM are left alone.

    In a thread other than the main thread, nothing is delayed: Python lets only the main thread set signal handlers.
    Nothing is delayed either if SIGINT is ignored, or if no Python function handles it.
    """
    handlers = _delayed_handlers() if threading.current_thread() is threading.main_thread() else {}
    interrupts = Interrupts(handlers)
    for number in handlers:
        signal.signal(number, interrupts.hold)
    try:
        yield interrupts
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    interrupts.deliver()


@contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """In this block, SIGTERM raises SystemExit with the status 143, as a shell reports a process that SIGTERM ended.

    So the program can clean up. Inside `interruptible`, the exception waits until the running code can stop. To be called
    in the main thread.
    """
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _delayed_handlers() -> dict[int, Handler]:
    """The present handler of each signal that `interruptible` delays."""
    handlers: dict[int, Handler] = {}
    if callable(handler := signal.getsignal(signal.SIGINT)):
        handlers[signal.SIGINT] = handler
    if signal.getsignal(signal.SIGTERM) is _exit:
        handlers[signal.SIGTERM] = _exit
    return handlers
