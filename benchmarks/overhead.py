"""Measures the cost of a profile, and whether the seconds of its phases add up to the time of the fit.

    python benchmarks/overhead.py                    # the dense shape, f 128
    python benchmarks/overhead.py --shape sparse --factors 64

In each round, three fits with ``profile=True`` and three without take turns. Other programs on the machine can only make
a fit slower, so a round compares the fastest iteration with a profile and the fastest one without. Prints the median ratio
of all rounds. Also prints by how much the seconds of all phases (without the phase "rest", which is Python) are less than
the wall time of the fit.
"""

from __future__ import annotations

import argparse
import statistics
import time

from shapes import SHAPES, generate

import cymbals

TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    data = generate(args.shape, args.scale)
    data.by_item()
    model = cymbals.ALS(args.factors, 0.05, iterations=args.iterations, random_state=0)
    model.fit(data, profile=True)  # warms up
    ratios, missing = [], []
    for _ in range(args.rounds):
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(TURNS):
            for profile in (False, True) if turn % 2 else (True, False):
                begin = time.perf_counter()
                model.fit(data, profile=profile)
                wall = time.perf_counter() - begin
                # Only the first two iterations: later ones take less time, because CG stops earlier.
                seconds[profile].append(min(entry["seconds"] for entry in model.history_[:2]))
                if profile:
                    rows = model.profile_.summary(peaks=False)
                    missing.append(1 - sum(row["seconds"] for row in rows if row["phase"] != "rest") / wall)
        ratios.append(min(seconds[True]) / min(seconds[False]))
    shape = f"{args.shape} shape, f {args.factors}, {args.iterations} iterations, {cymbals.threads()} threads"
    print(f"{shape}: {args.rounds} rounds of {TURNS} fits with and {TURNS} without a profile")
    print(f"seconds of half-steps with a profile / without: median {statistics.median(ratios):.4f}")
    print("rounds: " + " ".join(f"{ratio:.3f}" for ratio in ratios))
    print(f"all phases are {statistics.median(missing):.2%} less than the wall time, at most {max(missing):.2%} less")


if __name__ == "__main__":
    main()
