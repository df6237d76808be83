"""Compares exact top-k and ranking metrics with other libraries, on the factors of one fitted model.

    python benchmarks/retrieval.py            # the dense shape, f 128, 30,000 users and 27,000 items

Top-k: cymbals and implicit leave out seen items. faiss cannot do that, so it is compared with cymbals without leaving any
out. Scores must agree within 1e-5 relative. Ids may differ between items whose scores are as close as that. Metrics:
cymbals computes AUC over the whole catalogue, MRR, and precision, recall, MAP and NDCG at 5, 10 and 20; implicit computes
its four metrics at 10.
"""

from __future__ import annotations

import peers  # isort: skip  (must come first: it sets the number of BLAS threads)

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from shapes import SHAPES, generate

import cymbals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    args = parser.parse_args()

    data = generate(args.shape, args.scale)
    train, test = cymbals.split.random(data, test_fraction=0.1, seed=0)
    model = cymbals.ALS(
        factors=args.factors, regularization=peers.REGULARIZATION, iterations=args.iterations, random_state=0
    ).fit(train)
    users = np.sort(np.random.default_rng(0).choice(data.shape[0], min(args.users, data.shape[0]), replace=False))
    print(f"{args.shape}: {data!r}; f {args.factors}, {users.size:,} users, {args.threads} threads, {cymbals.simd()}")

    search = _searches(model, train, users, args)
    found = _race("top-k", search, args.rounds)
    _same("implicit", found["cymbals"], found["implicit"])
    _same("faiss", found["cymbals, nothing left out"], found["faiss"])

    measured = _race("metrics", _metrics(model, train, test, users, args), args.rounds)
    print(f"cymbals: {measured['cymbals']}\nimplicit: {measured['implicit']}")


def _searches(model, train, users, args) -> dict[str, Callable[[], tuple]]:
    import faiss

    y, x = model.item_factors_, np.ascontiguousarray(model.user_factors_[users])
    faiss.omp_set_num_threads(args.threads)
    index = faiss.IndexFlatIP(y.shape[1])
    index.add(y)
    reference = peers.implicit_model(model, args.threads)
    seen = peers.matrix(train)[users]

    def flat() -> tuple:
        scores, ids = index.search(x, args.k)
        return ids, scores

    return {
        "cymbals": lambda: model.recommend(users, n=args.k, n_threads=args.threads),
        "implicit": lambda: reference.recommend(users, seen, N=args.k),
        "cymbals, nothing left out": lambda: model.recommend(users, n=args.k, exclude_seen=False, n_threads=args.threads),
        "faiss": flat,
    }


def _metrics(model, train, test, users, args) -> dict[str, Callable[[], object]]:
    from implicit.evaluation import ranking_metrics_at_k

    reference = peers.implicit_model(model, args.threads)
    keep = np.zeros(train.shape[0], bool)
    keep[users] = True
    seen, held_out = (_rows_kept(peers.matrix(part), keep) for part in (train, test))
    return {
        "cymbals": lambda: cymbals.evaluate(model, train, test, k=(5, 10, 20), users=users, n_threads=args.threads),
        "implicit": lambda: ranking_metrics_at_k(
            reference, seen, held_out, K=10, show_progress=False, num_threads=args.threads
        ),
    }


def _rows_kept(matrix: sp.csr_matrix, keep: np.ndarray) -> sp.csr_matrix:
    """`matrix` without the entries of the rows that are not in `keep`."""
    kept = np.repeat(keep, np.diff(matrix.indptr))
    indptr = np.concatenate([[0], np.cumsum(np.diff(matrix.indptr) * keep)]).astype(np.int32)
    return sp.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def _race(what: str, systems: dict[str, Callable], rounds: int) -> dict[str, object]:
    """Time the systems in turn, print ratios to the first system in the same round, and return the results by name."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    results = {name: run() for name, run in systems.items()}  # a warm-up, which is not timed
    for _ in range(rounds):
        for name, run in systems.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    print(f"\n{what:<28}{'median s':>9}{'min':>8}{'max':>8}{'ratio':>7}")
    first = next(iter(systems))
    for name, took in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(took, seconds[first], strict=True))
        print(f"{name:<28}{statistics.median(took):9.3f}{min(took):8.3f}{max(took):8.3f}{ratio:7.2f}", flush=True)
    return results


def _same(name: str, ours: tuple, theirs: tuple) -> None:
    (ids, scores), (other_ids, other_scores) = ours, theirs
    apart = np.abs(scores - other_scores) / np.abs(scores)
    assert apart.max() <= 1e-5, f"{name}: scores differ by {apart.max():.1e}"
    # Ids may differ only where another item has the same score. At the last place, this other item can be missing from
    # the list.
    differing = np.argwhere(ids != other_ids)
    print(f"same as {name}: scores within {apart.max():.1e}, {len(differing)} of {ids.size} ids differ", end="")
    for row, place in differing:
        near = np.abs(scores[row] - scores[row, place]) <= 1e-5 * abs(scores[row, place])
        assert near.sum() > 1 or place == ids.shape[1] - 1, f"{name}: row {row}, place {place}"
    print(", each between equal scores")


if __name__ == "__main__":
    main()
