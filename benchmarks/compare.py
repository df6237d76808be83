"""Compares systems on the same input, from the same starting factors: seconds and loss of every iteration.

    python benchmarks/compare.py --shape dense --factors 128 --systems cymbals-auto,implicit-cg,irspack-cg,cmfrec-cg

In each round, every system does one fit. The same function computes the loss of all. A ratio is the seconds of a system
divided by those of the first system in the same round.
"""

from __future__ import annotations

import peers  # isort: skip  (must come first: it sets the number of BLAS threads)

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
from shapes import SHAPES, generate

import cymbals
from cymbals.metrics.loss import loss
from cymbals.solve.objective import Objective

OBJECTIVE = Objective.checked(
    objective="hu",
    alpha=1.0,
    unobserved_weight=1.0,
    confidence="linear",
    regularization=peers.REGULARIZATION,
    nu=0.0,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies users, items and entries of the shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    parser.add_argument("--systems", default="cymbals-auto,implicit-cg", help=f"any of {', '.join(peers.SYSTEMS)}")
    parser.add_argument("--json", type=Path, help="all seconds and losses, for plot.py")
    args = parser.parse_args()
    systems = args.systems.split(",")
    if unknown := set(systems) - set(peers.SYSTEMS):
        parser.error(f"no such systems: {', '.join(sorted(unknown))}")

    data = generate(args.shape, args.scale)
    print(f"{args.shape}: {data!r}; f {args.factors}, {args.threads} threads, cymbals on {cymbals.simd()}", flush=True)
    rng = np.random.default_rng(1)
    start = tuple(
        (rng.standard_normal((n, args.factors)) * 0.1 / np.sqrt(args.factors)).astype(np.float32) for n in data.shape
    )
    seconds = {name: np.full((args.rounds, args.iterations), np.nan) for name in systems}
    losses = {name: np.full(args.iterations, np.nan) for name in systems}
    for round_ in range(args.rounds):
        for name in systems:

            def report(iteration, elapsed, x, y, name=name, round_=round_):
                seconds[name][round_, iteration - 1] = elapsed
                if round_ == 0 and x is not None:
                    losses[name][iteration - 1] = loss(data.csr, x, y, OBJECTIVE, data.by_item().indptr, args.threads)

            peers.SYSTEMS[name](data, start, args.iterations, args.threads, report)
        print(f"round {round_ + 1} of {args.rounds} done", file=sys.stderr, flush=True)

    _table(systems, seconds, losses)
    _summary(systems, seconds, losses)
    if args.json:
        facts = {name: {"seconds": seconds[name].tolist(), "loss": losses[name].tolist()} for name in systems}
        about = {"shape": args.shape, "factors": args.factors, "threads": args.threads, "simd": cymbals.simd()}
        args.json.write_text(json.dumps(about | {"systems": facts}))


def _table(systems, seconds, losses) -> None:
    first = systems[0]
    print(f"\n{'iteration':>9}  {'system':<18}{'median s':>9}{'min':>8}{'max':>8}{'ratio':>7}  loss")
    for i in range(losses[first].size):
        for name in systems:
            s = seconds[name][:, i]
            ratio = statistics.median(s / seconds[first][:, i])
            print(f"{i + 1:9}  {name:<18}{np.median(s):9.3f}{s.min():8.3f}{s.max():8.3f}{ratio:7.2f}", end="")
            print(f"  {losses[name][i]:.8f}")


def _summary(systems, seconds, losses) -> None:
    """Compare the first system with each of the others: whole fits, and the time until it has the other's final loss."""
    first = systems[0]
    elapsed = {name: np.cumsum(seconds[name], axis=1) for name in systems}
    for name in systems[1:]:
        ratio = elapsed[name][:, -1] / elapsed[first][:, -1]
        print(f"\n{name}: {statistics.median(ratio):.2f} times the seconds per iteration of {first}", end="")
        print(f" (rounds {ratio.min():.2f} to {ratio.max():.2f})")
        known = ~np.isnan(losses[name])
        lower = np.all(
            losses[first][known] <= losses[name][known] * (1 + 1e-7)
        )  # 1e-7: two exact solvers differ by rounding
        print(f"  loss of {first} {'equal or lower' if lower else 'NOT always equal or lower'}, {known.sum()} iterations")
        reached = np.flatnonzero(losses[first] <= losses[name][-1])
        if reached.size:
            ratio = elapsed[name][:, -1] / elapsed[first][:, reached[0]]
            print(f"  {first} reaches the final loss of {name} after {reached[0] + 1} iterations, in", end="")
            print(f" {statistics.median(ratio):.2f} times less time (rounds {ratio.min():.2f} to {ratio.max():.2f})")


if __name__ == "__main__":
    main()
