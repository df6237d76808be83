"""Compares ways to weight play counts by the ranking they give: raw, clipped, log, TF-IDF, BM25, binary.

    python benchmarks/weighting.py

For each, alpha and regularization are chosen by NDCG@10 on a validation part of train. Then the model is scored on test.

Data: audioscrobbler_small and hetrec_lastfm2k in $CYMBALS_DATA (default ../shared/data). docs/weighting.md has the table.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cymbals
from cymbals import weighting
from cymbals.evaluation.baselines import Popularity

# For each: a function that weights the data, and the confidence, which alpha multiplies.
WEIGHTINGS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "counts": (lambda data: data, "linear"),
    "counts, clipped at 500": (lambda data: weighting.clip(data, 500), "linear"),
    "log(1 + count)": (lambda data: data, "log"),
    "TF-IDF": (weighting.tfidf, "linear"),
    "TF-IDF of log(1 + count)": (weighting.tfidf, "log"),
    "BM25": (weighting.bm25, "linear"),
    "1 for any count": (lambda data: data, "binary"),
}
GRID = {"alpha": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0], "regularization": [0.1, 1.0, 10.0, 100.0, 1000.0]}
PAIRS = (
    ("BM25", "log(1 + count)", "ndcg@10"),
    ("BM25", "counts", "ndcg@10"),
    ("1 for any count", "log(1 + count)", "auc"),
)


# The objective of Hu, Koren and Volinsky, as `ALS()` has it
HU = {"objective": "hu", "nu": 0.0, "unobserved_weight": 1.0, "solver": "auto", "iterations": 15}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", nargs="+", default=["audioscrobbler_small", "hetrec_lastfm2k"])
    args = parser.parse_args()
    for name in args.data:
        data = cymbals.datasets.load(Path(os.environ.get("CYMBALS_DATA", "../shared/data")) / name)
        train, test = cymbals.split.random(data, 0.1, args.seed)
        counts = train.csr.data
        print(f"\n{name}: {train!r}, counts up to {counts.max():,.0f}\n")
        print("| weighting | AUC | NDCG@10 | recall@10 | coverage@10 | alpha | regularization | search, s |")
        print("|---|---|---|---|---|---|---|---|")
        popular = cymbals.evaluate(Popularity().fit(train), train, test)
        print(f"| popularity | {_figures(popular)} | | | |")
        untuned = cymbals.ALS(factors=args.factors, alpha=1.0, regularization=1.0, random_state=args.seed).fit(train)
        print(f"| counts, not tuned | {_figures(cymbals.evaluate(untuned, train, test))} | 1 | 1 | |")
        metrics = {}
        for title, (weigh, confidence) in WEIGHTINGS.items():
            started = time.perf_counter()
            arguments = {"factors": args.factors, "confidence": confidence, "seed": args.seed, "metric": "ndcg@10"}
            found = cymbals.search(weigh(train), GRID, n_users=None, **arguments, **HU)
            seconds = time.perf_counter() - started
            metrics[title] = cymbals.evaluate(found.best_model_, train, test)
            best = found.best_params_
            row = (
                f"| {title} | {_figures(metrics[title])} | {best['alpha']:g} | {best['regularization']:g} | {seconds:.0f} |"
            )
            print(row, flush=True)
        print()
        for first, second, metric in PAIRS:
            print(f"{first} minus {second}, {cymbals.validation.compare(metrics[first], metrics[second], metric)}")


def _figures(metrics: cymbals.Metrics) -> str:
    return " | ".join(f"{metrics[m]:.4f}" for m in ("auc", "ndcg@10", "recall@10", "coverage@10"))


if __name__ == "__main__":
    main()
