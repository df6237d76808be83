"""What callers ask a model for: histories of people it does not know, ids or masks of rows, and answers as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import boolean, one_of, shown
from ..base.optional import frame, optional
from ..data.csr import Csr, values_array
from ..data.ids import Ids, listed

_CONTAINERS = (list, tuple, set, dict, np.ndarray)


def rows_of(ids: Ids, name: str, wanted: Any) -> NDArray[np.int64]:
    """The distinct rows, in rising order, that a caller names by ids or by a boolean mask with an element for each row."""
    if isinstance(wanted, (set, frozenset)):
        wanted = list(wanted)
    array = np.asarray(wanted)
    if array.dtype != bool or array.ndim == 0:
        return np.unique(ids.rows(name, listed(wanted)))
    if array.shape != (ids.n,):
        raise ValueError(f"{name} is a mask of shape {array.shape}; a mask needs an element for each {ids.what}, {ids.n}")
    return np.flatnonzero(array)


def histories(name: str, given: Any, items: Ids) -> tuple[bool, Csr]:
    """Histories of people as rows of values.

    Parameters
    ----------
    name : str
        The caller's argument, for messages.
    given : list of ids, dict of id to value, or a list of these
        An id without a value has the value 1. The values of an id that occurs several times are added.
    items : Ids

    Returns
    -------
    one : bool
        Whether it was a single history.
    rows : Csr, shape (n_histories, n_items)
    """
    several = isinstance(given, (list, tuple)) and bool(given) and _is_history(given[0])
    if not several and not _is_history(given):
        raise TypeError(
            f"{name} must be a list of {items.what} ids, a dict of {items.what} ids to values, or a list of these; "
            f"got {shown(given)}"
        )
    if not several:
        indices, data = _row(name, given, items)
        return True, Csr(np.array([0, indices.size]), indices, data, (1, items.n))
    rows = [_row(name, history, items) for history in given]
    indptr = np.cumsum([0, *(at.size for at, _ in rows)])
    dtype = np.result_type(*(values for _, values in rows))
    data = np.concatenate([values.astype(dtype, copy=False) for _, values in rows])
    return False, Csr(indptr, np.concatenate([at for at, _ in rows]), data, (len(rows), items.n))


def _is_history(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 1) > 0


def _row(name: str, history: Any, items: Ids) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The rows of a history's items, in rising order, and their values."""
    if isinstance(history, Mapping):
        ids: Any = list(history)
        values = values_array(name, list(history.values()))
    else:
        if not _is_history(history):
            raise TypeError(
                f"{name} holds {shown(history)} among histories; each must be a list of {items.what} ids or a dict"
            )
        ids = history if isinstance(history, np.ndarray) else list(history)
        values = np.ones(len(ids), np.float32)
    try:
        rows = items.rows(name, ids) if len(ids) else np.empty(0, np.int64)
    except (TypeError, ValueError):
        one = next((one for one in ids if isinstance(one, _CONTAINERS)), None) if isinstance(ids, list) else None
        if one is None:
            raise
        raise TypeError(f"{name} holds both ids and {shown(one)}; give a list of ids, or a list of histories") from None
    if isinstance(history, Mapping) and not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"{name}: item {ids[bad]!r} has the value {values[bad]}; values must be finite")
    if (rows[1:] > rows[:-1]).all():
        return rows, values
    order = np.argsort(rows, kind="stable")
    rows, values = rows[order], values[order]
    new = rows[1:] != rows[:-1]
    if new.all():
        return rows, values
    first = np.flatnonzero(np.append(True, new))
    return rows[first], np.add.reduceat(values, first)


FRAMES = ("pandas", "polars", "pyarrow")


def frame_library(to_frame: Any, ids: Any) -> str | None:
    """The library whose frame a caller wants who passed `ids`; None if they want arrays."""
    if isinstance(to_frame, str):
        return one_of("to_frame", to_frame, FRAMES)
    if not boolean("to_frame", to_frame):
        return None
    library = type(ids).__module__.partition(".")[0]
    return library if library in FRAMES else "pandas"


def answer_frame(
    library: str,
    askers: tuple[str, NDArray[Any]],
    found: tuple[str, NDArray[Any], NDArray[Any]],
    names: NDArray[Any] | None,
    ids: Ids,
) -> Any:
    """Answers as a data frame with a row for each place that is filled.

    Parameters
    ----------
    library : str
        One of FRAMES.
    askers : (str, ndarray)
        The name of the first column, and the id of each query.
    found : (str, ndarray, ndarray)
        The name of the column of results, their ids and their scores, both of shape (n_queries, k).
    names : ndarray, optional
        The name of each row of `ids`, for a column "name".
    ids : Ids
    """
    column, results, scores = found
    filled = scores > -np.inf
    query, rank = np.nonzero(filled)
    columns = {askers[0]: askers[1][query], "rank": rank + 1, column: results[filled]}
    if names is not None:
        columns["name"] = names[ids.rows(column, results[filled])] if filled.any() else np.empty(0, object)
    columns["score"] = scores[filled]
    if library == "polars":
        pl = optional("polars", "to_frame")
        texts = {
            name: pl.Series(name, column.tolist(), pl.String) for name, column in columns.items() if column.dtype == object
        }
        return pl.DataFrame(columns | texts)
    if library == "pyarrow":
        pa = optional("pyarrow", "to_frame")
        return pa.table({name: pa.array(c, pa.string() if c.dtype == object else None) for name, c in columns.items()})
    return frame(columns)
