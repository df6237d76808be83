"""The fields of a request: each is taken once and checked. A request that is wrong gets a message that says how."""

from __future__ import annotations

from typing import Any

from ..base.checks import shown
from ..base.strict_json import is_number, is_whole

MOST_ITEMS = 1000  # in a history
MOST_LETTERS = 300  # of a text or an id
LARGEST = 1e9  # strength of an item


class BadRequest(ValueError):
    """A request that cannot be answered. The message is for the person who sent it."""


class Fields:
    """The fields of a JSON object, which a request sends."""

    def __init__(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise BadRequest("the request must be a JSON object")
        self._left = dict(body)

    def text(self, name: str) -> str:
        """A text, which must be there."""
        value = self._left.pop(name, None)
        if not isinstance(value, str) or len(value) > MOST_LETTERS:
            raise BadRequest(f"{name} must be a text of at most {MOST_LETTERS} letters")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A text, or None if it is absent or null."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.text(name)

    def whole(self, name: str, most: int, default: int) -> int:
        """A whole number from 1 to `most`; `default` if it is absent."""
        value = self._left.pop(name, default)
        if not is_whole(value, 1, most):
            raise BadRequest(f"{name} must be a whole number from 1 to {most}, got {shown(value)[:50]}")
        return int(value)

    def history(self, name: str) -> dict[str, int | float]:
        """A list of pairs of an item's id and its strength."""
        value = self._left.pop(name, None)
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            raise BadRequest(f"{name} must be a list of at most {MOST_ITEMS} pairs of an item's id and a strength")
        found: dict[str, int | float] = {}
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or not is_number(pair[1]):
                raise BadRequest(f'{name} must hold pairs like ["51", 3]: an item\'s id as text and a number')
            item, strength = pair
            if len(item) > MOST_LETTERS or item in found:
                raise BadRequest(f"{name}: the id {shown(item)[:50]} is there twice or is too long")
            if abs(strength) > LARGEST:
                raise BadRequest(f"{name}: strengths must be from -1e9 to 1e9")
            found[item] = strength
        return found

    def end(self) -> None:
        """Refuse fields that nobody has taken."""
        for name in self._left:
            raise BadRequest(f"there is no field {shown(name)[:50]}")
