"""Measures the peak memory of a fit, beyond the input (by user and by item) and the factors.

    python benchmarks/memory.py --shape sparse

Linux reports the resident memory of the process before the fit, and its maximum during the fit.
"""

from __future__ import annotations

import argparse
import ctypes
from pathlib import Path

from shapes import SHAPES, generate

import cymbals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--factors", type=int, default=128)
    args = parser.parse_args()

    data = generate(args.shape, args.scale)
    by_item = data.by_item()
    cymbals.ALS(factors=8, iterations=1, random_state=0).fit(data)  # loads libraries and fills caches
    # Returns freed memory to the system. Otherwise the fit would reuse this memory, and it would not be counted.
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    model = cymbals.ALS(factors=args.factors, regularization=0.05, iterations=2, random_state=0).fit(data)
    peak = _status("VmHWM") - before

    matrices = sum(part.nbytes for csr in (data.csr, by_item) for part in (csr.indptr, csr.indices, csr.data))
    factors = model.user_factors_.nbytes + model.item_factors_.nbytes
    copy = 2 * max(data.shape) * (-(-args.factors // 32) * 32)
    beyond = peak - factors
    print(f"{args.shape}: {data!r}, f {args.factors}")
    print(
        f"input in both orders {matrices / 1e6:.0f} MB, factors {factors / 1e6:.0f} MB, a 16-bit copy {copy / 1e6:.0f} MB"
    )
    print(f"the fit took {beyond / 1e6:.0f} MB beyond input and factors: the copy and {beyond - copy:,} bytes, ", end="")
    print(f"{(beyond - copy) / (matrices + factors):.1%} of input and factors")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    main()
