"""Choosing a model: every setting fitted on one part of the train data, scored on the other, the best fitted on all."""

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

# The median rule (Golovin et al. 2017) needs some settings to compare with, and an iteration or two to tell them apart.
_SETTINGS_BEFORE_PRUNING, _ITERATIONS_BEFORE_PRUNING = 4, 2


@dataclass(frozen=True, repr=False)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    trials : list of Trial
        In the order in which they ended.
    metric : str
    best_params_ : dict
        Arguments of `ALS` that scored best: the ones searched and, with `patience` or `prune`, the number of iterations.
    best_score_ : float
    best_model_ : ALS or None
        Fitted with them on all of the train data; None without `refit`.
    """

    trials: list[Trial]
    metric: str
    best_params_: dict[str, Any]
    best_score_: float
    best_model_: ALS | None = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each setting, the best first: score, parameters, n_iter, seconds, status, error, other metrics.

        n_iter are the iterations done or, where each was scored, the best one.
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
        chosen = ", ".join(f"{name}={value!r}" for name, value in self.best_params_.items())
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
    """Try settings of `ALS` on a validation part of the train data, and fit the best on all of them.

    The data are split and turned round once. Give the test part to `evaluate` afterwards, never to this.

    Parameters
    ----------
    train : Interactions or scipy sparse, shape (n_users, n_items)
    grid : dict of str to list, or list of such, optional
        All combinations are tried, as by scikit-learn's ParameterGrid.
    random : dict of str to list or scipy distribution, or list of such, optional
        `n` settings are drawn, as by scikit-learn's ParameterSampler. With neither, from the laboratory's space: factors
        10 to 50, regularization 0.001 to 100, alpha 0.1 to 100, less what `als` fixes.
    n : int
        Settings drawn.
    metric : str
        What decides: "auc", "ndcg@10", "recall@20" ...; "rmse" and "mae" of objective "explicit", of which less is better.
    validation : float or callable
        Share of the entries that is held out at random, or a function from the data to (train part, validation part),
        such as ``lambda data: cymbals.split.by_time(data, 0.1)``.
    refit : bool
        Fit the best setting on all of `train`.
    seed : int
        Of the split, the draws and, where `als` has no random_state, each fit.
    journal : path-like, optional
        File in which each finished setting is noted. A search that is run again with it goes on where it stopped, and
        several processes or threads that are given the same file share the settings among them. In a folder, a file of
        this search's own, which is removed when the search is done.
    backend : {None, "optuna"}
        "optuna" proposes each of the `n` settings of `random` in the light of those before.
    patience : int, optional
        Score after each iteration and stop after so many without a better one; the best counts. Plain alternating least
        squares is used then, unless `als` says otherwise, so that fitting again for as many iterations gives the same.
    prune : bool
        Give a setting up once it is below the median of the others at the same iteration; scores after each iteration as
        `patience` does, which by default waits to the end then.
    warm_start : bool
        Start from the factors of the setting before where it has the same factors, dtype, objective and biases. Fewer
        iterations are needed then, but scores depend on the order, and `refit` (which starts anew) may not reach them.
    n_users : int, optional
        Score that many users, drawn once, instead of all.
    progress : bool
        Show a progress bar on stderr.
    **als
        Arguments of `ALS` that are the same for all settings.

    Returns
    -------
    SearchResult
        `table`, `best_params_`, `best_score_`, `best_model_`.

    Raises
    ------
    ValueError, TypeError
        A parameter that `ALS` does not have or take, a journal of another search, no setting that could be fitted.

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
    seed, n, k, watched = whole_number("seed", seed, 0), whole_number("n", n, 1), cutoffs(metric), prune or bool(patience)
    fixed = {"random_state": seed} | ({"relaxation": 1.0} if watched else {}) | als
    if grid is None and random is None:
        random = spaces.usual(als) or None
        grid = {} if random is None else None  # a single setting: nothing is left to choose
    if backend and (grid is not None or not isinstance(random, Mapping)):
        raise ValueError("backend='optuna' takes one dict as random, and no grid")
    _check_names(spaces.checked("grid", grid) | spaces.checked("random", random), als)
    listed = spaces.settings(grid, None if backend else random, n, seed)
    for params in listed or [{}]:
        model = ALS(**fixed | params)
        model.check_params()
        if metric in LOWER_IS_BETTER and model.objective != "explicit":
            raise ValueError(f"metric {metric!r} goes with objective 'explicit', got objective {model.objective!r}")
    same = {name: value for name, value in fixed.items() if name != "n_threads"}  # which changes nothing
    if journal is not None:
        _check_notable(same, *listed, *([random] if backend else []))

    data = as_interactions("train", train, resolve(fixed.get("n_threads")))
    users = None if n_users is None else data.users.drawn(whole_number("n_users", n_users, 1), seed)
    parts = _parts(data, validation, seed)
    course = _Course(*parts, metric, k, patience, prune, warm_start, users)
    about = {"metric": metric, "seed": seed, "patience": patience, "prune": prune}
    about |= {"warm_start": warm_start, "n_users": n_users, "space": spaces.as_text(random) if backend else None}
    about |= {"als": same, "data": _checksum(*parts)}
    source = spaces.Proposed(random, n, seed, metric in LOWER_IS_BETTER) if backend else spaces.Listed(listed)
    with Journal(journal, about) as notes, progress_bar(progress, n if backend else len(listed), "search") as advance:
        for wait in (False, True):  # first what nobody works on, then what those who did have left
            for task in source.tasks():
                with notes.claim(task.claim, wait) as mine:
                    chosen = task.choose(notes.trials()) if mine else None
                    if chosen is not None:
                        trial = course.run(ALS(**fixed | chosen), chosen, list(notes.trials().values()))
                        notes.append(replace(trial, number=task.number))
                        advance({"iteration": len(notes.trials())})
        result = _chosen(source.among(notes.trials()), metric, fixed, data if refit else None, watched)
        notes.done()
    return result


def _check_names(searched: set[str], als: dict[str, Any]) -> None:
    ALS().set_params(**dict.fromkeys((*sorted(searched), *als)))  # raises for a name that there is not
    twice = sorted(searched & set(als))
    if twice:
        raise ValueError(f"{twice[0]} is searched and given at once; leave one of them out")


def _check_notable(*settings: Mapping[str, Any]) -> None:
    """A function or a generator has no name by which another process would know it again."""
    for params in settings:
        for name, value in params.items():
            try:
                json.dumps(list(value) if isinstance(value, (list, tuple)) else None if hasattr(value, "rvs") else value)
            except TypeError:
                raise TypeError(
                    f"journal can only note numbers and texts, not {name}={value!r}: search without one"
                ) from None


def _parts(data: Interactions, validation: Any, seed: int) -> tuple[Interactions, Interactions]:
    """What settings are fitted on, and what they are scored on."""
    if not callable(validation):
        return split.random(data, share("validation", validation), seed)
    made = validation(data)
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        raise TypeError(f"validation must return (train part, validation part), got {made!r}")
    parts = [as_interactions(f"validation's part {i}", part, resolve(None)) for i, part in enumerate(made)]
    for part in parts:
        if part.shape != data.shape:
            raise ValueError(f"validation must return parts of the data's shape {data.shape}, got {part.shape}")
    return parts[0], parts[1]


def _checksum(*parts: Interactions) -> str:
    crc = 0
    for part in parts:
        for array in (part.csr.indptr, part.csr.indices, part.csr.data):
            crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, crc)
    return f"{crc:08x}"


def _chosen(
    trials: list[Trial], metric: str, fixed: dict[str, Any], data: Interactions | None, watched: bool
) -> SearchResult:
    best = None
    for trial in trials:
        if trial.status != "done" or trial.score is None:
            continue
        if best is None or best.score is None or is_better(metric, trial.score, best.score):
            best = trial
    if best is None or best.score is None:
        errors = {t.error for t in trials if t.error}
        raise ValueError(f"none of the {len(trials)} settings could be fitted and scored: {'; '.join(sorted(errors)[:3])}")
    params = best.params | ({"iterations": best.iterations} if watched else {})
    model = None if data is None else ALS(**fixed | params).fit(data)
    return SearchResult(trials, metric, params, best.score, model)


@dataclass
class _Course:
    """The course that all settings run over."""

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
        watch = _Watch(self, model.iterations, before) if self.patience or self.prune else None
        init = self.last if self.warm_start and _akin(self.last, model) else None
        try:
            model.fit(self.train, init=init, callback=watch)
            if watch:
                found = watch.metrics
            else:
                found = evaluate(model, self.train, self.validation, self.k, self.users, model.n_threads)
        except (ValueError, ArithmeticError) as error:  # of this setting; others may do better
            return Trial(params, "failed", None, 0, time.perf_counter() - started, error=str(error))
        self.last = model
        if _number(found[self.metric]) is None:
            reason = f"no entry of the validation part can be scored by {self.metric}"
            return Trial(params, "failed", None, 0, time.perf_counter() - started, error=reason)
        return Trial(
            params,
            "pruned" if watch and watch.hopeless else "done",
            _number(found[self.metric]),
            watch.best_iteration if watch else model.n_iter_,
            time.perf_counter() - started,
            {name: value for name, value in found.items() if _number(value) is not None},
            [] if watch is None else [score for score in watch.trace if score == score],
        )


class _Watch(EarlyStopping):
    """Early stopping that gives up, too, once a setting is below the median of those before at the same iteration."""

    def __init__(self, course: _Course, iterations: int, before: list[Trial]) -> None:
        super().__init__(course.train, course.validation, course.metric, course.patience or iterations, course.users)
        self.prune = course.prune
        self.before = [t.trace for t in before if t.trace]
        self.hopeless = False

    def __call__(self, model: Any, iteration: int) -> bool:
        stop = super().__call__(model, iteration)
        if self.prune and not stop and iteration >= _ITERATIONS_BEFORE_PRUNING:
            best = min if self.metric in LOWER_IS_BETTER else max
            others = [best(trace[:iteration]) for trace in self.before]
            if len(others) >= _SETTINGS_BEFORE_PRUNING:
                self.hopeless = is_better(self.metric, statistics.median(others), self.best_score)
        return stop or self.hopeless


def _akin(last: ALS | None, model: ALS) -> bool:
    """Whether a model can start where the last one ended."""
    same = ("factors", "dtype", "objective", "biases")
    return last is not None and all(getattr(last, name) == getattr(model, name) for name in same)


def _number(value: float) -> float | None:
    return float(value) if value == value else None
