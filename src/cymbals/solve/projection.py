"""A linear map from features to factors, fitted by ridge regression to the rows that have entries.

The factors of a row are seen as x = p + B'f, where f are its features, B is the map, and p is the rest.
The feature-aware iALS of irspack has the same form, but learns B and p together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..base.threads import single_blas_thread
from ..data.csr import Csr

_RIDGE = 3.0  # of feature vectors with the length 1: about three rows' worth of evidence
_FEW = 500  # with at most this many features, a dense system is solved
_STEPS = 50  # of conjugate gradients, at most
_TOLERANCE = 1e-3  # they end when the residual is this small, relative to the first one


@dataclass(frozen=True)
class Projection:
    """The map, as an array with a row for each feature and, last, one for all rows alike.

    Attributes
    ----------
    weights : ndarray, shape (n_features + 1, f)
    """

    weights: NDArray[Any]

    @classmethod
    def fitted(cls, features: Csr, factors: NDArray[Any], known: NDArray[np.bool_]) -> Self:
        """Fit the map to the rows that are `known`.

        Parameters
        ----------
        features : Csr, shape (n, n_features)
        factors : ndarray, shape (n, f)
        known : ndarray of bool, shape (n,)
        """
        matrix = _design(features, factors.dtype)[known]
        return cls(_ridge(matrix, factors[known]))

    def of(self, features: Csr) -> NDArray[Any]:
        """The factors that the map gives to rows with these features, shape (n, f). Zeros for rows without a feature."""
        out = np.asarray(_design(features, self.weights.dtype) @ self.weights)
        out[features.lengths() == 0] = 0
        return out

    def parts(self, features: Csr, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much each feature of a single row adds to its product with each direction.

        Shape (n_directions, features of the row + 1). The last column is what the map adds for all rows alike.
        """
        design = _design(features, np.float64)
        return np.asarray(directions @ self.weights[design.indices].astype(np.float64).T * design.data)


def _design(features: Csr, dtype: Any) -> sp.csr_array:
    """The rows of features with the length 1, and a last column of ones.

    A value v counts as sign(v) log(1 + |v|), because the counts of tags run over several orders of magnitude.
    """
    values = features.data.astype(np.float64)
    values = np.copysign(np.log1p(np.abs(values)), values)
    rows = features.row_numbers()
    lengths = np.sqrt(np.bincount(rows, values**2, features.shape[0]))
    values /= np.where(lengths > 0, lengths, 1.0)[rows]
    matrix = sp.csr_array((values.astype(dtype), features.indices, features.indptr), shape=features.shape)
    ones = sp.csr_array(np.ones((features.shape[0], 1), dtype))
    return sp.csr_array(sp.hstack([matrix, ones], format="csr"))


def _ridge(matrix: sp.csr_array, wanted: NDArray[Any]) -> NDArray[Any]:
    """Solve (A'A + _RIDGE I) B = A'Y.

    With many features, by conjugate gradients with a diagonal preconditioner, all columns at once.
    """
    transposed = sp.csr_array(matrix.T)
    if matrix.shape[1] <= _FEW:
        system = (transposed @ matrix).toarray().astype(np.float64)
        system[np.diag_indices_from(system)] += _RIDGE
        with single_blas_thread():  # whose bits do not depend on the number of threads
            return np.asarray(np.linalg.solve(system, transposed @ wanted), wanted.dtype, order="C")
    scale = 1 / (np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel() + _RIDGE)[:, None].astype(wanted.dtype)
    found = np.zeros((matrix.shape[1], wanted.shape[1]), wanted.dtype)
    residual = np.asarray(transposed @ wanted)
    whitened = scale * residual
    direction, size = whitened.copy(), _columns(residual, whitened)
    enough = _TOLERANCE**2 * size
    for _ in range(_STEPS):
        if (size <= enough).all():
            break
        image = transposed @ (matrix @ direction) + _RIDGE * direction
        step = _ratio(size, _columns(direction, image))
        found += step * direction
        residual -= step * image
        whitened = scale * residual
        before, size = size, _columns(residual, whitened)
        direction = whitened + _ratio(size, before) * direction
    return found


def _columns(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """The inner product of each pair of columns."""
    return np.asarray(np.einsum("ij,ij->j", a, b))


def _ratio(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    out: NDArray[Any] = np.divide(a, b, out=np.zeros_like(a), where=b > 0)
    return out
