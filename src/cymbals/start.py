"""Where a fit begins: noise, given factors, or those of a fitted model, matched by id."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._validation import refuse_masked
from .interactions import Interactions
from .model import FactorModel


def start(
    init: Any, data: Interactions, rank: int, biases: bool, dtype: Any, rng: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Factors to start from, with `biases` a column of these behind them."""
    x, y = (_noise(rng, n, rank, dtype, biases) for n in data.shape)
    if init is None:
        return x, y
    if isinstance(init, FactorModel):
        state = init.state_
        if state.item_factors.shape[1] != rank:
            raise ValueError(f"init has {state.item_factors.shape[1]} factors, this model {rank}")
        for to, ids, known, factors in (
            (x, data.users, state.users, state.solved_users()),
            (y, data.items, state.items, state.solved_items()),
        ):
            if (ids.array is None) != (known.array is None) or ids.whole != known.whole:
                raise ValueError(f"init and train must have the same kind of {ids.what} ids: numbers, strings or none")
            rows = known.find(ids.all())
            width = min(to.shape[1], factors.shape[1])  # either model may be without biases
            to[rows >= 0, :width] = factors[rows[rows >= 0], :width]
        return x, y
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
            raise ValueError(f"init: {name} holds values that are not finite, as {np.dtype(dtype).name}")
    return x, y


def _array(name: str, side: Any) -> NDArray[Any]:
    """A side as an array, be it of another library."""
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
