"""Tables and pictures of a data set: how active users are, which items are popular, and the effects of cleaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import instance, whole_number
from ..base.format import printable_lines
from ..base.html import html_table
from ..base.optional import frame
from ..base.threads import resolve
from ..data.audioscrobbler import RawEvents
from ..data.ids import distinct
from ..data.interactions import Interactions
from . import figures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEAD = 5


@dataclass(frozen=True)
class Description:
    """Tables and pictures of a data set.

    Attributes
    ----------
    data : Interactions
        The data described. Raw events are cleaned first.
    tables : dict of str to DataFrame
        "overview"; "activity" and "popularity" (percentiles); "top items by plays", "top items by audience", "top users by
        plays", "top users by curiosity" (distinct items). Raw events add the first lines of the three files ("plays, as
        found" and so on), "lines rejected", "before and after cleaning" and "top artists before cleaning".
    what : str
        Name of the sums of values: the argument `values` of `describe`, by default "plays".
    """

    data: Interactions
    tables: dict[str, pd.DataFrame] = field(repr=False)
    _totals: _Totals = field(repr=False)

    @property
    def what(self) -> str:
        return self._totals.what

    def figures(self, tops: bool = True) -> dict[str, Figure]:
        """Pictures, each a matplotlib Figure: cumulative distributions with percentiles, and the top lists as bars.

        Parameters
        ----------
        tops : bool
            Draw the top lists, too.

        Returns
        -------
        dict of str to Figure
            "activity", "curiosity", "popularity", "audience", and each top list by the name of its table.
        """
        t, w = self._totals, self._totals.what
        out = {
            "activity": figures.ecdf(t.of_user, f"{w} of a user", f"Activity: {w} of each user"),
            "curiosity": figures.ecdf(t.curiosity, "distinct items of a user", "Curiosity: distinct items of each user"),
            "popularity": figures.ecdf(t.of_item, f"{w} of an item", f"Popularity: {w} of each item"),
            "audience": figures.ecdf(t.audience, "users of an item", "Audience: distinct users of each item"),
        }
        for title, table in self.tables.items() if tops else ():
            if title.startswith("top ") and len(table):
                names = [str(name) for name in table["name" if "name" in table else table.columns[0]]]
                out[title] = figures.bars(names, table.iloc[:, -1], table.columns[-1], title.capitalize())
        return out

    def __str__(self) -> str:
        tables = (f"{title}\n{table.to_string(index=False)}" for title, table in self.tables.items())
        return printable_lines("\n\n".join(tables))

    def _repr_html_(self) -> str:
        return "".join(html_table(_rows(table), title) for title, table in self.tables.items())


def describe(data: Interactions | RawEvents, top: int = 10, values: str = "plays") -> Description:
    """Tables and pictures of a data set. Raw events are shown before and after cleaning.

    Call it before the first fit, to see whether the data are what you think they are.

    Parameters
    ----------
    data : Interactions or RawEvents
    top : int
        Length of the top lists.
    values : str
        Name of the sums of values in tables and pictures, such as "sum of ratings". Leave it out for raw events: their
        values are plays.

    Returns
    -------
    Description

    Examples
    --------
    >>> import cymbals
    >>> plays = cymbals.Interactions.from_arrays(["ann", "bob", "ann"], ["abba", "abba", "blur"], [3, 1, 2])
    >>> cymbals.describe(plays).tables["top items by audience"]
       item  users
    0  abba      2
    1  blur      1
    """
    top = whole_number("top", top, 1)
    if not isinstance(data, (Interactions, RawEvents)):
        raise TypeError(f"data must be Interactions or RawEvents, got {type(data).__name__}")
    raw = data if isinstance(data, RawEvents) else None
    cleaned = data.clean() if isinstance(data, RawEvents) else data
    totals = _Totals.of(cleaned, instance("values", values, str))
    tables = {} if raw is None else _raw_tables(raw, cleaned, top)
    return Description(cleaned, tables | _tables(cleaned, totals, top), totals)


@dataclass(frozen=True)
class _Totals:
    """Sums over the rows and columns of a data set."""

    what: str  # name of the sums
    of_user: NDArray[Any]
    of_item: NDArray[Any]
    curiosity: NDArray[np.int64]
    audience: NDArray[np.int64]

    @classmethod
    def of(cls, data: Interactions, what: str) -> _Totals:
        of_user, of_item = (np.zeros(n) for n in data.shape)
        for begin, block in data.csr.blocks():
            values = block.data.astype(np.float64)
            of_user[begin : begin + block.shape[0]] = np.bincount(block.row_numbers(), values, block.shape[0])
            of_item += np.bincount(block.indices, values, data.shape[1])
        return cls(what, of_user, of_item, data.csr.lengths(), data.csr.column_counts())


def _tables(data: Interactions, t: _Totals, top: int) -> dict[str, pd.DataFrame]:
    def item(rows: NDArray[np.int64]) -> dict[str, Any]:
        names = {} if data.item_names is None else {"name": [data.name_of(row) for row in rows.tolist()]}
        return {"item": data.item_ids[rows]} | names

    def user(rows: NDArray[np.int64]) -> dict[str, Any]:
        return {"user": data.user_ids[rows]}

    cells = data.shape[0] * data.shape[1]
    facts = {"users": data.shape[0], "items": data.shape[1], "pairs": data.nnz, t.what: _whole(t.of_user).sum()}
    facts |= {"density": data.nnz / cells if cells else 0.0} | data.report
    return {
        "overview": _facts({what: (value,) for what, value in facts.items()}, "value"),
        "activity": _percentiles({f"{t.what} of a user": t.of_user, "distinct items": t.curiosity}),
        "popularity": _percentiles({f"{t.what} of an item": t.of_item, "distinct users": t.audience}),
        f"top items by {t.what}": _top(t.of_item, top, item, t.what),
        "top items by audience": _top(t.audience, top, item, "users"),
        f"top users by {t.what}": _top(t.of_user, top, user, t.what),
        "top users by curiosity": _top(t.curiosity, top, user, "items"),
    }


def _raw_tables(raw: RawEvents, cleaned: Interactions, top: int) -> dict[str, pd.DataFrame]:
    n_threads = resolve(None)
    user, artist, count = raw.play_rows.T
    artists, places = distinct(artist, n_threads)
    plays = np.bincount(places, count, artists.size)
    report = cleaned.report
    changed = {
        "users": (distinct(user, n_threads)[0].size, report["users"]),
        "artists": (artists.size, report["artists"]),
        "rows before, pairs after": (report["rows"], report["pairs"]),
        "plays": (int(count.sum()), _whole(cleaned.csr.data.sum(dtype=np.float64, keepdims=True))[0]),
    }

    def named(rows: NDArray[np.int64]) -> dict[str, Any]:
        return {"artist": artists[rows], "name": raw.names_of(artists[rows])}

    return {
        "plays, as found": frame(dict(zip(("user", "artist", "count"), raw.play_rows[:HEAD].T, strict=True))),
        "artists, as found": frame({"artist": raw.artist_ids[:HEAD], "name": list(raw.artist_names[:HEAD])}),
        "aliases, as found": frame(dict(zip(("misspelled", "canonical"), raw.alias_rows[:HEAD].T, strict=True))),
        "lines rejected": frame(
            {
                "file": [r.file for r in raw.rejected],
                "reason": [r.reason for r in raw.rejected],
                "lines": [r.lines for r in raw.rejected],
                "first line": [r.first_line for r in raw.rejected],
            }
        ),
        "before and after cleaning": _facts(changed, "before", "after"),
        "top artists before cleaning": _top(plays, top, named, "plays"),
    }


def _facts(facts: dict[str, tuple[Any, ...]], *columns: str) -> pd.DataFrame:
    """A table of named facts. Its columns have dtype object, so that whole numbers and fractions can share a column."""
    values = zip(*facts.values(), strict=True)
    return frame({"what": list(facts)} | {c: np.array(v, dtype=object) for c, v in zip(columns, values, strict=True)})


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in zip(table.columns, row, strict=True)} for row in table.to_numpy(object)]


def _whole(values: NDArray[np.float64]) -> NDArray[Any]:
    """The sums as integers, if all of them are whole numbers below 2^53."""
    return values.astype(np.int64) if np.all(values == np.rint(values)) and np.all(np.abs(values) < 2**53) else values


def _percentiles(columns: dict[str, NDArray[Any]]) -> pd.DataFrame:
    shares = (0, *figures.PERCENTILES, 100)
    labels = ["least", *(f"{p} %" for p in figures.PERCENTILES), "most"]
    empty = not next(iter(columns.values())).size
    return frame(
        {"percentile": [] if empty else labels}
        | {name: [] if empty else np.percentile(values, shares) for name, values in columns.items()}
    )


def _top(values: NDArray[Any], n: int, who: Callable[[NDArray[np.int64]], dict[str, Any]], what: str) -> pd.DataFrame:
    """The n largest values; of equal ones, the lower row first."""
    rows = np.argsort(-values, kind="stable")[:n]
    return frame(who(rows) | {what: _whole(values[rows])})
