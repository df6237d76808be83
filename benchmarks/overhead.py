"""What a profile costs, and whether its phases add up to the fit.

    python benchmarks/overhead.py                    # the dense shape, f 128
    python benchmarks/overhead.py --shape sparse --factors 64

Fits with ``profile=True`` and without take turns. Prints the median of the rounds' ratios of half-step seconds and of whole
fits, and by how much the phases' seconds, Python's rest left out, fall short of the fit's wall time.
"""

from __future__ import annotations

import argparse
import statistics
import time

from shapes import SHAPES, generate

import cymbals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    data = generate(args.shape, args.scale)
    data.by_item()
    model = cymbals.ALS(args.factors, 0.05, iterations=args.iterations, random_state=0)
    ratios, of_fits, missing = [], [], []
    for number in range(args.rounds + 1):
        took = {}
        for profile in (False, True) if number % 2 else (True, False):
            begin = time.perf_counter()
            model.fit(data, profile=profile)
            took[profile] = (sum(entry["seconds"] for entry in model.history_), time.perf_counter() - begin)
            if profile:
                wall = took[profile][1]
                rows = model.profile_.summary(peaks=False)
                missing.append(1 - sum(row["seconds"] for row in rows if row["phase"] != "rest") / wall)
        if number:  # the first round warms up
            ratios.append(took[True][0] / took[False][0])
            of_fits.append(took[True][1] / took[False][1])
    shape = f"{args.shape} shape, f {args.factors}, {args.iterations} iterations, {cymbals.threads()} threads"
    print(f"{shape}: medians of {args.rounds} alternating rounds")
    print(f"with a profile over without: half-steps {statistics.median(ratios):.4f}, fits {statistics.median(of_fits):.4f}")
    print("rounds, half-steps: " + " ".join(f"{ratio:.3f}" for ratio in ratios))
    print(f"phases fall short of the wall time by {statistics.median(missing[1:]):.2%}, at most {max(missing[1:]):.2%}")


if __name__ == "__main__":
    main()
