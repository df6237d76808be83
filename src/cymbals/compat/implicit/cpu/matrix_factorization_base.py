"""What models of user and item factors share: recommendations and similarities."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..best import best
from ..recommender_base import RecommenderBase, Results

_NO_LENGTH = 1e-10  # implicit divides by this for rows of zeros


class MatrixFactorizationBase(RecommenderBase):
    """A model of user and item factors.

    Attributes
    ----------
    user_factors, item_factors : ndarray, shape (n_users, f) and (n_items, f), or None
        None before the first fit. If you write to these arrays after a method was called, assign them again: the model
        caches norms and decompositions.
    num_threads : int
        0: see `cymbals.threads`.
    """

    def __init__(self, num_threads: int = 0) -> None:
        self.item_factors = None
        self.user_factors = None
        self.num_threads = num_threads

    @property
    def user_factors(self) -> Any:
        return self._user_factors

    @user_factors.setter
    def user_factors(self, factors: Any) -> None:
        self._user_factors = factors
        self._forget_users()

    @property
    def item_factors(self) -> Any:
        return self._item_factors

    @item_factors.setter
    def item_factors(self, factors: Any) -> None:
        self._item_factors = factors
        self._forget_items()

    def _forget_users(self) -> None:
        self._user_norms: NDArray[Any] | None = None

    def _forget_items(self) -> None:
        self._item_norms: NDArray[Any] | None = None

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> Results:
        """Recommend items to one user or several.

        Parameters
        ----------
        userid : int or array_like of int
        user_items : csr_matrix
            One row for each user, with the values of the items that they have. Not used if neither
            `filter_already_liked_items` nor `recalculate_user` is true.
        N : int
            Number of items for each user.
        filter_already_liked_items : bool
            Filter the items that `user_items` has for the user.
        filter_items : array_like of int, optional
            Items to filter for all users. Not together with `items`.
        recalculate_user : bool
            Compute the user's factors from `user_items`, instead of using those of the fit.
        items : array_like of int, optional
            Rank only these items.

        Returns
        -------
        ids, scores : ndarray
            Shape (N,) for one user, (m, N) for several, best first. Filtered items come last, with the lowest number of the
            dtype as their score. If there are fewer than N items, the last ids are 0 and their scores 0; with `items`, the
            arrays are shorter.
        """
        if filter_already_liked_items or recalculate_user:
            if not isinstance(user_items, sp.csr_matrix):
                raise ValueError(
                    f"user_items needs to be a CSR sparse matrix, got {type(user_items).__name__}; "
                    "make one with scipy.sparse.csr_matrix(x)"
                )
            n_users = 1 if np.isscalar(userid) else len(userid)
            if user_items.shape[0] != n_users:
                raise ValueError(
                    f"user_items must contain 1 row for every user in userids: it has {user_items.shape[0]} rows for "
                    f"{n_users} users; pass user_items[userid]"
                )
        users = self._user_factor(userid, user_items, recalculate_user)
        factors, liked = self.item_factors, user_items if filter_already_liked_items else None
        if items is not None:
            _only_one("items", filter_items, "filter_items")
            N, items = min(N, len(items)), np.sort(np.array(items))
            factors = _taken(factors, items, "items")
            liked = None if liked is None else _at_positions(items, liked)
        ids, scores = best(factors, users, N, liked=liked, filtered=filter_items, num_threads=self.num_threads)
        if items is not None:
            ids = items[ids]
        return (ids[0], scores[0]) if np.isscalar(userid) else (ids, scores)

    def recommend_all(
        self,
        user_items: Any,
        N: int = 10,
        recalculate_user: bool = False,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        users_items_offset: int = 0,
    ) -> NDArray[Any]:
        """Recommend items to all users of a matrix. Deprecated: use `recommend` with an array of users.

        Parameters
        ----------
        user_items : csr_matrix
            Row i has the items of user ``users_items_offset + i``.
        N, recalculate_user, filter_already_liked_items, filter_items
            See `recommend`.
        users_items_offset : int

        Returns
        -------
        ids : ndarray, shape (m, N)
        """
        warnings.warn(
            "recommend_all is deprecated. Use recommend with an array of userids instead", DeprecationWarning, stacklevel=2
        )
        userids = np.arange(user_items.shape[0]) + users_items_offset
        return self.recommend(
            userids,
            user_items,
            N=N,
            filter_already_liked_items=filter_already_liked_items,
            filter_items=filter_items,
            recalculate_user=recalculate_user,
        )[0]

    def _user_factor(self, userid: Any, user_items: Any, recalculate_user: bool = False) -> Any:
        return self.recalculate_user(userid, user_items) if recalculate_user else self.user_factors[userid]

    def _item_factor(self, itemid: Any, item_users: Any, recalculate_item: bool = False) -> Any:
        return self.recalculate_item(itemid, item_users) if recalculate_item else self.item_factors[itemid]

    def recalculate_user(self, userid: Any, user_items: Any) -> NDArray[Any]:
        """Compute the factors of users from their values."""
        raise NotImplementedError("recalculate_user is not supported with this model")

    def recalculate_item(self, itemid: Any, item_users: Any) -> NDArray[Any]:
        """Compute the factors of items from their values."""
        raise NotImplementedError("recalculate_item is not supported with this model")

    def similar_users(self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None) -> Results:
        """Find the users most similar to one user or several, by the cosine of their factors.

        Parameters
        ----------
        userid : int or array_like of int
        N : int
        filter_users : array_like of int, optional
            Users to filter. Not together with `users`.
        users : array_like of int, optional
            Rank only these users.

        Returns
        -------
        ids, scores : ndarray, shape (N,) or (m, N)
            As in `recommend`. The user themselves comes first.
        """
        factors, norms = self.user_factors, self.user_norms
        query, norm = factors[userid], norms[userid]
        return self._similar(query, norm, factors, norms, N, filter_users, users, "users")

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> Results:
        """Find the items most similar to one item or several, by the cosine of their factors.

        Parameters
        ----------
        itemid : int or array_like of int
        N : int
        recalculate_item : bool
            Compute the item's factors from `item_users`, instead of using those of the fit.
        item_users : csr_matrix, optional
            For `recalculate_item`: one row for each item, with the values of the users who have it.
        filter_items : array_like of int, optional
            Items to filter. Not together with `items`.
        items : array_like of int, optional
            Rank only these items.

        Returns
        -------
        ids, scores : ndarray, shape (N,) or (m, N)
            As in `recommend`. The item itself comes first.
        """
        query = self._item_factor(itemid, item_users, recalculate_item)
        norm = _lengths(query) if recalculate_item else self.item_norms[itemid]
        return self._similar(query, norm, self.item_factors, self.item_norms, N, filter_items, items, "items")

    def _similar(
        self, query: Any, norm: Any, factors: Any, norms: Any, N: int, filtered: Any, chosen: Any, name: str
    ) -> Results:
        if chosen is not None:
            _only_one(name, filtered, f"filter_{name}")
            chosen = np.array(chosen)
            factors, norms = _taken(factors, chosen, name), norms[chosen]
        ids, scores = best(factors, query, N, norms=norms, filtered=filtered, num_threads=self.num_threads)
        if np.isscalar(norm):
            ids, scores = ids[0], scores[0] / norm
        else:
            scores /= norm[:, None]
        return (ids if chosen is None else chosen[ids]), scores

    @property
    def user_norms(self) -> NDArray[Any]:
        """The length of each user's factors; 1e-10 where they are all 0."""
        if self._user_norms is None:
            self._user_norms = _lengths(self.user_factors)
        return self._user_norms

    @property
    def item_norms(self) -> NDArray[Any]:
        """The length of each item's factors; 1e-10 where they are all 0."""
        if self._item_norms is None:
            self._item_norms = _lengths(self.item_factors)
        return self._item_norms

    def _check_fit_errors(self) -> None:
        self._check_factors(self.user_factors, self.item_factors)


def _lengths(factors: Any) -> Any:
    """The length of each row, or of a single row as a scalar."""
    norms = np.linalg.norm(factors, axis=-1)
    return (
        norms.dtype.type(np.where(norms == 0, _NO_LENGTH, norms))
        if norms.ndim == 0
        else np.where(norms == 0, norms.dtype.type(_NO_LENGTH), norms)
    )


def _only_one(name: str, filtered: Any, other: str) -> None:
    if filtered is not None and np.size(filtered):
        raise ValueError(f"Can't set both {name} and {other}")


def _taken(factors: Any, rows: NDArray[Any], name: str) -> Any:
    """The given rows of `factors`. Raises IndexError for rows that it does not have, also for negative ones."""
    if rows.size and (rows.min() < 0 or rows.max() >= factors.shape[0]):
        raise IndexError(
            f"Some ids in {name} are not in the model: they are from {rows.min()} to {rows.max()}, and the model has "
            f"{factors.shape[0]} {name}"
        )
    return factors[rows]


def _at_positions(items: NDArray[Any], liked: Any) -> sp.csr_matrix:
    """The entries of `liked` whose columns are in `items`, which are sorted, with their first position there as columns."""
    entries = liked.tocoo()
    places = np.minimum(np.searchsorted(items, entries.col), items.size - 1)
    among = items[places] == entries.col
    rows, columns = entries.row[among], places[among]
    return sp.csr_matrix((np.ones(rows.size, np.float32), (rows, columns)), shape=(liked.shape[0], items.size))
