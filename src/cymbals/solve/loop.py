"""The fit loop: half-steps that lead from one immutable state to the next.

Callbacks, early stopping, loss, progress and interruption look at states from outside; none of them is in here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Self

from numpy.typing import NDArray

from .._core import Workspace
from ..base.recorder import at
from ..data.csr import Csr
from .half_step import Settings, half_step


@dataclass(frozen=True)
class Schedule:
    """How far each iteration moves the factors, as a multiple of the way to their least-squares solution.

    The first iteration is too far from the solution for more than 1 to help, and the last one must end at the solution.
    In between, each half-step goes a little too far, and loses less than the next ones gain.
    """

    second: float = 1.0  # in the second iteration
    growth: float = 0.0  # with each iteration after that
    most: float = 1.0

    def relaxation(self, iteration: int, n_iterations: int) -> float:
        """Of an iteration, counted from 1."""
        if iteration in (1, n_iterations):
            return 1.0
        return min(self.most, self.second + self.growth * (iteration - 2))


@dataclass(frozen=True)
class FitState:
    """Where a fit stands between two half-steps.

    The arrays belong to the newest state: `FitLoop.step` takes them over and changes them. `copied` makes a state to keep.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    n_iterations: int  # to do in all
    half_steps: int = 0  # done
    seconds: float = 0.0  # of the half-steps of an unfinished iteration
    history: tuple[
        dict[str, Any], ...
    ] = ()  # an entry for each finished iteration: "iteration", "seconds" and perhaps "loss"
    counts: dict[str, int] = field(default_factory=dict)  # summed over all half-steps

    @property
    def iteration(self) -> int:
        """Iterations finished."""
        return self.half_steps // 2

    @property
    def between_iterations(self) -> bool:
        """Whether users are solved next: an iteration is finished, or none has begun."""
        return self.half_steps % 2 == 0

    @property
    def finished(self) -> bool:
        return self.between_iterations and self.iteration >= self.n_iterations

    def copied(self) -> Self:
        """This state with arrays of its own."""
        return replace(self, x=self.x.copy(), y=self.y.copy())

    def with_loss(self, loss: float) -> Self:
        """This state with the loss of the iteration that has just been finished."""
        return replace(self, history=(*self.history[:-1], self.history[-1] | {"loss": loss}))

    def ending_by(self, tol: float, relaxation: float) -> Self:
        """This state, told to end if the loss fell by less than a share `tol` in the last iteration.

        An over-relaxed iteration stops short of the solution. Where the last one was, another follows.
        """
        if self.iteration < 2 or self.finished:
            return self
        before, now = (entry["loss"] for entry in self.history[-2:])
        if not before - now < tol * abs(before):
            return self
        return replace(self, n_iterations=self.iteration + (relaxation != 1))


@dataclass(frozen=True)
class FitLoop:
    """What stays the same during a fit."""

    rows: Csr  # values by user
    columns: Csr  # the same values by item
    settings: Settings
    schedule: Schedule
    from_noise: bool  # whether the fit starts from random factors
    workspace: Workspace

    def relaxation(self, state: FitState) -> float:
        """Of the iteration that comes next, or is under way."""
        return self.schedule.relaxation(state.iteration + 1, state.n_iterations)

    def step(self, state: FitState) -> FitState:
        """The state after one more half-step: users and items take turns, users first."""
        began = time.perf_counter()
        iteration, users_next = state.iteration + 1, state.between_iterations
        # Noise is a poor start for conjugate gradients: with the usual tolerance they would stop a little early.
        tolerance = self.settings.cg_tolerance / (2 if self.from_noise and iteration == 1 else 1)
        settings = replace(self.settings, relaxation=self.relaxation(state), cg_tolerance=tolerance)
        with at(iteration, "users" if users_next else "items"):
            if users_next:
                info = half_step(self.rows, state.y, state.x, settings, self.workspace)
            else:
                info = half_step(self.columns, state.x, state.y, settings, self.workspace)
        counts = {name: state.counts.get(name, 0) + count for name, count in info.items()}
        seconds = state.seconds + time.perf_counter() - began
        after = replace(state, half_steps=state.half_steps + 1, seconds=seconds, counts=counts)
        if users_next:
            return after
        entry = {"iteration": iteration, "seconds": seconds}
        return replace(after, seconds=0.0, history=(*state.history, entry))
