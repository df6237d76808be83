"""The summary of a profile as a table for a terminal."""

from __future__ import annotations

from typing import Any

from ..base.format import cell, is_number

_SMALLEST_SHARE = 5e-4  # of the time: phases that took less are left out


def table_lines(summary: list[dict[str, Any]], seconds: float, peaks: bool) -> list[str]:
    """The lines of the table: column names, then a line for each phase. `seconds` is the time of the whole profile."""
    rows = [row for row in summary if row["seconds"] >= _SMALLEST_SHARE * seconds]
    columns = ["side", "phase", "calls", "seconds", "of_all", "thread_min", "thread_max", "rows", "entries", "cg_steps"]
    columns += ["gflop_per_s", "gb_per_s", "flop_per_byte"] + ["of_peak_flops", "of_peak_bytes"] * peaks
    texts = [
        {name: _cell_text(name, row["seconds"] / seconds if name == "of_all" else row[name]) for name in columns}
        for row in rows
    ]
    heads = {name: name.replace("_per_", "/").replace("_", " ") for name in columns}
    width = {name: max(len(text[name]) for text in [heads, *texts]) for name in columns}
    lines = []
    for text in [heads, *texts]:
        cells = (text[n].ljust(width[n]) if n in ("side", "phase") else text[n].rjust(width[n]) for n in columns)
        lines.append("  ".join(cells).rstrip())
    return lines


def _cell_text(column: str, value: Any) -> str:
    """The text of a cell in the printed table; empty for None, and for 0 in other columns than "seconds"."""
    if value is None or (is_number(value) and value == 0 and column != "seconds"):
        return ""
    if column.startswith("of_"):
        return f"{value:.1%}"
    if column == "seconds" or column.startswith("thread_"):
        return f"{value:.3f}"
    return f"{value:.1f}" if isinstance(value, float) else cell(column, value)
