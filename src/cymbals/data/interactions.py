"""Who did what how often: a users x items matrix, both ways round, with the ids that its rows and columns stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..base.checks import instance, is_missing, whole_number
from ..base.optional import frame
from ..base.threads import resolve
from .arrow import columns_of
from .csr import MOST_ROWS, Csr, from_scipy, index_type, own, summed, values_array
from .ids import Ids, distinct, id_array
from .times import checked as times_of_events
from .times import latest

if TYPE_CHECKING:
    import pandas as pd


class Interactions:
    """A checked users x items matrix with ids and, where known, item names. Make one with a ``from_`` method.

    Attributes
    ----------
    shape : tuple of int
        (users, items).
    nnz : int
        Number of entries; stored zeros count.
    user_ids, item_ids : ndarray
        int64, or object (str): the id of each row and column. Row numbers where no ids were given.
    item_names : ndarray of object or None
        A name (str) or None for each item.
    times : ndarray or None
        When each entry happened (of repeated pairs, last happened), in the order of `user_items.data`: int64, float64 or
        datetime64[ns].
    report : dict
        What loading and cleaning did, as counts.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.Interactions.from_arrays(["ann", "bob", "ann"], [7, 7, 9], [1, 2, 3])
    >>> data
    <Interactions: 2 users x 2 items, 3 entries>
    >>> data.user_items.toarray()
    array([[1., 3.],
           [2., 0.]], dtype=float32)
    """

    def __init__(
        self,
        csr: Csr,
        users: Ids,
        items: Ids,
        names: NDArray[Any] | Callable[[], NDArray[Any]] | None = None,  # a function: called when first asked for
        report: dict[str, Any] | None = None,
        times: NDArray[Any] | None = None,
    ) -> None:
        self.csr, self.users, self.items, self.times = csr, users, items, times
        self._names = names
        self._by_item: Csr | None = None
        self.report: dict[str, Any] = dict(report or {})

    @classmethod
    def from_frame(
        cls,
        df: Any,
        user: str = "user",
        item: str = "item",
        value: str | None = "value",
        time: str | None = None,
        item_names: Any = None,
    ) -> Interactions:
        """From a data frame with a row for each event; values of equal (user, item) pairs are summed.

        Parameters
        ----------
        df : DataFrame
            pandas, or anything else whose ``df[column]`` is an array or has ``to_numpy()``.
        user, item : str
            Columns with ids: whole numbers or strings.
        value : str or None
            Column with counts or ratings; None: every row counts 1.
        time : str, optional
            Column with numbers or datetimes (without a time zone); of equal pairs the latest is kept.
        item_names : mapping or Series, optional
            Item id to name.

        Returns
        -------
        Interactions
            Users and items in rising order of their ids.

        Raises
        ------
        KeyError
            A column that `df` does not have.
        ValueError, TypeError
            Missing ids or times, values that are NaN or infinite (the row is named).

        Examples
        --------
        >>> import cymbals, pandas as pd
        >>> df = pd.DataFrame({"userID": [2, 2, 5], "artistID": [51, 51, 52], "weight": [3, 4, 1]})
        >>> cymbals.Interactions.from_frame(df, user="userID", item="artistID", value="weight").nnz
        2
        """
        columns: dict[str, Any] = {"value": None, "time": None}
        for argument, column in (("user", user), ("item", item), ("value", value), ("time", time)):
            if column is None:
                if argument in ("user", "item"):
                    raise TypeError(f"{argument} must name a column, got None")
                continue
            try:
                series = df[column]
            except (KeyError, IndexError, ValueError):
                known = ", ".join(map(str, getattr(df, "columns", [])))
                fix = "; value=None (--value '') counts every row as 1" if argument == "value" else ""
                raise KeyError(f"{argument}={column!r}: no such column; the table has {known}{fix}") from None
            columns[argument] = series.to_numpy() if hasattr(series, "to_numpy") else np.asanyarray(series)
        return cls._from_events(
            columns["user"], columns["item"], columns["value"], columns["time"], item_names, (user, item, value, time)
        )

    @classmethod
    def from_arrow(
        cls,
        stream: Any,
        user: str = "user",
        item: str = "item",
        value: str | None = "value",
        time: str | None = None,
        item_names: Any = None,
    ) -> Interactions:
        """From any Arrow stream, a row for each event: a table or reader of pyarrow, a frame of Polars, a DuckDB result ...

        Parameters
        ----------
        stream : object with ``__arrow_c_stream__``
            Read once, batch by batch; columns that are not named are passed over. Timestamps with a time zone become UTC.
        user, item, value, time, item_names
            As in `from_frame`.

        Returns
        -------
        Interactions

        Raises
        ------
        KeyError, ValueError, TypeError
            As `from_frame`.

        Examples
        --------
        >>> import cymbals, pyarrow as pa
        >>> events = pa.table({"who": ["ann", "bob"], "what": [7, 7], "plays": [2, 1]})
        >>> cymbals.Interactions.from_arrow(events, "who", "what", "plays")
        <Interactions: 2 users x 1 items, 2 entries>
        """
        return cls.from_frame(columns_of(stream, (user, item, value, time)), user, item, value, time, item_names)

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        values: Any = None,
        shape: tuple[int, int] | None = None,
        item_names: Any = None,
        times: Any = None,
    ) -> Interactions:
        """From three equally long arrays; values of equal (user, item) pairs are summed.

        Parameters
        ----------
        users, items : array_like
            Ids (whole numbers or strings) or, where `shape` is given, row and column numbers.
        values : array_like, optional
            Counts or ratings; 1 for each pair where left out.
        shape : (int, int), optional
            Makes users and items row numbers inside this shape.
        item_names : mapping or Series, optional
            Item id to name.
        times : array_like, optional
            Numbers or datetime64; of equal pairs the latest is kept.

        Examples
        --------
        >>> import cymbals
        >>> cymbals.Interactions.from_arrays([0, 4], [1, 1], shape=(5, 3)).shape
        (5, 3)
        """
        columns = ("users", "items", "values", "times")
        if shape is None:
            return cls._from_events(users, items, values, times, item_names, columns)
        if np.ndim(shape) != 1 or len(shape) != 2:
            raise TypeError(f"shape must be (users, items), got {shape!r}")
        n_users, n_items = (whole_number("shape", n, 0, MOST_ROWS) for n in shape)
        index = index_type(max(n_users, n_items))
        rows, cols = _row_numbers("users", users, n_users, index), _row_numbers("items", items, n_items, index)
        checked, when = _values("values", values, rows, cols), times_of_events("times", times, rows.size)
        csr = summed(rows, cols, checked, (n_users, n_items), resolve(None))
        item_map = Ids("item", n_items)
        report = {"rows": rows.size, "pairs": csr.nnz}
        return cls(csr, Ids("user", n_users), item_map, _names(item_names, item_map), report, latest(rows, cols, when))

    @classmethod
    def from_csr(cls, matrix: Any, user_ids: Any = None, item_ids: Any = None, item_names: Any = None) -> Interactions:
        """From any scipy sparse matrix or array, users in rows, items in columns.

        Duplicate entries are summed, rows sorted. The input is copied and the copy checked, so that later changes of the
        input do no harm. Only arrays over a ``bytes`` object, which nobody can change, are used in place.

        Parameters
        ----------
        matrix : scipy sparse matrix or array, shape (n_users, n_items)
            Values are counts or ratings; NaN and infinities are refused.
        user_ids, item_ids : array_like, optional
            Distinct ids of rows and columns.
        item_names : mapping or Series, optional
            Item id to name.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> cymbals.Interactions.from_csr(scipy.sparse.eye_array(3), user_ids=["a", "b", "c"]).user_ids
        array(['a', 'b', 'c'], dtype=object)
        """
        csr = from_scipy("matrix", matrix, resolve(None))
        users, items = Ids.checked("user", user_ids, csr.shape[0]), Ids.checked("item", item_ids, csr.shape[1])
        return cls(csr, users, items, _names(item_names, items), {"pairs": csr.nnz})

    @classmethod
    def _from_events(
        cls, users: Any, items: Any, values: Any, times: Any, names: Any, columns: tuple[Any, ...]
    ) -> Interactions:
        user_of, item_of = id_array(str(columns[0]), users), id_array(str(columns[1]), items)
        if user_of.size != item_of.size:
            raise ValueError(f"{columns[0]} and {columns[1]} must be equally long, got {user_of.size} and {item_of.size}")
        checked = _values(str(columns[2]), values, user_of, item_of)
        when = times_of_events(str(columns[3]), times, user_of.size)
        n_threads = resolve(None)
        user_ids, rows = distinct(own(user_of, users), n_threads)  # copied one after the other: a copy takes much memory
        item_ids, cols = distinct(own(item_of, items), n_threads)
        csr = summed(rows, cols, checked, (user_ids.size, item_ids.size), n_threads)
        item_map = Ids("item", item_ids.size, item_ids)
        report = {"rows": user_of.size, "pairs": csr.nnz}
        users_map, last = Ids("user", user_ids.size, user_ids), latest(rows, cols, when)
        return cls(csr, users_map, item_map, _names(names, item_map), report, last)

    @property
    def shape(self) -> tuple[int, int]:
        return self.csr.shape

    @property
    def nnz(self) -> int:
        return self.csr.nnz

    @property
    def user_ids(self) -> NDArray[Any]:
        return self.users.all()

    @property
    def item_ids(self) -> NDArray[Any]:
        return self.items.all()

    @property
    def item_names(self) -> NDArray[Any] | None:
        if callable(self._names):
            self._names = self._names()
        if self._names is not None:
            self._names.flags.writeable = False  # models that are fitted on these data share it
        return self._names

    def by_item(self, n_threads: int | None = None) -> Csr:
        """Items x users, as the kernels take it; made once."""
        if self._by_item is None:
            self._by_item = self.csr.transposed(resolve(n_threads))
        return self._by_item

    @cached_property
    def user_items(self) -> sp.csr_array:
        """Users x items as a scipy CSR array: sorted indices, int64 indptr, read-only."""
        return self.csr.to_scipy()

    @cached_property
    def item_users(self) -> sp.csr_array:
        """Items x users as a scipy CSR array: sorted indices, int64 indptr, read-only."""
        return self.by_item().to_scipy()

    def with_values(self, values: NDArray[Any]) -> Interactions:
        """The same entries with other values."""
        csr = Csr(self.csr.indptr, self.csr.indices, values, self.shape)
        return Interactions(csr, self.users, self.items, self._names, self.report, self.times)

    def where(self, keep: NDArray[np.bool_]) -> Interactions:
        """The entries that a mask keeps, of the same users and items."""
        times = None if self.times is None else self.times[keep]
        return Interactions(self.csr.where(keep), self.users, self.items, self._names, None, times)

    def name_of(self, row: int) -> str:
        """An item's name, or its id where it has none."""
        name = None if self.item_names is None else self.item_names[row]
        return str(self.item_ids[row]) if name is None else name

    def find(self, text: str) -> pd.DataFrame:
        """Items whose name contains a text, in upper or lower case.

        Parameters
        ----------
        text : str

        Returns
        -------
        DataFrame
            Columns item, name, plays (sum of values), users; most plays first.
        """
        wanted = instance("text", text, str).casefold()
        names: Any = [] if self.item_names is None else self.item_names
        rows = np.array([r for r, name in enumerate(names) if name and wanted in name.casefold()], np.int64)
        of_item = self.by_item().take(rows)
        plays = np.bincount(of_item.row_numbers(), of_item.data, rows.size)
        columns = {"item": self.item_ids[rows], "name": [names[r] for r in rows.tolist()], "plays": plays}
        found = frame(columns | {"users": np.diff(of_item.indptr)})
        return found.sort_values("plays", ascending=False, kind="stable", ignore_index=True)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("user_items", "item_users")} | {
            "_by_item": None,
            "_names": self.item_names,
        }

    def __repr__(self) -> str:
        return f"<Interactions: {self.shape[0]:,} users x {self.shape[1]:,} items, {self.nnz:,} entries>"


def as_interactions(name: str, data: Any, n_threads: int) -> Interactions:
    """`data` itself, or a sparse matrix as Interactions without ids."""
    if isinstance(data, Interactions):
        return data
    try:
        csr = from_scipy(name, data, n_threads)
    except TypeError as error:
        raise TypeError(str(error).replace("must be a scipy", "must be Interactions or a scipy", 1)) from None
    return Interactions(csr, Ids("user", csr.shape[0]), Ids("item", csr.shape[1]))


def like(data: Any, made: Interactions, dtype: Any = None) -> Any:
    """`made` from `data` in the type that `data` has: Interactions, or scipy's class, format and (or other) dtype."""
    if isinstance(data, Interactions):
        return made
    out = type(data)(made.csr.to_scipy().copy().asformat(data.format))  # a copy: the Csr's arrays are read-only
    dtype = data.dtype if dtype is None else dtype
    return out if data.dtype.kind not in "biuf" else out.astype(dtype, copy=False)


def _row_numbers(name: str, rows: Any, n: int, index: Any) -> NDArray[Any]:
    """A copy of row numbers that a caller passes, each below n."""
    array = own(id_array(name, rows), rows)
    if array.dtype.kind != "i":
        raise TypeError(f"{name} must be row numbers where shape is given, got {array.dtype}")
    bad = np.flatnonzero((array < 0) | (array >= n))
    if bad.size:
        raise ValueError(f"{name}: entry {bad[0]} is {array[bad[0]]}, outside [0, {n})")
    return array.astype(index, copy=False)


def _values(name: str, values: Any, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
    """Values of events as floats that nobody else can change; one that is not finite is named with its place."""
    if users.size != items.size:
        raise ValueError(f"users and items must be equally long, got {users.size} and {items.size}")
    if values is None:
        return np.ones(users.size, np.float32)
    array = own(values_array(name, values), values)
    if array.shape != users.shape:
        raise ValueError(f"{name} must be as long as the ids, {users.size}; got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        b = bad[0]
        raise ValueError(
            f"column {name!r}, row {b} holds {array[b]} (user {users[b]}, item {items[b]}); values must be finite: "
            "drop such rows, or replace the value"
        )
    return array


def _names(names: Any, items: Ids) -> NDArray[Any] | None:
    """Names in item order from a mapping or Series of id to name."""
    if names is None:
        return None
    if not isinstance(names, Mapping) and not hasattr(names, "items"):
        raise TypeError(f"item_names must map item ids to names, got {type(names).__name__}")
    pairs: Iterable[tuple[Any, Any]] = names.items()
    out = np.full(items.n, None, dtype=object)
    known = [(key, str(name)) for key, name in pairs if isinstance(name, str) or not is_missing(name)]
    if known:
        keys = id_array("item_names", [key for key, _ in known])
        if items.n and (keys.dtype.kind == "i") != items.whole:
            kinds = ("whole numbers", "strings") if items.whole else ("strings", "whole numbers")
            raise TypeError(f"item_names has keys like {keys.tolist()[0]!r}, but item ids are {kinds[0]}, not {kinds[1]}")
        rows = items.find(keys)
        for row, (_, name) in zip(rows, known, strict=True):
            if row >= 0:
                out[row] = name
    return out
