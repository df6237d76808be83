"""Measures the memory of processes that serve a saved model: one that reads the file, and several that map it.

    python benchmarks/serving.py                                # the dense shape, f 128
    python benchmarks/serving.py --scale 0.1 --factors 32       # a trial of a few seconds

Each process answers 1,000 users one after another, and then waits until all have answered. Linux reports the memory of each
(Pss): a page that several processes share counts in equal parts. The memory of as many processes that only imported cymbals
is subtracted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

from machine import machine
from shapes import SHAPES, generate

import cymbals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the size of the shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--workers", type=int, default=4, help="number of processes that map the file")
    args = parser.parse_args()
    data = generate(args.shape, args.scale)
    model = cymbals.ALS(args.factors, 0.05, iterations=1, random_state=0).fit(data)
    print(f"{machine()}\n{data!r}, f {args.factors}")
    idle = {n: _memory(None, False, n) for n in (1, args.workers)}
    with tempfile.TemporaryDirectory() as folder:
        for name, with_interactions in (("with interactions", True), ("without interactions", False)):
            path = Path(folder, "model.cymbals")
            model.save(path, include_interactions=with_interactions)
            cases = ((False, 1), (True, 1), (True, args.workers))
            read, mapped, shared = (_memory(path, mmap, n) - idle[n] for mmap, n in cases)
            print(f"{name}: file {path.stat().st_size / 1e6:.0f} MB; a process that reads it {read / 1e6:.0f} MB, ", end="")
            print(f"that maps it {mapped / 1e6:.0f} MB; {args.workers} that map it {shared / 1e6:.0f} MB in all")
    print(f"a process that only imported cymbals: {idle[1] / 1e6:.0f} MB")


def _memory(path: Path | None, mmap: bool, n: int) -> int:
    """The memory of n processes together, in bytes, after they have answered."""
    context = multiprocessing.get_context("spawn")
    answered, results = context.Barrier(n), context.Queue()
    processes = [context.Process(target=_serve, args=(path, mmap, answered, results)) for _ in range(n)]
    for process in processes:
        process.start()
    total = sum(results.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    return total


def _serve(path: Path | None, mmap: bool, answered: Any, results: Any) -> None:
    if path is not None:
        model = cymbals.load(path, mmap=mmap)
        model.set_params(n_threads=1)
        seen = model.state_.seen is not None
        for user in model.user_ids_[:1000]:
            model.recommend(user, exclude_seen=seen)
        model.recommend(history=model.item_ids_[:20].tolist())
    answered.wait()
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    answered.wait()  # a process that ends would leave its shared pages to the others
    results.put(used)


if __name__ == "__main__":
    main()
