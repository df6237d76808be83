"""cymbals and implicit in turn on the same input from the same start: seconds and loss of every iteration.

    python benchmarks/compare.py --shape dense --factors 128

Both minimise Hu, Koren and Volinsky's objective: implicit is given 1 + r with alpha 1, cymbals r. A round is a fit of
each; seconds are the half-steps alone, as each library reports them; the loss is computed by one function for both.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # implicit is fastest so, and asks for it

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from shapes import SHAPES, generate

import cymbals
from cymbals import solver
from cymbals.objective import Objective

REGULARIZATION = 0.05
Report = Callable[[int, float, np.ndarray, np.ndarray], None]


def run_cymbals(data, start, iterations, n_threads, how, report: Report) -> None:
    model = cymbals.ALS(
        factors=start[0].shape[1], regularization=REGULARIZATION, iterations=iterations, n_threads=n_threads, solver=how
    )

    def callback(m, iteration):
        report(iteration, m.history_[-1]["seconds"], m.user_factors_, m.item_factors_)

    model.fit(data, init=start, callback=callback)


def run_implicit(data, start, iterations, n_threads, how, report: Report) -> None:
    csr = data.csr
    confidence = sp.csr_matrix((csr.data + 1, csr.indices.copy(), csr.indptr.astype(np.int32)), shape=csr.shape)
    model = AlternatingLeastSquares(
        factors=start[0].shape[1],
        regularization=REGULARIZATION,
        alpha=1.0,
        iterations=iterations,
        num_threads=n_threads,
        use_cg=how != "exact",
    )
    model.user_factors, model.item_factors = start[0].copy(), start[1].copy()

    def callback(iteration, seconds, _loss):
        report(iteration + 1, seconds, model.user_factors, model.item_factors)

    model.fit(confidence, show_progress=False, callback=callback)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="dense")
    parser.add_argument("--scale", type=float, default=1.0, help="a smaller cut of the shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    parser.add_argument("--solver", choices=("auto", "cg", "exact"), default="auto", help="'exact': implicit's Cholesky")
    args = parser.parse_args()

    data = generate(args.shape, args.scale)
    print(f"{args.shape}: {data!r}; f {args.factors}, {args.threads} threads, cymbals on {cymbals.simd()}", flush=True)
    rng = np.random.default_rng(1)
    start = tuple(
        (rng.standard_normal((n, args.factors)) * 0.1 / np.sqrt(args.factors)).astype(np.float32) for n in data.shape
    )
    objective = Objective.checked(
        objective="hu",
        alpha=1.0,
        unobserved_weight=1.0,
        confidence="linear",
        regularization=REGULARIZATION,
        nu=0.0,
    )
    seconds: dict[tuple[str, int], list[float]] = {}
    losses: dict[tuple[str, int], float] = {}
    for round_ in range(args.rounds):
        for name, run in (("cymbals", run_cymbals), ("implicit", run_implicit)):

            def report(iteration, elapsed, x, y, name=name, first=round_ == 0):
                seconds.setdefault((name, iteration), []).append(elapsed)
                if first:
                    losses[name, iteration] = solver.loss(data.csr, x, y, objective, data.by_item().indptr, args.threads)

            run(data, start, args.iterations, args.threads, args.solver, report)
        print(f"round {round_ + 1} of {args.rounds} done", flush=True)

    print(
        f"\n{'iteration':>9} {'cymbals s':>10} {'(min-max)':>13} {'implicit s':>10} {'(min-max)':>13} {'ratio':>6}",
        end="",
    )
    print(f" {'cymbals loss':>13} {'implicit loss':>14}")
    for i in range(1, args.iterations + 1):
        ours, theirs = seconds["cymbals", i], seconds["implicit", i]
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        print(f"{i:9} {_spread(ours)} {_spread(theirs)} {ratio:6.2f}", end="")
        print(f" {losses['cymbals', i]:13.8f} {losses['implicit', i]:14.8f}")
    total = [
        sum(seconds["implicit", i][r] for i in range(1, args.iterations + 1))
        / sum(seconds["cymbals", i][r] for i in range(1, args.iterations + 1))
        for r in range(args.rounds)
    ]
    lower = all(losses["cymbals", i] <= losses["implicit", i] for i in range(1, args.iterations + 1))
    print(
        f"\nper iteration, median of {args.rounds} rounds: {statistics.median(total):.2f} times implicit's speed; ",
        end="",
    )
    print(f"loss {'equal or lower' if lower else 'NOT always equal or lower'} after every iteration")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):10.3f} {f'{min(values):.2f}-{max(values):.2f}':>13}"


if __name__ == "__main__":
    main()
