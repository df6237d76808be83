"""Counts the iterations that a fit needs, with and without over-relaxation, until held-out NDCG@20 is close to the best.

    python benchmarks/relaxation.py      # data in $CYMBALS_DATA, default ../shared/data

A fifth of the entries of each data set is held out. The best NDCG@20 is taken over all regularizations and numbers of
iterations, with and without over-relaxation. NDCG@20 is a mean over several seeds. Each number of iterations needs
a separate fit, because the last iteration of a fit is never over-relaxed.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scipy.sparse as sp
from shapes import generate

import cymbals

ITERATIONS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15)
WAYS = {"plain": 1.0, "relaxed": None}


def main() -> None:
    for name, data, regularizations, seeds, settings in _cases():
        train, test = cymbals.split.random(data, 0.2, seed=1)
        print(f"\n{name}: {train!r}\n{'':<30}{''.join(f'{n:7}' for n in ITERATIONS)}  iterations")
        found: dict[tuple[str, float], list[float]] = {}
        for way, relaxation in WAYS.items():
            for regularization in regularizations:
                params = settings | {"relaxation": relaxation, "regularization": regularization}
                means = [statistics.mean(_ndcg(train, test, n, s, params) for s in range(seeds)) for n in ITERATIONS]
                found[way, regularization] = means
                title = f"{way}, regularization {regularization:g}"
                print(f"{title:<30}{''.join(f'{m:7.4f}' for m in means)}", flush=True)
        best = max(map(max, found.values()))
        for share in (0.99, 0.995, 0.998):
            print(f"{share:.1%} of {best:.4f} after: ", end="")
            print(", ".join(f"{way} {_fewest(found, way, share * best)}" for way in WAYS))


def _cases() -> Iterator[tuple[str, cymbals.Interactions, tuple[float, ...], int, dict[str, Any]]]:
    folder = Path(os.environ.get("CYMBALS_DATA", Path(__file__).parents[1] / "../shared/data"))
    counts: dict[str, Any] = {"factors": 64, "alpha": 5.0, "confidence": "log"}
    hetrec = cymbals.datasets.hetrec.load(folder / "hetrec_lastfm2k")
    yield "HetRec, counts", hetrec, (40, 100), 3, counts
    small = cymbals.audioscrobbler.load(folder / "audioscrobbler_small")
    yield "Audioscrobbler, 50 listeners", small, (10, 40), 6, counts | {"factors": 16}
    gowalla = cymbals.Interactions.from_csr(sp.load_npz(folder / "gowalla" / "train.npz"))
    yield "Gowalla", gowalla, (1, 10), 3, {"factors": 64, "alpha": 20.0}
    ials = {"factors": 64, "objective": "ials", "unobserved_weight": 0.01, "nu": 1.0}
    yield "Gowalla, objective ials", gowalla, (0.005, 0.01), 3, ials
    yield "generated, dense", generate("dense", 0.2), (60, 100), 3, counts | {"alpha": 2.0}
    yield "generated, sparse", generate("sparse", 0.1), (10, 40), 2, counts | {"alpha": 2.0}


def _ndcg(train: cymbals.Interactions, test: cymbals.Interactions, iterations: int, seed: int, params: Any) -> float:
    model = cymbals.ALS(iterations=iterations, random_state=seed, **params).fit(train)
    return cymbals.evaluate(model, train, test, k=20)["ndcg@20"]


def _fewest(found: dict[tuple[str, float], list[float]], way: str, least: float) -> int | str:
    runs = [means for (name, _), means in found.items() if name == way]
    return min((n for means in runs for n, m in zip(ITERATIONS, means, strict=True) if m >= least), default="never")


if __name__ == "__main__":
    main()
