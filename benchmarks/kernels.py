"""Measures how near each kernel comes to the limits of the machine, and the speed-up by threads and instruction sets.

    python benchmarks/kernels.py                   # shares of the limits, f 128
    python benchmarks/kernels.py --scaling         # half-steps on both shapes: threads, instruction sets

The limits are those of `cymbals doctor --peaks`, measured in the same run. The shortest possible time of a CG step (its
roof) is the longer of two times: that of its 2 f multiply-adds per entry, and that of reading 2 f bytes per entry
(bfloat16) from the L2 cache.

Gathering cannot be timed alone, because the kernel computes while it gathers. So its time is computed from three others:
the time of a first CG step on rows drawn at random from 256 MB of memory, minus the time of a first step on rows in the L2
cache, plus the time of reading the rows from L2. A share above 100 % means that a part of the gathering overlaps with
computing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from compare import OBJECTIVE
from shapes import generate

import cymbals
from cymbals import _core
from cymbals.profiling.doctor import supported
from cymbals.solve.basis import eigenbasis, gramian
from cymbals.solve.half_step import ALWAYS, Settings, half_step, solve_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--length", type=int, default=400, help="entries of a row; not with --scaling")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    args = parser.parse_args()
    if args.scaling:
        for shape in ("dense", "sparse"):
            _scaling(shape, args)
    else:
        _shares(args)


def _median(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """The median seconds of each run. Runs take turns, and the first round does not count."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds + 1):
        for took, run in zip(seconds, runs, strict=True):
            begin = time.perf_counter()
            run()
            took.append(time.perf_counter() - begin)
    return [statistics.median(took[1:]) for took in seconds]


def _shares(args) -> None:
    f, threads = args.factors, args.threads
    before = _core.measure_peaks(threads)
    rng = np.random.default_rng(0)

    y = rng.standard_normal((138_000, f), dtype=np.float32)
    gram, basis = np.empty((f, f)), np.linalg.qr(rng.standard_normal((f, f)))[0]
    took, turned = _median(args.rounds, lambda: _core.gram(y, gram, threads), lambda: _core.rotate(y, basis, threads))
    length = args.length
    entries = 4_000_000 // length * length
    near_rows, far_rows = 2000, 256 * 2**20 // (2 * f)
    steps = {}
    for n_rows in (near_rows, far_rows):
        side = rng.standard_normal((n_rows, f), dtype=np.float32) * np.float32(0.1)
        spectrum, vectors = eigenbasis(gramian(side, threads))
        _core.rotate(side, vectors, threads)
        rows = SimpleNamespace(
            indptr=np.arange(0, entries + 1, length),
            indices=rng.integers(n_rows, size=entries).astype(np.int32),
            data=rng.lognormal(1, 1.2, entries).astype(np.float32),
            shape=(entries // length, n_rows),
        )
        start = np.full((rows.shape[0], f), 0.01, np.float32)
        workspace = _core.Workspace(threads)

        def run(n, rows=rows, side=side, spectrum=spectrum, start=start, workspace=workspace):
            settings = Settings(OBJECTIVE, "cg", n, compact=ALWAYS)
            return lambda: solve_rows(rows, side, spectrum, start.copy(), settings, workspace)

        one, three, five = _median(args.rounds, run(1), run(3), run(5))
        empty = SimpleNamespace(
            indptr=np.zeros(2, np.int64), indices=rows.indices[:0], data=rows.data[:0], shape=(1, n_rows)
        )
        settings = Settings(OBJECTIVE, "cg", 1, compact=ALWAYS)

        def copy(rows=empty, settings=settings, side=side, spectrum=spectrum, workspace=workspace):
            return solve_rows(rows, side, spectrum, side[:1].copy(), settings, workspace)

        copying = _median(args.rounds, copy)[0]
        steps[n_rows] = ((five - three) / 2, one - copying)
    # The limits are measured before and after the kernels; use the higher ones. Other programs can only lower a measured
    # limit, and a limit that is too low makes the kernels look better than they are.
    fma, near, stream, gather = map(max, before, _core.measure_peaks(threads))
    print(f"f {f}, {threads} threads, {cymbals.simd()}: {fma / 1e9:.0f} G multiply-adds/s, {near / 1e9:.0f} GB/s from the")
    print(f"L2 cache, {stream / 1e9:.1f} from memory, {gather * 256 / 1e9:.1f} gathered in rows of 256 bytes\n")
    _line("Gramian", y.shape[0] * f * f / 2 / took, fma, "multiply-adds/s")
    _line("rotation", y.shape[0] * f * f / turned, fma, "multiply-adds/s")
    step = steps[near_rows][0]
    roof = max(2 * f * entries / fma, 2 * f * entries / near)
    _line("CG from the tile", 2 * f * entries / step, fma, "multiply-adds/s")
    _line("", 2 * f * entries / step, near, "bytes/s")
    print(f"{'':<18}{roof / step:8.0%} of its roof, {step / entries * threads * 1e9:.2f} ns per entry and thread")
    first, near_first = steps[far_rows][1], steps[near_rows][1]
    _line("gather", 2 * f * entries / (first - near_first + 2 * f * entries / near), gather * 256, "bytes/s")
    _line("", 2 * f * entries / first, gather * 256, "bytes/s, counting the whole step")


def _line(what: str, rate: float, peak: float, unit: str) -> None:
    print(f"{what:<18}{rate / peak:8.0%} of {peak / 1e9:.0f} G {unit}")


def _scaling(shape: str, args) -> None:
    data = generate(shape, args.scale)
    rng = np.random.default_rng(1)
    x, y = ((rng.standard_normal((n, args.factors)) * 0.1 / np.sqrt(args.factors)).astype(np.float32) for n in data.shape)
    rows, columns = data.csr, data.by_item()

    def iteration(threads, simd):
        workspace = _core.Workspace(threads, simd)

        def run():
            a, b = x.copy(), y.copy()
            settings = Settings(OBJECTIVE)
            begin = time.perf_counter()
            half_step(rows, b, a, settings, workspace)
            half_step(columns, a, b, settings, workspace)
            seconds.append(time.perf_counter() - begin)

        seconds: list[float] = []
        return run, seconds

    sets = list(supported().items())
    best = sets[-1]
    runs = {f"{best[0]}, {n} threads": iteration(n, best[1]) for n in (1, args.threads)}
    runs |= {f"{name}, {args.threads} threads": iteration(args.threads, number) for name, number in reversed(sets[:-1])}
    for _ in range(args.rounds):
        for run, _ in runs.values():
            run()
    print(f"\n{shape}: {data!r}, f {args.factors}: seconds per iteration, {args.rounds} rounds")
    base = list(runs.values())[1][1]
    for name, (_, seconds) in runs.items():
        ratio = statistics.median(a / b for a, b in zip(seconds, base, strict=True))
        print(f"{name:<22}{statistics.median(seconds):8.3f} s{ratio:7.2f}", flush=True)


if __name__ == "__main__":
    main()
