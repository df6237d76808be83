"""Checkpoints of fits: a checkpoint is a model file with one more fact, which says how the fit goes on from there.

The training matrix is not in the file. The caller of `ALS.resume` gives it again, and its fingerprint tells whether it is
the same.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import strict_json
from ..data.csr import Csr
from ..data.ids import Ids
from ..data.packing import pack_ids
from ..solve.loop import FitState
from . import container, stored
from .attaching import Side
from .preparing import FEATURES
from .remembering import CallbackMemory, StoredCallbackMemory, pack, unpack_counts, unpack_memory
from .state import State

_FACT = "checkpoint"  # the name of this fact
Fingerprint = dict[str, int]  # sizes and checksums of a matrix with ids
_SUMS = ("user ids", "item ids", "feature ids", "pairs", "values")  # the parts of a fingerprint that are checksums


@dataclass(frozen=True)
class Terms:
    """What a resumed fit has to know beside its state. It stays the same during a fit."""

    every: int  # iterations from one checkpoint to the next
    compute_loss: bool
    has_callback: bool
    from_noise: bool  # see FitLoop
    data: Fingerprint
    user_features: Fingerprint | None = None
    item_features: Fingerprint | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: the model as it was then, without interactions, and the state of the fit loop."""

    state: State
    fit: FitState
    terms: Terms
    memory: StoredCallbackMemory | None  # of the callback

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do. The last iteration of a fit with features comes after its loop."""
        needs_features = any(getattr(self.terms, name) for name in FEATURES)
        return self.fit.finished and needs_features == _has_features(self.state)

    def refuse_other(self, name: str, given: Fingerprint | None) -> None:
        """Raises ValueError if the argument `name` of `ALS.resume` is not what the fit had. The message says what differs.

        Features may be left out if the fit is finished, because the file then has them.
        """
        known: Fingerprint | None = getattr(self.terms, name)
        if given is None and known is not None:
            if self.is_finished:
                return
            raise ValueError(f"{name}: the fit had them, and its last iteration uses them: give them again")
        if given is not None and known is None:
            raise ValueError(f"{name}: the fit of this checkpoint had none: leave them out")
        for what, found in (given or {}).items():
            before = (known or {}).get(what)
            if found != before:
                difference = f"other {what}" if what in _SUMS else f"{found} {what}, but the fit had {before}"
                raise ValueError(f"{name} must be the same as in the fit, but here it has {difference}")


class Writer:
    """Writes the checkpoints of one fit to one file."""

    def __init__(self, path: str, terms: Terms, written: int | None = None) -> None:
        """`written` is the iteration of the checkpoint in the file; None if the file has no checkpoint of this fit yet."""
        self.path, self._terms, self.written = path, terms, written

    def is_due(self, fit: FitState) -> bool:
        """Whether a checkpoint is to be written after this half-step."""
        return fit.between_iterations and fit.iteration % self._terms.every == 0

    def write(self, fit: FitState, state: State, memory: CallbackMemory | None) -> None:
        """Replace the checkpoint. `state` is the model that has the factors of `fit`, `memory` that of the callback.

        Raises OSError if the file cannot be written. The old checkpoint then stays.
        """
        assert state.fit is not None
        names = ("half_steps", "n_iterations", "seconds", "losses", "counts")
        remembered, arrays = pack(memory, fit)
        facts = asdict(self._terms) | {name: getattr(fit, name) for name in names} | {"memory": remembered}
        iteration = state.fit.n_iter
        try:
            stored.write(self.path, state, False, {_FACT: facts}, arrays)
        except OSError as error:
            left = "it holds none yet" if self.written is None else f"it still holds iteration {self.written}"
            text = (
                f"the checkpoint {self.path} could not be written after iteration {iteration}, {left}: "
                f"{error.strerror or error}"
            )
            raise (type(error)(text) if error.errno is None else OSError(error.errno, text)) from error
        self.written = iteration


def read(path: str) -> Checkpoint:
    """Read a checkpoint. Raises ModelFileError if the file is damaged, or is no checkpoint."""
    state, facts, arrays = stored.read(path, False, ("ALS",))
    if _FACT not in facts:
        raise container.ModelFileError(
            f"{path}: a model, but not a checkpoint: the fit cannot go on from it; fit(checkpoint=...) writes checkpoints"
        )
    with container.refusing(path):
        return _checkpoint(state, facts[_FACT], arrays)


def fingerprint(csr: Csr, rows: Ids, columns: Ids) -> Fingerprint:
    """Numbers that differ if a matrix or its ids differ. Takes about as long as reading the matrix once."""
    sums = (_checksum_of_ids(rows), _checksum_of_ids(columns), _checksum(csr.indptr, csr.indices), _checksum(csr.data))
    sizes: Fingerprint = {f"{rows.what}s": rows.n, f"{columns.what}s": columns.n, "entries": csr.nnz}
    named = zip((f"{rows.what} ids", f"{columns.what} ids", "pairs", "values"), sums, strict=True)
    return sizes | {"bytes in each value": csr.data.itemsize} | dict(named)


def fingerprints(sides: list[Side | None]) -> dict[str, Fingerprint | None]:
    """The fingerprints of the features of users and items, by the name of the argument. None for a side without them."""
    return {
        name: None if side is None else fingerprint(side[0].rows, side[1], side[0].ids)
        for name, side in zip(FEATURES, sides, strict=True)
    }


def _checksum(*arrays: np.ndarray[Any, Any]) -> int:
    """The CRC-32 of the bytes of arrays, in little-endian order."""
    crc = 0
    for array in arrays:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        crc = zlib.crc32(little.view(np.uint8).data, crc)
    return crc


def _checksum_of_ids(ids: Ids) -> int:
    return _checksum(*pack_ids("ids", ids).values())


def _has_features(state: State) -> bool:
    return any(getattr(state, name) is not None for name in FEATURES)


def _checkpoint(state: State, facts: Any, arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    """The checkpoint with these facts. Raises ValueError for anything that `Writer` does not write."""
    if not isinstance(facts, dict):
        raise ValueError(f"{_FACT} must have several facts, got {facts!r}")
    assert state.fit is not None
    terms = _terms(facts)
    half_steps, n_iterations = strict_json.whole(facts, "half_steps", 0), strict_json.whole(facts, "n_iterations", 1)
    # The last iteration of a fit with features is not one of the loop.
    iteration, extra = half_steps // 2, _has_features(state)
    if half_steps > 2 * n_iterations or not len(state.fit.history) == state.fit.n_iter == iteration + extra:
        raise ValueError(f"{half_steps} half-steps contradict its {state.fit.n_iter} iterations of {n_iterations}")
    if not strict_json.is_whole(planned := state.params.get("iterations"), n_iterations + extra):
        raise ValueError(f"the parameters say iterations={planned!r}, but the fit was to do {n_iterations + extra}")
    for name, ids in (("users", state.users), ("items", state.items)):
        n = strict_json.whole(terms.data, name, 1)
        if n > ids.n or (n < ids.n and not extra):
            raise ValueError(f"the data had {n} {name}, but there are factors of {ids.n}")
    seconds, losses = (facts.get(name) for name in ("seconds", "losses"))
    has_losses = terms.compute_loss or state.params.get("tol") is not None
    if not isinstance(losses, list) or not all(map(strict_json.is_number, [seconds, *losses])):
        raise ValueError("seconds and losses must be numbers")
    if len(losses) != iteration * has_losses:
        raise ValueError(f"it has {len(losses)} losses of {iteration} iterations")
    fit = FitState(
        state.solved_users(),
        state.solved_items(),
        n_iterations,
        half_steps,
        seconds=float(seconds),  # type: ignore[arg-type]  # checked above
        history=tuple(state.fit.history),
        losses=tuple(map(float, losses)),
        counts=unpack_counts(facts),
    )
    return Checkpoint(state, fit, terms, unpack_memory(facts.get("memory"), arrays, fit))


def _terms(facts: dict[str, Any]) -> Terms:
    flags: dict[str, Any] = {name: facts.get(name) for name in ("compute_loss", "has_callback", "from_noise")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise ValueError(f"{', '.join(flags)} must be true or false")
    data: Any = facts.get("data")
    features: dict[str, Any] = {name: facts.get(name, "missing") for name in FEATURES}
    if not isinstance(data, dict) or not all(isinstance(side, dict | None) for side in features.values()):
        raise ValueError("the checksums of the data or of the features are missing")
    return Terms(strict_json.whole(facts, "every", 1), data=data, **flags, **features)
