"""The interface of a recommendation model, and the error of a fit that failed."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Results = tuple[NDArray[Any], NDArray[Any]]


class ModelFitError(Exception):
    """The fit failed, or the values cannot be fitted."""


class RecommenderBase(metaclass=ABCMeta):
    """What every recommendation model can do. Users and items are row and column numbers of the matrix it was fitted to."""

    @abstractmethod
    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Fit the model to a CSR matrix of users x items."""

    @abstractmethod
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
        """Return the ids and the scores of the best items for one user or several."""

    @abstractmethod
    def similar_users(self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None) -> Results:
        """Return the ids and the scores of the users who are most similar to one user or several."""

    @abstractmethod
    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> Results:
        """Return the ids and the scores of the items that are most similar to one item or several."""

    @abstractmethod
    def save(self, file: Any) -> None:
        """Write the model to an ``.npz`` file."""

    @classmethod
    def load(cls, fileobj_or_path: Any) -> Self:
        """Read a model from an ``.npz`` file."""
        raise NotImplementedError(f"{cls.__name__} cannot be read from a file")

    def rank_items(self, userid: Any, user_items: Any, selected_items: Any, recalculate_user: bool = False) -> Results:
        """Sort given items by a user's scores. Deprecated: use `recommend` with ``items``."""
        warnings.warn(
            "rank_items is deprecated. Use recommend with the 'items' parameter instead", DeprecationWarning, stacklevel=2
        )
        return self.recommend(
            userid,
            user_items,
            recalculate_user=recalculate_user,
            items=selected_items,
            filter_already_liked_items=False,
        )

    @staticmethod
    def _check_factors(user_factors: NDArray[Any], item_factors: NDArray[Any]) -> None:
        if not (np.isfinite(user_factors).all() and np.isfinite(item_factors).all()):
            raise ModelFitError("NaN encountered in factors")
