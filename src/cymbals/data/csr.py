"""Compressed sparse rows (CSR) in the form that the kernels read, checked once when they are made.

indptr is int64, indices are int32 if the shape fits into it, else int64. scipy stores both in one type; separate types save
four bytes for each entry.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._core import check_csr
from .._core import from_triplets as core_from_triplets
from .._core import merge_rows as core_merge_rows
from .._core import transpose as core_transpose
from ..base.checks import is_missing, refuse_masked, shown

MOST_ROWS = 2**48  # more rows are surely a mistake, and their size in bytes would overflow

BLOCK_ENTRIES = 2**23  # of a block of rows
_CHANGED = "the file of the interactions was changed while it was in use: load the model, or open the store, again"
_INDPTR, _INDEX, _NAN, _UNSORTED, _NEGATIVE, _ZERO = range(1, 7)  # from the worst problem to those that are allowed


def index_type(n: int) -> type[np.int32] | type[np.int64]:
    """The smallest integer type for indices from 0 to n - 1."""
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


@dataclass(frozen=True)
class Csr:
    """A sparse matrix with read-only arrays. The entries of a row are sorted by column, with each column at most once."""

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
        # pickle then calls Csr(...), which makes the loaded arrays read-only
        return Csr, (self.indptr, self.indices, self.data, self.shape)

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return int(self.indices.shape[0])

    @property
    def is_mapped(self) -> bool:
        """Whether the entries are in a file that is mapped."""
        return _mapped(self.data)

    @property
    def types(self) -> tuple[np.dtype[Any], np.dtype[Any]]:
        """The types of the indices and of the values."""
        return self.indices.dtype, self.data.dtype

    def whole(self) -> Csr:
        """This matrix with all its entries in its arrays. An overlay, which keeps changes apart, merges them."""
        return self

    def parts(self) -> Iterator[tuple[int, Csr]]:
        """The matrix in parts that a caller can hold in memory: the first row of each part, and its rows.

        A matrix in memory is one part. That of a store has the parts of `blocks`.
        """
        yield 0, self

    def part_begins(self) -> NDArray[np.int64]:
        """The first row of each part, and then the number of rows."""
        return np.array([0, self.shape[0]])

    def blocks(self) -> Iterator[tuple[int, Csr]]:
        """The matrix in blocks of rows: the first row of each block, and its rows.

        A block has about BLOCK_ENTRIES entries. Where it begins depends on `indptr` alone, so sums over blocks that are
        added in order have the same bits, wherever the matrix is.
        """
        begins = self.block_begins().tolist()
        for begin, end in itertools.pairwise(begins):
            yield begin, self.between(begin, end)

    def block_begins(self) -> NDArray[np.int64]:
        """The first row of each block, and then the number of rows."""
        begins = np.searchsorted(self.indptr[:-1], np.arange(0, self.indptr[-1], BLOCK_ENTRIES))
        return np.unique([0, *begins, self.shape[0]])

    def between(self, begin: int, end: int) -> Csr:
        """Rows `begin` to `end` - 1. Only their row pointers are copied."""
        first, last = self.indptr[begin], self.indptr[end]
        indptr = self.indptr[begin : end + 1] - first
        return Csr(indptr, self.indices[first:last], self.data[first:last], (end - begin, self.shape[1]))

    def lengths(self) -> NDArray[np.int64]:
        """The number of entries of each row."""
        return self.indptr[1:] - self.indptr[:-1]

    def column_counts(self, positive: bool = False) -> NDArray[np.int64]:
        """The number of entries of each column, or of its entries above 0."""
        counts = np.zeros(self.shape[1], np.int64)
        for _, block in self.blocks():
            indices = block.indices[block.data > 0] if positive else block.indices
            counts += np.bincount(indices, minlength=counts.size)
        return counts

    def row_numbers(self) -> NDArray[np.int64]:
        """The row number of each entry."""
        return np.repeat(np.arange(self.shape[0]), self.lengths())

    def row(self, r: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Columns and values of one row."""
        part = slice(self.indptr[r], self.indptr[r + 1])
        return self.indices[part], self.data[part]

    def row_sum(self, r: int) -> float:
        """The sum of the values of one row."""
        return float(self.row(r)[1].sum())

    def transposed(self, n_threads: int) -> Csr:
        """The transposed matrix."""
        indptr = np.empty(self.shape[1] + 1, np.int64)
        indices = np.empty(self.nnz, index_type(self.shape[0]))
        data = np.empty_like(self.data)
        core_transpose(self, indptr, indices, data, n_threads)
        return Csr(indptr, indices, data, (self.shape[1], self.shape[0]))

    def take(self, rows: NDArray[np.int64], n_threads: int = 1) -> Csr:
        """The matrix of the given rows, in the given order."""
        if rows.size == self.shape[0] and np.array_equal(rows, np.arange(rows.size)):
            return self
        return self.after(None, rows, n_threads)

    def after(self, changes: Csr | None, rows: NDArray[np.int64] | None = None, n_threads: int = 1) -> Csr:
        """The matrix, or the matrix of the given rows of it, with the entries of `changes`.

        `changes` has the same shape. For a pair that both have, the value of `changes` counts.
        """
        base = self
        if changes is not None:
            base, changes = _of_one_type(self, changes)
        shape = (self.shape[0] if rows is None else rows.size, self.shape[1])
        indptr = np.empty(shape[0] + 1, np.int64)
        try:
            core_merge_rows(base, changes, rows, indptr, n_threads)
            indices, data = np.empty(indptr[-1], base.indices.dtype), np.empty(indptr[-1], base.data.dtype)
            core_merge_rows(base, changes, rows, indptr, n_threads, indices, data)
        except ValueError as error:
            raise ValueError(_CHANGED) if self.is_mapped else error from None
        made = Csr(indptr, indices, data, shape)
        if self.is_mapped and made.is_broken():
            raise ValueError(_CHANGED)
        return made

    def where(self, keep: NDArray[np.bool_]) -> Csr:
        """The matrix of the entries for which the mask is true."""
        kept = np.concatenate(([0], np.cumsum(keep)))[self.indptr]
        return Csr(kept, self.indices[keep], self.data[keep], self.shape)

    def find(self, rows: NDArray[np.int64], columns: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The position of each (row, column) pair among the entries, and whether it has one.

        For a pair without an entry, it is the position that the entry would get. Runs a binary search for all pairs at the
        same time.
        """
        low, end = self.indptr[rows], self.indptr[rows + 1]
        high = end.copy()
        while (unsure := np.flatnonzero(low < high)).size:
            middle = (low[unsure] + high[unsure]) // 2
            before = self.indices[middle] < columns[unsure]
            low[unsure] = np.where(before, middle + 1, low[unsure])
            high[unsure] = np.where(before, high[unsure], middle)
        found = low < end
        found[found] = self.indices[low[found]] == columns[found]
        return low, found

    def holds(self, rows: NDArray[np.int64], columns: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each (row, column) pair has an entry."""
        return self.find(rows, columns)[1]

    def has_zeros(self) -> bool:
        """Whether a stored value is 0."""
        return any((block.data == 0).any() for _, block in self.blocks())

    def has_negative(self) -> bool:
        """Whether a value is below 0. All values must be finite."""
        return self.worst(1) == _NEGATIVE

    def without_zeros(self) -> Csr:
        """The matrix without its stored zeros; the same object if it has none."""
        return self.where(self.data != 0) if self.has_zeros() else self

    def owned(self) -> Csr:
        """The matrix, or a checked copy of it in memory if its arrays are mapped from a file that others can change."""
        if not self.is_mapped:
            return self
        csr = Csr(self.indptr.copy(), self.indices.copy(), self.data.copy(), self.shape)
        if csr.is_broken():
            raise ValueError(_CHANGED)
        return csr

    def is_broken(self) -> bool:
        """Whether an index is out of range or out of order, or a value is not finite. For arrays that a file held."""
        return not is_valid(self.worst(1))

    def worst(self, n_threads: int) -> int:
        """What `check_csr` finds. Below _NEGATIVE, the matrix is not valid; 0: no value is below 0, or 0."""
        return check_csr(self, n_threads)[0]

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
        """Makes a matrix from triplets inside `shape`. Values with the same row and column are summed, in float64."""
        index = index_type(max(shape))
        rows, cols = (np.ascontiguousarray(a, dtype=index) for a in (rows, cols))
        indptr = np.empty(shape[0] + 1, np.int64)
        indices, data = np.empty(rows.shape, index), np.empty(rows.shape, values.dtype)
        core_from_triplets(rows, cols, np.ascontiguousarray(values), shape, indptr, indices, data, n_threads)
        n = int(indptr[-1])
        if n < rows.shape[0]:
            indices, data = indices[:n], data[:n]
            if n < 0.9 * rows.shape[0]:  # otherwise the unused memory is too small to be worth a copy
                indices, data = indices.copy(), data.copy()
            if not np.isfinite(data).all():
                at = int(np.argmin(np.isfinite(data)))
                row = int(np.searchsorted(indptr, at, side="right")) - 1
                raise ValueError(f"the entries of row {row}, column {indices[at]} add up to {data[at]}: too large")
        return cls(indptr, indices, data, shape)


class IndirectCsr(Csr):
    """A matrix that has no arrays of its own entries: `whole` makes a matrix that has them."""

    def __getattr__(self, name: str) -> Any:
        if name in ("indices", "data"):
            return getattr(self.whole(), name)
        raise AttributeError(name)

    @property
    def nnz(self) -> int:
        return int(self.indptr[-1])


def is_valid(problem: int) -> bool:
    """Whether a matrix with this worst problem is valid: its indices are in range and in order, and its values finite."""
    return problem in (0, _NEGATIVE, _ZERO)


def summed(rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any], shape: tuple[int, int], n_threads: int) -> Csr:
    """Like `Csr.from_triplets`, but returns float64 values if whole numbers or their sums are not exact in float32."""
    if values.dtype != np.float32:
        return Csr.from_triplets(rows, cols, values, shape, n_threads)
    if _largest(values) < 2**24:  # whole numbers are exact in float32, and their sums usually are
        csr = Csr.from_triplets(rows, cols, values, shape, n_threads)
        if csr.nnz == values.size or _largest(csr.data) < 2**24:
            return csr
    if np.any(values != np.rint(values)):
        return Csr.from_triplets(rows, cols, values, shape, n_threads)
    csr = Csr.from_triplets(rows, cols, values.astype(np.float64), shape, n_threads)
    return Csr(csr.indptr, csr.indices, exact(csr.data), shape)


def _of_one_type(*matrices: Csr) -> list[Csr]:
    """The matrices with indices of one type and values of one type, which can hold those of all of them."""
    index, value = (np.result_type(*(getattr(m, name) for m in matrices)) for name in ("indices", "data"))
    same = [m.indices.dtype == index and m.data.dtype == value for m in matrices]
    return [
        m if good else replace(m, indices=m.indices.astype(index), data=m.data.astype(value))
        for m, good in zip(matrices, same, strict=True)
    ]


def _largest(values: NDArray[Any]) -> float:
    """The largest absolute value; 0 for an empty array."""
    return max(float(values.max()), -float(values.min())) if values.size else 0.0


def values_array(name: str, values: Any) -> NDArray[Any]:
    """Values as a float32 or float64 array.

    Floats keep their width (float16 becomes float32). Whole numbers become float32 if all are exact in it, else float64.
    """
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
    """An object array as float64. It may hold numbers of any type, and strings that represent numbers."""
    try:
        numbers = objects.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row = next((row for row, value in enumerate(objects.flat) if not _is_number(value)), 0)
    else:  # float() accepts "1_000", which is not a number in data files
        texts = ((row, value) for row, value in enumerate(objects.flat) if isinstance(value, (str, bytes)))
        row = next((row for row, text in texts if not _is_number(text)), -1)
        if row < 0:
            return numbers
    value = objects.flat[row]
    if is_missing(value):
        raise ValueError(f"{name}: row {row} has no number ({value}); drop such rows, or fill in a number")
    raise TypeError(f"{name} must hold numbers within a float's range; row {row} holds {shown(value)}")


def exact(values: NDArray[np.float64]) -> NDArray[Any]:
    """Whole numbers as float32 if all are exact in it (24 bits), else unchanged."""
    if _largest(values) > 2**24:
        return values
    return values.astype(np.float32)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not (isinstance(value, (str, bytes)) and "_" in str(value))


def from_scipy(name: str, matrix: Any, n_threads: int, accepted: str = "a scipy sparse matrix or array") -> Csr:
    """A checked Csr from any scipy sparse matrix or array. It shares memory only with immutable ``bytes`` objects.

    If `matrix` is of another type, the error says that the argument `name` must be `accepted`.
    """
    if not sp.issparse(matrix):
        raise TypeError(f"{name} must be {accepted}; got {type(matrix).__name__}{_instead(matrix)}")
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
    # read each attribute once: another thread may replace it
    given_rows, given_cols, given = matrix.row, matrix.col, matrix.data
    rows, cols, values = own(given_rows, given_rows), own(given_cols, given_cols), own(values_array(name, given), given)
    _check_triplets(name, rows, cols, values, shape)
    if blocks:  # a BSR block also stores the zeros between its entries
        stored = values != 0
        rows, cols, values = rows[stored], cols[stored], values[stored]
    return summed(rows, cols, values, shape, n_threads)


def _instead(data: Any) -> str:
    """The end of an error message about `data` that are no sparse matrix. It says how to convert them."""
    if hasattr(data, "user_items"):
        return ": pass its user_items, whose columns must be the model's items in the model's order"
    if hasattr(data, "columns"):
        return (
            ": if the frame has a row for each event, use Interactions.from_frame(frame, user=..., item=..., value=...); "
            "if it has a column for each item, use scipy.sparse.csr_array(frame.to_numpy())"
        )
    return ": make one with scipy.sparse.csr_array(x)"


def _from_compressed(name: str, matrix: Any, shape: tuple[int, int], n_threads: int) -> Csr:
    """A Csr of `shape` from a CSR matrix. A CSC matrix gives the Csr of its transpose, which has the same arrays.

    Unsorted rows are sorted, and duplicate entries summed. The arrays are copied before they are checked, because another
    thread of the caller may change them at any time.
    """
    by_column = matrix.format == "csc"
    given = matrix.data  # read the attribute once: another thread may replace it
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
        raise ValueError(
            f"{name}.indptr must start at 0, must not decrease, and must not end above the number of entries; "
            f"see position {position}"
        )
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
    """`array`, or a copy of it if it shares memory with the caller's `source` and that memory can be changed."""
    if isinstance(source, (list, tuple)):  # numpy has already made a new array
        return array
    source = np.asarray(source)
    return array.copy() if np.may_share_memory(array, source) and not _immutable(source) else array


def _immutable(array: Any) -> bool:
    """Whether an array's memory belongs to a ``bytes`` object.

    The read-only flag is not enough: the memory of a read-only view can change through the array that owns it, and the
    memory of a mapped file through the file.
    """
    while isinstance(array, (np.ndarray, memoryview)):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return isinstance(array, bytes)


def _mapped(array: Any) -> bool:
    """Whether an array's memory is a mapped file."""
    while isinstance(array, (np.ndarray, memoryview)):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return isinstance(array, mmap.mmap)


def _check_triplets(
    name: str, rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]
) -> None:
    """Raises if a row or column is outside `shape` or a value is not finite. The error names the first such entry."""
    for axis, at, n in (("row", rows, shape[0]), ("column", cols, shape[1])):
        bad = np.flatnonzero((at < 0) | (at >= n))
        if bad.size:
            raise ValueError(f"{name}: entry {bad[0]} has {axis} {at[bad[0]]}, outside [0, {n})")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        b = bad[0]
        place = f"row {rows[b]}, column {cols[b]}"
        raise ValueError(f"{name} holds {values[b]} at {place}; values must be finite: drop or replace it")


def refuse_negative(name: str, csr: Csr, advice: str, n_threads: int) -> None:
    """Raises if an entry is below 0. The message ends with `advice`."""
    if csr.worst(n_threads) != _NEGATIVE:
        return
    position = int(np.argmax(csr.data < 0))
    row = int(np.searchsorted(csr.indptr, position, side="right")) - 1
    raise ValueError(f"{name} holds {csr.data[position]} at row {row}, column {csr.indices[position]}; {advice}")


def random_mask(n: int, share: float, rng: np.random.Generator | np.random.RandomState) -> NDArray[np.bool_]:
    """A mask that is true for a random share of `n` entries, rounded to whole entries."""
    out = np.zeros(n, dtype=bool)
    out[rng.permutation(n)[: round(share * n)]] = True
    return out
