"""Samples the anonymous memory of this process while a benchmark works. Linux only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Peak:
    """Bytes before the work, and the largest number while it is done."""

    before: int
    most: int

    @property
    def taken(self) -> int:
        return self.most - self.before


def anonymous() -> int:
    """Bytes of anonymous memory (RssAnon) of this process."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


@contextmanager
def sampled(seconds: float) -> Iterator[Peak]:
    """Samples the memory at this interval until the block ends."""
    found, done = Peak(before := anonymous(), before), threading.Event()

    def sample() -> None:
        while not done.wait(seconds):
            found.most = max(found.most, anonymous())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield found
    finally:
        done.set()
        sampler.join()
