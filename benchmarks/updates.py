"""Updates a model with new events, and compares cost and quality with a new fit.

    python benchmarks/updates.py                      # dense shape, 128 factors
    python benchmarks/updates.py --scale 0.1 --factors 64

The new events are a random share of the entries. Among them are all entries of some users and of some items, which are new
to the model. The refit gets all events as arrays of ids, so that its seconds include building the data, as the update's do.
An iteration's seconds are those of the refit divided by its iterations. NDCG@10 is that of held-out entries.
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
ALS = {"alpha": 1.0, "regularization": 0.05, "iterations": ITERATIONS, "random_state": 0}
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
    order = np.where(newcomer, rng.random(users.size) * 0.1, rng.random(users.size))  # new ones are in the first tenth
    order = np.argsort(order)
    judged = rng.choice(data.shape[0], min(data.shape[0], 20_000), replace=False)

    def events(begin: float, end: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = order[int(begin * order.size) : int(end * order.size)]
        return users[chosen], items[chosen], values[chosen]

    def fit(part: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[cymbals.ALS, float]:
        began = time.perf_counter()
        model = cymbals.ALS(arguments.factors, **ALS).fit(cymbals.Interactions.from_arrays(*part))
        return model, time.perf_counter() - began

    def ndcg(model: cymbals.ALS) -> float:
        seen = cymbals.Interactions(model.state_.seen, model.users_, model.items_)
        held = cymbals.Interactions.from_arrays(*test, like=model)
        known = judged[np.isin(judged, model.user_ids_)]
        return cymbals.evaluate(model, seen, held, k=10, users=known)["ndcg@10"]

    warnings.simplefilter("ignore")  # held-out events of new users and items
    print(cymbals.doctor(), flush=True)
    share, n = 0.01, arguments.updates
    base, _ = fit(events(n * share, 1))
    print(f"{data.shape} {users.size:,} events, {arguments.factors} factors; base {ndcg(base):.4f}", flush=True)
    costs = {1e-4: [], share: []}
    iteration = []
    for _ in range(arguments.rounds):
        refitted, seconds = fit(events((n - 1) * share, 1))
        iteration.append(seconds / ITERATIONS)
        for part in costs:
            model = base.snapshot()
            report = model.update(events(n * share - part, n * share))
            costs[part].append(report.seconds)
            print(f"  {part:.2%}: {report}", flush=True)
    for part, seconds in costs.items():
        taken, one = statistics.median(seconds), statistics.median(iteration)
        print(f"update of {part:.2%}: {taken:.3f} s, {taken / one:.2f} of an iteration's {one:.3f} s")
    print(f"NDCG@10 after an update of {share:.0%}: {ndcg(model):.4f}, after a refit: {ndcg(refitted):.4f}", flush=True)
    model = base.snapshot()
    for k in range(n, 0, -1):
        report = model.update(events((k - 1) * share, k * share))
        print(f"  {report}", flush=True)
    refitted, _ = fit(events(0, 1))
    print(f"NDCG@10 after {n} updates: {ndcg(model):.4f}, after a refit: {ndcg(refitted):.4f}")


if __name__ == "__main__":
    main()
