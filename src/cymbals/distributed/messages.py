"""What the driver of a distributed fit and its workers send to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..solve.half_step import Part, Settings
from ..solve.objective import Objective
from .plan import Side


@dataclass(frozen=True)
class Job:
    """What all workers know from the beginning."""

    path: str
    sides: tuple[Side, Side]
    parts: tuple[Part, Part]  # of all rows of a side
    objective: Objective
    copies: tuple[bool, bool]  # whether rows of this side are solved with a 16-bit copy of the other one
    rank: int
    dtype: str
    key: int | None  # of the random start; None: the fit goes on from given factors
    whole: bool  # whether every worker needs the whole fixed side
    secret: bytes  # what workers must know to connect to each other
    threads: int
    watch: bool  # whether to look at the memory all the time


class Source(NamedTuple):
    """An object of a node."""

    node: int
    ref: Any
    place: str  # Ray's id of the machine where the object was made
    spare: Any = None  # a Source with the same content on another machine, or None


class Previous(NamedTuple):
    """What a worker needs to do its part of the half-step before the current one again."""

    settings: Settings
    spectrum: NDArray[np.float64]
    basis: Source | None
    shards: list[Source]  # all rows of the fixed side
    start: Source | None  # this node's solved rows before that half-step; None: the first factors


@dataclass
class Usage:
    """What a call took."""

    seconds: float = 0.0
    waited: float = 0.0  # of these seconds, for objects of other nodes
    received: dict[int, int] = field(default_factory=dict)  # bytes by sender; -1 is the driver
    peak: int | None = None  # anonymous memory since the store was opened, above what the process held before it


class Failure(NamedTuple):
    """Why a call failed: lost objects, a row that cannot be solved, or an error of another kind."""

    lost: tuple[Any, ...] = ()
    error: str = ""
    kind: str = ""
    row: int = -1
    too_heavy: bool = False
    node_gone: bool = False  # Ray no longer works on the node


class Reply(NamedTuple):
    """The first object that a call returns."""

    value: Any
    failure: Failure | None
    usage: Usage
