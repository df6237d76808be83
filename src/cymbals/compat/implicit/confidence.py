"""implicit's objective as an objective of cymbals.

A value r gives the confidence c = alpha r. In implicit, a cell with c > 0 has weight c and target 1, a cell with c < 0 has
weight -c and target 0, and all other cells have weight 1 and target 0. Objective "hu" with confidence "linear" gives an
entry the weight 1 + |v| for a stored value v. The whole objective is divided by k, the smallest weight if that is below 1:
with v = |c| / k - 1, the sign of c, unobserved weight 1 / k and regularization / k, the minimum is at the same factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.csr import Csr, from_scipy
from ...solve.half_step import Settings
from ...solve.objective import Objective
from .recommender_base import ModelFitError
from .utils import check_csr, warn_of_parameter


@dataclass(frozen=True)
class Confidences:
    """The confidences of a matrix's entries, in the form that the kernels take."""

    csr: Csr  # v with the sign of c
    scale: float  # k

    def objective(self, regularization: float) -> Objective:
        """The objective that `csr` is for. It is implicit's, divided by `scale`."""
        return Objective.checked(
            objective="hu",
            alpha=1.0,
            unobserved_weight=1.0 / self.scale,
            confidence="linear",
            regularization=float(regularization) / self.scale,
            nu=0.0,
        )

    def settings(self, regularization: float, **changes: Any) -> Settings:
        return replace(Settings(self.objective(regularization)), **changes)


def confidences(name: str, matrix: Any, alpha: float, dtype: Any, n_threads: int) -> Confidences:
    """The confidences alpha r of a matrix's entries.

    Parameters
    ----------
    name : str
        The caller's argument, for messages.
    matrix : scipy sparse
        If it is not CSR, it is converted, with a warning. Zeros that it stores are dropped, with a warning.
    alpha : float
    dtype : dtype
        Of the factors.
    n_threads : int

    Returns
    -------
    Confidences

    Raises
    ------
    ModelFitError
        A confidence is not finite.
    """
    c = given_confidences(name, matrix, alpha, n_threads)
    sizes = np.abs(c.data, dtype=dtype)
    # Next to the weight 1 of other cells, rounding loses a smaller weight than eps.
    scale = max(float(np.finfo(dtype).eps), min(1.0, float(sizes.min(initial=1.0))))
    values = np.maximum(sizes / dtype.type(scale) - 1, np.finfo(dtype).tiny)
    return Confidences(replace(c, data=np.copysign(values, c.data)), scale)


def given_confidences(name: str, matrix: Any, alpha: float, n_threads: int) -> Csr:
    """The confidences c = alpha r in float32, as implicit computes them, without zeros."""
    csr = check_csr(matrix)
    with np.errstate(over="ignore", invalid="ignore"):
        # alpha as a Python float, because NumPy's float64 would make the product float64
        data = np.asarray(csr.data).astype(np.float32) * np.float32(alpha)
    _refuse_not_finite(name, csr, data)
    checked = from_scipy(name, type(csr)((data, csr.indices, csr.indptr), shape=csr.shape), n_threads)
    c = checked.without_zeros()
    if c.nnz < checked.nnz:
        warn_of_parameter(
            f"{name} has {checked.nnz - c.nnz:,} entries whose confidence, alpha times the value, is 0. They are dropped, "
            "so these cells get the weight 1 of cells without an entry, where implicit gives them the weight 0. "
            "eliminate_zeros() removes stored zeros"
        )
    return c


def _refuse_not_finite(name: str, csr: Any, data: NDArray[Any]) -> None:
    bad = np.flatnonzero(~np.isfinite(data))
    if bad.size:
        at = bad[0]
        row = int(np.searchsorted(csr.indptr, at, side="right")) - 1
        raise ModelFitError(
            f"{name} holds {csr.data[at]} at row {row}, column {csr.indices[at]}; times alpha, values must be finite in "
            "float32: drop or replace it"
        )
