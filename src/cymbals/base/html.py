"""Small HTML tables, which notebooks show for results."""

from __future__ import annotations

import html
from typing import Any

from .format import cell, is_number, printable


def html_table(rows: list[dict[str, Any]], title: str) -> str:
    """An HTML table with a title above it. All rows have the same columns."""
    columns = list(rows[0]) if rows else []
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(_cell(column, row[column]) for column in columns) + "</tr>" for row in rows)
    caption = f'<caption style="caption-side: top; text-align: left">{_text(title)}</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(column: str, value: Any) -> str:
    side = "right" if is_number(value) else "left"
    return f'<td style="text-align: {side}">{html.escape(cell(column, value))}</td>'


def _text(text: str) -> str:
    return html.escape(printable(text))
