"""The last iteration of a fit with features: it adds rows that only the features know, and uses features as priors.

The iterations before do not look at features. This one fits a map from features to factors, to the rows that have entries.
Then it solves each row with features, pulled towards what the map gives it. A row without entries gets just that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import shown
from ..data.csr import Csr
from ..data.ids import Ids
from ..data.interactions import Interactions, with_names
from ..metrics.loss import loss
from ..solve.fold_in import FixedSide
from . import updates
from .naming import naming
from .side_features import SideFeatures
from .solving_model import transformed
from .state import State, item_rows, user_rows

Side = tuple[SideFeatures, Ids]  # features, and the ids of the side, perhaps with new ones at the end


def attached(state: State, users: Side | None, items: Side | None, compute_loss: bool, n_threads: int) -> State:
    """The state after an iteration with features of users, items or both, as `SideFeatures.aligned` returns them."""
    began = time.perf_counter()
    state = _longer(state, state.users if users is None else users[1], state.items if items is None else items[1])
    seen = state.seen
    assert seen is not None
    by_item = state.seen_by_item(n_threads)
    if users is not None:
        state = state.changed(user_features=users[0].fitted(state.solved_users(), seen.lengths() > 0))
    if items is not None:
        state = state.changed(item_features=items[0].fitted(state.solved_items(), by_item.lengths() > 0))
    fixed, start, prior = state.item_side(n_threads), state.solved_users(), state.user_prior
    x = user_rows(_solved(state, state.users, seen, fixed, start, prior, n_threads), state.mean)
    state = state.changed(x=x)
    fixed, start, prior = state.user_side(n_threads), state.solved_items(), state.item_prior
    y = item_rows(_solved(state, state.items, by_item, fixed, start, prior, n_threads), state.mean)
    state = state.changed(y=y)
    assert state.fit is not None
    entry = {"iteration": state.fit.n_iter + 1, "seconds": time.perf_counter() - began}
    if compute_loss:
        entry["loss"] = _loss(state, n_threads)
    fit = replace(state.fit, n_iter=state.fit.n_iter + 1, history=[*state.fit.history, entry])
    return state.changed(fit=fit)


def refeatured(state: State, users: Any, items: Any, n_threads: int) -> State:
    """A state with other features of some users and items, matched by id. Unknown ids become rows without entries."""
    for name, given, side in (("user_features", users, state.user_features), ("item_features", items, state.item_features)):
        if given is None:
            continue
        if side is None:
            raise ValueError(f"{name}: the model was fitted without them; fit it with {name}=...")
        if not isinstance(given, Interactions):
            raise TypeError(f"{name} must be Interactions with ids, as cymbals.features makes them, got {shown(given)}")
        of_users = name == "user_features"
        ids, at = updates.placed(state.users if of_users else state.items, name, given.user_ids, given.shape[0])
        state = _longer(state, *((ids, state.items) if of_users else (state.users, ids)))
        rows = updates.with_seen(side.rows, at, side.of_strangers(name, given, None)[1], ids.n, n_threads)
        side = replace(side, rows=rows)
        assert state.seen is not None
        empty = at[(state.seen if of_users else state.seen_by_item(n_threads)).lengths()[at] == 0]
        prior = side.prior(empty, np.zeros(empty.size, np.int64))
        if of_users:
            x = updates.with_rows(state.x, empty, user_rows(prior, state.mean), ids.n)
            state = state.changed(x=x, user_features=side)
        else:
            y = updates.with_rows(state.y, empty, item_rows(prior, state.mean), ids.n)
            state = state.changed(y=y, item_features=side)
    return state


def _loss(state: State, n_threads: int) -> float:
    assert state.seen is not None
    objective, indptr = state.settings.objective, state.seen_by_item(n_threads).indptr
    rows = transformed(state.seen.whole(), objective)
    return loss(rows, state.solved_users(), state.solved_items(), objective, indptr, n_threads, state.mean)


def _solved(
    state: State,
    ids: Ids,
    entries: Csr,
    fixed: FixedSide,
    start: NDArray[Any],
    prior: Callable[[NDArray[np.int64], Csr], NDArray[Any] | None],
    n_threads: int,
) -> NDArray[Any]:
    """All rows of one side after a half-step."""
    towards, settings = prior(np.arange(ids.n), entries), state.settings
    if towards is not None and settings.solver == "auto":
        settings = replace(settings, solver="cg")  # the stopping rule of "auto" is made for rows without a prior
    with naming(ids):
        return fixed.solve(transformed(entries, settings.objective), settings, n_threads, start.copy(), towards)


def _longer(state: State, users: Ids, items: Ids) -> State:
    """A state with further users and items, without entries. Their factors are 0."""
    if users.n == state.users.n and items.n == state.items.n:
        return state
    seen = state.seen
    assert seen is not None
    nothing = np.zeros(0, np.int64)
    x, y = (updates.with_rows(side, nothing, side[:0], n) for side, n in ((state.x, users.n), (state.y, items.n)))
    if state.mean is not None:  # the columns of ones of user_rows and item_rows
        x[state.users.n :, -1], y[state.items.n :, -2] = 1, 1
    return state.changed(
        x=x,
        y=y,
        users=users,
        items=items,
        names=with_names(state.names, items.n),
        seen=padded(seen, users.n, items.n),
    )


def padded(seen: Csr, n_users: int, n_items: int) -> Csr:
    """The matrix with empty rows and columns after its own, or the matrix itself if it is not smaller."""
    if seen.shape == (n_users, n_items):
        return seen
    more: NDArray[np.int64] = np.full(n_users - seen.shape[0], seen.indptr[-1])
    return replace(seen.whole(), indptr=np.concatenate([seen.indptr, more]), shape=(n_users, n_items))
