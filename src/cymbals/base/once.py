"""Values that are made when they are first wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A value made by the first call. Two threads may both make it at once; every call returns the one that was kept."""

    def __init__(self) -> None:
        self._kept: dict[str, T] = {}

    def __call__(self, make: Callable[[], T]) -> T:
        if "value" in self._kept:
            return self._kept["value"]
        return self._kept.setdefault("value", make())
