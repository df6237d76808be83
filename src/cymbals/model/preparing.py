"""Turns the data of a fit into what its loop reads: checked entries by user and by item, settings, aligned features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.csr import Csr
from ..data.interactions import Interactions, as_interactions
from ..solve import rule
from ..solve.half_step import Settings
from ..solve.objective import Objective
from .arguments import checked
from .attaching import Side
from .side_features import SideFeatures
from .solving_model import entries_of, transformed

FEATURES = ("user_features", "item_features")


@dataclass(frozen=True)
class Problem:
    """What a fit solves. `report` is what is known before the first half-step: counts, and the numbers of the rule."""

    data: Interactions
    seen: Csr  # the entries that the objective uses
    rows: Csr  # their values by user, after a callable confidence
    columns: Csr  # the same by item
    settings: Settings
    report: dict[str, Any]


def entries(name: str, given: Any, objective: Objective, n_threads: int) -> tuple[Interactions, Csr]:
    """The argument `name` as Interactions, and the entries that the objective uses. There must be at least one."""
    data = as_interactions(name, given, n_threads)
    seen = entries_of(name, data.csr, objective, n_threads)
    if seen.nnz == 0:
        raise ValueError(f"{name} has no entries (shape {data.shape}); a fit needs at least one")
    return data, seen


def sides(features: tuple[Any, Any], data: Interactions, n_threads: int) -> list[Side | None]:
    """The features of users and of items, in the order of the data's rows. None for a side without features."""
    return [
        None if given is None else SideFeatures.aligned(name, given, ids, n_threads)
        for name, given, ids in zip(FEATURES, features, (data.users, data.items), strict=True)
    ]


def problem(
    data: Interactions,
    seen: Csr,
    params: dict[str, Any],
    n_threads: int,
    chosen: Mapping[str, float] | None = None,
    mean: float | None = None,
) -> Problem:
    """What a fit of these entries with these arguments of the estimator solves.

    A resumed fit gives the numbers that the rule has `chosen` for arguments that are "auto", and the `mean` of a model with
    biases. A new fit computes them.
    """
    settings, dtype = checked(params).settings, checked(params).dtype
    if settings.objective.biases and mean is None:
        mean = _mean(seen, dtype)
    rows = transformed(seen, settings.objective)
    if chosen is None:
        automatic = rule.automatic(params)
        chosen = rule.chosen(settings.objective, automatic, rows) if automatic else {}
    settings = replace(checked(params, chosen).settings, mean=mean)
    columns = data.by_item(n_threads) if rows is data.csr else rows.transposed(n_threads)
    for side in (rows, columns):  # raises an overflow of either side now, not after the first half-step
        settings.objective.row_regularization(side.indptr, side.shape[1])
    report = {"stored_zeros_dropped": data.csr.nnz - seen.nnz} | dict(chosen)
    return Problem(data, seen, rows, columns, settings, report)


def _mean(csr: Csr, dtype: np.dtype[Any]) -> float:
    """The mean of the values. Refuses a mean that is too large for `dtype`."""
    with np.errstate(over="ignore"):
        mean = float(np.mean(csr.data, dtype=np.float64))
        held = np.isfinite(dtype.type(mean))
    if not held:
        raise ValueError(
            f"train: the mean of its values, {mean}, is too large for {dtype}; scale them down, or use dtype='float64'"
        )
    return mean
