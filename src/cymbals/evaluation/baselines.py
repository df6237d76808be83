"""Baselines: simple models that a fitted model should beat."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..base.checks import generator
from ..base.threads import resolve
from ..data.csr import Csr
from ..data.interactions import as_interactions
from ..model.factor_model import FactorModel
from ..model.state import State, audience


def contenders(model: FactorModel, train: Any, seed: Any = 0) -> dict[str, FactorModel]:
    """The models to compare: `model` as "ALS", and both baselines, fitted on the same train part."""
    return {"ALS": model, "popularity": Popularity().fit(train), "random": Random(seed).fit(train)}


class Popularity(FactorModel):
    """A baseline that recommends the items with the most users, to every user.

    Compare your model with it by `cymbals.evaluate`: a model that does not rank better has learnt nothing about individual
    users. This baseline is a model with one factor, the number of users of each item.

    Examples
    --------
    >>> import scipy.sparse
    >>> import cymbals
    >>> cymbals.baselines.Popularity().fit(scipy.sparse.csr_array([[1, 0], [1, 0], [0, 1]])).popular(2)[0]
    array([0, 1])
    """

    def fit(self, train: Any) -> Self:
        """Count the users of each item that have a value above 0.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix or array, shape (n_users, n_items)

        Returns
        -------
        self
        """
        data = as_interactions("train", train, resolve(None))
        everyone, counts = np.ones((data.shape[0], 1), np.float32), audience(data.csr, np.float32)
        self._state = State(everyone, counts, data.users, data.items, data.item_names, data.csr)
        return self

    def _fold_in(self, state: State, rows: Csr, n_threads: int, features: Csr | None = None) -> NDArray[Any]:
        return np.ones((rows.shape[0], 1), state.x.dtype)


class Random(FactorModel):
    """A baseline that recommends random items, different ones to each user. Its factors are random numbers.

    Use it to check an evaluation: the AUC of this baseline must be 1/2, up to random deviations.

    Parameters
    ----------
    seed : int, Generator or RandomState

    Examples
    --------
    >>> import scipy.sparse
    >>> import cymbals
    >>> cymbals.baselines.Random(seed=1).fit(scipy.sparse.eye_array(3)).recommend(0, n=2)[0].shape
    (2,)
    """

    _RANK = 16  # large enough that the rankings of two users are nearly independent

    def __init__(self, seed: Any = 0) -> None:
        self.seed = seed

    def fit(self, train: Any) -> Self:
        """Draw random factors.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix or array, shape (n_users, n_items)

        Returns
        -------
        self
        """
        data, rng = as_interactions("train", train, resolve(None)), generator(self.seed, "seed")
        x, y = (rng.standard_normal((n, self._RANK)).astype(np.float32) for n in data.shape)
        self._state = State(x, y, data.users, data.items, data.item_names, data.csr)
        return self

    def _fold_in(self, state: State, rows: Csr, n_threads: int, features: Csr | None = None) -> NDArray[Any]:
        return np.random.default_rng(0).standard_normal((rows.shape[0], self._RANK)).astype(state.x.dtype)
