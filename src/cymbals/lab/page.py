"""The parts of a report's page, and how its numbers and pictures are written. `sections` fills them in; the template
`report.html` lays them out."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base.drawing import BLUE, GREY, GRID, INK, ORANGE
from ..base.format import cell, is_number, printable
from ..base.optional import optional

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_IDS = ("user", "item", "artist", "misspelled", "canonical")  # columns of ids: their numbers are not amounts
_MEASURED = ("seconds", "peak memory, GB")  # columns with at most three decimals
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"  # as in report.html
_DARK = {BLUE: "#56b4e9", ORANGE: "#ff9d5c", GREY: "#8d97a3", GRID: "#333b45", INK: "#e6e9ed"}  # on a dark page
_NAMES = {BLUE: "--blue", ORANGE: "--orange", GREY: "--grey", GRID: "--grid", INK: "--ink"}


@dataclass(frozen=True)
class Cell:
    """A cell: its text and, if it has a number, the number in full and the length of its bar from 0 to 1."""

    text: str
    value: Any
    length: float | None
    is_id: bool

    @property
    def number(self) -> Any:
        return self.value if is_number(self.value) else None

    @property
    def style(self) -> str:
        """CSS classes."""
        if self.number is None or self.is_id:
            return "id" if self.is_id else ""
        return "n" if self.length is None else "n bar"


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    The cells of the column `bars` also get bars; the largest number has the longest bar. Fractions in the columns
    `settings` are written with three digits each. `written` formats the other numbers of a column together, so that they
    get the same number of decimals if their sizes are similar. If `by_row` is True, it formats the numbers of a row
    together instead.
    """

    kind: ClassVar[str] = "table"
    caption: str
    frame: pd.DataFrame
    bars: str | None = None
    settings: Sequence[str] = ()
    by_row: bool = False

    @property
    def title(self) -> str:
        return self.caption[:1].upper() + self.caption[1:]

    @property
    def columns(self) -> list[str]:
        return list(self.frame.columns)

    @property
    def rows(self) -> list[list[Cell]]:
        values = {name: self.frame[name].tolist() for name in self.columns}
        texts: dict[str, Sequence[str]]
        if self.by_row:
            rows = [written("", [column[at] for column in values.values()]) for at in range(len(self.frame))]
            texts = dict(zip(values, zip(*rows, strict=True), strict=True)) if rows else {}
        else:
            texts = {name: self._written(name, column) for name, column in values.items()}
        most = max(filter(is_number, values[self.bars]), default=0) if self.bars else 0
        return [
            [
                Cell(
                    texts[name][at], v[at], max(0.0, v[at] / most) if name == self.bars and most > 0 else None, name in _IDS
                )
                for name, v in values.items()
            ]
            for at in range(len(self.frame))
        ]

    def _written(self, name: str, values: list[Any]) -> Sequence[str]:
        return [setting(value) for value in values] if name in self.settings else written(name, values)

    def is_numeric(self, name: str) -> bool:
        return bool(len(self.frame)) and is_number(self.frame[name].iloc[0]) and name not in _IDS


@dataclass(frozen=True)
class Picture:
    """A figure with a caption below it. The figure's label describes it for readers who cannot see it."""

    kind: ClassVar[str] = "picture"
    figure: Figure
    caption: str = ""

    @property
    def alt(self) -> str:
        return str(self.figure.get_label())

    @property
    def source(self) -> str:
        return data_uri(self.figure)


@dataclass(frozen=True)
class Tile:
    """One large number with its name and a note."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Texts, tables and pictures in "one", "two" or "three" columns. A narrow page shows fewer columns.

    A list among the parts takes one column, and its elements are shown below each other.
    """

    parts: Sequence[str | Table | Picture | Tile | list[str | Table | Picture]]
    columns: str = "two"

    @property
    def kind(self) -> str:
        return "tiles" if isinstance(self.parts[0], Tile) else "row"


@dataclass
class Section:
    """A heading with texts and rows below it. A section without parts is left out of the page."""

    key: str
    title: str
    parts: list[str | Row] = field(default_factory=list)


# -- numbers ---------------------------------------------------------------------------------------------------------


def written(column: str, values: Sequence[Any]) -> list[str]:
    """The texts of a column's cells.

    Fractions usually have the same number of decimals, chosen so that the largest has at most five digits, or no decimals.
    If large and small ones are mixed, if all are tiny, or if the column also has counts, each fraction has three digits.
    Columns in `_MEASURED` have two or three decimals. Counts keep all their digits.
    """
    if column.startswith("p,"):
        return [p_value(v) for v in values]
    fractions = [abs(float(v)) for v in values if _is_float(v) and np.isfinite(v) and v]
    if not fractions or all(v.is_integer() for v in fractions):
        return [cell(column, v) for v in values]
    most, least = max(fractions), min(fractions)
    if column in _MEASURED:
        decimals = 2 if most >= 0.1 else 3
    elif most < 1e-3 or (most >= 10 and least < most / 100) or any(is_number(v) and not _is_float(v) for v in values):
        return [three_digits(v) if _is_float(v) else cell(column, v) for v in values]
    else:
        decimals = 4 if most < 10 else 2 if most < 100 else 1 if most < 10_000 else 0
    return [("–" if v != v else f"{v:,.{decimals}f}") if _is_float(v) else cell(column, v) for v in values]


def _is_float(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def three_digits(value: Any) -> str:
    """A number with three significant digits, and with all digits before the decimal point: 0.00527, 28.8, 1,234."""
    value = float(value)
    if value != value:
        return "–"
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def p_value(value: float) -> str:
    """A p-value: with two digits, with one digit if it is below 0.001, or "< 1e-99" for an even smaller one."""
    if value != value:
        return "–"
    return "< 1e-99" if value < 1e-99 else f"{value:.1g}" if value < 1e-3 else f"{value:.2g}"


def percent(share: float) -> str:
    """A share in per cent with one decimal. The space before the sign does not break at the end of a line."""
    return f"{100 * share:.1f}\u00a0%"


def settings(params: Any) -> str:
    """Settings in one line."""
    return ", ".join(f"{name} {setting(value)}" for name, value in params.items() if value is not None)


def setting(value: Any) -> str:
    if _is_float(value):
        return three_digits(value)
    return str(getattr(value, "__name__", value))


# -- pictures and the page -------------------------------------------------------------------------------------------


def data_uri(figure: Figure) -> str:
    """A figure as an SVG data URI. Equal figures have equal URIs. The colours change if the reader uses a dark scheme."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cymbals"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = re.sub(r"font-family: [^;\"]*|(?<=px )'DejaVu Sans'[^;\"]*", lambda found: _fonts(found[0]), stream.getvalue())
    for color, name in _NAMES.items():
        svg = re.sub(rf"(fill|stroke): {color}\b", rf"\1: var({name})", svg)
    light, dark = (
        "".join(f"{name}: {c[color]}; " for color, name in _NAMES.items())
        for c in ({color: color for color in _NAMES}, _DARK)
    )
    style = f"svg {{ {light}fill: var(--ink) }} @media screen and (prefers-color-scheme: dark) {{ svg {{ {dark}}} }}"
    svg = svg.replace("</style>", f" {style}</style>", 1)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _fonts(found: str) -> str:
    return f"font-family: {_FONTS}" if found.startswith("font-family") else _FONTS


def template() -> Any:
    """The page's template. A missing library is an error now rather than after minutes of work."""
    jinja2, _ = (optional(module, "a report") for module in ("jinja2", "matplotlib"))
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_printable
    )
    return environment.get_template("report.html")


def _printable(value: Any) -> Any:
    """Texts without the characters that a file cannot hold; markup as it is."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
