"""Goes on with a fit from its checkpoint, after it has checked that the arguments are those of the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .._core import Workspace
from ..base.checks import boolean, whole_number
from ..base.files import check_writable
from ..base.recorder import phase
from ..solve import rule
from ..solve.loop import FitLoop, FitState
from . import checkpoint as checkpoints
from . import fitting, preparing
from .arguments import checked
from .attaching import Side, padded
from .factor_model import FactorModel
from .remembering import CallbackMemory, Remembering


@dataclass(frozen=True)
class Request:
    """Arguments of `ALS.resume`, which `distributed.resume` shares."""

    data: Any
    features: tuple[Any, Any]  # of users, of items
    callback: Any
    progress: bool
    every: int | None


class Rest(NamedTuple):
    """The part of a fit that is left: the arguments of `fitting.run`."""

    loop: FitLoop
    state: FitState
    publisher: fitting.Publisher
    around: fitting.Around
    sides: list[Side | None]


def run(
    model: FactorModel, params: dict[str, Any], n_threads: int, path: str, found: checkpoints.Checkpoint, request: Request
) -> None:
    """Run the iterations that are left, and give `model` the last state. `path` is the file of the checkpoint `found`."""
    rest = prepared(model, params, n_threads, path, found, request)
    if rest is not None:
        fitting.run(*rest)


def prepared(
    model: FactorModel, params: dict[str, Any], n_threads: int, path: str, found: checkpoints.Checkpoint, request: Request
) -> Rest | None:
    """Check the arguments, and return what is left to do. None: the fit is finished, and `model` has its state."""
    terms, state = found.terms, found.state
    assert state.fit is not None
    boolean("progress", request.progress)
    every = terms.every if request.every is None else whole_number("every", request.every, 1)
    callback = None if request.callback is False else request.callback
    fitting.check_callback(callback)
    if not found.is_finished:
        if request.callback is None and terms.has_callback:
            raise ValueError("callback: the fit had one: give it again, or callback=False to go on without it")
        check_writable(path)
    chosen = {name: state.fit.report[name] for name in rule.automatic(params)}
    settings, _, _, schedule, tol, _, _ = checked(params, chosen)
    with phase("data"):
        data, seen = preparing.entries("data", request.data, settings.objective, n_threads)
        found.refuse_other("data", checkpoints.fingerprint(seen, data.users, data.items))
        sides = preparing.sides(request.features, data, n_threads)
        for name, side in checkpoints.fingerprints(sides).items():
            found.refuse_other(name, side)
        resumed_at = {"resumed_at": state.fit.n_iter}
        if found.is_finished:
            fit = replace(state.fit, report=state.fit.report | resumed_at, params=params)
            model.replace_state(state.changed(fit=fit, seen=padded(seen, state.users.n, state.items.n)))
            return None
        problem = preparing.problem(data, seen, params, n_threads, chosen, state.mean)
    problem = replace(problem, report=problem.report | resumed_at)
    terms = replace(terms, every=every, has_callback=callback is not None)
    writer = checkpoints.Writer(path, terms, written=state.fit.n_iter)
    around = fitting.Around(callback, tol, terms.compute_loss, request.progress, writer)
    publisher = fitting.Publisher(model, problem, params, before=None)
    if found.memory is not None and isinstance(callback, Remembering):
        callback.restore_memory(CallbackMemory(found.memory.facts, publisher.state_of(found.memory.kept)), model)
    loop = FitLoop(problem.rows, problem.columns, problem.settings, schedule, terms.from_noise, Workspace(n_threads))
    return Rest(loop, found.fit, publisher, around, sides)
