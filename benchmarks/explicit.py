"""Fits ratings with biases, and compares RMSE and seconds with cmfrec, and RMSE with the best that is possible.

    python benchmarks/explicit.py

Data: generated. A rating is mu + b_u + b_i + x_u.y_i + noise. mu is 3.5; biases of both sides are N(0, 0.5^2); x_u.y_i has
8 factors and the standard deviation 0.7; the noise is N(0, 0.8^2). Each user has about 100 ratings, of items drawn
uniformly. A random tenth is held out.

Limits of the RMSE, computed from the true model:

* "truth": the true model that generated the data. Its RMSE is the noise.
* "oracle users": each user is solved by ridge regression against the true items, and scored with the true items. The
  target is the user's ratings in train minus mu and the items' true biases. The regressors are the items' true factors and
  a 1. The ridge is the best possible: the variance of the noise divided by the variance of the true factor or bias.
* "oracle items": the same for items, against the true users.
* "oracle": the solved users scored with the solved items. It includes the errors of both sides, as every fit does.

The lambda of each system is the best on a tenth of train that is held out for this. It is tuned twice: "plain", and
"scaled", where lambda is multiplied by the number of entries of a row (nu=1, scale_lam=True). The models in the table are
fitted on all of train. Systems take turns. Seconds are the median over the rounds, each of a whole fit.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import peers  # noqa: F401  (imported before cmfrec: it limits OpenBLAS to one thread)
import scipy.sparse as sp

import cymbals

RANK, MEAN, NOISE = 8, 3.5, 0.8
# The standard deviation of each factor, and last that of the bias. With these factors, x.y has the standard deviation 0.7.
SIGMA = np.sqrt([0.7 / np.sqrt(RANK)] * RANK + [0.5**2])
ITERATIONS = 15
LAMBDAS = {"plain": (2.0, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0, 8.0), "scaled": (0.01, 0.02, 0.03, 0.035, 0.04, 0.045, 0.05, 0.07)}

Side = np.ndarray  # [factors, bias] of users or of items, shape (n, RANK + 1)
Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ratings(n_users: int, n_items: int, per_user: int, seed: int) -> tuple[sp.csr_array, Side, Side]:
    """Generate ratings. Returns the matrix, the true users and the true items."""
    rng = np.random.default_rng(seed)
    users, items = (SIGMA * rng.standard_normal((n, RANK + 1)) for n in (n_users, n_items))
    rated = rng.random((n_users, n_items)) < per_user / n_items
    u, i = np.nonzero(rated)
    values = score(users, items, u, i) + NOISE * rng.standard_normal(u.size)
    return sp.csr_array((values.astype(np.float32), (u, i)), shape=rated.shape), users, items


def score(users: Side, items: Side, u: np.ndarray, i: np.ndarray) -> np.ndarray:
    """The ratings mu + b_u + b_i + x_u.y_i of pairs, without noise."""
    return MEAN + users[u, -1] + items[i, -1] + np.einsum("ij,ij->i", users[u, :-1], items[i, :-1])


def oracle(train: sp.csr_array, fixed: Side) -> Side:
    """Solve the rows of train against the true factors of the other side."""
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
    """The systems by name. Each is a function of a train part, a lambda and its scaling, and returns a predict function."""
    return {
        "cymbals auto": lambda *args: _cymbals(*args, solver="auto", n_threads=n_threads),
        "cymbals exact": lambda *args: _cymbals(*args, solver="exact", n_threads=n_threads),
        "cmfrec cg": lambda *args: _cmfrec(*args, use_cg=True, n_threads=n_threads),
        "cmfrec cholesky": lambda *args: _cmfrec(*args, use_cg=False, n_threads=n_threads),
    }


def prepared(name: str, part: sp.csr_array) -> Any:
    """`part` in the format that a system uses without conversion."""
    return cymbals.Interactions.from_csr(part) if name.startswith("cymbals") else sp.coo_matrix(part)


def tuned(name: str, fit: Callable[..., Predict], train: sp.csr_array) -> list[tuple[float, str]]:
    """Find the best lambda of each scaling, on a tenth of train."""
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
    parser.add_argument("--ratings", type=int, default=100, help="average number for each user")
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
