"""The arguments of one call of `ALS.fit` or `distributed.fit`, apart from those of the model."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..base.checks import boolean, byte_count, file_path, whole_number
from ..base.files import check_writable
from ..base.mapped_memory import check_folder, mapped_array
from ..base.recorder import phase
from ..solve.start import Empty
from . import checkpoint as checkpoints
from . import fitting, stored
from .arguments import Arguments, checked
from .attaching import Side
from .preparing import Problem


@dataclass(frozen=True)
class FitRequest:
    """What `ALS.fit` and `distributed.fit` describe. `checked` has to be called before anything is used."""

    train: Any
    callback: Any
    compute_loss: bool
    progress: bool
    checkpoint: Any
    every: int
    features: tuple[Any, Any] = (None, None)  # of users, of items
    init: Any = None
    max_memory: Any = None
    factors_path: Any = None

    def checked(self) -> Self:
        """The same arguments, after their checks. The data, the features and the start are checked later."""
        for name in ("compute_loss", "progress"):
            boolean(name, getattr(self, name))
        fitting.check_callback(self.callback)
        changes: dict[str, Any] = {"every": whole_number("every", self.every, 1)}
        if self.checkpoint is not None:
            changes["checkpoint"] = file_path("checkpoint", self.checkpoint)
            check_writable(changes["checkpoint"])
        if self.max_memory is not None:
            changes["max_memory"] = byte_count("max_memory", self.max_memory)
        if self.factors_path is not None:
            changes["factors_path"] = file_path("factors_path", self.factors_path)
            check_folder("factors_path", changes["factors_path"])
        return replace(self, **changes)

    def arguments(self, params: dict[str, Any]) -> Arguments:
        """The constructor arguments of the model, after their checks. A checkpoint must be able to store them."""
        arguments = checked(params)
        if self.checkpoint is not None:
            stored.storable_params(params)
        return arguments

    def arrays_for_factors(self) -> Empty:
        """The function that makes the arrays of the factors."""
        return np.empty if self.factors_path is None else functools.partial(mapped_array, self.factors_path)

    def around(self, problem: Problem, tol: float | None, sides: list[Side | None], from_noise: bool) -> fitting.Around:
        """What happens between the half-steps. If there are checkpoints, this reads all entries, to identify them later."""
        writer = None
        if self.checkpoint is not None:
            with phase("checkpoint"):
                data = checkpoints.fingerprint(problem.seen, problem.data.users, problem.data.items)
                features = checkpoints.fingerprints(sides)
            has_callback = self.callback is not None
            terms = checkpoints.Terms(self.every, self.compute_loss, has_callback, from_noise, data, **features)
            writer = checkpoints.Writer(self.checkpoint, terms)
        return fitting.Around(self.callback, tol, self.compute_loss, self.progress, writer)
