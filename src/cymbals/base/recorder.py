"""The interface between a profile and the code that it measures: `current` returns the active recorder, or None."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class Recorder(Protocol):
    """Receives measurements from the core and from Python code around it. `Profile` is one."""

    thread: int  # only this thread is measured, though other threads can inherit the context

    def take(self, spans: bytes, row_classes: bytes, lost: int) -> None:
        """Receives the measurements of one call of the core, as arrays of structs of ``cymbals.h``."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Times a block of Python code. The time of core calls inside it is not included."""

    def at(self, iteration: int, side: str) -> AbstractContextManager[None]:
        """Marks all work in the block as part of this iteration and side."""

    def node(self, name: str, amounts: dict[str, float]) -> None:
        """Receives what a node of a distributed fit did, with the keys that `Profile.nodes` describes."""


active: ContextVar[Recorder | None] = ContextVar("cymbals_recorder", default=None)


def current() -> Recorder | None:
    """The active recorder if it measures this thread, else None."""
    recorder = active.get()
    return recorder if recorder is not None and recorder.thread == threading.get_ident() else None


def phase(name: str) -> AbstractContextManager[None]:
    """Times the block with the current recorder, if there is one."""
    recorder = current()
    return nullcontext() if recorder is None else recorder.phase(name)


def at(iteration: int, side: str) -> AbstractContextManager[None]:
    """Marks the block's work for the current recorder, if there is one."""
    recorder = current()
    return nullcontext() if recorder is None else recorder.at(iteration, side)
