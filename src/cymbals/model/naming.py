"""Adds ids to the core's errors: the core knows only row numbers, but users know ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .._core import SolveError
from ..data.ids import Ids

_TOO_HEAVY = (
    "Its confidences add up to more than about 7e12 in float32 or 2e30 in float64, where rounding errors would dominate "
    "the solution: lower alpha, scale the values down, or use confidence='log'"
)
_OTHERWISE = (
    "The causes are confidences below unobserved_weight, or values too large for the dtype: raise alpha or "
    "regularization, lower unobserved_weight, or use dtype='float64'"
)


@contextmanager
def naming(ids: Ids) -> Iterator[None]:
    """Add to a SolveError the id of the failing row, the likely cause, and the arguments to change."""
    try:
        yield
    except SolveError as error:
        who = ids.of(np.array([error.row])).tolist()[0]
        advice = _TOO_HEAVY if error.too_heavy else _OTHERWISE
        message = f"{ids.what} {who!r} (row {error.row}): {error}. {advice}"
        raise SolveError(message, error.row, error.too_heavy) from None
