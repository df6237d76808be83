"""What a profile costs, and whether its phases add up to the fit.

    python benchmarks/overhead.py                    # the dense shape, f 128
    python benchmarks/overhead.py --shape sparse --factors 64

Fits with ``profile=True`` and without take turns, three of each a round. What others on the machine do only adds to a time,
so a round compares the fastest iteration of either kind. Prints the median of the rounds' ratios, and by how much the
phases' seconds, Python's rest left out, fall short of the fit's wall time.
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
                # the first two: what comes later takes less and less, as rows stop early
                seconds[profile].append(min(entry["seconds"] for entry in model.history_[:2]))
                if profile:
                    rows = model.profile_.summary(peaks=False)
                    missing.append(1 - sum(row["seconds"] for row in rows if row["phase"] != "rest") / wall)
        ratios.append(min(seconds[True]) / min(seconds[False]))
    shape = f"{args.shape} shape, f {args.factors}, {args.iterations} iterations, {cymbals.threads()} threads"
    print(f"{shape}: {args.rounds} rounds of {TURNS} fits of either kind in turn")
    print(f"half-steps with a profile over those without: median {statistics.median(ratios):.4f}")
    print("rounds: " + " ".join(f"{ratio:.3f}" for ratio in ratios))
    print(f"phases fall short of the wall time by {statistics.median(missing):.2%}, at most {max(missing):.2%}")


if __name__ == "__main__":
    main()
