"""Starting factors: random, given arrays, or those of a fitted model, whose rows are matched by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import refuse_masked
from ..data.ids import Ids
from ..data.interactions import Interactions


@dataclass(frozen=True)
class Known:
    """Solved factors of a fitted model, the ids of their rows, and its number of factors without biases."""

    users: Ids
    items: Ids
    x: NDArray[Any]
    y: NDArray[Any]
    rank: int


def start(
    init: Any, data: Interactions, rank: int, biases: bool, dtype: Any, rng: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Factors to start a fit from; with `biases`, a column of biases follows the factors.

    Parameters
    ----------
    init : None, (X0, Y0) or Known
        None: both sides N(0, (0.1 / sqrt(rank))^2). Rows that `Known` does not have are drawn so, too.
    data : Interactions
    rank : int
    biases : bool
    dtype : dtype
    rng : Generator or RandomState

    Returns
    -------
    x, y : ndarray, shape (n_users, rank) and (n_items, rank)
    """
    x, y = (_noise(rng, n, rank, dtype, biases) for n in data.shape)
    if init is None:
        return x, y
    if isinstance(init, Known):
        _take_known(init, data, x, y, rank)
    else:
        _take_arrays(init, data, x, y, rank)
    return x, y


def _take_known(init: Known, data: Interactions, x: NDArray[Any], y: NDArray[Any], rank: int) -> None:
    if init.rank != rank:
        raise ValueError(f"init has {init.rank} factors, this model {rank}")
    for to, ids, known, factors in ((x, data.users, init.users, init.x), (y, data.items, init.items, init.y)):
        if (ids.array is None) != (known.array is None) or ids.whole != known.whole:
            raise ValueError(f"init and train must have the same kind of {ids.what} ids: numbers, strings or none")
        rows = known.find(ids.all())
        width = min(to.shape[1], factors.shape[1])  # one of the two models may be without biases
        to[rows >= 0, :width] = factors[rows[rows >= 0], :width]


def _take_arrays(init: Any, data: Interactions, x: NDArray[Any], y: NDArray[Any], rank: int) -> None:
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
            raise ValueError(f"init: {name} holds values that are not finite, as {side.dtype.name}")


def _array(name: str, side: Any) -> NDArray[Any]:
    """A side as a NumPy array; arrays of other libraries come by DLPack."""
    refuse_masked(f"init: {name}", side)
    try:
        if hasattr(side, "__dlpack__") and not hasattr(side, "__array__"):
            return np.from_dlpack(side)
        return np.asarray(side)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(f"init: {name} must be an array in this machine's memory: {error}") from None


def _noise(rng: Any, n: int, rank: int, dtype: Any, biases: bool) -> NDArray[Any]:
    """N(0, (0.1 / sqrt(rank))^2), drawn in float64, some rows at a time; biases are 0."""
    out = np.zeros((n, rank + biases), dtype)
    step = max(1, 2**20 // rank)
    for begin in range(0, n, step):
        rows = out[begin : begin + step, :rank]
        rows[:] = rng.standard_normal(rows.shape) * (0.1 / np.sqrt(rank))
    return out
