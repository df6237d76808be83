"""The answers that the page of `cymbals explore` shows: completions, recommendations with reasons, and the same in Python.

Ids travel as texts, because a browser rounds whole numbers above 2^53. Names are made printable here.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..base.format import printable
from ..data.ids import Ids
from ..data.name_index import BeginningIndex, NameIndex
from ..model.als import ALS
from .answers import id_of, listed
from .fields import Fields

MOST_RESULTS = 100  # of one list
_REASONS = 3  # for each recommendation
_SHOWN_HISTORY = 100  # entries of a user, those with the largest values
_SAMPLE = 1_000_000  # values from which the range of strengths is found


@dataclass(frozen=True)
class Strengths:
    """The range in which the page lets people choose how much they like an item, and the value of a new item."""

    low: float
    high: float
    usual: float
    logarithmic: bool
    guessed: bool  # the file has no interactions, so it does not say which values are usual

    @classmethod
    def of(cls, model: ALS) -> Strengths:
        """The range of the values that the model was fitted to."""
        state, ratings = model.state_, model.predicts_values
        values = np.empty(0) if state.seen is None else state.seen.data[:: state.seen.nnz // _SAMPLE + 1]
        values = values if ratings else values[values > 0]
        guessed = not values.size
        if ratings:
            low, usual, high = (1.0, 4.0, 5.0) if guessed else np.quantile(values, (0, 0.75, 1)).tolist()
            if low == high:
                low, high = low - max(abs(low), 1), high + max(abs(high), 1)
        else:
            low, usual, high = (1.0, 1.0, 1.0) if guessed else np.quantile(values, (0.01, 0.5, 0.99)).tolist()
            low, high = min(low, usual / 10), max(high, usual * 10)
        low, high, usual = (float(f"{value:.2g}") for value in (low, high, usual))
        return cls(low, high, usual, not ratings, guessed)


class Explorer:
    """A model with an index of its names.

    The methods answer one request each: they take its fields, and return the object to send as JSON. They raise BadRequest
    for wrong fields, and KeyError for an id that the model does not know.

    Parameters
    ----------
    model : ALS
        It must not be changed afterwards.
    path : path-like
        Where the model is stored, for the calls in Python.
    """

    def __init__(self, model: ALS, path: str | os.PathLike[str]) -> None:
        self.model, self._path = model, os.path.abspath(path)
        state = model.state_
        names = [None] * state.items.n if state.names is None else state.names.tolist()
        self._names = [
            i if name is None else name for i, name in zip(map(str, state.items.all().tolist()), names, strict=True)
        ]
        self._audience = None if state.seen is None else state.audience[:, 0]
        self._items = NameIndex(self._names, self._audience)
        self._users = BeginningIndex(map(str, state.users.all().tolist()))
        self._strengths = Strengths.of(model)
        model.explain_items(state.items.of(np.zeros(1, np.int64)), history=[])  # fills the cache before the first request

    def facts(self) -> dict[str, Any]:
        """What the page must know of the model."""
        state = self.model.state_
        objective = state.params["objective"]
        return {
            "name": os.path.basename(self._path),
            "users": state.users.n,
            "items": state.items.n,
            "factors": state.params["factors"],
            "objective": objective,
            "biases": state.mean is not None,
            "named": state.names is not None,
            "interactions": state.seen is not None,
            "ratings": self.model.predicts_values,
            "strengths": asdict(self._strengths),
        }

    def find_items(self, fields: Fields) -> dict[str, Any]:
        """Items whose names fit a text. An item with this id comes first."""
        text, n = fields.text("text"), fields.whole("n", MOST_RESULTS, 8)
        fields.end()
        ids = self.model.items_
        rows = self._items.find(text, n).tolist()
        exact = _row(ids, text)
        if exact is not None:
            rows = [exact, *(row for row in rows if row != exact)][:n]
        return {"items": [self._item(row) for row in rows]}

    def items(self, fields: Fields) -> dict[str, Any]:
        """The names of given items, for a page that was opened with ids in its address. Unknown ids are left out."""
        wanted = fields.history("items")
        fields.end()
        rows = [_row(self.model.items_, text) for text in wanted]
        return {"items": [self._item(row) for row in rows if row is not None]}

    def find_users(self, fields: Fields) -> dict[str, Any]:
        """Users whose ids begin with a text."""
        text, n = fields.text("text"), fields.whole("n", MOST_RESULTS, 8)
        fields.end()
        ids = self.model.users_.of(np.array(self._users.find(text, n), np.int64)).tolist()
        return {"users": [{"user": str(u), "name": printable(str(u))} for u in ids]}

    def recommend(self, fields: Fields) -> dict[str, Any]:
        """Recommendations to somebody with a history, with reasons."""
        n, asked = fields.whole("n", MOST_RESULTS, 10), fields.history("history")
        fields.end()
        ids = self.model.items_
        history = {id_of(ids, text): strength for text, strength in asked.items()}
        found = listed(self.model, *self.model.recommend(history=history, n=n))
        rows = ids.rows("history", list(history)).tolist() if history else []
        names = [printable(self._names[row]) for row in rows]
        lines = "".join(f"    {i!r}: {v!r},  # {name}\n" for (i, v), name in zip(history.items(), names, strict=True))
        setup = f"history = {{\n{lines}}}\n" if lines else "history = {}\n"
        return self._explained(found, history=history) | {
            "call": self._call(f"{setup}ids, scores = model.recommend(history=history, n={n})")
        }

    def user(self, fields: Fields) -> dict[str, Any]:
        """A user's history, and the recommendations to the user. Without a user, one is drawn at random."""
        n, text = fields.whole("n", MOST_RESULTS, 10), fields.text_or_none("user")
        fields.end()
        model, seen = self.model, self.model.state_.seen
        if text is None:
            with_entries = np.empty(0, np.int64) if seen is None else np.flatnonzero(seen.lengths())
            rows = with_entries if with_entries.size else np.arange(model.users_.n)
            user = model.users_.of(np.random.default_rng().choice(rows, 1)).tolist()[0]
        else:
            user = id_of(model.users_, text)
        answer: dict[str, Any] = {"user": str(user), "name": printable(str(user)), "entries": None, "history": []}
        if seen is None:
            call = f"ids, scores = model.recommend({user!r}, n={n}, exclude_seen=False)"
            found = listed(model, *model.recommend(user, n, exclude_seen=False))
            return answer | self._explained(found) | {"call": self._call(call)}
        found = listed(model, *model.recommend(user, n))
        columns, values = seen.row(int(model.users_.rows("user", [user])[0]))
        largest = np.argsort(-values, kind="stable")[:_SHOWN_HISTORY]
        answer["entries"] = columns.size
        answer["history"] = [self._item(int(columns[at])) | {"value": float(values[at])} for at in largest]
        call = f"ids, scores = model.recommend({user!r}, n={n})"
        return answer | self._explained(found, user=user) | {"call": self._call(call)}

    def similar(self, fields: Fields) -> dict[str, Any]:
        """Items similar to an item."""
        n, text = fields.whole("n", MOST_RESULTS, 10), fields.text("item")
        fields.end()
        item = id_of(self.model.items_, text)
        found = listed(self.model, *self.model.similar_items(item, n))
        row = int(self.model.items_.rows("item", [item])[0])
        call = f"ids, scores = model.similar_items({item!r}, n={n})"
        return self._item(row) | {"items": [_shown(one) for one in found], "call": self._call(call)}

    def _item(self, row: int) -> dict[str, Any]:
        item = self.model.items_.of(np.array([row])).tolist()[0]
        users = None if self._audience is None else int(self._audience[row])
        return {"item": str(item), "name": printable(self._names[row]), "users": users}

    def _explained(self, found: list[dict[str, Any]], **who: Any) -> dict[str, Any]:
        """Recommendations with the reasons for each. `who` is the user or the history; without it there are no reasons.

        "basis" says what the scores are: "popular" if nothing is known about the user, so that the items are those with
        the most users. "rest" is the part of the score that no item of the history explains: the mean and the item's bias.
        """
        items = [_shown(one) for one in found]
        explained = self.model.explain_items([one["item"] for one in found], _REASONS, **who) if who else []
        popular = bool(who) and self._audience is not None and not any(why.contributions for why in explained)
        for item, why in zip(items, explained, strict=False):
            item["reasons"] = [
                {"item": str(i), "name": printable(self.model.name_of(i)), "part": part} for i, part in why.contributions
            ]
            item["rest"] = item["score"] - why.total if self.model.state_.mean is not None else None
        return {"items": items, "basis": "popular" if popular else "scores"}

    def _call(self, lines: str) -> str:
        """A program that gives the same answer."""
        return f"import cymbals\n\nmodel = cymbals.load({self._path!r})\n{lines}\n"


def _row(ids: Ids, text: str) -> int | None:
    """The row of the id that a text denotes; None if there is none."""
    try:
        return int(ids.rows("id", [id_of(ids, text)])[0])
    except (KeyError, ValueError):
        return None


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    """A place of a list for the page: the id as text, the name printable."""
    return {"item": str(one["item"]), "name": printable(one["name"]), "score": one["score"]}
