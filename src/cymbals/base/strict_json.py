"""Parses JSON from files that are not trusted."""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_DEPTH = 64  # levels: far more than files of cymbals have, far fewer than Python's recursion limit


def parse(text: bytes) -> Any:
    """The value that a UTF-8 text describes.

    Raises ValueError if the text is not JSON, if a number is not finite or too large for a float, or if lists and objects
    are nested more than 64 levels deep.
    """
    try:
        value = json.loads(text.decode(), parse_float=_finite, parse_int=_whole, parse_constant=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(value, _MAX_DEPTH)
    return value


def is_number(value: Any) -> bool:
    """Whether a parsed value is a number; true and false are not. `parse` returns only finite numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: Any, least: int = 0, most: int = 2**63 - 1) -> bool:
    """Whether a parsed value is a whole number in [least, most]."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def whole(values: dict[str, Any], name: str, least: int) -> int:
    """The whole number with this name in a parsed object. Raises ValueError if it is missing or below `least`."""
    number: Any = values.get(name)
    if not is_whole(number, least):
        raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")
    return int(number)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _check_depth(value: Any, levels: int) -> None:
    if isinstance(value, (dict, list)):
        if not levels:
            raise ValueError("nested too deeply")
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, levels - 1)
