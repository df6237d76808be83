"""Runs a fit on a cluster, from its first half-step or from a checkpoint."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..base.optional import optional
from ..base.recorder import phase
from ..data.interactions import Interactions
from ..model import fitting
from ..model.arguments import Arguments
from ..model.checkpoint import Writer
from ..model.resuming import Rest
from ..model.solving_model import refuse_dislikes
from ..solve.half_step import Part, reads_copy
from ..solve.loop import FitLoop
from .cluster import ClusterRequest, connected, usable_nodes
from .fleet import Fleet
from .loop import SpreadLoop, SpreadState, spread_loss
from .messages import Job
from .plan import LOSS_ROWS, Side, balanced
from .workers import NodeError


@dataclass(frozen=True)
class ClusterFit:
    """What the cluster does, apart from the fit itself."""

    cluster: ClusterRequest
    path: str  # of the store
    arguments: Arguments  # of the model
    key: int | None  # of the random factors from which the fit starts; None: it goes on from those of its state
    watch: bool  # whether to record the memory of the nodes


def run(asked: ClusterFit, rest: Rest) -> None:
    """Run a fit, or the rest of one, to its end. The model then has the last state."""
    loop, state, publisher, around, features = rest
    ray = optional("ray", "cymbals.distributed")
    with connected(ray, asked.cluster.address):
        ids, names, cpus = usable_nodes(ray, asked.cluster.nodes)
        threads = asked.cluster.threads_per_node or cpus
        with Fleet(ray, ids, names, min(threads, cpus), _job(asked, loop, len(ids), threads)) as fleet:
            with phase("open"):
                fleet.open()
                _check_values(publisher.problem.data, loop.settings.objective.kind, fleet)
                fleet.begin(state.half_steps, (state.x, state.y) if asked.key is None else None)
            around = replace(around, loss_of=spread_loss)
            with _saying_how_to_go_on(around.writer):
                fitting.run(SpreadLoop.of(loop, fleet), SpreadState.of(state, fleet), publisher, around, features)


def _job(asked: ClusterFit, loop: FitLoop, n_nodes: int, threads: int) -> Job:
    objective, dtype = loop.settings.objective, asked.arguments.dtype
    matrices, width = (loop.rows, loop.columns), asked.arguments.rank + objective.biases
    sides = tuple(
        Side(matrix.shape[0], balanced(matrix, n_nodes, unit), width)
        for matrix, unit in zip(matrices, (LOSS_ROWS, 1), strict=True)
    )
    copies = [
        objective.unobserved_weight > 0 and reads_copy(loop.settings, matrix.shape[1], width, dtype) for matrix in matrices
    ]
    parts = tuple(Part.of(objective, matrix.indptr, matrix.shape[1]) for matrix in matrices)
    return Job(
        path=asked.path,
        sides=(sides[0], sides[1]),
        parts=(parts[0], parts[1]),
        rank=asked.arguments.rank,
        objective=objective,
        copies=(copies[0], copies[1]),
        dtype=dtype.name,
        key=asked.key,
        whole=objective.unobserved_weight == 0,
        secret=secrets.token_bytes(32),
        threads=threads,
        watch=asked.watch,
    )


def _check_values(data: Interactions, kind: str, fleet: Fleet) -> None:
    """Refuse values that the objective cannot use, or that this function does not support."""
    if kind == "ials" and fleet.negative:
        refuse_dislikes("train", data.csr, 1)
    if kind != "explicit" and fleet.zeros:
        raise ValueError(
            "the store has stored zeros, which a distributed fit does not drop: write it again without them, as in "
            "data.where(data.user_items.data != 0).save(path)"
        )


@contextmanager
def _saying_how_to_go_on(writer: Writer | None) -> Iterator[None]:
    """Adds to the message of a NodeError whether the fit can go on from a checkpoint."""
    try:
        yield
    except NodeError as error:
        if writer is None:
            advice = "Start the fit again; with checkpoint=..., it can go on after such an error"
        elif writer.written is None:
            advice = f"There is no checkpoint of this fit in {writer.path} yet: start the fit again"
        else:
            advice = f"cymbals.distributed.resume goes on from iteration {writer.written}, which is in {writer.path}"
        raise NodeError(f"{error}. {advice}") from error
