"""Two sections of a report: the summary at its top, and the validation, which shows how well the chosen model ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.optional import frame
from ..choose.result import SearchResult
from ..data.interactions import Interactions
from ..evaluation import validation
from ..evaluation.evaluate import Metrics
from ..model.factor_model import FactorModel
from . import figures
from .page import Picture, Row, Section, Table, Tile, percent, settings

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = ("auc", "ndcg@10", "recall@10", "precision@10", "map@10", "mrr")
_ERRORS = ("rmse", "mae")
_BIAS = {
    "coverage": "share of all items that are recommended to at least one user",
    "gini": "Gini coefficient of how often each item is recommended (0: all equally often)",
    "audience": "mean number of users of a recommended item",
    "audience_train": "mean number of users of an item that a user has in train",
    "top_percent": "share of recommendations from the most popular 1 % of items",
    "top_percent_train": "share of train entries from the most popular 1 % of items",
}
_OTHERS = {
    "unseen": "one drawn from the items neither in train nor in test",
    "catalogue": "one drawn from the items not in test",
    "train": "one drawn from the user's train items (some published notebooks)",
}


@dataclass(frozen=True)
class Validated:
    """Models and their metrics on one test part. The first model is "ALS"; "popularity" is among the others."""

    models: Mapping[str, FactorModel]
    metrics: Mapping[str, Metrics]
    train: Interactions
    test: Interactions
    users: Any
    seed: int
    n_threads: int | None


def glance(data: Interactions, found: SearchResult, metrics: Mapping[str, Metrics], seconds: float) -> Section:
    """The summary at the top of a report: size of the data, quality of the model, verdict."""
    als, popular = metrics["ALS"], metrics["popularity"]
    tiles = [Tile(name, f"{n:,}") for name, n in (("users", data.shape[0]), ("items", data.shape[1]), ("pairs", data.nnz))]
    sentences = [_verdict(validation.compare(als, popular, "ndcg@10"))]
    if np.isnan(als["auc"]):
        sentences.append("AUC is undefined here: no user has both a held-out item and another item to rank it against.")
    else:
        low, high = validation.interval(als, "auc")
        tiles.append(Tile("AUC", f"{als['auc']:.3f}", f"popularity {popular['auc']:.3f}"))
        sentences.append(
            f"The chosen model ranks a user's held-out item above a random other item in {percent(als['auc'])} of all "
            f"cases (AUC; 95 % interval over users {percent(low)} to {percent(high)}). Ranking by popularity does so in "
            f"{percent(popular['auc'])}."
        )
    if not np.isnan(als["recall@10"]):
        tiles.append(Tile("recall@10", percent(als["recall@10"]), f"popularity {percent(popular['recall@10'])}"))
        sentences.append(
            f"The model's ten best recommendations for a user hold {percent(als['recall@10'])} of that user's held-out "
            f"items (recall@10). For the ten most popular items that are new to the user, recall@10 is "
            f"{percent(popular['recall@10'])}."
        )
    best, tried = settings(found.best_trial_.params), len(found.trials)
    searched = f"Of {tried} settings tried, {best} ranked best. " if tried > 1 and best else ""
    sentences.append(f"{searched}All steps together took {seconds:.1f} seconds.")
    return Section("glance", "At a glance", [Row(tiles), *sentences])


def _verdict(found: validation.Comparison) -> str:
    """Says whether the model is better than recommending popular items."""
    chance = max(found.p_value, found.p_rank)
    if chance < 0.01 and found.difference > 0:
        return "The model ranks better than popularity at the top of the list (NDCG@10), by more than chance explains."
    if chance < 0.01:
        return (
            "Popularity ranks better than the model at the top of the list (NDCG@10). Search further, or recommend what is "
            "popular."
        )
    return (
        "These users are too few to tell whether the model or popularity ranks better at the top of the list (NDCG@10). "
        "Search further, or score more users."
    )


def validated(v: Validated) -> Section:
    """ALS compared with baselines on held-out items, exact and sampled AUC, and how popular the recommendations are."""
    als = v.metrics["ALS"]
    text = (
        f"{v.test.nnz:,} of {v.train.nnz + v.test.nnz:,} entries, drawn at random, were held out. "
        f"{als.n_users:,} users with held-out entries were scored. For each of these users, all items that are not in the "
        "user's train part were ranked. In the next table, the last two columns are a 95 % bootstrap confidence interval "
        "over users, for ALS."
    )
    parts: list[str | Row] = [text]
    ranking, paired, sampled = _ranking(v), _paired(v), _sampled(v)
    if len(ranking):
        parts.append(Row([Table("ranking of held-out items", ranking, by_row=True)], "one"))
    if len(paired):
        parts.append(Row([Table("ALS minus popularity, paired over users", paired)], "one"))
    per_user = als.per_user["auc"][~np.isnan(als.per_user["auc"])]
    if per_user.size:
        picture = figures.distribution(per_user, "AUC of a user", "AUC of the chosen model")
        above = percent(float(np.mean(per_user > 0.5)))
        caption = f"The model ranks better than chance (AUC 0.5) for {above} of these users."
        parts.append(Row([[_ON_SAMPLING, Table("AUC, exact and sampled", sampled)], Picture(picture, caption)]))
    parts.append(_ON_POPULARITY)
    parts.append(Row([Table("popularity of ten recommendations for each user", _popularity(v), by_row=True)], "one"))
    return Section("validation", "Validation", parts)


_ON_SAMPLING = (
    "AUC says how often a held-out item ranks above another item. The exact AUC compares it with all others. A quicker "
    "estimate compares it with one other item, drawn at random. The estimate is right if that item is in neither the "
    "user's train part nor the test part. Some published notebooks draw it from the user's train items. That measures "
    "something else: the model was fitted to rank those items high, so held-out items lose to them."
)
_ON_POPULARITY = (
    "Popular items are easy to recommend, but users often know them already. The table shows how much the ten "
    "recommendations for each user favour popular items."
)


def _ranking(v: Validated) -> pd.DataFrame:
    als, rows = v.metrics["ALS"], []
    for name in (*_SHOWN, *(error for error in _ERRORS if error in als)):
        if np.isnan(als[name]):
            continue
        row = {"metric": name} | {model: metrics.get(name, np.nan) for model, metrics in v.metrics.items()}
        low, high = validation.interval(als, name, seed=v.seed) if name in _SHOWN else (np.nan, np.nan)
        rows.append(row | {"95 % from": low, "to": high})
    return frame(rows)


def _paired(v: Validated) -> pd.DataFrame:
    als, popular = v.metrics["ALS"], v.metrics["popularity"]
    compared = [validation.compare(als, popular, metric, seed=v.seed) for metric in ("auc", "ndcg@10")]
    return frame(
        [
            {"metric": c.metric, "difference": c.difference, "95 % from": c.low, "to": c.high, "p, t test": c.p_value}
            | {"p, signed ranks": c.p_rank, "better for": c.better, "equal for": c.equal, "worse for": c.worse}
            for c in compared
            if not np.isnan(c.difference)
        ]
    )


def _sampled(v: Validated) -> pd.DataFrame:
    exact = v.metrics["ALS"]["auc"]
    if np.isnan(exact):
        return frame([])
    model, rows = v.models["ALS"], [{"others": "exact: all items that the user does not have", "AUC": exact}]
    of_whom = model.users_.rows("users", v.users)
    for kind, text in _OTHERS.items():
        estimate = validation.sampled_auc(model, v.train, v.test, kind, seed=v.seed)[of_whom]
        if np.any(~np.isnan(estimate)):
            rows.append({"others": text, "AUC": float(np.nanmean(estimate))})
    return frame(rows)


def _popularity(v: Validated) -> pd.DataFrame:
    bias = {name: validation.popularity_bias(m, v.train, 10, v.users, v.n_threads) for name, m in v.models.items()}
    return frame([{"measure": _BIAS[key]} | {name: found[key] for name, found in bias.items()} for key in _BIAS])
