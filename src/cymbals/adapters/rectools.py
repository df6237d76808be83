"""RecTools: a model that takes the place of `ImplicitALSWrapperModel`.

RecTools checks what callers pass and converts ids, so the model here gets and returns row numbers.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..base.checks import instance
from ..base.optional import missing
from ..model.als import ALS

try:
    from rectools.dataset import Dataset
    from rectools.exceptions import NotFittedError
    from rectools.models.base import ModelBase, ModelConfig
except ImportError as error:
    raise ImportError(missing("rectools", __name__)) from error

from .config import AlsField

Triplet = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # targets, items and scores, one element for each recommendation


class ALSModelConfig(ModelConfig):  # type: ignore[misc]
    """The configuration of an `ALSModel`.

    Parameters
    ----------
    model : ALS or dict
        An unfitted model, or its arguments by name.
    verbose : int
    """

    model: AlsField


class ALSModel(ModelBase[ALSModelConfig]):  # type: ignore[misc]
    """A RecTools model that fits and recommends with `cymbals.ALS`.

    It recommends for users and items that have interactions, as `ImplicitALSWrapperModel` does. It ignores features of
    users and items.

    Parameters
    ----------
    model : ALS
        The model to fit. It is copied, so it stays unfitted. Its `n_threads` is the number of threads for recommendations
        too.
    verbose : int
        Above 0: a fit shows a progress bar.

    Attributes
    ----------
    model : ALS
        The fitted model. Its ids are RecTools' internal ids, which are row numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from cymbals import ALS
    >>> from cymbals.adapters.rectools import ALSModel
    >>> from rectools.dataset import Dataset
    >>> plays = pd.DataFrame({"user_id": ["ann", "ann", "bob", "cy"], "item_id": ["abba", "blur", "abba", "blur"]})
    >>> dataset = Dataset.construct(plays.assign(weight=[9, 1, 4, 7], datetime="2026-01-01"))
    >>> model = ALSModel(ALS(factors=2, random_state=0)).fit(dataset)
    >>> model.recommend(["bob"], dataset, k=1, filter_viewed=True)["item_id"].tolist()
    ['blur']
    """

    recommends_for_warm = False
    recommends_for_cold = False
    config_class = ALSModelConfig
    model: ALS

    def __init__(self, model: ALS, verbose: int = 0) -> None:
        super().__init__(verbose=verbose)
        self._unfitted = instance("model", model, ALS)

    def get_vectors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Vectors whose inner products are the scores. RecTools' indexes for approximate search take them.

        Returns
        -------
        users, items : ndarray, shape (n_users, f) and (n_items, f)
            With biases, they have two columns more.

        Raises
        ------
        NotFittedError
            The model is not fitted.
        """
        if not self.is_fitted:
            raise NotFittedError(type(self).__name__)
        state = self.model.state_
        return state.x, state.scored_items

    # -- called by the methods of RecTools' base class ---------------------------------------------------------------

    def _get_config(self) -> ALSModelConfig:
        return ALSModelConfig(cls=type(self), model=self._unfitted, verbose=self.verbose)

    @classmethod
    def _from_config(cls, config: ALSModelConfig) -> Self:
        return cls(config.model, verbose=config.verbose)

    def _fit(self, dataset: Dataset) -> None:
        self._fitted(dataset)

    def _fit_partial(self, dataset: Dataset, epochs: int) -> None:
        self._fitted(dataset, init=self.model if self.is_fitted else None, iterations=epochs)

    def _fitted(self, dataset: Dataset, init: ALS | None = None, **changes: Any) -> None:
        model = ALS(**self._unfitted.get_params() | changes)
        self.model = model.fit(dataset.get_user_item_matrix(include_weights=True), init=init, progress=self.verbose > 0)

    def _recommend_u2i(
        self,
        user_ids: NDArray[np.int64],
        dataset: Dataset,
        k: int,
        filter_viewed: bool,
        sorted_item_ids_to_recommend: NDArray[np.int64] | None,
    ) -> Triplet:
        seen = dataset.get_user_item_matrix(include_weights=False)[user_ids] if filter_viewed else None
        items, scores = self.model.recommend(
            user_ids,
            min(k, self._n_items),
            exclude=seen,
            exclude_seen=False,
            candidates=self._with_factors(sorted_item_ids_to_recommend),
        )
        return _triplet(user_ids, items, scores)

    def _recommend_i2i(
        self,
        target_ids: NDArray[np.int64],
        dataset: Dataset,
        k: int,
        sorted_item_ids_to_recommend: NDArray[np.int64] | None,
    ) -> Triplet:
        wanted = self._with_factors(sorted_item_ids_to_recommend)
        items, scores = self.model.similar_items(target_ids, min(k, self._n_items), candidates=wanted)
        # RecTools expects that an item is similar to itself, and removes it if the caller does not want it.
        itself = np.full(target_ids.size, True) if wanted is None else np.isin(target_ids, wanted)
        scores[itself, -1] = -np.inf  # it makes room for the item itself
        items = np.column_stack([target_ids, items])
        scores = np.column_stack([np.where(itself, 1, -np.inf), scores])
        return _triplet(target_ids, items, scores)

    @property
    def _n_items(self) -> int:
        return int(self.model.item_factors_.shape[0])

    def _with_factors(self, items: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        """These items without those that are in the dataset, but have no interactions."""
        return None if items is None else items[items < self._n_items]


def _triplet(targets: NDArray[np.int64], items: NDArray[Any], scores: NDArray[Any]) -> Triplet:
    filled = scores > -np.inf
    return np.repeat(targets, filled.sum(axis=1)), items[filled], scores[filled]
