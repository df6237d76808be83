"""Compares two installed versions of cymbals on the same fit.

    python benchmarks/versions.py OLD/bin/python NEW/bin/python --shape dense --factors 128 --rounds 9

Each argument is the Python of an environment with one version. The processes of the two versions alternate. Each round
starts one process of each version, which does several fits. Other programs on the machine can only make a fit slower, so
a round uses, for each iteration, the fastest of the process's fits. Prints the sum of these seconds for both versions and
their ratio, new / old, then the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from shapes import SHAPES, generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="the Python of the environment with the old version")
    parser.add_argument("new", help="the Python of the environment with the new version")
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies users, items and entries of the shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--fits", type=int, default=3, help="fits of one process")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "entries.npz"
        scipy.sparse.save_npz(file, generate(args.shape, args.scale).user_items, compressed=False)
        ratios = []
        for round_ in range(args.rounds):
            results: dict[str, dict[str, Any]] = {}
            for python in (args.old, args.new) if round_ % 2 == 0 else (args.new, args.old):
                results[python] = run_process(python, file, args.factors, args.iterations, args.fits)
            old, new = results[args.old], results[args.new]
            if round_ == 0:
                print(f"{args.shape}, f {args.factors}, {args.iterations} iterations, {args.fits} fits a round")
                for name, result in (("old", old), ("new", new)):
                    about = f"{result['version']} on {result['simd']}, {result['threads']} threads"
                    print(f"{name}: cymbals {about}, {result['package']}, loss {result['loss']:.8f}")
            seconds = np.min(old["seconds"], axis=0).sum(), np.min(new["seconds"], axis=0).sum()
            ratios.append(seconds[1] / seconds[0])
            print(f"round {round_ + 1}: old {seconds[0]:.3f} s, new {seconds[1]:.3f} s, {ratios[-1]:.3f}", flush=True)
    print(f"new / old: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


def run_process(python: str, file: Path, factors: int, iterations: int, fits: int) -> dict[str, Any]:
    """Fit in a new process. Returns the dict that it prints as its last line."""
    command = [python, "-P", "-c", CHILD, str(file), str(factors), str(iterations), str(fits)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{python} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


# Uses only names that all versions have. The first fit also computes the loss, and its seconds do not count.
CHILD = """
import json, os, sys
import scipy.sparse, cymbals
file, factors, iterations, fits = sys.argv[1], *map(int, sys.argv[2:])
data = cymbals.Interactions.from_csr(scipy.sparse.load_npz(file))
model = cymbals.ALS(factors, 0.05, iterations=iterations, random_state=0)
model.fit(data, compute_loss=True)
loss = model.history_[-1]["loss"]
seconds = [[entry["seconds"] for entry in model.fit(data).history_] for _ in range(fits)]
print(json.dumps({"version": cymbals.__version__, "package": os.path.dirname(cymbals.__file__), "simd": cymbals.simd(),
                  "threads": cymbals.threads(), "loss": loss, "seconds": seconds}))
"""

if __name__ == "__main__":
    main()
