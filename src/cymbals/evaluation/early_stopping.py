"""Stops a fit when its ranking of held-out items no longer improves, and restores the best iteration."""

from __future__ import annotations

import re
from typing import Any

from ..base.caller import warn_caller
from ..base.checks import whole_number
from ..base.strict_json import is_number, is_whole
from ..metrics.ranking import CUTOFF_METRICS
from ..model.remembering import CallbackMemory
from .evaluate import Metrics, evaluate

LOWER_IS_BETTER = ("rmse", "mae")
_WITHOUT_CUTOFF = ("auc", "mrr", *LOWER_IS_BETTER)
_WITH_CUTOFF = (*CUTOFF_METRICS, "coverage")


class EarlyStopping:
    """A callback for `ALS.fit` that scores each iteration on a validation part, and stops when scores no longer improve.

    The model then has the state of the best iteration. Use it to find the number of iterations while fitting.

    Parameters
    ----------
    train, validation : Interactions or scipy sparse, shape (n_users, n_items)
        The part that the model is fitted on, and a part that was held out of the train data. Never use the test part.
    metric : str
        A metric of `evaluate`: "auc", "ndcg@10", "recall@20" ..., "rmse" or "mae". Lower is better for "rmse" and "mae".
    patience : int
        Stop after this many iterations without a better score.
    users : array_like, optional
        Ids of the users to score. All by default.

    Attributes
    ----------
    best_iteration : int
        The iteration with the best score. After the fit, the model has the state of this iteration.
    best_score : float
    trace : list of float
        The score after each iteration.
    metrics : Metrics
        All metrics of the best iteration.

    Notes
    -----
    A model with `tol` is refused, because `tol` could end the fit before the best iteration is restored. Solver "auto"
    over-relaxes: the loss falls faster, so the best score may lie between two iterations and be reached by neither.
    ``relaxation=1`` is plain alternating least squares, with smaller steps.

    A checkpoint of the fit also has the scores and, if another iteration is the best one so far, its factors. `ALS.resume`
    gives them to the EarlyStopping that it is called with, so that the fit ends as without an interruption.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> data = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
    >>> train, validation = cymbals.split.random(data, seed=0)
    >>> stop = cymbals.EarlyStopping(train, validation, metric="ndcg@5", patience=2)
    >>> model = cymbals.ALS(factors=8, relaxation=1, iterations=30, random_state=0).fit(train, callback=stop)
    >>> model.n_iter_ == stop.best_iteration < 30
    True
    """

    best_iteration: int
    best_score: float
    metrics: Metrics

    def __init__(self, train: Any, validation: Any, metric: str = "ndcg@10", patience: int = 3, users: Any = None) -> None:
        self.train, self.validation, self.metric, self.users = train, validation, metric, users
        self.patience = whole_number("patience", patience, 1)
        self.k = cutoffs(metric)
        self.trace: list[float] = []
        self._state: Any = None

    def __call__(self, model: Any, iteration: int) -> bool:
        if model.tol is not None:
            raise ValueError(
                f"tol={model.tol} would end the fit before early stopping restores the best iteration: leave tol out"
            )
        if iteration == 1:
            self.trace = []
        elif not self.trace:
            warn_caller(
                f"this EarlyStopping has not seen the iterations before {iteration}: it chooses among the later ones only"
            )
        found = self._scored(model)
        self.trace.append(found[self.metric])
        if self.trace[-1] != self.trace[-1]:
            raise ValueError(
                f"{self.metric} of the validation part is undefined: none of its entries can be scored; "
                "hold out entries that are above 0 and not in train, of users whom `users` names"
            )
        if len(self.trace) == 1 or is_better(self.metric, self.trace[-1], self.best_score):
            self.best_iteration, self.best_score, self.metrics, self._state = iteration, self.trace[-1], found, model.state_
        if iteration - self.best_iteration < self.patience and iteration < model.state_.fit.planned:
            return False
        if self._state is not None:  # None: an earlier call restored it and returned True, but the fit did not stop
            model.replace_state(self._state)
            self._state = None  # frees the memory of its factors
        return True

    def memory_for_checkpoint(self) -> CallbackMemory | None:
        """What a checkpoint stores: the scores, and the state of the best iteration. `ALS.fit` calls this.

        Returns
        -------
        CallbackMemory or None
        """
        if self._state is None:
            return None
        names = ("metric", "trace", "best_iteration", "best_score")
        return CallbackMemory({name: getattr(self, name) for name in names}, self._state)

    def restore_memory(self, memory: CallbackMemory, model: Any) -> None:
        """Take the scores and the best state from a checkpoint. `ALS.resume` calls this.

        Parameters
        ----------
        memory : CallbackMemory
        model : ALS

        Raises
        ------
        ValueError
            The fit had another metric, or another kind of callback.
        """
        names = ("metric", "trace", "best_iteration", "best_score")
        metric, trace, iteration, score = (memory.facts.get(name, "") for name in names)
        if metric != self.metric:
            raise ValueError(f"callback: the fit was stopped by {metric!r}, not by {self.metric!r}: give the same metric")
        if not isinstance(trace, list) or not is_whole(iteration) or not all(map(is_number, [score, *trace])):
            raise ValueError("callback: the checkpoint has no scores of an EarlyStopping")
        self.trace, self.best_iteration, self.best_score = list(trace), int(iteration), float(score)
        best = model.snapshot()
        best.replace_state(memory.kept)
        self.metrics, self._state = self._scored(best), memory.kept

    def _scored(self, model: Any) -> Metrics:
        """The metrics of the model on the validation part."""
        return evaluate(model, self.train, self.validation, self.k, self.users, model.n_threads)


def cutoffs(metric: str) -> tuple[int, ...]:
    """The cut-offs 5, 10 and 20, and the cut-off in the name of the metric. Raises ValueError for an unknown metric."""
    name, at, k = metric.partition("@") if isinstance(metric, str) else ("", "", "")
    if not (name in _WITH_CUTOFF and re.fullmatch(r"[1-9]\d*", k) if at else name in _WITHOUT_CUTOFF):
        raise ValueError(
            f"metric must be {', '.join(_WITHOUT_CUTOFF)}, or one of {', '.join(f'{m}@k' for m in _WITH_CUTOFF)} with a "
            f"whole number k; got {metric!r}"
        )
    own = {whole_number(f"metric {metric!r}: k", int(k), 1)} if at else set()
    return tuple(sorted({5, 10, 20} | own))


def is_better(metric: str, score: float, than: float) -> bool:
    """Whether `score` is better than the score `than`. A NaN is worse than every number."""
    if score != score or than != than:
        return score == score
    return score < than if metric in LOWER_IS_BETTER else score > than
