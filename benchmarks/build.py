"""Measures how fast `Interactions.build` makes a store from Parquet files, and how much memory it takes.

    python benchmarks/build.py --events 20e6 --folder /scratch

The events are generated in pieces and written to Parquet files in a temporary folder, which is removed at the end. The
build runs in a new process. Linux reports its anonymous memory, which a thread reads 20 times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peak import sampled

_PIECE = 5_000_000  # events that are generated at a time
_IDS = {
    "ranged": lambda rows: rows,
    "spread": lambda rows: rows * 0x9E3779B97F4A7C15 >> np.uint64(1),  # an odd factor: distinct numbers stay distinct
    "texts": lambda rows: rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=float, default=20e6)
    parser.add_argument("--users", type=float, help="by default a hundredth of the events")
    parser.add_argument("--items", type=float, help="by default a tenth of the users")
    parser.add_argument("--ids", choices=_IDS, default="ranged", help="whole numbers from 0, spread ones, or texts")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--by-user", action="store_true", help="events sorted by user, otherwise in random order")
    parser.add_argument("--folder", help="where to make the temporary folder")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        print(json.dumps(_work(args.work, args.memory)))
        return
    n = int(args.events)
    users = int(args.users or n // 100)
    items = int(args.items or users // 10)
    from machine import machine

    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        size = generate(Path(folder), n, users, items, args.ids, args.by_user)
        os.sync()
        print(
            f"{machine()}; {n:,} events of {users:,} users x {items:,} items, ids {args.ids}; Parquet {size / 1e9:.2f} GB"
        )
        command = [sys.executable, __file__, "--work", folder, "--memory", args.memory]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(run.stdout)
    for name, seconds in found["steps"].items():
        print(f"  {name:30} {seconds:7.1f} s {seconds / n * 1e9:7.1f} ns an event")
    print(
        f"  all {found['seconds']:.1f} s, {n / found['seconds'] / 1e6:.2f} M events/s, CPU {found['cpu'] / n * 1e9:.0f} ns "
        f"an event\n  memory={args.memory}; peak of anonymous memory {found['memory'] / 1e6:.0f} MB (before the build "
        f"{found['before'] / 1e6:.0f}); wrote {found['written'] / 1e9:.2f} GB; store of {found['store'] / 1e9:.2f} GB with "
        f"{found['pairs']:,} pairs"
    )


def generate(folder: Path, n: int, users: int, items: int, ids: str, sort: bool, tastes: int = 1) -> int:
    """Write events to Parquet files, and return their bytes. Half of a user's events are of items of the user's taste."""
    import pyarrow as pa
    from pyarrow import parquet

    (folder / "events").mkdir()
    rng, size = np.random.default_rng(0), 0
    for number, begin in enumerate(range(0, n, _PIECE)):
        m = min(_PIECE, n - begin)
        low, high = (users * begin // n, max(users * (begin + m) // n, users * begin // n + 1)) if sort else (0, users)
        rows = rng.integers(low, high, m)
        columns = (items * rng.random(m) ** 2).astype(np.int64)  # half of the events are of a quarter of the items
        if tastes > 1:
            own = rng.random(m) < 0.5
            columns[own] += rows[own] % tastes - columns[own] % tastes
            columns = np.clip(columns, 0, items - 1)
        sides = [_IDS[ids](side.astype(np.uint64)).astype(np.int64) for side in (np.sort(rows) if sort else rows, columns)]
        if ids == "texts":
            sides = [
                pa.array([f"{name}-{one:09d}" for one in side.tolist()]) for name, side in zip("ui", sides, strict=True)
            ]
        values = rng.exponential(3, m).astype(np.float32)
        path = folder / "events" / f"part-{number:05d}.parquet"
        parquet.write_table(pa.table({"user": sides[0], "item": sides[1], "value": values}), path, row_group_size=1 << 20)
        size += path.stat().st_size
    return size


def _work(folder: str, memory: str) -> dict[str, object]:
    import pyarrow.dataset  # noqa: F401 (loads the libraries before the memory is read)

    import cymbals
    from cymbals.data import building

    steps: dict[str, float] = {}
    for name in ("read_events", "sort_by_user", "sort_by_item", "commit"):
        _timed(building.steps._Build, name, steps)
    with sampled(0.05) as peak:
        begin, cpu = time.perf_counter(), time.process_time()
        source, out = Path(folder, "events"), Path(folder, "store")
        named = {"user": "user", "item": "item", "value": "value", "time": None}
        building.build(source, out, named, lambda ids: None, memory, None, False, None, None)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    store = json.loads((out / "store.json").read_bytes().split(b"\n")[0])
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    size = sum(one.stat().st_size for one in out.iterdir())
    pairs = store["facts"]["report"]["pairs"]
    return {
        "steps": steps,
        "seconds": seconds,
        "cpu": cpu,
        "memory": peak.most,
        "before": peak.before,
        "written": int(io["wchar"]),
        "store": size,
        "pairs": pairs,
        "version": cymbals.__version__,
    }


def _timed(kind: type, name: str, steps: dict[str, float]) -> None:
    """Let a method add its seconds to `steps`."""
    inner = getattr(kind, name)

    def outer(*args: object) -> object:
        begin = time.perf_counter()
        try:
            return inner(*args)
        finally:
            steps[name] = time.perf_counter() - begin

    setattr(kind, name, outer)


if __name__ == "__main__":
    main()
