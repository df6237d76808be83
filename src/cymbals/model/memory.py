"""Predicts the peak memory of a fit from the shape of its data and its arguments.

A fit makes the matrix by item, draws its start, does half-steps, and publishes the model. The prediction adds up what each
of these stages holds, and takes the largest sum.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._core import half_step_bytes
from ..base.format import size_of
from ..data.interactions import Interactions
from ..solve.half_step import NEVER, SOLVERS
from .arguments import Arguments

# The sums from which cymbals_gram makes a Gramian: see csrc/gramian.cpp.
_SEGMENTS, _SEGMENT_ROWS, _SUM_BYTES = 64, 1024, 2**26
_EIGH_ARRAYS = 7  # f x f arrays of float64 that a decomposition takes
# What the allocator holds beyond the arrays, measured with glibc: some small blocks and thread stacks, and about half of an
# array of up to 32 MB that was freed before the peak.
_ALLOCATOR, _RETURNED = 6_000_000, 2**25


class MemoryNeeded(int):
    """A number of bytes. It is an int, and its repr says what the memory is for.

    Attributes
    ----------
    parts : dict of str to int
        What the memory is for. The bytes add up to the number.
    """

    parts: dict[str, int]

    def __new__(cls, parts: dict[str, int]) -> Self:
        self = super().__new__(cls, sum(parts.values()))
        self.parts = {name: n for name, n in parts.items() if n}
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.parts,)

    def __repr__(self) -> str:
        return f"{size_of(self)}: " + ", ".join(f"{name} {size_of(n)}" for name, n in self.parts.items())


def needed(
    data: Interactions,
    arguments: Arguments,
    n_threads: int,
    callback: bool,
    compute_loss: bool,
    factors_on_disk: bool,
) -> MemoryNeeded:
    """The anonymous memory that a fit takes at its peak, above what the process held before it.

    Parameters
    ----------
    data : Interactions
    arguments : Arguments
    n_threads : int
    callback : bool
        Whether the fit copies the factors for a callback.
    compute_loss : bool
    factors_on_disk : bool
        Whether the factors are mapped from files. Copies of them are not.

    Returns
    -------
    MemoryNeeded
    """
    objective, itemsize = arguments.settings.objective, arguments.dtype.itemsize
    width, n_rows = arguments.rank + objective.biases, sum(data.shape)
    compute_loss = compute_loss or arguments.tol is not None
    copies, making = _copies(data, arguments, n_threads)
    part_rows, part_entries = _largest_part(data)
    factors = n_rows * width * itemsize
    fixed, threads = np.max([_kept(indptr, n, arguments, n_threads) for indptr, n in _sides(data)], axis=0).tolist()
    in_half_step = max(
        _gramian(max(data.shape), width, itemsize, n_threads) if objective.unobserved_weight > 0 else 0,
        _EIGH_ARRAYS * 8 * width**2 if objective.unobserved_weight > 0 else 0,
        part_entries * (8 + 2 * itemsize) + max(data.shape) * width * itemsize if objective.biases else 0,
        max(data.shape) * 8 * (6 if compute_loss else 0),
    )
    row_regularization = max(data.shape) * 8 * (3 if objective.nu else 0)
    published = factors * callback + (factors + n_rows * itemsize) * objective.biases
    held = {
        "copies of the data": copies,
        "factors": 0 if factors_on_disk else factors,
        "fixed side": fixed,
        "threads": threads,
    }
    held["temporary arrays"] = max(in_half_step + row_regularization, published) + 16 * part_rows
    held["allocator"] = _ALLOCATOR + (making // 2 if making < _RETURNED else 0)
    return max(MemoryNeeded(held), MemoryNeeded({"copies of the data": copies + making}))


def refuse_more(max_memory: int, needed: MemoryNeeded) -> None:
    """Raises ValueError if a fit needs more than `max_memory` bytes."""
    if needed > max_memory:
        raise ValueError(
            f"max_memory is {size_of(max_memory)}, but the fit needs {needed!r}; use fewer factors or threads, data from "
            "Interactions.open, or factors_path"
        )


def _sides(data: Interactions) -> list[tuple[NDArray[np.int64], int]]:
    """For the half-steps of users and of items: the row pointers, and the number of rows of the other side."""
    lengths = data.by_item().lengths() if data.has_by_item else data.csr.column_counts()
    of_items = np.concatenate([[0], np.cumsum(lengths)])
    return [(data.csr.indptr, data.shape[1]), (of_items, data.shape[0])]


def _largest_part(data: Interactions) -> tuple[int, int]:
    """The most rows and the most entries of a part in which users are read. A matrix in memory copies no rows: 0."""
    begins = data.csr.part_begins()
    rows, entries = int(np.diff(begins).max()), int(np.diff(data.csr.indptr[begins]).max())
    return (rows if begins.size > 2 else 0), entries


def _copies(data: Interactions, arguments: Arguments, n_threads: int) -> tuple[int, int]:
    """The copies of the data that a fit holds, and what making them takes in addition."""
    csr, objective = data.csr, arguments.settings.objective
    index, value = (dtype.itemsize for dtype in csr.types)
    kept = csr.nnz * (index + value) if objective.kind != "explicit" and csr.has_zeros() else 0
    changed = csr.nnz * value if objective.transform is not None else 0
    making = max(17 * csr.nnz if kept else 0, 4 * changed)
    if not data.has_by_item or kept or changed:
        making = max(making - csr.nnz * (index + value), csr.nnz * index + 8 * n_threads * data.shape[1])
        kept += csr.nnz * (index + value) + 8 * (data.shape[1] + 1)
    return kept + changed, making


def _kept(indptr: NDArray[np.int64], n_fixed: int, arguments: Arguments, n_threads: int) -> tuple[int, int]:
    """What a half-step keeps in the workspace: for the fixed side, and for the threads and the order of the rows."""
    settings, width = arguments.settings, arguments.rank + arguments.settings.objective.biases

    def kept(n: int, compact: int) -> int:
        rows = SimpleNamespace(shape=(indptr.size - 1, n), indptr=indptr)
        rows.indices, rows.data = np.empty(0, np.int32), np.empty(0, np.float32)
        fixed = np.empty((n, width), arguments.dtype)  # is never written to, so that the system gives it no memory
        return half_step_bytes(rows, fixed, SOLVERS[settings.solver], settings.cg_steps, compact, n_threads)

    threads = kept(1, NEVER)
    return kept(n_fixed, settings.compact) - threads, threads


def _gramian(n: int, width: int, itemsize: int, n_threads: int) -> int:
    """The sums of segments of rows that are added up to the Gramian of n rows, and the panels of the threads."""
    segments = max(1, min(_SEGMENTS, _SUM_BYTES // (8 * width**2), n // _SEGMENT_ROWS))
    return 8 * segments * width**2 + n_threads * itemsize * max(64 * width, min(width**2, 2**16))
