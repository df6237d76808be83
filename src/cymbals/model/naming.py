"""Errors of the core speak of rows; people know ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .._core import SolveError
from ..data.ids import Ids


@contextmanager
def naming(ids: Ids) -> Iterator[None]:
    """Tells which user or item a failing row belongs to."""
    try:
        yield
    except SolveError as error:
        who = ids.of(np.array([error.row])).tolist()[0]
        raise SolveError(
            f"{ids.what} {who!r} (row {error.row}): {error}. Confidences below unobserved_weight, or values too large "
            "for the dtype, cause this: raise alpha or regularization, lower unobserved_weight, or use dtype='float64'",
            error.row,
        ) from None
