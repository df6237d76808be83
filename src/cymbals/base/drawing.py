"""Axes, colours and short numbers that all pictures share. matplotlib is loaded when the first picture is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .format import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"  # Okabe and Ito's colours, which colour-blind readers can tell apart
INK, GRID = "#1b1f24", "#dde1e6"  # text and thin lines
WIDTH = 4.8  # inches: text stays readable on a phone
_TITLE = 56  # characters of a title
SMALL = 8.5  # points: the smallest text, for labels inside the axes


def new_figure(title: str, x: str, y: str, height: float = 3.0) -> tuple[Figure, Axes]:
    """A figure with one pair of axes. Its label says "no values" until the caller sets another."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", label=f"{title}: no values.")
    axes = figure.subplots()
    heading(axes, title)
    axes.set(xlabel=printable(x), ylabel=printable(y))
    tidy(axes)
    return figure, axes


def heading(axes: Axes, title: str) -> None:
    """A title on the left, shortened to the width of the figure."""
    line = printable(title)
    short = line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…"
    axes.set_title(short.replace("$", r"\$"), fontsize=10.5, fontweight="bold", loc="left", color=INK)


def tidy(axes: Axes) -> None:
    """No box around the axes, a light grid behind the data, and few ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelcolor=INK, labelsize=9.5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(nbins=5)


def log_axis(axes: Axes, least: float, most: float, ticks: int = 4) -> None:
    """Make the x axis logarithmic and label a few round numbers, at most `ticks` powers of ten among them."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    ratio = most / least
    if ticks < 4:
        within: tuple[float, ...] = (1.0, 3.0) if ratio < 50 else (1.0,)
    else:
        within = (1.0, 2.0, 5.0) if ratio < 50 else (1.0, 3.0) if ratio < 1000 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=within, numticks=ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))


def percent_axis(axes: Axes) -> None:
    """A y axis for shares from 0 to 1, with ticks at every quarter."""
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])


def short_number(value: float) -> str:
    """A number in at most three or four digits: 0.0123, 12.3, 1,234, 12.3k, 1.23M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"
