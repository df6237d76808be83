"""Ratings with biases: RMSE on held-out entries beside seconds, against cmfrec and against what is possible at all.

    python benchmarks/explicit.py

Data: generated. A rating is mu + b_u + b_i + x_u.y_i + noise, with mu 3.5, biases N(0, 0.5^2) on both sides, 8 factors
whose products have the sigma 0.7 together, noise N(0, 0.8^2); about 100 ratings a user, of items drawn evenly. A random
tenth is held out.

What is possible: "truth" is the model that made the data, its RMSE the noise. The oracle solves each user by ridge
regression of his ratings in train, less mu and the items' true biases, on the items' true factors and a 1, the ridge being
the best there is, variance of the noise over that of the true factor or bias; and each item likewise against the true
users. "oracle" scores these users with these items: each side solved as well as its ratings allow had the other been known.
"oracle users" scores such users with the true items, "oracle items" such items with the true users: these have no error
from the other side, which no fit escapes.

Each system's lambda is the best on a tenth of train that is held out for it, once as it is ("plain") and once times a row's
entries ("scaled": nu=1, scale_lam=True). What stands in the table is fitted on all of train. Systems take turns; seconds
are the median of the rounds, each of a whole fit.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import peers  # noqa: F401  before cmfrec loads OpenBLAS: one thread of it
import scipy.sparse as sp

import cymbals

RANK, MEAN, NOISE = 8, 3.5, 0.8
SIGMA = np.sqrt([0.7 / np.sqrt(RANK)] * RANK + [0.5**2])  # of each factor, so that x.y has 0.7, and of a bias
ITERATIONS = 15
LAMBDAS = {"plain": (2.0, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0, 8.0), "scaled": (0.01, 0.02, 0.03, 0.035, 0.04, 0.045, 0.05, 0.07)}

Side = np.ndarray  # [factors, bias] of users or of items, shape (n, RANK + 1)
Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ratings(n_users: int, n_items: int, per_user: int, seed: int) -> tuple[sp.csr_array, Side, Side]:
    """The matrix and the users and items that made it."""
    rng = np.random.default_rng(seed)
    users, items = (SIGMA * rng.standard_normal((n, RANK + 1)) for n in (n_users, n_items))
    rated = rng.random((n_users, n_items)) < per_user / n_items
    u, i = np.nonzero(rated)
    values = score(users, items, u, i) + NOISE * rng.standard_normal(u.size)
    return sp.csr_array((values.astype(np.float32), (u, i)), shape=rated.shape), users, items


def score(users: Side, items: Side, u: np.ndarray, i: np.ndarray) -> np.ndarray:
    """mu + b_u + b_i + x_u.y_i of pairs."""
    return MEAN + users[u, -1] + items[i, -1] + np.einsum("ij,ij->i", users[u, :-1], items[i, :-1])


def oracle(train: sp.csr_array, fixed: Side) -> Side:
    """The rows of train solved against the other side as it truly is."""
    ridge = np.diag(NOISE**2 / SIGMA**2)
    ones = np.column_stack([fixed[:, :-1], np.ones(len(fixed))])
    out = np.zeros((train.shape[0], RANK + 1))
    for row in range(train.shape[0]):
        part = slice(train.indptr[row], train.indptr[row + 1])
        own = ones[train.indices[part]]
        targets = train.data[part] - MEAN - fixed[train.indices[part], -1]
        out[row] = np.linalg.solve(own.T @ own + ridge, own.T @ targets)
    return out


def rmse(predict: Predict, held_out: sp.csr_array) -> float:
    coo = held_out.tocoo()
    return float(np.sqrt(np.mean((predict(*coo.coords).astype(np.float64) - coo.data) ** 2)))


def _cymbals(train: Any, regularization: float, scaling: str, **settings: Any) -> Predict:
    model = cymbals.ALS(
        factors=RANK, objective="explicit", biases=True, regularization=regularization, nu=float(scaling == "scaled"),
        iterations=ITERATIONS, random_state=0, **settings,
    )  # fmt: skip
    return model.fit(train).predict


def _cmfrec(train: Any, regularization: float, scaling: str, *, n_threads: int, **settings: Any) -> Predict:
    from cmfrec import CMF

    model = CMF(
        k=RANK, lambda_=regularization, scale_lam=scaling == "scaled", niter=ITERATIONS, use_float=True,
        precompute_for_predictions=False, nthreads=n_threads, **settings,
    )  # fmt: skip
    model.fit(train)
    return model.predict


def systems(n_threads: int) -> dict[str, Callable[[Any, float, str], Predict]]:
    """Each a function from a train part in its own format, a lambda and its scaling to a fitted model's predictions."""
    return {
        "cymbals auto": lambda *how: _cymbals(*how, solver="auto", n_threads=n_threads),
        "cymbals exact": lambda *how: _cymbals(*how, solver="exact", n_threads=n_threads),
        "cmfrec cg": lambda *how: _cmfrec(*how, use_cg=True, n_threads=n_threads),
        "cmfrec cholesky": lambda *how: _cmfrec(*how, use_cg=False, n_threads=n_threads),
    }


def prepared(name: str, part: sp.csr_array) -> Any:
    """What a system takes without converting it."""
    return cymbals.Interactions.from_csr(part) if name.startswith("cymbals") else sp.coo_matrix(part)


def tuned(name: str, fit: Callable[..., Predict], train: sp.csr_array) -> list[tuple[float, str]]:
    """The best lambda of each scaling, found on a tenth of train."""
    fitted, validation = cymbals.split.random(train, 0.1, seed=1)
    data, best = prepared(name, fitted), []
    for scaling, values in LAMBDAS.items():
        found = {value: rmse(fit(data, value, scaling), validation) for value in values}
        best.append((min(found, key=found.get), scaling))
        print(
            f"  {name:16} {scaling:7}" + "".join(f"  {value:g}: {error:.5f}" for value, error in found.items()), flush=True
        )
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--ratings", type=int, default=100, help="of a user, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=cymbals.threads())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    matrix, users, items = ratings(args.users, args.items, args.ratings, args.seed)
    train, held_out = cymbals.split.random(matrix, 0.1, seed=args.seed)
    print(f"{matrix.shape[0]:,} x {matrix.shape[1]:,}, {matrix.nnz:,} ratings; {args.threads} threads, {cymbals.simd()}")
    print("RMSE on a tenth of train by lambda:")
    fits = systems(args.threads)
    runs = [(name, *best) for name, fit in fits.items() for best in tuned(name, fit, train)]

    data = {name: prepared(name, train) for name in fits}
    seconds: dict[Any, list[float]] = {run: [] for run in runs}
    errors: dict[Any, float] = {}
    for _ in range(args.rounds):
        for run in runs:
            name, regularization, scaling = run
            started = time.perf_counter()
            predict = fits[name](data[name], regularization, scaling)
            seconds[run].append(time.perf_counter() - started)
            errors[run] = rmse(predict, held_out)

    solved_users, solved_items = oracle(train, items), oracle(sp.csr_array(train.T), users)
    possible = {"truth": (users, items), "oracle users": (solved_users, items), "oracle items": (users, solved_items)}
    possible["oracle"] = (solved_users, solved_items)
    limits = {name: rmse(functools.partial(score, *sides), held_out) for name, sides in possible.items()}
    print(f"{'on held-out entries':32}     RMSE  of oracle  of oracle users  seconds")

    def line(label: str, error: float, seconds: str = "") -> None:
        ratios = f"{error / limits['oracle']:9.4f}  {error / limits['oracle users']:15.4f}"
        print(f"{label:32}  {error:.5f}  {ratios}  {seconds:>7}".rstrip())

    for name, error in limits.items():
        line(name, error)
    for run in runs:
        name, regularization, scaling = run
        line(f"{name}, {scaling} {regularization:g}", errors[run], f"{statistics.median(seconds[run]):.3f}")


if __name__ == "__main__":
    main()
