"""A fitted model: factors, ids, names and what was seen; everything that reads it. Reading methods are thread-safe.

What a model knows stands in one immutable `State`; updates put a new one in its place, one update at a time.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import _core, _json, container, retrieval
from ._validation import boolean, whole_number
from ._writing import Writing
from .csr import Csr, from_scipy
from .explanation import Explainer
from .ids import Ids, is_one, listed
from .solver import Basis
from .threads import resolve

Made = TypeVar("Made")


class NotFittedError(ValueError, AttributeError):
    """The model has no factors yet."""


@dataclass(frozen=True)
class State:
    """Factors and what they belong to. `seen` is None in a model that was saved without interactions.

    A model with biases has a `mean`: its rows are [x, b_u, 1] and [y, 1, b_i]. A score is the product of a row of `x` and
    one of `scored_items`.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    users: Ids
    items: Ids
    names: NDArray[Any] | None
    seen: Csr | None
    mean: float | None = None
    fitted: dict[str, Any] = field(default_factory=dict)  # the estimator's arguments as of the fit

    def solved_users(self) -> NDArray[Any]:
        """What a half-step solves: [x, b_u], or x without biases."""
        return self.x if self.mean is None else np.delete(self.x, -1, axis=1)

    def solved_items(self) -> NDArray[Any]:
        """What a half-step solves: [y, b_i], or y without biases."""
        return self.y if self.mean is None else np.delete(self.y, -2, axis=1)

    @cached_property
    def user_factors(self) -> NDArray[Any]:
        return self.x if self.mean is None else self.x[:, :-2].copy()

    @cached_property
    def item_factors(self) -> NDArray[Any]:
        return self.y if self.mean is None else self.y[:, :-2].copy()

    @cached_property
    def scored_items(self) -> NDArray[Any]:
        """Items as scores take them: `y`, with biases [y, 1, mean + b_i], so that ties are those of the scores returned."""
        if self.mean is None:
            return self.y
        scored = self.y.copy()
        scored[:, -1] += self.mean
        return scored

    def seen_by_item(self, n_threads: int) -> Csr:
        assert self.seen is not None
        seen = self.seen
        return self._once("seen by item", lambda: seen.owned().transposed(n_threads))

    def item_basis(self, n_threads: int) -> Basis:
        return self._once("item basis", lambda: Basis.of(self.solved_items(), n_threads, self.mean))

    def item_explainer(self, n_threads: int) -> Explainer:
        return self._once("item explainer", lambda: Explainer.of(self.solved_items(), self.mean, n_threads))

    def user_basis(self, n_threads: int) -> Basis:
        return self._once("user basis", lambda: Basis.of(self.solved_users(), n_threads, self.mean))

    def item_index(self, n_threads: int) -> _core.Index:
        return self._once("item index", lambda: _core.Index(self.scored_items, None, None, n_threads))

    @cached_property
    def audience(self) -> NDArray[Any]:
        """Users of each item, as one factor."""
        assert self.seen is not None
        counts = np.bincount(self.seen.indices[self.seen.data > 0], minlength=self.y.shape[0])
        return counts.astype(self.y.dtype)[:, None]

    @cached_property
    def item_directions(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return retrieval.directions(self.item_factors)

    @cached_property
    def user_directions(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return retrieval.directions(self.user_factors)

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` returns, made at the first call; two threads at once may both make it, and get the same."""
        kept: dict[str, Any] = vars(self)
        made: Made = kept[name] if name in kept else kept.setdefault(name, make())
        return made

    def __reduce__(self) -> tuple[type[State], tuple[Any, ...]]:
        return State, tuple(getattr(self, f.name) for f in fields(self))  # without what can be made anew


def user_rows(solved: NDArray[Any], mean: float | None) -> NDArray[Any]:
    """Users from a half-step as rows of `State.x`: with a mean [x, b_u] as [x, b_u, 1]."""
    return solved if mean is None else np.insert(solved, solved.shape[1], 1, axis=1)


def item_rows(solved: NDArray[Any], mean: float | None) -> NDArray[Any]:
    """Items from a half-step as rows of `State.y`: with a mean [y, b_i] as [y, 1, b_i]."""
    return solved if mean is None else np.insert(solved, -1, 1, axis=1)


@dataclass(frozen=True)
class Explanation:
    """Why a user gets an item: the parts of the score that each item seen contributes.

    Attributes
    ----------
    total : float
        The sum over all items seen, listed or not: the score, which in a model with biases is less the mean and the
        item's own bias here.
    contributions : list of (id, float)
        Largest first.
    """

    total: float
    contributions: list[tuple[Any, float]]


class FactorModel:
    """Recommendations, similarities and storage on top of two factor matrices."""

    _state: State | None = None
    _writing: Writing  # held while the state is replaced
    n_threads: int | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        model = super().__new__(cls)
        model._writing = Writing()
        return model

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_writing"}  # copies have their own

    @property
    def state_(self) -> State:
        """All that the model knows; raises NotFittedError before a fit."""
        if self._state is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        return self._state

    def snapshot(self) -> Self:
        """This model as it is now: later updates leave it alone."""
        return copy.copy(self)

    @property
    def user_factors_(self) -> NDArray[Any]:
        """User factors, shape (n_users, factors)."""
        return self.state_.user_factors

    @property
    def item_factors_(self) -> NDArray[Any]:
        """Item factors, shape (n_items, factors)."""
        return self.state_.item_factors

    @property
    def global_mean_(self) -> float:
        """Mean of the values that were fitted; only of a model with biases."""
        return self._with_biases("global_mean_")[1]

    @property
    def user_biases_(self) -> NDArray[Any]:
        """What each user adds to a score, shape (n_users,), 0 for those without entries; only of a model with biases."""
        return self._with_biases("user_biases_")[0].x[:, -2].copy()

    @property
    def item_biases_(self) -> NDArray[Any]:
        """What each item adds to a score, shape (n_items,), 0 for those without entries; only of a model with biases."""
        return self._with_biases("item_biases_")[0].y[:, -1].copy()

    def _with_biases(self, name: str) -> tuple[State, float]:
        state = self.state_
        if state.mean is None:
            raise AttributeError(f"{name}: this model has biases=False; fit ALS(objective='explicit', biases=True)")
        return state, state.mean

    @property
    def predicts_values(self) -> bool:
        """Whether scores estimate the values themselves, as those of ratings do."""
        return False

    @property
    def users_(self) -> Ids:
        return self.state_.users

    @property
    def items_(self) -> Ids:
        return self.state_.items

    @property
    def item_names_(self) -> NDArray[Any] | None:
        """A name or None for each item; None where the data had no names."""
        return self.state_.names

    def name_of(self, item: Any) -> str:
        """An item's name, or its id where it has none."""
        state = self.state_
        row = state.items.rows("item", [item])[0]
        name = None if state.names is None else state.names[row]
        return str(item) if name is None else str(name)

    # -- recommending ------------------------------------------------------------------------------------------------

    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        rows: Any = None,
        exclude_seen: bool = True,
        exclude: Any = None,
        candidates: Any = None,
        n_threads: int | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The items with the highest scores for each user.

        Memory beyond the result stays within a few dozen megabytes, whatever the number of users; requests for few users
        keep an index of the items, of a quarter of the size of their factors in float32.

        Parameters
        ----------
        users : id or array_like of ids
            One user, or several.
        n : int
            Places for each user.
        rows : scipy sparse, shape (m, n_items), optional
            Raw values of users that the model has not seen, instead of `users`; they are folded in.
        exclude_seen : bool
            Leave out the items of the user's training row (or of `rows`).
        exclude : array_like of item ids, or scipy sparse of shape (m, n_items), optional
            Items left out for all users, or a mask of those left out for each.
        candidates : array_like of item ids, optional
            Only these compete; duplicates count once.
        n_threads : int, optional

        Returns
        -------
        ids, scores : ndarray
            Shape (n,) for one user, (m, n) for several; best first, ties to the lower row. Scores have the model's
            dtype. Places that cannot be filled hold id -1 (None where ids are strings) and score -inf. A user without
            history gets the most popular items, scored by their audience.

        Raises
        ------
        KeyError
            An id that the model does not know.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1))
        >>> ids, scores = model.recommend(0, n=3)
        >>> ids.shape, scores.shape
        ((3,), (3,))
        """
        state, k = self.state_, _places(n)
        threads_used, exclude_seen = self._threads(n_threads), boolean("exclude_seen", exclude_seen)
        if (users is None) == (rows is None):
            raise TypeError("recommend takes either users or rows, not " + ("both" if rows is not None else "neither"))
        if rows is not None:
            given = self._raw_rows("rows", rows, state, threads_used)
            one, history = getattr(rows, "ndim", 2) == 1, np.diff(given.indptr)

            def factors(block: NDArray[np.int64]) -> NDArray[Any]:
                return self._fold_in(state, given.take(block), threads_used)

            def had(block: NDArray[np.int64]) -> Csr:
                return given.take(block)

        else:
            one, seen = is_one(users), state.seen
            at = state.users.rows("users", [users] if one else users)
            if seen is None and exclude_seen:
                raise ValueError("this model was saved without interactions: pass exclude_seen=False, or rows")
            history = np.ones(at.size, np.int64) if seen is None else np.diff(seen.indptr)[at]

            def factors(block: NDArray[np.int64]) -> NDArray[Any]:
                return state.x[at[block]]

            def had(block: NDArray[np.int64]) -> Csr:
                assert seen is not None
                return seen.take(at[block])

        n_queries = history.size
        mask, competing = self._limits(state, exclude, candidates, n_queries, threads_used)

        def skip(block: NDArray[np.int64]) -> Csr:
            parts = [mask.take(block)] if mask is not None else []
            if exclude_seen:
                parts.append(had(block))
            return parts[0] if len(parts) == 1 else retrieval.union(parts[0], parts[1], threads_used)

        skipping = skip if mask is not None or exclude_seen else None
        few = n_queries < retrieval.FEW_QUERIES and competing is None and k <= state.y.shape[0] // retrieval.LEAST_CHOICE
        index = state.item_index(threads_used) if few else None
        items = state.scored_items
        best, scores = retrieval.topk(factors, items, n_queries, k, threads_used, skipping, competing, index=index)
        newcomers = np.flatnonzero(history == 0)
        if newcomers.size and state.seen is not None:
            best[newcomers], scores[newcomers] = retrieval.topk(
                lambda block: np.ones((block.size, 1), state.y.dtype),
                state.audience,
                newcomers.size,
                k,
                threads_used,
                None if skipping is None else lambda block: skip(newcomers[block]),
                competing,
            )
        ids = state.items.of(best)
        return (ids[0], scores[0]) if one else (ids, scores)

    def _limits(
        self, state: State, exclude: Any, candidates: Any, n_queries: int, n_threads: int
    ) -> tuple[Csr | None, NDArray[np.int64] | None]:
        """A mask for each query, and the rows that compete where not all do."""
        competing = None if candidates is None else np.unique(state.items.rows("candidates", listed(candidates)))
        if exclude is None:
            return None, competing
        if hasattr(exclude, "tocsr"):
            mask = from_scipy("exclude", exclude, n_threads)
            if mask.shape != (n_queries, state.y.shape[0]):
                raise ValueError(f"exclude must have shape {(n_queries, state.y.shape[0])}, got {mask.shape}")
            return mask.without_zeros(), competing
        unwanted = np.unique(state.items.rows("exclude", listed(exclude)))
        everything = np.arange(state.y.shape[0]) if competing is None else competing
        return None, np.setdiff1d(everything, unwanted, assume_unique=True)

    def popular(self, n: int = 10) -> tuple[NDArray[Any], NDArray[Any]]:
        """The items with the largest audience: what a user without history is recommended.

        Parameters
        ----------
        n : int

        Returns
        -------
        ids, scores : ndarray, shape (n,)
            Scores are numbers of distinct users.
        """
        state, k = self._with_interactions(), _places(n)
        one = np.ones((1, 1), state.y.dtype)
        rows, scores = retrieval.topk(lambda _: one, state.audience, 1, k, 1)
        return state.items.of(rows[0]), scores[0]

    def similar_items(self, items: Any, n: int = 10, n_threads: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """The items whose factors point the same way.

        Parameters
        ----------
        items : id or array_like of ids
        n : int
            Places for each.
        n_threads : int, optional

        Returns
        -------
        ids, scores : ndarray, shape (n,) or (m, n)
            Cosines, best first; the item itself is left out, and so are items without entries, which have no direction.
            Places that cannot be filled hold -1 (None) and -inf.
        """
        state = self.state_
        return self._similar("items", items, n, n_threads, state.item_directions, state.items)

    def similar_users(self, users: Any, n: int = 10, n_threads: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """The users whose factors point the same way; takes and returns what `similar_items` does.

        Parameters
        ----------
        users : id or array_like of ids
        n : int
        n_threads : int, optional

        Returns
        -------
        ids, scores : ndarray, shape (n,) or (m, n)
        """
        state = self.state_
        return self._similar("users", users, n, n_threads, state.user_directions, state.users)

    def _similar(
        self, name: str, wanted: Any, n: Any, n_threads: Any, directions: tuple[NDArray[Any], NDArray[Any]], ids: Ids
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        factors, inverse = directions
        k, one, n_threads = _places(n), is_one(wanted), self._threads(n_threads)
        at = ids.rows(name, [wanted] if one else wanted)

        def itself(block: NDArray[np.int64]) -> Csr:
            ones = np.ones(block.size, np.float32)
            return Csr(np.arange(block.size + 1), at[block], ones, (block.size, factors.shape[0]))

        rows, scores = retrieval.topk(
            lambda block: factors[at[block]] * inverse[at[block], None],
            factors,
            at.size,
            k,
            n_threads,
            itself,
            None if inverse.all() else np.flatnonzero(inverse),  # rows of zeros point nowhere
            inverse,
        )
        empty = inverse[at] == 0
        rows[empty], scores[empty] = -1, -np.inf
        found = ids.of(rows)
        return (found[0], scores[0]) if one else (found, scores)

    def rank_items(self, user: Any, items: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Given items in the order of a user's scores.

        Parameters
        ----------
        user : id
        items : array_like of ids
            Duplicates count once.

        Returns
        -------
        ids, scores : ndarray
            All of them, best first, ties to the lower row.
        """
        state = self.state_
        at = state.users.rows("user", [user])
        rows = np.unique(state.items.rows("items", listed(items)))
        if not rows.size:
            return state.items.of(rows), np.empty(0, state.y.dtype)
        best, scores = retrieval.topk(lambda _: state.x[at], state.scored_items, 1, rows.size, 1, None, rows)
        return state.items.of(best[0]), scores[0]

    def predict(self, users: Any, items: Any) -> NDArray[Any]:
        """Scores of (user, item) pairs.

        Parameters
        ----------
        users, items : array_like of ids, equally long

        Returns
        -------
        ndarray
            A score for each pair, in the model's dtype. With objective "explicit" an estimate of the rating, else of
            preference: about 1 for what the user likes, about 0 for what he does not know.
        """
        state = self.state_
        u, i = state.users.rows("users", listed(users)), state.items.rows("items", listed(items))
        if u.size != i.size:
            raise ValueError(f"users and items must be equally long, got {u.size} and {i.size}")
        return retrieval.pair_scores(state.x, state.scored_items, u, i)

    # -- storage -----------------------------------------------------------------------------------------------------

    def _write_state(self, path: str | os.PathLike[str], facts: dict[str, Any], include_interactions: bool) -> None:
        state = self.state_
        # "ALS" also of a subclass: that is what `load` makes of it
        facts = {"class": "ALS", "cymbals": _core.version(), "model": facts, "mean": state.mean}
        arrays = {"x": state.x, "y": state.y}
        for name, ids in (("users", state.users), ("items", state.items)):
            if ids.array is not None and ids.whole:
                arrays[name] = ids.array
            elif ids.array is not None:
                arrays |= {f"{name}.{part}": a for part, a in container.pack_strings(ids.array).items()}
        if state.names is not None:
            arrays |= {f"names.{part}": a for part, a in container.pack_strings(state.names).items()}
        if include_interactions and state.seen is not None:
            arrays |= {f"seen.{part}": getattr(state.seen, part) for part in ("indptr", "indices", "data")}
        container.write(path, facts, arrays)

    @staticmethod
    def _read_state(path: str | os.PathLike[str], mmap: bool) -> tuple[dict[str, Any], State]:
        facts, arrays = container.read(path, mmap=mmap)
        with container.refusing(path):
            return facts, _stored_state(facts, arrays)

    # -- shared with the estimator ------------------------------------------------------------------------------------

    def _with_interactions(self) -> State:
        state = self.state_
        if state.seen is None:
            raise ValueError("this model was saved without interactions, which this needs; save it with them")
        return state

    def _raw_rows(self, name: str, rows: Any, state: State, n_threads: int, *, by_item: bool = False) -> Csr:
        """Sparse rows of raw values in the model's columns."""
        csr = from_scipy(name, rows, n_threads)
        width, what = (state.x.shape[0], "users") if by_item else (state.y.shape[0], "items")
        if csr.shape[1] != width:
            flipped = " (it looks transposed)" if csr.shape[0] == width else ""
            raise ValueError(
                f"{name} must have a column for each of the model's {width} {what}, got shape {csr.shape}{flipped}"
            )
        return csr

    def _fold_in(self, state: State, rows: Csr, n_threads: int) -> NDArray[Any]:
        """Users that the model has not seen, as rows of `State.x`."""
        raise NotImplementedError

    def entries(self, csr: Csr) -> Csr:
        """What of a matrix says that a user has had an item: not its stored zeros."""
        return csr.without_zeros()

    def _threads(self, n_threads: int | None) -> int:
        return resolve(self.n_threads if n_threads is None else n_threads)

    def _replace(self, before: State, **changes: Any) -> Self:
        """Put a changed state in the place of `before`; the caller holds `_writing` since it read that."""
        state = replace(before, **changes)
        for side, names in (("x", ("user basis",)), ("y", ("item basis", "item explainer", "item index", "scored_items"))):
            if side not in changes:  # what was made of it stays true
                vars(state).update({name: vars(before)[name] for name in names if name in vars(before)})
        self._state = state
        return self


def _places(n: Any) -> int:
    return whole_number("n", n, 1, retrieval.MOST_PLACES)


def _stored_state(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> State:
    """What `_write_state` wrote; ValueError or TypeError for anything else."""
    x, y = (_stored(arrays, name, ("float32", "float64"), 2) for name in ("x", "y"))
    if x.shape[1] != y.shape[1] or x.dtype != y.dtype:
        raise ValueError(f"x and y must be alike, got {x.shape[1]} and {y.shape[1]} columns of {x.dtype} and {y.dtype}")
    if not (x.size and y.size):
        raise ValueError(f"x and y must not be empty, got shapes {x.shape} and {y.shape}")
    for name, factors in (("x", x), ("y", y)):
        if not _all_finite(factors):
            raise ValueError(f"{name} holds numbers that are not finite")
    mean = _stored_mean(facts.get("mean"), x, y)
    users = Ids.checked("user", _stored_ids(arrays, "users"), x.shape[0])
    items = Ids.checked("item", _stored_ids(arrays, "items"), y.shape[0])
    names = _stored_strings(arrays, "names")
    if names is not None and names.size != items.n:
        raise ValueError(f"names must hold one for each of the {items.n} items, got {names.size}")
    return State(x, y, users, items, names, _stored_seen(arrays, (x.shape[0], y.shape[0])), mean)


def _all_finite(factors: NDArray[Any]) -> bool:
    """Reads each row once from memory: blocks stay in the cache from the lowest number to the highest."""
    step = max(1, 2**18 // factors.shape[1])
    blocks = (factors[begin : begin + step] for begin in range(0, factors.shape[0], step))
    return all(np.isfinite([block.min(), block.max()]).all() for block in blocks)


def _stored(arrays: dict[str, NDArray[Any]], name: str, types: tuple[str, ...], ndim: int = 1) -> NDArray[Any]:
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    array = arrays[name]
    if array.dtype.name not in types or array.ndim != ndim:
        kinds = f"{' or '.join(types)} in {ndim} dimension{'s' if ndim > 1 else ''}"
        raise ValueError(f"array {name!r} must hold {kinds}, got {array.dtype} of shape {array.shape}")
    return array


def _stored_mean(mean: Any, x: NDArray[Any], y: NDArray[Any]) -> float | None:
    if mean is None:
        return None
    with np.errstate(over="ignore"):
        if not _json.is_number(mean) or not np.isfinite(x.dtype.type(mean)):
            raise ValueError(f"mean must be a number that {x.dtype} holds, got {mean!r}")
    if x.shape[1] < 3 or np.any(x[:, -1] != 1) or np.any(y[:, -2] != 1):
        raise ValueError("x and y must have columns of ones beside the other side's biases")
    return float(mean)


def _stored_ids(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any] | None:
    return _stored(arrays, name, ("int64",)) if name in arrays else _stored_strings(arrays, name)


def _stored_strings(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any] | None:
    parts = {"length": "int64", "bytes": "uint8"}
    if not any(f"{name}.{part}" in arrays for part in parts):
        return None
    return container.unpack_strings({part: _stored(arrays, f"{name}.{part}", (kind,)) for part, kind in parts.items()})


def _stored_seen(arrays: dict[str, NDArray[Any]], shape: tuple[int, int]) -> Csr | None:
    parts = {"indptr": ("int64",), "indices": ("int32", "int64"), "data": ("float32", "float64")}
    if not any(f"seen.{part}" in arrays for part in parts):
        return None
    indptr, indices, data = (_stored(arrays, f"seen.{part}", types) for part, types in parts.items())
    # the core reads memory by these, so they come before its own check
    if indptr.size != shape[0] + 1 or indptr[-1] != indices.size or indices.size != data.size:
        raise ValueError(f"seen.indptr, seen.indices and seen.data do not fit each other and {shape[0]} users")
    seen = Csr(indptr, indices, data, shape)
    if _core.check_csr(seen, 1)[0] in (1, 2, 3, 4):
        raise ValueError("interactions out of order")
    return seen
