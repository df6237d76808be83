"""Fold-in beside fitting in full: NDCG@10 of users whom the model has not seen, and of users with a single artist.

    python benchmarks/cold_start.py

A fifth of the users is kept out of the fit; their train rows are folded in, and what was held out of them is ranked. The
same users' figure in a model fitted with them is what they are compared with. Then each of them has one artist alone, the
one played most. Data: hetrec_lastfm2k in $CYMBALS_DATA (default ../shared/data), or audioscrobbler_small.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import numpy as np

import cymbals
from cymbals import Interactions, validation
from cymbals.baselines import Popularity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="hetrec_lastfm2k")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--regularization", type=float, default=10.0)
    args = parser.parse_args()
    data = cymbals.datasets.load(Path(os.environ.get("CYMBALS_DATA", "../shared/data")) / args.data)
    how = {"factors": args.factors, "alpha": args.alpha, "regularization": args.regularization, "confidence": "log"}
    print(f"{data!r}; {cymbals.ALS(**how)}")
    print("| seed | fitted in full | folded in | ratio | p | one artist, ALS | one artist, popularity |")
    print("|---|---|---|---|---|---|---|")
    ratios = []
    for seed in args.seeds:
        train, test = cymbals.split.random(data, 0.1, seed)
        guest = np.zeros(data.shape[0], bool)
        guest[np.random.default_rng(seed).permutation(data.shape[0])[: data.shape[0] // 5]] = True
        of_guest = guest[train.csr.row_numbers()]
        asked = test.where(guest[test.csr.row_numbers()])
        full = cymbals.evaluate(cymbals.ALS(random_state=seed, **how).fit(train), train, asked)

        known = train.where(~of_guest)
        model = cymbals.ALS(random_state=seed, **how).fit(known)
        folded = _scored(model, train, asked, guest)
        one = train.where(_most_played(train) | ~of_guest)
        alone = _scored(model, one, asked, guest)
        popular = cymbals.evaluate(Popularity().fit(known), one, asked)
        ratios.append(folded["ndcg@10"] / full["ndcg@10"])
        p = validation.compare(folded, full, "ndcg@10").p_value
        figures = f"{full['ndcg@10']:.4f} | {folded['ndcg@10']:.4f} | {ratios[-1]:.3f} | {p:.2f}"
        print(f"| {seed} | {figures} | {alone['ndcg@10']:.4f} | {popular['ndcg@10']:.4f} |", flush=True)
    print(f"NDCG@10 of folded-in users over that of users fitted in full: mean {statistics.mean(ratios):.3f}")


def _scored(model: cymbals.ALS, rows: Interactions, asked: Interactions, guest: np.ndarray) -> cymbals.Metrics:
    """The guests' rows folded in, and what was held out of them ranked."""
    users = np.flatnonzero(guest)
    model.update_users(model.users_.of(users), rows.user_items[users])
    return cymbals.evaluate(model, rows, asked)


def _most_played(train: Interactions) -> np.ndarray:
    """Whether an entry is its user's largest, the first of equals."""
    csr = train.csr
    order = np.lexsort((np.arange(csr.nnz), -csr.data, csr.row_numbers()))
    out = np.zeros(csr.nnz, bool)
    out[order[csr.indptr[:-1][np.diff(csr.indptr) > 0]]] = True
    return out


if __name__ == "__main__":
    main()
