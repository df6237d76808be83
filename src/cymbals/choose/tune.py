"""`cymbals.tune`: checks its arguments, and fits the setting that `tuning` finds."""

from __future__ import annotations

import math
import numbers
import os
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ..base.checks import boolean, real_number, shown, whole_number
from ..base.progress import progress_bar
from ..base.threads import resolve
from ..data.interactions import as_interactions
from ..evaluation.early_stopping import LOWER_IS_BETTER, cutoffs
from ..model.als import ALS, LARGE_RANK
from .candidates import Candidates
from .journal import Journal, check_storable
from .result import SearchResult
from .runner import MOST_USERS, Cut, Runner
from .tuning import Budget, Tuning

_SECONDS = {"s": 1, "min": 60, "h": 3600}


def tune(
    train: Any,
    budget: float | str | timedelta = 6,
    metric: str = "ndcg@10",
    validation: float | str | Callable[[Any], Any] = 0.1,
    *,
    journal: str | os.PathLike[str] | None = None,
    seed: int = 0,
    refit: bool = True,
    progress: bool = False,
    **als: Any,
) -> SearchResult:
    """Find good settings of `ALS` within a budget of time, and fit the best to all train data.

    Use it after a first fit with `ALS.auto`, if a better ranking is worth some minutes. It needs no search space:

    1. It starts with the settings of `ALS.auto` and of `ALS()`.
    2. It screens settings with few factors and few iterations: other strengths of the regularization and weights of the
       cells without an entry, other confidences and weightings of counts, objective "hu". It goes on around the best ones.
    3. It fits the best of them with the target rank.
    4. It doubles the rank as long as that pays and the budget allows it. If the target rank was clearly better than the low
       one, it keeps a part of the budget for this.
    5. With what is left of the budget, it tries small changes, more iterations and a lower rank.

    All settings are fitted to one part of the data, and scored on the other for at most 4,000 users. A setting takes the
    lead only if its score is higher than that of the leader by more than twice the noise: the standard error of the
    difference, computed user by user. So the result is never worse than the settings it starts with by more than that. The
    noise does not contain how much the metric varies between validation parts and between seeds, which is 1 % or more on
    small data.

    Parameters
    ----------
    train : Interactions or scipy sparse, shape (n_users, n_items)
    budget : number, str or timedelta
        A number counts fits of `ALS.auto` with 256 factors and 15 iterations on this machine. Or a time: "90s", "10min",
        "2h", or a timedelta. The budget includes the last fit to all data; that fit is done even if the budget is too small
        for it.
    metric : str
        The metric to improve: "ndcg@10", "recall@20", "auc" ... "rmse" and "mae" imply objective "explicit".
    validation : float, "users" or callable
        What to hold out for scoring, as in `search`. A function gets Interactions. "users" holds out whole users and folds
        them in: choose it if the model will serve people whom it does not know.
    journal : path-like, optional
        File that records each trial. If tuning is interrupted and run again with the same file, it continues where it
        stopped. It also continues with another budget. If it is a folder, tuning makes its own file in it and removes the
        file when it is done.
    seed : int
        Seed of the split, of the users who are scored, and of each fit.
    refit : bool
        Fit the best setting on all of `train`.
    progress : bool
        Show on stderr how much of the budget is spent.
    **als
        Arguments of `ALS` that are the same in all settings, such as ``factors=128`` or ``objective="hu"``. `random_state`
        must be a whole number; by default it is `seed`.

    Returns
    -------
    SearchResult
        `table` has for each setting how far it is behind the chosen one, and the noise of that difference. If
        `best_weighting_` is not None, `best_model_` was fitted to weighted values. Give it the rows of new people, and
        events, with such values too.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, the journal belongs to another search, or no setting could be fitted.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> train = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
    >>> found = cymbals.tune(train, budget="2s")
    >>> model, params = found.best_model_, found.best_params_
    >>> found.table[["score", "ahead", "noise"]].shape[1]
    3
    """
    for name, flag in (("refit", refit), ("progress", progress)):
        boolean(name, flag)
    if journal is not None and not isinstance(journal, (str, os.PathLike)):
        raise TypeError(f"journal must be a path, got {shown(journal)}")
    budgeted = _parsed(budget)
    started, seed, k = time.perf_counter(), whole_number("seed", seed, 0), cutoffs(metric)
    if metric in LOWER_IS_BETTER:
        als = {"objective": "explicit"} | als
        if als["objective"] != "explicit":
            raise ValueError(f"metric {metric!r} needs objective 'explicit', got objective {als['objective']!r}")
    ALS().set_params(**als).check_params()
    whole_number("random_state", als.get("random_state", seed), 0)  # another kind would not start each fit alike
    if journal is not None:
        check_storable(als)

    data = as_interactions("train", train, resolve(als.get("n_threads")))
    if als.get("factors", 0) > max(LARGE_RANK, *data.shape):  # a single trial would cost minutes
        raise ValueError(f"factors={als['factors']} is more than a matrix of {data.shape[0]} x {data.shape[1]} can use")
    if "objective" not in als and (data.csr.data < 0).any():
        als = {"objective": "hu"} | als  # "ials" takes no negative values
    fixed = {"random_state": seed} | als
    runner = Runner(Cut.of(data, validation, seed), metric, k, seed, MOST_USERS, keep_users=True)
    shared = {name: value for name, value in fixed.items() if name != "n_threads"}
    identity = {"tune": 1, "metric": metric, "seed": seed, "als": shared, "data": runner.cut.checksum}
    share = runner.cut.train.nnz / max(1, data.nnz) if refit else float("inf")
    with Journal(journal, identity) as records, progress_bar(progress, 100, "tune") as advance:
        spendable = Budget(*budgeted, time.perf_counter() - started, share, advance)
        tuning = Tuning(runner, records, Candidates.of(runner, fixed), spendable)
        best = tuning.run()
        trials = list(tuning.tried.values())
        result = SearchResult.fitted(trials, metric, best, fixed | best.params, data if refit else None)
        records.remove_temporary()
    return result


def _parsed(budget: Any) -> tuple[float | None, float | None]:
    """A budget as a number of fits or as seconds; the other one is None."""
    wanted = "budget must be a number of fits, or a time like '90s', '10min', '2h' or a timedelta, above 0"
    seconds: float | None = None
    if isinstance(budget, timedelta):
        seconds = budget.total_seconds()
    elif isinstance(budget, str):
        found = re.fullmatch(r"(\d+|\d*\.\d+) ?(s|min|h)", budget)
        seconds = float(found[1]) * _SECONDS[found[2]] if found else math.nan
    elif not isinstance(budget, numbers.Real):
        raise TypeError(f"{wanted}; got {shown(budget)}")
    if seconds is None:
        return real_number("budget", budget, open_end=True), None
    if not 0 < seconds < math.inf:
        raise ValueError(f"{wanted}; got {shown(budget)}")
    return None, seconds
