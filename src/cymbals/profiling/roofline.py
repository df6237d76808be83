"""The roofline of a profile: what each phase reached, under what the machine allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.drawing import BLUE, GREY, ORANGE, new_figure, short_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    figure, axes = new_figure(title, "flops a byte", "GFLOP/s")
    top = 2 * peaks["multiply_adds"]
    intensities = [row["flop_per_byte"] for row in phases]
    least, most = min(intensities, default=1.0) / 4, max(max(intensities, default=1.0), top / peaks["gather"]) * 4
    for name, color in (("near", GREY), ("stream", BLUE), ("gather", ORANGE)):
        knee = top / peaks[name]
        axes.plot([least, knee], [least * peaks[name], top], color=color, linewidth=1)
        label = {"near": "second-level cache", "stream": "memory in order", "gather": "rows at random"}[name]
        axes.annotate(f"{label} {peaks[name]:.0f} GB/s", (least, least * peaks[name]), color=color, fontsize=7)
    axes.axhline(top, color=GREY, linewidth=1)
    axes.annotate(f"{top:.0f} GFLOP/s", (most, top), ha="right", va="bottom", fontsize=7)
    for side, marker, color, place in (
        ("users", "o", BLUE, "right"),
        ("items", "s", ORANGE, "left"),
        ("", "^", GREY, "left"),
    ):
        points = [(row["flop_per_byte"], row["gflop_per_s"], row["phase"]) for row in phases if row["side"] == side]
        for intensity, rate, phase in points:
            axes.plot([intensity], [rate], marker, color=color, markersize=5)
            axes.annotate(f"  {phase}  ", (intensity, rate), color=color, fontsize=8, va="center", ha=place)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(least, most)
    axes.set_title(f"{title} (circles: users, squares: items)", fontsize=11)
    told = ", ".join(f"{r['side']} {r['phase']} {short_number(r['gflop_per_s'])}".strip() for r in phases)
    figure.set_label(f"{title}: GFLOP/s of phases under a peak of {short_number(top)}. {told}.")
    return figure
