"""Settings without knowledge: one fit by the rule for "auto", and `cymbals.tune`. Each is scored once on test.

    python benchmarks/tuned.py
    python benchmarks/tuned.py --parts auto tune --sets gowalla

auto    One fit of 256 factors and 10 iterations with the settings of `ALS.auto`. The coefficients of its rule are those
        that `benchmarks/rule.py` finds without the set; those of the package follow.
tune    `cymbals.tune` with its default budget, by the metric of the set (the first one named). It may not take more than 6
        times as long as a fit of `ALS.auto` with 256 factors and 15 iterations to the train part, which is timed before and
        after. irspack's own tuner then gets the same seconds (`IALSRecommender.tune`, without its fit to all data, on the
        same cut of train, with all counts as 1), and its best setting is fitted to train.
budget  `tune` with 0.5, 1, 2 and 4 times the default budget, for each seed: the mean test NDCG.
cost    Gowalla: `tune` with the seconds that a single fit of implicit with 256 factors and 15 iterations takes as its
        budget, and with its default budget. Both take turns.
warm    MovieLens-1M, train and test put together: 500 users are held out, 80/20, for each of five seeds. `tune` with
        validation="users" and EASE (Steck 2019) are fitted to the others. EASE chooses its lambda on a cut of those.

Seeds: of the model and of the cut of train; of HetRec, also of the test part. Sets: HetRec, split 90/10 at random; Gowalla,
MovieLens-1M and Amazon Electronics, as given by their publishers.

Data: $CYMBALS_DATA (default ../shared/data). Needs cymbals[lab]; irspack and implicit for their columns.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import peers
import scipy.sparse as sp
from machine import machine

import cymbals
from cymbals.model.arguments import checked
from cymbals.solve.rule import AUTOMATIC, RULE, Rule, chosen

DATA = Path(os.environ.get("CYMBALS_DATA", "../shared/data"))
METRICS = {  # the first one chooses
    "hetrec_lastfm2k": ("ndcg@10",),
    "gowalla": ("ndcg@20", "recall@20"),
    "movielens1m_m1": ("ndcg@20", "recall@20"),
    "amazon_electronics_m1": ("ndcg@20", "recall@20"),
}
RULES = {  # what rule.py prints for each set as the coefficients "without" it
    "hetrec_lastfm2k": Rule((0.0779, 0.450), (3.411, 0.509)),
    "gowalla": Rule((0.0712, 0.515), (3.520, 0.441)),
    "movielens1m_m1": Rule((0.0627, 0.398), (3.196, 0.366)),
    "amazon_electronics_m1": Rule((0.0948, 0.539), (4.347, 0.481)),
}
BUDGET = 6
LAMBDAS = (100.0, 200.0, 500.0, 1000.0, 2000.0)  # of EASE


def load(name: str, seed: int) -> tuple[cymbals.Interactions, cymbals.Interactions]:
    """The train and the test part of a set. HetRec is split at random, by the seed."""
    if name == "hetrec_lastfm2k":
        return cymbals.split.random(cymbals.datasets.load(DATA / name), 0.1, seed=seed)
    train, test = (cymbals.Interactions.from_csr(sp.load_npz(DATA / name / f"{part}.npz")) for part in ("train", "test"))
    return train, test


def auto(names: list[str], seeds: list[int]) -> None:
    """Fits all sets by the rule, in which the set itself had no part, and also by the rule of the package."""
    for name in names:
        for label, coefficients in (("the set unseen", RULES[name]), ("the package's", RULE)):
            found = []
            for seed in seeds:
                train, test = load(name, seed)
                model = cymbals.ALS.auto(256, iterations=10, random_state=seed)
                objective = checked(model.get_params()).settings.objective
                model.set_params(**chosen(objective, AUTOMATIC, train.csr, coefficients))
                with timed() as seconds:
                    model.fit(train)
                found.append(scores(name, model, train, test) | {"s": seconds[0]})
            show(f"{name}, rule: {label}", found)


def tune(names: list[str], seeds: list[int]) -> None:
    """Tunes all sets within the default budget, and lets irspack's tuner work as long."""
    for name in names:
        found, theirs = [], []
        for seed in seeds:
            train, test = load(name, seed)
            unit = one_fit(train)
            with timed() as seconds:
                tuned = cymbals.tune(train, BUDGET, METRICS[name][0], seed=seed)
            unit = (unit + one_fit(train)) / 2
            spent = {"s": seconds[0], "s of a fit": unit, "fits": seconds[0] / unit}
            found.append(scores(name, tuned.best_model_, train, test) | spent)
            print(f"  seed {seed}: {tuned}", flush=True)
            if importlib.util.find_spec("irspack"):
                theirs.append(scores_of_irspack(name, train, test, seed, seconds[0]))
        show(f"{name}, tune", found)
        if theirs:
            show(f"{name}, irspack's tuner", theirs)


def budget(names: list[str], seeds: list[int]) -> None:
    """Tunes with smaller and larger budgets."""
    for name in names:
        for times in (0.5, 1, 2, 4):
            found = []
            for seed in seeds:
                train, test = load(name, seed)
                with timed() as seconds:
                    tuned = cymbals.tune(train, times * BUDGET, METRICS[name][0], seed=seed)
                found.append(scores(name, tuned.best_model_, train, test) | {"s": seconds[0], "trials": len(tuned.trials)})
            show(f"{name}, {times:g} x the default budget", found)


def cost(seeds: list[int]) -> None:
    """Tunes Gowalla within the time of a fit of implicit, and with the default budget."""
    from implicit.cpu.als import AlternatingLeastSquares

    train, test = load("gowalla", 0)
    for seed in seeds:
        model = AlternatingLeastSquares(256, iterations=15, random_state=seed, num_threads=cymbals.threads())
        with timed() as theirs:
            model.fit(peers.matrix(train), show_progress=False)
        print(f"implicit, one fit of 256 factors and 15 iterations: {theirs[0]:.1f} s", flush=True)
        for budget in (f"{theirs[0]:.2f}s", BUDGET):
            with timed() as seconds:
                tuned = cymbals.tune(train, budget, METRICS["gowalla"][0], seed=seed)
            found = scores("gowalla", tuned.best_model_, train, test) | {"s": seconds[0]}
            show(f"gowalla, seed {seed}, tune with a budget of {budget}", [found])


def warm(seeds: list[int]) -> None:
    """Scores people who are not in the train part, beside EASE."""
    train, test = load("movielens1m_m1", 0)
    everything = cymbals.Interactions.from_csr(((train.user_items + test.user_items) > 0).astype(np.float32))
    found = []
    for seed in seeds:
        train, fold, test = cymbals.split.users(everything, 500, seed=seed)
        model = cymbals.tune(train, metric="ndcg@100", validation="users", seed=seed).best_model_
        ours = cymbals.evaluate(model, rows=fold, test=test, k=100)["ndcg@100"]
        part, held_fold, held = cymbals.split.users(train, 500, seed=seed)
        strength = max(LAMBDAS, key=lambda x: ndcg(held_fold.user_items @ ease(part, x), held_fold, held))
        theirs = ndcg(fold.user_items @ ease(train, strength), fold, test)
        found.append({"tune": ours, "EASE": theirs, "lambda of EASE": strength})
        print(f"  seed {seed}: {found[-1]}", flush=True)
    show("movielens1m_m1, held-out users, ndcg@100", found)


# -- fitting and scoring ---------------------------------------------------------------------------------------------


@contextmanager
def timed() -> Iterator[list[float]]:
    """A list whose first entry is the seconds of the block, once it has ended."""
    seconds: list[float] = []
    started = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - started)


def one_fit(train: cymbals.Interactions) -> float:
    """Seconds of the fit that a budget counts: the median of three."""
    found = []
    for _ in range(3):
        with timed() as seconds:
            cymbals.ALS.auto(256, iterations=15, random_state=0).fit(train)
        found.append(seconds[0])
    return statistics.median(found)


def scores(name: str, model: Any, train: cymbals.Interactions, test: cymbals.Interactions) -> dict[str, float]:
    """The metrics of the set on its test part."""
    k = int(METRICS[name][0].split("@")[1])
    found = cymbals.evaluate(model, train, test, k=k)
    return {metric: found[metric] for metric in METRICS[name]}


def show(what: str, found: list[dict[str, float]]) -> None:
    """Print the mean of each figure, and the figures behind it."""
    means = {name: statistics.mean(one[name] for one in found) for name in found[0]}
    each = "; ".join(" ".join(f"{value:.4g}" for value in one.values()) for one in found)
    print(f"{what}: " + ", ".join(f"{name} {mean:.4f}" for name, mean in means.items()) + f" (each: {each})", flush=True)


def scores_of_irspack(
    name: str, train: cymbals.Interactions, test: cymbals.Interactions, seed: int, seconds: float
) -> dict[str, float]:
    """What irspack's tuner reaches in some seconds, on the same cut of train."""
    from irspack import Evaluator, IALSRecommender

    metric, _, k = METRICS[name][0].partition("@")
    part, held_out = (ones(side) for side in cymbals.split.random(train, 0.1, seed=seed))
    evaluator = Evaluator(held_out, cutoff=int(k), target_metric=metric, n_threads=cymbals.threads())
    with timed() as spent, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        logging.getLogger("optuna").setLevel(logging.ERROR)
        logger = logging.getLogger("irspack")
        logger.setLevel(logging.ERROR)
        best, trials = IALSRecommender.tune(
            part, evaluator, n_trials=1000, timeout=int(np.ceil(seconds)), tuning_random_seed=seed, logger=logger
        )
        theirs = IALSRecommender(ones(train), n_threads=cymbals.threads(), random_seed=seed, **best).learn()
    x, y = (np.ascontiguousarray(side) for side in (theirs.get_user_embedding(), theirs.get_item_embedding()))
    ids = {} if train.users.array is None else {"user_ids": train.user_ids, "item_ids": train.item_ids}
    model = cymbals.ALS.from_factors(x, y, **ids)
    return scores(name, model, train, test) | {"s": spent[0], "trials": len(trials), "factors": best["n_components"]}


def ones(data: cymbals.Interactions) -> sp.csr_matrix:
    """The data as a matrix of ones."""
    found = peers.matrix(data)
    found.data[:] = 1
    return found


def ease(data: cymbals.Interactions, strength: float) -> np.ndarray:
    """The item-item weights of EASE."""
    matrix = sp.csr_array(data.user_items, dtype=np.float64)
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += strength
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def ndcg(ranked: np.ndarray, fold: cymbals.Interactions, test: cymbals.Interactions, k: int = 100) -> float:
    """NDCG@k of a dense matrix of scores."""
    ranked = np.where(fold.user_items.toarray() > 0, -np.inf, ranked)
    best = np.argsort(-ranked, axis=1, kind="stable")[:, :k]
    wanted = test.user_items.toarray() > 0
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained = (np.take_along_axis(wanted, best, axis=1) * discounts).sum(axis=1)
    return float(np.mean(gained / np.cumsum(discounts)[np.minimum(wanted.sum(axis=1), k) - 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("auto", "tune", "budget", "cost", "warm")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--sets", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    print(machine())
    print(f"cymbals {cymbals.__version__}, {cymbals.threads()} threads, {cymbals.simd()}")
    with timed() as seconds:
        for part, run in (("auto", auto), ("tune", tune), ("budget", budget)):
            if part in args.parts:
                run(args.sets, args.seeds)
        if "cost" in args.parts:
            cost(args.seeds)
        if "warm" in args.parts:
            warm(list(range(5)))
    print(f"in all {seconds[0]:.0f} s")


if __name__ == "__main__":
    main()
