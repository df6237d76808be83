"""Searches a space of settings for two sets without the test part, then scores the best once on test.

    python benchmarks/searched.py

Gowalla uses the split of LightGCN. Recall@20 decides, because the authors of LightGCN stop training by it. Twelve settings
with 512 factors are fitted on nine tenths of train and scored on the rest. The four best are tried again with 1024 factors,
and their number of iterations is chosen too. The best of these is fitted on all of train, once for each seed.

HetRec is split 90/10 at random. NDCG@10 decides among random draws of confidence, alpha, regularization and factors. All
settings that were tried are printed. `tuned.py` reaches more in a fraction of the time.

Data: gowalla and hetrec_lastfm2k in $CYMBALS_DATA (default ../shared/data). Needs cymbals[lab].
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import scipy.sparse as sp
import scipy.stats
from machine import machine

import cymbals
from cymbals.evaluation.baselines import Popularity

DATA = Path(os.environ.get("CYMBALS_DATA", "../shared/data"))
# Rendle's objective with its frequency-scaled regularization. Two CG steps do not quite reach the optimum of each row.
GOWALLA: dict[str, Any] = {"objective": "ials", "nu": 1.0, "alpha": 1.0, "solver": "cg", "cg_steps": 2}
WEIGHTS, PRODUCTS = (0.005, 0.01, 0.02, 0.03), (2e-5, 3e-5, 4.5e-5)  # a product is weight x regularization
HU = {"objective": "hu", "nu": 0.0, "unobserved_weight": 1.0, "solver": "auto", "iterations": 15}
HETREC: list[dict[str, Any]] = [
    {
        "confidence": [confidence],
        "alpha": scipy.stats.loguniform(*alphas),
        "regularization": scipy.stats.loguniform(1, 200),
        "factors": [32, 64, 128, 256],
    }
    for confidence, alphas in (("linear", (0.003, 1)), ("log", (0.1, 10)), ("binary", (1, 100)))
]


def gowalla(factors: tuple[int, int], seeds: list[int]) -> None:
    train, test = (
        cymbals.Interactions.from_csr(sp.load_npz(DATA / "gowalla" / f"{part}.npz")) for part in ("train", "test")
    )
    print(f"\nGowalla: train {train!r}, test {test.nnz:,} entries")
    grid = [{"unobserved_weight": [w], "regularization": [round(p / w, 6) for p in PRODUCTS]} for w in WEIGHTS]
    arguments = {"metric": "recall@20", "n_users": 10_000, "refit": False, **GOWALLA}
    coarse = _search(train, grid, factors=factors[0], iterations=6, **arguments)
    best = coarse.table[list(coarse.best_trial_.params)].head(4).to_dict("records")
    found = _search(
        train, [{k: [v] for k, v in p.items()} for p in best], factors=factors[1], iterations=9, patience=2, **arguments
    )
    figures = []
    for seed in seeds:
        model = cymbals.ALS(**found.best_params_ | {"random_state": seed})
        figures.append(_scored(model, train, test, 20))
    recall, ndcg = (statistics.mean(f[name] for f in figures) for name in ("recall@20", "ndcg@20"))
    print(f"Gowalla, mean of {len(seeds)} seeds: Recall@20 {recall:.4f}  NDCG@20 {ndcg:.4f}")


def hetrec(n: int, seeds: list[int]) -> None:
    train, test = cymbals.split.random(cymbals.datasets.load(DATA / "hetrec_lastfm2k"), 0.1, seed=0)
    print(f"\nHetRec: train {train!r}, counts up to {train.csr.data.max():,.0f}, test {test.nnz:,} entries")
    found = _search(train, random=HETREC, n=n, metric="ndcg@10", refit=False, n_users=None, **HU)
    figures = [_scored(cymbals.ALS(**found.best_params_ | {"random_state": seed}), train, test, 10) for seed in seeds]
    plain = cymbals.evaluate(cymbals.ALS(random_state=0).fit(train), train, test)
    popular = cymbals.evaluate(Popularity().fit(train), train, test)
    ndcg, auc = (statistics.mean(f[name] for f in figures) for name in ("ndcg@10", "auc"))
    print(
        f"HetRec, mean of {len(seeds)} seeds: NDCG@10 {ndcg:.4f}  AUC {auc:.4f}; ALS() {plain['ndcg@10']:.4f}, "
        f"{plain['auc']:.4f}; popularity {popular['ndcg@10']:.4f}, {popular['auc']:.4f}"
    )


def _search(train: cymbals.Interactions, grid: Any = None, **arguments: Any) -> Any:
    started = time.perf_counter()
    found = cymbals.search(train, grid, **arguments)
    table = found.table
    shown = [name for name in table if name in found.trials[0].params or name in ("score", "n_iter", "seconds")]
    print(table[shown].round(6).to_string(index=False))
    print(f"{found}; {time.perf_counter() - started:.0f} s\n", flush=True)
    return found


def _scored(model: cymbals.ALS, train: cymbals.Interactions, test: cymbals.Interactions, k: int) -> cymbals.Metrics:
    started = time.perf_counter()
    model.fit(train)
    fitted = time.perf_counter()
    metrics = cymbals.evaluate(model, train, test, k=k)
    scored = time.perf_counter()
    print(
        f"{model}\n  fit {fitted - started:.1f} s, {metrics.n_users:,} users scored in {scored - fitted:.1f} s: "
        f"Recall@{k} {metrics[f'recall@{k}']:.4f}  NDCG@{k} {metrics[f'ndcg@{k}']:.4f}  AUC {metrics['auc']:.4f}",
        flush=True,
    )
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("hetrec", "gowalla")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--factors", type=int, nargs=2, default=[512, 1024], help="in the two rounds on Gowalla")
    parser.add_argument("--draws", type=int, default=60, help="settings tried on HetRec")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    print(machine())
    print(f"cymbals {cymbals.__version__}, {cymbals.threads()} threads, {cymbals.simd()}")
    started = time.perf_counter()
    if "hetrec" in args.parts:
        hetrec(args.draws, args.seeds)
    if "gowalla" in args.parts:
        gowalla(tuple(args.factors), args.seeds)
    print(f"in all {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
