"""Compares folding users in with fitting them: NDCG@10 of users whom the model has not seen, and of users with one artist.

    python benchmarks/cold_start.py

Users are divided into groups. Each group in turn is left out of a fit; the train rows of its users are folded in, and their
held-out items are ranked. Their NDCG@10 is compared with that of the same users in a model fitted with all users. Then the
same is done with only one artist for each user, the one played most. Data: hetrec_lastfm2k in $CYMBALS_DATA (default
../shared/data).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

import cymbals
from cymbals import Interactions
from cymbals.evaluation.baselines import Popularity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="hetrec_lastfm2k")
    parser.add_argument("--groups", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--regularization", type=float, default=10.0)
    args = parser.parse_args()
    data = cymbals.datasets.load(Path(os.environ.get("CYMBALS_DATA", "../shared/data")) / args.data)
    params = {"factors": args.factors, "alpha": args.alpha, "regularization": args.regularization, "confidence": "log"}
    print(f"{data!r}; {cymbals.ALS(**params)}; NDCG@10")
    print("| groups | seed | fitted with all | folded in | ratio | one artist, ALS | one artist, popularity |")
    print("|---|---|---|---|---|---|---|")
    for groups in args.groups:
        ratios = []
        for seed in args.seeds:
            full, folded, alone, popular = np.nanmean(_ndcg(data, groups, seed, params), axis=1)
            ratios.append(folded / full)
            figures = f"{full:.4f} | {folded:.4f} | {ratios[-1]:.4f} | {alone:.4f} | {popular:.4f}"
            print(f"| {groups} | {seed} | {figures} |", flush=True)
        print(f"{groups} groups: mean of folded in / fitted with all users {np.mean(ratios):.4f}")


def _ndcg(data: Interactions, groups: int, seed: int, params: dict[str, Any]) -> np.ndarray:
    """NDCG@10 of each user, in four rows: fitted with all; folded in; one artist, by ALS; one artist, by popularity."""
    train, test = cymbals.split.random(data, 0.1, seed)
    out = np.full((4, data.shape[0]), np.nan)
    out[0] = _of_users(cymbals.ALS(random_state=seed, **params).fit(train), train, test)
    group = np.random.default_rng(seed).permutation(data.shape[0]) % groups
    most_played = _most_played(train)
    for g in range(groups):
        guest = group == g
        of_guest = guest[train.csr.row_numbers()]
        known, one = train.where(~of_guest), train.where(most_played | ~of_guest)
        model = cymbals.ALS(random_state=seed, **params).fit(known)
        for row, rows in ((1, train), (2, one)):
            model.update_users(model.users_.of(np.flatnonzero(guest)), rows.user_items[np.flatnonzero(guest)])
            out[row, guest] = _of_users(model, rows, test)[guest]
        out[3, guest] = _of_users(Popularity().fit(known), one, test)[guest]
    return out


def _of_users(model: Any, train: Interactions, test: Interactions) -> np.ndarray:
    return cymbals.evaluate(model, train, test, k=10).per_user["ndcg@10"]


def _most_played(train: Interactions) -> np.ndarray:
    """For each entry, whether it is the largest of its user. Of equal entries, only the first is."""
    csr = train.csr
    order = np.lexsort((np.arange(csr.nnz), -csr.data, csr.row_numbers()))
    out = np.zeros(csr.nnz, bool)
    out[order[csr.indptr[:-1][np.diff(csr.indptr) > 0]]] = True
    return out


if __name__ == "__main__":
    main()
