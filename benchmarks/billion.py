"""A billion events on one small machine: a store, a fit and recommendations in a memory cgroup of 12 GB.

    python benchmarks/billion.py --folder /scratch                # as root; takes ten minutes and 60 GB of disk
    python benchmarks/billion.py --folder /scratch --events 20e6 --limit 1GB      # a trial

Generated events of 10 million users and 1 million items are written to Parquet files. Users have one of fifty tastes, so
that a model has something to find. Then each step runs in a process of its own, in the cgroup, whose limit includes the
page cache: `Interactions.build` makes a store, `ALS.fit` does two iterations from it and computes the loss, and
`recommend_all` writes the top 10 of a million users to a Parquet file. If no cgroup can be made, the steps run without, and
their anonymous memory says what they need.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import machine
from peak import sampled

import cymbals
from build import generate
from cymbals.base.checks import byte_count
from cymbals.base.format import size_of

STEPS = ("build", "fit", "recommend")
TASTES = 50  # of users: half of a user's events are of a fiftieth of the items
CPUS = os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=float, default=1e9)
    parser.add_argument("--users", type=float, help="by default a hundredth of the events")
    parser.add_argument("--items", type=float, help="by default a tenth of the users")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--limit", default="12GB")
    parser.add_argument("--memory", default="4GB", help="of the build")
    parser.add_argument("--folder", help="where to make the temporary folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(measured(args.step, Path(args.work), args.factors, args.memory)))
        return
    n = int(args.events)
    users = int(args.users or n // 100)
    items = int(args.items or users // 10)
    limit = byte_count("--limit", args.limit)
    group = memory_group(limit)
    print(f"{machine()}; {n:,} events of {users:,} users and {items:,} items, f {args.factors}")
    print(f"memory cgroup of {size_of(limit)}" if group else "no memory cgroup can be made here: RssAnon is sampled")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        began = time.perf_counter()
        size = generate(Path(folder), n, users, items, "ranged", False, TASTES)
        os.sync()
        seconds = time.perf_counter() - began
        rate = disk_rate(folder)
        print(f"generate: {seconds:.0f} s, Parquet files of {size_of(size)}; the disk reads {rate / 1e9:.2f} GB/s")
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--work", folder]
            command += ["--factors", str(args.factors), "--memory", args.memory]
            if group:
                (group / "memory.max_usage_in_bytes").write_text("0")
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: join(group))
            *lines, last = run.stdout.splitlines()
            found = json.loads(last)
            print("\n".join(lines), end="\n" if lines else "")
            peak = int((group / "memory.max_usage_in_bytes").read_text()) if group else 0
            in_group = f", peak in the cgroup {size_of(peak)}" if group else ""
            of_cpus, of_disk = (found[what] / found["seconds"] / most for what, most in (("cpu", CPUS), ("read", rate)))
            print(
                f"{step}: {found['seconds']:.0f} s, {of_cpus:.0%} of the CPUs' time, anonymous memory "
                f"{size_of(found['anonymous'])}{in_group}, read {size_of(found['read'])} from the disk ({of_disk:.0%} of "
                f"its rate) and wrote {size_of(found['written'])}"
            )
    if group:
        group.rmdir()


def memory_group(limit: int) -> Path | None:
    """A new memory cgroup (version 1) with this limit. None if none can be made."""
    group = Path(f"/sys/fs/cgroup/memory/cymbals-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
    except OSError:
        return None
    return group


def join(group: Path | None) -> None:
    """Move this process to the cgroup."""
    if group:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def disk_rate(folder: str) -> float:
    """The bytes of a Parquet file that are read in a second if it is in no cache."""
    path = next(Path(folder, "events").iterdir())
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began, n = time.perf_counter(), 0
        while block := file.read(2**22):
            n += len(block)
    return n / (time.perf_counter() - began)


def measured(step: str, folder: Path, factors: int, memory: str) -> dict[str, Any]:
    """Does a step. Prints what it found, and returns what it took."""
    import pyarrow.dataset  # noqa: F401 (loads the libraries before anything is measured)

    with sampled(0.02) as peak:
        began, cpu = time.perf_counter(), time.process_time()
        report = {"build": build, "fit": fit, "recommend": recommend}[step](folder, factors, memory)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    report()
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    taken = {"seconds": seconds, "cpu": cpu, "anonymous": peak.taken}
    return taken | {"read": int(io["read_bytes"]), "written": int(io["write_bytes"])}


# Each step returns a function that prints what the step has found.


def build(folder: Path, factors: int, memory: str) -> Callable[[], None]:
    data = cymbals.Interactions.build(folder / "events", folder / "store", memory=memory)
    return lambda: print(repr(data))


def fit(folder: Path, factors: int, memory: str) -> Callable[[], None]:
    data = cymbals.Interactions.open(folder / "store")
    model = cymbals.ALS(factors, regularization=0.05, iterations=2, random_state=0)
    predicted = model.memory_needed(data, compute_loss=True)
    model.fit(data, compute_loss=True, profile=True)
    model.save(folder / "model", include_interactions=False)

    def report() -> None:
        print(f"predicted memory: {predicted!r}")
        for entry in model.history_:
            print(f"iteration {entry['iteration']}: {entry['seconds']:.1f} s, loss {entry['loss']:.6g}")
        model.profile_.print(sys.stdout)

    return report


def recommend(folder: Path, factors: int, memory: str) -> Callable[[], None]:
    data = cymbals.Interactions.open(folder / "store")
    model = cymbals.load(folder / "model", mmap=True)
    model.replace_state(model.state_.changed(seen=data.csr))
    users = data.user_ids[: min(1_000_000, data.shape[0])]
    n = model.recommend_all(10, users).to_parquet(folder / "top.parquet")
    size = (folder / "top.parquet").stat().st_size
    return lambda: print(f"{n:,} rows of {users.size:,} users, {size_of(size)}")


if __name__ == "__main__":
    main()
