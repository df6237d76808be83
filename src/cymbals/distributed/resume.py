"""`cymbals.distributed.resume`: goes on with a fit from its checkpoint, on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

from ..base.checks import file_path
from ..data.interactions import Interactions
from ..model import resuming
from ..model.als import ALS
from ..model.arguments import checked
from ..model.checkpoint import Checkpoint
from ..model.preparing import FEATURES
from .cluster import ClusterRequest
from .running import ClusterFit, run


def resume(
    checkpoint: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    nodes: int | None = None,
    threads_per_node: int | None = None,
    address: str | None = None,
    callback: Callable[[ALS, int], Any] | Literal[False] | None = None,
    progress: bool = False,
    profile: bool = False,
    every: int | None = None,
) -> ALS:
    """Go on with a fit from its checkpoint on several machines, and return the fitted model.

    The factors are bitwise those of the fit without an interruption. The checkpoint may come from a cluster or from one
    machine, and the number of nodes may be another one than before. `ALS.resume` goes on from the same checkpoint on one
    machine. Further checkpoints go to the same file. If the fit is finished, its model is returned at once.

    Parameters
    ----------
    checkpoint : path-like
        The `checkpoint` of `fit` or of `ALS.fit`. Only this process reads and writes it.
    path : path-like
        The store of the fit, or one with the same entries and ids. All nodes find it under this path. This process reads it
        once, to compare it with the checksums in the checkpoint.
    nodes, threads_per_node, address
        As in `fit`.
    callback, progress, profile, every
        As in `ALS.resume`.

    Returns
    -------
    ALS
        As from `ALS.resume`.

    Raises
    ------
    ModelFileError
        The file is no checkpoint, or it is damaged.
    ValueError, TypeError
        The store has other data than the fit; the message says what differs. Or the fit has features of users or items. Or
        another argument is wrong.
    StoreError, NodeError, SolveError, OSError
        As in `fit`.

    Examples
    --------
    >>> import cymbals, cymbals.distributed
    >>> model = cymbals.distributed.resume("plays.checkpoint", "plays", address="auto")  # doctest: +SKIP
    >>> model.report_["resumed_at"]  # doctest: +SKIP
    """
    file = file_path("checkpoint", checkpoint)
    store = os.path.abspath(file_path("path", path))
    cluster = ClusterRequest(nodes, threads_per_node, address)
    model, found = ALS._of_checkpoint(file)
    _refuse_features(found)

    def go_on() -> None:
        params = model.get_params()
        request = resuming.Request(Interactions.open(store), (None, None), callback, progress, every)
        rest = resuming.prepared(model, params, model._threads(None), file, found, request)
        if rest is not None:
            run(ClusterFit(cluster, store, checked(params), None, profile), rest)

    return model._profiled(profile, go_on)


def _refuse_features(found: Checkpoint) -> None:
    """Refuse a fit that still has to do its last iteration, the one with features."""
    for name in FEATURES:
        if getattr(found.terms, name) is not None and not found.is_finished:
            raise ValueError(f"the fit has {name}, which a distributed fit does not support: use cymbals.ALS.resume")
