"""The memory of a worker: how much it takes, and giving freed memory back."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable

_SAMPLE_SECONDS = 0.005  # between two looks at the memory
_M_MMAP_THRESHOLD = -3


class Watch:
    """The largest anonymous memory of this process, above what it held at `begin`."""

    def __init__(self) -> None:
        self._base = self._most = 0
        threading.Thread(target=self._look, daemon=True).start()

    def begin(self) -> None:
        self._base = self._most = anonymous_memory()

    def peak(self) -> int:
        self._most = max(self._most, anonymous_memory())
        return self._most - self._base

    def _look(self) -> None:
        while True:
            self._most = max(self._most, anonymous_memory())
            time.sleep(_SAMPLE_SECONDS)


def anonymous_memory() -> int:
    """The bytes of this process that are in memory and not in a file or shared. 0 where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return 1024 * int(lines["RssAnon"].split()[0])
    except (OSError, KeyError):
        return 0


def return_freed_memory() -> None:
    """Have glibc return large freed arrays to the system at once, rather than keep them for later ones."""
    if sys.platform == "linux":
        mallopt: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 1 << 20)
