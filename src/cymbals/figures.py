"""Pictures: distributions, top lists, a search, a fit. Each is a matplotlib Figure of its own, whose label (`get_label`)
says in words what it shows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._format import is_number, printable
from ._validation import refuse_masked

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = (10, 25, 50, 75, 90)
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#666666"  # told apart by colour-blind readers, too (Okabe and Ito)
_WIDTH = 4.8  # inches: as wide as a phone shows with letters that can be read
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
    figure, axes = _figure(title, what, "share at most this")
    array = np.sort(_floats(values))
    array = array[array > 0]
    if array.size:
        _log_axis(axes, array[0], array[-1])
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
    figure, axes = _figure(title, what, "")
    array = _floats(values)
    lines = [printable(" ".join(name.split())) for name in names]
    short = [line if len(line) <= 28 else f"{line[:27]}…" for line in lines]
    places = np.arange(array.size)
    axes.barh(places, array, color=_BLUE)
    axes.set_yticks(places, [s.replace("$", r"\$") for s in short])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    listed = ", ".join(f"{name} {_short(value)}" for name, value in zip(short, array, strict=True))
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
    figure = Figure(figsize=(_WIDTH, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    figure.suptitle(printable(title), fontsize=11)
    upper.set(ylabel="users")
    lower.set(xlabel=printable(what), ylabel="share at most this")
    for axes in (upper, lower):
        _tidy(axes)
    figure.set_label(f"{title}: no values.")
    if array.size:
        upper.hist(array, bins=40, color=_BLUE)
        upper.axvline(array.mean(), color=_ORANGE)
        marks = _cumulative(lower, array)
        figure.set_label(
            f"{title}: histogram and cumulative distribution of {what} over {array.size:,} users. "
            f"Mean {_short(array.mean())}; percentiles {marks}."
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

    figure, axes = _figure(title, "iteration", "loss")
    losses = [entry["loss"] for entry in entries]
    axes.plot([entry["iteration"] for entry in entries], losses, "o-", color=_BLUE, markersize=4)
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
    figure = Figure(figsize=(_WIDTH, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels.flat, names, strict=False):
        values = table[name]
        numeric = values.map(is_number).all()
        if numeric and len(values) and values.min() > 0 and values.max() > 20 * values.min():
            _log_axis(axes, values.min(), values.max())
        axes.plot(values if numeric else values.astype(str), table["score"], "o", color=_BLUE, alpha=0.8)
        if len(table):
            axes.plot([values.iloc[0] if numeric else str(values.iloc[0])], [table["score"].iloc[0]], "o", color=_ORANGE)
        axes.set_xlabel(name)
        _tidy(axes)
    for axes in panels[:, 0]:
        axes.set_ylabel(metric)
    best = ", ".join(f"{name} {table[name].iloc[0]}" for name in names) if len(table) else "nothing"
    figure.set_label(f"Search: {metric} of {len(table)} settings against {', '.join(names)}. Best, in orange: {best}.")
    return figure


def roofline(phases: list[dict[str, Any]], peaks: dict[str, float]) -> Figure:
    """Phases by flops a byte and flops a second, under what the machine allows (Williams, Waterman, Patterson 2009).

    Parameters
    ----------
    phases : list of dict
        With "side", "phase", "seconds", "flop_per_byte" and "gflop_per_s", from `Profile.summary`.
    peaks : dict
        `Profile.peaks`.

    Returns
    -------
    matplotlib Figure
    """
    title = "Roofline"
    figure, axes = _figure(title, "flops a byte", "GFLOP/s")
    top = 2 * peaks["multiply_adds"]
    intensities = [row["flop_per_byte"] for row in phases]
    least, most = min(intensities, default=1.0) / 4, max(max(intensities, default=1.0), top / peaks["gather"]) * 4
    for name, color in (("near", _GREY), ("stream", _BLUE), ("gather", _ORANGE)):
        knee = top / peaks[name]
        axes.plot([least, knee], [least * peaks[name], top], color=color, linewidth=1)
        label = {"near": "second-level cache", "stream": "memory in order", "gather": "rows at random"}[name]
        axes.annotate(f"{label} {peaks[name]:.0f} GB/s", (least, least * peaks[name]), color=color, fontsize=7)
    axes.axhline(top, color=_GREY, linewidth=1)
    axes.annotate(f"{top:.0f} GFLOP/s", (most, top), ha="right", va="bottom", fontsize=7)
    for side, marker, color, place in (
        ("users", "o", _BLUE, "right"),
        ("items", "s", _ORANGE, "left"),
        ("", "^", _GREY, "left"),
    ):
        points = [(row["flop_per_byte"], row["gflop_per_s"], row["phase"]) for row in phases if row["side"] == side]
        for intensity, rate, phase in points:
            axes.plot([intensity], [rate], marker, color=color, markersize=5)
            axes.annotate(f"  {phase}  ", (intensity, rate), color=color, fontsize=8, va="center", ha=place)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(least, most)
    axes.set_title(f"{title} (circles: users, squares: items)", fontsize=11)
    told = ", ".join(f"{r['side']} {r['phase']} {_short(r['gflop_per_s'])}".strip() for r in phases)
    figure.set_label(f"{title}: GFLOP/s of phases under a peak of {_short(top)}. {told}.")
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
    figure, axes = _figure(title, names[0], what)
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
    figure.set_label(f"{title}: from {_short(table[what].min())} to {_short(table[what].max())}.")
    return figure


def _floats(values: Any) -> NDArray[np.float64]:
    refuse_masked("values", values)
    return np.asarray(values, np.float64)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained", label=f"{title}: no values.")
    axes = figure.subplots()
    axes.set_title(printable(title), fontsize=11)
    axes.set(xlabel=printable(x), ylabel=printable(y))
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _log_axis(axes: Axes, least: float, most: float) -> None:
    """A log axis with a handful of round numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    within = (1.0, 2.0, 5.0) if most < 50 * least else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=within, numticks=4))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))


def _cumulative(axes: Axes, rising: NDArray[np.float64]) -> str:
    """A step curve of sorted values, with lines at their percentiles, which are returned in words."""
    values, last = np.unique(rising[::-1], return_index=True)
    share = (rising.size - last) / rising.size
    if values.size > _POINTS:  # evenly along the curve: neither a steep nor a flat part is left out
        along = np.cumsum(np.hypot(np.diff(_on_axis(axes, values), prepend=np.nan), np.diff(share, prepend=np.nan))[1:])
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _POINTS)))
        kept = np.unique(np.concatenate(([0], np.minimum(kept + 1, values.size - 1), [values.size - 1])))
        values, share = values[kept], share[kept]
    axes.step(np.concatenate((values[:1], values)), np.concatenate(([0], share)), where="post", color=_BLUE)
    marks = []
    for percentile, value in zip(PERCENTILES, np.percentile(rising, PERCENTILES), strict=True):
        marks.append(f"{percentile} %: {_short(value)}")
        axes.axvline(value, color=_GREY, linewidth=0.8, linestyle=":")
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


def _short(value: float) -> str:
    """A number in few digits."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"
