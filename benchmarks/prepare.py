"""Compares cymbals, pandas and polars: each turns raw files into clean play counts, as in the laboratory.

    python benchmarks/prepare.py --keep /tmp/plays      # generates 24 million lines in this folder, once

Systems take turns, each in its own process. Seconds do not include imports; peak memory is that of the whole process. All
systems read the plays and the aliases, replace misspelled ids, and sum repeated pairs. cymbals also reads the artists'
names, and makes the matrix by user and by item. pandas makes one CSR matrix. polars only makes the summed pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, USERS, ARTISTS, ALIASES = 24_200_000, 148_000, 1_630_000, 190_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--systems", default="cymbals,polars,pandas")
    parser.add_argument("--keep", type=Path, help="folder for the files; it is kept, and used again")
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        return _one(args.run, args.keep)
    with tempfile.TemporaryDirectory() as own:
        folder = args.keep or Path(own)
        if not (folder / "user_artist_data.txt").exists():
            generate(folder, args.scale)
        _race(folder, args.systems.split(","), args.rounds)


def generate(folder: Path, scale: float = 1.0, seed: int = 0) -> None:
    """Write the three files of the dump. As in the original, lines are sorted by user, and some artists are misspelled."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows, users, artists, aliases = (max(10, int(n * scale)) for n in (ROWS, USERS, ARTISTS, ALIASES))
    user_ids = np.sort(rng.choice(2_500_000, users, replace=False)) + 1
    artist_ids = rng.choice(10_800_000, artists + aliases, replace=False) + 1
    activity = rng.lognormal(0, 1.3, users)
    pairs = np.empty(0, np.int64)
    while pairs.size < rows:  # until there are enough different pairs
        of_user = rng.choice(users, rows, p=activity / activity.sum())
        rank = np.minimum((artists ** rng.random(rows)).astype(np.int64) - 1, artists - 1)
        pairs = np.union1d(pairs, of_user * artists + rank)
    of_user, rank = np.divmod(np.sort(rng.choice(pairs, rows, replace=False)), artists)
    misspelled = rng.random(rows) < 0.02  # lines that name an alias instead of the artist
    wrong = rng.integers(aliases, size=rows)
    right = np.minimum((artists ** rng.random(aliases)).astype(np.int64), artists - 1)
    artist = np.where(misspelled, artist_ids[artists + wrong], artist_ids[rank])
    plays = np.minimum(rng.lognormal(1, 1.4, rows), 400_000).astype(np.int64) + 1
    frame = pd.DataFrame({"user": user_ids[of_user], "artist": artist, "plays": plays})
    frame.to_csv(folder / "user_artist_data.txt", sep=" ", header=False, index=False)
    frame = pd.DataFrame({"wrong": artist_ids[artists:], "right": artist_ids[right]})
    frame.to_csv(folder / "artist_alias.txt", sep="\t", header=False, index=False)
    names = [f"{n}\tArtist number {n}\n" for n in artist_ids]
    (folder / "artist_data.txt").write_text("".join(names), encoding="utf-8")


def run_cymbals(folder: Path) -> dict[str, float]:
    import cymbals

    begin = time.perf_counter()
    data = cymbals.audioscrobbler.load(folder)
    data.by_item()
    return {"seconds": time.perf_counter() - begin, "pairs": data.nnz, "plays": float(data.csr.data.sum(dtype=float))}


def run_pandas(folder: Path) -> dict[str, float]:
    import pandas as pd
    import scipy.sparse as sp

    begin = time.perf_counter()
    plays = pd.read_csv(folder / "user_artist_data.txt", sep=" ", header=None, names=["user", "artist", "plays"])
    alias = pd.read_csv(folder / "artist_alias.txt", sep="\t", header=None, names=["artist", "right"])
    plays = plays.merge(alias, on="artist", how="left")
    plays["artist"] = plays["right"].fillna(plays["artist"]).astype(np.int64)
    summed = plays.groupby(["user", "artist"], as_index=False)["plays"].sum()
    users, artists = summed["user"].unique(), summed["artist"].unique()
    rows = summed["user"].map(pd.Series(np.arange(users.size), index=users))
    columns = summed["artist"].map(pd.Series(np.arange(artists.size), index=artists))
    matrix = sp.csr_matrix((summed["plays"].astype(np.float32), (rows, columns)))
    return {"seconds": time.perf_counter() - begin, "pairs": matrix.nnz, "plays": float(matrix.data.sum(dtype=float))}


def run_polars(folder: Path) -> dict[str, float]:
    import polars as pl

    begin = time.perf_counter()
    options = {"has_header": False, "schema": {"user": pl.Int64, "artist": pl.Int64, "plays": pl.Int64}, "separator": " "}
    plays = pl.scan_csv(folder / "user_artist_data.txt", **options)
    options = {"has_header": False, "schema": {"artist": pl.Int64, "right": pl.Int64}, "separator": "\t"}
    alias = pl.scan_csv(folder / "artist_alias.txt", **options)
    renamed = plays.join(alias, on="artist", how="left").with_columns(artist=pl.coalesce("right", "artist"))
    summed = renamed.group_by("user", "artist").agg(pl.col("plays").sum()).sort("user", "artist").collect()
    return {"seconds": time.perf_counter() - begin, "pairs": summed.height, "plays": float(summed["plays"].sum())}


RUNS = {"cymbals": run_cymbals, "pandas": run_pandas, "polars": run_polars}


def _one(name: str, folder: Path) -> None:
    facts = RUNS[name](folder)
    # Not from getrusage: its peak includes the memory of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    facts["gigabytes"] = int(status["VmHWM"].split()[0]) * 1024 / 1e9
    print(json.dumps(facts))


def _race(folder: Path, systems: list[str], rounds: int) -> None:
    facts: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    command = [sys.executable, __file__, "--keep", str(folder), "--run"]
    for _ in range(rounds):
        for name in systems:
            out = subprocess.run([*command, name], check=True, capture_output=True, text=True, env=os.environ).stdout
            facts[name].append(json.loads(out))
    size = (folder / "user_artist_data.txt").stat().st_size / 1e6
    print(f"user_artist_data.txt of {size:,.0f} MB, {rounds} rounds")
    print(f"{'system':<10}{'median s':>9}{'min':>8}{'max':>8}{'ratio':>7}{'peak GB':>9}  pairs, plays")
    first = [f["seconds"] for f in facts[systems[0]]]
    for name, runs in facts.items():
        seconds = [f["seconds"] for f in runs]
        ratio = statistics.median(a / b for a, b in zip(seconds, first, strict=True))
        memory = statistics.median(f["gigabytes"] for f in runs)
        print(f"{name:<10}{statistics.median(seconds):9.2f}{min(seconds):8.2f}{max(seconds):8.2f}{ratio:7.2f}", end="")
        print(f"{memory:9.2f}  {runs[0]['pairs']:,.0f}, {runs[0]['plays']:,.0f}")


if __name__ == "__main__":
    main()
