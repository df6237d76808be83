"""What a checkpoint stores of a callback that remembers an earlier iteration, as `EarlyStopping` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..base import strict_json
from ..data.packing import unpack
from ..solve.loop import FitState
from .state import State


@dataclass(frozen=True)
class CallbackMemory:
    """Facts as JSON values, and the model's state of an earlier iteration of the fit."""

    facts: dict[str, Any]
    kept: State


@dataclass(frozen=True)
class StoredCallbackMemory:
    """A memory from a file: the facts, and the loop's state of the earlier iteration."""

    facts: dict[str, Any]
    kept: FitState


@runtime_checkable
class Remembering(Protocol):
    """A callback with a memory."""

    def memory_for_checkpoint(self) -> CallbackMemory | None:
        """Called before a checkpoint is written. None: there is nothing to remember yet."""

    def restore_memory(self, memory: CallbackMemory, model: Any) -> None:
        """Called once by `ALS.resume` with the memory from the checkpoint and the model that is fitted."""


def memory_of(callback: Any, fit: FitState) -> CallbackMemory | None:
    """The memory of a callback in the fit with this state. None if it has none, or only one of another fit."""
    memory = callback.memory_for_checkpoint() if isinstance(callback, Remembering) else None
    if memory is None or memory.kept.fit is None or memory.kept.fit.n_iter > fit.iteration:
        return None
    kept = memory.kept
    return memory if (kept.x.shape[0], kept.y.shape[0]) == (fit.x.shape[0], fit.y.shape[0]) else None


def pack(memory: CallbackMemory | None, fit: FitState) -> tuple[dict[str, Any] | None, dict[str, NDArray[Any]]]:
    """A memory as facts and arrays of a checkpoint with the state `fit`. Its own factors are not stored twice."""
    if memory is None or memory.kept.fit is None:
        return None, {}
    record = memory.kept.fit
    counts = {name: record.report.get(name, 0) for name in fit.counts}
    facts = {"facts": memory.facts, "iteration": record.n_iter, "counts": counts}
    if _is_latest(record.n_iter, fit):
        return facts, {}
    return facts, {"kept.x": memory.kept.solved_users(), "kept.y": memory.kept.solved_items()}


def unpack_memory(packed: Any, arrays: dict[str, NDArray[Any]], fit: FitState) -> StoredCallbackMemory | None:
    """The memory of a checkpoint with the state `fit`. Raises ValueError for anything that `pack` does not make."""
    if packed is None:
        return None
    if not isinstance(packed, dict) or not isinstance(packed.get("facts"), dict):
        raise ValueError(f"memory must have facts, got {packed!r}")
    iteration = strict_json.whole(packed, "iteration", 1)
    if iteration > fit.iteration:
        raise ValueError(f"the callback keeps iteration {iteration} of {fit.iteration}")
    x, y = fit.x, fit.y
    if not _is_latest(iteration, fit):
        x, y = (unpack(arrays, f"kept.{side}", (fit.x.dtype.name,), 2) for side in "xy")
        if (x.shape, y.shape) != (fit.x.shape, fit.y.shape) or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("the factors that the callback keeps have another shape, or are not finite")
    history, counts = fit.history[:iteration], unpack_counts(packed)
    kept = FitState(x.copy(), y.copy(), fit.n_iterations, 2 * iteration, history=history, counts=counts)
    return StoredCallbackMemory(packed["facts"], kept)


def unpack_counts(facts: dict[str, Any]) -> dict[str, int]:
    """The `counts` of a FitState, from a file."""
    counts: Any = facts.get("counts")
    if not isinstance(counts, dict) or not all(map(strict_json.is_whole, counts.values())):
        raise ValueError("counts must be whole numbers")
    return counts


def _is_latest(iteration: int, fit: FitState) -> bool:
    """Whether the factors after this iteration are those of `fit`."""
    return fit.between_iterations and iteration == fit.iteration
