"""Runs the fit loop for one call of `ALS.fit`, with everything around it: callbacks, Ctrl-C, the loss, a progress bar."""

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
class Publisher:
    """Gives the model the state of a running fit. If a half-step fails, it restores the state from before the fit."""

    model: FactorModel
    data: Interactions
    seen: Csr
    mean: float | None
    params: dict[str, Any]
    report: dict[str, Any]  # what is known before the first half-step: counts, and the numbers of the rule
    before: State | None
    published: State | None = None

    def publish(self, fit: FitState) -> None:
        """Make `fit` the state of the model. Without biases, its arrays are not copied."""
        data, mean = self.data, self.mean
        report = self.report | fit.counts
        record = FitRecord(fit.iteration, list(fit.history), report, self.params, planned=fit.n_iterations)
        x, y = user_rows(fit.x, mean), item_rows(fit.y, mean)
        self.published = State(x, y, data.users, data.items, data.item_names, self.seen, mean, record)
        self.model.replace_state(self.published)

    def publish_copy(self, fit: FitState) -> None:
        """Make a copy of `fit` the state of the model.

        A callback may keep the arrays of the copy, while the fit goes on and changes the arrays of `fit`.
        """
        with phase("keep"):
            self.publish(fit.copied())

    def restore(self) -> None:
        """Give the model the state it had before the fit.

        A half-step that fails leaves the factors of the running fit half updated, so they cannot be used. The copy that
        was published for the last callback is discarded too. If another thread has replaced the model's state meanwhile,
        that state stays.
        """
        self.model.replace_state(self.before, only_if=self.published)


def run(
    loop: FitLoop,
    state: FitState,
    publisher: Publisher,
    callback: Callable[[Any, int], Any] | None,
    tol: float | None,
    compute_loss: bool,
    progress: bool,
    loss_of: Callable[[Any, FitState], float] | None = None,
) -> None:
    """Run a fit to its end; the model then has the last state. If the callback returns True, the fit stops at once.

    The model then keeps its present state: the last one, or another one that the callback has given it. `loss_of` computes
    the loss of a state, if the arrays of the loop and of the state are not all in this process.
    """
    process, users, items = os.getpid(), publisher.data.users, publisher.data.items
    with interruptible() as interrupted, progress_bar(progress, state.n_iterations, "fit") as advance:
        while not state.finished:
            relaxation = loop.relaxation(state)
            try:
                with naming(users if state.between_iterations else items):
                    state = loop.step(state)
            except BaseException:
                publisher.restore()
                raise
            if state.between_iterations:
                if compute_loss or tol is not None:
                    state = state.with_loss((loss_of or _loss)(loop, state))
                advance(state.history[-1])
            if interrupted():
                publisher.publish_copy(state)
                interrupted.deliver()
            if not state.between_iterations:
                continue
            if callback is not None:
                publisher.publish_copy(state)
                answer = callback(publisher.model, state.iteration)
                _refuse_fork(process)
                if isinstance(answer, (bool, np.bool_)) and answer:
                    return  # without publishing: the callback may have given the model another state
            if tol is not None:
                state = state.stopped_by(tol, relaxation)
        publisher.publish(state.gathered())


def _loss(loop: FitLoop, state: FitState) -> float:
    settings = loop.settings
    return loss(loop.rows, state.x, state.y, settings.objective, loop.columns.indptr, loop.workspace, settings.mean)


def _refuse_fork(process: int) -> None:
    if os.getpid() != process:
        raise RuntimeError(
            "this process was forked inside the callback of a fit; only the parent process can continue the fit: "
            "end the child with os._exit, or start it with 'spawn' or 'forkserver'"
        )
