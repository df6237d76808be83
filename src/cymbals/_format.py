"""Numbers as people read them, in a terminal and in a report."""

from __future__ import annotations

from typing import Any

import numpy as np

_IDS = ("user", "item", "artist", "misspelled", "canonical", "first line", "rank")  # columns whose numbers are names


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
    return str(value)
