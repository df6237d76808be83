"""Draws the files of `compare.py --json`: seconds per iteration by number of factors, and loss against seconds.

python benchmarks/plot.py results/*.json -o benchmarks/figures.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
import matplotlib.ticker
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"cymbals-auto": "C0", "cymbals-exact": "C0", "implicit-cg": "C1", "irspack-cg": "C2", "cmfrec-cg": "C3"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    runs = [json.loads(file.read_text()) for file in args.files]
    shapes = sorted({run["shape"] for run in runs})
    figure, axes = plt.subplots(2, len(shapes), figsize=(5 * len(shapes), 7), layout="constrained", squeeze=False)
    for (top, bottom), shape in zip(axes.T, shapes, strict=True):
        here = sorted((run for run in runs if run["shape"] == shape), key=lambda run: run["factors"])
        _by_rank(top, here)
        iterations = [max(len(s["loss"]) for s in run["systems"].values()) for run in here]
        longest = [run for run, n in zip(here, iterations, strict=True) if n == max(iterations)]
        _by_time(bottom, longest[len(longest) // 2])
        top.set_title(shape)
    axes[0][0].legend()
    figure.savefig(args.output)


def _by_rank(axes, runs) -> None:
    for name in dict.fromkeys(name for run in runs for name in run["systems"]):
        points = {run["factors"]: np.median(run["systems"][name]["seconds"]) for run in runs if name in run["systems"]}
        axes.plot(list(points), list(points.values()), marker="o", color=COLOURS.get(name), label=name)
    ranks = sorted({run["factors"] for run in runs})
    axes.set(xscale="log", yscale="log", xlabel="factors", ylabel="median seconds per iteration")
    axes.set_xticks(ranks, [str(f) for f in ranks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def _by_time(axes, run) -> None:
    for name, facts in run["systems"].items():
        losses = np.array(facts["loss"])
        if np.isnan(losses).any():
            continue
        seconds = np.median(np.cumsum(facts["seconds"], axis=1), axis=0)
        axes.plot(seconds, losses, marker="o", markersize=3, color=COLOURS.get(name), label=name)
    axes.set(xscale="log", xlabel="seconds", ylabel=f"training loss per cell, f {run['factors']}")
    axes.set_ylim(top=np.nanmax([facts["loss"][1] for facts in run["systems"].values()]))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    main()
