"""Measures what `recommend_all` to a Parquet file takes beyond the bare kernel, for all users of the dense shape.

    python benchmarks/batch.py                                          # 138,000 users, 27,000 items, f 128
    python benchmarks/batch.py --scale 0.1 --factors 32 --rounds 3      # a trial of a few seconds

The kernel is one call of the C function for top-k, with all users and without their seen items. It returns row numbers.
`recommend_all` adds ids, ranks, Arrow batches and the file. Both take turns. The file must have the kernel's items.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from machine import machine
from shapes import SHAPES, generate

import cymbals
from cymbals._core import topk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the size of the shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=5, help="of the fit")
    parser.add_argument("-n", type=int, default=10, help="items for each user")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    args = parser.parse_args()
    data = generate(args.shape, args.scale)
    model = cymbals.ALS(args.factors, 0.05, iterations=args.iterations, random_state=0, n_threads=args.threads).fit(data)
    print(f"{machine()}, {args.threads} threads\n{data!r}, f {args.factors}, n {args.n}")

    state = model.state_
    ids = np.empty((data.shape[0], args.n), np.int64)
    scores = np.empty(ids.shape, state.y.dtype)
    kernel, whole = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "all.parquet")
        for round_number in range(-1, args.rounds):  # the first is a warm-up, which is not counted
            begin = time.perf_counter()
            topk(state.x, state.scored_items, None, None, state.seen, ids, scores, args.threads)
            middle = time.perf_counter()
            n_rows = model.recommend_all(args.n).to_parquet(path)
            if round_number >= 0:
                kernel.append(middle - begin)
                whole.append(time.perf_counter() - middle)
        _check(path, n_rows, ids, scores)
        size = path.stat().st_size
    ratios = [b / a for a, b in zip(kernel, whole, strict=True)]
    for name, seconds in (("kernel", kernel), ("recommend_all", whole)):
        print(f"{name:<14} median {statistics.median(seconds):.3f} s, {min(seconds):.3f} to {max(seconds):.3f} s")
    print(f"{n_rows:,} rows, {size / 1e6:.0f} MB; ", end="")
    print(f"ratio {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})")


def _check(path: Path, n_rows: int, ids: np.ndarray, scores: np.ndarray) -> None:
    """The file has a row for each place that the kernel filled, with its item and its score."""
    table = parquet.read_table(path)
    filled = ids >= 0
    assert n_rows == len(table) == filled.sum(), f"{n_rows} rows, the kernel filled {filled.sum()} places"
    users, places = np.nonzero(filled)
    for column, want in (("user", users), ("rank", places + 1), ("item", ids[filled]), ("score", scores[filled])):
        np.testing.assert_array_equal(table[column].to_numpy(), want)


if __name__ == "__main__":
    main()
