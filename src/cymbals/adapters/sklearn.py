"""User factors as features, in scikit-learn's pipelines."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from ..model.als import ALS


class Factorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer: a row of values becomes the factors of a user.

    Parameters
    ----------
    als : ALS, optional
        The model to fit; ``ALS()`` by default. It is cloned. If it is given, its arguments are parameters of this
        estimator, too: ``als__factors`` and so on.

    Attributes
    ----------
    als_ : ALS
        The fitted model.
    n_features_in_ : int
        Number of items.
    components_ : ndarray, shape (f, n_items)
        The items' factors.

    Examples
    --------
    >>> import scipy.sparse
    >>> from cymbals import ALS
    >>> from cymbals.adapters.sklearn import Factorizer
    >>> plays = scipy.sparse.random_array((30, 20), density=0.3, rng=0).tocsr()
    >>> Factorizer(ALS(factors=4, random_state=0)).fit_transform(plays).shape
    (30, 4)
    """

    def __init__(self, als: ALS | None = None) -> None:
        self.als = als

    def fit(self, X: Any, y: None = None) -> Self:
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : array_like or scipy sparse, shape (n_users, n_items)
            Zeros are cells without an entry.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        rows = self._rows(X, reset=True)
        als: ALS = clone(ALS() if self.als is None else self.als)
        self.als_ = als.fit(rows)
        self._n_features_out = self.als_.item_factors_.shape[1]
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Compute the factors of users from their values, as `ALS.fold_in` does.

        Parameters
        ----------
        X : array_like or scipy sparse, shape (n_users, n_items)

        Returns
        -------
        ndarray, shape (n_users, f)
        """
        check_is_fitted(self)
        return self.als_.fold_in(self._rows(X, reset=False))

    @property
    def components_(self) -> NDArray[Any]:
        check_is_fitted(self)
        return self.als_.item_factors_.T

    def score(self, X: Any, y: None = None) -> float:
        """How well the model ranks held-out items of the rows of X. See `ALS.score`."""
        check_is_fitted(self)
        return self.als_.score(self._rows(X, reset=False))

    def _rows(self, X: Any, reset: bool) -> sp.csr_array:
        checked = validate_data(
            self, X, reset=reset, accept_sparse="csr", dtype=[np.float32, np.float64], ensure_min_samples=1
        )
        return sp.csr_array(checked)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
