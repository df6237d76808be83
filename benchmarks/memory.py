"""Compares the memory that fits take with the prediction of `ALS.memory_needed`.

    python benchmarks/memory.py

Each fit runs in a process of its own. Its peak is that of anonymous memory (RssAnon, sampled every half millisecond), above
what the process held before the fit. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from machine import machine
from peak import sampled

import cymbals

# users, items, entries; what is done with the data first; arguments of the fit
FITS: list[tuple[tuple[int, int, int], str, dict[str, Any]]] = [
    ((200_000, 50_000, 5_000_000), "", {"factors": 64}),
    ((200_000, 50_000, 5_000_000), "by item", {"factors": 128, "n_threads": 1}),
    ((200_000, 50_000, 5_000_000), "store", {"factors": 64, "objective": "ials", "nu": 1.0}),
    ((200_000, 50_000, 5_000_000), "", {"factors": 64, "objective": "explicit", "biases": True}),
    ((30_000, 400_000, 4_000_000), "by item", {"factors": 256, "objective": "ials", "nu": 1.0, "tol": 1e-6}),
    ((100_000, 100_000, 3_000_000), "", {"factors": 512, "solver": "exact", "n_threads": 1}),
    ((300_000, 100_000, 3_000_000), "", {"factors": 32, "dtype": "float64"}),
    ((1_000_000, 200_000, 20_000_000), "store", {"factors": 32}),
    ((1_000_000, 20_000, 10_000_000), "", {"factors": 40, "solver": "cg", "n_threads": 4}),
    ((150_000, 150_000, 6_000_000), "zeros", {"factors": 96, "confidence": "log"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, help="do this fit, and print JSON")
    number = parser.parse_args().one
    if number is not None:
        print(json.dumps(one_fit(*FITS[number])))
        return
    print(machine())
    print(f"{'users':>10}{'items':>9}{'entries':>12}  {'predicted':>10}{'measured':>10}{'ratio':>7}")
    ratios = []
    for i, (shape, kind, params) in enumerate(FITS):
        run = subprocess.run([sys.executable, __file__, "--one", str(i)], check=True, capture_output=True)
        predicted, measured = json.loads(run.stdout)
        ratios.append(predicted / measured)
        print(
            f"{shape[0]:10,}{shape[1]:9,}{shape[2]:12,}  {predicted / 1e6:7.0f} MB{measured / 1e6:7.0f} MB{ratios[-1]:7.3f}"
            f"  {kind or 'as it is'}, {params}"
        )
    print(f"predicted over measured: {min(ratios):.3f} to {max(ratios):.3f}")


def one_fit(shape: tuple[int, int, int], kind: str, params: dict[str, Any]) -> tuple[int, int]:
    """The bytes that a fit is predicted to take, and those that it takes."""
    n_users, n_items, n = shape
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, n_users, n), (n_items * rng.random(n) ** 2).astype(np.int64)
    values = rng.integers(kind != "zeros", 9, n).astype(np.float32)
    data = cymbals.Interactions.from_arrays(users, items, values, shape=(n_users, n_items))
    del users, items, values
    with tempfile.TemporaryDirectory() as folder:
        if kind == "by item":
            data.by_item()
        if kind == "store":
            data.save(Path(folder, "store"))
            data = cymbals.Interactions.open(Path(folder, "store"))
        model = cymbals.ALS(iterations=2, random_state=0, **params)
        # Libraries are loaded, and OpenBLAS takes its buffers, before anything is measured.
        small = sp.random_array((100, 80), density=0.1, rng=0)
        cymbals.ALS(params["factors"], iterations=1, random_state=0).fit(small)
        predicted = model.memory_needed(data)
        ctypes.CDLL(None).malloc_trim(0)  # returns freed memory, which the fit would use again without being counted
        with sampled(0.0005) as peak:
            model.fit(data)
        return int(predicted), peak.taken


if __name__ == "__main__":
    main()
