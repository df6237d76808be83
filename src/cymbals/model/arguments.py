"""Checks the constructor arguments of `ALS`, and turns them into what a fit needs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import boolean, generator, one_of, real_number, whole_number
from ..solve.half_step import LARGE, NEVER, Settings
from ..solve.loop import Schedule
from ..solve.objective import Objective
from ..solve.rule import automatic

_OBJECTIVE_PARAMS = tuple(inspect.signature(Objective.checked).parameters)
_OVER_RELAXED = Schedule(second=1.3, growth=0.1, maximum=1.8)  # the default for solver "auto" only


class Arguments(NamedTuple):
    """The constructor arguments after their checks."""

    settings: Settings
    rank: int
    iterations: int
    schedule: Schedule
    tol: float | None
    dtype: np.dtype[Any]
    rng: np.random.Generator | np.random.RandomState


def checked(params: dict[str, Any], chosen: Mapping[str, float] | None = None) -> Arguments:
    """Check all constructor arguments but `n_threads`. Raises ValueError or TypeError for the first wrong one.

    `chosen` has the numbers for arguments that are "auto". Without it, 1 stands for them.
    """
    params = params | (dict.fromkeys(automatic(params), 1.0) if chosen is None else dict(chosen))
    return Arguments(
        settings_of(params),
        whole_number("factors", params["factors"], 1, 65_536),
        whole_number("iterations", params["iterations"], 1),
        _schedule(params["relaxation"], params["solver"]),
        None if params["tol"] is None else real_number("tol", params["tol"]),
        _dtype(params["dtype"], {name: params[name] for name in ("regularization", "unobserved_weight")}),
        generator(params["random_state"]),
    )


def numbers(params: dict[str, Any], report: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments of a fitted model, with the numbers of its report for those that are "auto".

    Raises if one is "auto", and there is no report, because the model is not fitted.
    """
    names = automatic(params)
    if report is None and names:
        raise ValueError(f"{names[0]}='auto' is a number only after fit: fit the model first, or give a number")
    return params | {name: report[name] for name in names if report is not None}


def settings_of(params: dict[str, Any], **changes: Any) -> Settings:
    """Check constructor arguments and make Settings of them. `changes` replace fields of the result."""
    settings = Settings(
        objective=Objective.checked(**{name: params[name] for name in _OBJECTIVE_PARAMS}),
        solver=one_of("solver", params["solver"], ("auto", "cg", "exact")),
        cg_steps=whole_number("cg_steps", params["cg_steps"], 1, 10_000),
        compact=LARGE if boolean("compact", params["compact"]) else NEVER,
    )
    return replace(settings, **changes)


def _schedule(relaxation: Any, solver: str) -> Schedule:
    if relaxation is None:
        return _OVER_RELAXED if solver == "auto" else Schedule()
    most = real_number("relaxation", relaxation, open_end=True)
    if most >= 2:
        raise ValueError(f"relaxation must be below 2, got {most}")
    return Schedule(most, 0.0, most)


def _dtype(dtype: Any, numbers: dict[str, Any]) -> np.dtype[Any]:
    """The dtype of the factors. Refuses `numbers` that are too large for it."""
    try:
        out: np.dtype[Any] = np.dtype(dtype if isinstance(dtype, (str, type, np.dtype)) else object)
    except TypeError:
        out = np.dtype(object)
    if out not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    for name, number in numbers.items():
        if float(number) > (most := float(np.finfo(out).max)):
            raise ValueError(f"{name} must be at most {most:.3g} with dtype {out.name!r}, got {number}")
    return out
