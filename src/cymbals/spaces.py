"""Which settings a search tries: all of a grid, draws from distributions, or what Optuna proposes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.stats

from .journal import Trial, key_of


def usual(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The laboratory's space, less what is fixed: rank 10 to 50, regularization and alpha over the orders of magnitude that
    matter; alpha where it does anything."""
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


def proposed(random: Mapping[str, Any], trials: list[Trial], lower_is_better: bool, seed: int) -> dict[str, Any]:
    """What Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) would try after `trials`.

    A function of its arguments alone, so that a search that goes on after an interruption goes on as it would have.
    """
    try:
        import optuna
    except ImportError:
        raise ImportError("backend='optuna' needs Optuna: pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {name: _for_optuna(optuna, name, choice) for name, choice in random.items()}
    study = optuna.create_study(
        direction="minimize" if lower_is_better else "maximize",
        sampler=optuna.samplers.TPESampler(seed=seed % 2**32),
    )
    for trial in trials:
        if trial.score is not None:
            study.add_trial(optuna.trial.create_trial(params=trial.params, distributions=space, value=trial.score))
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

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value.item() if isinstance(value, np.generic) else value

    return {name: plain(value) for name, value in params.items()}


def _sklearn() -> Any:
    try:
        import sklearn.model_selection
    except ImportError:
        raise ImportError("searching needs scikit-learn: pip install 'cymbals[lab]'") from None
    return sklearn.model_selection
