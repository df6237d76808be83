"""Numbers as people read them, in a terminal and in a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_IDS = ("user", "item", "artist", "misspelled", "canonical", "first line", "rank")  # columns whose numbers are names

# Control characters, which steer a terminal; line separators and what reorders the text of a line (Unicode's embeddings,
# overrides and isolates); halves of surrogate pairs, which no file can hold; the two other characters that XML refuses.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def is_number(value: Any) -> bool:
    """Whether a cell goes to the right."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def cell(column: str, value: Any) -> str:
    """A table's cell as text."""
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if number != number:
            return "–"
        if number.is_integer() and abs(number) < 1e15:
            return f"{number:,.0f}"
        if abs(number) >= 100:
            return f"{number:,.1f}"
        return f"{number:.4f}" if 5e-4 <= abs(number) < 1 else f"{number:.4g}"  # shares line up
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and column not in _IDS:
        return f"{value:,}"
    return printable(str(value))


def printable(text: str) -> str:
    """A text with the characters of `UNPRINTABLE` escaped as Python escapes them: ``\\x1b``, ``\\n``, ``\\u202e``."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """Lines, each `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def first_few(values: Sequence[Any]) -> str:
    """The first five values, and how many more there are."""
    more = len(values) - 5
    return ", ".join(map(str, values[:5])) + (f" and {more:,} more" if more > 0 else "")
