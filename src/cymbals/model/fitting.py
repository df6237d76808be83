"""Runs a fit, with everything around its loop: callbacks, signals, the loss, a progress bar, checkpoints, features."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..base.checks import shown
from ..base.interrupt import interruptible
from ..base.progress import progress_bar
from ..base.recorder import phase
from ..metrics.loss import loss
from ..solve.loop import FitLoop, FitState
from .attaching import Side, attached
from .checkpoint import Writer
from .factor_model import FactorModel
from .naming import naming
from .preparing import Problem
from .remembering import CallbackMemory, memory_of
from .state import FitRecord, State, item_rows, user_rows


@dataclass(frozen=True)
class Around:
    """What happens between the half-steps of a fit."""

    callback: Callable[[Any, int], Any] | None
    tol: float | None
    compute_loss: bool
    progress: bool
    writer: Writer | None  # of checkpoints
    # Computes the loss of a state, if the arrays of the loop and of the state are not all in this process.
    loss_of: Callable[[Any, FitState], float] | None = None


@dataclass
class Publisher:
    """Gives the model the state of a running fit. If a half-step fails, it restores the state from before the fit."""

    model: FactorModel
    problem: Problem
    params: dict[str, Any]
    before: State | None
    published: State | None = None

    def state_of(self, fit: FitState) -> State:
        """The state of a model with the factors of `fit`. Without biases, it shares the arrays of `fit`."""
        data, mean = self.problem.data, self.problem.settings.mean
        report = self.problem.report | fit.counts
        record = FitRecord(fit.iteration, list(fit.history), report, self.params, planned=fit.n_iterations)
        x, y = user_rows(fit.x, mean), item_rows(fit.y, mean)
        state = State(x, y, data.users, data.items, data.item_names, self.problem.seen, mean, record)
        if self.problem.seen.is_mapped and self.problem.rows is self.problem.seen:  # then the transpose takes no memory
            state.caching_seen_by_item(self.problem.columns)
        return state

    def publish(self, fit: FitState) -> State:
        """Make `fit` the state of the model. Without biases, its arrays are not copied."""
        self.published = self.state_of(fit)
        self.model.replace_state(self.published)
        return self.published

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


def check_callback(callback: Any) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the model and the iteration, got {shown(callback)}")


def run(loop: FitLoop, state: FitState, publisher: Publisher, around: Around, sides: list[Side | None]) -> None:
    """Run a fit to its end; the model then has the last state. `sides` are the features of users and items.

    If the callback returns True, the loop stops at once. The model then keeps its present state: the last one, or another
    one that the callback has given it.
    """
    state = _run_loop(loop, state, publisher, around)
    if not any(sides):
        return
    before, n_threads = publisher.model.state_, loop.workspace.n_threads
    try:
        with phase("features"):
            after = attached(before, sides[0], sides[1], around.compute_loss, n_threads)
    except BaseException:
        publisher.model.replace_state(publisher.before, only_if=before)
        raise
    publisher.model.replace_state(after, only_if=before)
    if around.writer is not None:
        _write(around.writer, state, after)


def _run_loop(loop: FitLoop, state: FitState, publisher: Publisher, around: Around) -> FitState:
    """Run the loop. Returns the state in which it ended, which the model and the checkpoint then have too."""
    process, users, items = os.getpid(), publisher.problem.data.users, publisher.problem.data.items
    writer = around.writer
    with interruptible() as interrupted, progress_bar(around.progress, state.n_iterations, "fit") as advance:
        while not state.finished:
            relaxation = loop.relaxation(state)
            try:
                with naming(users if state.between_iterations else items):
                    state = loop.step(state)
            except BaseException:
                publisher.restore()
                raise
            if state.between_iterations:
                if around.compute_loss or around.tol is not None:
                    state = state.with_loss((around.loss_of or _loss)(loop, state))
                advance(state.history[-1])
                if around.callback is not None:
                    publisher.publish_copy(state)
                    answer = around.callback(publisher.model, state.iteration)
                    _refuse_fork(process)
                    if isinstance(answer, (bool, np.bool_)) and answer:
                        return _stopped(state, publisher, writer)
                if around.tol is not None:
                    state = state.stopped_by(around.tol, relaxation)
            stops = interrupted() and not state.finished  # a finished fit is first published and written
            if stops:
                publisher.publish_copy(state)
            if writer is not None and not state.finished and (stops or writer.is_due(state)):
                _write_running(writer, state.gathered(), publisher, around.callback)
            if stops:
                interrupted.deliver()
        state = state.gathered()
        last = publisher.publish(state)
        if writer is not None:
            _write(writer, state, last)
    return state


def _stopped(state: FitState, publisher: Publisher, writer: Writer | None) -> FitState:
    """End the fit because the callback returned True. The model keeps its state, which the callback may have given it.

    Returns the fit state that belongs to the model's state, and writes a checkpoint of it. If the model's state is not from
    this fit, this writes nothing and returns `state`.
    """
    kept = publisher.model._state
    if writer is None or kept is None or kept.fit is None:
        return state
    state, n = state.gathered(), kept.fit.n_iter
    if n > state.iteration or (kept.x.shape[0], kept.y.shape[0]) != (state.x.shape[0], state.y.shape[0]):
        return state
    state = replace(
        state,
        x=kept.solved_users(),
        y=kept.solved_items(),
        half_steps=2 * n,
        n_iterations=n,
        history=tuple(kept.fit.history),
        losses=state.losses[:n],
        counts={name: kept.fit.report.get(name, 0) for name in state.counts},
    )
    _write(writer, state, kept)
    return state


def _write_running(writer: Writer, state: FitState, publisher: Publisher, callback: Any) -> None:
    """Write a checkpoint of a fit that goes on. If this fails, the model gets the factors."""
    try:
        _write(writer, state, publisher.state_of(state), memory_of(callback, state))
    except BaseException:
        publisher.publish(state)
        raise


def _write(writer: Writer, fit: FitState, state: State, memory: CallbackMemory | None = None) -> None:
    with phase("checkpoint"):
        writer.write(fit, state, memory)


def _loss(loop: FitLoop, state: FitState) -> float:
    settings = loop.settings
    return loss(loop.rows, state.x, state.y, settings.objective, loop.columns.indptr, loop.workspace, settings.mean)


def _refuse_fork(process: int) -> None:
    if os.getpid() != process:
        raise RuntimeError(
            "this process was forked inside the callback of a fit; only the parent process can continue the fit: "
            "end the child with os._exit, or start it with 'spawn' or 'forkserver'"
        )
