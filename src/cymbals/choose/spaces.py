"""Which settings a search tries: all of a grid, draws from distributions, or what Optuna proposes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import plain
from ..base.optional import optional
from .journal import Trial, key_of

_ATTEMPTS = 20  # to propose a setting that was not tried yet; a small space may hold no more


def usual(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The laboratory's space, less what is fixed: rank 10 to 50, regularization and alpha over the orders of magnitude that
    matter; alpha where it does anything."""
    import scipy.stats  # takes a second to load

    space = {
        "factors": scipy.stats.randint(10, 51),
        "regularization": scipy.stats.loguniform(1e-3, 1e2),
        "alpha": scipy.stats.loguniform(0.1, 100),
    }
    without = {*fixed, *(["alpha"] if fixed.get("objective") == "explicit" else [])}
    return {name: values for name, values in space.items() if name not in without}


def checked(name: str, space: Any) -> set[str]:
    """The parameters that a grid or distributions set; a TypeError where it is neither."""
    parts = [space] if isinstance(space, Mapping) else space if isinstance(space, (list, tuple)) else [space]
    for part in parts if space is not None else []:
        if not isinstance(part, Mapping):
            raise TypeError(f"{name} must be a dict of parameters and their values, or a list of such; got {part!r}")
        for parameter, values in part.items():
            listed = isinstance(values, (list, tuple, range, np.ndarray)) and len(values)
            if not listed and not (name == "random" and hasattr(values, "rvs")):
                kinds = "a list of values or a scipy distribution" if name == "random" else "a list of values"
                raise TypeError(f"{name}: {parameter!r} must have {kinds}, not empty; got {values!r}")
    return {parameter for part in parts if part is not None for parameter in part}


def as_text(space: Mapping[str, Any]) -> dict[str, str]:
    """Distributions in words, the same for equal ones."""
    words = {}
    for name, choice in space.items():
        drawn = hasattr(choice, "rvs")
        words[name] = f"{choice.dist.name} {choice.args} {choice.kwds}" if drawn else repr(list(choice))
    return words


def settings(grid: Any, random: Any, n: int, seed: int) -> list[dict[str, Any]]:
    """A grid's settings, then `n` draws; none twice, all values plain Python."""
    selection = _sklearn()
    found: dict[str, dict[str, Any]] = {}
    if grid is not None:
        found |= {key_of(s): s for s in map(_plain, selection.ParameterGrid(grid))}
    if random is not None:
        with warnings.catch_warnings():  # fewer than n settings are all of them
            warnings.filterwarnings("ignore", "The total space of parameters", UserWarning)
            sampler = selection.ParameterSampler(random, n_iter=n, random_state=seed % 2**32)
            found |= {key_of(s): s for s in map(_plain, sampler)}
    return list(found.values())


class Task(NamedTuple):
    """One setting to try: what to claim while trying it, its number, and what it is once others are known.

    `choose` returns None where there is nothing left to try.
    """

    claim: str
    number: int
    choose: Callable[[dict[str, Trial]], dict[str, Any] | None]


@dataclass(frozen=True)
class Listed:
    """Settings that are known beforehand."""

    settings: list[dict[str, Any]]

    def tasks(self) -> Iterator[Task]:
        """A task a setting."""
        for params in self.settings:
            yield Task(key_of(params), -1, functools.partial(_unless_tried, params))

    def among(self, trials: dict[str, Trial]) -> list[Trial]:
        """The trials that are of one of these."""
        wanted = set(map(key_of, self.settings))
        return [trial for key, trial in trials.items() if key in wanted]


def _unless_tried(params: dict[str, Any], trials: dict[str, Trial]) -> dict[str, Any] | None:
    return None if key_of(params) in trials else params


@dataclass(frozen=True)
class Proposed:
    """`n` settings that Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) proposes one after another.

    A proposal is a function of its number and the trials before it alone, so that a search that goes on after an
    interruption goes on as it would have.
    """

    space: Mapping[str, Any]
    n: int
    seed: int
    lower_is_better: bool

    def tasks(self) -> Iterator[Task]:
        """A task a number."""
        for number in range(self.n):
            yield Task(f"proposal {number}", number, functools.partial(self._choose, number))

    def among(self, trials: dict[str, Trial]) -> list[Trial]:
        """The trials that are one of these `n`."""
        return [trial for trial in trials.values() if 0 <= trial.number < self.n]

    def _choose(self, number: int, trials: dict[str, Trial]) -> dict[str, Any] | None:
        before = list(trials.values())
        if any(trial.number == number for trial in before):
            return None
        proposals = (self._propose(before, self.seed + number + 1_000_000 * attempt) for attempt in range(_ATTEMPTS))
        return next((params for params in proposals if key_of(params) not in trials), None)

    def _propose(self, before: list[Trial], seed: int) -> dict[str, Any]:
        optuna = _optuna()
        space = {name: _for_optuna(optuna, name, choice) for name, choice in self.space.items()}
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32)
        study = optuna.create_study(direction="minimize" if self.lower_is_better else "maximize", sampler=sampler)
        for trial in before:
            if trial.score is not None:
                done = optuna.trial.create_trial(params=trial.params, distributions=space, value=trial.score)
                study.add_trial(done)
        return _plain(study.ask(space).params)


def _for_optuna(optuna: Any, name: str, choice: Any) -> Any:
    kinds = optuna.distributions
    if not hasattr(choice, "rvs"):
        return kinds.CategoricalDistribution(_plain({name: list(choice)})[name])
    kind = getattr(getattr(choice, "dist", None), "name", type(choice).__name__)
    low, high = (float(end) for end in choice.support())
    if kind == "randint":
        return kinds.IntDistribution(int(low), int(high))
    if kind in ("uniform", "loguniform", "reciprocal"):
        return kinds.FloatDistribution(low, high, log=kind != "uniform")
    raise ValueError(f"random: {name} is a {kind} distribution; Optuna takes lists, randint, uniform and loguniform")


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Numbers as Python's own, as a journal and `get_params` show them."""
    return {name: [plain(v) for v in value] if isinstance(value, list) else plain(value) for name, value in params.items()}


def _optuna() -> Any:
    optuna = optional("optuna", "backend='optuna'")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _sklearn() -> Any:
    return optional("sklearn.model_selection", "searching")
