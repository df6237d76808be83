"""Maps ids of users and items to row numbers and back. Ids are whole numbers or strings; by default, the row numbers."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from .._core import look_up_ids, number_ids
from ..base.checks import is_missing, refuse_masked, shown
from ..base.format import first_few


def id_array(name: str, ids: Any) -> NDArray[Any]:
    """Ids as a one-dimensional array of int64 or of str objects. Raises an error that names the first wrong id.

    UUIDs become their usual text, and bytes become the text that they hold in UTF-8.
    """
    if isinstance(ids, (set, frozenset)):
        raise TypeError(f"{name} is a set, which has no order; pass a list")
    refuse_masked(name, ids)
    if isinstance(ids, (list, tuple)) and ids and isinstance(ids[0], (str, bytes, UUID)):
        array = np.empty(len(ids), object)  # numpy would make all strings as long as the longest one
        array[:] = ids
    else:
        array = np.asarray(ids)
    if array.dtype.kind == "U" and not isinstance(ids, np.ndarray):
        array = np.array(list(ids), dtype=object)  # numpy turns the numbers of a mixed list into strings
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and array.dtype.itemsize < 8):
        return array.astype(np.int64, copy=False)
    if array.dtype.kind == "u":
        big = np.flatnonzero(array > np.uint64(np.iinfo(np.int64).max))
        if big.size:
            raise ValueError(f"{name}: row {big[0]} holds {array[big[0]]}, too large for 63 bits; use strings")
        return array.astype(np.int64)
    if array.dtype.kind == "f":  # pandas turns a column of whole numbers into floats if a value is missing
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise ValueError(f"{name}: row {bad[0]} has no id ({array[bad[0]]}); drop such rows")
        bad = np.flatnonzero((array != np.floor(array)) | (np.abs(array) >= 2**53))
        if bad.size:
            raise ValueError(
                f"{name}: row {bad[0]} holds {array[bad[0]]}; ids must be whole numbers or strings, and floats "
                "represent whole numbers exactly only below 2^53: use an integer type or strings"
            )
        return array.astype(np.int64)
    if array.dtype.kind in "UTSO":
        return _of_objects(name, array.astype(object))
    raise TypeError(f"{name} must hold whole numbers or strings, got {array.dtype}")


def _of_objects(name: str, objects: NDArray[Any]) -> NDArray[Any]:
    kinds = set(map(type, objects))
    if kinds <= {str}:
        return objects
    if isinstance(objects[0], (int, np.integer)) and not isinstance(objects[0], bool):
        return _whole_numbers(name, objects)
    kind = next((kind for kind in (str, bytes, UUID) if isinstance(objects[0], kind)), str)
    for row, value in enumerate(objects):
        if not isinstance(value, kind):
            raise _not_an_id(name, row, value)
    if kind is UUID:
        return np.array([str(value) for value in objects], object)
    return _decoded(name, objects) if kind is bytes else objects


def _decoded(name: str, objects: NDArray[Any]) -> NDArray[Any]:
    out = np.empty(objects.size, object)
    for row, value in enumerate(objects):
        try:
            out[row] = value.decode()
        except UnicodeDecodeError:
            raise ValueError(
                f"{name}: row {row} holds {shown(value)}, which is not text in UTF-8; use value.hex() or numbers as ids"
            ) from None
    return out


def _whole_numbers(name: str, objects: NDArray[Any]) -> NDArray[np.int64]:
    for row, value in enumerate(objects):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise _not_an_id(name, row, value)
        if not -(2**63) <= int(value) < 2**63:
            raise ValueError(f"{name}: row {row} holds {shown(value)}, too large for 63 bits; use strings")
    return objects.astype(np.int64)


class Places:
    """The distinct values of ids, and the position of each id among them.

    Like `np.unique` with ``return_inverse``, but faster for whole numbers that are close together: these use a table over
    their range instead of sorting.

    Attributes
    ----------
    values : ndarray
        The distinct ids, in rising order.
    """

    def __init__(self, ids: NDArray[Any], n_threads: int) -> None:
        self._ids, self._n_threads = ids, n_threads
        self._places: NDArray[Any] | None = None
        self._table = table_over(ids, 8 * ids.size)
        if self._table is None:
            self.values, self._places = np.unique(ids, return_inverse=True)
        else:
            lowest, table = self._table
            self._ids = np.ascontiguousarray(ids)
            number_ids(self._ids, lowest, table, n_threads)
            self.values = np.flatnonzero(table >= 0) + lowest

    def of_ids(self, renumbered: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The position of each id in `values`. If `renumbered` is given, returns its elements at these positions instead.

        Call this only once: it may overwrite the table of positions.
        """
        if self._table is None:
            assert self._places is not None
            return self._places if renumbered is None else renumbered[self._places]
        lowest, table = self._table
        if renumbered is not None:
            table[self.values - lowest] = renumbered
        places = np.empty(self._ids.size, np.int32)
        look_up_ids(self._ids, lowest, table, places, self._n_threads)
        return places


def distinct(ids: NDArray[Any], n_threads: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct ids in rising order, and the position of each id among them."""
    places = Places(ids, n_threads)
    return places.values, places.of_ids()


def table_over(ids: NDArray[Any], most: int) -> tuple[int, NDArray[np.int32]] | None:
    """The lowest id, and an empty table with an element for each number from the lowest to the highest id.

    None if the ids are not int64, or if the table would be much longer than `most`.
    """
    if ids.dtype != np.int64 or ids.size == 0:
        return None
    lowest = int(ids.min())
    span = int(ids.max()) - lowest + 1
    return (lowest, np.empty(span, np.int32)) if span <= min(most + 65_536, 2**31 - 1) else None


def _not_an_id(name: str, row: int, value: Any) -> Exception:
    if is_missing(value):
        return ValueError(f"{name}: row {row} has no id ({value}); drop such rows")
    return TypeError(
        f"{name}: row {row} holds {shown(value)}; ids must be all whole numbers, or all strings, bytes or UUIDs"
    )


class Ids:
    """The distinct ids of all users or all items, in row order. If `array` is None, the row numbers are the ids."""

    def __init__(self, what: str, n: int, array: NDArray[Any] | None = None) -> None:
        self.what, self.n = what, n
        if array is not None:
            array = array.view()
            array.flags.writeable = False
        self.array = array

    def __repr__(self) -> str:
        kind = "row numbers" if self.array is None else "whole numbers" if self.whole else "strings"
        return f"<Ids: {self.n:,} {self.what}s, {kind}>"

    @classmethod
    def checked(cls, what: str, ids: Any, n: int) -> Ids:
        """Ids from a caller's argument, which is None or holds n distinct ids."""
        if ids is None:
            return cls(what, n)
        array = id_array(f"{what}_ids", ids).copy()
        if array.size != n:
            raise ValueError(f"{what}_ids must hold {n} ids, one for each {what}; got {array.size}")
        values, counts = np.unique(array, return_counts=True)
        if values.size != n:
            raise ValueError(f"{what}_ids must be distinct; {values[counts > 1].tolist()[0]!r} occurs more than once")
        return cls(what, n, array)

    @property
    def whole(self) -> bool:
        """Whether the ids are whole numbers (otherwise they are strings)."""
        return self.array is None or self.array.dtype.kind == "i"

    @cached_property
    def _sorted(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        assert self.array is not None
        order = np.argsort(self.array, kind="stable")
        return self.array[order], order

    @cached_property
    def _rows(self) -> dict[str, int]:
        assert self.array is not None
        return {value: row for row, value in enumerate(self.array)}

    def find(self, wanted: NDArray[Any]) -> NDArray[Any]:
        """The row of each id; -1 for unknown ids. The result is an array of its own, which the caller may change."""
        if self.array is None:
            if wanted.dtype.kind != "i":
                return np.full(wanted.size, -1)
            known = wanted.astype(np.uint64) < self.n  # a negative number becomes a large one
            return np.where(known, wanted, -1)
        if self.whole != (wanted.dtype.kind == "i"):
            return np.full(wanted.size, -1)
        if not self.whole:
            return np.fromiter((self._rows.get(w, -1) for w in wanted), np.int64, wanted.size)
        assert self.array is not None
        if 8 * wanted.size >= self.n and (over := table_over(self.array, 8 * wanted.size)) is not None:
            lowest, table = over
            table.fill(-1)
            table[self.array - lowest] = np.arange(self.n)
            places = np.empty(wanted.size, np.int32)
            look_up_ids(np.ascontiguousarray(wanted), lowest, table, places, 1)
            return places
        values, order = self._sorted
        if not values.size:
            return np.full(wanted.size, -1)
        at = np.minimum(np.searchsorted(values, wanted), values.size - 1)
        return np.where(values[at] == wanted, order[at], -1)

    def rows(self, name: str, wanted: Any) -> NDArray[np.int64]:
        """The row of each id. Raises KeyError for unknown ids."""
        array = id_array(name, wanted)
        rows = self.find(array)
        unknown = rows < 0
        if unknown.any():
            missing = [repr(one) for one in dict.fromkeys(array[unknown].tolist())]
            several = f"{len(missing):,} unknown {self.what} ids: " if len(missing) > 1 else f"no {self.what} "
            kind = f"{self.what} ids" if self.array is not None else f"{self.what} row numbers, 0 to {self.n - 1},"
            raise KeyError(f"{name}: {several}{first_few(missing)}; {self.n} {kind} are known")
        return rows.astype(np.int64, copy=False)

    def of(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The id of each row. Row -1 gives the id -1, or None if the ids are strings."""
        if self.array is None:
            return rows.copy()
        if self.n == 0:
            return rows.copy() if self.whole else np.full(rows.shape, None, dtype=object)
        out = self.array[np.maximum(rows, 0)]
        out[rows < 0] = -1 if self.whole else None
        return out

    def all(self) -> NDArray[Any]:
        """All ids, in row order."""
        return np.arange(self.n) if self.array is None else self.array

    def drawn(self, n: int, seed: int) -> NDArray[Any]:
        """`n` ids drawn at random, in row order; all ids if there are at most `n`."""
        if n >= self.n:
            return self.all()
        return self.of(np.sort(np.random.default_rng(seed).choice(self.n, n, replace=False)))

    def extended(self, new: NDArray[Any]) -> Ids:
        """These ids, followed by new ones. If the ids are row numbers, the new ones must be the next row numbers."""
        n = self.n + new.size
        if self.array is None:
            if not np.array_equal(new, np.arange(self.n, n)):
                wanted = f"{self.n}" if new.size == 1 else f"{self.n} to {n - 1}, in this order"
                raise KeyError(
                    f"new {self.what}s of a model or of data without ids must be the next row numbers, {wanted}; "
                    f"got {first_few(new.tolist())}"
                )
            return Ids(self.what, n)
        if new.size and self.whole != (new.dtype.kind == "i"):
            raise TypeError(f"{self.what} ids are {'whole numbers' if self.whole else 'strings'}, got {new.tolist()[0]!r}")
        return Ids(self.what, n, np.concatenate([self.array, new]))

    def taken(self, rows: NDArray[np.int64]) -> Ids:
        """The ids of these rows, in this order. If the ids are row numbers, they are numbered anew."""
        return Ids(self.what, rows.size, None if self.array is None else self.array[rows])

    def with_new(self, wanted: NDArray[Any], needed: NDArray[np.bool_]) -> tuple[Ids, NDArray[np.int64]]:
        """These ids, followed by the unknown ones of `wanted` that are `needed`; and the row of each wanted id.

        `wanted` are distinct. New ids are in rising order. The row of an unknown id that is not needed is -1.
        """
        rows = self.find(wanted).astype(np.int64)
        new = np.flatnonzero((rows < 0) & needed)
        if not new.size:
            return self, rows
        new = new[np.argsort(wanted[new], kind="stable")]
        rows[new] = self.n + np.arange(new.size)
        return self.extended(wanted[new]), rows

    def kept(self, name: str, unwanted: Any) -> NDArray[np.bool_]:
        """A mask of the rows that stay if `unwanted` ids are removed; None removes none."""
        mask = np.ones(self.n, bool)
        if unwanted is not None:
            mask[self.rows(name, listed(unwanted))] = False
        return mask

    def same_as(self, other: Ids) -> bool:
        """Whether both hold the same ids in the same order."""
        if self.n != other.n or (self.array is None) != (other.array is None):
            return False
        if self.array is None or other.array is None:
            return True
        return self.array is other.array or bool(np.array_equal(self.array, other.array))


def one_row(ids: Ids, name: str, wanted: Any) -> int:
    """The row of a single id. Raises TypeError for several ids, KeyError for an unknown one."""
    if not is_one(wanted):
        raise TypeError(f"{name} must be one id, got {shown(wanted)}")
    return int(ids.rows(name, [wanted])[0])


def is_one(ids: Any) -> bool:
    """Whether the argument is a single id (not a list, array or set of ids)."""
    if isinstance(ids, (list, tuple, set, frozenset)):  # numpy.ndim would make an array of a list
        return False
    return isinstance(ids, str) or np.ndim(ids) == 0


def listed(ids: Any) -> Any:
    """A single id as a list of one id; several ids unchanged."""
    return [ids] if is_one(ids) else ids


def whole_id(text: str) -> int:
    """Parse an id of digits. Refuses "1_000", which int() would read as 1000."""
    if "_" in text:
        raise ValueError(text)
    return int(text)


def one_id(whole: bool, text: str) -> Any:
    """Parse an id that somebody typed: a whole number if the ids of the model or data are, else the text."""
    if not whole:
        return text
    try:
        return whole_id(text)
    except ValueError:
        raise KeyError(f"no id {text!r}; the ids are whole numbers") from None
