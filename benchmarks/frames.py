"""Compares reading frames of events with `pandas.factorize(..., sort=True)` of their two columns of ids.

    python benchmarks/frames.py

Each kind of column gets a process of its own. It prints CPU seconds of both, medians over alternating rounds, and the peak
memory of both, beyond what is there before. cymbals also makes the matrix; its size is printed too. Both run on one thread,
because threads that wait for others count as CPU seconds.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import pyarrow as pa
from machine import machine
from shapes import generate

import cymbals

KINDS = ("strings", "categories", "dictionaries", "integers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, help="by default all, each in a process of its own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of 10 million rows")
    args = parser.parse_args()
    if args.kind is None:
        print(machine())
        print(f"cymbals {cymbals.__version__}, pandas {pd.__version__}, pyarrow {pa.__version__}")
        print("CPU s: cymbals with the matrix, factorize without. Peaks are beyond the input.")
        for kind in KINDS:
            subprocess.run([sys.executable, __file__, "--kind", kind, *sys.argv[1:]], check=True)
        _long_id()
        return
    frame, size = frame_of(args.kind, args.scale)
    read, factorize = lambda: cymbals.Interactions.from_frame(frame), lambda: factorized(frame)
    data = read()  # also loads libraries
    factorize()
    matrix = data.csr.indptr.nbytes + data.csr.indices.nbytes + data.csr.data.nbytes
    del data
    spent: dict[Callable[[], Any], list[float]] = {read: [], factorize: []}
    for _ in range(args.rounds):
        for run, seconds in spent.items():
            began = time.process_time()
            run()
            seconds.append(time.process_time() - began)
    ours, theirs = (statistics.median(seconds) for seconds in spent.values())
    peaks = [peak_of(run) for run in spent]
    print(
        f"{args.kind:13} {len(frame):,} rows, {size / 1e6:.0f} MB: cymbals {ours:.2f} s, factorize {theirs:.2f} s, "
        f"ratio {ours / theirs:.2f}; peak cymbals {peaks[0] / 1e6:.0f} MB, of it the matrix {matrix / 1e6:.0f} MB, "
        f"the rest {(peaks[0] - matrix) / size:.2f} of the input; factorize {peaks[1] / size:.2f}",
        flush=True,
    )


def frame_of(kind: str, scale: float) -> tuple[Any, int]:
    """Events with ids of a kind, in random order, and their size in bytes."""
    data = generate("dense", scale)
    order = np.random.default_rng(1).permutation(data.nnz)
    users, items = data.csr.row_numbers()[order], data.csr.indices[order].astype(np.int64)
    values = data.csr.data[order]
    if kind == "integers":
        frame = pa.table({"user": users, "item": items, "value": values})
        return frame, frame.nbytes
    columns = {}
    for name, rows, n in (("user", users, data.shape[0]), ("item", items, data.shape[1])):
        texts = pa.array([f"{name}-{row * 7919 % n:07d}" for row in range(n)])
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(rows.astype(np.int32)), texts)
    columns["value"] = pa.array(values)
    frame = pa.table(columns)
    if kind == "strings":
        frame = pa.table({name: columns[name].cast(pa.string()) for name in ("user", "item")} | {"value": values})
    if kind == "categories":
        table = frame.to_pandas()
        for name in ("user", "item"):
            table[name] = table[name].astype(str).astype("category")
        return table, int(table.memory_usage(index=False, deep=True).sum())
    return frame, frame.nbytes


def factorized(frame: Any) -> Any:
    columns = (frame[name] for name in ("user", "item"))
    return [pd.factorize(column if hasattr(column, "array") else column.to_pandas(), sort=True) for column in columns]


def peak_of(run: Callable[[], Any]) -> int:
    """The peak of resident memory during a call, in bytes, beyond the memory before it. Needs Linux."""
    ctypes.CDLL(None).malloc_trim(0)  # returns freed memory to the system; otherwise it would be reused and not counted
    pa.default_memory_pool().release_unused()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    run()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def _long_id() -> None:
    users = [f"u{n}" for n in range(20_000)] + ["x" * 50_000]
    frame = pd.DataFrame({"user": users, "item": 1, "value": 1})
    peak = max(
        peak_of(lambda: cymbals.Interactions.from_frame(frame)),
        peak_of(lambda: cymbals.Interactions.from_arrays(users, np.ones(len(users), int))),
    )
    print(f"20,000 short ids and one of 50,000 letters: peak {peak / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
