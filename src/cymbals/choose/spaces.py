"""The settings that a search tries: all of a grid, random draws, or proposals of Optuna.

A setting is a dict with one value for each parameter that is searched.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import plain
from ..base.optional import optional
from ..base.threads import resolve
from ..data.interactions import Interactions
from ..model.als import ALS
from ..model.arguments import checked
from ..model.solving_model import entries_of, transformed
from ..solve import rule
from .journal import Trial, key_of

_ATTEMPTS = 20  # at most this many proposals are drawn to find one that is new; a small space may have no new one


def with_defaults(params: Mapping[str, Any]) -> dict[str, Any]:
    """Add to arguments of `ALS` those of `ALS.auto`, from which searches start. They do not fit objective "explicit"."""
    if params.get("objective") == "explicit":
        return dict(params)
    auto, plain_als = ALS.auto().get_params(), ALS().get_params()
    return {name: value for name, value in auto.items() if value != plain_als[name]} | dict(params)


def numbers(params: Mapping[str, Any], data: Interactions) -> dict[str, float]:
    """The numbers that a fit to `data` chooses for the arguments that are "auto"."""
    params = ALS(**params).get_params()
    automatic, objective = rule.automatic(params), checked(params).settings.objective
    if not automatic:
        return {}
    rows = transformed(entries_of("train", data.csr, objective, resolve(params["n_threads"])), objective)
    return rule.chosen(objective, automatic, rows)


def default_space(fixed: Mapping[str, Any], data: Interactions) -> dict[str, Any]:
    """The space that is searched by default, without the arguments that are `fixed`.

    factors, and numbers around those that the rule for "auto" chooses from the data. With objective "explicit", factors and
    regularization.
    """
    import scipy.stats  # loads slowly, so only here

    if fixed.get("objective") == "explicit":
        ranks, around = [8, 16, 32, 64], {"regularization": scipy.stats.loguniform(1e-3, 1e2)}
    else:
        ranks, center = [32, 64, 128, 256], numbers(with_defaults(fixed), data)
        ends = {"unobserved_weight": 8.0, "regularization": 4.0}
        around = {
            name: scipy.stats.loguniform(center[name] / end, center[name] * end)
            for name, end in ends.items()
            if name in center
        }
    return {name: values for name, values in ({"factors": ranks} | around).items() if name not in fixed}


def parameters(name: str, space: Any) -> set[str]:
    """The names of the parameters in a grid or in distributions; none for "auto". Raises a TypeError for anything else."""
    if name == "random" and isinstance(space, str) and space == rule.AUTO:
        return set()
    parts = [space] if isinstance(space, Mapping) else space if isinstance(space, (list, tuple)) else [space]
    for part in parts if space is not None else []:
        if not isinstance(part, Mapping):
            raise TypeError(f"{name} must be a dict of parameters and their values, or a list of such dicts; got {part!r}")
        for parameter, values in part.items():
            listed = isinstance(values, (list, tuple, range, np.ndarray)) and len(values)
            if not listed and not (name == "random" and hasattr(values, "rvs")):
                kinds = "a list of values or a scipy distribution" if name == "random" else "a list of values"
                raise TypeError(f"{name}: {parameter!r} must have {kinds}, which must not be empty; got {values!r}")
    return {parameter for part in parts if part is not None for parameter in part}


def as_text(space: Mapping[str, Any]) -> dict[str, str]:
    """Distributions and lists as text, with equal texts for equal distributions. A journal compares these texts."""
    texts = {}
    for name, choice in space.items():
        drawn = hasattr(choice, "rvs")
        texts[name] = f"{choice.dist.name} {choice.args} {choice.kwds}" if drawn else repr(list(choice))
    return texts


def settings(grid: Any, random: Any, n: int, seed: int) -> list[dict[str, Any]]:
    """All settings of a grid, then `n` random draws, without duplicates. Values are plain Python numbers and texts."""
    selection = _sklearn()
    found: dict[str, dict[str, Any]] = {}
    if grid is not None:
        found |= {key_of(s): s for s in map(_plain, selection.ParameterGrid(grid))}
    if random is not None:
        with warnings.catch_warnings():  # a space with fewer than n settings is not an error: all of them are tried
            warnings.filterwarnings("ignore", "The total space of parameters", UserWarning)
            sampler = selection.ParameterSampler(random, n_iter=n, random_state=seed % 2**32)
            found |= {key_of(s): s for s in map(_plain, sampler)}
    return list(found.values())


class Task(NamedTuple):
    """One setting to try, which may depend on the trials before it."""

    claim: str  # the text to lock in the journal, so that no other process does this task
    number: int  # of the proposal; -1 if the setting is known beforehand
    # takes the trials so far, and returns the setting to try, or None if nothing is left to do
    choose: Callable[[dict[str, Trial]], dict[str, Any] | None]


@dataclass(frozen=True)
class Listed:
    """A search over settings that are all known beforehand."""

    settings: list[dict[str, Any]]

    def tasks(self) -> Iterator[Task]:
        """One task for each setting."""
        for params in self.settings:
            yield Task(key_of(params), -1, functools.partial(_unless_tried, params))

    def trials_of_this(self, trials: dict[str, Trial]) -> list[Trial]:
        """The trials of these settings. The journal may have more, from a larger search."""
        wanted = set(map(key_of, self.settings))
        return [trial for key, trial in trials.items() if key in wanted]


def _unless_tried(params: dict[str, Any], trials: dict[str, Trial]) -> dict[str, Any] | None:
    return None if key_of(params) in trials else params


@dataclass(frozen=True)
class Proposed:
    """A search over `n` settings that Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) proposes in turn.

    A proposal depends only on its number and on the trials before it. So an interrupted search that is resumed proposes
    the same settings as without the interruption.
    """

    space: Mapping[str, Any]
    n: int
    seed: int
    lower_is_better: bool

    def tasks(self) -> Iterator[Task]:
        """One task for each proposal."""
        for number in range(self.n):
            yield Task(f"proposal {number}", number, functools.partial(self._choose, number))

    def trials_of_this(self, trials: dict[str, Trial]) -> list[Trial]:
        """The trials of these `n` proposals. The journal may have more, from a larger search."""
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
    raise ValueError(f"random: {name} is a {kind} distribution; Optuna takes only lists, randint, uniform and loguniform")


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Convert NumPy numbers to Python numbers, which JSON can store and which print in short form."""
    return {name: [plain(v) for v in value] if isinstance(value, list) else plain(value) for name, value in params.items()}


def _optuna() -> Any:
    optuna = optional("optuna", "backend='optuna'")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _sklearn() -> Any:
    return optional("sklearn.model_selection", "searching")
