"""A model of two factor matrices, and the methods that read them: recommendations, similarities, scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._core import Index
from ..base.checks import boolean, one_of, whole_number
from ..data.csr import Csr, from_scipy
from ..data.ids import id_array, is_one, listed, one_row
from ..metrics.errors import pair_scores
from . import retrieval
from .fitted_model import FittedModel
from .queries import answer_frame, frame_library, histories, rows_of
from .side_features import of_strangers
from .state import State

Lists = tuple[NDArray[Any], NDArray[Any]]  # ids and scores


@dataclass(frozen=True)
class _Queries:
    """The users of one call of `recommend`. The functions `factors` and `seen` take an array of positions in this list."""

    one: bool  # whether the caller passed a single user; the results then have shape (n,), not (m, n)
    ids: NDArray[Any]  # what the caller calls each user
    strangers: NDArray[np.bool_]  # whether the model does not know the user's id
    history: NDArray[np.int64]  # the number of entries of each user
    factors: Callable[[NDArray[np.int64]], NDArray[Any]]
    seen: Callable[[NDArray[np.int64]], Csr]
    row: Csr | None = None  # if there is only one user, whom the model does not know: the entries


class FactorModel(FittedModel):
    """A model of two factor matrices: the base class of `ALS` and of the baselines."""

    @overload
    def recommend(
        self,
        users: Any = ...,
        n: int = ...,
        *,
        rows: Any = ...,
        history: Any = ...,
        features: Any = ...,
        exclude_seen: bool = ...,
        exclude: Any = ...,
        candidates: Any = ...,
        unknown: str = ...,
        to_frame: Literal[False] = ...,
        n_threads: int | None = ...,
    ) -> Lists: ...
    @overload
    def recommend(
        self,
        users: Any = ...,
        n: int = ...,
        *,
        rows: Any = ...,
        history: Any = ...,
        features: Any = ...,
        exclude_seen: bool = ...,
        exclude: Any = ...,
        candidates: Any = ...,
        unknown: str = ...,
        to_frame: Literal[True] | str,
        n_threads: int | None = ...,
    ) -> Any: ...
    def recommend(
        self,
        users: Any = None,
        n: int = 10,
        *,
        rows: Any = None,
        history: Any = None,
        features: Any = None,
        exclude_seen: bool = True,
        exclude: Any = None,
        candidates: Any = None,
        unknown: str = "raise",
        to_frame: bool | str = False,
        n_threads: int | None = None,
    ) -> Any:
        """The items with the highest scores for each user.

        Beyond the result, a call needs only a few dozen megabytes, for any number of users. For calls with few users, the
        model caches an index of the items. It is a quarter of the size of the items' float32 factors.

        Parameters
        ----------
        users : id or array_like of ids
            One user, or several.
        n : int
            Number of items for each user.
        rows : scipy sparse, shape (m, n_items), optional
            Raw values of users that the model does not know, instead of `users`. They are folded in.
        history : list of item ids, dict of item id to value, or a list of these, optional
            What people have whom the model does not know, instead of `users`. They are folded in. An item without a value
            has the value 1. A list whose first element is a list, tuple, set, dict or array holds several histories.
        features : list of feature ids, dict of feature id to value, a list of these, or scipy sparse, optional
            Features of the people of `rows` or `history`, or of people with neither. The model must be fitted with
            `user_features`.
        exclude_seen : bool
            Leave out the items of the user's training row (or of `rows` or `history`).
        exclude : array_like of item ids, boolean mask, or scipy sparse of shape (m, n_items), optional
            Items to leave out for all users, by id or as an array with an element for each item. Or a sparse matrix with
            the items to leave out for each user.
        candidates : array_like of item ids, or boolean mask, optional
            Recommend only these items. Duplicates count once.
        unknown : {"raise", "popular", "skip"}
            What happens to ids in `users` that the model does not know. "popular": they get the most popular items. "skip":
            they get no items.
        to_frame : bool or {"pandas", "polars", "pyarrow"}
            Return a data frame of this library. True: of the library of `users`, or of pandas if they are in neither of the
            other two.
        n_threads : int, optional

        Returns
        -------
        ids, scores : ndarray
            Shape (n,) for one user, (m, n) for several, best first. If items have equal scores, the lower row comes first.
            Scores have the model's dtype. If fewer than n items remain, the last ids are -1 (None if ids are strings) and
            their scores -inf. A user without history gets the most popular items, if the model has its interactions. The
            score of an item is then the number of users who have it.
        DataFrame
            With `to_frame`: a row for each recommendation, with the columns "user", "rank" (from 1), "item", "name" if the
            model has names, and "score". For `rows` and `history`, "user" is the position, from 0.

        Raises
        ------
        KeyError
            The model does not know an id.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1))
        >>> ids, scores = model.recommend(0, n=3)
        >>> ids.shape, scores.shape
        ((3,), (3,))
        >>> model.recommend(history=[4, 7], n=2)[0].shape
        (2,)
        """
        state, k = self.state_, checked_n(n)
        threads_used, exclude_seen = self._threads(n_threads), boolean("exclude_seen", exclude_seen)
        one_of("unknown", unknown, ("raise", "popular", "skip"))
        library = frame_library(to_frame, users)
        given = (users is not None) + (rows is not None) + (history is not None)
        if given > 1 or (given == 0 and features is None) or (users is not None and features is not None):
            raise TypeError(
                "recommend takes exactly one of users, rows and history; features go with rows, history or alone"
            )
        if rows is not None:
            queries = self._new_users("rows", rows, getattr(rows, "ndim", 2) == 1, features, state, threads_used)
        elif history is not None:
            one, listed_items = histories("history", history, state.items)
            queries = self._new_users("history", listed_items, one, features, state, threads_used)
        elif features is not None:
            one, known = of_strangers(state.user_features, "features", features, None)
            nothing = sp.csr_array((known.shape[0], state.items.n), dtype=state.y.dtype)
            queries = self._new_users("rows", nothing, one, known.to_scipy(), state, threads_used)
        else:
            queries = self._known_users(state, users, exclude_seen, unknown)
        limits = self._limits(state, exclude, candidates, queries.history.size, threads_used)
        best, scores = self._ranked(state, queries, k, exclude_seen, limits, threads_used)
        if unknown == "skip":
            best[queries.strangers], scores[queries.strangers] = -1, -np.inf
        ids = state.items.of(best)
        if library is not None:
            return answer_frame(library, ("user", queries.ids), ("item", ids, scores), state.names, state.items)
        return (ids[0], scores[0]) if queries.one else (ids, scores)

    def _ranked(
        self,
        state: State,
        queries: _Queries,
        k: int,
        exclude_seen: bool,
        limits: tuple[Csr | None, NDArray[np.int64] | None],
        n_threads: int,
        index: Index | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The rows of the k best items of each user, or -1, and their scores. `limits` is a result of `_limits`.

        If there are few users, the model's cached index of the items is used; otherwise `index`, if there is one.
        """
        n_queries = queries.history.size
        mask, competing = limits

        def skip(block: NDArray[np.int64]) -> Csr:
            parts = [mask.take(block)] if mask is not None else []
            if exclude_seen:
                parts.append(queries.seen(block))
            return parts[0] if len(parts) == 1 else retrieval.union(parts[0], parts[1], n_threads)

        skipping = skip if mask is not None or exclude_seen else None
        if n_queries < retrieval.FEW_QUERIES and self._uses_index(state, k, limits):
            index = state.item_index(n_threads)
        if index is not None and mask is None and queries.row is not None and queries.row.nnz:
            found = self._solved_and_ranked(state, queries.row, index, k, exclude_seen, n_threads)
            if found is not None:
                return found
        items = state.scored_items
        best, scores = retrieval.topk(queries.factors, items, n_queries, k, n_threads, skipping, competing, index=index)
        newcomers = np.flatnonzero(queries.history == 0)
        if newcomers.size and state.seen is not None:
            best[newcomers], scores[newcomers] = retrieval.topk(
                lambda block: np.ones((block.size, 1), state.y.dtype),
                state.audience,
                newcomers.size,
                k,
                n_threads,
                None if skipping is None else lambda block: skip(newcomers[block]),
                competing,
            )
        return best, scores

    def _uses_index(self, state: State, k: int, limits: tuple[Csr | None, NDArray[np.int64] | None]) -> bool:
        """Whether an index of all items speeds up the search."""
        return limits[1] is None and k <= state.y.shape[0] // retrieval.MIN_ITEMS_PER_RESULT

    def _known_users(self, state: State, users: Any, exclude_seen: bool, unknown: str) -> _Queries:
        one, seen = is_one(users), state.seen
        wanted = id_array("users", [users] if one else users)
        if not wanted.size:
            wanted = state.users.all()[:0]  # of the right type
        other_kind = wanted.size and state.users.whole != (wanted.dtype.kind == "i")
        strict = unknown == "raise" or other_kind  # ids of another kind are a mistake, not unknown users
        at = state.users.rows("users", wanted) if strict else state.users.find(wanted).astype(np.int64)
        if seen is None and exclude_seen:
            raise ValueError(
                "this model has no interactions, so it does not know which items users have seen: pass exclude_seen=False, "
                "or rows or history"
            )
        if seen is None and unknown == "popular":
            raise ValueError("this model has no interactions, so it does not know what is popular: pass unknown='skip'")
        strangers = at < 0
        at = np.maximum(at, 0)  # the row of a stranger is not used
        # If the model has no interactions, the histories are unknown: every user is treated as one with history.
        history = np.ones(at.size, np.int64) if seen is None else seen.lengths()[at]
        if state.user_features is not None:  # users without entries have factors, if they have features
            history = np.maximum(history, state.user_features.rows.lengths()[at])
        history[strangers] = 0
        if seen is not None:  # a user whose items were all new when the model was updated can have factors of 0
            silent = np.flatnonzero(state.x[at, 0] == 0)
            history[silent[~state.x[at[silent]].any(axis=1)]] = 0

        def seen_by(block: NDArray[np.int64]) -> Csr:
            assert seen is not None  # not called without `exclude_seen`
            rows = seen.take(at[block])
            if not strangers.any():
                return rows
            return rows.where(np.repeat(~strangers[block], rows.lengths()))

        return _Queries(one, wanted, strangers, history, lambda block: state.x[at[block]], seen_by)

    def _new_users(self, name: str, rows: Any, one: bool, features: Any, state: State, n_threads: int) -> _Queries:
        given = self._raw_rows(name, rows, state, n_threads)
        positions, known = np.arange(given.shape[0]), None
        history = given.lengths()
        if features is not None:
            known = of_strangers(state.user_features, "features", features, given.shape[0])[1]
            history = history + known.lengths()  # features alone are enough for recommendations of one's own
        return _Queries(
            one,
            positions,
            np.zeros(positions.size, bool),
            history,
            lambda block: self._fold_in(state, given.take(block), n_threads, None if known is None else known.take(block)),
            lambda block: given.take(block),
            given if given.shape[0] == 1 and known is None else None,
        )

    def _limits(
        self, state: State, exclude: Any, candidates: Any, n_queries: int, n_threads: int
    ) -> tuple[Csr | None, NDArray[np.int64] | None]:
        """The items to leave out for each query, if `exclude` is a matrix, else None; and the rows of the items to rank.

        The second result is None if all items are to be ranked. If `exclude` is a list of ids, it leaves out the rows of
        these items.
        """
        competing = None if candidates is None else rows_of(state.items, "candidates", candidates)
        if exclude is None:
            return None, competing
        if hasattr(exclude, "tocsr"):
            mask = from_scipy("exclude", exclude, n_threads)
            if mask.shape != (n_queries, state.y.shape[0]):
                raise ValueError(f"exclude must have shape {(n_queries, state.y.shape[0])}, got {mask.shape}")
            return mask.without_zeros(), competing
        unwanted = rows_of(state.items, "exclude", exclude)
        everything = np.arange(state.y.shape[0]) if competing is None else competing
        return None, np.setdiff1d(everything, unwanted, assume_unique=True)

    def popular(self, n: int = 10) -> tuple[NDArray[Any], NDArray[Any]]:
        """The items with the most users, for users without history.

        Parameters
        ----------
        n : int
            Number of items.

        Returns
        -------
        ids, scores : ndarray, shape (n,)
            The score of an item is the number of its users.
        """
        state, k = self._with_interactions(), checked_n(n)
        one = np.ones((1, 1), state.y.dtype)
        rows, scores = retrieval.topk(lambda _: one, state.audience, 1, k, 1)
        return state.items.of(rows[0]), scores[0]

    @overload
    def similar_items(
        self,
        items: Any,
        n: int = ...,
        n_threads: int | None = ...,
        *,
        exclude: Any = ...,
        candidates: Any = ...,
        to_frame: Literal[False] = ...,
    ) -> Lists: ...
    @overload
    def similar_items(
        self,
        items: Any,
        n: int = ...,
        n_threads: int | None = ...,
        *,
        exclude: Any = ...,
        candidates: Any = ...,
        to_frame: Literal[True] | str,
    ) -> Any: ...
    def similar_items(
        self,
        items: Any,
        n: int = 10,
        n_threads: int | None = None,
        *,
        exclude: Any = None,
        candidates: Any = None,
        to_frame: bool | str = False,
    ) -> Any:
        """The items most similar to each given item, by the cosine of their factors. Use it for "more like this" lists.

        Parameters
        ----------
        items : id or array_like of ids
        n : int
            Number of similar items for each.
        n_threads : int, optional
        exclude : array_like of item ids, or boolean mask, optional
            Items to leave out.
        candidates : array_like of item ids, or boolean mask, optional
            Rank only these items.
        to_frame : bool or {"pandas", "polars", "pyarrow"}
            As in `recommend`.

        Returns
        -------
        ids, scores : ndarray, shape (n,) or (m, n)
            Scores are cosines, best first. The item itself is left out. So are items without entries, because their
            factors are zero. If fewer than n items remain, the last ids are -1 (None if ids are strings) and their scores
            -inf.
        DataFrame
            With `to_frame`: the columns "item", "rank" (from 1), "similar", "name" if the model has names, and "score".
        """
        state = self.state_
        return self._similar("item", items, n, n_threads, state, state.item_directions, (exclude, candidates), to_frame)

    @overload
    def similar_users(
        self,
        users: Any,
        n: int = ...,
        n_threads: int | None = ...,
        *,
        exclude: Any = ...,
        candidates: Any = ...,
        to_frame: Literal[False] = ...,
    ) -> Lists: ...
    @overload
    def similar_users(
        self,
        users: Any,
        n: int = ...,
        n_threads: int | None = ...,
        *,
        exclude: Any = ...,
        candidates: Any = ...,
        to_frame: Literal[True] | str,
    ) -> Any: ...
    def similar_users(
        self,
        users: Any,
        n: int = 10,
        n_threads: int | None = None,
        *,
        exclude: Any = None,
        candidates: Any = None,
        to_frame: bool | str = False,
    ) -> Any:
        """The users most similar to each given user, by the cosine of their factors. Works like `similar_items`.

        Parameters
        ----------
        users : id or array_like of ids
        n : int
            Number of similar users for each.
        n_threads : int, optional
        exclude, candidates : array_like of user ids, or boolean mask, optional
        to_frame : bool

        Returns
        -------
        ids, scores : ndarray, shape (n,) or (m, n)
        DataFrame
            With `to_frame`.
        """
        state = self.state_
        return self._similar("user", users, n, n_threads, state, state.user_directions, (exclude, candidates), to_frame)

    def _similar(
        self,
        what: str,
        wanted: Any,
        n: Any,
        n_threads: Any,
        state: State,
        directions: tuple[NDArray[Any], NDArray[Any]],
        limits: tuple[Any, Any],
        to_frame: bool | str,
    ) -> Any:
        ids, (factors, inverse) = state.items if what == "item" else state.users, directions
        k, one, n_threads = checked_n(n), is_one(wanted), self._threads(n_threads)
        library = frame_library(to_frame, wanted)
        at = ids.rows(f"{what}s", [wanted] if one else wanted)
        competing = inverse != 0  # rows of zeros have no cosine
        for name, limit in zip(("exclude", "candidates"), limits, strict=True):
            if limit is not None:
                chosen = np.zeros(ids.n, bool)
                chosen[rows_of(ids, name, limit)] = True
                competing &= chosen if name == "candidates" else ~chosen

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
            None if competing.all() else np.flatnonzero(competing),
            inverse,
        )
        empty = inverse[at] == 0
        rows[empty], scores[empty] = -1, -np.inf
        found = ids.of(rows)
        if library is not None:
            names = state.names if what == "item" else None
            return answer_frame(library, (what, ids.of(at)), ("similar", found, scores), names, ids)
        return (found[0], scores[0]) if one else (found, scores)

    def rank_items(self, user: Any, items: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Sort given items by a user's scores. Use it to reorder a list that comes from elsewhere, such as search results.

        Parameters
        ----------
        user : id
        items : array_like of ids
            Duplicates count once.

        Returns
        -------
        ids, scores : ndarray
            All these items, best first. If items have equal scores, the lower row comes first.
        """
        state = self.state_
        at = np.array([one_row(state.users, "user", user)])
        rows = np.unique(state.items.rows("items", listed(items)))
        if not rows.size:
            return state.items.of(rows), np.empty(0, state.y.dtype)
        best, scores = retrieval.topk(lambda _: state.x[at], state.scored_items, 1, rows.size, 1, None, rows)
        return state.items.of(best[0]), scores[0]

    def predict(self, users: Any, items: Any) -> NDArray[Any]:
        """Scores of (user, item) pairs. Use it to estimate ratings, or to score pairs that are already chosen.

        Parameters
        ----------
        users, items : array_like of ids, of the same length

        Returns
        -------
        ndarray
            A score for each pair, in the model's dtype. With objective "explicit" it estimates the rating. Otherwise it
            estimates preference: about 1 for items that the user likes, about 0 for items that the user does not know.
        """
        state = self.state_
        u, i = state.users.rows("users", listed(users)), state.items.rows("items", listed(items))
        if u.size != i.size:
            raise ValueError(f"users and items must have the same length, got {u.size} and {i.size}")
        return pair_scores(state.x, state.scored_items, u, i)

    def _raw_rows(self, name: str, rows: Any, state: State, n_threads: int, *, by_item: bool = False) -> Csr:
        """The given rows of raw values as a Csr. Refuses a matrix whose number of columns is not the model's."""
        csr = rows if isinstance(rows, Csr) else from_scipy(name, rows, n_threads)
        width, what = (state.x.shape[0], "users") if by_item else (state.y.shape[0], "items")
        if csr.shape[1] != width:
            flipped = " (it looks transposed)" if csr.shape[0] == width else ""
            raise ValueError(
                f"{name} must have a column for each of the model's {width} {what}, got shape {csr.shape}{flipped}"
            )
        return csr

    def folded_in(self, name: str, rows: Csr, n_threads: int) -> NDArray[Any]:
        """Rows of users that the model does not know, as rows of `State.x`. `name` is the caller's argument."""
        state = self.state_
        return self._fold_in(state, self._raw_rows(name, rows, state, n_threads), n_threads)

    def _fold_in(self, state: State, rows: Csr, n_threads: int, features: Csr | None = None) -> NDArray[Any]:
        """Solve rows of users that the model does not know. Returns them as rows of `State.x`."""
        raise NotImplementedError

    def _solved_and_ranked(
        self, state: State, row: Csr, index: Index, k: int, exclude_seen: bool, n_threads: int
    ) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
        """`_fold_in` and the search for the best items in one step, which is faster. None if the model cannot do so."""
        return None


def checked_n(n: Any) -> int:
    return whole_number("n", n, 1, retrieval.MAX_N)
