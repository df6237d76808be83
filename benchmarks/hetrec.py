"""Fits real raw play counts (HetRec's Last.fm, up to 352,698 per pair): seconds until the loss is near the exact solver's.

    python benchmarks/hetrec.py      # reads $CYMBALS_DATA/hetrec_lastfm2k, default ../shared/data

The goal is a loss of at most 1.01 times the loss of cymbals' exact solver after 15 iterations. All systems start from the
same factors. cymbals runs for 15 iterations, the others for 40. The time of a system is the sum over its iterations up to
the first one that reaches the goal.
"""

from __future__ import annotations

import peers  # isort: skip  (must come first: it sets the number of BLAS threads)

import argparse
import os
import statistics
from pathlib import Path

import numpy as np
from compare import OBJECTIVE

import cymbals
from cymbals.metrics.loss import loss

MOST = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    args = parser.parse_args()
    folder = Path(os.environ.get("CYMBALS_DATA", Path(__file__).parents[1] / "../shared/data")) / "hetrec_lastfm2k"
    data = cymbals.datasets.hetrec.load(folder)
    for factors in args.factors:
        _compare(data, factors, args.rounds, args.threads)


def _compare(data: cymbals.Interactions, factors: int, rounds: int, threads: int) -> None:
    rng = np.random.default_rng(1)
    start = tuple((rng.standard_normal((n, factors)) * 0.1 / np.sqrt(factors)).astype(np.float32) for n in data.shape)

    def run(name: str, iterations: int) -> tuple[list[float], list[float]]:
        seconds, losses = [], []

        def report(_, elapsed, x, y):
            seconds.append(elapsed)
            losses.append(loss(data.csr, x, y, OBJECTIVE, data.by_item().indptr, threads))

        peers.SYSTEMS[name](data, start, iterations, threads, report)
        return seconds, losses

    goal = 1.01 * run("cymbals-exact", 15)[1][-1]
    print(f"\n{data!r}, f {factors}: to a loss of {goal:.7f}, {rounds} rounds")
    names = ("cymbals-auto", "implicit-cholesky", "implicit-cg")
    needed: dict[str, list[float]] = {name: [] for name in names}
    curves = {}
    for _ in range(rounds):
        for name in names:
            seconds, losses = run(name, 15 if name == "cymbals-auto" else MOST)
            curves[name] = losses
            there = [i for i, loss in enumerate(losses) if loss <= goal]
            needed[name].append(sum(seconds[: there[0] + 1]) if there else float("inf"))
    for name in names:
        ratio = statistics.median(a / b for a, b in zip(needed[name], needed["cymbals-auto"], strict=True))
        reached = next((i + 1 for i, loss in enumerate(curves[name]) if loss <= goal), None)
        print(f"{name:<18}{statistics.median(needed[name]):8.3f} s  {ratio:6.2f}  ", end="")
        print(
            f"iteration {reached}" if reached else f"not in {MOST} iterations, ends at {curves[name][-1]:.7f}",
            end="; losses 1, 5, 15: ",
        )
        print(", ".join(f"{curves[name][i]:.7f}" for i in (0, 4, 14)), flush=True)


if __name__ == "__main__":
    main()
