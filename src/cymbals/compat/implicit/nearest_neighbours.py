"""implicit's weightings of values: BM25 and TF-IDF. Its models of neighbours exist only to be refused."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .recommender_base import RecommenderBase


class ItemItemRecommender(RecommenderBase):
    """Not available: cymbals has no models of neighbours. Creating one raises NotImplementedError."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        raise NotImplementedError(f"cymbals has no {cls.__name__}; use implicit for models of neighbours")


class CosineRecommender(ItemItemRecommender):
    """Not available, see `ItemItemRecommender`."""


class TFIDFRecommender(ItemItemRecommender):
    """Not available, see `ItemItemRecommender`."""


class BM25Recommender(ItemItemRecommender):
    """Not available, see `ItemItemRecommender`."""


def bm25_weight(X: Any, K1: float = 100, B: float = 0.8) -> Any:
    """Weight a sparse matrix by BM25. Each row counts as a document, and each column as a term.

    Parameters
    ----------
    X : scipy sparse matrix or array, shape (n, m)
    K1 : float
        The larger it is, the longer the weight goes on growing with the value. With 0, all values of a column count alike.
    B : float
        How much the row's sum counts, from 0 (not at all) to 1.

    Returns
    -------
    coo_matrix
        A new matrix. The inverse document frequency is log(n) - log(1 + entries of the column), as in implicit.
    """
    X = sp.coo_matrix(X)
    lengths = np.ravel(X.sum(axis=1))
    relative = (1.0 - B) + B * lengths / lengths.mean()
    X.data = X.data * (K1 + 1.0) / (K1 * relative[X.row] + X.data) * _idf(X)[X.col]
    return X


def tfidf_weight(X: Any) -> Any:
    """Weight a sparse matrix by TF-IDF: the square root of each value, times the inverse document frequency of its column.

    Parameters
    ----------
    X : scipy sparse matrix or array, shape (n, m)

    Returns
    -------
    coo_matrix
        A new matrix.
    """
    X = sp.coo_matrix(X)
    X.data = np.sqrt(X.data) * _idf(X)[X.col]
    return X


def normalize(X: Any) -> Any:
    """Divide each row of a sparse matrix by its length.

    Parameters
    ----------
    X : scipy sparse matrix or array

    Returns
    -------
    coo_matrix
        A new matrix.
    """
    X = sp.coo_matrix(X)
    X.data = X.data / np.sqrt(np.bincount(X.row, X.data**2))[X.row]
    return X


def _idf(X: Any) -> NDArray[Any]:
    idf: NDArray[Any] = np.log(float(X.shape[0])) - np.log1p(np.bincount(X.col))
    return idf
