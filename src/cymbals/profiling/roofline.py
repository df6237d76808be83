"""The roofline of a profile: the speed that each phase reached, below the limits of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.drawing import BLUE, GREY, INK, ORANGE, SMALL, new_figure, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The machine's limits are grey lines in three styles. The colour and the marker of a point tell which side was solved.
_LIMITS = (
    ("near", "second-level cache", ":"),
    ("stream", "memory, in order", "--"),
    ("gather", "memory, random rows", "-."),
)
_SIDES = (("users", "o", BLUE), ("items", "s", ORANGE), ("", "^", INK))


def roofline(phases: list[dict[str, Any]], peaks: dict[str, float]) -> Figure:
    """Phases by flops per byte and GFLOP/s, below the limits of the machine (Williams, Waterman and Patterson 2009).

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
    figure, axes = new_figure(title, "flops per byte", "GFLOP/s", height=3.6)
    top = 2 * peaks["multiply_adds"]
    intensities = [row["flop_per_byte"] for row in phases]
    least, most = min(intensities, default=1.0) / 4, max(max(intensities, default=1.0), top / peaks["gather"]) * 4
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(least, most)
    for name, label, line in _LIMITS:
        knee = top / peaks[name]
        text = f"{label}, {peaks[name]:.0f} GB/s"
        axes.plot([least, knee], [least * peaks[name], top], line, color=GREY, linewidth=1.2, label=text)
    axes.axhline(top, color=GREY, linewidth=1.2, label=f"arithmetic, {top:.0f} GFLOP/s")
    for side, marker, color in _SIDES:
        of_side = [row for row in phases if row["side"] == side]
        if of_side:
            x, y = ([row[name] for row in of_side] for name in ("flop_per_byte", "gflop_per_s"))
            label = side or "both sides"
            axes.plot(x, y, marker, color=color, markersize=5.5, label=label)
    _name_points(axes, phases)
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False, labelcolor=INK)
    told = ", ".join(f"{r['side']} {r['phase']} {short_number(r['gflop_per_s'])}".strip() for r in phases)
    figure.set_label(f"{title}: GFLOP/s of each phase; the machine's limit is {short_number(top)}. {told}.")
    return figure


def _name_points(axes: Axes, phases: list[dict[str, Any]]) -> None:
    """Write next to each point the name of the point's phase, alternately to the right and to the left.

    A name that would cover the name below it is moved up.
    """
    colors = {side: color for side, _, color in _SIDES}
    low, high = axes.get_ylim()
    apart = (high / low) ** (1 / 22)  # between the middles of two lines of text
    free = {"left": low, "right": low}  # where the next name can begin
    for place, row in enumerate(sorted(phases, key=lambda row: float(row["gflop_per_s"]))):
        aligned = "left" if place % 2 == 0 else "right"
        at = max(row["gflop_per_s"], free[aligned])
        free[aligned] = at * apart
        axes.text(
            row["flop_per_byte"],
            at,
            f"  {row['phase']}  ",
            color=colors[row["side"]],
            fontsize=SMALL,
            va="center",
            ha=aligned,
        )
