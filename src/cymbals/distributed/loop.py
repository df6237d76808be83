"""The fit loop over several nodes: `FitLoop` with half-steps and losses that a `Fleet` computes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..base.recorder import phase
from ..data.csr import Csr
from ..solve.half_step import Settings
from ..solve.loop import FitLoop, FitState
from .fleet import Fleet
from .plan import LOSS_ROWS


@dataclass(frozen=True)
class SpreadState(FitState):
    """The state of a distributed fit. Its arrays are on the nodes, so `x` and `y` are empty here."""

    fleet: Fleet | None = None

    @classmethod
    def of(cls, state: FitState, fleet: Fleet) -> SpreadState:
        """The same state, whose arrays the workers of the fleet have."""
        elsewhere = np.empty((0, 0))
        known = {field.name: getattr(state, field.name) for field in fields(FitState)}
        return cls(**known | {"x": elsewhere, "y": elsewhere}, fleet=fleet)

    def gathered(self) -> FitState:
        """The state with all factors in this process. Call it before the next half-step.

        A second call returns the same arrays, so a callback and a checkpoint share them.
        """
        return self._gathered

    @cached_property
    def _gathered(self) -> FitState:
        assert self.fleet is not None
        with phase("collect"):
            x, y = (self.fleet.factors(side) for side in (0, 1))
            self.fleet.record()
        return FitState(x, y, self.n_iterations, self.half_steps, self.seconds, self.history, self.losses, self.counts)

    def copied(self) -> FitState:
        """As `gathered`: half-steps do not change its arrays."""
        return self.gathered()


@dataclass(frozen=True)
class SpreadLoop(FitLoop):
    """A fit loop whose rows and columns are spread over the nodes of a fleet."""

    fleet: Fleet | None = None

    @classmethod
    def of(cls, loop: FitLoop, fleet: Fleet) -> SpreadLoop:
        """The same loop, whose half-steps the workers of the fleet do."""
        return cls(**{field.name: getattr(loop, field.name) for field in fields(FitLoop)}, fleet=fleet)

    def solve(self, state: FitState, settings: Settings) -> dict[str, int]:
        assert self.fleet is not None
        counts = self.fleet.half_step(settings)
        self.fleet.record()
        return counts


def spread_loss(loop: SpreadLoop, state: FitState) -> float:
    """As `metrics.loss.loss`, with the same bits."""
    fleet, objective = loop.fleet, loop.settings.objective
    assert fleet is not None
    sums, *norms = fleet.loss_terms(loop.settings)
    total = 0.0
    for begin, end in _blocks(loop.rows):
        # `accumulate` adds in order, as the core does; `sum` would not.
        total += float(np.add.accumulate(sums[begin:end])[-1]) if end > begin else 0.0
    if objective.unobserved_weight > 0:
        total += objective.unobserved_weight * float(np.sum(fleet.gramian(0) * fleet.gramian(1)))
    n_users, n_items = loop.rows.shape
    for squares, indptr, others in ((norms[0], loop.rows.indptr, n_items), (norms[1], loop.columns.indptr, n_users)):
        total += float(np.sum(objective.row_regularization(indptr, others) * squares))
    fleet.record()
    n_terms = loop.rows.nnz if objective.kind == "explicit" else n_users * n_items
    if not np.isfinite(total):
        raise ValueError("the loss overflows float64: scale the values down, or lower alpha or regularization")
    return float(total / max(n_terms, 1))


def _blocks(rows: Csr) -> list[tuple[int, int]]:
    """For each block of the matrix, where its sums begin and end among those of all blocks."""
    sizes = [-(-int(n) // LOSS_ROWS) for n in np.diff(rows.block_begins())]
    ends = np.cumsum([0, *sizes]).tolist()
    return list(pairwise(ends))
