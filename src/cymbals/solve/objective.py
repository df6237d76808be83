"""The objective that a model minimises: it turns each stored value into a weight and a weighted target.

There are three objectives. "hu" (Hu, Koren and Volinsky 2008) and "ials" (Rendle et al. 2021) are for counts: the
confidence in an entry with the value r grows with alpha g(r). "explicit" fits ratings. ``cymbals.h`` has the formulas that
the kernels compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import boolean, one_of, real_number, refuse_masked

OBJECTIVES = ("hu", "ials", "explicit")
CONFIDENCES = ("linear", "log", "binary", "total")
ROW_SIZES = ("weighted", "entries")
LOG_EPSILON = 1.0  # confidence "log" is g(r) = log(1 + r / LOG_EPSILON)


@dataclass(frozen=True)
class Objective:
    """The objective and its parameters, after their checks. It does not contain the data."""

    kind: str
    alpha: float
    unobserved_weight: float
    confidence: str
    transform: Callable[[NDArray[Any]], Any] | None
    regularization: float
    nu: float
    biases: bool
    row_size: str = "weighted"

    @classmethod
    def checked(
        cls,
        *,
        objective: Any,
        alpha: Any,
        unobserved_weight: Any,
        confidence: Any,
        regularization: Any,
        nu: Any,
        biases: Any = False,
        row_size: Any = "weighted",
    ) -> Objective:
        """Check an estimator's arguments, and make an Objective of them. Raises for the first wrong argument."""
        kind = one_of("objective", objective, OBJECTIVES)
        if boolean("biases", biases) and kind != "explicit":
            raise ValueError(
                f"biases=True needs objective='explicit', got {kind!r}: leave biases out, or use objective='explicit' if "
                "the values are ratings"
            )
        named = "linear" if callable(confidence) else one_of("confidence", confidence, CONFIDENCES)
        if named == "total" and kind == "ials":
            raise ValueError("confidence='total' is not for objective 'ials': use objective='hu', or confidence='linear'")
        transform = confidence if callable(confidence) and kind != "explicit" else None
        return cls(
            kind=kind,
            alpha=real_number("alpha", alpha),
            unobserved_weight=0.0 if kind == "explicit" else real_number("unobserved_weight", unobserved_weight),
            confidence=named,
            transform=transform,
            regularization=real_number("regularization", regularization),
            nu=real_number("nu", nu),
            biases=bool(biases),
            row_size=one_of("row_size", row_size, ROW_SIZES),
        )

    @property
    def code(self) -> tuple[int, int, float, float, float]:
        """kind, confidence, alpha, epsilon and alpha0, in the order of the C struct ``cymbals_objective``."""
        return (
            OBJECTIVES.index(self.kind),
            CONFIDENCES.index(self.confidence),
            self.alpha,
            LOG_EPSILON,
            self.unobserved_weight,
        )

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """The values that the kernels read. If `confidence` is a function, it is applied here, once."""
        if self.transform is None or not values.size:
            return values
        returned = self.transform(values)
        refuse_masked("the result of the confidence function", returned)
        out = np.asarray(returned)
        if out.shape != values.shape or out.dtype.kind not in "biuf":
            raise ValueError(
                f"confidence must return one number for each of the {values.shape[0]} values; "
                f"it returned {out.dtype} of shape {out.shape}"
            )
        out = out.astype(values.dtype)
        bad = np.flatnonzero(~np.isfinite(out) | (out * values < 0))
        if bad.size:
            raise ValueError(
                f"confidence returned {out[bad[0]]} for the value {values[bad[0]]}; it must be finite and keep the sign"
            )
        # The sign tells the kernels whether a user likes an item. A confidence of 0 would lose the sign of the value. So it
        # becomes the smallest normal number, with this sign.
        least = np.finfo(values.dtype).tiny
        return np.where(values == 0, out, np.copysign(np.maximum(np.abs(out), least), values))

    def row_regularization(self, indptr: NDArray[np.int64], n_others: int) -> float | NDArray[np.float64]:
        """The regularization of each row, or one number if it is the same for all rows.

        It is lambda s^nu for a row of the size s: n + alpha0 N for a row of n entries, or n with row_size "entries".
        """
        if self.nu == 0:
            return self.regularization
        lengths = np.diff(indptr)
        scale = lengths + (self.unobserved_weight * n_others if self.row_size == "weighted" else 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            out = np.ascontiguousarray(self.regularization * scale.astype(np.float64) ** self.nu)
        bad = np.flatnonzero(~np.isfinite(out))
        if bad.size:
            raise ValueError(
                f"nu={self.nu:g} is too large: the regularization of a row of {lengths[bad[0]]} entries, "
                f"{self.regularization:g} * {scale[bad[0]]:g}^{self.nu:g}, overflows"
            )
        return out

    def weights(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The weight a and the weighted target b of each transformed value, with the formulas of ``cymbals.h``.

        The kernels compute the same numbers. `explain` needs them in Python.
        """
        if self.kind == "explicit":
            return np.ones_like(values), values
        size = np.abs(values)
        if self.confidence == "total":
            weight = self.alpha * size
            return weight - self.unobserved_weight, np.where(values > 0, weight, 0.0)
        g = {"linear": size, "log": np.log1p(size / LOG_EPSILON), "binary": (size > 0) * 1.0}[self.confidence]
        if self.kind == "ials":
            return self.alpha * g, self.alpha * g
        return 1 + self.alpha * g - self.unobserved_weight, np.where(values > 0, 1 + self.alpha * g, 0.0)
