"""How the ranking changes with each setting, on two real data sets. Writes the figures of the page "Choose settings".

    python benchmarks/curves.py -o docs/curves.json

Every model is `ALS.auto` with one or two settings changed. It is fitted to nine tenths of the train entries and scored on
the other tenth, by NDCG@10 and AUC: means over three seeds of the model and of the cut. The test parts are not read.

The values of `unobserved_weight` and `regularization` are multiples of the number that the rule for "auto" chooses. The
curve "regularization fits" has, for each `unobserved_weight`, the regularization that the rule chooses for it. The curve
"regularization fixed" has the one that the rule chooses for the multiple 1.

Data: gowalla and hetrec_lastfm2k in $CYMBALS_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import scipy.sparse as sp
from machine import machine

import cymbals

DATA = Path(os.environ.get("CYMBALS_DATA", "../shared/data"))
SETS = {"HetRec Last.fm": "hetrec_lastfm2k", "Gowalla": "gowalla"}
RANKS = (8, 16, 32, 64, 128, 256, 512)
MULTIPLES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32)
ITERATIONS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
SOLVERS = {  # the label of a curve -> its settings
    "1 step": {"cg_steps": 1},
    "2 steps": {"cg_steps": 2},
    "3 steps": {"cg_steps": 3},
    'solver "auto"': {"solver": "auto"},
}
NUS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
ALPHAS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
CONFIDENCES = ("linear", "log", "binary")
SEEDS = range(3)

Parts = list[tuple[cymbals.Interactions, cymbals.Interactions]]  # what is fitted and what is scored, for each seed
Curve = list[dict[str, float]]


def cuts(folder: str) -> Parts:
    """The train part of a set, cut once for each seed."""
    if folder == "hetrec_lastfm2k":
        train, _ = cymbals.split.random(cymbals.datasets.load(DATA / folder), 0.1, seed=0)
    else:
        train = cymbals.Interactions.from_csr(sp.load_npz(DATA / folder / "train.npz"))
    return [cymbals.split.random(train, 0.1, seed=seed) for seed in SEEDS]


def scored(parts: Parts, **settings: Any) -> dict[str, float]:
    """The mean metrics of a model with some settings."""
    found = []
    for seed, (fitted, held_out) in enumerate(parts):
        model = cymbals.ALS.auto(random_state=seed, **settings).fit(fitted)
        found.append(cymbals.evaluate(model, fitted, held_out, k=10))
    return {name: round(statistics.mean(metrics[name] for metrics in found), 5) for name in ("ndcg@10", "auc")}


def curve(parts: Parts, name: str, values: Iterable[float], **fixed: Any) -> Curve:
    """The metrics for each value of one setting."""
    return [{name: value} | scored(parts, **fixed, **{name: value}) for value in values]


def around_the_rule(parts: Parts) -> dict[str, dict[str, Curve]]:
    """Curves of the two numbers that the rule chooses."""
    report = cymbals.ALS.auto(factors=4, iterations=1, random_state=0).fit(parts[0][0]).report_
    weight, strength = float(report["unobserved_weight"]), float(report["regularization"])

    def multiples(name: str, number: float, **fixed: float) -> Curve:
        points = curve(parts, name, [number * times for times in MULTIPLES], **fixed)
        return [point | {name: times} for point, times in zip(points, MULTIPLES, strict=True)]

    return {
        "unobserved_weight": {
            "regularization fits": multiples("unobserved_weight", weight),
            "regularization fixed": multiples("unobserved_weight", weight, regularization=strength),
        },
        "regularization": {"": multiples("regularization", strength)},
    }


def curves(parts: Parts) -> dict[str, dict[str, Curve]]:
    """All curves of a set: the setting -> the label of the curve -> its points."""
    hu = {"objective": "hu", "unobserved_weight": 1.0, "nu": 0.0}
    return {
        "factors": {"": curve(parts, "factors", RANKS)},
        **around_the_rule(parts),
        "iterations": {label: curve(parts, "iterations", ITERATIONS, **settings) for label, settings in SOLVERS.items()},
        "nu": {"": curve(parts, "nu", NUS)},
        "alpha": {label: curve(parts, "alpha", ALPHAS, confidence=label, **hu) for label in CONFIDENCES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON file to write")
    args = parser.parse_args()
    found = {}
    for title, folder in SETS.items():
        found[title] = curves(cuts(folder))
        for setting, lines in found[title].items():
            for label, points in lines.items():
                print(f"\n{title}, {setting} {label}")
                for point in points:
                    print("  " + "  ".join(f"{name} {value:.4g}" for name, value in point.items()), flush=True)
    args.output.write_text(json.dumps({"machine": machine(), "sets": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
