"""Pictures: distributions, top lists, a search, a fit. Each is a matplotlib Figure of its own, whose label (`get_label`)
says in words what it shows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import refuse_masked
from ..base.drawing import BLUE, GREY, ORANGE, WIDTH, log_axis, new_figure, short_number, tidy
from ..base.format import is_number, printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = (10, 25, 50, 75, 90)
_POINTS = 500  # of a curve: as many as can be told apart


def ecdf(values: Any, what: str, title: str) -> Figure:
    """Empirical cumulative distribution of positive numbers on a log axis, with its percentiles.

    Parameters
    ----------
    values : array_like
    what : str
        What the values are, for the axis.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = new_figure(title, what, "share at most this")
    array = np.sort(_floats(values))
    array = array[array > 0]
    if array.size:
        log_axis(axes, array[0], array[-1])
        marks = _cumulative(axes, array)
        figure.set_label(f"{title}: cumulative distribution of {what} on a log axis. Percentiles {marks}.")
    return figure


def bars(names: Sequence[str], values: Any, what: str, title: str) -> Figure:
    """Horizontal bars, the first on top.

    Parameters
    ----------
    names : sequence of str
    values : array_like
    what : str
        What the values are, for the axis.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = new_figure(title, what, "")
    array = _floats(values)
    lines = [printable(" ".join(name.split())) for name in names]
    short = [line if len(line) <= 28 else f"{line[:27]}…" for line in lines]
    places = np.arange(array.size)
    axes.barh(places, array, color=BLUE)
    axes.set_yticks(places, [s.replace("$", r"\$") for s in short])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    listed = ", ".join(f"{name} {short_number(value)}" for name, value in zip(short, array, strict=True))
    figure.set_label(f"{title}: bars of {what}. {listed}.")
    return figure


def distribution(values: Any, what: str, title: str) -> Figure:
    """Histogram of figures of users, and their cumulative distribution with percentiles under it.

    Parameters
    ----------
    values : array_like
        NaN is left out.
    what : str
        What the values are, for the axes.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.figure import Figure

    array = np.sort(_floats(values))
    array = array[~np.isnan(array)]
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    figure.suptitle(printable(title), fontsize=11)
    upper.set(ylabel="users")
    lower.set(xlabel=printable(what), ylabel="share at most this")
    for axes in (upper, lower):
        tidy(axes)
    figure.set_label(f"{title}: no values.")
    if array.size:
        upper.hist(array, bins=40, color=BLUE)
        upper.axvline(array.mean(), color=ORANGE)
        marks = _cumulative(lower, array)
        figure.set_label(
            f"{title}: histogram and cumulative distribution of {what} over {array.size:,} users. "
            f"Mean {short_number(array.mean())}; percentiles {marks}."
        )
    return figure


def history(entries: list[dict[str, Any]], title: str = "Loss after each iteration") -> Figure:
    """Loss by iteration, from `ALS.history_`.

    Parameters
    ----------
    entries : list of dict
        With "iteration" and "loss".
    title : str

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(title, "iteration", "loss")
    losses = [entry["loss"] for entry in entries]
    axes.plot([entry["iteration"] for entry in entries], losses, "o-", color=BLUE, markersize=4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.set_label(f"{title}: from {losses[0]:.6g} to {losses[-1]:.6g} in {len(losses)} iterations.")
    return figure


def trials(table: pd.DataFrame, names: Sequence[str], metric: str) -> Figure:
    """Score against each parameter of a search.

    Parameters
    ----------
    table : DataFrame
        `SearchResult.table`.
    names : sequence of str
        Parameters to show, at least one.
    metric : str
        What the score is.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.figure import Figure

    table = table[table["score"].notna()]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels.flat, names, strict=False):
        values = table[name]
        numeric = values.map(is_number).all()
        if numeric and len(values) and values.min() > 0 and values.max() > 20 * values.min():
            log_axis(axes, values.min(), values.max())
        axes.plot(values if numeric else values.astype(str), table["score"], "o", color=BLUE, alpha=0.8)
        if len(table):
            axes.plot([values.iloc[0] if numeric else str(values.iloc[0])], [table["score"].iloc[0]], "o", color=ORANGE)
        axes.set_xlabel(name)
        tidy(axes)
    for axes in panels[:, 0]:
        axes.set_ylabel(metric)
    best = ", ".join(f"{name} {table[name].iloc[0]}" for name in names) if len(table) else "nothing"
    figure.set_label(f"Search: {metric} of {len(table)} settings against {', '.join(names)}. Best, in orange: {best}.")
    return figure


def scaling(table: pd.DataFrame, names: Sequence[str], what: str) -> Figure:
    """Curves of a figure over the first of the parameters that were varied, one for each setting of the others.

    Parameters
    ----------
    table : DataFrame
        With a column for each parameter and `what`.
    names : sequence of str
        Parameters, at least one.
    what : str

    Returns
    -------
    matplotlib Figure
    """
    title = f"{what.capitalize()} by {names[0]}"
    figure, axes = new_figure(title, names[0], what)
    groups = table.groupby(list(names[1:]), sort=False) if len(names) > 1 else [((), table)]
    for style, (key, part) in zip(itertools.cycle(("o-", "s--", "^:", "D-.")), groups, strict=False):
        label = ", ".join(f"{name} {value}" for name, value in zip(names[1:], key, strict=True))
        numeric = part[names[0]].map(is_number).all()
        axes.plot(part[names[0]] if numeric else part[names[0]].astype(str), part[what], style, markersize=4, label=label)
    axes.set_ylim(bottom=0)
    if table[names[0]].map(is_number).all():
        axes.set_xticks(sorted(table[names[0]].unique()))
    if len(names) > 1:
        axes.legend(fontsize=8, frameon=False)
    figure.set_label(f"{title}: from {short_number(table[what].min())} to {short_number(table[what].max())}.")
    return figure


def _floats(values: Any) -> NDArray[np.float64]:
    refuse_masked("values", values)
    return np.asarray(values, np.float64)


def _cumulative(axes: Axes, rising: NDArray[np.float64]) -> str:
    """A step curve of sorted values, with lines at their percentiles, which are returned in words."""
    values, last = np.unique(rising[::-1], return_index=True)
    share = (rising.size - last) / rising.size
    if values.size > _POINTS:  # evenly along the curve: neither a steep nor a flat part is left out
        along = np.cumsum(np.hypot(np.diff(_on_axis(axes, values), prepend=np.nan), np.diff(share, prepend=np.nan))[1:])
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _POINTS)))
        kept = np.unique(np.concatenate(([0], np.minimum(kept + 1, values.size - 1), [values.size - 1])))
        values, share = values[kept], share[kept]
    axes.step(np.concatenate((values[:1], values)), np.concatenate(([0], share)), where="post", color=BLUE)
    marks = []
    for percentile, value in zip(PERCENTILES, np.percentile(rising, PERCENTILES), strict=True):
        marks.append(f"{percentile} %: {short_number(value)}")
        axes.axvline(value, color=GREY, linewidth=0.8, linestyle=":")
        place = _on_axis(axes, np.array([values[0], value, values[-1]]))[1] if values.size > 1 else 0.0
        ha, va, gap = ("left", "top", 3) if place < 0.8 else ("right", "bottom", -3)  # so that it ends inside
        axes.annotate(
            marks[-1],
            (value, percentile / 100),
            (gap, -gap / 2),
            textcoords="offset points",
            fontsize=7.5,
            color="#333333",
            ha=ha,
            va=va,
        )
    return ", ".join(marks)


def _on_axis(axes: Axes, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values as places along the axis, 0 to 1."""
    places = np.log(values) if axes.get_xscale() == "log" else values
    out: NDArray[np.float64] = (places - places[0]) / (places[-1] - places[0])
    return out
