"""The Gramian of one side's factors, and its eigenbasis.

With unobserved weight, a half-step solves every row in this basis.

With G = Y'Y = Q diag(L) Q', the rotated factors YQ have the diagonal Gramian diag(L). Rotating both sides by Q changes
neither the scores nor the regularization.
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
    """The Gramian Y'Y in float64. It has the same bits for any number of threads.

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
        Eigenvalues, largest first. A Gramian has no negative eigenvalues. If rounding produces one, it is set to 0.
    vectors : ndarray, shape (f, f)
        One eigenvector in each column. Its sign is chosen so that the entry with the largest absolute value is
        positive, whichever sign LAPACK returned.
    """
    if not np.isfinite(gram).all():
        raise ValueError("factors grew beyond their dtype: scale init down, raise regularization, or use dtype='float64'")
    # One BLAS thread, because LAPACK's bits depend on the number of BLAS threads. The phase starts only after the lock is
    # taken and BLAS is loaded, so that neither is counted as decomposition time.
    with single_blas_thread(), phase("eigh"):
        values, vectors = np.linalg.eigh(gram)
    spectrum, basis = np.empty_like(values), np.empty_like(gram)
    sort_basis(values, np.ascontiguousarray(vectors.T), 1.0, spectrum, basis)
    return spectrum, basis


def beside_diagonal(gram: NDArray[np.float64]) -> float:
    """How far a Gramian is from diagonal: the Frobenius norm of its entries beside the diagonal.

    Each entry is divided by the square root of the two diagonal entries in its row and its column. Infinity if one of these
    is 0 and the entry is not.
    """
    rest = gram - np.diag(np.diag(gram))
    scale = np.sqrt(np.maximum(np.diag(gram), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(rest == 0, 0, rest / scale[:, None] / scale)
    return float(np.sqrt(np.sum(share**2)))
