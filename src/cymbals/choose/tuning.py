"""The steps of `cymbals.tune`: start at known good settings, screen at a low rank, polish at the target rank, refine."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..base.threads import resolve
from ..evaluation.early_stopping import LOWER_IS_BETTER
from ..model.als import ALS
from .candidates import Candidate, Candidates, Level
from .costs import Costs, Timing
from .journal import Journal, Trial, key_of
from .result import best_of, is_ahead, is_behind
from .runner import Hopeless, Runner

_UNIT = Level(256, 15)  # the fit that a budget counts
_MARGIN = 0.97  # share of the budget that is planned, because some work is charged to no trial
_SAFETY = 1.05  # the fit to all data is expected to take this many times as long as predicted
_SCREENING = 0.2  # share of the budget for screening
_FEWEST = 4  # iterations with a higher rank than the target's
_POLISHED = 3  # screened candidates that are fitted at the target level
_TOGETHER = 0.2  # seconds: if an iteration with all threads takes less, several fits with one thread each are faster
_CHECKED, _HOPELESS = 3, 0.95  # a fit is stopped at this iteration if its score is below this share of the leader's
_CHEAP = 0.15  # but only if scoring takes at most this share of the time of the fit
_SMALLEST_STEP = 0.1  # of the logarithms of a candidate


@dataclass
class Budget:
    """What may be spent: a number of fits, or seconds."""

    fits: float | None
    seconds: float | None
    before: float  # seconds that the call took before the first trial
    fitted: float  # share of the entries on which trials are fitted: the last fit takes longer. inf: no last fit
    advance: Callable[[dict[str, Any]], None]
    percent: int = 0

    def show(self, share: float) -> None:
        """Move the progress bar to the share of the budget that is spent."""
        while self.percent < min(100, int(100 * share)):
            self.percent += 1
            self.advance({"iteration": self.percent})


class Planned(NamedTuple):
    """What a trial is."""

    candidate: Candidate
    level: Level


class Tuning:
    """The steps of `tune`, on one part of the data."""

    def __init__(self, runner: Runner, records: Journal, candidates: Candidates, budget: Budget) -> None:
        self.runner, self.records, self.candidates, self.budget = runner, records, candidates, budget
        self.fixed, self.metric = candidates.fixed, runner.metric
        self.screening, self.target = candidates.screening, candidates.target
        self.tried: dict[str, Trial] = {}  # by key, in the order in which they were planned
        self.planned: dict[str, Planned] = {}  # what each trial is; `ALS()` is not here

    def run(self) -> Trial:
        """Do all steps, and return the trial that leads."""
        self._start()
        reserved = self._reserved()
        self._try_plain(reserved)
        self._screen(reserved)
        self._polish(reserved)
        self._double()
        self._refine()
        self.budget.show(1.0)
        return self._leader()

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Try the center. Lowers the target's rank if the budget is too small for it."""
        center, lowest = Candidate(), self.screening.factors
        self._try([Planned(center, self.screening)])
        best_of(self.metric, list(self.tried.values()))  # raises if even this failed
        while self.budget.fits is None and self.target.factors > lowest and not self._affordable(self.target):
            self.target = self.target._replace(factors=max(lowest, self.target.factors // 2))
        self._try([Planned(center, self.target)])

    def _try_plain(self, reserved: float) -> None:
        """Try `ALS()`."""
        plain = self.candidates.plain()
        level = Level(plain["factors"], plain["iterations"])
        if self._affordable(level, self._last_fit(self.target) + reserved):
            self._run([{name: value for name, value in plain.items() if name not in self.fixed}])

    def _reserved(self) -> float:
        """Seconds to keep for a trial and a last fit with twice the rank, if rank pays and they are affordable."""
        center, at_target = self._trial(Candidate(), self.screening), self._trial(Candidate(), self.target)
        if at_target.score is None or not self._rank_can_rise(self.target):
            return 0.0
        if not is_ahead(self.metric, at_target, center):
            return 0.0
        larger = _doubled(self.target)
        both = self.costs.trial(*larger) + self._last_fit(larger)
        return both - self._last_fit(self.target) if self.spent + both <= self.seconds else 0.0

    def _screen(self, reserved: float) -> None:
        """Compare many candidates at the screening level, then more around the best one, with ever smaller steps."""
        level = self.screening
        most = min(self.spent + _SCREENING * self.seconds, self.seconds - self._last_fit(self.target) - reserved)
        candidates, step = list(self.candidates.first()), 0.5
        while step > _SMALLEST_STEP:
            left = [c for c in candidates if self._key(c, level) not in self.tried]
            while left:
                n = min(self._at_once(level), int((most - self.spent) / self.costs.trial(*level)))
                if n < 1:
                    return
                self._try([Planned(candidate, level) for candidate in left[:n]])
                left = left[n:]
            candidates = self.candidates.around(self._best_candidate(level), step)
            if all(self._key(c, level) in self.tried for c in candidates):
                step /= 2

    def _polish(self, reserved: float) -> None:
        """Fit the best screened candidates at the target level, but none that is clearly behind the center."""
        center = self._trial(Candidate(), self.screening)
        found = [(c, t) for c, t in self._candidates(self.screening) if not is_behind(self.metric, t, center)]
        found.sort(key=lambda one: one[1].score or 0.0, reverse=self.metric not in LOWER_IS_BETTER)
        for candidate, _ in found[:_POLISHED]:
            if self._key(candidate, self.target) in self.tried:
                continue
            if self._affordable(self.target, self._last_fit(self.target) + reserved):
                self._try([Planned(candidate, self.target)])

    def _double(self) -> None:
        """Double the rank of the leader as long as that makes it better and the budget allows it."""
        while self._rank_can_rise((found := self._leading()).level):
            larger = _doubled(found.level)
            if self._key(found.candidate, larger) in self.tried or not self._affordable(larger):
                return
            self._try([Planned(found.candidate, larger)])

    def _refine(self) -> None:
        """Try small changes of the leader, more iterations and half the rank, until the budget is spent."""
        step = 0.5
        while step > _SMALLEST_STEP:
            candidate, level = found = self._leading()
            others = [level._replace(iterations=2 * level.iterations), level._replace(factors=max(1, level.factors // 2))]
            near = [Planned(one, level) for one in self.candidates.around(candidate, step)]
            for one in [*near, *(Planned(candidate, other) for other in others)]:
                if self._key(*one) in self.tried:
                    continue
                if not self._affordable(one.level):
                    return
                self._try([one])
            if self._leading() == found:
                step /= 2

    # -- the budget --------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """All that may be spent. A number of fits becomes more exact with each trial that is timed."""
        if self.budget.fits is None:
            assert self.budget.seconds is not None
            return _MARGIN * self.budget.seconds
        return _MARGIN * self.budget.fits * self.costs.fit(*_UNIT)

    @property
    def spent(self) -> float:
        """What this took so far, with the trials of the journal, so that a resumed run takes the same decisions again."""
        return self.budget.before + sum(trial.seconds for trial in self.tried.values())

    @property
    def costs(self) -> Costs:
        """What fits cost, by the trials so far. At least one must be done."""
        timed = [(t.params | self.fixed, t) for t in self.tried.values() if t.status == "done"]
        return Costs(Timing.of(params["factors"], trial.iterations, trial.phases) for params, trial in timed)

    def _last_fit(self, level: Level) -> float:
        """Seconds of the fit to all data."""
        return _SAFETY * self.costs.fit(*level) / self.budget.fitted

    def _affordable(self, level: Level, after: float | None = None) -> bool:
        """Whether the budget has room for a trial and then for `after`, in seconds: by default a last fit at its level."""
        after = self._last_fit(level) if after is None else after
        return self.spent + self.costs.trial(*level) + after <= self.seconds

    def _at_once(self, level: Level) -> int:
        """The number of fits that run at the same time, with one thread each."""
        n_threads = resolve(self.fixed.get("n_threads"))
        return n_threads if self.costs.iteration(level.factors) < _TOGETHER else 1

    def _rank_can_rise(self, level: Level) -> bool:
        return "factors" not in self.fixed and 2 * level.factors <= min(self.runner.cut.train.shape)

    # -- trials ------------------------------------------------------------------------------------------------------

    def _key(self, candidate: Candidate, level: Level) -> str:
        return key_of(self.candidates.params(candidate, level))

    def _trial(self, candidate: Candidate, level: Level) -> Trial:
        return self.tried[self._key(candidate, level)]

    def _candidates(self, level: Level) -> list[tuple[Candidate, Trial]]:
        """The candidates that were fitted at a level, with their trials."""
        found = [(one.candidate, self.tried[key]) for key, one in self.planned.items() if one.level == level]
        return [(candidate, trial) for candidate, trial in found if trial.status == "done"]

    def _try(self, planned: list[Planned]) -> None:
        settings = [self.candidates.params(*one) for one in planned]
        self.planned |= {key_of(params): one for params, one in zip(settings, planned, strict=True)}
        self._run(settings)

    def _run(self, settings: list[dict[str, Any]]) -> None:
        """Fit and score settings that the journal does not have, several at the same time. Other processes wait."""
        wanted = {key_of(params): params for params in settings}
        with ExitStack() as claims:
            for key in sorted(wanted):  # in one order in all processes, so that none waits for another in a circle
                claims.enter_context(self.records.claim(key, wait=True))
            known = self.records.trials()
            missing = [params for key, params in wanted.items() if key not in known]
            for trial in self._timed(missing):
                self.records.append(trial)
        known = self.records.trials()
        self.tried |= {key: known[key] for key in wanted}
        if any(trial.status == "done" for trial in self.tried.values()):
            self.budget.show(self.spent / self.seconds)

    def _timed(self, settings: list[dict[str, Any]]) -> list[Trial]:
        """Trials whose seconds add up to the time that all of them took together."""
        if len(settings) < 2:
            return [self.runner.run(self._model(params), params, hopeless=self._hopeless(params)) for params in settings]
        started = time.perf_counter()
        with ThreadPoolExecutor(len(settings)) as pool:
            models = [self._model(params).set_params(n_threads=1) for params in settings]
            found = list(pool.map(self.runner.run, models, settings))
        each = (time.perf_counter() - started) / len(settings)
        return [
            replace(t, seconds=each, phases={name: each / t.seconds * value for name, value in t.phases.items()})
            for t in found
        ]

    def _model(self, params: dict[str, Any]) -> ALS:
        return ALS(**{name: value for name, value in (self.fixed | params).items() if name != "weighting"})

    def _hopeless(self, params: dict[str, Any]) -> Hopeless | None:
        """The check that stops a long fit early, if scoring is cheap compared with the fit."""
        leader = self._leader() if self.tried else None
        level = Level(*((params | self.fixed)[name] for name in ("factors", "iterations")))
        if leader is None or leader.score is None or level.iterations <= _CHECKED:
            return None
        fit = self.costs.fit(*level)
        if self.costs.trial(*level) - fit > _CHEAP * fit:
            return None
        return Hopeless(self.runner, leader.score, _CHECKED, _HOPELESS)

    # -- comparing ---------------------------------------------------------------------------------------------------

    def _leader(self) -> Trial:
        """The best trial. A trial takes the lead only if it is better than the leader by more than twice the noise.

        The center at the target level comes first, then the other starting point and the trials at the target level. Those
        at the screening level come last.
        """
        ordered = sorted(self.tried.values(), key=lambda trial: self._place(trial.key))
        leader = None
        for trial in ordered:
            if trial.status == "done" and (leader is None or is_ahead(self.metric, trial, leader)):
                leader = trial
        return best_of(self.metric, list(self.tried.values())) if leader is None else leader

    def _place(self, key: str) -> int:
        planned = self.planned.get(key)
        if planned == (Candidate(), self.target):
            return 0
        return 2 if planned is not None and planned.level == self.screening != self.target else 1

    def _leading(self) -> Planned:
        """The leader, to go on from. If that is `ALS()`, the best of the candidates."""
        found = self.planned.get(self._leader().key)
        if found is not None:
            return found
        level = self.target if self._candidates(self.target) else self.screening
        return Planned(self._best_candidate(level), level)

    def _best_candidate(self, level: Level) -> Candidate:
        """The candidate with the best score at a level. At least one must be fitted."""
        found = self._candidates(level)
        best = best_of(self.metric, [trial for _, trial in found])
        return next(candidate for candidate, trial in found if trial is best)


def _doubled(level: Level) -> Level:
    """Twice the rank, and an iteration less: with more factors, a fit follows the train part too closely sooner."""
    return Level(2 * level.factors, max(_FEWEST, level.iterations - 1))
