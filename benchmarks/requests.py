"""Measures requests per second. A request folds in one user who is not in the model, and finds their top 10.

Compares three systems, which take turns on the same factors: the row server of examples/embed/row_server (install it first,
see its README), ``recommend(rows=...)``, and implicit's ``recommend(recalculate_user=True)``. There are 27,000 items, f is
128, histories have 20 to 150 items, and one caller is pinned to each CPU. Prints the median and the 99th percentile of the
time of a request, the requests per second of all callers together (medians over the rounds), and how many lists agree.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import implicit.cpu.als
import numpy as np
import scipy.sparse as sp
from row_server import Server, Session
from shapes import generate

import cymbals

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "embed" / "row_server"))
from serve import requests, run

FACTORS, REGULARIZATION = 128, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000, help="number for each caller and round")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the size of the dense shape")
    args = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    model = cymbals.ALS(FACTORS, REGULARIZATION, iterations=5, random_state=0).fit(generate("dense", args.scale))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.cymbals"))
        mapped = cymbals.load(Path(folder, "model.cymbals"), mmap=True)
        compare(mapped, cpus, args.rounds, args.requests)


def compare(model: cymbals.ALS, cpus: list[int], rounds: int, n: int) -> None:
    n_items = model.item_factors_.shape[0]
    asked = requests(n_items, n, seed=1)
    model.set_params(n_threads=1)
    server = Server(model)
    peer = implicit.cpu.als.AlternatingLeastSquares(FACTORS, regularization=REGULARIZATION, alpha=1.0, num_threads=1)
    peer.item_factors = np.array(model.item_factors_)
    peer.user_factors = np.zeros((1, FACTORS), np.float32)

    def row(items, values, kind):
        return kind((values, items, np.array([0, items.size], np.int32)), shape=(1, n_items))

    def by_cymbals(items, values):
        ids, scores = model.recommend(rows=row(items, values, sp.csr_array))
        return ids[0], scores[0]

    def by_implicit(items, values):  # implicit's confidence is alpha * value; that of cymbals is 1 + alpha * value
        return peer.recommend(0, row(items, 1 + values, sp.csr_matrix), N=10, recalculate_user=True)

    sessions = [Session(server) for _ in cpus]
    contenders = {
        "row server": [session.recommend for session in sessions],
        "recommend(rows=...)": [by_cymbals] * len(cpus),
        "implicit": [by_implicit] * len(cpus),
    }
    own, peers = ([answer(*request)[0] for request in asked[:200]] for answer in (contenders["row server"][0], by_implicit))
    agreeing = np.mean([np.array_equal(a, b) for a, b in zip(own, peers, strict=True)])
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, answers in contenders.items():
            taken, rate = run(answers, asked, cpus)
            median, last = np.percentile(taken, [50, 99]) * 1e3
            found[name].append((median, last, rate))
    print(f"{n_items:,} items, f {FACTORS}, {len(cpus)} pinned callers, {rounds} rounds of {n:,} requests each")
    base = statistics.median(rate for _, _, rate in found["implicit"])
    for name, figures in found.items():
        median, last, rate = (statistics.median(column) for column in zip(*figures, strict=True))
        print(
            f"{name:<20} median {median:.3f} ms, p99 {last:.3f} ms, {rate:7,.0f} requests/s, {rate / base:.2f} x implicit"
        )
    print(f"{agreeing:.0%} of 200 lists are the same as those of implicit, in the same order")


if __name__ == "__main__":
    main()
