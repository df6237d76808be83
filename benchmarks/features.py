"""Features of users and items: what nobody has used yet, what everybody has used, and seconds.

    python benchmarks/features.py

Sets: MovieLens-1M, with genres and decades of films and with gender, age, occupation and region of users; HetRec's
Last.fm, with tags: artists have the tags they got, users those they gave. Models are `ALS.auto` with 128 factors.

cold items  A tenth of the items is held out entirely. NDCG@20 among these items alone, of all their users, beside that of a
            random order.
cold users  A tenth of the users is held out entirely. NDCG@20 among all items, beside that of popularity, with the p value
            of a paired t test.
warm        A tenth of the entries is held out. NDCG@20 without features, with features of both sides, and with features of
            both sides that were shuffled among the rows.
seconds     of the fits of "warm", medians of five rounds that take turns; and seconds per entry: the entries are those of
            train and, with features, also those of the features.

Data: movielens1m_features and hetrec_lastfm2k in $CYMBALS_DATA (default ../shared/data). Needs cymbals[lab].
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from machine import machine

import cymbals
from cymbals.evaluation.baselines import Popularity, Random

DATA = Path(os.environ.get("CYMBALS_DATA", "../shared/data"))
K = 20
Set = tuple[sp.csr_array, sp.csr_array, sp.csr_array]  # entries, features of users, features of items


def movielens() -> Set:
    folder = DATA / "movielens1m_features"
    pairs = sp.csr_array(sp.load_npz(folder / "pairs.npz").astype(np.float32))
    pairs.data[:] = 1
    films = pd.DataFrame(_lines(folder / "movies.dat"), columns=["id", "title", "genres"])
    films["genres"] = films["genres"].str.split("|")
    films["year"] = films["title"].str[-5:-1].astype(int)
    people = pd.DataFrame(_lines(folder / "users.dat"), columns=["id", "gender", "age", "occupation", "region"])
    people["region"] = people["region"].str[0]
    sides = []
    for frame, n, widths in ((people, pairs.shape[0], {}), (films.drop(columns="title"), pairs.shape[1], {"year": 10})):
        made = cymbals.features(frame.assign(id=frame["id"].astype(int)), "id", widths=widths)
        rows, columns = made.user_items.nonzero()
        sides.append(sp.csr_array((made.user_items.data, (made.user_ids[rows], columns)), shape=(n, made.shape[1])))
    users, items = np.flatnonzero(np.diff(pairs.indptr)), np.flatnonzero(pairs.sum(axis=0))
    return pairs[users][:, items], sides[0][users], sides[1][items]


def _lines(path: Path) -> list[list[str]]:
    return [line.split("::") for line in path.read_text("latin-1").splitlines()]


def hetrec() -> Set:
    data = cymbals.datasets.load(DATA / "hetrec_lastfm2k")
    tags = pd.read_csv(DATA / "hetrec_lastfm2k" / "user_taggedartists.dat", sep="\t")
    sides = []
    for column, ids in (("userID", data.users), ("artistID", data.items)):
        rows = ids.find(tags[column].to_numpy())
        known = rows >= 0
        shape = (ids.n, int(tags["tagID"].max()) + 1)
        pairs = (np.ones(known.sum(), np.float32), (rows[known], tags["tagID"].to_numpy()[known]))
        sides.append(sp.csr_array(sp.coo_array(pairs, shape=shape)))
    return sp.csr_array(data.user_items), sides[0], sides[1]


def cold_items(entries: sp.csr_array, of_items: sp.csr_array, seed: int) -> tuple[float, float]:
    cold = np.random.default_rng(seed).random(entries.shape[1]) < 0.1
    train, test = _columns(entries, ~cold), _columns(entries, cold)
    others = _columns(sp.csr_array(np.ones(entries.shape, np.float32)), ~cold)  # no other items compete
    model = cymbals.ALS.auto(128, random_state=seed).fit(train, item_features=of_items)
    scored = (cymbals.evaluate(m, others, test, k=K)[f"ndcg@{K}"] for m in (model, Random(seed).fit(train)))
    return next(scored), next(scored)


def cold_users(entries: sp.csr_array, of_users: sp.csr_array, seed: int) -> tuple[float, float, float]:
    cold = np.random.default_rng(seed).random(entries.shape[0]) < 0.1
    train, test = (_columns(sp.csr_array(entries.T), part).T.tocsr() for part in (~cold, cold))
    nothing = sp.csr_array(entries.shape, dtype=np.float32)
    model = cymbals.ALS.auto(128, random_state=seed).fit(train, user_features=of_users)
    ours, popular = (cymbals.evaluate(m, nothing, test, k=K) for m in (model, Popularity().fit(train)))
    compared = cymbals.validation.compare(ours, popular, f"ndcg@{K}")
    return ours[f"ndcg@{K}"], popular[f"ndcg@{K}"], compared.p_value


def warm(
    entries: sp.csr_array, of_users: sp.csr_array, of_items: sp.csr_array, seed: int
) -> dict[str, tuple[float, float]]:
    train, test = cymbals.split.random(entries, 0.1, seed)
    rng = np.random.default_rng(seed)
    shuffled = {
        "user_features": of_users[rng.permutation(of_users.shape[0])],
        "item_features": of_items[rng.permutation(of_items.shape[0])],
    }
    ways = {"none": {}, "both": {"user_features": of_users, "item_features": of_items}, "shuffled": shuffled}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(5):
        for name, how in ways.items():
            began = time.perf_counter()
            model = cymbals.ALS.auto(128, random_state=seed).fit(train, **how)
            seconds[name].append(time.perf_counter() - began)
            if name not in found:
                found[name] = cymbals.evaluate(model, train, test, k=K)[f"ndcg@{K}"]
    return {name: (found[name], statistics.median(seconds[name])) for name in ways}


def _columns(matrix: sp.csr_array, kept: np.ndarray) -> sp.csr_array:
    """The matrix without the entries of the other columns."""
    out = sp.csr_array(matrix @ sp.diags_array(kept.astype(np.float32)))
    out.eliminate_zeros()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    print(machine())
    print(f"cymbals {cymbals.__version__}, {cymbals.threads()} threads, {cymbals.simd()}")
    for name, load in (("MovieLens-1M", movielens), ("HetRec", hetrec)):
        entries, of_users, of_items = load()
        sizes = f"{of_users.nnz:,} and {of_items.nnz:,} entries of features"
        print(f"\n{name}: {entries.shape[0]:,} users x {entries.shape[1]:,} items, {entries.nnz:,} entries; {sizes}")
        for seed in seeds:
            ours, chance = cold_items(entries, of_items, seed)
            print(f"seed {seed}, cold items: {ours:.4f}, random order {chance:.4f}: {ours / chance:.1f} x", flush=True)
        for seed in seeds:
            ours, popular, p = cold_users(entries, of_users, seed)
            print(
                f"seed {seed}, cold users: {ours:.4f}, popularity {popular:.4f}: {ours / popular:.2f} x, p {p:.1g}",
                flush=True,
            )
        for seed in seeds:
            found = warm(entries, of_users, of_items, seed)
            print(
                f"seed {seed}, warm: " + ", ".join(f"{way} {score:.4f} in {s:.2f} s" for way, (score, s) in found.items())
            )
            times = found["both"][1] / found["none"][1]
            train = 0.9 * entries.nnz
            per_entry = times * train / (train + of_users.nnz + of_items.nnz)
            print(f"        with features {times:.2f} x the seconds, {per_entry:.2f} x the seconds per entry", flush=True)


if __name__ == "__main__":
    main()
