"""Fits settings of `ALS` on one part of the train data, and scores them on another part."""

from __future__ import annotations

import functools
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.checks import share
from ..base.threads import resolve
from ..data import split, weighting
from ..data.interactions import Interactions, as_interactions
from ..evaluation.early_stopping import LOWER_IS_BETTER, EarlyStopping, is_better
from ..evaluation.evaluate import Metrics, evaluate
from ..model.als import ALS
from .journal import Trial

# The median rule (Golovin et al. 2017) needs some earlier settings for a median, and some iterations until scores differ.
_SETTINGS_BEFORE_PRUNING, _ITERATIONS_BEFORE_PRUNING = 4, 2
MOST_USERS = 4000  # to hold out or to score: more would hardly change the order of settings


@dataclass(frozen=True)
class Cut:
    """The parts of the train data: models are fitted on `train` and scored on `test`.

    With `fold`, the people of `test` are not in `train`: their rows of `fold` are folded in.
    """

    train: Interactions
    test: Interactions
    fold: Interactions | None = None

    @classmethod
    def of(cls, data: Interactions, validation: float | str | Callable[[Any], Any], seed: int) -> Cut:
        """Cut the data: a share of the entries at random, whole users, or the result of a function."""
        if not data.nnz:
            raise ValueError(f"train has no entries (shape {data.shape}); a fit needs at least one")
        if isinstance(validation, str):
            if validation != "users":
                raise ValueError(f"validation must be a share of the entries, 'users' or a function, got {validation!r}")
            able = int(np.count_nonzero(data.csr.lengths() > 1))
            n = min(MOST_USERS, max(1, data.shape[0] // 10), able, data.shape[0] - 1)
            if n < 1:
                raise ValueError(
                    "validation 'users' holds out users with two entries or more, and train must have others; got "
                    f"{data.shape[0]} users, of whom {able} have two entries: give a share, such as validation=0.1"
                )
            validation = functools.partial(split.users, n=n, seed=seed)
        if not callable(validation):
            return cls(*split.random(data, share("validation", validation), seed))
        returned = validation(data)
        if not isinstance(returned, (tuple, list)) or len(returned) not in (2, 3):
            raise TypeError(
                "validation must return (train part, validation part), or (train part, fold, validation part) as "
                f"split.users does; got {returned!r}"
            )
        parts = [as_interactions(f"validation's part {i}", part, resolve(None)) for i, part in enumerate(returned)]
        n_users, n_items = data.shape
        for i, part in enumerate(parts):
            rows = n_users if len(parts) == 2 else part.shape[0] if i == 0 else parts[1].shape[0]
            if part.shape != (rows, n_items):
                raise ValueError(f"validation: part {i} must have the shape {(rows, n_items)}, got {part.shape}")
        return cls(*parts) if len(parts) == 2 else cls(parts[0], parts[2], parts[1])

    @property
    def checksum(self) -> str:
        """A text that differs if the data differ."""
        crc = 0
        for part in (self.train, self.test) if self.fold is None else (self.train, self.fold, self.test):
            for array in (part.csr.indptr, part.csr.indices, part.csr.data):
                crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, crc)
        return f"{crc:08x}"


@dataclass
class Runner:
    """Fits and scores settings, all on the same data and with the same rules.

    At most `n_users` users are scored, but all people who are folded in. With `keep_users`, trials have the score of each
    user.
    """

    cut: Cut
    metric: str
    k: tuple[int, ...]
    seed: int
    n_users: int | None = None
    patience: int | None = None
    prune: bool = False
    warm_start: bool = False
    keep_users: bool = False
    last: ALS | None = None
    users: Any = field(init=False)
    _weighted: dict[str, Interactions] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        everybody = self.n_users is None or self.cut.fold is not None
        self.users = None if everybody else self.cut.train.users.drawn(self.n_users or 0, self.seed)

    def train(self, name: str | None) -> Interactions:
        """The part to fit on, after a function of `cymbals.weighting`."""
        if name is None:
            return self.cut.train
        if name not in self._weighted:
            self._weighted[name] = getattr(weighting, name)(self.cut.train)
        return self._weighted[name]

    def score(self, model: Any) -> Metrics:
        """All metrics of a fitted model."""
        cut = self.cut
        if cut.fold is not None:
            return evaluate(model, rows=cut.fold, test=cut.test, k=self.k, n_threads=model.n_threads)
        return evaluate(model, cut.train, cut.test, self.k, self.users, model.n_threads)

    def run(
        self, model: ALS, params: dict[str, Any], before: Sequence[Trial] = (), hopeless: Hopeless | None = None
    ) -> Trial:
        """Fit and score one setting.

        `hopeless`, a `Hopeless`, may stop the fit. The trial is then "pruned".
        """
        started = time.perf_counter()
        stopping = _PruningStop(self, model.iterations, before) if self.patience or self.prune else None
        watching = hopeless if stopping is None else stopping
        init = self.last if self.warm_start and _can_start_from(self.last, model) else None
        try:
            model.fit(self.train(params.get("weighting")), init=init, callback=watching)
            fitted = time.perf_counter()
            found = self.score(model) if watching is None or watching.metrics is None else watching.metrics
        except (ValueError, ArithmeticError) as error:  # this setting failed, but the search goes on with the others
            return Trial(params, "failed", None, 0, time.perf_counter() - started, error=str(error))
        self.last = model if self.warm_start else None
        if _number(found[self.metric]) is None:
            reason = (
                f"no entry of the validation part can be scored by {self.metric}: hold out more entries that are above 0 "
                "and not in the train part"
            )
            return Trial(params, "failed", None, 0, time.perf_counter() - started, error=reason)
        ended, iterating = time.perf_counter(), sum(entry["seconds"] for entry in model.history_)
        checking = 0.0 if hopeless is None else hopeless.seconds
        starting, scoring = fitted - started - iterating - checking, ended - fitted + checking
        phases = {"start": starting, "iterations": iterating, "scoring": scoring}
        return Trial(
            params,
            "pruned" if watching is not None and watching.pruned else "done",
            _number(found[self.metric]),
            model.n_iter_ if stopping is None else stopping.best_iteration,
            ended - started,
            {name: value for name, value in found.items() if _number(value) is not None},
            [] if stopping is None else [score for score in stopping.trace if score == score],
            per_user=_of_users(found, self.metric) if self.keep_users else [],
            phases=phases if self.keep_users else {},
        )


class Hopeless:
    """A callback that scores a fit once, early, and stops it if the score is far below the best one so far."""

    def __init__(self, runner: Runner, best: float, iteration: int, share: float) -> None:
        """`share` of `best` is the score that a fit needs at this iteration; where lower is better, `best` / `share`."""
        self.runner, self.at = runner, iteration
        self.least = best / share if runner.metric in LOWER_IS_BETTER else best * share
        self.pruned = False
        self.seconds = 0.0  # what the check took
        self.metrics: Metrics | None = None

    def __call__(self, model: Any, iteration: int) -> bool:
        if iteration == self.at:
            began = time.perf_counter()
            found = self.runner.score(model)
            self.seconds = time.perf_counter() - began
            if is_better(self.runner.metric, self.least, found[self.runner.metric]):
                self.pruned, self.metrics = True, found
        return self.pruned


class _PruningStop(EarlyStopping):
    """Early stopping that also stops a setting that is worse than half of the earlier settings at the same iteration."""

    def __init__(self, runner: Runner, iterations: int, before: Sequence[Trial]) -> None:
        super().__init__(runner.cut.train, runner.cut.test, runner.metric, runner.patience or iterations, runner.users)
        self.runner, self.prune = runner, runner.prune
        self.before = [t.trace for t in before if t.trace]
        self.pruned = False

    def _scored(self, model: Any) -> Metrics:
        return self.runner.score(model)

    def __call__(self, model: Any, iteration: int) -> bool:
        stop = super().__call__(model, iteration)
        if self.prune and not stop and iteration >= _ITERATIONS_BEFORE_PRUNING:
            best = min if self.metric in LOWER_IS_BETTER else max
            others = [best(trace[:iteration]) for trace in self.before]
            if len(others) >= _SETTINGS_BEFORE_PRUNING:
                self.pruned = is_better(self.metric, statistics.median(others), self.best_score)
        return stop or self.pruned


def _can_start_from(last: ALS | None, model: ALS) -> bool:
    """Whether a model can start from the factors of the last one."""
    same = ("factors", "dtype", "objective", "biases")
    return last is not None and all(getattr(last, name) == getattr(model, name) for name in same)


def _of_users(found: Metrics, metric: str) -> list[float]:
    """The values of the users for whom the metric is defined, rounded so that a journal stays small."""
    values = found.per_user.get(metric)
    return [] if values is None else np.round(values[~np.isnan(values)], 6).tolist()


def _number(value: float) -> float | None:
    """The value as a Python float, or None for a NaN, which JSON cannot store."""
    return float(value) if value == value else None
