"""The settings that `tune` tries: steps away from a known good setting, in a few kinds of models.

A candidate says how far it is from the center of its kind, so the same steps make sense for all data. For counts, the
center is what `ALS.auto` chooses. For ratings, it is the regularization of ALS-WR (Zhou et al. 2008), times the standard
deviation of the ratings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..model.als import ALS
from . import spaces
from .runner import Runner

_COUNTS: dict[str, dict[str, Any]] = {
    "auto": {},
    "binary": {"confidence": "binary"},
    "linear": {"confidence": "linear"},
    "hu": {"objective": "hu"},
    "tfidf": {"confidence": "linear", "weighting": "tfidf"},
    "bm25": {"confidence": "linear", "weighting": "bm25"},
}
_SAME_IF_EQUAL = ("binary", "linear")  # as "auto", if all values are equal
_RATINGS: dict[str, dict[str, Any]] = {
    "auto": {"objective": "explicit", "biases": True, "nu": 1.0},
    "plain": {"objective": "explicit", "biases": True, "nu": 0.0},
    "without biases": {"objective": "explicit", "biases": False, "nu": 1.0},
}
_RATING_STRENGTH = 0.05  # lambda of the center for ratings, in standard deviations of the ratings


@dataclass(frozen=True)
class Candidate:
    """A setting without its rank and its number of iterations.

    `weight` and `strength` are logarithms to the base 2: how many times as large unobserved_weight and regularization are
    as at the center of the kind.
    """

    kind: str = "auto"
    weight: float = 0.0
    strength: float = 0.0


class Level(NamedTuple):
    """How a candidate is fitted."""

    factors: int
    iterations: int


@dataclass
class Candidates:
    """The candidates for some data, and their arguments of `ALS`.

    `screening` is the level at which many candidates are compared, `target` the one at which the best are.
    """

    runner: Runner
    fixed: dict[str, Any]
    screening: Level
    target: Level
    explicit: bool
    equal: bool  # whether all values are equal
    weighted: bool  # whether weightings are candidates
    _centers: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, runner: Runner, fixed: dict[str, Any]) -> Candidates:
        """The candidates for the data of a runner. `fixed` arguments are in all of them."""
        explicit = fixed.get("objective") == "explicit"
        screening, target = (Level(16, 6), Level(64, 10)) if explicit else (Level(64, 5), Level(256, 5))
        most = min(runner.cut.train.shape)
        levels = [
            Level(fixed.get("factors", min(level.factors, most)), fixed.get("iterations", level.iterations))
            for level in (screening, target)
        ]
        values = runner.cut.train.csr.data
        equal = bool(values.size == 0 or (values == values[0]).all())
        # Weightings take no negative values, and the rows of people who are folded in cannot be weighted like train.
        weighted = runner.cut.fold is None and not (values < 0).any()
        return cls(runner, fixed, levels[0], levels[1], explicit, equal, weighted)

    def params(self, candidate: Candidate, level: Level) -> dict[str, Any]:
        """The arguments of `ALS` that are not fixed, and perhaps "weighting"."""
        found = {"factors": level.factors, "iterations": level.iterations} | self._kind(candidate.kind)
        steps = {"unobserved_weight": candidate.weight, "regularization": candidate.strength}
        if self.explicit or any(steps.values()):
            center = self._center(candidate.kind)
            found |= {name: center[name] * 2.0**step for name, step in steps.items() if name in center}
        return {name: value for name, value in found.items() if name not in self.fixed}

    def plain(self) -> dict[str, Any]:
        """The arguments of `ALS()`, which is a starting point too."""
        found = {"objective": "explicit"} if self.explicit else {}
        return found | {"factors": ALS().factors, "iterations": ALS().iterations} | self.fixed

    def first(self) -> Iterator[Candidate]:
        """The candidates to screen first, the most promising first."""
        if self.explicit:
            yield from (Candidate(strength=step) for step in (0.0, 1.0, -1.0))
            yield from (Candidate(kind) for kind in _RATINGS if kind != "auto")
            yield from (Candidate(strength=step) for step in (2.0, -2.0, 3.0))
            return
        yield from (Candidate(), *self.around(Candidate(), 1.0))
        yield from (Candidate(kind) for kind in _COUNTS if kind in _SAME_IF_EQUAL and not self.equal)
        yield from (Candidate(weight=step) for step in (2.0, -2.0))
        yield from (
            Candidate(kind) for kind, params in _COUNTS.items() if kind == "hu" or (self.weighted and "weighting" in params)
        )

    def around(self, center: Candidate, step: float) -> list[Candidate]:
        """The candidates next to another one."""
        weights = [] if self.explicit else [step, -step]
        changed = [replace(center, weight=center.weight + change) for change in weights]
        strengths = (0.8 * step, -0.8 * step)
        return changed + [replace(center, strength=center.strength + change) for change in strengths]

    def _kind(self, kind: str) -> dict[str, Any]:
        if self.explicit:
            return _RATINGS[kind]
        found = spaces.with_defaults(_COUNTS[kind])
        return {name: value for name, value in found.items() if name not in ("factors", "iterations")}

    def _center(self, kind: str) -> dict[str, float]:
        """The numbers at the center of a kind."""
        if kind not in self._centers:
            params = self._kind(kind) | self.fixed
            train = self.runner.train(params.pop("weighting", None))
            self._centers[kind] = self._of_ratings(params) if self.explicit else spaces.numbers(params, train)
        return self._centers[kind]

    def _of_ratings(self, params: dict[str, Any]) -> dict[str, float]:
        csr = self.runner.cut.train.csr
        size = csr.nnz / (csr.shape[0] * csr.shape[1]) ** 0.5  # of a typical row
        spread = float(np.std(csr.data, dtype=np.float64)) or 1.0
        return {"regularization": _RATING_STRENGTH * spread * size ** (1.0 - params["nu"])}
