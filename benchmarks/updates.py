"""Updates a model with new events, and compares cost and quality with a new fit.

    python benchmarks/updates.py                      # dense shape, 128 factors
    python benchmarks/updates.py --scale 0.1 --factors 64

The new events are a random share of the entries. Among them are all entries of some users and of some items, which are new
to the model. The refit gets all events as arrays of ids, so that its seconds include building the data, as the update's do.
An iteration's seconds are those of the refit divided by its iterations. The first update after a fit or a load also
prepares both sides, so its seconds are printed apart.

NDCG@10 is that of held-out entries, over all users. It depends on the random start by about 1 %, so each round has another
one, and the means are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import numpy as np
import shapes

import cymbals

ITERATIONS = 15
ALS = {"alpha": 1.0, "regularization": 0.05, "iterations": ITERATIONS}
NEW = 0.002  # share of the users and of the items that are new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data, as a share of the dense shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=10, help="number of updates in a row")
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    data = shapes.generate("dense", arguments.scale)
    users, items, values = data.csr.row_numbers(), data.csr.indices.astype(np.int64), data.csr.data
    held_out = rng.random(users.size) < 0.05
    test = (users[held_out], items[held_out], values[held_out])
    users, items, values = (part[~held_out] for part in (users, items, values))
    newcomer = (rng.random(data.shape[0]) < NEW)[users] | (rng.random(data.shape[1]) < NEW)[items]
    # All events of newcomers are in the part that the first fit does not get.
    last = 0.95 * 0.01 * arguments.updates
    order = np.argsort(np.where(newcomer, rng.random(users.size) * last, rng.random(users.size)))

    def events(begin: float, end: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = order[int(begin * order.size) : int(end * order.size)]
        return users[chosen], items[chosen], values[chosen]

    def fit(part: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> tuple[cymbals.ALS, float]:
        began = time.perf_counter()
        model = cymbals.ALS(arguments.factors, random_state=seed, **ALS).fit(cymbals.Interactions.from_arrays(*part))
        return model, time.perf_counter() - began

    def ndcg(model: cymbals.ALS) -> float:
        held = cymbals.Interactions.from_arrays(*test, like=model)
        return cymbals.evaluate(model, model.interactions_, held, k=10)["ndcg@10"]

    warnings.simplefilter("ignore")  # held-out events of new users and items
    print(cymbals.doctor(), flush=True)
    print(f"{data.shape}, {users.size:,} events, {arguments.factors} factors", flush=True)
    share, n = 0.01, arguments.updates
    few, many = 1e-4, share
    costs, firsts, iteration = {few: [], many: []}, [], []
    quality = {"base": [], "1 update": [], "refit": [], f"{n} updates": [], f"refit after {n}": []}
    for seed in range(arguments.rounds):
        base, _ = fit(events(n * share, 1), seed)
        refitted, seconds = fit(events((n - 1) * share, 1), seed)
        iteration.append(seconds / ITERATIONS)
        warm = base.snapshot()
        firsts.append(warm.update(events(n * share - few, n * share)).seconds)
        for k in range(1, 6):
            report = warm.update(events((n - 1) * share + k * few, (n - 1) * share + (k + 1) * few))
            costs[few].append(report.seconds)
            print(f"  {few:.2%}: {report}", flush=True)
        for _ in range(2):
            model = base.snapshot()
            report = model.update(events((n - 1) * share, n * share))
            costs[many].append(report.seconds)
            print(f"  {many:.2%}: {report}", flush=True)
        quality["base"].append(ndcg(base))
        quality["1 update"].append(ndcg(model))
        quality["refit"].append(ndcg(refitted))
        for k in range(n - 1, 0, -1):
            report = model.update(events((k - 1) * share, k * share))
        print(f"  after {n} updates: {report}", flush=True)
        quality[f"{n} updates"].append(ndcg(model))
        quality[f"refit after {n}"].append(ndcg(fit(events(0, 1), seed)[0]))
    for part, seconds in costs.items():
        taken, one = statistics.median(seconds), statistics.median(iteration)
        print(f"update of {part:.2%}: {taken:.3f} s, {taken / one:.2f} of an iteration's {one:.3f} s")
    print(f"the first one of {few:.2%} after a fit: {statistics.median(firsts):.3f} s")
    print("NDCG@10:", {name: [round(value, 4) for value in values] for name, values in quality.items()})
    for updated, fitted in (("1 update", "refit"), (f"{n} updates", f"refit after {n}")):
        ratio = statistics.mean(quality[updated]) / statistics.mean(quality[fitted])
        print(f"NDCG@10 after {updated}: {ratio:.4f} of that of a refit")


if __name__ == "__main__":
    main()
