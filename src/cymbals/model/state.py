"""Everything that a fitted model knows, in one immutable state. An update replaces it with a new state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._core import Index
from ..base.once import Once
from ..data.csr import Csr
from ..data.ids import Ids
from ..profiling.profile import Profile
from ..solve.explanation import Explainer
from ..solve.fold_in import FixedSide
from ..solve.half_step import Settings
from . import retrieval
from .arguments import numbers, settings_of
from .side_features import SideFeatures


@dataclass(frozen=True)
class FitRecord:
    """Facts that a fit recorded. Attributes of `ALS` return them, and its docstring describes them."""

    n_iter: int
    history: list[dict[str, Any]]
    report: dict[str, Any]
    params: dict[str, Any]  # the estimator's arguments at the time of the fit
    profile: Profile | None = None
    planned: int | None = None  # of a running fit: the number of the last iteration for which the callback is called


@dataclass(frozen=True)
class State:
    """The factors of a fitted model, their ids, and the seen items.

    A model with biases has a `mean`. Its rows of `x` and `y` are then [x, b_u, 1] and [y, 1, b_i]. A score is the product
    of a row of `x` and a row of `scored_items`. `seen` is None if the model was saved without interactions. `fit` is None
    in baselines. A model that was fitted with features has `user_features` or `item_features`, with a row for each row of
    the side.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    users: Ids
    items: Ids
    names: NDArray[Any] | None
    seen: Csr | None
    mean: float | None = None
    fit: FitRecord | None = None
    user_features: SideFeatures | None = None
    item_features: SideFeatures | None = None

    # Caches: computed from the fields above at their first use. `changed` keeps those whose source fields stay the same.
    _seen_by_item: Once[Csr] = field(default_factory=Once, init=False, repr=False, compare=False)
    _user_side: Once[FixedSide] = field(default_factory=Once, init=False, repr=False, compare=False)
    _item_side: Once[FixedSide] = field(default_factory=Once, init=False, repr=False, compare=False)
    _near_user_side: Once[FixedSide] = field(default_factory=Once, init=False, repr=False, compare=False)
    _near_item_side: Once[FixedSide] = field(default_factory=Once, init=False, repr=False, compare=False)
    _item_explainer: Once[Explainer] = field(default_factory=Once, init=False, repr=False, compare=False)
    _item_index: Once[Index] = field(default_factory=Once, init=False, repr=False, compare=False)

    @property
    def params(self) -> dict[str, Any]:
        """The estimator's arguments at the time of the fit."""
        assert self.fit is not None
        return self.fit.params

    def solved_users(self, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The users' rows in the layout of a half-step: [x, b_u], or x without biases. By default of all users."""
        x = self.x if rows is None else self.x[rows]
        return x if self.mean is None else np.delete(x, -1, axis=1)

    def solved_items(self, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The items' rows in the layout of a half-step: [y, b_i], or y without biases. By default of all items."""
        y = self.y if rows is None else self.y[rows]
        return y if self.mean is None else np.delete(y, -2, axis=1)

    @cached_property
    def settings(self) -> Settings:
        """How the fit solved rows."""
        assert self.fit is not None
        return settings_of(numbers(self.params, self.fit.report))

    @cached_property
    def exact(self) -> Settings:
        """`settings`, but with exact solutions."""
        return replace(self.settings, solver="exact")

    @cached_property
    def user_factors(self) -> NDArray[Any]:
        return self.x if self.mean is None else self.x[:, :-2].copy()

    @cached_property
    def item_factors(self) -> NDArray[Any]:
        return self.y if self.mean is None else self.y[:, :-2].copy()

    @cached_property
    def scored_items(self) -> NDArray[Any]:
        """The items' rows for scoring: `y`, or [y, 1, mean + b_i] with biases.

        The mean is a part of these rows. If it were added to the scores after ranking, rounding could make two scores
        equal. Items with equal scores must be in the order of their rows, and these two might not be.
        """
        if self.mean is None:
            return self.y
        scored = self.y.copy()
        scored[:, -1] += self.mean
        return scored

    @cached_property
    def audience(self) -> NDArray[Any]:
        """For each item, the number of users with a value above 0, shape (n_items, 1).

        It serves as the items' only factor, to rank them by popularity.
        """
        assert self.seen is not None
        return audience(self.seen, self.y.dtype)

    @cached_property
    def item_directions(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return retrieval.directions(self.item_factors)

    @cached_property
    def user_directions(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return retrieval.directions(self.user_factors)

    def seen_by_item(self, n_threads: int) -> Csr:
        assert self.seen is not None
        seen = self.seen
        return self._seen_by_item(lambda: seen.owned().transposed(n_threads))

    def caching_seen_by_item(self, by_item: Csr) -> Self:
        """This state, after it has cached a transpose of `seen` that the caller has computed already."""
        self._seen_by_item(lambda: by_item)
        return self

    def user_side(self, n_threads: int) -> FixedSide:
        """The users as the fixed side, for solving items."""
        return self._user_side(lambda: FixedSide.of(self.solved_users(), n_threads, self.mean))

    def item_side(self, n_threads: int) -> FixedSide:
        """The items as the fixed side, for solving users."""
        return self._item_side(lambda: FixedSide.of(self.solved_items(), n_threads, self.mean))

    def near_user_side(self, n_threads: int) -> FixedSide:
        """As `user_side`, but after an update possibly in a basis in which the Gramian is only close to diagonal."""
        return self._near_user_side(lambda: self.user_side(n_threads))

    def near_item_side(self, n_threads: int) -> FixedSide:
        """As `item_side`, but after an update possibly in a basis in which the Gramian is only close to diagonal."""
        return self._near_item_side(lambda: self.item_side(n_threads))

    def with_users(self, x: NDArray[Any], at: NDArray[np.int64], n_threads: int) -> Self:
        """This state with other users' factors, which differ only in the rows `at`."""
        after = self.changed(x=x)
        if self._keeps_basis(at, x):
            side = self.near_user_side(n_threads).with_rows(after.solved_users(), at, n_threads, self.mean)
            if side is not None:
                after._near_user_side(lambda: side)
        return after

    def with_items(self, y: NDArray[Any], at: NDArray[np.int64], n_threads: int) -> Self:
        """This state with other items' factors, which differ only in the rows `at`."""
        after = self.changed(y=y)
        if self._keeps_basis(at, y):
            side = self.near_item_side(n_threads).with_rows(after.solved_items(), at, n_threads, self.mean)
            if side is not None:
                after._near_item_side(lambda: side)
        return after

    def _keeps_basis(self, rows: NDArray[np.int64], factors: NDArray[Any]) -> bool:
        """Whether to try: if few rows change, and the fit's solver is not exact."""
        return rows.size * 16 <= factors.shape[0] and self.settings.solver != "exact"

    def with_longer_features(self, n_users: int, n_items: int) -> Self:
        """This state with features for so many users and items. New rows have none."""
        users, items = self.user_features, self.item_features
        return self.changed(
            user_features=None if users is None else users.extended(n_users),
            item_features=None if items is None else items.extended(n_items),
        )

    def user_prior(self, rows: NDArray[np.int64], entries: Csr) -> NDArray[Any] | None:
        """What the regularization pulls these users towards, who have the rows of `entries`. None without features."""
        return None if self.user_features is None else self.user_features.prior(rows, entries.lengths())

    def item_prior(self, rows: NDArray[np.int64], entries: Csr) -> NDArray[Any] | None:
        """What the regularization pulls these items towards, which have the rows of `entries`. None without features."""
        return None if self.item_features is None else self.item_features.prior(rows, entries.lengths())

    def item_explainer(self, n_threads: int) -> Explainer:
        return self._item_explainer(lambda: Explainer.of(self.solved_items(), self.mean, n_threads))

    def item_index(self, n_threads: int) -> Index:
        return self._item_index(lambda: Index(self.scored_items, None, None, n_threads))

    def changed(self, **changes: Any) -> Self:
        """A copy of this state with some fields replaced. It keeps the caches whose source fields stay the same."""
        state = replace(self, **changes)
        for source, caches in _CACHES_OF.items():
            if source not in changes or changes[source] is getattr(self, source):
                vars(state).update({name: vars(self)[name] for name in caches if name in vars(self)})
        return state

    def __reduce__(self) -> tuple[Callable[..., State], tuple[Any, ...]]:
        return type(self), tuple(getattr(self, f.name) for f in fields(self) if f.init)  # without the caches


_CACHES_OF = {  # source field: the caches that are computed from it
    "x": ("user_factors", "user_directions", "_user_side", "_near_user_side"),
    "y": (
        "item_factors",
        "item_directions",
        "scored_items",
        "_item_side",
        "_near_item_side",
        "_item_explainer",
        "_item_index",
    ),
    "seen": ("audience", "_seen_by_item"),
    "fit": ("settings", "exact"),
}


def user_rows(solved: NDArray[Any], mean: float | None) -> NDArray[Any]:
    """Turn the users' rows of a half-step into rows of `State.x`. With a mean, [x, b_u] becomes [x, b_u, 1]."""
    return solved if mean is None else np.insert(solved, solved.shape[1], 1, axis=1)


def item_rows(solved: NDArray[Any], mean: float | None) -> NDArray[Any]:
    """Turn the items' rows of a half-step into rows of `State.y`. With a mean, [y, b_i] becomes [y, 1, b_i]."""
    return solved if mean is None else np.insert(solved, -1, 1, axis=1)


def audience(seen: Csr, dtype: Any) -> NDArray[Any]:
    """The number of users of each item with a value above 0, shape (n_items, 1)."""
    return seen.column_counts(positive=True).astype(dtype)[:, None]
