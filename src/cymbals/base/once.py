"""Values that are computed at their first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A value that the first call computes and stores.

    Two threads may both compute the value, but all calls return the same object.
    """

    def __init__(self) -> None:
        self._cache: dict[str, T] = {}

    def __call__(self, make: Callable[[], T]) -> T:
        if "value" in self._cache:
            return self._cache["value"]
        return self._cache.setdefault("value", make())
