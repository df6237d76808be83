"""Small functions that programs import from ``implicit.utils``, and the checks that the models share."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...base.caller import warn_caller
from ...base.threads import resolve


class ParameterWarning(Warning):
    """An argument was converted, or a part of it was not used."""


def warn_of_parameter(message: str) -> None:
    """Warn the program that calls this package.

    If implicit is loaded, the warning has implicit's own class, so that a program's filters for this class keep working.
    """
    theirs = getattr(sys.modules.get("implicit.utils"), "ParameterWarning", ParameterWarning)
    warn_caller(message, theirs)


def check_csr(user_items: Any) -> Any:
    """Return a matrix as a ``scipy.sparse.csr_matrix``. Warns if it has to be converted.

    Parameters
    ----------
    user_items : scipy sparse matrix or array

    Returns
    -------
    csr_matrix

    Raises
    ------
    AttributeError
        It is not sparse. implicit raises the same class.
    """
    if isinstance(user_items, sp.csr_matrix):
        return user_items
    kind = type(user_items).__name__
    if not sp.issparse(user_items):
        raise AttributeError(f"expected a SciPy CSR matrix, got {kind}; make one with scipy.sparse.csr_matrix(x)")
    start = time.perf_counter()
    csr = sp.csr_matrix(user_items)
    seconds = time.perf_counter() - start
    warn_of_parameter(
        f"Method expects CSR input, and was passed {kind} instead. Converting to CSR took {seconds:.3f} seconds"
    )
    return csr


def check_random_state(random_state: Any) -> np.random.Generator:
    """A NumPy Generator from a seed, None, a Generator or a RandomState.

    A RandomState gives the Generator a seed, and moves on.
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    return np.random.default_rng(random_state)


def nonzeros(m: Any, row: int) -> Iterator[tuple[Any, Any]]:
    """Yield the column and the value of each stored entry in a row of a CSR matrix."""
    part = slice(m.indptr[row], m.indptr[row + 1])
    yield from zip(m.indices[part], m.data[part], strict=True)


def augment_inner_product_matrix(factors: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """Add a dimension to each row so that all rows have the same length.

    The cosine between such a row and a query with 0 in the new dimension is then proportional to their inner product. So an
    index that searches by cosine finds the rows with the largest inner products (Bachrach et al. 2014).

    Parameters
    ----------
    factors : ndarray, shape (n, f)

    Returns
    -------
    length : float
        The common length: that of the longest row.
    augmented : ndarray, shape (n, f + 1)
    """
    lengths = np.linalg.norm(factors, axis=1)
    longest = lengths.max()
    return longest, np.append(factors, np.sqrt(longest**2 - lengths**2)[:, None], axis=1)


def check_blas_config() -> None:
    """Does nothing: cymbals calls no BLAS from its threads, so the number of BLAS threads does not matter."""


def n_threads_of(num_threads: int) -> int:
    """The number of threads for a call. 0 means the default of `cymbals.threads`."""
    return resolve(num_threads or None)
