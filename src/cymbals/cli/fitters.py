"""Where `cymbals fit` fits: on this machine, or on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .. import distributed
from ..base.threads import threads
from ..data.interactions import Interactions
from ..model.als import ALS
from .options import Source


class Fitter(Protocol):
    """Both methods return the data, and the fitted model."""

    def fit(self, model: ALS, **checkpoints: Any) -> tuple[Interactions, ALS]:
        """Fit a model. `checkpoints` are the arguments `checkpoint` and `every` of `ALS.fit`, if any."""

    def resume(self, checkpoint: str, every: int | None, n_threads: int | None) -> tuple[Interactions, ALS]:
        """Go on from a checkpoint. `n_threads` is that of the command, not that of the fit."""


@dataclass(frozen=True)
class LocalFitter:
    """Fits on this machine."""

    source: Source

    def fit(self, model: ALS, **checkpoints: Any) -> tuple[Interactions, ALS]:
        data = self.source.load()
        return data, model.fit(data, compute_loss=True, progress=True, **checkpoints)

    def resume(self, checkpoint: str, every: int | None, n_threads: int | None) -> tuple[Interactions, ALS]:
        data, n_threads = self.source.load(), threads() if n_threads is None else n_threads
        return data, ALS.resume(checkpoint, data, progress=True, every=every, n_threads=n_threads)


@dataclass(frozen=True)
class ClusterFitter:
    """Fits on the Ray cluster at an address."""

    source: Source
    address: str

    def fit(self, model: ALS, **checkpoints: Any) -> tuple[Interactions, ALS]:
        path, how = self.source.path, self._how(model.n_threads)
        distributed.fit(model, path, compute_loss=True, **how, **checkpoints)
        return Interactions.open(path), model

    def resume(self, checkpoint: str, every: int | None, n_threads: int | None) -> tuple[Interactions, ALS]:
        path, how = self.source.path, self._how(n_threads)
        model = distributed.resume(checkpoint, path, every=every, **how)
        return Interactions.open(path), model

    def _how(self, n_threads: int | None) -> dict[str, Any]:
        return {"address": self.address, "threads_per_node": n_threads, "progress": True}
