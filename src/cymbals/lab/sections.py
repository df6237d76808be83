"""The sections of a report about the data, the search, the model and its recommendations, without the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .._core import version
from ..base.optional import frame
from ..base.threads import threads
from ..choose.result import SearchResult
from ..data.audioscrobbler import RawEvents
from ..data.ids import listed
from ..data.interactions import Interactions
from ..model.als import ALS
from ..profiling.doctor import simd
from ..solve.rule import AUTOMATIC
from . import figures
from .describe import Description
from .page import Picture, Row, Section, Table, setting, settings, three_digits

if TYPE_CHECKING:
    import pandas as pd

_SIMILAR_TO, _SIMILAR = 6, 5  # similar items: to how many items, and how many for each
_ALWAYS = ("users", "items", "pairs", "density")  # in the overview; all other counts of zero are left out
_IN_CHANGED = ("rows", "artists", "artists before", "lines rejected")  # facts that another table shows for raw events
_HEADS = ("plays, as found", "artists, as found", "aliases, as found")


def data(description: Description, given: Interactions | RawEvents) -> Section:
    """Size and density of the data. For raw events: the first lines of each file, and the lines that were rejected."""
    if isinstance(given, RawEvents):
        return Section("data", "The data", _as_found(description, given))
    n_users, n_items = description.data.shape
    held = description.data.nnz / max(1, n_users * n_items)
    text = (
        f"A pair is a user together with an item that the user has. {n_users:,} users and {n_items:,} items could form "
        f"{n_users * n_items:,} pairs. The data hold {three_digits(100 * held)} % of them: this is the density."
    )
    return Section("data", "The data", [Row([text, _overview(description)])])


def _as_found(description: Description, given: RawEvents) -> list[str | Row]:
    t = description.tables
    rejected = t["lines rejected"]
    return [
        f"{len(given.play_rows):,} lines of plays, {len(given.artist_names):,} artist names and "
        f"{len(given.alias_rows):,} aliases were read. The tables show the first lines of each file.",
        Row([Table(name, t[name]) for name in _HEADS if len(t[name])], "three"),
        Row([Table("lines rejected", rejected)], "one") if len(rejected) else "No line was rejected.",
    ]


def _overview(description: Description, without: Sequence[str] = ()) -> Table:
    """A table of counts. A count of zero is left out unless it is in `_ALWAYS`."""
    facts = description.tables["overview"].assign(what=description.tables["overview"]["what"].str.replace("_", " "))
    # facts to leave out: those in `without`, which the page shows elsewhere, and "rows" if it equals the number of pairs
    said = [*without, *(["rows"] if description.data.report.get("rows") == description.data.nnz else [])]
    kept = facts["what"].isin(_ALWAYS) | (facts["value"] != 0) & ~facts["what"].isin(said)
    return Table("overview", facts[kept])


def cleaning(description: Description, given: Interactions | RawEvents) -> Section:
    """Raw events before and after cleaning. For data that are clean already, the section is empty."""
    section = Section("cleaning", "Cleaning")
    if not isinstance(given, RawEvents):
        return section
    t = description.tables
    changed = Table("before and after cleaning", t["before and after cleaning"])
    section.parts += [
        "Each misspelled artist was replaced by the artist that its alias stands for, through chains of aliases. A user "
        "could then have the same artist in several rows; their plays were added up.",
        f"Pairs of a user and an item that occur more than once after cleaning: {_repeated(description.data)}.",
        Row([[changed, *_tops(description, "top artists before cleaning")], _overview(description, _IN_CHANGED)]),
    ]
    return section


def _repeated(cleaned: Interactions) -> int:
    """The number of repetitions of a pair of user and item."""
    csr = cleaned.csr
    return int(np.sum((np.diff(csr.row_numbers()) == 0) & (np.diff(csr.indices) == 0)))


def activity(description: Description) -> Section:
    """Distributions over users and items. A sentence below each gives its median and its maximum."""
    section = Section("activity", "Activity and popularity")
    pictures, w = description.figures(tops=False), description.what
    row = []
    for name, whom, what, table in (
        ("activity", "users", w, "activity"),
        ("curiosity", "users", "distinct items", "activity"),
        ("popularity", "items", w, "popularity"),
        ("audience", "items", "distinct users", "popularity"),
    ):
        column = f"{w} of {'a user' if whom == 'users' else 'an item'}" if what == w else what
        found = description.tables[table]
        values = found.set_index("percentile")[column] if len(found) else None
        if values is None or values["most"] <= 0 or values["least"] == values["most"]:
            continue  # all values are equal, or none is positive: there is no distribution to draw
        middle, most = three_digits(values["50 %"]), three_digits(values["most"])
        text = f"Half of the {whom} have at most {middle} {what}; the maximum is {most}."
        row.append(Picture(pictures[name], text))
    if row:
        section.parts = [
            "The curves show how active users are and how popular items are. The horizontal axes are logarithmic, because "
            "the numbers can run over several orders of magnitude. The dotted lines mark percentiles.",
            Row(row),
        ]
    return section


def top_lists(description: Description) -> Section:
    """The top lists, with a bar at each number."""
    lists = _tops(description, "top items", "top users")
    return Section("top", "Top lists", [Row(lists)] if lists else [])


def _tops(description: Description, *names: str) -> list[Table]:
    """Top lists whose title begins with one of `names`. A list of equal numbers is left out, because it ranks nothing."""
    return [
        Table(title, table, bars=table.columns[-1])
        for title, table in description.tables.items()
        if title.startswith(names) and table.iloc[:, -1].nunique() > 1
    ]


def searched(found: SearchResult, metric: str, scored: int, n_users: int) -> Section:
    """All settings that were searched, best first. If there was only one, the section is empty."""
    section, names = Section("search", "Search"), list(found.trials[0].params)
    if len(found.trials) < 2 or not names:
        return section
    who = "all users" if scored >= n_users else f"{scored:,} users, drawn once"
    table = _columns(found.table, ["score", *names, "auc", "recall@10", "seconds", "status"])
    table = table.drop(
        columns=[name for name in ("status", metric) if name in table and (name == metric or _same(table[name]))]
    )
    pictures = [Picture(figures.trials(found.table, [name], metric)) for name in names]
    section.parts = [
        f"Each setting was fitted on nine tenths of the train part, drawn at random, and scored on the rest, for {who}. "
        f"The score is {metric}; the setting with the best score was chosen. The test part was not used.",
        Row([Table("settings, best first", table, settings=names)], "one"),
        "Each dot is one setting. The best is orange.",
        Row(pictures, "three"),
    ]
    return section


def _same(column: pd.Series[Any]) -> bool:
    return bool(column.nunique() == 1)


def chosen(model: ALS, found: SearchResult) -> Section:
    """The settings of the model, and its loss."""
    seconds = sum(entry["seconds"] for entry in model.history_)
    arguments = model.get_params() | {name: value for name, value in model.report_.items() if name in AUTOMATIC}
    params = {name: value for name, value in arguments.items() if value is not None and value is not False}
    picked = {name: value for name, value in params.items() if name in (*found.best_params_, *_MODEL)}
    table = frame({"setting": list(picked), "value": [setting(value) for value in picked.values()]})
    losses = [entry["loss"] for entry in model.history_]
    text = f"The model was fitted on the whole train part in {seconds:.2f} seconds."
    row: list[Table | Picture] = [Table("settings", table)]
    if len(losses) > 1:
        last = 100 * abs(losses[-1] / losses[-2] - 1) if losses[-2] else 0.0
        caption = (
            f"The loss goes from {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} iterations. The last one "
            f"changed it by {'less than 0.001' if last < 0.001 else three_digits(last)} %."
        )
        row.append(Picture(figures.history(model.history_), caption))
    return Section("model", "The chosen model", [text, Row(row)])


_MODEL = ("objective", "factors", "regularization", "alpha", "confidence", "iterations", "biases", "unobserved_weight")


def recommendations(model: ALS, train: Interactions, listeners: Any) -> Section:
    """For a few users: the items with the largest values, and the items that the model recommends."""
    section = Section("recommendations", "Recommendations")
    how, what = ("rated best", "rating") if model.predicts_values else ("most played", "plays")
    if listeners is None:
        listeners = _typical(train)
        section.parts.append("Up to three users: one of the most active, one in the middle, and one of the least active.")
    for user, ids, scores in zip(listed(listeners), *model.recommend(listed(listeners), 10), strict=True):
        items, values = train.csr.row(int(model.users_.rows("listeners", [user])[0]))
        most = np.argsort(-values, kind="stable")[:10]
        largest = _named(model, train.items.of(items[most]), values[most], what)
        recommended = _named(model, ids, scores, "score")
        row = [
            Table(f"{how} by user {user}, of {items.size:,} items", largest, bars=what),
            Table(f"recommended to user {user}", recommended, bars="score"),
        ]
        section.parts.append(
            Row([table for table in row if len(table.frame)] or [f"User {user} has no entries and no recommendations."])
        )
    return section


def _typical(train: Interactions) -> Any:
    """A user with many entries, one with a typical number, and one with few. Fewer users if the data have fewer."""
    lengths = train.csr.lengths()
    active = np.flatnonzero(lengths)
    by_length = active[np.argsort(lengths[active], kind="stable")]
    rows = by_length[[-1 - len(by_length) // 100, len(by_length) // 2, len(by_length) // 20]]
    return train.users.of(np.array(list(dict.fromkeys(rows.tolist()))))


def similar_items(model: ALS, train: Interactions) -> Section:
    """The nearest neighbours of the most popular items."""
    section, tables = Section("similar", "Similar items"), []
    for item in model.popular(min(_SIMILAR_TO, train.shape[1]))[0].tolist():
        near = _named(model, *model.similar_items(item, _SIMILAR), "cosine")
        if len(near):
            tables.append(Table(f"like {model.name_of(item)}", near))
    if tables:
        section.parts = [
            "For each of the items with most users: the items whose factors point in the most similar direction (cosine).",
            Row(tables, "three"),
        ]
    return section


def newcomer(model: ALS, train: Interactions) -> Section:
    """Recommendations for a new user who has a single item."""
    item = model.popular(1)[0].tolist()[0]
    value = float(train.csr.data.max()) if model.predicts_values else 1.0
    row = sp.csr_array(([value], ([0], model.items_.rows("item", [item]))), shape=(1, train.shape[1]))
    ids, scores = model.recommend(rows=row, n=10)
    table = _named(model, ids[0], scores[0], "score")
    section = Section("newcomer", "A newcomer with one item")
    if len(table):
        text = (
            f"The model does not know this user, who has only {model.name_of(item)}, with the value {value:g}. Folding in "
            "computes factors for the user from that item alone. The model is not fitted again."
        )
        section.parts.append(Row([text, Table("recommended to a newcomer", table, bars="score")]))
    return section


def made(steps: list[dict[str, Any]], seed: int, fixed: dict[str, Any]) -> Section:
    """Version, settings, and what each step cost."""
    given = settings(fixed) or "none"
    text = (
        f"cymbals {version()}, {threads()} threads, {simd()} kernels. Seed {seed}. Arguments of ALS that all settings "
        f"share: {given}."
    )
    return Section("made", "How this was made", [Row([text, Table("steps", frame(steps))])])


# -- parts -----------------------------------------------------------------------------------------------------------


def _named(model: ALS, ids: Any, values: Any, what: str) -> pd.DataFrame:
    """A table of items with names, best first. Rows with score -inf, which have no item, are left out."""
    kept = np.asarray(values) > -np.inf
    names = {} if model.item_names_ is None else {"name": [model.name_of(i) for i in ids[kept].tolist()]}
    return frame({"item": ids[kept]} | names | {what: values[kept]})


def _columns(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return table[[name for name in dict.fromkeys(names) if name in table]]
