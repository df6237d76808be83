"""What a report says, section by section: sentences, tables and pictures made of what each step found. No layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .._core import version
from ..base.optional import frame
from ..base.threads import threads
from ..choose.search import SearchResult
from ..data.audioscrobbler import RawEvents
from ..data.ids import listed
from ..data.interactions import Interactions
from ..evaluation import validation
from ..evaluation.evaluate import Metrics
from ..model.als import ALS
from ..model.factor_model import FactorModel
from ..profiling.doctor import simd
from . import figures
from .describe import Description

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SHOWN = ("auc", "ndcg@10", "recall@10", "precision@10", "map@10", "mrr")
_SIMILAR_TO, _SIMILAR = 5, 5  # similar items: to how many, how many
_BIAS = {
    "coverage": "share of the catalogue that is recommended to anybody",
    "gini": "Gini coefficient of how often items are recommended",
    "audience": "mean users of a recommended item",
    "audience_train": "mean users of an item in the users' train rows",
    "top_percent": "share of recommendations in the most popular hundredth",
    "top_percent_train": "share of the users' train entries in it",
}


@dataclass
class Section:
    """A heading and what stands under it: sentences, and lists of tables (with captions) and pictures that go side by side
    where there is room."""

    key: str
    title: str
    parts: list[str | Sequence[tuple[str, pd.DataFrame] | Figure]] = field(default_factory=list)


def glance(description: Description, found: SearchResult, metrics: Mapping[str, Metrics], seconds: float) -> Section:
    """What somebody reads who reads nothing else."""
    data, als, popular = description.data, metrics["ALS"], metrics["popularity"]
    low, high = validation.interval(als, "auc")
    auc = (
        f"On what was held out, the chosen model puts a held-out item of a user before a random other one in "
        f"{als['auc']:.1%} of all cases (AUC; 95 % interval over users {low:.1%} to {high:.1%}), popularity alone in "
        f"{popular['auc']:.1%}."
    )
    if np.isnan(als["auc"]):
        auc = "AUC is undefined here: no user has a held-out item and another one left to rank it against."
    return Section(
        "glance",
        "At a glance",
        [
            f"{data.shape[0]:,} users, {data.shape[1]:,} items, {data.nnz:,} pairs of them. "
            f"Of {len(found.trials)} settings, {_settings(found.best_params_)} ranked best.",
            f"{auc} Its ten best hold {als['recall@10']:.1%} of the held-out items (recall@10), those of "
            f"popularity {popular['recall@10']:.1%}.",
            _verdict(validation.compare(als, popular, "ndcg@10")),
            f"All of it took {seconds:.1f} seconds.",
        ],
    )


def _verdict(found: validation.Comparison) -> str:
    """In words whether the model is worth having."""
    chance = max(found.p_value, found.p_rank)
    if chance < 0.01 and found.difference > 0:
        return "At the top of the list, too, it ranks better than popularity (NDCG@10), by more than chance would explain."
    if chance < 0.01:
        return "At the top of the list popularity ranks better (NDCG@10): search further, or recommend what is popular."
    return (
        "At the top of the list (NDCG@10) it cannot be told from popularity on so few users: search further, or ask more."
    )


def as_found(description: Description, data: Interactions | RawEvents) -> list[Section]:
    """The files' first lines, and what was rejected; nothing where the data came clean."""
    if not isinstance(data, RawEvents):
        return []
    t = description.tables
    section = Section("data", "The data as found")
    section.parts.append(
        f"{len(data.play_rows):,} lines of plays, {len(data.artist_names):,} names of artists, "
        f"{len(data.alias_rows):,} aliases. "
        "The first lines of each file:"
    )
    section.parts.append([(name, t[name]) for name in ("plays, as found", "artists, as found", "aliases, as found")])
    rejected = t["lines rejected"]
    section.parts.append([("lines rejected", rejected)] if len(rejected) else "No line was rejected.")
    return [section]


def cleaning(description: Description, data: Interactions | RawEvents) -> Section:
    """Before and after, and that each pair stands once."""
    section = Section("cleaning", "Cleaning")
    facts, csr = description.tables["overview"], description.data.csr
    tables = [("overview", facts.assign(what=facts["what"].str.replace("_", " ")))]
    if isinstance(data, RawEvents):
        section.parts.append(
            "Misspelled artists were replaced by what they finally stand for, through chains of aliases, and the plays of "
            "pairs of user and artist that then stood more than once were added up."
        )
        tables.insert(0, ("before and after cleaning", description.tables["before and after cleaning"]))
    again = int(np.sum((np.diff(csr.row_numbers()) == 0) & (np.diff(csr.indices) == 0)))
    section.parts.append(f"Pairs of user and item that stand more than once now: {again}.")
    section.parts.append(tables)
    return section


def activity(description: Description, pictures: Mapping[str, Figure]) -> Section:
    """Percentiles and distributions of users and items."""
    t = description.tables
    return Section(
        "activity",
        "Activity and popularity",
        [
            "How much there is of each user and of each item: on log axes, since both can run over orders of magnitude. "
            "The dotted lines are percentiles.",
            [("activity", t["activity"])],
            [pictures["activity"], pictures["curiosity"]],
            [("popularity", t["popularity"])],
            [pictures["popularity"], pictures["audience"]],
        ],
    )


def top_lists(description: Description, pictures: Mapping[str, Figure]) -> Section:
    """The top lists, each beside its picture."""
    section = Section("top", "Top lists")
    for name, table in description.tables.items():
        if name.startswith("top "):
            section.parts.append([(name, table), pictures[name]])
    return section


def searched(found: SearchResult, metric: str, scored: int, n_users: int) -> Section:
    """All settings, best first."""
    who = "all users" if scored >= n_users else f"{scored:,} users drawn once"
    names = list(found.trials[0].params)
    return Section(
        "search",
        "Search",
        [
            f"Each setting was fitted on nine tenths of the train part and scored on its last tenth, for {who}; "
            f"{metric} decides. The test part played no role.",
            [("settings, best first", _columns(found.table, [*names, "score", "auc", "recall@10", "seconds", "status"]))],
            [figures.trials(found.table, names, metric)] if names else "Nothing was left to choose.",
        ],
    )


def chosen(model: ALS) -> Section:
    """The model and its loss."""
    seconds = sum(entry["seconds"] for entry in model.history_)
    table = frame(model.history_)
    return Section(
        "model",
        "The chosen model",
        [
            f"{model!r}, fitted on the whole train part in {seconds:.2f} seconds.",
            [("loss after each iteration", table), figures.history(model.history_)],
        ],
    )


def validated(
    contenders: Mapping[str, FactorModel],
    metrics: Mapping[str, Metrics],
    train: Interactions,
    test: Interactions,
    users: Any,
    seed: int,
    n_threads: int | None,
) -> Section:
    """Ranking of what was held out, beside baselines; AUC exact and sampled; how far it keeps to what is popular."""
    als, rows = metrics["ALS"], []
    for name in (*_SHOWN, *(error for error in ("rmse", "mae") if error in als)):
        low, high = validation.interval(als, name, seed=seed) if name in _SHOWN else (np.nan, np.nan)
        row = {"metric": name} | {model: m.get(name, np.nan) for model, m in metrics.items()}
        rows.append(row | {"ALS, 95 % from": low, "to": high})
    section = Section(
        "validation",
        "Validation",
        [
            f"{test.nnz:,} of {train.nnz + test.nnz:,} entries, drawn at random, were held out; {als.n_users:,} users with "
            "any are scored. For each of them, all items that are not in train compete. Intervals: bootstrap over users.",
            [("ranking of held-out items", frame(rows))],
            [figures.distribution(als.per_user["auc"], "AUC of a user", "AUC of the chosen model")],
        ],
    )
    compared = [validation.compare(als, metrics["popularity"], metric, seed=seed) for metric in ("auc", "ndcg@10")]
    paired = [
        {"metric": c.metric, "difference": c.difference, "95 % from": c.low, "to": c.high, "p, t test": c.p_value}
        | {"p, signed ranks": c.p_rank, "better for": c.better, "equal for": c.equal, "worse for": c.worse}
        for c in compared
    ]
    section.parts.append([("ALS less popularity, paired over users", frame(paired))])
    model = contenders["ALS"]
    drawn = [("exact, all others compete", als["auc"])]
    of_whom = model.users_.rows("users", users)
    for kind, text in (
        ("unseen", "one drawn from items neither in train nor in test"),
        ("catalogue", "one drawn from all items not in test"),
        ("train", "one drawn from the user's train items (course)"),
    ):
        estimate = validation.sampled_auc(model, train, test, kind, seed=seed)[of_whom]
        drawn.append((text, float(np.nanmean(estimate)) if np.any(~np.isnan(estimate)) else float("nan")))
    section.parts += [
        "AUC asks how often a held-out item ranks above another. Drawing one other for each estimates the exact figure, "
        "if it is drawn from items the user has neither in train nor in test. Drawn from the user's train items, as the "
        "course does, it measures something else: the model was fitted to rank those high, so held-out items lose to them.",
        [("AUC, exact and sampled", frame([{"others": t, "AUC": v} for t, v in drawn]))],
    ]
    bias = {name: validation.popularity_bias(m, train, 10, users, n_threads) for name, m in contenders.items()}
    table = [{"figure": _BIAS[key]} | {name: found[key] for name, found in bias.items()} for key in _BIAS]
    section.parts += [
        "What everybody has is easy to recommend. These figures say how far ten recommendations a user keep to it:",
        [("popularity of ten recommendations for each user", frame(table))],
    ]
    return section


def recommendations(model: ALS, train: Interactions, listeners: Any) -> Section:
    """What a few users like, and what they get."""
    section = Section("recommendations", "Recommendations")
    how, what = ("rated best", "rating") if model.predicts_values else ("most played", "plays")
    active = np.flatnonzero(np.diff(train.csr.indptr))
    if listeners is None:
        by_length = active[np.argsort(np.diff(train.csr.indptr)[active], kind="stable")]
        rows = by_length[[-1 - len(by_length) // 100, len(by_length) // 2, len(by_length) // 20]]
        listeners = train.users.of(np.array(list(dict.fromkeys(rows.tolist()))))
    for user, ids, scores in zip(listed(listeners), *model.recommend(listed(listeners), 10), strict=True):
        items, values = train.csr.row(int(model.users_.rows("listeners", [user])[0]))
        most = np.argsort(-values, kind="stable")[:5]
        section.parts.append(f"User {user}, who has {items.size:,} items in train.")
        largest = _named(model, train.items.of(items[most]), values[most], what)
        recommended = _named(model, ids, scores, "score")
        section.parts.append([(f"{how} by user {user}", largest), (f"recommended to user {user}", recommended)])
    return section


def similar_items(model: ALS, train: Interactions) -> Section:
    """What is like the most popular items."""
    section = Section("similar", "Similar items")
    section.parts.append("Items whose factors point the same way (cosine), for those with the largest audience.")
    section.parts.append(
        [
            (f"like {model.name_of(item)}", _named(model, *model.similar_items(item, _SIMILAR), "cosine"))
            for item in model.popular(min(_SIMILAR_TO, train.shape[1]))[0].tolist()
        ]
    )
    return section


def newcomer(model: ALS, train: Interactions) -> Section:
    """Somebody with a single item."""
    item = model.popular(1)[0].tolist()[0]
    value = float(train.csr.data.max()) if model.predicts_values else 1.0
    row = sp.csr_array(([value], ([0], model.items_.rows("item", [item]))), shape=(1, train.shape[1]))
    ids, scores = model.recommend(rows=row, n=10)
    return Section(
        "newcomer",
        "A newcomer with one item",
        [
            f"Somebody the model has not seen, who has {model.name_of(item)} alone, with the value {value:g}: folded in, "
            "not fitted again.",
            [("recommended to a newcomer", _named(model, ids[0], scores[0], "score"))],
        ],
    )


def made(steps: list[dict[str, Any]], seed: int, fixed: dict[str, Any]) -> Section:
    """Settings, and what each step cost."""
    given = _settings(fixed) or "nothing"
    return Section(
        "made",
        "How this was made",
        [
            f"cymbals {version()}, {threads()} threads, {simd()} kernels; seed {seed}; given for all settings: {given}.",
            [("steps", frame(steps))],
        ],
    )


# -- parts -----------------------------------------------------------------------------------------------------------


def _named(model: ALS, ids: Any, values: Any, what: str) -> pd.DataFrame:
    """Items with names, best first; places that could not be filled are left out."""
    kept = np.asarray(values) > -np.inf
    ranks = {"rank": np.arange(1, np.sum(kept) + 1), "item": ids[kept]}
    names = {} if model.item_names_ is None else {"name": [model.name_of(i) for i in ids[kept].tolist()]}
    return frame(ranks | names | {what: values[kept]})


def _columns(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return table[[name for name in dict.fromkeys(names) if name in table]]


def _settings(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in params.items() if v is not None)
