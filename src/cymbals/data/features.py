"""Makes features of users or items from the columns of a frame: genres, tags, ages, prices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..base.checks import is_missing, real_number, shown
from ..base.format import first_few
from .columns import columns_of, is_frame
from .interactions import Interactions


def features(
    frame: Any, id: Any, columns: Iterable[Any] | None = None, widths: Mapping[Any, float] | None = None
) -> Interactions:
    """Features of users or items, for ``fit(item_features=...)`` and ``fit(user_features=...)``.

    * A column of texts makes a feature for each text, such as "genre=Comedy", with the value 1.
    * A column of lists makes a feature for each element of the lists.
    * A column of numbers needs a width, and makes a feature for each range: ``widths={"year": 10}`` makes "year=1990" of
      the years from 1990 to 1999. So a number means the same in every frame. If numbers are names, such as postal codes,
      turn them into texts.
    * A column of booleans makes one feature, which rows with True have.

    A missing value makes no feature, and neither does a missing element of a list. Tags and other features with counts need
    no columns: make them with ``Interactions.from_frame(tags, user="item", item="tag", value="count")``.

    Parameters
    ----------
    frame : DataFrame, Arrow stream or mapping of str to array_like
        A row for each user or each item. Frames of pandas, Polars, pyarrow and DuckDB.
    id : str
        The column with the ids.
    columns : list of str, optional
        The columns to use. By default all others.
    widths : dict of str to float, optional
        For each column of numbers, the width of its ranges; above 0.

    Returns
    -------
    Interactions
        A row for each id that has a feature, and a column for each feature. `item_ids` are the names of the features.

    Raises
    ------
    KeyError
        The frame does not have a column.
    TypeError, ValueError
        A column holds neither texts, lists, numbers nor booleans, or it holds numbers and has no width.

    Examples
    --------
    >>> import cymbals
    >>> films = {"film": ["Alien", "Up"], "genres": [["Horror", "SF"], ["Animation"]], "minutes": [117, 96]}
    >>> made = cymbals.features(films, id="film", widths={"minutes": 30})
    >>> made.item_ids.tolist()
    ['genres=Animation', 'genres=Horror', 'genres=SF', 'minutes=90']
    """
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of columns, got {columns!r}: write [{columns!r}]")
    if columns is not None and not isinstance(columns, Iterable):
        raise TypeError(f"columns must be a list of columns, got {shown(columns)}")
    if widths is not None and not isinstance(widths, Mapping):
        raise TypeError(f"widths must be a dict of columns to numbers, got {shown(widths)}")
    if isinstance(frame, np.ndarray) or not is_frame(frame):
        raise TypeError(f"frame must be a frame, an Arrow stream or a dict of columns, got {shown(frame)}")
    wanted = [name for name in (_names(frame) if columns is None else columns) if name != id]
    if not wanted:
        raise ValueError("columns must name at least one column")
    twice = [name for name in wanted if wanted.count(name) > 1]
    if twice:
        raise ValueError(f"columns: {twice[0]!r} occurs more than once")
    found = columns_of(frame, {"id": id} | {f"columns, {i}": name for i, name in enumerate(wanted)})
    ids = _listed(found.pop("id"))
    for name, column in zip(wanted, found.values(), strict=True):
        if len(column) != len(ids):
            raise ValueError(f"column {name!r} has {len(column)} values, but the column of ids, {id!r}, has {len(ids)}")
    widths = dict(widths or {})
    unknown = [name for name in widths if name not in wanted]
    if unknown:
        raise KeyError(f"widths names {unknown[0]!r}, which is not one of the columns {first_few(wanted)}")
    pairs = [
        (ids[row], feature)
        for name, column in zip(wanted, found.values(), strict=True)
        for row, feature in _of_column(name, _listed(column), widths.get(name))
    ]
    pairs = list(dict.fromkeys(pairs))  # an id may have several rows
    if not pairs:
        raise ValueError("frame has no feature: all values are missing, False, or empty lists")
    of, names = zip(*pairs, strict=True)
    return Interactions.from_arrays(list(of), list(names), np.ones(len(pairs), np.float32))


def _names(frame: Any) -> list[Any]:
    """The columns of a frame."""
    if hasattr(frame, "collect_schema"):
        return list(frame.collect_schema().names())
    if hasattr(frame, "schema") and hasattr(frame.schema, "names"):  # of pyarrow
        return list(frame.schema.names)
    if hasattr(frame, "columns"):
        return list(frame.columns)
    if not isinstance(frame, Mapping):
        raise TypeError(f"frame does not say which columns it has, got {shown(frame)}: name them in columns")
    return list(frame)


def _listed(column: Any) -> list[Any]:
    """A column as a list of Python objects."""
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)


def _of_column(name: Any, values: list[Any], width: float | None) -> list[tuple[int, str]]:
    """The row and the name of each feature that a column makes."""
    there = [(row, value) for row, value in enumerate(values) if _is_list(value) or not is_missing(value)]
    if not there:
        return []
    kinds = {_kind(name, value) for _, value in there}
    if len(kinds) > 1:
        raise TypeError(f"column {name!r} must hold values of one kind, but it holds {' and '.join(sorted(kinds))}")
    if (width is None) == (kinds == {"numbers"}):
        raise ValueError(
            f"column {name!r} holds {kinds.pop()}: "
            + (
                "give the width of their ranges in widths, or turn them into texts"
                if width is None
                else "it takes no width"
            )
        )
    if width is not None:
        step = real_number(f"widths[{name!r}]", width, open_end=True)
        return [(row, f"{name}={_range(name, value, step):.12g}") for row, value in there]
    if kinds == {"booleans"}:
        return [(row, str(name)) for row, value in there if value]
    several = [(row, value if _is_list(value) else [value]) for row, value in there]
    return [(row, f"{name}={one}") for row, elements in several for one in elements if not _skipped(name, one)]


def _range(name: Any, value: float, step: float) -> float:
    """The lower end of the range of a number.

    The quotient is rounded, because a number such as 0.3 is a little below three times 0.1 in binary.
    """
    number = real_number(f"column {name!r}", value, least=-math.inf)
    if not math.isfinite(number / step):
        raise ValueError(f"column {name!r} holds {number:g}, for which the width {step:g} in widths is too small")
    return math.floor(round(number / step, 9)) * step


def _skipped(name: Any, element: Any) -> bool:
    """Whether an element of a list is missing. Raises TypeError if it is a list itself."""
    if _is_list(element):
        raise TypeError(f"column {name!r} must hold lists of texts, but one holds {shown(element)}")
    return is_missing(element)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset, np.ndarray))


def _kind(name: Any, value: Any) -> str:
    if _is_list(value):
        return "lists"
    if isinstance(value, str):
        return "texts"
    if isinstance(value, (bool, np.bool_)):
        return "booleans"
    if isinstance(value, (int, float, np.integer, np.floating)):
        return "numbers"
    raise TypeError(f"column {name!r} must hold texts, lists, numbers or booleans, got {shown(value)}")
