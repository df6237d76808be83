"""Runs a published protocol on the files that you have: prepares them, tunes on train, and scores once on test.

    python benchmarks/published.py gowalla FOLDER          # also yelp2018, amazon-book: train.txt and test.txt, or .npz
    python benchmarks/published.py ml-20m FOLDER           # ratings.csv
    python benchmarks/published.py msd FOLDER              # train_triplets.txt
    python benchmarks/published.py ncf-ml-1m FOLDER        # ratings.dat

gowalla, yelp2018, amazon-book
    The splits of LightGCN (He et al. 2020). Recall@20 and NDCG@20 over all items, for each user with test entries.
ml-20m, msd
    The protocol of Mult-VAE (Liang et al. 2018): entries are binary (ratings of 4 and more), users have at least 5 items
    (MSD: 20, and items 200 users). 10,000 users (MSD: 50,000) are held out for testing. Four fifths of the entries of each
    are folded in. Recall@20 and Recall@50 are divided by min(k, held-out items): capped_recall. Three things differ from
    the paper. Other users are drawn, because its random numbers cannot be repeated here. As many users again are its
    validation part; here they are in train. It drops held-out entries of items without an entry in train; here they count
    as misses.
ncf-ml-1m
    The protocol of NCF (He et al. 2017): the latest rating of each user is held out, and ranked among 99 items that the
    user has not rated, drawn at random. Sampled metrics of this kind can order models differently from exact ones (Krichene
    and Rendle 2020), so the exact metrics are printed too.

`cymbals.tune` chooses all settings on the train part, within --budget. The test part is scored once. Each table but that
of ncf-ml-1m ends with figures that others have published for the same protocol; they were computed elsewhere, some with
other tuning.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from machine import machine

import cymbals

Row = dict[str, float]
PUBLISHED: dict[str, dict[str, Row]] = {
    "gowalla": {
        "iALS, f <= 200 (Ferrari Dacrema et al. 2025)": {"recall@20": 0.1669, "ndcg@20": 0.1370},
        "EASE": {"recall@20": 0.1765, "ndcg@20": 0.1467},
        "LightGCN": {"recall@20": 0.1830, "ndcg@20": 0.1554},
        "UltraGCN": {"recall@20": 0.1862, "ndcg@20": 0.1580},
        "SimpleX": {"recall@20": 0.1872, "ndcg@20": 0.1557},
    },
    "yelp2018": {
        "iALS, f <= 200 (Ferrari Dacrema et al. 2025)": {"recall@20": 0.0667, "ndcg@20": 0.0546},
        "EASE": {"recall@20": 0.0657, "ndcg@20": 0.0552},
        "LightGCN": {"recall@20": 0.0653, "ndcg@20": 0.0532},
        "UltraGCN": {"recall@20": 0.0683, "ndcg@20": 0.0561},
        "SimpleX": {"recall@20": 0.0701, "ndcg@20": 0.0575},
    },
    "amazon-book": {
        "iALS, f <= 200 (Ferrari Dacrema et al. 2025)": {"recall@20": 0.0451, "ndcg@20": 0.0347},
        "EASE": {"recall@20": 0.0710, "ndcg@20": 0.0567},
        "LightGCN": {"recall@20": 0.0411, "ndcg@20": 0.0318},
        "UltraGCN": {"recall@20": 0.0681, "ndcg@20": 0.0556},
        "SLIM": {"recall@20": 0.0757, "ndcg@20": 0.0600},
    },
    "ml-20m": {
        "EASE": {"capped_recall@20": 0.391, "capped_recall@50": 0.521, "ndcg@100": 0.420},
        "Mult-VAE": {"capped_recall@20": 0.395, "capped_recall@50": 0.537, "ndcg@100": 0.426},
        "iALS, f 2048 (Rendle et al. 2021)": {"capped_recall@20": 0.395, "capped_recall@50": 0.532, "ndcg@100": 0.425},
    },
    "msd": {
        "iALS, f 8192 (Rendle et al. 2021)": {"capped_recall@20": 0.309, "capped_recall@50": 0.415, "ndcg@100": 0.368},
    },
    "ncf-ml-1m": {},
}


def lightgcn(folder: Path, budget: float | str) -> Row:
    train, test = (_part(folder, name) for name in ("train", "test"))
    shape = tuple(max(sizes) for sizes in zip(train.shape, test.shape, strict=True))
    train, test = (
        cymbals.Interactions.from_csr(sp.csr_array((m.data, m.indices, m.indptr), shape=(m.shape[0], shape[1])))
        for m in (train, test)
    )
    model = _tuned(train, budget, "ndcg@20")
    return dict(cymbals.evaluate(model, train, test, k=20))


def _part(folder: Path, name: str) -> sp.csr_array:
    """The train or the test part: a matrix in .npz, or lines of a user and their items."""
    if (folder / f"{name}.npz").exists():
        return sp.csr_array(sp.load_npz(folder / f"{name}.npz"))
    lines = [[int(word) for word in line.split()] for line in (folder / f"{name}.txt").read_text().splitlines() if line]
    users = np.repeat([line[0] for line in lines], [len(line) - 1 for line in lines])
    items = np.array([item for line in lines for item in line[1:]])
    return sp.csr_array((np.ones(items.size, np.float32), (users, items)))


def held_out_users(events: pd.DataFrame, n: int, budget: float | str, least: tuple[int, int]) -> Row:
    """The protocol of Mult-VAE, on a frame with the columns user and item."""
    of_item = events.groupby("item")["user"].transform("size")
    events = events[of_item >= least[1]]
    of_user = events.groupby("user")["item"].transform("size")
    events = events[of_user >= least[0]]
    data = cymbals.Interactions.from_frame(events, value=None)
    train, fold, test = cymbals.split.users(data, n, seed=0)
    model = _tuned(train, budget, "ndcg@100", "users")
    return dict(cymbals.evaluate(model, rows=fold, test=test, k=(20, 50, 100)))


def ml_20m(folder: Path, budget: float | str) -> Row:
    ratings = pd.read_csv(folder / "ratings.csv").rename(columns={"userId": "user", "movieId": "item"})
    return held_out_users(ratings[ratings["rating"] >= 4], min(10_000, ratings["user"].nunique() // 4), budget, (5, 0))


def msd(folder: Path, budget: float | str) -> Row:
    plays = pd.read_csv(folder / "train_triplets.txt", sep="\t", names=["user", "item", "plays"], usecols=["user", "item"])
    return held_out_users(plays, min(50_000, plays["user"].nunique() // 4), budget, (20, 200))


def ncf(folder: Path, budget: float | str) -> Row:
    ratings = pd.read_csv(folder / "ratings.dat", sep="::", engine="python", names=["user", "item", "value", "time"])
    data = cymbals.Interactions.from_frame(ratings.assign(value=1.0), time="time")
    train, test = cymbals.split.leave_k_out(data, 1, latest=True)
    model = _tuned(train, budget, "ndcg@10", lambda part: cymbals.split.leave_k_out(part, 1, latest=True))
    sampled = cymbals.validation.sampled_ranking(model, train, test, n_negatives=99, k=10, seed=0)
    exact = cymbals.evaluate(model, train, test, k=10)
    return {f"{name}, among 100": sampled[name] for name in ("hit_rate@10", "ndcg@10")} | {
        name: exact[name] for name in ("hit_rate@10", "ndcg@10")
    }


def _tuned(train: cymbals.Interactions, budget: float | str, metric: str, validation: object = 0.1) -> cymbals.ALS:
    print(f"train {train!r}", flush=True)
    began = time.perf_counter()
    found = cymbals.tune(train, budget, metric, validation, progress=True)
    print(f"{found}; {time.perf_counter() - began:.0f} s", flush=True)
    return found.best_model_


RUNS: dict[str, Callable[[Path, float | str], Row]] = {
    "gowalla": lightgcn,
    "yelp2018": lightgcn,
    "amazon-book": lightgcn,
    "ml-20m": ml_20m,
    "msd": msd,
    "ncf-ml-1m": ncf,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=RUNS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="6", help="as of cymbals tune: a number of fits, or a time such as 10min")
    args = parser.parse_args()
    print(f"{machine()}\ncymbals {cymbals.__version__}, {cymbals.threads()} threads, {cymbals.simd()}")
    budget = float(args.budget) if args.budget.replace(".", "", 1).isdigit() else args.budget
    ours = RUNS[args.protocol](args.folder, budget)
    published = PUBLISHED[args.protocol]
    names = list(next(iter(published.values()))) if published else list(ours)
    table = pd.DataFrame({"cymbals, here": ours} | published).T[names]
    print(table.to_string(float_format=lambda value: f"{value:.4f}", na_rep=""))


if __name__ == "__main__":
    main()
