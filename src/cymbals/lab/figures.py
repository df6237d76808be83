"""Pictures of distributions, top lists, a search and a fit. Each function returns a matplotlib Figure of its own, whose
label (`get_label`) says in words what the picture shows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import refuse_masked
from ..base.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    WIDTH,
    heading,
    log_axis,
    new_figure,
    percent_axis,
    short_number,
    tidy,
)
from ..base.format import is_number, printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = (10, 25, 50, 75, 90)
_PANEL = 3.2  # inches: width of a figure with one panel
_POINTS = 500  # of a curve: more cannot be told apart on a screen


def ecdf(values: Any, what: str, title: str) -> Figure:
    """Empirical cumulative distribution of positive numbers on a log axis, with five percentiles marked.

    Use it for counts that run over several orders of magnitude, such as the plays of each user.

    Parameters
    ----------
    values : array_like
        Numbers that are not positive are left out.
    what : str
        Name of the values, for the x axis.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = new_figure(title, what, "share with at most this value")
    array = np.sort(_floats(values))
    array = array[array > 0]
    if array.size:
        log_axis(axes, array[0], array[-1])
        marks = _cumulative(axes, array)
        figure.set_label(f"{title}: cumulative distribution of {what} on a log axis. Percentiles {marks}.")
    return figure


def bars(names: Sequence[str], values: Any, what: str, title: str) -> Figure:
    """Horizontal bars with the number at the end of each, the first bar on top.

    Parameters
    ----------
    names : sequence of str
    values : array_like
    what : str
        Name of the values, for the x axis.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    array = _floats(values)
    figure, axes = new_figure(title, what, "", height=max(2.0, 0.9 + 0.23 * array.size))
    lines = [printable(" ".join(name.split())) for name in names]
    short = [line if len(line) <= 28 else f"{line[:27]}…" for line in lines]
    places = np.arange(array.size)
    numbers = [short_number(value) for value in array]
    drawn = axes.barh(places, array, color=BLUE, height=0.7)
    axes.bar_label(drawn, numbers, padding=3, fontsize=SMALL, color=INK)
    axes.margins(x=0.14, y=0.02)
    axes.set_yticks(places, [s.replace("$", r"\$") for s in short])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xticks([])  # each bar has its number
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    listed = ", ".join(f"{name} {number}" for name, number in zip(short, numbers, strict=True))
    figure.set_label(f"{title}: bars of {what}. {listed}.")
    return figure


def distribution(values: Any, what: str, title: str) -> Figure:
    """Histogram of one number per user and, below it, the cumulative distribution with five percentiles marked.

    Parameters
    ----------
    values : array_like
        NaN is left out.
    what : str
        Name of the values, for the x axis.
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
    heading(upper, title)
    upper.set(ylabel="users")
    lower.set(xlabel=printable(what), ylabel="share with at most this value")
    for axes in (upper, lower):
        tidy(axes)
    figure.set_label(f"{title}: no values.")
    if array.size:
        upper.hist(array, bins=40, color=BLUE)
        mean = array.mean()
        upper.axvline(mean, color=ORANGE)
        left = mean - array[0] > (array[-1] - array[0]) / 2
        where = {"ha": "right" if left else "left", "va": "top", "fontsize": SMALL, "color": INK}
        at = (mean, 0.97), (-4 if left else 4, 0)
        upper.annotate(
            f"mean {short_number(mean)}", *at, xycoords=upper.get_xaxis_transform(), textcoords="offset points", **where
        )
        marks = _cumulative(lower, array)
        figure.set_label(
            f"{title}: histogram and cumulative distribution of {what} over {array.size:,} users. "
            f"Mean {short_number(mean)}; percentiles {marks}."
        )
    return figure


def history(entries: list[dict[str, Any]], title: str = "Loss after each iteration") -> Figure:
    """Loss after each iteration, from `ALS.history_`.

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
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    figure.set_label(f"{title}: from {losses[0]:.6g} to {losses[-1]:.6g} in {len(losses)} iterations.")
    return figure


def trials(table: pd.DataFrame, names: Sequence[str], metric: str) -> Figure:
    """Score of each setting against each parameter of a search, a panel for each parameter; the best is orange.

    Parameters
    ----------
    table : DataFrame
        `SearchResult.table`.
    names : sequence of str
        Parameters to show, at least one.
    metric : str
        Name of the score, for the y axis.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.figure import Figure

    table = table[table["score"].notna()]
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(min(WIDTH, _PANEL * columns), 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels.flat, names, strict=False):
        values = table[name]
        tidy(axes)
        numeric = values.map(is_number).all()
        if numeric:
            axes.locator_params(axis="x", nbins=4 if columns == 1 else 2)
        if numeric and len(values) and values.min() > 0 and values.max() > 20 * values.min():
            log_axis(axes, values.min(), values.max(), ticks=3)
        axes.plot(values if numeric else values.astype(str), table["score"], "o", color=BLUE, alpha=0.8)
        if len(table):
            axes.plot([values.iloc[0] if numeric else str(values.iloc[0])], [table["score"].iloc[0]], "o", color=ORANGE)
        axes.set_xlabel(name)
    for axes in panels[:, 0]:
        axes.set_ylabel(metric)
    best = ", ".join(_setting(name, table[name].iloc[0]) for name in names) if len(table) else "nothing"
    figure.set_label(f"Search: {metric} of {len(table)} settings against {', '.join(names)}. Best, in orange: {best}.")
    return figure


def tuning(table: pd.DataFrame, metric: str, n: int = 15) -> Figure:
    """How far settings are behind the one that `cymbals.tune` chose, with twice the noise on both sides.

    Settings whose line reaches zero cannot be told from the chosen one.

    Parameters
    ----------
    table : DataFrame
        `SearchResult.table` of `cymbals.tune`.
    metric : str
        Name of the score.
    n : int
        Number of settings to show, beginning with the best score. The chosen one is always shown.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib.figure import Figure

    if "noise" not in table:
        raise ValueError("table must have the column 'noise': give the table of a result of cymbals.tune")
    compared = table[table["noise"].notna()]
    chosen = (compared["ahead"] == 0) & (compared["noise"] == 0)
    best = np.arange(len(compared)) < n
    shown, chosen = compared[best | chosen], chosen[best | chosen]
    figure = Figure(figsize=(WIDTH, 0.8 + 0.28 * len(shown)), layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    places = np.arange(len(shown))[::-1]
    axes.axvline(0.0, color=GREY, linewidth=1)
    for place, behind, noise, colour in zip(
        places, -shown["ahead"], 2 * shown["noise"], np.where(chosen, ORANGE, BLUE), strict=True
    ):
        axes.errorbar(behind, place, xerr=noise, fmt="o", markersize=4, color=colour, linewidth=1)
    labels = [_of_tuning(row) for row in shown.astype(object).to_dict("records")]
    axes.set_yticks(places, labels, fontsize=SMALL)
    axes.set_xlabel(f"difference in {metric}")
    close = int(np.sum((shown["ahead"] <= 2 * shown["noise"]) & ~chosen))
    figure.set_label(
        f"Tuning: {metric} of the {len(shown)} best settings, compared with the chosen one, in orange. {close} of the "
        "others cannot be told from it: they are less than twice the noise behind."
    )
    return figure


def _of_tuning(row: Mapping[Any, Any]) -> str:
    """A setting of `tune` in a few words."""
    given = {name: value for name, value in row.items() if value is not None and value == value}  # a NaN means: not given
    parts = [f"f {short_number(given['factors'])}"] if "factors" in given else []
    if "iterations" in given:
        parts.append(f"{short_number(given['iterations'])} iterations")
    if not {"objective", "confidence", "unobserved_weight", "regularization", "nu", "solver"} & set(given):
        return ", ".join([*parts, "ALS()"])
    parts += [f"{given[name]}" for name in ("objective", "confidence", "weighting") if name in given]
    if "biases" in given:
        parts += ["biases" if given["biases"] else "no biases", f"\u03bd {given.get('nu', '')}"]
    for name, symbol in (("unobserved_weight", "w"), ("regularization", "\u03bb")):
        if name in given:
            parts.append(f"{symbol} {given[name]:.3g}" if is_number(given[name]) else f"{symbol} {given[name]}")
    return ", ".join(parts)


def scaling(table: pd.DataFrame, names: Sequence[str], what: str) -> Figure:
    """Curves of a measured number over the first parameter, one curve for each setting of the other parameters.

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
        axes.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
    figure.set_label(f"{title}: from {short_number(table[what].min())} to {short_number(table[what].max())}.")
    return figure


def _setting(name: str, value: Any) -> str:
    return f"{name} {short_number(value)}" if is_number(value) else f"{name} {value}"


def _floats(values: Any) -> NDArray[np.float64]:
    refuse_masked("values", values)
    return np.asarray(values, np.float64)


def _cumulative(axes: Axes, rising: NDArray[np.float64]) -> str:
    """Draw the step curve of sorted values and mark its percentiles, which are returned in words."""
    values, last = np.unique(rising[::-1], return_index=True)
    share = (rising.size - last) / rising.size
    if values.size > _POINTS:  # keep points at equal distances along the curve, so that steep and flat parts stay smooth
        along = np.cumsum(np.hypot(np.diff(_on_axis(axes, values), prepend=np.nan), np.diff(share, prepend=np.nan))[1:])
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _POINTS)))
        kept = np.unique(np.concatenate(([0], np.minimum(kept + 1, values.size - 1), [values.size - 1])))
        values, share = values[kept], share[kept]
    axes.step(np.concatenate((values[:1], values)), np.concatenate(([0], share)), where="post", color=BLUE)
    percent_axis(axes)
    marks = []
    for percentile, value in zip(PERCENTILES, np.percentile(rising, PERCENTILES), strict=True):
        marks.append(f"{percentile} %: {short_number(value)}")
        axes.axvline(value, color=GREY, linewidth=0.8, linestyle=":")
        axes.plot([value], [percentile / 100], "o", color=BLUE, markersize=3.5)
        place = _on_axis(axes, np.array([values[0], value, values[-1]]))[1] if values.size > 1 else 0.0
        ha, va, gap = ("left", "top", 5) if place < 0.7 else ("right", "bottom", -5)  # keeps the text inside the axes
        axes.annotate(
            marks[-1],
            (value, percentile / 100),
            (gap, -gap / 4),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK,
            ha=ha,
            va=va,
        )
    return ", ".join(marks)


def _on_axis(axes: Axes, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions of rising values along the axis, from 0 to 1."""
    places = np.log(values) if axes.get_xscale() == "log" else values
    out: NDArray[np.float64] = (places - places[0]) / (places[-1] - places[0])
    return out
