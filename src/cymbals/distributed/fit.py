"""`cymbals.distributed.fit`: checks the arguments, chooses the nodes, and runs the fit loop."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from .._core import Workspace
from ..base.checks import boolean, file_path, instance, whole_number
from ..base.optional import optional
from ..base.recorder import phase
from ..base.threads import MOST
from ..data.interactions import Interactions
from ..model import fitting
from ..model.als import ALS
from ..model.arguments import Arguments, checked
from ..model.preparing import Problem
from ..model.solving_model import refuse_dislikes
from ..profiling.profile import Profile
from ..solve import rule
from ..solve.half_step import Part, reads_copy
from ..solve.start import key_of
from .fleet import Fleet
from .loop import SpreadLoop, SpreadState, spread_loss
from .messages import Job
from .plan import LOSS_ROWS, Side, balanced
from .workers import NodeError

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
        There are too few nodes, they differ in their instruction sets, or too many were lost.
    SolveError
        As in `ALS.fit`.

    Examples
    --------
    >>> import cymbals, cymbals.distributed
    >>> data = cymbals.Interactions.open("plays")  # doctest: +SKIP
    >>> model = cymbals.distributed.fit(cymbals.ALS.auto(), "plays", address="auto")  # doctest: +SKIP
    """
    instance("model", model, ALS)
    if not boolean("profile", profile):
        return _fit(model, path, nodes, threads_per_node, address, callback, compute_loss, progress, False)
    recorded, before = Profile(), model._state
    try:
        with recorded:
            return _fit(model, path, nodes, threads_per_node, address, callback, compute_loss, progress, True)
    finally:
        state = model._state
        if state is not None and state is not before and state.fit is not None:
            model.replace_state(state.changed(fit=replace(state.fit, profile=recorded)))


def _fit(
    model: Model,
    path: Any,
    nodes: int | None,
    threads: int | None,
    address: str | None,
    callback: Any,
    compute_loss: bool,
    progress: bool,
    watch: bool,
) -> Model:
    for name, value in (("compute_loss", compute_loss), ("progress", progress)):
        boolean(name, value)
    fitting.check_callback(callback)
    for name, number in (("nodes", nodes), ("threads_per_node", threads)):
        if number is not None:
            whole_number(name, number, 1, MOST)
    params = model.get_params()
    arguments = checked(params)
    if callable(params["confidence"]):
        raise ValueError(
            "confidence is a function, which a distributed fit does not support: apply it to the values before saving the "
            "store, and use confidence='linear'"
        )
    where = os.path.abspath(file_path("path", path))
    with phase("data"):
        data = Interactions.open(where)
        if data.nnz == 0:
            raise ValueError(f"{where} has no entries (shape {data.shape}); a fit needs at least one")
        arguments, mean, chosen = _with_data(params, arguments, data)
    ray = optional("ray", "cymbals.distributed")
    with connected(ray, address):
        ids, names, cpus = usable_nodes(ray, nodes)
        threads = cpus if threads is None else threads
        job = _job(where, data, arguments, len(ids), threads, watch)
        with Fleet(ray, ids, names, min(threads, cpus), job) as fleet:
            with phase("open"):
                fleet.open()
                _check_values(data, arguments, fleet)
                fleet.begin()
            settings = replace(arguments.settings, mean=mean)
            by_item = data.by_item()
            loop = SpreadLoop(data.csr, by_item, settings, arguments.schedule, True, Workspace(1), fleet)
            report = {"stored_zeros_dropped": 0} | chosen
            problem = Problem(data, data.csr, data.csr, by_item, settings, report)
            publisher = fitting.Publisher(model, problem, params, before=model._state)
            empty = np.empty((0, job.sides[0].width), job.dtype)
            state = SpreadState(empty, empty, arguments.iterations, fleet=fleet)
            around = fitting.Around(callback, arguments.tol, compute_loss, progress, None, spread_loss)
            fitting.run(loop, state, publisher, around, [None, None])
    return model


def _with_data(
    params: dict[str, Any], arguments: Arguments, data: Interactions
) -> tuple[Arguments, float | None, dict[str, float]]:
    """The arguments with the numbers that the data decide: those for "auto", and the mean of a model with biases."""
    objective = arguments.settings.objective
    automatic = rule.automatic(params)
    chosen = rule.chosen(objective, automatic, data.csr) if automatic else {}
    if automatic:
        rng = arguments.rng
        arguments = checked(params, chosen)._replace(rng=rng)
    mean = None
    if objective.biases:
        mean = float(np.mean(data.csr.data, dtype=np.float64))
        if not np.isfinite(arguments.dtype.type(mean)):
            raise ValueError(f"the mean of the values, {mean}, is too large for {arguments.dtype}; use dtype='float64'")
    return arguments, mean, chosen


def _job(path: str, data: Interactions, arguments: Arguments, n_nodes: int, threads: int, watch: bool) -> Job:
    objective = arguments.settings.objective
    matrices, width = (data.csr, data.by_item()), arguments.rank + objective.biases
    sides = tuple(
        Side(matrix.shape[0], balanced(matrix, n_nodes, unit), width)
        for matrix, unit in zip(matrices, (LOSS_ROWS, 1), strict=True)
    )
    copies = [
        objective.unobserved_weight > 0 and reads_copy(arguments.settings, matrix.shape[1], width, arguments.dtype)
        for matrix in matrices
    ]
    parts = tuple(Part.of(objective, matrix.indptr, matrix.shape[1]) for matrix in matrices)
    return Job(
        path=path,
        sides=(sides[0], sides[1]),
        parts=(parts[0], parts[1]),
        rank=arguments.rank,
        objective=objective,
        copies=(copies[0], copies[1]),
        dtype=arguments.dtype.name,
        key=key_of(arguments.rng),
        whole=objective.unobserved_weight == 0,
        secret=secrets.token_bytes(32),
        threads=threads,
        watch=watch,
    )


def _check_values(data: Interactions, arguments: Arguments, fleet: Fleet) -> None:
    """Refuse values that the objective cannot use, or that this function does not support."""
    kind = arguments.settings.objective.kind
    if kind == "ials" and fleet.negative:
        refuse_dislikes("train", data.csr, 1)
    if kind != "explicit" and fleet.zeros:
        raise ValueError(
            "the store has stored zeros, which a distributed fit does not drop: write it again without them, as in "
            "data.where(data.user_items.data != 0).save(path)"
        )


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connects this process to a cluster, and disconnects it at the end. A connection that exists is used and kept."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise NodeError(f"cannot connect to a Ray cluster at {address or 'the default address'}: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def usable_nodes(ray: Any, wanted: int | None) -> tuple[list[str], list[str], int]:
    """Ray's ids of the nodes to use, their names for messages, and the CPUs that each of them has at least."""
    found = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    found.sort(key=lambda node: ("node:__internal_head__" not in node["Resources"], node["NodeID"]))
    if not found or (wanted is not None and wanted > len(found)):
        raise NodeError(f"the cluster has {len(found)} nodes with CPUs, and nodes={wanted or 1} are wanted")
    found = found[:wanted]
    names = [f"node {i} ({node['NodeManagerAddress']})" for i, node in enumerate(found)]
    return [node["NodeID"] for node in found], names, min(int(node["Resources"]["CPU"]) for node in found)
