"""What a model must beat."""

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
    """A model named "ALS" and what it must beat, "popularity" and "random", fitted on the same train part."""
    return {"ALS": model, "popularity": Popularity().fit(train), "random": Random(seed).fit(train)}


class Popularity(FactorModel):
    """Every user is recommended what most users have: a model of one factor, the audience.

    Examples
    --------
    >>> import scipy.sparse
    >>> import cymbals
    >>> cymbals.baselines.Popularity().fit(scipy.sparse.csr_array([[1, 0], [1, 0], [0, 1]])).popular(2)[0]
    array([0, 1])
    """

    def fit(self, train: Any) -> Self:
        """Count the users of each item whose value is above 0; takes what `ALS.fit` takes."""
        data = as_interactions("train", train, resolve(None))
        everyone, counts = np.ones((data.shape[0], 1), np.float32), audience(data.csr, np.float32)
        self._state = State(everyone, counts, data.users, data.items, data.item_names, data.csr)
        return self

    def _fold_in(self, state: State, rows: Csr, n_threads: int) -> NDArray[Any]:
        return np.ones((rows.shape[0], 1), state.x.dtype)


class Random(FactorModel):
    """Every user is recommended items at random, each user others: factors that are noise. Its AUC is 1/2 but for chance.

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

    _RANK = 16  # enough that the orders of two users have little in common

    def __init__(self, seed: Any = 0) -> None:
        self.seed = seed

    def fit(self, train: Any) -> Self:
        """Draw the factors; takes what `ALS.fit` takes."""
        data, rng = as_interactions("train", train, resolve(None)), generator(self.seed, "seed")
        x, y = (rng.standard_normal((n, self._RANK)).astype(np.float32) for n in data.shape)
        self._state = State(x, y, data.users, data.items, data.item_names, data.csr)
        return self

    def _fold_in(self, state: State, rows: Csr, n_threads: int) -> NDArray[Any]:
        return np.random.default_rng(0).standard_normal((rows.shape[0], self._RANK)).astype(state.x.dtype)
