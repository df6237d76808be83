"""Compares cymbals with Spark's ALS on the same Parquet file and the same cores: seconds an iteration, memory, ranking.

    pip install pyspark                  # it needs Java
    python benchmarks/spark.py           # the dense shape at a quarter, f 64

Each fit runs in a process of its own. An iteration of Spark is the difference between a fit of several iterations and one
of a single iteration, divided by the number of iterations in between. So start-up, reading and the shuffles that prepare
a fit do not count. An iteration of cymbals is the median of the seconds that the fit reports. Both minimise Spark's
objective.
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
from typing import Any

import numpy as np
from machine import machine
from shapes import generate

import cymbals

SETTINGS = {"regParam": 0.05, "implicitPrefs": True, "alpha": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.25)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("LIBRARY", "FOLDER", "ITERATIONS"), help="fit once, and print JSON")
    args = parser.parse_args()
    if args.one:
        library, folder, iterations = args.one
        fit = spark if library == "spark" else ours
        print(json.dumps(fit(Path(folder), args.factors, int(iterations))))
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = generate("dense", args.scale)
        ids = (np.arange(n) for n in plain.shape)
        train, test = cymbals.split.random(cymbals.Interactions.from_csr(plain.user_items, *ids), 0.1, seed=0)
        write(train, Path(folder, "train.parquet"))
        print(f"{machine()}; dense at {args.scale}: {train!r}, f {args.factors}, {args.iterations} iterations")
        found: dict[str, list[dict[str, Any]]] = {"cymbals": [], "spark": []}
        for _ in range(args.rounds):
            found["cymbals"].append(run("cymbals", folder, args.iterations))
            one, all_of_them = run("spark", folder, 1), run("spark", folder, args.iterations)
            found["spark"].append(all_of_them | {"seconds": (all_of_them["fit"] - one["fit"]) / (args.iterations - 1)})
        for library, runs in found.items():
            model = cymbals.load(f"{folder}/model") if library == "cymbals" else spark_model(folder, train)
            ndcg = cymbals.evaluate(model, train, test, k=10)["ndcg@10"]
            seconds, peak = (statistics.median(run[name] for run in runs) for name in ("seconds", "peak"))
            print(
                f"{library}: {seconds:.3f} s an iteration, peak {peak / 1e6:,.0f} MB, loss {model.loss(train):.6g}, "
                f"ndcg@10 {ndcg:.4f}"
            )
        ratios = [s["seconds"] / c["seconds"] for c, s in zip(found["cymbals"], found["spark"], strict=True)]
        print(
            f"Spark takes {statistics.median(ratios):.0f} times as long (rounds: {', '.join(f'{r:.0f}' for r in ratios)})"
        )


def run(library: str, folder: str, iterations: int) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--one", library, folder, str(iterations)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1])
    return found


def write(data: cymbals.Interactions, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    csr = data.csr
    table = pa.table({"user": csr.row_numbers().astype("int32"), "item": csr.indices, "rating": csr.data})
    parquet.write_table(table, path, compression="gzip")  # Spark needs no native library for it


def ours(folder: Path, factors: int, iterations: int) -> dict[str, float]:
    """Fits with cymbals, and saves the model in the folder."""
    from pyarrow import parquet

    data = cymbals.Interactions.from_arrow(parquet.read_table(folder / "train.parquet"), value="rating")
    model = cymbals.ALS.from_convention("spark", rank=factors, maxIter=iterations, random_state=0, **SETTINGS).fit(data)
    model.save(folder / "model")
    seconds = statistics.median(entry["seconds"] for entry in model.history_)
    return {"seconds": seconds, "peak": peak_of(os.getpid())}


def spark(folder: Path, factors: int, iterations: int) -> dict[str, float]:
    """Fits with Spark, and saves its model in the folder."""
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    config = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "8g",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.parquet.compression.codec": "gzip",
    }
    builder = SparkSession.builder.master(f"local[{len(os.sched_getaffinity(0))}]")
    session = builder.config(map=config).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    frame = session.read.parquet(str(folder / "train.parquet")).cache()
    frame.count()
    als = ALS(rank=factors, maxIter=iterations, seed=0, **SETTINGS)
    als.setParams(maxIter=1).fit(frame.limit(10_000))  # starts the workers, and has Java compile
    als.setParams(maxIter=iterations)
    began = time.perf_counter()
    model = als.fit(frame)
    fit = time.perf_counter() - began
    model.write().overwrite().save(str(folder / "spark"))
    java = session.sparkContext._gateway.proc.pid
    return {"fit": fit, "peak": peak_of(java) + peak_of(os.getpid())}


def spark_model(folder: str, train: cymbals.Interactions) -> cymbals.ALS:
    from cymbals.compat import spark as of_spark

    return of_spark.load(f"{folder}/spark", train, **SETTINGS)


def peak_of(process: int) -> int:
    """The most memory in bytes that a process has held."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
