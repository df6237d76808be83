"""Fits the coefficients of the rule for "auto" settings (`cymbals.solve.rule`), and tries them on sets it did not see.

    python benchmarks/rule.py --cache rule.json      # some 20 minutes; run again, it reads the scores from the cache

Every set gives one matrix or more. For each matrix, a grid of the rule's two numbers is fitted on nine tenths of the train
entries (256 factors, 10 iterations of plain least squares, confidence "log" with a mean of 1) and scored by NDCG@20 on the
tenth, for at most 4,000 users. The test parts are not read.

The rule says that the logarithms of both numbers are linear in the logarithm of the density. The coefficients have the
smallest mean loss of NDCG over all sets, relative to the best cell of each grid. The matrices of one set share its weight.
The loss of a point is the mean over nine points around it, a factor of 1.5 away, so that the rule does not depend on a
lucky cell. Prints the coefficients of all sets, and for each set those of the others with the loss on it.

Sets that were thinned out at random are no use here: most of their cells without an entry are missing data.

Data: gowalla, movielens1m_m1, amazon_electronics_m1 and hetrec_lastfm2k in $CYMBALS_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from machine import machine
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import minimize

import cymbals

DATA = Path(os.environ.get("CYMBALS_DATA", "../shared/data"))
WEIGHTS, STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
SETS = {  # the matrices of each set
    "gowalla": ("gowalla",),
    "movielens1m_m1": ("movielens1m_m1",),
    "amazon_electronics_m1": ("amazon_electronics_m1",),
    "hetrec_lastfm2k": ("hetrec_lastfm2k", "hetrec_lastfm2k, tags of users", "hetrec_lastfm2k, tags of artists"),
}


def matrix(name: str) -> cymbals.Interactions:
    """The train entries of one matrix."""
    folder, _, part = name.partition(", ")
    if folder != "hetrec_lastfm2k":
        return cymbals.Interactions.from_csr(sp.load_npz(DATA / folder / "train.npz"))
    if not part:
        return cymbals.split.random(cymbals.datasets.load(DATA / folder), 0.1, seed=0)[0]
    tags = pd.read_csv(DATA / folder / "user_taggedartists.dat", sep="\t")
    rows = tags["userID" if part == "tags of users" else "artistID"].to_numpy()
    return cymbals.Interactions.from_arrays(rows, tags["tagID"].to_numpy(), np.ones(len(tags), np.float32))


def grid(name: str) -> dict[str, object]:
    """The density of a matrix, and NDCG@20 for each pair of WEIGHTS x STRENGTHS."""
    fitted, held_out = cymbals.split.random(matrix(name), 0.1, seed=0)
    n_users, n_items = fitted.shape
    users = fitted.users.drawn(4000, 0)
    alpha = 1 / float(np.log1p(fitted.csr.data.astype(np.float64)).mean())
    scores = []
    for weight, strength in itertools.product(WEIGHTS, STRENGTHS):
        model = cymbals.ALS(
            256,
            regularization=strength / (weight * (n_users * n_items) ** 0.5),
            unobserved_weight=weight,
            alpha=alpha,
            objective="ials",
            confidence="log",
            nu=1.0,
            iterations=10,
            relaxation=1.0,
            random_state=0,
        ).fit(fitted)
        scores.append(cymbals.evaluate(model, fitted, held_out, k=20, users=users)["ndcg@20"])
        print(f"  {name}: weight {weight:g}, strength {strength:g}: {scores[-1]:.4f}", flush=True)
    return {"density": fitted.nnz / (n_users * n_items), "scores": scores}


class Loss:
    """The relative loss of NDCG on one matrix, as a function of log(weight) and log(strength)."""

    def __init__(self, found: dict) -> None:
        scores = np.reshape(found["scores"], (len(WEIGHTS), len(STRENGTHS)))
        self.density = found["density"]
        self.low = np.log([WEIGHTS[0], STRENGTHS[0]])
        self.high = np.log([WEIGHTS[-1], STRENGTHS[-1]])
        self.at = RectBivariateSpline(np.log(WEIGHTS), np.log(STRENGTHS), 1 - scores / scores.max())

    def of(self, coefficients: np.ndarray, around: float = 1.0) -> float:
        """The mean loss at the rule's point and at points a factor `around` away."""
        a, b, c, d = coefficients
        x = np.log(self.density / 0.01)
        steps = np.log([1 / around, 1.0, around]) if around > 1 else [0.0]
        points = np.array([(a + b * x + s, c + d * x + t) for s in steps for t in steps])
        beyond = np.abs(points - np.clip(points, self.low, self.high)).sum(axis=1)
        return float(np.mean(self.at(*np.clip(points, self.low, self.high).T, grid=False) + beyond))


def fitted(losses: dict[str, list[Loss]]) -> np.ndarray:
    """The coefficients with the smallest mean loss over the sets."""

    def mean(coefficients: np.ndarray) -> float:
        return float(np.mean([np.mean([loss.of(coefficients, 1.5) for loss in own]) for own in losses.values()]))

    starts = itertools.product(np.log([0.03, 0.1]), (0.0, 0.4), np.log([2.0, 5.0]), (0.0, 0.4))
    found = [minimize(mean, start, method="Nelder-Mead", options={"maxiter": 2000}) for start in starts]
    return min(found, key=lambda one: one.fun).x


def shown(coefficients: np.ndarray) -> str:
    a, b, c, d = coefficients
    return f"weight {np.exp(a):.4f} (density / .01)^{b:.3f}, strength {np.exp(c):.3f} (density / .01)^{d:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="a JSON file of scores, which is read and written")
    cache = parser.parse_args().cache
    print(machine())
    known = json.loads(cache.read_text()) if cache and cache.exists() else {}
    for name in itertools.chain.from_iterable(SETS.values()):
        if name not in known:
            known[name] = grid(name)
            if cache:
                cache.write_text(json.dumps(known))
    losses = {one: [Loss(known[name]) for name in names] for one, names in SETS.items()}
    print(f"all sets: {shown(every := fitted(losses))}")
    for one, own in losses.items():
        others = fitted({name: rest for name, rest in losses.items() if name != one})
        print(f"without {one}: {shown(others)}")
        for name, loss in zip(SETS[one], own, strict=True):
            print(f"  {name}, density {loss.density:.2g}: loses {loss.of(others):.1%}; with all sets {loss.of(every):.1%}")


if __name__ == "__main__":
    main()
