"""Prints tables, lines and JSON to a terminal or a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..base.format import UNPRINTABLE, cell, is_number, printable


def console() -> Console:
    """A console for stdout. In a pipe, tables may be 160 characters wide."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def records(table: Any) -> list[dict[str, Any]]:
    """The rows of a data frame as a list of dicts. A list of rows is returned as it is."""
    rows: list[dict[str, Any]] = table if isinstance(table, list) else table.to_dict("records")
    return rows


def show_tables(out: Console, tables: Mapping[str, Any]) -> None:
    """Print tables by title. Each is a data frame or a list of rows."""
    for title, given in tables.items():
        rows = records(given)
        if not rows:
            out.print(Text(f"{printable(title)}: nothing"))
            continue
        table = Table(title=Text(printable(title)), title_justify="left")
        for column in rows[0]:
            table.add_column(Text(printable(column)), justify="right" if is_number(rows[0][column]) else "left")
        for row in rows:
            table.add_row(*(Text(cell(column, value)) for column, value in row.items()))
        out.print(table, markup=False)


def echo(text: object, err: bool = False) -> None:
    """Print a line to stdout or stderr."""
    click.echo(printable(str(text)), err=err)


def print_json(value: Any) -> None:
    """Print a value as JSON.

    Data frames become lists of rows. NaN and infinity become null. Characters in `UNPRINTABLE` become escape sequences.
    """

    def plain(x: Any) -> Any:
        if isinstance(x, Mapping):
            return {str(k): plain(v) for k, v in x.items()}
        if isinstance(x, (list, tuple)):
            return [plain(v) for v in x]
        if hasattr(x, "to_dict"):
            return plain(records(x))
        value = x.item() if isinstance(x, np.generic) else x
        return None if isinstance(value, float) and not np.isfinite(value) else value

    lines = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False).split("\n")
    click.echo("\n".join(UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines))
