"""Axes and colours that all pictures share. matplotlib is loaded when the first picture is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .format import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"  # colour-blind readers can tell them apart (Okabe and Ito)
WIDTH = 4.8  # inches: letters stay readable on a phone


def new_figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained", label=f"{title}: no values.")
    axes = figure.subplots()
    axes.set_title(printable(title), fontsize=11)
    axes.set(xlabel=printable(x), ylabel=printable(y))
    tidy(axes)
    return figure, axes


def tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def log_axis(axes: Axes, least: float, most: float) -> None:
    """A log axis with a handful of round numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    within = (1.0, 2.0, 5.0) if most < 50 * least else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=within, numticks=4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))


def short_number(value: float) -> str:
    """A number in few digits."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"
