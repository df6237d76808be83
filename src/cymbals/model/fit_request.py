"""The arguments of one call of `ALS.fit`, apart from those of the model."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..base.checks import boolean, byte_count, file_path, whole_number
from ..base.files import check_writable
from ..base.mapped_memory import check_folder, mapped_array
from ..solve.start import Empty
from . import fitting


@dataclass(frozen=True)
class FitRequest:
    """What `ALS.fit` describes. `checked` has to be called before anything is used."""

    train: Any
    features: tuple[Any, Any]  # of users, of items
    init: Any
    callback: Any
    compute_loss: bool
    progress: bool
    checkpoint: Any
    every: int
    max_memory: Any
    factors_path: Any

    def checked(self) -> Self:
        """The same arguments, after their checks. The data, the features and the start are checked later."""
        for name in ("compute_loss", "progress"):
            boolean(name, getattr(self, name))
        fitting.check_callback(self.callback)
        checked: dict[str, Any] = {"every": whole_number("every", self.every, 1)}
        if self.checkpoint is not None:
            checked["checkpoint"] = file_path("checkpoint", self.checkpoint)
            check_writable(checked["checkpoint"])
        if self.max_memory is not None:
            checked["max_memory"] = byte_count("max_memory", self.max_memory)
        if self.factors_path is not None:
            checked["factors_path"] = file_path("factors_path", self.factors_path)
            check_folder("factors_path", checked["factors_path"])
        return replace(self, **checked)

    def arrays_for_factors(self) -> Empty:
        """The function that makes the arrays of the factors."""
        return np.empty if self.factors_path is None else functools.partial(mapped_array, self.factors_path)
