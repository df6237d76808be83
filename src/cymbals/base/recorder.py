"""Who takes down what calls do: the recorder that is active in the present context, if one is."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class Recorder(Protocol):
    """What the core and the Python around it report to."""

    thread: int  # the one that it listens to: contexts are handed on to others

    def take(self, spans: bytes, row_classes: bytes, lost: int) -> None:
        """What one call of the core left behind: structs of ``cymbals.h``."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Times a block of Python; calls of the core inside it are not counted twice."""

    def at(self, iteration: int, side: str) -> AbstractContextManager[None]:
        """Says what the work inside belongs to."""


active: ContextVar[Recorder | None] = ContextVar("cymbals_recorder", default=None)


def current() -> Recorder | None:
    """The active recorder, if it listens to this thread."""
    recorder = active.get()
    return recorder if recorder is not None and recorder.thread == threading.get_ident() else None


def phase(name: str) -> AbstractContextManager[None]:
    """`Recorder.phase` of the current recorder."""
    recorder = current()
    return nullcontext() if recorder is None else recorder.phase(name)


def at(iteration: int, side: str) -> AbstractContextManager[None]:
    """`Recorder.at` of the current recorder."""
    recorder = current()
    return nullcontext() if recorder is None else recorder.at(iteration, side)
