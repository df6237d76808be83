"""Measures requests per second. A request folds in one user who is not in the model, and finds their top 10.

Compares four systems, which take turns on the same fitted factors: the row server of examples/embed/row_server (install it
first, see its README), ``recommend(history=...)``, ``recommend(rows=...)``, and implicit's
``recommend(recalculate_user=True)``. All get the same arrays, and the time to make a history or a row of
them counts. There are 27,000 items, f is 128, histories have 20 to 150 items, and one caller is pinned to each CPU. Prints
the median and the 99th percentile of the time of a request, the requests per second of all callers together, and their
ratio to implicit in the same round: medians over the rounds. Then it prints how many lists are those of implicit.

    python benchmarks/requests.py
    python benchmarks/requests.py --scale 0.1 --factors 32 --rounds 3 --requests 200    # a trial of a few seconds
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
from machine import machine
from row_server import Server, Session
from shapes import generate

import cymbals

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "embed" / "row_server"))
from serve import requests, run

REGULARIZATION = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000, help="number for each caller and round")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the size of the dense shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=5, help="of the fit")
    args = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    model = cymbals.ALS(args.factors, REGULARIZATION, iterations=args.iterations, random_state=0)
    model.fit(generate("dense", args.scale))
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.cymbals"))
        mapped = cymbals.load(Path(folder, "model.cymbals"), mmap=True)
        compare(mapped, cpus, args.rounds, args.requests)


def compare(model: cymbals.ALS, cpus: list[int], rounds: int, n: int) -> None:
    n_items, factors = model.item_factors_.shape
    asked = requests(n_items, n, seed=1)
    model.set_params(n_threads=1)
    server = Server(model)
    peer = implicit.cpu.als.AlternatingLeastSquares(factors, regularization=REGULARIZATION, alpha=1.0, num_threads=1)
    peer.item_factors = np.array(model.item_factors_)
    peer.user_factors = np.zeros((1, factors), np.float32)

    def row(items, values, kind):
        return kind((values, items, np.array([0, items.size], np.int32)), shape=(1, n_items))

    def by_history(items, values):
        return model.recommend(history=dict(zip(items.tolist(), values.tolist(), strict=True)))

    def by_rows(items, values):
        ids, scores = model.recommend(rows=row(items, values, sp.csr_array))
        return ids[0], scores[0]

    def by_implicit(items, values):  # implicit's confidence is alpha * value; that of cymbals is 1 + alpha * value
        return peer.recommend(0, row(items, 1 + values, sp.csr_matrix), N=10, recalculate_user=True)

    sessions = [Session(server) for _ in cpus]
    contenders = {
        "row server": [session.recommend for session in sessions],
        "recommend(history=...)": [by_history] * len(cpus),
        "recommend(rows=...)": [by_rows] * len(cpus),
        "implicit": [by_implicit] * len(cpus),
    }
    lists = {name: [answers[0](*request)[0] for request in asked[:200]] for name, answers in contenders.items()}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, answers in contenders.items():
            taken, rate = run(answers, asked, cpus)
            median, last = np.percentile(taken, [50, 99]) * 1e3
            found[name].append((median, last, rate))
    print(f"{n_items:,} items, f {factors}, {len(cpus)} pinned callers, {rounds} rounds of {n:,} requests each")
    for name, figures in found.items():
        median, last, rate = (statistics.median(column) for column in zip(*figures, strict=True))
        ratios = [own[2] / other[2] for own, other in zip(figures, found["implicit"], strict=True)]
        print(
            f"{name:<23} median {median:.3f} ms, p99 {last:.3f} ms, {rate:7,.0f} requests/s, "
            f"{statistics.median(ratios):.2f} x implicit (rounds {min(ratios):.2f} to {max(ratios):.2f})"
        )
    for name in [name for name in contenders if name != "implicit"]:
        agreeing = np.mean([np.array_equal(a, b) for a, b in zip(lists[name], lists["implicit"], strict=True)])
        print(f"{name}: {agreeing:.0%} of {len(lists[name])} lists are those of implicit, in the same order")


if __name__ == "__main__":
    main()
