"""Predicts how long a fit and its scoring take, from the trials that were timed on the same data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Beyond the ranks that were timed, seconds of an iteration grow with these powers of the rank: matrix-vector products with
# the Gramian cost f^2, all else f.
_TURN, _BELOW, _ABOVE = 256, 1.4, 1.8


@dataclass(frozen=True)
class Timing:
    """The time of one trial, in seconds.

    `iteration` is the mean of its iterations, `start` is the rest of the fit, `scoring` is the evaluation.
    """

    factors: int
    iteration: float
    start: float
    scoring: float

    @classmethod
    def of(cls, factors: int, iterations: int, phases: Mapping[str, float]) -> Timing:
        """The timing of a trial with `Trial.phases`."""
        return cls(factors, phases["iterations"] / iterations, phases["start"], phases["scoring"])


class Costs:
    """Seconds as a function of the number of factors and of iterations."""

    def __init__(self, timings: Iterable[Timing]) -> None:
        """`timings` must not be empty. Of several with the same rank, the medians count."""
        by_rank: dict[int, list[Timing]] = {}
        for timing in timings:
            by_rank.setdefault(timing.factors, []).append(timing)
        self._known = [
            Timing(
                rank, *(statistics.median(getattr(t, name) for t in several) for name in ("iteration", "start", "scoring"))
            )
            for rank, several in sorted(by_rank.items())
        ]

    def iteration(self, factors: int) -> float:
        """Seconds of an iteration."""
        below = [t for t in self._known if t.factors <= factors]
        above = [t for t in self._known if t.factors >= factors]
        if not below:
            return above[0].iteration * factors / above[0].factors
        if not above:
            known = below[-1]
            turn = min(max(_TURN, known.factors), factors)
            return float(known.iteration * (turn / known.factors) ** _BELOW * (factors / turn) ** _ABOVE)
        low, high = below[-1], above[0]
        if low is high or min(low.iteration, high.iteration) <= 0:
            return high.iteration
        share = math.log(factors / low.factors) / math.log(high.factors / low.factors)
        return float(low.iteration ** (1 - share) * high.iteration**share)

    def fit(self, factors: int, iterations: int) -> float:
        """Seconds of a fit."""
        return self._nearest(factors).start + iterations * self.iteration(factors)

    def trial(self, factors: int, iterations: int) -> float:
        """Seconds of a fit and of scoring it."""
        nearest = self._nearest(factors)
        return self.fit(factors, iterations) + nearest.scoring * max(1.0, factors / nearest.factors)

    def _nearest(self, factors: int) -> Timing:
        return min(self._known, key=lambda t: abs(math.log(t.factors / factors)))
