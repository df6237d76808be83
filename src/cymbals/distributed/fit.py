"""`cymbals.distributed.fit`: checks the arguments, and prepares a new fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .._core import Workspace
from ..base.checks import file_path, instance
from ..base.recorder import phase
from ..data.interactions import Interactions
from ..model import fitting, preparing
from ..model.als import ALS
from ..model.fit_request import FitRequest
from ..model.resuming import Rest
from ..solve.loop import FitLoop, FitState
from ..solve.start import key_of
from .cluster import ClusterRequest
from .running import ClusterFit, run

Model = TypeVar("Model", bound=ALS)


def fit(
    model: Model,
    path: str | os.PathLike[str],
    *,
    nodes: int | None = None,
    threads_per_node: int | None = None,
    address: str | None = None,
    callback: Callable[[ALS, int], Any] | None = None,
    compute_loss: bool = False,
    progress: bool = False,
    profile: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 1,
) -> Model:
    """Fit a model on several machines. The factors are bitwise those of `ALS.fit`, for any number of nodes.

    Each node owns a range of the users and a range of the items, and solves them. It opens the store itself, and reads only
    its ranges. If a node or a worker is lost, another worker takes its rows over, and the fit goes on, to the same bits.

    Parameters
    ----------
    model : ALS
        Its `confidence` must have a name: a function is refused. Its `n_threads` is not used.
    path : path-like
        A store that `Interactions.save` wrote, without stored zeros unless the objective is "explicit". All nodes find it
        under this path: in a file system that they share, or as a copy on each.
    nodes : int, optional
        How many nodes of the cluster to use. By default all that have CPUs.
    threads_per_node : int, optional
        By default the CPUs that Ray knows of on each node. The smallest number counts for all.
    address : str, optional
        The address of a cluster, as for ``ray.init``. By default the cluster to which this process is connected, or else
        the one that ``RAY_ADDRESS`` or a running Ray on this machine names, or else a new one on this machine alone.
    callback, compute_loss, progress
        As in `ALS.fit`. For a callback, all factors are sent to this process after each iteration.
    checkpoint : path-like, optional
        A file that gets the state of the fit during the fit, as in `ALS.fit`. This process writes it, and collects all
        factors to do so. `resume` goes on from it on a cluster, and `ALS.resume` on one machine. Put it where another
        machine can read it, in case this one is lost.
    every : int
        The number of iterations from one checkpoint to the next.
    profile : bool
        Record a `Profile` in `profile_`. Its `nodes` says what each node computed, waited for, received and sent.

    Returns
    -------
    ALS
        `model`, fitted, with all factors in this process, and with the attributes that `ALS.fit` gives it.

    Raises
    ------
    ValueError, TypeError
        An argument or a value of the store is wrong, or this function does not support it. Nothing has started then.
    StoreError
        A node cannot open the store, or it is damaged. The message names the node.
    NodeError
        There are too few nodes, they differ in their instruction sets, or too many were lost. If there is a checkpoint, the
        message says how to go on.
    OSError
        A checkpoint cannot be written. The file then has the checkpoint before it.
    SolveError
        As in `ALS.fit`.

    Examples
    --------
    >>> import cymbals, cymbals.distributed
    >>> data = cymbals.Interactions.open("plays")  # doctest: +SKIP
    >>> model = cymbals.distributed.fit(cymbals.ALS.auto(), "plays", address="auto")  # doctest: +SKIP

    If this program or the cluster ends early, a fit with checkpoints goes on in another program:

    >>> model = cymbals.ALS.auto()
    >>> cymbals.distributed.fit(model, "plays", checkpoint="plays.checkpoint", every=2)  # doctest: +SKIP
    >>> model = cymbals.distributed.resume("plays.checkpoint", "plays")  # doctest: +SKIP
    """
    instance("model", model, ALS)
    asked = FitRequest(path, callback, compute_loss, progress, checkpoint, every)
    cluster = ClusterRequest(nodes, threads_per_node, address)
    return model._profiled(profile, lambda: _fit(model, asked.checked(), cluster, profile))


def _fit(model: ALS, asked: FitRequest, cluster: ClusterRequest, watch: bool) -> None:
    params = model.get_params()
    if callable(params["confidence"]):
        raise ValueError(
            "confidence is a function, which a distributed fit does not support: apply it to the values before saving the "
            "store, and use confidence='linear'"
        )
    arguments = asked.arguments(params)
    path = os.path.abspath(file_path("path", asked.train))
    with phase("data"):
        data = Interactions.open(path)
        if data.nnz == 0:
            raise ValueError(f"{path} has no entries (shape {data.shape}); a fit needs at least one")
        problem = preparing.problem(data, data.csr, params, 1)
    around = asked.around(problem, arguments.tol, [None, None], True)
    loop = FitLoop(problem.rows, problem.columns, problem.settings, arguments.schedule, True, Workspace(1))
    publisher = fitting.Publisher(model, problem, params, before=model._state)
    empty = np.empty((0, 0), arguments.dtype)  # the workers draw the factors
    rest = Rest(loop, FitState(empty, empty, arguments.iterations), publisher, around, [None, None])
    run(ClusterFit(cluster, path, arguments, key_of(arguments.rng), watch), rest)
