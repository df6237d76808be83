"""Compressed sparse rows as the kernels take them: int64 indptr, int32 indices where they fit, checked once.

scipy keeps indptr and indices in one type; here they differ, so that an entry costs no more than it must.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._core import check_csr
from .._core import from_triplets as core_from_triplets
from .._core import transpose as core_transpose
from ..base.checks import is_missing, refuse_masked, shown

MOST_ROWS = 2**48  # of a matrix: more cannot be meant, and would overflow sizes in bytes

_INDPTR, _INDEX, _NAN, _UNSORTED, _NEGATIVE, _ZERO = range(1, 7)


def index_type(n: int) -> type[np.int32] | type[np.int64]:
    """The narrowest type for indices below n."""
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


@dataclass(frozen=True)
class Csr:
    """A sparse matrix whose rows are sorted by column, each column at most once; its arrays are read-only."""

    indptr: NDArray[np.int64]
    indices: NDArray[Any]
    data: NDArray[Any]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        for name in ("indptr", "indices", "data"):
            array = getattr(self, name).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[type[Csr], tuple[Any, ...]]:
        return Csr, (self.indptr, self.indices, self.data, self.shape)  # read-only again when unpickled

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return int(self.indices.shape[0])

    def row_numbers(self) -> NDArray[np.int64]:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def row(self, r: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Columns and values of one row."""
        part = slice(self.indptr[r], self.indptr[r + 1])
        return self.indices[part], self.data[part]

    def transposed(self, n_threads: int) -> Csr:
        """Rows and columns exchanged."""
        indptr = np.empty(self.shape[1] + 1, np.int64)
        indices = np.empty(self.nnz, index_type(self.shape[0]))
        data = np.empty_like(self.data)
        core_transpose(self, indptr, indices, data, n_threads)
        return Csr(indptr, indices, data, (self.shape[1], self.shape[0]))

    def take(self, rows: NDArray[np.int64]) -> Csr:
        """Some rows, in the order given."""
        if rows.size == self.shape[0] and np.array_equal(rows, np.arange(rows.size)):
            return self
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return Csr(indptr, self.indices[at], self.data[at], (rows.size, self.shape[1]))

    def where(self, keep: NDArray[np.bool_]) -> Csr:
        """The entries that a mask keeps."""
        kept = np.concatenate(([0], np.cumsum(keep)))[self.indptr]
        return Csr(kept, self.indices[keep], self.data[keep], self.shape)

    def holds(self, rows: NDArray[np.int64], columns: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether there is an entry at each of these (row, column) pairs: a binary search in each row, all at once."""
        low, end = self.indptr[rows], self.indptr[rows + 1]
        high = end.copy()
        while (unsure := np.flatnonzero(low < high)).size:
            middle = (low[unsure] + high[unsure]) // 2
            before = self.indices[middle] < columns[unsure]
            low[unsure] = np.where(before, middle + 1, low[unsure])
            high[unsure] = np.where(before, high[unsure], middle)
        out = low < end
        out[out] = self.indices[low[out]] == columns[out]
        return out

    def without_zeros(self) -> Csr:
        """The entries that are not 0; itself where there are none."""
        keep = self.data != 0
        return self if keep.all() else self.where(keep)

    def owned(self) -> Csr:
        """A checked copy, of one whose arrays are a file's: whoever writes to the file changes them."""
        csr = Csr(self.indptr.copy(), self.indices.copy(), self.data.copy(), self.shape)
        if check_csr(csr, 1)[0] in (_INDPTR, _INDEX, _NAN, _UNSORTED):
            raise ValueError("the interactions in the model's file are no longer what was saved: load the model again")
        return csr

    def to_scipy(self) -> sp.csr_array:
        """A scipy CSR array with int64 indptr and indices."""
        out = sp.csr_array(self.shape, dtype=self.data.dtype)
        indices = self.indices.astype(np.int64)
        indices.flags.writeable = False
        out.indptr, out.indices, out.data = self.indptr, indices, self.data
        out.has_canonical_format = True
        return out

    @classmethod
    def from_triplets(
        cls, rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any], shape: tuple[int, int], n_threads: int
    ) -> Csr:
        """From triplets inside `shape`; values of equal pairs are summed, in float64."""
        index = index_type(max(shape))
        rows, cols = (np.ascontiguousarray(a, dtype=index) for a in (rows, cols))
        indptr = np.empty(shape[0] + 1, np.int64)
        indices, data = np.empty(rows.shape, index), np.empty(rows.shape, values.dtype)
        core_from_triplets(rows, cols, np.ascontiguousarray(values), shape, indptr, indices, data, n_threads)
        n = int(indptr[-1])
        if n < rows.shape[0]:
            indices, data = indices[:n], data[:n]
            if n < 0.9 * rows.shape[0]:  # else the room left over is not worth a copy
                indices, data = indices.copy(), data.copy()
            if not np.isfinite(data).all():
                at = int(np.argmin(np.isfinite(data)))
                row = int(np.searchsorted(indptr, at, side="right")) - 1
                raise ValueError(f"the entries of row {row}, column {indices[at]} add up to {data[at]}: too large")
        return cls(indptr, indices, data, shape)


def summed(rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any], shape: tuple[int, int], n_threads: int) -> Csr:
    """Csr.from_triplets in which whole-number counts stay exact however large their sums."""
    if values.dtype != np.float32:
        return Csr.from_triplets(rows, cols, values, shape, n_threads)
    if _largest(values) < 2**24:  # nothing to be lost before adding up, and mostly not after
        csr = Csr.from_triplets(rows, cols, values, shape, n_threads)
        if _largest(csr.data) < 2**24:
            return csr
    if np.any(values != np.rint(values)):
        return Csr.from_triplets(rows, cols, values, shape, n_threads)
    csr = Csr.from_triplets(rows, cols, values.astype(np.float64), shape, n_threads)
    return Csr(csr.indptr, csr.indices, exact(csr.data), shape)


def _largest(values: NDArray[Any]) -> float:
    """The largest size of a value, 0 where there is none."""
    return max(float(values.max()), -float(values.min())) if values.size else 0.0


def values_array(name: str, values: Any) -> NDArray[Any]:
    """Numbers as float32 or float64: floats keep their width, whole numbers take float32 where it holds them exactly."""
    refuse_masked(name, values)
    array = np.asarray(values)
    if array.dtype.kind == "O":
        array = _numbers(name, array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {array.dtype}")
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=np.float32 if array.dtype.itemsize <= 4 else np.float64)
    return exact(np.ascontiguousarray(array, dtype=np.float64))


def _numbers(name: str, objects: NDArray[Any]) -> NDArray[np.float64]:
    """Objects as float64: numbers of any kind, and texts that are numbers."""
    try:
        numbers = objects.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row = next((row for row, value in enumerate(objects.flat) if not _is_number(value)), 0)
    else:  # float() takes "1_000" for 1000
        texts = ((row, value) for row, value in enumerate(objects.flat) if isinstance(value, (str, bytes)))
        row = next((row for row, text in texts if not _is_number(text)), -1)
        if row < 0:
            return numbers
    value = objects.flat[row]
    if is_missing(value):
        raise ValueError(f"{name}: row {row} has no number ({value}); drop such rows, or fill them in")
    raise TypeError(f"{name} must hold numbers within a float's range; row {row} holds {shown(value)}")


def exact(values: NDArray[np.float64]) -> NDArray[Any]:
    """Whole numbers as float32 where all fit in its 24 bits, else as they are."""
    if _largest(values) > 2**24:
        return values
    return values.astype(np.float32)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not (isinstance(value, (str, bytes)) and "_" in str(value))


def from_scipy(name: str, matrix: Any, n_threads: int) -> Csr:
    """A checked Csr from any scipy sparse matrix or array. It shares no memory that anybody else can write to."""
    if not sp.issparse(matrix):
        raise TypeError(f"{name} must be a scipy sparse matrix or array; got {type(matrix).__name__}{_instead(matrix)}")
    if matrix.ndim == 1:
        matrix = matrix.reshape((1, -1))
    if matrix.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got shape {matrix.shape}")
    shape = (int(matrix.shape[0]), int(matrix.shape[1]))
    if matrix.format in ("csr", "csc"):
        csr = _from_compressed(name, matrix, shape if matrix.format == "csr" else shape[::-1], n_threads)
        return csr if matrix.format == "csr" else csr.transposed(n_threads)
    blocks = matrix.format == "bsr"
    matrix = matrix.tocoo()
    given_rows, given_cols, given = matrix.row, matrix.col, matrix.data  # read once, for they may be replaced, too
    rows, cols, values = own(given_rows, given_rows), own(given_cols, given_cols), own(values_array(name, given), given)
    _check_triplets(name, rows, cols, values, shape)
    if blocks:  # they hold zeros that nobody stored as entries
        stored = values != 0
        rows, cols, values = rows[stored], cols[stored], values[stored]
    return summed(rows, cols, values, shape, n_threads)


def _instead(data: Any) -> str:
    """What to pass instead of something that is no sparse matrix."""
    if hasattr(data, "user_items"):
        return ": its user_items are one, whose columns must be the model's items in the model's order"
    if hasattr(data, "columns"):
        return (
            ": Interactions.from_frame(frame, user=..., item=..., value=...) takes a frame with a row for each event, "
            "scipy.sparse.csr_array(frame.to_numpy()) one with a column for each item"
        )
    return ": scipy.sparse.csr_array(x) makes one"


def _from_compressed(name: str, matrix: Any, shape: tuple[int, int], n_threads: int) -> Csr:
    """A compressed matrix as a Csr of `shape` (a CSC's transposed), sorted and merged where it is not.

    Everything is copied before it is checked: the caller may change their arrays at any time, from another thread too.
    """
    by_column = matrix.format == "csc"
    given = matrix.data  # read once, for it may be replaced, too
    parts = {"indptr": np.asarray(matrix.indptr), "indices": np.asarray(matrix.indices), "data": np.asarray(given)}
    for part in ("indptr", "indices"):
        if parts[part].dtype.kind not in "iu":
            raise TypeError(f"{name}.{part} must hold whole numbers, got {parts[part].dtype}")
    if parts["indptr"].shape != (shape[0] + 1,):
        raise ValueError(f"{name}.indptr must hold {shape[0] + 1} numbers, got {parts['indptr'].size}")
    if parts["indices"].shape != parts["data"].shape:
        raise ValueError(f"{name} has {parts['indices'].size} indices but {parts['data'].size} values")
    index = parts["indices"].dtype if parts["indices"].dtype in (np.int32, np.int64) else np.int64
    indptr = own(np.ascontiguousarray(parts["indptr"], dtype=np.int64), parts["indptr"])
    indices = own(np.ascontiguousarray(parts["indices"], dtype=index), parts["indices"])
    csr = Csr(indptr, indices, own(values_array(name, given), parts["data"]), shape)
    problem, row, position = check_csr(csr, n_threads)
    if problem == _INDPTR:
        raise ValueError(f"{name}.indptr must start at 0, never fall and end within the entries; see position {position}")
    if problem in (_INDEX, _NAN):
        column = int(csr.indices[position])
        place = f"row {row}, column {column}"
        if by_column:
            place = f"row {column}, column {row}"
        if problem == _INDEX:
            raise ValueError(f"{name} has an index outside its shape: {place}, shape {matrix.shape}")
        raise ValueError(f"{name} holds {csr.data[position]} at {place}; values must be finite: drop or replace it")
    n = int(indptr[-1])
    csr = Csr(csr.indptr, csr.indices[:n], csr.data[:n], shape)
    if problem == _UNSORTED:
        return summed(csr.row_numbers(), csr.indices, csr.data, shape, n_threads)
    return replace(csr, indices=csr.indices.astype(index_type(shape[1]), copy=False))


def own(array: NDArray[Any], source: Any) -> NDArray[Any]:
    """`array`, or a copy of it where it is memory of the caller's `source` that somebody can write to."""
    if isinstance(source, (list, tuple)):  # numpy has made a new array of it
        return array
    source = np.asarray(source)
    return array.copy() if np.may_share_memory(array, source) and not _immutable(source) else array


def _immutable(array: Any) -> bool:
    """Whether an array's memory belongs to a bytes object.

    A read-only flag says little: the array that owns the memory can be written to, and so can a file mapped to be read.
    """
    while isinstance(array, (np.ndarray, memoryview)):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return isinstance(array, bytes)


def _check_triplets(
    name: str, rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]
) -> None:
    """Refuses coordinates outside `shape` and values that are not finite, naming the first."""
    for what, at, n in (("row", rows, shape[0]), ("column", cols, shape[1])):
        bad = np.flatnonzero((at < 0) | (at >= n))
        if bad.size:
            raise ValueError(f"{name}: entry {bad[0]} has {what} {at[bad[0]]}, outside [0, {n})")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        b = bad[0]
        raise ValueError(f"{name} holds {values[b]} at row {rows[b]}, column {cols[b]}; values must be finite")


def refuse_negative(name: str, csr: Csr, what: str, n_threads: int) -> None:
    """Raises where an entry is below 0."""
    if check_csr(csr, n_threads)[0] in (0, _ZERO):
        return
    position = int(np.argmax(csr.data < 0))
    row = int(np.searchsorted(csr.indptr, position, side="right")) - 1
    raise ValueError(
        f"{name} holds {csr.data[position]} at row {row}, column {csr.indices[position]}; "
        f"{what} takes no negative values: drop them, or use objective 'hu' (negative feedback) or 'explicit'"
    )


def random_mask(n: int, share: float, rng: np.random.Generator | np.random.RandomState) -> NDArray[np.bool_]:
    """True for a share of `n` entries, rounded to whole entries and drawn at random."""
    out = np.zeros(n, dtype=bool)
    out[rng.permutation(n)[: round(share * n)]] = True
    return out
