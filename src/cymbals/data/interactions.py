"""Interactions: a users x items matrix of counts or ratings, its transpose, and the ids of its rows and columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._core import version
from ..base import strict_json
from ..base.checks import instance, is_missing, one_of, shown, whole_number
from ..base.optional import frame
from ..base.threads import resolve
from . import appending, building, deriving, store
from .align import ids_of, placed, reordered, warn_of_unknown
from .coded import Coded
from .csr import MOST_ROWS, Csr, from_scipy, index_type, own, summed
from .events import Events, checked_values
from .ids import Ids, id_array, listed
from .mapped import MappedCsr, mapped_csr, mapped_rows
from .merge import merged_with_times, resized, resolved, without_rows_and_columns
from .packing import pack_csr, pack_labels, unpack_ids, unpack_strings
from .stored_array import StoredArray
from .times import checked as times_of_events
from .times import latest

if TYPE_CHECKING:
    import pandas as pd

Data = TypeVar("Data")


class Interactions:
    """A users x items matrix of counts or ratings with ids and, where known, item names and times.

    Use it to give data with ids to `ALS.fit`, `evaluate` and `split`; the model's answers then have your ids. Make it with
    one of the methods that begin with ``from_``, or with `datasets.load`.

    Attributes
    ----------
    shape : tuple of int
        (users, items).
    nnz : int
        Number of entries, including stored zeros.
    user_ids, item_ids : ndarray
        The id of each row and each column: int64, or object (str). The row or column numbers if no ids were given.
    item_names : ndarray of object or None
        The name (str) of each item, or None for items without one. None if no names were given.
    times : ndarray or None
        The time of each entry, in the order of `user_items.data`: int64, float64 or datetime64[ns]. If a (user, item) pair
        was repeated, the latest time.
    report : dict
        Counts of what loading and cleaning did, such as "rows" and "pairs".

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
        # Names and times may be functions, which are called at the first use.
        names: NDArray[Any] | Callable[[], NDArray[Any] | None] | None = None,
        report: dict[str, Any] | None = None,
        times: NDArray[Any] | Callable[[], NDArray[Any] | None] | None = None,
    ) -> None:
        self.csr, self.users, self.items = csr, users, items
        self._names, self._times = names, times
        self._by_item: Csr | None = None
        self._opened: store.Opened | None = None
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
        like: Any = None,
    ) -> Interactions:
        """Make interactions from a data frame with a row for each event.

        The values of rows with the same user and item are summed.

        Parameters
        ----------
        df : DataFrame
            A frame of pandas, Polars (lazy ones too), pyarrow or DuckDB, or any object with ``__arrow_c_stream__``. All but
            pandas need pyarrow. Or a mapping of names to arrays.
        user, item : str
            Names of the columns with ids: whole numbers, strings, UUIDs, or bytes that hold text in UTF-8. Columns of
            categories and dictionaries are the fastest, because their codes are used. Categories without events make no
            rows.
        value : str or None
            Name of the column with counts or ratings; None counts each row as 1.
        time : str, optional
            Name of the column with times: numbers, or datetimes. In pandas they must be without a time zone; those of Arrow
            with a time zone become UTC. The latest time of each (user, item) pair is kept.
        item_names : mapping or Series, optional
            Maps item ids to names.
        like : ALS or Interactions, optional
            Use the users and items of this model or of these interactions, in their order. Use it for next week's events,
            which are to be compared with a model. Events of other users and items are left out, with a warning.

        Returns
        -------
        Interactions
            Rows and columns are in rising order of the ids, or in the order of `like`.

        Raises
        ------
        KeyError
            `df` does not have one of the columns.
        ValueError, TypeError
            An id or a time is missing, or a value is NaN or infinite. The message names the row.

        Examples
        --------
        >>> import cymbals, pandas as pd
        >>> df = pd.DataFrame({"userID": [2, 2, 5], "artistID": [51, 51, 52], "weight": [3, 4, 1]})
        >>> cymbals.Interactions.from_frame(df, user="userID", item="artistID", value="weight").nnz
        2
        """
        return cls._of(Events.of_frame(df, user, item, value, time), item_names, like)

    @classmethod
    def from_arrow(
        cls,
        stream: Any,
        user: str = "user",
        item: str = "item",
        value: str | None = "value",
        time: str | None = None,
        item_names: Any = None,
        like: Any = None,
    ) -> Interactions:
        """Make interactions from an Arrow stream with a row for each event.

        `from_frame` takes such objects too. This method refuses all others, and needs pyarrow.

        Parameters
        ----------
        stream : object with ``__arrow_c_stream__``
            It is read once, batch by batch. Columns that are not named here are skipped. Timestamps with a time zone become
            UTC.
        user, item, value, time, item_names, like
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
        if not hasattr(stream, "__arrow_c_stream__"):
            raise TypeError(f"stream must have __arrow_c_stream__, as a pyarrow Table has; got {type(stream).__name__}")
        return cls._of(Events.of_frame(stream, user, item, value, time), item_names, like)

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        values: Any = None,
        shape: tuple[int, int] | None = None,
        item_names: Any = None,
        times: Any = None,
        like: Any = None,
    ) -> Interactions:
        """Make interactions from arrays of the same length, with an element for each event.

        Use it for numpy arrays and lists. The values of events with the same user and item are summed.

        Parameters
        ----------
        users, items : array_like
            Ids: whole numbers or strings. Row and column numbers if `shape` is given.
        values : array_like, optional
            Counts or ratings; by default 1 for each event.
        shape : (int, int), optional
            Number of users and of items. Use it if `users` and `items` are row and column numbers rather than ids.
        item_names : mapping or Series, optional
            Maps item ids to names.
        times : array_like, optional
            Numbers or datetime64. The latest time of each (user, item) pair is kept.
        like : ALS or Interactions, optional
            As in `from_frame`. Not together with `shape`.

        Returns
        -------
        Interactions

        Examples
        --------
        >>> import cymbals
        >>> cymbals.Interactions.from_arrays([0, 4], [1, 1], shape=(5, 3)).shape
        (5, 3)
        """
        if shape is None:
            return cls._of(Events.of_arrays(users, items, values, times), item_names, like)
        if like is not None:
            raise TypeError("from_arrays takes either shape or like, not both")
        if np.ndim(shape) != 1 or len(shape) != 2:
            raise TypeError(f"shape must be (users, items), got {shape!r}")
        n_users, n_items = (whole_number("shape", n, 0, MOST_ROWS) for n in shape)
        index = index_type(max(n_users, n_items))
        rows, cols = _row_numbers("users", users, n_users, index), _row_numbers("items", items, n_items, index)
        if rows.size != cols.size:
            raise ValueError(f"users and items must have the same length, got {rows.size} and {cols.size}")
        checked = checked_values("values", values, rows.size, lambda at: f"user {rows[at]}, item {cols[at]}")
        when = times_of_events("times", times, rows.size)
        csr = summed(rows, cols, checked, (n_users, n_items), resolve(None))
        item_map = Ids("item", n_items)
        report = {"rows": rows.size, "pairs": csr.nnz}
        return cls(csr, Ids("user", n_users), item_map, names_of(item_names, item_map), report, latest(rows, cols, when))

    @classmethod
    def from_csr(cls, matrix: Any, user_ids: Any = None, item_ids: Any = None, item_names: Any = None) -> Interactions:
        """Make interactions from a scipy sparse matrix or array, with users in rows and items in columns.

        Use it if you have a matrix and want to add ids or item names; `ALS.fit` also takes the matrix itself. Rows are
        sorted, and duplicate entries summed. The arrays of the matrix are copied, so you can change them later. Only arrays
        over ``bytes`` objects are used in place, because no code can change these.

        Parameters
        ----------
        matrix : scipy sparse matrix or array, shape (n_users, n_items)
            Its values are counts or ratings. NaN and infinity are refused.
        user_ids, item_ids : array_like, optional
            Distinct ids of the rows and of the columns; by default the row and column numbers.
        item_names : mapping or Series, optional
            Maps item ids to names.

        Returns
        -------
        Interactions

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> cymbals.Interactions.from_csr(scipy.sparse.eye_array(3), user_ids=["a", "b", "c"]).user_ids
        array(['a', 'b', 'c'], dtype=object)
        """
        csr = from_scipy("matrix", matrix, resolve(None))
        users, items = Ids.checked("user", user_ids, csr.shape[0]), Ids.checked("item", item_ids, csr.shape[1])
        return cls(csr, users, items, names_of(item_names, items), {"pairs": csr.nnz})

    @classmethod
    def build(
        cls,
        source: Any,
        out: str | os.PathLike[str],
        *,
        user: str = "user",
        item: str = "item",
        value: str | None = "value",
        time: str | None = None,
        item_names: Any = None,
        memory: str | int = "4GB",
        temporary: str | os.PathLike[str] | None = None,
        progress: bool = False,
        n_threads: int | None = None,
        filesystem: Any = None,
    ) -> Interactions:
        """Build a store from any number of events, in bounded memory, and open it.

        Use it if the events do not fit in memory, or only just. The store is the same as that of `from_frame` and `save`.
        Needs pyarrow.

        Parameters
        ----------
        source : path-like, list of paths, object with ``__arrow_c_stream__``, or iterable of record batches
            Files that end in .parquet, .csv, .tsv, .csv.gz or .tsv.gz, or folders of them. A part of a path such as
            ``day=2024-05-01`` is a column of Parquet files. Or a stream: a pyarrow RecordBatchReader, a Polars frame, a
            DuckDB relation.
        out : path-like
            A new folder, or a store to replace. Readers find the old store until the new one is complete.
        user, item, value, time : str
            Names of the columns, as in `from_frame`. A `value` of None counts each row as 1.
        item_names : mapping or Series, optional
            Maps item ids to names.
        memory : str or int
            How much memory to use, in bytes or as "4GB" or "512MB". Python and its libraries take about 300 MB more. Each
            distinct id takes 20 to 100 bytes of this, and there must be room for the events of the most active user.
        temporary : path-like, optional
            An existing folder for temporary files; by default they are beside `out`. They take about 24 bytes for each
            event, more for float64 values and for times. They are removed at the end.
        progress : bool
            Show progress on stderr.
        n_threads : int, optional
            By default CYMBALS_NUM_THREADS or OMP_NUM_THREADS, or all CPUs that the process may use.
        filesystem : pyarrow or fsspec file system, or URI, optional
            Where the paths of `source` are. Paths such as "s3://bucket/events" need none.

        Returns
        -------
        Interactions
            The opened store. ``report["lines_rejected"]`` counts the rows of text files with more or fewer fields than the
            header.

        Raises
        ------
        KeyError, ValueError, TypeError
            As `from_frame`. The message names the file and the row in it.
        MemoryError
            `memory` is too small. The message says how much is needed.
        OSError
            The store cannot be written, or the disk has too little room.

        Notes
        -----
        If a build from files is broken off, the temporary files stay, and the same call goes on behind the last step that
        was finished: reading the events, or the matrix by user. If the arguments or the files have changed, it begins anew.
        So does a build from a stream, which can be read only once.

        Examples
        --------
        >>> import cymbals, pathlib, pyarrow as pa, tempfile
        >>> from pyarrow import parquet
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> events = pa.table({"user": [7, 7, 9], "item": ["abba", "blur", "abba"], "value": [3, 1, 2]})
        >>> parquet.write_table(events, folder / "events.parquet")
        >>> cymbals.Interactions.build(folder / "events.parquet", folder / "plays", memory="1GB")
        <Interactions: 2 users x 2 items, 3 entries>
        """
        named = {"user": user, "item": item, "value": value, "time": time}
        names = partial(names_of, item_names)
        building.build(source, out, named, names, memory, temporary, progress, n_threads, filesystem)
        return cls.open(out)

    @classmethod
    def _of(cls, events: Events, names: Any, like: Any) -> Interactions:
        n_threads = resolve(None)
        if like is not None:
            return cls._alike(events, names, like, n_threads)
        users, items = (Ids(what, c.ids.size, c.ids) for what, c in (("user", events.users), ("item", events.items)))
        rows, cols = events.users.places, events.items.places
        csr = summed(rows, cols, events.values, (users.n, items.n), n_threads)
        report = {"rows": rows.size, "pairs": csr.nnz}
        return cls(csr, users, items, names_of(names, items), report, latest(rows, cols, events.times))

    @classmethod
    def _alike(cls, events: Events, names: Any, like: Any, n_threads: int) -> Interactions:
        """Interactions with the users and items of `like`."""
        users, items = ids_of(like)
        rows, no_users = placed("the events", users, events.users.ids, events.users.places)
        cols, no_items = placed("the events", items, events.items.ids, events.items.places)
        known = (rows >= 0) & (cols >= 0)
        warn_of_unknown("the events", known, no_users, no_items)
        rows, cols = rows[known], cols[known]
        csr = summed(rows, cols, events.values[known], (users.n, items.n), n_threads)
        report = {"rows": events.users.size, "unknown": int(known.size - np.count_nonzero(known)), "pairs": csr.nnz}
        if names is None:
            own_names = like.item_names_ if hasattr(like, "item_names_") else like.item_names
        else:
            own_names = names_of(names, items)
        last = None if events.times is None else latest(rows, cols, events.times[known])
        return cls(csr, users, items, own_names, report, last)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the interactions to a store, which `Interactions.open` reads.

        Use it to keep data that took long to read and clean. A store is a folder with checksummed files, without pickle. It
        holds the matrix by user and by item, the ids, names, times and the report.

        Parameters
        ----------
        path : path-like
            A new folder, or a store to replace. Readers find the old store until the new one is complete.

        Raises
        ------
        OSError
            The folder cannot be written, it holds other files, or another process is writing it.

        Examples
        --------
        >>> import cymbals, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "plays"
        >>> cymbals.Interactions.from_arrays(["ann", "bob"], ["abba", "blur"], [3, 4]).save(path)
        >>> cymbals.Interactions.open(path)
        <Interactions: 2 users x 2 items, 2 entries>
        """
        by_user, by_item = self.csr.whole(), self.by_item().whole()
        arrays = pack_csr("by_user", by_user) | pack_csr("by_item", by_item)
        arrays |= pack_labels(self.users, self.items, self.item_names)
        if self.times is not None:
            arrays["times"] = self.times
        store.write(path, {"shape": self.shape, "report": _plain(self.report), "cymbals": version()}, arrays)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Interactions:
        """Open a store that `save` wrote.

        The entries stay in the files, which are mapped. Use it for data that are larger than memory: `ALS.fit` and the
        model's methods read them in blocks of rows. Each part of a file is checked when it is first read. If another
        process replaces the store, the opened interactions do not change.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Interactions

        Raises
        ------
        StoreError
            The folder is not a store, its format version is unknown, or it was damaged after it was written. Damage to the
            entries is found later, when they are first read.
        """
        opened = store.read(path)
        facts, arrays = opened.facts, opened.arrays
        with store.refusing(path):
            n_users, n_items = _shape_of(facts)
            csr = mapped_csr(path, arrays, "by_user", (n_users, n_items), "users")
            by_item = mapped_csr(path, arrays, "by_item", (n_items, n_users), "items")
            if csr.nnz != by_item.nnz:
                raise ValueError("the matrices by user and by item do not match")
            users, items = (
                unpack_ids(_in_memory(arrays, name), name, name[:-1], n)
                for name, n in (("users", n_users), ("items", n_items))
            )
            report = _report_of(facts)

        def names() -> NDArray[Any] | None:
            with store.refusing(path):
                found = unpack_strings(_in_memory(arrays, "names"), "names")
                if found is not None and found.size != n_items:
                    raise ValueError(f"names must have one name for each of the {n_items} items, got {found.size}")
                return found

        def times() -> NDArray[Any] | None:
            with store.refusing(path):
                return times_of_events("times", arrays["times"].checked(), csr.nnz) if "times" in arrays else None

        out = cls(csr, users, items, names, report, times)
        out._by_item, out._opened = by_item, opened
        return out

    def as_events(self) -> Events:
        """One event for each entry."""
        users = Coded(self.users.all(), self.csr.row_numbers())
        items = Coded(self.items.all(), self.csr.indices)
        return Events(users, items, self.csr.data, self.times, (self.users.array is None, self.items.array is None))

    def append(
        self,
        events: Any,
        how: str = "add",
        *,
        user: str = "user",
        item: str = "item",
        value: str | None = "value",
        time: str | None = None,
    ) -> Interactions:
        """Interactions with further events. Unknown users and items get new rows, behind the old ones.

        Use it to keep the data of a nightly fit up to date; `ALS.update` does the same with a fitted model.

        Interactions that `open` has opened write the next version of their store, in blocks, and this method returns it
        opened. All who have opened the version before, also this object, keep that version.

        Parameters
        ----------
        events : DataFrame, Arrow stream, Interactions, or (users, items) or (users, items, values)
        how : {"add", "replace"}
            "add": values are added to those of the same user and item. "replace": values replace them; of several values
            for a pair, the last counts.
        user, item, value, time : str
            Names of columns, if `events` is a frame or a stream. A `value` of None counts each row as 1.

        Returns
        -------
        Interactions
            The latest time of each pair is kept. If only one of the two has times, the result has none.

        Raises
        ------
        StoreError
            The store was replaced since it was opened.
        OSError
            The store cannot be written, or another process is writing it. It then stays as it was.

        Examples
        --------
        >>> import cymbals
        >>> plays = cymbals.Interactions.from_arrays(["ann", "bob"], ["abba", "blur"], [3, 4])
        >>> plays.append((["ann", "cy"], ["abba", "cure"], [2, 1])).user_items.toarray()
        array([[5., 0., 0.],
               [0., 4., 0.],
               [0., 0., 1.]], dtype=float32)
        """
        one_of("how", how, ("add", "replace"))
        given, n = Events.of(events, user, item, value, time), resolve(None)
        users, items, rows, cols = given.rows_among(self.users, self.items)
        shape = (users.n, items.n)
        changes = given.matrix(rows, cols, shape, how, n)
        before = resized(self.csr, shape)
        changes, names, times = resolved([before], changes, how)[0], with_names(self.item_names, items.n), None
        if self._opened is not None:
            return self._next_version(changes, latest(rows, cols, given.times), users, items, names)
        if self.times is not None and given.times is not None:
            changed = latest(rows, cols, given.times)
            assert changed is not None
            csr, times = merged_with_times(before, changes, self.times, changed)
        else:
            csr = before.after(changes, n_threads=n)
        return Interactions(csr, users, items, names, {"pairs": csr.nnz}, times)

    def _next_version(
        self, changes: Csr, times: NDArray[Any] | None, users: Ids, items: Ids, names: NDArray[Any] | None
    ) -> Interactions:
        """Write the next version of the store that these interactions were opened from, and open it."""
        by_user, by_item, opened = self.csr, self.by_item(), self._opened
        assert isinstance(by_user, MappedCsr)
        assert isinstance(by_item, MappedCsr)
        assert opened is not None
        appending.append(opened, by_user, by_item, changes, times, pack_labels(users, items, names))
        return Interactions.open(opened.path)

    def remove(self, users: Any = None, items: Any = None, pairs: Any = None) -> Interactions:
        """Interactions without some users, without some items, or without the entries of some pairs.

        Parameters
        ----------
        users, items : id or array_like of ids, optional
            They lose their rows and columns.
        pairs : (users, items), optional
            A tuple of two arrays of ids. The pair of their first elements loses its entry, and so on. A pair without an
            entry is ignored.

        Returns
        -------
        Interactions

        Raises
        ------
        KeyError
            An id is unknown.

        Examples
        --------
        >>> import cymbals
        >>> plays = cymbals.Interactions.from_arrays(["ann", "ann", "bob"], ["abba", "blur", "blur"])
        >>> plays.remove(users="bob", pairs=(["ann"], ["abba"]))
        <Interactions: 1 users x 2 items, 1 entries>
        """
        if users is None and items is None and pairs is None:
            raise TypeError("remove takes users, items or pairs")
        keep = np.ones(self.nnz, bool)
        if pairs is not None:
            if not isinstance(pairs, tuple) or len(pairs) != 2:
                raise TypeError("pairs must be a tuple of two arrays of ids: (users, items)")
            rows, cols = (
                ids.rows("pairs", listed(side)) for ids, side in zip((self.users, self.items), pairs, strict=True)
            )
            if rows.size != cols.size:
                raise ValueError(f"pairs must have as many users as items, got {rows.size} and {cols.size}")
            at, found = self.csr.find(rows, cols)
            keep[at[found]] = False
        left = self.where(keep) if pairs is not None else self
        masks = self.users.kept("users", users), self.items.kept("items", items)
        inside = masks[0][left.csr.row_numbers()] & masks[1][left.csr.indices]
        names = None if self.item_names is None else self.item_names[masks[1]]
        times = None if left.times is None else left.times[inside]
        csr = without_rows_and_columns(left.csr, *masks)
        kept = [np.flatnonzero(mask) for mask in masks]
        return Interactions(csr, self.users.taken(kept[0]), self.items.taken(kept[1]), names, {"pairs": csr.nnz}, times)

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
            self._names.flags.writeable = False  # models that are fitted on these data share the array
        return self._names

    @property
    def times(self) -> NDArray[Any] | None:
        if callable(self._times):
            self._times = self._times()
        return self._times

    def by_item(self, n_threads: int | None = None) -> Csr:
        """The transpose (items x users), in the form that the kernels read. It is made at the first call and stored."""
        if self._by_item is None:
            self._by_item = self.csr.transposed(resolve(n_threads))
        return self._by_item

    @property
    def has_by_item(self) -> bool:
        """Whether `by_item` is made already."""
        return self._by_item is not None

    @cached_property
    def user_items(self) -> sp.csr_array:
        """The matrix (users x items) as a read-only scipy CSR array with sorted indices; indptr and indices are int64.

        Use it to compute with the data in scipy.
        """
        return self.csr.to_scipy()

    @cached_property
    def item_users(self) -> sp.csr_array:
        """The transpose (items x users) as a read-only scipy CSR array with sorted indices; indptr and indices are int64.

        Use it to look up the users of an item.
        """
        return self.by_item().to_scipy()

    def with_values(self, values: NDArray[Any]) -> Interactions:
        """Interactions with the same entries and other values. Use it for a weighting of your own.

        Parameters
        ----------
        values : ndarray of float32 or float64, shape (nnz,)
            In the order of `user_items.data`. They are not checked or copied.

        Returns
        -------
        Interactions
        """
        csr = Csr(self.csr.indptr, self.csr.indices, values, self.shape)
        return Interactions(csr, self.users, self.items, self._names, self.report, self._times)

    def where(self, keep: NDArray[np.bool_]) -> Interactions:
        """Interactions with some of the entries, and the same users and items. Use it for a split or filter of your own.

        Parameters
        ----------
        keep : ndarray of bool, shape (nnz,)
            Whether to keep each entry, in the order of `user_items.data`.

        Returns
        -------
        Interactions
        """
        times = None if self.times is None else self.times[keep]
        return Interactions(self.csr.where(keep), self.users, self.items, self._names, None, times)

    def name_of(self, row: int) -> str:
        """The name of an item, for display, or its id as text if it has no name. `row` is its column in `user_items`."""
        name = None if self.item_names is None else self.item_names[row]
        return str(self.item_ids[row]) if name is None else name

    def find(self, text: str) -> pd.DataFrame:
        """Items whose name contains a text; upper and lower case are the same.

        Use it to find the id of an item whose name you know.

        Parameters
        ----------
        text : str

        Returns
        -------
        DataFrame
            Columns item, name, plays (sum of the values), users (number of users). The item with most plays is first.
        """
        wanted = instance("text", text, str).casefold()
        names: Any = [] if self.item_names is None else self.item_names
        rows = np.array([r for r, name in enumerate(names) if name and wanted in name.casefold()], np.int64)
        of_item = self.by_item().take(rows)
        plays = np.bincount(of_item.row_numbers(), of_item.data, rows.size)
        columns = {"item": self.item_ids[rows], "name": [names[r] for r in rows.tolist()], "plays": plays}
        found = frame(columns | {"users": of_item.lengths()})
        return found.sort_values("plays", ascending=False, kind="stable", ignore_index=True)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("user_items", "item_users")} | {
            "_by_item": None,
            "_opened": None,
            "_names": self.item_names,
            "_times": self.times,
        }

    def __repr__(self) -> str:
        return f"<Interactions: {self.shape[0]:,} users x {self.shape[1]:,} items, {self.nnz:,} entries>"


def stored_rows(path: str | os.PathLike[str], name: str, rows: range) -> MappedCsr:
    """Some rows of a store's matrix "by_user" or "by_item". Nothing else of the store is read or checked."""
    opened = store.read(path)
    arrays = opened.arrays
    with store.refusing(path):
        shape = _shape_of(opened.facts)
        if name == "by_user":
            return mapped_rows(path, arrays, name, shape, "users", rows)
        return mapped_rows(path, arrays, name, shape[::-1], "items", rows)


def in_order(name: str, data: Any, users: Ids, items: Ids, n_threads: int) -> Csr:
    """The entries of `data` in the order of a model's users and items.

    If both have ids, entries of other ids are left out, with a warning. Otherwise the shape and the ids must be the same.
    """
    part, shape = as_interactions(name, data, n_threads), (users.n, items.n)
    if part.users.same_as(users) and part.items.same_as(items):
        return part.csr
    if all(side.array is not None for side in (part.users, part.items, users, items)):
        return reordered(name, part.csr, (part.users, users), (part.items, items))
    if part.shape != shape:
        flipped = " (it looks transposed: users go in rows)" if part.shape == shape[::-1] else ""
        raise ValueError(f"{name} must have the model's shape {shape}, got {part.shape}{flipped}")
    if isinstance(data, Interactions):
        raise ValueError(
            f"{name} has other user or item ids than the model; split one data set, and fit the model on its train part"
        )
    return part.csr


def as_interactions(name: str, data: Any, n_threads: int) -> Interactions:
    """`data` itself if it is Interactions; Interactions without ids if it is a sparse matrix."""
    if isinstance(data, Interactions):
        return data
    csr = from_scipy(name, data, n_threads, "Interactions or a scipy sparse matrix or array")
    return Interactions(csr, Ids("user", csr.shape[0]), Ids("item", csr.shape[1]))


def like(data: Any, made: Interactions, dtype: Any = None) -> Any:
    """`made`, which was computed from `data`, in the type of `data`.

    For a sparse matrix the result has its scipy class and format, and its dtype unless another `dtype` is given.
    """
    if isinstance(data, Interactions):
        return made
    out = type(data)(made.csr.to_scipy().copy().asformat(data.format))  # a copy: the Csr's arrays are read-only
    dtype = data.dtype if dtype is None else dtype
    return out if data.dtype.kind not in "biuf" else out.astype(dtype, copy=False)


def derived(data: Data, interactions: Interactions, users: Ids, blocks: Iterator[deriving.Block], out: Any) -> Data:
    """The store `out` with these blocks of rows, opened. `data` must be Interactions, because a store holds these."""
    if not isinstance(data, Interactions):
        raise TypeError(f"out needs Interactions, got {type(data).__name__}; make them with Interactions.from_csr")
    deriving.write(out, interactions, users, blocks)
    made: Data = Interactions.open(out)  # type: ignore[assignment]  # Data is Interactions here
    return made


def _row_numbers(name: str, rows: Any, n: int, index: Any) -> NDArray[Any]:
    """A copy of the caller's row numbers. Raises an error if one of them is outside [0, n)."""
    array = own(id_array(name, rows), rows)
    if array.dtype.kind != "i":
        raise TypeError(f"{name} must be row numbers if shape is given, got {array.dtype}")
    bad = np.flatnonzero((array < 0) | (array >= n))
    if bad.size:
        raise ValueError(f"{name}: entry {bad[0]} is {array[bad[0]]}, outside [0, {n})")
    return array.astype(index, copy=False)


def with_names(names: NDArray[Any] | None, n: int) -> NDArray[Any] | None:
    """The names of `n` items. New items have none."""
    return None if names is None else np.concatenate([names, np.full(n - names.size, None, dtype=object)])


def names_of(names: Any, items: Ids) -> NDArray[Any] | None:
    """An array with the name of each item or None, from a mapping or Series of ids to names."""
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


def _in_memory(arrays: Mapping[str, StoredArray], name: str) -> dict[str, NDArray[Any]]:
    """The arrays of some ids or names, which are called NAME or begin with NAME and a dot."""
    return {key: array.copied() for key, array in arrays.items() if key.partition(".")[0] == name}


def _plain(report: dict[str, Any]) -> dict[str, int | float]:
    """A report as numbers of Python. Raises TypeError for other values, which a store does not hold."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in report.items()}
    for name, value in plain.items():
        if not isinstance(name, str) or not strict_json.is_number(value):
            raise TypeError(f"report[{name!r}] must be a number, so that a store can hold it; got {shown(value)}")
    return plain


def _shape_of(facts: dict[str, Any]) -> tuple[int, int]:
    shape = facts.get("shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(strict_json.is_whole(n, 0, MOST_ROWS) for n in shape):
        raise ValueError(f"its shape must be two whole numbers, got {shown(shape)}")
    return shape[0], shape[1]


def _report_of(facts: dict[str, Any]) -> dict[str, Any]:
    report = facts.get("report")
    if not isinstance(report, dict) or not all(map(strict_json.is_number, report.values())):
        raise ValueError("its report must contain only numbers")
    return report
