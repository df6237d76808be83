"""Two factor matrices and what can be read from them: recommendations, similarities, scores.

Reading methods are thread-safe: each looks at one immutable `State`, whatever updates put in its place meanwhile.
"""

from __future__ import annotations

import copy
from types import EllipsisType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..base.checks import boolean, whole_number
from ..base.threads import resolve
from ..base.writing import Writing
from ..data.csr import Csr, from_scipy
from ..data.ids import Ids, is_one, listed, one_row
from ..metrics.errors import pair_scores
from . import retrieval
from .state import State


class NotFittedError(ValueError, AttributeError):
    """The model has no factors yet."""


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

    def __sklearn_is_fitted__(self) -> bool:
        return self._state is not None

    @property
    def state_(self) -> State:
        """All that the model knows; raises NotFittedError before a fit."""
        if self._state is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        return self._state

    def replace_state(self, state: State | None, *, only_if: State | EllipsisType | None = ...) -> None:
        """Put another state in place; with `only_if`, only while the model still has that one."""
        with self._writing:
            if only_if is ... or self._state is only_if:
                self._state = state

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
    def user_ids_(self) -> NDArray[Any]:
        """The ids of users in row order, shape (n_users,)."""
        return self.state_.users.all()

    @property
    def item_ids_(self) -> NDArray[Any]:
        """The ids of items in row order, shape (n_items,)."""
        return self.state_.items.all()

    @property
    def item_names_(self) -> NDArray[Any] | None:
        """A name or None for each item; None where the data had no names."""
        return self.state_.names

    def name_of(self, item: Any) -> str:
        """An item's name, or its id where it has none."""
        state = self.state_
        row = one_row(state.items, "item", item)
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
        at = np.array([one_row(state.users, "user", user)])
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
            preference: about 1 for what the user likes, about 0 for what they do not know.
        """
        state = self.state_
        u, i = state.users.rows("users", listed(users)), state.items.rows("items", listed(items))
        if u.size != i.size:
            raise ValueError(f"users and items must be equally long, got {u.size} and {i.size}")
        return pair_scores(state.x, state.scored_items, u, i)

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


def _places(n: Any) -> int:
    return whole_number("n", n, 1, retrieval.MOST_PLACES)
