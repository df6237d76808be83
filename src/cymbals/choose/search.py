"""Searches for the best setting of `ALS`: fits each on one part of the train data, and scores it on the other part."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..base.checks import boolean, shown, whole_number
from ..base.progress import progress_bar
from ..base.threads import resolve
from ..data.interactions import as_interactions
from ..evaluation.early_stopping import LOWER_IS_BETTER, cutoffs
from ..model.als import ALS
from ..solve.rule import AUTO
from . import spaces
from .journal import Journal, check_storable
from .result import SearchResult, best_of
from .runner import MOST_USERS, Cut, Runner


def search(
    train: Any,
    grid: Any = None,
    random: Any = None,
    *,
    n: int = 20,
    metric: str = "ndcg@10",
    validation: float | str | Callable[[Any], Any] = 0.1,
    refit: bool = True,
    seed: int = 0,
    journal: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    patience: int | None = None,
    prune: bool = False,
    warm_start: bool = False,
    n_users: int | None = MOST_USERS,
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
    random : dict of str to list or scipy distribution, list of such dicts, or "auto", optional
        Draw `n` settings, like scikit-learn's ParameterSampler. "auto", which is the default without `grid`, draws around
        the numbers that `ALS.auto` chooses from the data: factors from 32, 64, 128 and 256, unobserved_weight within a
        factor of 8, regularization within a factor of 4. With objective "explicit" it draws factors from 8, 16, 32 and 64,
        and regularization from 0.001 to 100. Arguments in `als` are not drawn.
    n : int
        Number of settings to draw.
    metric : str
        The metric by which the best setting is chosen: "auc", "ndcg@10", "recall@20" ... With objective "explicit" also
        "rmse" or "mae"; for these two, lower is better.
    validation : float, "users" or callable
        The share of the entries to hold out at random for scoring. "users" holds out a tenth of the users, at most 4,000:
        four fifths of the entries of each are folded in, and the rest is for scoring. Or a function that takes Interactions
        and returns (train part, validation part), such as ``lambda data: cymbals.split.by_time(data, 0.1)``, or (train
        part, fold, validation part), as `split.users` does.
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
    n_users : int or None
        Score at most this many users, drawn once. None: all. People who are folded in are all scored.
    progress : bool
        Show a progress bar on stderr.
    **als
        Arguments of `ALS` that are the same for all settings. Arguments that are neither here nor searched are those of
        `ALS.auto`, or those of `ALS` with objective "explicit".

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
    >>> len(found.table), sorted(found.best_trial_.params)
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
        random = AUTO
    if backend and (grid is not None or not isinstance(random, (str, Mapping))):
        raise ValueError("backend='optuna' takes one dict as random, and no grid")
    _check_names(spaces.parameters("grid", grid) | spaces.parameters("random", random), als)
    known = spaces.settings(grid, None if backend or random == AUTO else random, n, seed)
    _check_settings([spaces.with_defaults(fixed | params) for params in known or [{}]], metric)
    # The number of threads does not change a result, so a search may be resumed with another one.
    shared = {name: value for name, value in spaces.with_defaults(fixed).items() if name != "n_threads"}
    if journal is not None:
        check_storable(shared, *known, *([random] if isinstance(random, Mapping) and backend else []))
    n_users = None if n_users is None else whole_number("n_users", n_users, 1)

    data = as_interactions("train", train, resolve(fixed.get("n_threads")))
    if random == AUTO:
        random = spaces.default_space(als, data)
        if not random:  # all of its parameters are fixed: there is one setting
            grid, random = grid or {}, None
    listed = spaces.settings(grid, None if backend else random, n, seed)
    runner = Runner(Cut.of(data, validation, seed), metric, k, seed, n_users, patience, prune, warm_start)
    # The journal stores these facts about its search. It is refused if a later search differs in any of them.
    identity: dict[str, Any] = {"tune": None, "metric": metric, "seed": seed, "patience": patience, "prune": prune}
    identity |= {"warm_start": warm_start, "n_users": n_users, "space": spaces.as_text(random) if backend else None}
    identity |= {"als": shared, "data": runner.cut.checksum}
    source = spaces.Proposed(random, n, seed, metric in LOWER_IS_BETTER) if backend else spaces.Listed(listed)
    with Journal(journal, identity) as records, progress_bar(progress, n if backend else len(listed), "search") as advance:
        _run(source, runner, records, fixed, advance)
        trials = source.trials_of_this(records.trials())
        best = best_of(metric, trials)
        if scores_iterations:
            best = replace(best, params=best.params | {"iterations": best.iterations})
        params = spaces.with_defaults(fixed | best.params)
        result = SearchResult.fitted(trials, metric, best, params, data if refit else None)
        records.remove_temporary()
    return result


def _run(
    source: spaces.Listed | spaces.Proposed,
    runner: Runner,
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
                    trial = runner.run(ALS(**spaces.with_defaults(fixed | chosen)), chosen, list(records.trials().values()))
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
