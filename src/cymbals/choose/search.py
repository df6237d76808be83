"""Searches for the best setting of `ALS`: fits each on one part of the train data, and scores it on the other part."""

from __future__ import annotations

import json
import os
import statistics
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.checks import boolean, share, shown, whole_number
from ..base.html import html_table
from ..base.optional import frame
from ..base.progress import progress_bar
from ..base.threads import resolve
from ..data import split
from ..data.interactions import Interactions, as_interactions
from ..evaluation.early_stopping import LOWER_IS_BETTER, EarlyStopping, cutoffs, is_better
from ..evaluation.evaluate import evaluate
from ..model.als import ALS
from . import spaces
from .journal import Journal, Trial

if TYPE_CHECKING:
    import pandas as pd

# The median rule (Golovin et al. 2017) needs some earlier settings for a median, and some iterations until scores differ.
_SETTINGS_BEFORE_PRUNING, _ITERATIONS_BEFORE_PRUNING = 4, 2


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The result of `cymbals.search`: all settings with their scores, and the best model.

    Attributes
    ----------
    trials : list of Trial
        In the order in which they ended.
    metric : str
        The metric by which `best_params_` was chosen.
    best_params_ : dict
        The searched arguments of `ALS` with the best score. With `patience` or `prune`, also the best number of iterations.
    best_score_ : float
    best_model_ : ALS or None
        The model fitted with `best_params_` on all of the train data. None without `refit`.
    """

    trials: list[Trial]
    metric: str
    best_params_: dict[str, Any]
    best_score_: float
    best_model_: ALS | None = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each setting, the best first: score, parameters, n_iter, seconds, status, error, other metrics.

        n_iter is the number of the best iteration if each iteration was scored, else the number of iterations done.
        """
        rows = [
            {"score": np.nan if t.score is None else t.score, **t.params}
            | {"n_iter": t.iterations, "seconds": t.seconds, "status": t.status, "error": t.error}
            | {name: value for name, value in t.metrics.items() if name != self.metric}
            for t in self.trials
        ]
        ascending = self.metric in LOWER_IS_BETTER
        return frame(rows).sort_values("score", ascending=ascending, kind="stable", ignore_index=True)

    def __repr__(self) -> str:
        return f"<SearchResult: {self}>"

    def _repr_html_(self) -> str:
        best = self.table.head(10)
        shown = [name for name in ("score", *self.best_params_, "n_iter", "seconds", "status") if name in best]
        return html_table([dict(zip(shown, row, strict=True)) for row in best[shown].itertuples(index=False)], str(self))

    def __str__(self) -> str:
        params = self.best_params_.items()
        chosen = ", ".join(f"{n}={v:.4g}" if isinstance(v, float) else f"{n}={v!r}" for n, v in params)
        return f"{len(self.trials)} settings; best {self.metric} {self.best_score_:.4f} with {chosen}"


def search(
    train: Any,
    grid: Any = None,
    random: Any = None,
    *,
    n: int = 20,
    metric: str = "ndcg@10",
    validation: float | Callable[[Any], tuple[Any, Any]] = 0.1,
    refit: bool = True,
    seed: int = 0,
    journal: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    patience: int | None = None,
    prune: bool = False,
    warm_start: bool = False,
    n_users: int | None = None,
    progress: bool = False,
    **als: Any,
) -> SearchResult:
    """Try settings of `ALS` on a validation part of the train data, then fit the best setting on all train data.

    Use it to choose factors, regularization and other parameters. Keep the test part for `evaluate`: a search that saw the
    test part would make its metrics too good.

    Parameters
    ----------
    train : Interactions or scipy sparse, shape (n_users, n_items)
    grid : dict of str to list, or list of such dicts, optional
        Try all combinations of these values, like scikit-learn's ParameterGrid.
    random : dict of str to list or scipy distribution, or list of such dicts, optional
        Draw `n` settings, like scikit-learn's ParameterSampler. Without `grid` and `random`, `n` settings are drawn from a
        default space: factors 10 to 50, regularization 0.001 to 100, alpha 0.1 to 100, except those given in `als`.
    n : int
        Number of settings to draw.
    metric : str
        The metric by which the best setting is chosen: "auc", "ndcg@10", "recall@20" ... With objective "explicit" also
        "rmse" or "mae"; for these two, lower is better.
    validation : float or callable
        The share of the entries to hold out at random for scoring. Or a function that takes the data and returns (train
        part, validation part), such as ``lambda data: cymbals.split.by_time(data, 0.1)``.
    refit : bool
        Fit the best setting on all of `train`.
    seed : int
        Seed of the split and the draws. Also the random_state of each fit, unless `als` has one.
    journal : path-like, optional
        File that records each finished setting. An interrupted search that is run again with the same file continues where
        it stopped. Several processes or threads with the same file share the work. If it is a folder, the search makes its
        own file in it and removes the file when it is done.
    backend : {None, "optuna"}
        "optuna" lets Optuna choose each of the `n` settings of `random` from the scores of the settings before.
    patience : int, optional
        Score after each iteration, stop after this many iterations without a better score, and use the best iteration. The
        default of `relaxation` is then 1 (plain alternating least squares), so that a fit with that number of iterations
        gives the same model.
    prune : bool
        Stop the fit of a setting once its best score is worse than the median of the best scores that the earlier settings
        had at the same iteration. For this, each fit is scored after each iteration. Without `patience`, all other fits run
        to their last iteration.
    warm_start : bool
        Start a fit from the factors of the previous setting, if both have the same factors, dtype, objective and biases.
        Fits then need fewer iterations, but scores depend on the order of the settings, and `refit`, which starts at
        random, may reach a lower score.
    n_users : int, optional
        Score only this many users, drawn once, instead of all.
    progress : bool
        Show a progress bar on stderr.
    **als
        Arguments of `ALS` that are the same for all settings.

    Returns
    -------
    SearchResult
        With `table`, `best_params_`, `best_score_` and `best_model_`.

    Raises
    ------
    ValueError, TypeError
        `ALS` does not have a parameter or refuses its value, the journal belongs to another search, or no setting could be
        fitted.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> train = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
    >>> found = cymbals.search(train, grid={"factors": [2, 4], "alpha": [1.0, 40.0]}, iterations=5)
    >>> len(found.table), sorted(found.best_params_)
    (4, ['alpha', 'factors'])
    """
    for name, value in (("refit", refit), ("prune", prune), ("warm_start", warm_start)):
        boolean(name, value)
    if patience is not None:
        whole_number("patience", patience, 1)
    if backend is not None and (not isinstance(backend, str) or backend != "optuna"):
        raise ValueError(f"backend must be None or 'optuna', got {backend!r}")
    if journal is not None and not isinstance(journal, (str, os.PathLike)):
        raise TypeError(f"journal must be a path, got {shown(journal)}")
    seed, n, k = whole_number("seed", seed, 0), whole_number("n", n, 1), cutoffs(metric)
    scores_iterations = prune or bool(patience)
    fixed = {"random_state": seed} | ({"relaxation": 1.0} if scores_iterations else {}) | als
    if grid is None and random is None:
        random = spaces.default_space(als) or None
        grid = {} if random is None else None  # all parameters are fixed: the grid {} has one setting
    if backend and (grid is not None or not isinstance(random, Mapping)):
        raise ValueError("backend='optuna' takes one dict as random, and no grid")
    _check_names(spaces.checked("grid", grid) | spaces.checked("random", random), als)
    listed = spaces.settings(grid, None if backend else random, n, seed)
    _check_settings([fixed | params for params in listed or [{}]], metric)
    # The number of threads does not change a result, so a search may be resumed with another one.
    shared = {name: value for name, value in fixed.items() if name != "n_threads"}
    if journal is not None:
        _check_storable(shared, *listed, *([random] if backend else []))

    data = as_interactions("train", train, resolve(fixed.get("n_threads")))
    users = None if n_users is None else data.users.drawn(whole_number("n_users", n_users, 1), seed)
    parts = _split(data, validation, seed)
    runner = _Runner(*parts, metric, k, patience, prune, warm_start, users)
    # The journal stores these facts about its search. It is refused if a later search differs in any of them.
    identity = {"metric": metric, "seed": seed, "patience": patience, "prune": prune}
    identity |= {"warm_start": warm_start, "n_users": n_users, "space": spaces.as_text(random) if backend else None}
    identity |= {"als": shared, "data": _checksum(*parts)}
    source = spaces.Proposed(random, n, seed, metric in LOWER_IS_BETTER) if backend else spaces.Listed(listed)
    with Journal(journal, identity) as records, progress_bar(progress, n if backend else len(listed), "search") as advance:
        _run(source, runner, records, fixed, advance)
        trials = source.trials_of_this(records.trials())
        result = _result(trials, metric, fixed, data if refit else None, scores_iterations)
        records.remove_temporary()
    return result


def _run(
    source: spaces.Listed | spaces.Proposed,
    runner: _Runner,
    records: Journal,
    fixed: dict[str, Any],
    advance: Callable[[dict[str, Any]], None],
) -> None:
    """Try all settings that are not in the journal yet.

    First those that no other process has claimed. Then wait for the other processes, and try what they left unfinished.
    """
    for wait in (False, True):
        for task in source.tasks():
            with records.claim(task.claim, wait) as claimed:
                chosen = task.choose(records.trials()) if claimed else None
                if chosen is not None:
                    trial = runner.run(ALS(**fixed | chosen), chosen, list(records.trials().values()))
                    records.append(replace(trial, number=task.number))
                    advance({"iteration": len(source.trials_of_this(records.trials()))})


def _check_names(searched: set[str], als: dict[str, Any]) -> None:
    ALS().set_params(**dict.fromkeys((*sorted(searched), *als)))  # raises for an unknown name
    twice = sorted(searched & set(als))
    if twice:
        raise ValueError(
            f"{twice[0]} is given twice: as a parameter to search, and as a fixed argument of ALS; leave one out"
        )


def _check_settings(settings: list[dict[str, Any]], metric: str) -> None:
    """Refuse settings that `fit` or `evaluate` would refuse, before a model is fitted."""
    for params in settings:
        model = ALS(**params)
        model.check_params()
        if metric in LOWER_IS_BETTER and model.objective != "explicit":
            raise ValueError(f"metric {metric!r} needs objective 'explicit', got objective {model.objective!r}")


def _check_storable(*settings: Mapping[str, Any]) -> None:
    """Refuse values that JSON cannot store, such as functions: a resumed search could not compare them."""
    for params in settings:
        for name, value in params.items():
            try:
                json.dumps(list(value) if isinstance(value, (list, tuple)) else None if hasattr(value, "rvs") else value)
            except TypeError:
                raise TypeError(
                    f"a journal can only store numbers and texts, not {name}={value!r}: search without a journal"
                ) from None


def _split(data: Interactions, validation: Any, seed: int) -> tuple[Interactions, Interactions]:
    """The part of the data to fit settings on, and the part to score them on."""
    if not callable(validation):
        return split.random(data, share("validation", validation), seed)
    returned = validation(data)
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise TypeError(f"validation must return (train part, validation part), got {returned!r}")
    parts = [as_interactions(f"validation's part {i}", part, resolve(None)) for i, part in enumerate(returned)]
    for part in parts:
        if part.shape != data.shape:
            raise ValueError(f"validation must return two parts with the shape of the data, {data.shape}, got {part.shape}")
    return parts[0], parts[1]


def _checksum(*parts: Interactions) -> str:
    crc = 0
    for part in parts:
        for array in (part.csr.indptr, part.csr.indices, part.csr.data):
            crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _result(
    trials: list[Trial], metric: str, fixed: dict[str, Any], data: Interactions | None, scores_iterations: bool
) -> SearchResult:
    """Find the best trial, and fit its setting on `data` unless that is None."""
    best = None
    for trial in trials:
        if trial.status != "done" or trial.score is None:
            continue
        if best is None or best.score is None or is_better(metric, trial.score, best.score):
            best = trial
    if best is None or best.score is None:
        errors = {t.error for t in trials if t.error}
        raise ValueError(f"none of the {len(trials)} settings could be fitted and scored: {'; '.join(sorted(errors)[:3])}")
    params = best.params | ({"iterations": best.iterations} if scores_iterations else {})
    model = None if data is None else ALS(**fixed | params).fit(data)
    return SearchResult(trials, metric, params, best.score, model)


@dataclass
class _Runner:
    """Fits and scores one setting after another, all on the same data and with the same rules."""

    train: Interactions
    validation: Interactions
    metric: str
    k: tuple[int, ...]
    patience: int | None
    prune: bool
    warm_start: bool
    users: Any
    last: ALS | None = None

    def run(self, model: ALS, params: dict[str, Any], before: list[Trial]) -> Trial:
        """Fit and score one setting."""
        started = time.perf_counter()
        stopping = _PruningStop(self, model.iterations, before) if self.patience or self.prune else None
        init = self.last if self.warm_start and _can_start_from(self.last, model) else None
        try:
            model.fit(self.train, init=init, callback=stopping)
            if stopping:
                found = stopping.metrics
            else:
                found = evaluate(model, self.train, self.validation, self.k, self.users, model.n_threads)
        except (ValueError, ArithmeticError) as error:  # this setting failed, but the search goes on with the others
            return Trial(params, "failed", None, 0, time.perf_counter() - started, error=str(error))
        self.last = model
        if _number(found[self.metric]) is None:
            reason = f"no entry of the validation part can be scored by {self.metric}"
            return Trial(params, "failed", None, 0, time.perf_counter() - started, error=reason)
        return Trial(
            params,
            "pruned" if stopping and stopping.pruned else "done",
            _number(found[self.metric]),
            stopping.best_iteration if stopping else model.n_iter_,
            time.perf_counter() - started,
            {name: value for name, value in found.items() if _number(value) is not None},
            [] if stopping is None else [score for score in stopping.trace if score == score],
        )


class _PruningStop(EarlyStopping):
    """Early stopping that also stops a setting that is worse than half of the earlier settings at the same iteration."""

    def __init__(self, runner: _Runner, iterations: int, before: list[Trial]) -> None:
        super().__init__(runner.train, runner.validation, runner.metric, runner.patience or iterations, runner.users)
        self.prune = runner.prune
        self.before = [t.trace for t in before if t.trace]
        self.pruned = False

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


def _number(value: float) -> float | None:
    """The value as a Python float, or None for a NaN, which JSON cannot store."""
    return float(value) if value == value else None
