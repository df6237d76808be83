"""How far the factors of an updated model are from a solution for its present values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import SolveError
from ..data.csr import Csr
from ..solve.fold_in import FixedSide
from .solving_model import transformed
from .state import State

_SAMPLE = 64  # rows of each side that are solved again
# A refit is due above this. In trials that doubled the data by updates, the drift stayed below 0.08 on the two larger data
# sets, and NDCG@10 was at most 1.2 % below that of a refit (benchmarks/LOG.md).
REFIT_DRIFT = 0.1


def drift(state: State, n_threads: int) -> float:
    """The relative change of the scores if one side were solved again exactly, users or items: the larger of both.

    It is the square root of sum (s' - s)^2 / sum s'^2, over all scores s of a random sample of rows with entries, where s'
    are the scores after solving again. 0 if there are no entries. Infinity if a row cannot be solved, or if all s' are 0.
    """
    assert state.seen is not None
    sides = (
        (state.seen, state.near_item_side(n_threads), state.solved_users, state.user_prior),
        (state.seen_by_item(n_threads), state.near_user_side(n_threads), state.solved_items, state.item_prior),
    )
    changes = []
    for entries, fixed, solved, prior in sides:
        with_entries = np.flatnonzero(entries.lengths())
        if with_entries.size:
            rng = np.random.default_rng(0)
            rows = np.sort(rng.choice(with_entries, min(_SAMPLE, with_entries.size), replace=False))
            some = entries.take(rows)
            changes.append(_change(state, some, fixed, solved(rows), prior(rows, some), n_threads))
    return max(changes, default=0.0)


def _change(
    state: State, rows: Csr, fixed: FixedSide, solved: NDArray[Any], prior: NDArray[Any] | None, n_threads: int
) -> float:
    try:
        again = fixed.solve(transformed(rows, state.settings.objective), state.exact, n_threads, prior=prior)
    except SolveError:
        return float("inf")
    # the squared scores of a row z are z' diag(spectrum) z, because the rotated fixed side has the Gramian diag(spectrum)
    changed, after = (
        np.sum(fixed.into(part, n_threads).astype(np.float64) ** 2 * fixed.spectrum) for part in (again - solved, again)
    )
    return float(np.sqrt(changed / after)) if after > 0 else float("inf")
