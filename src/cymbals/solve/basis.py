"""The Gramian of a side and its eigenbasis, in which every row of a half-step is solved.

With G = Y'Y = Q diag(L) Q', the factors YQ have the diagonal Gramian diag(L). Scores and regularization do not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace, gram
from .._core import basis as sort_basis
from ..base.recorder import phase
from ..base.threads import single_blas_thread


def gramian(factors: NDArray[Any], workspace: int | Workspace) -> NDArray[np.float64]:
    """Y'Y in float64: the same bits for any number of threads.

    Parameters
    ----------
    factors : ndarray, shape (n, f)
    workspace : int or Workspace
        A number of threads, or a workspace.

    Returns
    -------
    ndarray, shape (f, f)
    """
    out = np.empty((factors.shape[1],) * 2)
    gram(factors, out, workspace)
    return out


def eigenbasis(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors of a Gramian.

    Parameters
    ----------
    gram : ndarray, shape (f, f)

    Returns
    -------
    spectrum : ndarray, shape (f,)
        Eigenvalues, largest first; negative ones, which only rounding makes, are 0.
    vectors : ndarray, shape (f, f)
        An eigenvector in each column. The largest entry of each is positive, whatever sign LAPACK chose.
    """
    if not np.isfinite(gram).all():
        raise ValueError("factors grew beyond their dtype: scale init down, raise regularization, or use dtype='float64'")
    # LAPACK's bits depend on the number of BLAS threads. The phase starts inside, so it excludes waiting and loading BLAS.
    with single_blas_thread(), phase("eigh"):
        values, vectors = np.linalg.eigh(gram)
    spectrum, basis = np.empty_like(values), np.empty_like(gram)
    sort_basis(values, np.ascontiguousarray(vectors.T), 1.0, spectrum, basis)
    return spectrum, basis
