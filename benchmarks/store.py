"""Fits from memory and from a store: bitwise the same factors, seconds, and anonymous memory.

    python benchmarks/store.py --shape dense --factors 64

Each fit runs in a process of its own, the two kinds in turn. One process reads a file of NumPy arrays and fits; the other
one opens a store and fits. The peak is that of anonymous memory (RssAnon, sampled every millisecond), above what the
process held after its imports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from machine import machine
from peak import sampled
from shapes import SHAPES, generate

import cymbals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=("memory", "store"), help="fit once with the data of --folder, and print JSON")
    parser.add_argument("--folder")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one_fit(args.one, Path(args.folder), args.factors, args.iterations)))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = generate(args.shape, args.scale)
        data.save(Path(folder, "store"))
        sp.save_npz(Path(folder, "matrix.npz"), data.user_items, compressed=False)
        print(f"{machine()}; {args.shape}: {data!r}, f {args.factors}, {args.iterations} iterations")
        found: dict[str, list[dict[str, float]]] = {"memory": [], "store": []}
        for _ in range(args.rounds):
            for kind, runs in found.items():
                command = [sys.executable, __file__, *sys.argv[1:], "--one", kind, "--folder", folder]
                runs.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    for kind, runs in found.items():
        read, fit, peak = (statistics.median(run[name] for run in runs) for name in ("read", "fit", "peak"))
        print(
            f"{kind}: read {read:.2f} s, fit {fit:.2f} s, peak {peak / 1e6:.0f} MB, loss {runs[0]['loss']:.8g}, "
            f"factors {runs[0]['factors']:08x}"
        )
    assert len({run["factors"] for runs in found.values() for run in runs}) == 1, "the factors differ"
    of = {
        kind: np.array([[run["fit"], run["read"] + run["fit"], run["peak"]] for run in runs])
        for kind, runs in found.items()
    }
    fit, both, peak = np.median(of["store"] / of["memory"], axis=0)
    print(f"store over memory: fit {fit:.2f}, with reading {both:.2f}, peak {peak:.2f}; the same factors")


def one_fit(kind: str, folder: Path, factors: int, iterations: int) -> dict[str, float]:
    """Reads and fits in this process."""
    with sampled(0.001) as peak:
        began = time.perf_counter()
        if kind == "memory":
            data = cymbals.Interactions.from_csr(sp.load_npz(folder / "matrix.npz"))
        else:
            data = cymbals.Interactions.open(folder / "store")
        read = time.perf_counter() - began
        model = cymbals.ALS(factors, regularization=0.05, iterations=iterations, random_state=0)
        began = time.perf_counter()
        model.fit(data)
        fit = time.perf_counter() - began
    checksum = zlib.crc32(model.item_factors_, zlib.crc32(model.user_factors_))
    return {"read": read, "fit": fit, "peak": peak.taken, "factors": checksum, "loss": model.loss(data)}


if __name__ == "__main__":
    main()
