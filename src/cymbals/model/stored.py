"""Turns a model's state into the arrays and facts of a model file, and back. Reading checks everything in the file."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import version
from ..base import strict_json
from ..base.checks import plain
from ..data.packing import pack_csr, pack_ids, pack_labels, unpack, unpack_csr, unpack_ids, unpack_strings
from ..solve.projection import Projection
from . import container
from .side_features import SideFeatures
from .state import FitRecord, State


def write(
    path: str | os.PathLike[str],
    state: State,
    include_interactions: bool,
    more_facts: dict[str, Any] | None = None,
    more_arrays: dict[str, NDArray[Any]] | None = None,
) -> None:
    """Write a state to one file, with more facts (JSON values) and arrays, which `load` does not need."""
    assert state.fit is not None
    params = storable_params(state.params) | {"dtype": state.y.dtype.name}
    model = {"params": params, "n_iter": state.fit.n_iter, "history": state.fit.history, "report": state.fit.report}
    # Subclasses also write "ALS", because `load` always returns an ALS.
    facts = {"class": "ALS", "cymbals": version(), "model": model, "mean": state.mean} | (more_facts or {})
    arrays = {"x": state.x, "y": state.y} | pack_labels(state.users, state.items, state.names)
    if include_interactions and state.seen is not None:
        arrays |= pack_csr("seen", state.seen.whole())
    for name, side in (("user_features", state.user_features), ("item_features", state.item_features)):
        if side is not None:
            arrays |= _features(name, side)
    container.write(path, facts, arrays | (more_arrays or {}))


def storable_params(params: dict[str, Any]) -> dict[str, Any]:
    """The estimator's arguments as JSON values. Raises ValueError if the confidence is a function."""
    if callable(params["confidence"]):
        raise ValueError(
            "confidence is a function, which cannot be stored in a model file or a checkpoint; pickle the model instead"
        )
    storable = {name: plain(value) for name, value in params.items()}
    if not isinstance(storable["random_state"], int):
        storable["random_state"] = None  # JSON cannot hold a generator. It is needed only for the starting factors.
    return storable


def read(
    path: str | os.PathLike[str], mmap: bool, classes: tuple[str, ...]
) -> tuple[State, dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the state, all facts and all arrays from a model file. The class in the file must be one of `classes`.

    Raises ModelFileError if `write` did not write the file. What the state does not need is not checked.
    """
    facts, arrays = container.read(path, mmap=mmap)
    with container.refusing(path):
        return replace(_stored_state(facts, arrays), fit=_stored_record(facts, classes)), facts, arrays


def _stored_record(facts: dict[str, Any], classes: tuple[str, ...]) -> FitRecord:
    """The record of the fit. Raises ValueError for anything that `write` does not write."""
    if facts.get("class") not in classes:
        raise ValueError(f"its class is {facts.get('class')!r}, not {' or '.join(classes)}")
    model = facts.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("params"), dict):
        raise ValueError("its parameters are missing")
    if not strict_json.is_whole(model.get("n_iter")):
        raise ValueError(f"n_iter must be a whole number of at least 0, got {model.get('n_iter')!r}")
    history, report = model.get("history"), model.get("report")
    if not isinstance(history, list) or not all(map(_is_iteration, history)):
        raise ValueError("history must be a list of iterations, each with iteration, seconds and optionally loss")
    if not isinstance(report, dict) or not all(map(strict_json.is_number, report.values())):
        raise ValueError("report must contain only numbers")
    return FitRecord(model["n_iter"], history, report, model["params"])


def _is_iteration(entry: Any) -> bool:
    """Whether this is an entry of `ALS.history_`. It may have more keys, because callbacks can add them."""
    return (
        isinstance(entry, dict)
        and strict_json.is_whole(entry.get("iteration"), 1)
        and strict_json.is_number(entry.get("seconds"))
        and strict_json.is_number(entry.get("loss", 0))
    )


def _stored_state(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> State:
    """The state without its fit record. Raises ValueError or TypeError for anything that `write` does not write."""
    x, y = (unpack(arrays, name, ("float32", "float64"), 2) for name in ("x", "y"))
    if x.shape[1] != y.shape[1] or x.dtype != y.dtype:
        raise ValueError(
            f"x and y must have the same number of columns and the same dtype, got {x.shape[1]} of {x.dtype} and "
            f"{y.shape[1]} of {y.dtype}"
        )
    if not (x.size and y.size):
        raise ValueError(f"x and y must not be empty, got shapes {x.shape} and {y.shape}")
    for name, factors in (("x", x), ("y", y)):
        if not _all_finite(factors):
            raise ValueError(f"{name} contains numbers that are not finite")
    mean = _stored_mean(facts.get("mean"), x, y)
    users, items = unpack_ids(arrays, "users", "user", x.shape[0]), unpack_ids(arrays, "items", "item", y.shape[0])
    names = unpack_strings(arrays, "names")
    if names is not None and names.size != items.n:
        raise ValueError(f"names must have one name for each of the {items.n} items, got {names.size}")
    seen = unpack_csr(arrays, "seen", (x.shape[0], y.shape[0]), "users")
    width = x.shape[1] - (mean is not None)
    of_users = _stored_features(arrays, "user_features", users.n, width, x.dtype)
    of_items = _stored_features(arrays, "item_features", items.n, width, x.dtype)
    return State(x, y, users, items, names, seen, mean, user_features=of_users, item_features=of_items)


def _all_finite(factors: NDArray[Any]) -> bool:
    """Whether all factors are finite.

    Blocks fit in the cache, so that only `min` has to read a block from memory; `max` finds it in the cache.
    """
    step = max(1, 2**18 // factors.shape[1])
    blocks = (factors[begin : begin + step] for begin in range(0, factors.shape[0], step))
    return all(np.isfinite([block.min(), block.max()]).all() for block in blocks)


def _stored_mean(mean: Any, x: NDArray[Any], y: NDArray[Any]) -> float | None:
    if mean is None:
        return None
    with np.errstate(over="ignore"):
        if not strict_json.is_number(mean) or not np.isfinite(x.dtype.type(mean)):
            raise ValueError(f"mean must be a number in the range of {x.dtype}, got {mean!r}")
    if x.shape[1] < 3 or np.any(x[:, -1] != 1) or np.any(y[:, -2] != 1):
        raise ValueError("x and y must have a column of ones where the other side has its biases")
    return float(mean)


def _features(name: str, side: SideFeatures) -> dict[str, NDArray[Any]]:
    """The arrays of one side's features."""
    assert side.projection is not None
    return pack_csr(name, side.rows) | {f"{name}.weights": side.projection.weights} | pack_ids(f"{name}.ids", side.ids)


def _stored_features(
    arrays: dict[str, NDArray[Any]], name: str, n: int, width: int, dtype: np.dtype[Any]
) -> SideFeatures | None:
    """The features of one side of `n` rows, whose factors have `width` columns in a half-step."""
    if f"{name}.weights" not in arrays:
        return None
    weights = unpack(arrays, f"{name}.weights", (dtype.name,), 2)
    if weights.shape[0] < 1 or weights.shape[1] != width or not _all_finite(weights):
        raise ValueError(f"{name}.weights must be finite and have {width} columns, got {weights.shape}")
    rows = unpack_csr(arrays, name, (n, weights.shape[0] - 1), "rows")
    if rows is None:
        raise ValueError(f"array '{name}.indptr' is missing")
    ids = unpack_ids(arrays, f"{name}.ids", "feature", weights.shape[0] - 1)
    return SideFeatures(rows, ids, Projection(weights))
