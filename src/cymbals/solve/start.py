"""Starting factors of a fit: random, given arrays, or the factors of a fitted model, matched by id."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace, draw_normal
from ..base.blocks import blocks
from ..base.checks import refuse_masked
from ..data.ids import Ids
from ..data.interactions import Interactions

Empty = Callable[[tuple[int, int], Any], NDArray[Any]]
USERS, ITEMS = range(2)  # sides: each has a stream of random numbers of its own


@dataclass(frozen=True)
class FittedFactors:
    """Factors of a fitted model and the ids of their rows. A new fit can start from them."""

    users: Ids
    items: Ids
    x: NDArray[Any]
    y: NDArray[Any]
    rank: int  # number of factors; a column of biases does not count


def start(
    init: Any,
    data: Interactions,
    rank: int,
    biases: bool,
    dtype: Any,
    key: int,
    workspace: int | Workspace,
    empty: Empty = np.empty,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The starting factors of a fit. With `biases`, each side has one more column for them.

    Parameters
    ----------
    init : None, (X0, Y0) or FittedFactors
        None: both sides are drawn from N(0, (0.1 / sqrt(rank))^2). Users and items that a fitted model does not have are
        drawn in the same way.
    data : Interactions
    rank : int
    biases : bool
    dtype : dtype
    key : int
        Of the random numbers: see `key_of`.
    workspace : int or Workspace
        A number of threads, or a workspace.
    empty : callable
        Makes the arrays, given their shape and dtype.

    Returns
    -------
    x, y : ndarray, shape (n_users, rank) and (n_items, rank); with `biases`, rank + 1 columns
    """
    x, y = (noise(key, side, range(n), rank, dtype, biases, workspace, empty) for side, n in enumerate(data.shape))
    if init is None:
        return x, y
    if isinstance(init, FittedFactors):
        _copy_fitted(init, data, x, y, rank)
    else:
        _copy_arrays(init, data, x, y, rank)
    return x, y


def _copy_fitted(init: FittedFactors, data: Interactions, x: NDArray[Any], y: NDArray[Any], rank: int) -> None:
    if init.rank != rank:
        raise ValueError(f"init has {init.rank} factors, but this model has factors={rank}; use the same number")
    for to, ids, known, factors in ((x, data.users, init.users, init.x), (y, data.items, init.items, init.y)):
        if (ids.array is None) != (known.array is None) or ids.whole != known.whole:
            raise ValueError(f"init and train must have the same kind of {ids.what} ids: numbers, strings or none")
        rows = known.find(ids.all())
        width = min(to.shape[1], factors.shape[1])  # they differ by 1 if only one of the two models has biases
        to[rows >= 0, :width] = factors[rows[rows >= 0], :width]


def _copy_arrays(init: Any, data: Interactions, x: NDArray[Any], y: NDArray[Any], rank: int) -> None:
    sides = list(init) if isinstance(init, (tuple, list)) else []
    if len(sides) != 2:
        raise TypeError(f"init must be (X0, Y0) or a fitted ALS, got {type(init).__name__}")
    given = [_array(name, side) for name, side in zip(("X0", "Y0"), sides, strict=True)]
    for name, side, n in zip(("X0", "Y0"), given, data.shape, strict=True):
        if side.shape != (n, rank) or side.dtype.kind not in "iuf":
            raise ValueError(f"init: {name} must be numbers of shape {(n, rank)}, got {side.dtype} of {side.shape}")
    with np.errstate(over="ignore"):
        x[:, :rank], y[:, :rank] = given
    for name, side in (("X0", x), ("Y0", y)):
        if not np.isfinite(side).all():
            raise ValueError(f"init: {name} has values that are not finite in {side.dtype.name}")


def _array(name: str, side: Any) -> NDArray[Any]:
    """One of the given sides as a NumPy array. Arrays of other libraries are exchanged through DLPack."""
    refuse_masked(f"init: {name}", side)
    try:
        if hasattr(side, "__dlpack__") and not hasattr(side, "__array__"):
            return np.from_dlpack(side)
        return np.asarray(side)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(
            f"init: {name} must be an array in main memory that NumPy can read: {error}; pass a NumPy array"
        ) from None


def key_of(rng: np.random.Generator | np.random.RandomState) -> int:
    """A key of 64 bits for `noise`, which a generator draws."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**64, dtype=np.uint64))
    return int(rng.randint(0, 2**64, dtype=np.uint64))


def noise(
    key: int,
    side: int,
    rows: range,
    rank: int,
    dtype: Any,
    biases: bool,
    workspace: int | Workspace,
    empty: Empty = np.empty,
) -> NDArray[Any]:
    """Random factors from N(0, (0.1 / sqrt(rank))^2), and biases of 0.

    A row depends on the key, the side (USERS or ITEMS) and its number alone, so any process can draw any rows.
    """
    out, scale = empty((len(rows), rank + biases), dtype), 0.1 / math.sqrt(rank)
    if not biases:
        draw_normal(out, key, side, rows.start, scale, workspace)
        return out
    out[:, -1] = 0
    for block in blocks(len(rows), rank * out.itemsize):
        drawn = np.empty((block.size, rank), dtype)
        draw_normal(drawn, key, side, rows.start + int(block[0]), scale, workspace)
        out[block, :rank] = drawn
    return out
