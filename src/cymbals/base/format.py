"""Formats numbers and texts for people to read, in a terminal and in a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

# Columns whose whole numbers are ids or positions: no thousands separators.
_IDS = ("user", "item", "artist", "misspelled", "canonical", "first line", "rank")

# Characters that no output may contain: control characters, which change a terminal's state; line separators; Unicode's
# embeddings, overrides and isolates, which reorder the text of a line; single surrogates, which UTF-8 cannot encode; and
# U+FFFE and U+FFFF, which XML does not allow.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def is_number(value: Any) -> bool:
    """Whether a value is a number, which tables align to the right."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def cell(column: str, value: Any) -> str:
    """The text of a table's cell."""
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if number != number:
            return "–"
        if number.is_integer() and abs(number) < 1e15:
            return f"{number:,.0f}"
        if abs(number) >= 100:
            return f"{number:,.1f}"
        # four places for shares, so that the digits of a column are aligned
        return f"{number:.4f}" if 5e-4 <= abs(number) < 1 else f"{number:.4g}"
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and column not in _IDS:
        return f"{value:,}"
    return printable(str(value))


def size_of(n_bytes: int) -> str:
    """A number of bytes with three digits and a unit, such as "1.25 GB". A GB is 10^9 bytes."""
    for unit, least in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= least:
            return f"{n_bytes / least:.3g} {unit}" if n_bytes < 999.5 * least else f"{n_bytes / least:,.0f} {unit}"
    return f"{n_bytes} bytes"


def printable(text: str) -> str:
    """The text with each character in `UNPRINTABLE` replaced by its Python escape: ``\\x1b``, ``\\n``, ``\\u202e``."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """A text of several lines, each made `printable`; line breaks stay."""
    return "\n".join(map(printable, text.split("\n")))


def first_few(values: Sequence[Any]) -> str:
    """The first five values as text, and the number of further values."""
    more = len(values) - 5
    return ", ".join(map(str, values[:5])) + (f" and {more:,} more" if more > 0 else "")
