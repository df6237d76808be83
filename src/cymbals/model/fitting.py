"""One call of `ALS.fit`: the fit loop, and those who look at its states: callbacks, Ctrl-C, the loss, a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.interrupt import interruptible
from ..base.progress import progress_bar
from ..base.recorder import phase
from ..data.csr import Csr
from ..data.interactions import Interactions
from ..metrics.loss import loss
from ..solve.loop import FitLoop, FitState
from .factor_model import FactorModel
from .naming import naming
from .state import FitRecord, State, item_rows, user_rows


@dataclass
class Showing:
    """Shows states of a fit as the model's, and gives the model its former state back if the fit fails."""

    model: FactorModel
    data: Interactions
    seen: Csr
    mean: float | None
    params: dict[str, Any]
    report: dict[str, int]  # what is known before the first half-step
    before: State | None
    shown: State | None = None

    def show(self, fit: FitState) -> None:
        """The arrays of `fit` become the model's."""
        data, mean = self.data, self.mean
        record = FitRecord(fit.iteration, list(fit.history), self.report | fit.counts, self.params)
        x, y = user_rows(fit.x, mean), item_rows(fit.y, mean)
        self.shown = State(x, y, data.users, data.items, data.item_names, self.seen, mean, record)
        self.model.replace_state(self.shown)

    def show_copy(self, fit: FitState) -> None:
        """As `show`, for a fit that goes on: what callbacks keep must not change."""
        with phase("keep"):
            self.show(fit.copied())

    def take_back(self) -> None:
        """Called when a half-step failed: its factors are neither old nor new. Updates by others stay."""
        self.model.replace_state(self.before, only_if=self.shown)


def run(
    loop: FitLoop,
    state: FitState,
    showing: Showing,
    callback: Callable[[Any, int], Any] | None,
    tol: float | None,
    compute_loss: bool,
    progress: bool,
) -> None:
    """Runs a fit to its end, or until a callback returns True, and shows its last state."""
    process, users, items = os.getpid(), showing.data.users, showing.data.items
    with interruptible() as interrupted, progress_bar(progress, state.n_iterations, "fit") as advance:
        while not state.finished:
            relaxation = loop.relaxation(state)
            try:
                with naming(users if state.between_iterations else items):
                    state = loop.step(state)
            except BaseException:
                showing.take_back()
                raise
            if state.between_iterations:
                if compute_loss or tol is not None:
                    state = state.with_loss(_loss(loop, state))
                advance(state.history[-1])
            if interrupted():
                showing.show_copy(state)
                interrupted.deliver()
            if not state.between_iterations:
                continue
            if callback is not None:
                showing.show_copy(state)
                answer = callback(showing.model, state.iteration)
                _refuse_fork(process)
                if isinstance(answer, (bool, np.bool_)) and answer:
                    return  # the model stays as the callback left it
            if tol is not None:
                state = state.ending_by(tol, relaxation)
        showing.show(state)


def _loss(loop: FitLoop, state: FitState) -> float:
    settings = loop.settings
    return loss(loop.rows, state.x, state.y, settings.objective, loop.columns.indptr, loop.workspace, settings.mean)


def _refuse_fork(process: int) -> None:
    if os.getpid() != process:
        raise RuntimeError(
            "this process was forked in the fit's callback, and only its parent can go on with the fit: "
            "leave the child with os._exit, or start it with 'spawn' or 'forkserver'"
        )
