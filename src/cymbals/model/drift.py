"""How far the factors of an updated model are from a solution for its present values."""

from __future__ import annotations

import numpy as np

from ..solve.half_step import Settings
from .solving_model import transformed
from .state import State

_SAMPLE = 200  # users that are solved again
REFIT_DRIFT = 0.2


def drift(state: State, settings: Settings, n_threads: int) -> float:
    """The relative change of the scores of a random sample of users, if they were solved again exactly.

    It is the square root of sum (s' - s)^2 / sum s'^2, over all scores s of the users in the sample, where s' are the
    scores after solving again. 0 if no user has entries.
    """
    assert state.seen is not None
    with_entries = np.flatnonzero(np.diff(state.seen.indptr))
    if not with_entries.size:
        return 0.0
    rng = np.random.default_rng(0)
    users = np.sort(rng.choice(with_entries, min(_SAMPLE, with_entries.size), replace=False))
    side = state.item_side(n_threads)
    rows = transformed(state.seen.take(users), settings.objective)
    again = side.solve(rows, settings, n_threads) @ side.vectors
    moved = again - state.solved_users(users) @ side.vectors
    # the squared scores of a row z are z' diag(spectrum) z, because the rotated items have the Gramian diag(spectrum)
    changed, after = (np.sum(part.astype(np.float64) ** 2 * side.spectrum) for part in (moved, again))
    return float(np.sqrt(changed / after)) if after > 0 else 0.0
