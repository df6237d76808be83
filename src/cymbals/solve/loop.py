"""The fit loop: each half-step takes a state and returns the next one.

Callbacks, early stopping, loss, progress and interruption are not here. They look at the states from outside.
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
    """The relaxation of each iteration: 1 moves the factors to their least-squares solution, more than 1 moves them beyond.

    The first iteration uses 1, because more does not help while the factors are far from their final values. The last
    iteration uses 1, because the fit must end at a least-squares solution. The iterations in between may use more than 1.
    Then a single half-step lowers the loss a little less, but the fit needs fewer half-steps.
    """

    second: float = 1.0  # relaxation of the second iteration
    growth: float = 0.0  # added in each iteration after the second
    maximum: float = 1.0

    def relaxation(self, iteration: int, n_iterations: int) -> float:
        """The relaxation of an iteration. Iterations are counted from 1."""
        if iteration in (1, n_iterations):
            return 1.0
        return min(self.maximum, self.second + self.growth * (iteration - 2))


@dataclass(frozen=True)
class FitState:
    """The state of a fit between two half-steps.

    `FitLoop.step` changes the arrays of the state it is given, so only the newest state is valid. To keep a state, keep
    `copied()`.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    n_iterations: int  # planned for the whole fit
    half_steps: int = 0  # finished
    seconds: float = 0.0  # spent in the half-steps of the unfinished iteration
    # One entry for each finished iteration: "iteration", "seconds" and, if the loss is computed, "loss".
    history: tuple[dict[str, Any], ...] = ()
    losses: tuple[float, ...] = ()  # of the finished iterations, if they are computed; callbacks may change `history`
    counts: dict[str, int] = field(default_factory=dict)  # summed over all half-steps

    @property
    def iteration(self) -> int:
        """The number of finished iterations."""
        return self.half_steps // 2

    @property
    def between_iterations(self) -> bool:
        """Whether no iteration is under way. The next half-step then solves users."""
        return self.half_steps % 2 == 0

    @property
    def finished(self) -> bool:
        return self.between_iterations and self.iteration >= self.n_iterations

    def gathered(self) -> FitState:
        """This state with its arrays in this process. The state of a distributed fit collects them from the nodes."""
        return self

    def copied(self) -> FitState:
        """As `gathered`, with copies of the arrays. Later half-steps do not change the copies."""
        return replace(self, x=self.x.copy(), y=self.y.copy())

    def with_loss(self, loss: float) -> Self:
        """This state with the loss of the last finished iteration in its history."""
        return replace(self, history=(*self.history[:-1], self.history[-1] | {"loss": loss}), losses=(*self.losses, loss))

    def stopped_by(self, tol: float, relaxation: float) -> Self:
        """End the fit if the last iteration lowered the loss by less than `tol` times the loss before it.

        Returns this state with the new number of iterations, or unchanged. `relaxation` is the relaxation of the last
        iteration. If it was not 1, the factors are not at a least-squares solution, so the fit does one more iteration.
        """
        if self.iteration < 2 or self.finished:
            return self
        before, now = self.losses[-2:]
        if not before - now < tol * abs(before):
            return self
        return replace(self, n_iterations=self.iteration + (relaxation != 1))


@dataclass(frozen=True)
class FitLoop:
    """Everything that stays the same during a fit."""

    rows: Csr  # values by user
    columns: Csr  # the same values by item
    settings: Settings
    schedule: Schedule
    from_noise: bool  # whether the fit starts from random or given factors, not from those of a fitted model
    workspace: Workspace

    def relaxation(self, state: FitState) -> float:
        """The relaxation of the current iteration, or of the next one if no iteration is under way."""
        return self.schedule.relaxation(state.iteration + 1, state.n_iterations)

    def step(self, state: FitState) -> FitState:
        """Do one half-step, and return the new state. Half-steps alternate between users and items; users come first."""
        began = time.perf_counter()
        iteration, users_next = state.iteration + 1, state.between_iterations
        with at(iteration, "users" if users_next else "items"):
            info = self.solve(state, self.settings_of(state))
        counts = {name: state.counts.get(name, 0) + count for name, count in info.items()}
        seconds = state.seconds + time.perf_counter() - began
        after = replace(state, half_steps=state.half_steps + 1, seconds=seconds, counts=counts)
        if users_next:
            return after
        entry = {"iteration": iteration, "seconds": seconds}
        return replace(after, seconds=0.0, history=(*state.history, entry))

    def settings_of(self, state: FitState) -> Settings:
        """The settings of the next half-step.

        From random or given factors, conjugate gradients would stop too early in the first iteration with the usual
        tolerance.
        """
        tolerance = self.settings.cg_tolerance / (2 if self.from_noise and state.iteration == 0 else 1)
        return replace(self.settings, relaxation=self.relaxation(state), cg_tolerance=tolerance)

    def solve(self, state: FitState, settings: Settings) -> dict[str, int]:
        """Change the arrays of `state` by a half-step, and return its counts."""
        if state.between_iterations:
            return half_step(self.rows, state.y, state.x, settings, self.workspace)
        return half_step(self.columns, state.x, state.y, settings, self.workspace)
