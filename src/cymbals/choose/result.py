"""The result of `cymbals.search` and `cymbals.tune`: the settings that were tried, and the best model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.html import html_table
from ..base.optional import frame
from ..data import weighting
from ..data.interactions import Interactions
from ..evaluation.early_stopping import LOWER_IS_BETTER, is_better
from ..model.als import ALS
from .journal import Trial

if TYPE_CHECKING:
    import pandas as pd


_NOISE = 2.0  # standard errors: a difference beyond is more than chance, of a single comparison


class Difference(NamedTuple):
    """How much better a trial scores than another one, over the same users."""

    mean: float  # above 0 if it is better, whether higher or lower scores are better
    error: float  # the standard error of the mean


def difference(metric: str, trial: Trial, other: Trial) -> Difference | None:
    """Compare two trials user by user. None if they do not have the scores of the same users.

    The standard error is a rough measure for rmse and mae, which are means over entries and not over users.
    """
    a, b = np.array(trial.per_user), np.array(other.per_user)
    if a.size < 2 or a.shape != b.shape:
        return None
    differences = b - a if metric in LOWER_IS_BETTER else a - b
    return Difference(float(differences.mean()), float(differences.std(ddof=1) / differences.size**0.5))


def is_ahead(metric: str, trial: Trial, other: Trial) -> bool:
    """Whether a trial is better than another one by more than twice the noise. Both must have scores."""
    found = difference(metric, trial, other)
    if found is not None:
        return found.mean > _NOISE * found.error
    assert trial.score is not None
    assert other.score is not None
    return is_better(metric, trial.score, other.score)


def is_behind(metric: str, trial: Trial, other: Trial) -> bool:
    """Whether a trial is worse than another one by more than twice the noise. Both must have scores."""
    return is_ahead(metric, other, trial)


def best_of(metric: str, trials: list[Trial]) -> Trial:
    """The trial with the best score. Raises ValueError if there is none with a score."""
    best = None
    for trial in trials:
        if trial.status != "done" or trial.score is None:
            continue
        if best is None or best.score is None or is_better(metric, trial.score, best.score):
            best = trial
    if best is None:
        errors = {t.error for t in trials if t.error}
        raise ValueError(f"none of the {len(trials)} settings could be fitted and scored: {'; '.join(sorted(errors)[:3])}")
    return best


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The result of `cymbals.search` or `cymbals.tune`: all settings with their scores, and the best model.

    Attributes
    ----------
    trials : list of Trial
        In the order in which they ended; of `tune`, in the order in which they were planned.
    metric : str
        The metric by which the best setting was chosen.
    best_trial_ : Trial
        The trial of the best setting. Its `params` are the arguments that were searched; of `search` with `patience` or
        `prune`, also the best number of iterations.
    best_params_ : dict
        All arguments of `best_model_`: ``ALS(**best_params_)`` fits the same model to the same data. If there is a
        `best_weighting_`, the data must be weighted first: ``cymbals.weighting.bm25(train)``.
    best_score_ : float
    best_weighting_ : {None, "bm25", "tfidf"}
        The function of `cymbals.weighting` that `tune` applied to the data of `best_model_` before the fit.
    best_model_ : ALS or None
        The model fitted with `best_params_` on all of the train data. None without `refit`.
    """

    trials: list[Trial]
    metric: str
    best_trial_: Trial
    best_params_: dict[str, Any]
    best_model_: ALS | None = field(repr=False)

    @classmethod
    def fitted(
        cls, trials: list[Trial], metric: str, best: Trial, params: dict[str, Any], data: Interactions | None
    ) -> SearchResult:
        """The result with a model that is fitted to `data`; without a model if that is None."""
        weighted = best.params.get("weighting")
        params = {name: value for name, value in params.items() if name != "weighting"}
        model = None
        if data is not None:
            model = ALS(**params).fit(getattr(weighting, weighted)(data) if weighted else data)
        return cls(trials, metric, best, {name: value for name, value in params.items() if name != "n_threads"}, model)

    @property
    def best_score_(self) -> float:
        """The score of the best setting on the validation part."""
        score = self.best_trial_.score
        assert score is not None
        return score

    @property
    def best_weighting_(self) -> str | None:
        """The weighting of the best setting, if it has one."""
        return self.best_trial_.params.get("weighting")

    @property
    def table(self) -> pd.DataFrame:
        """A row for each setting, the best score first: score, parameters, n_iter, seconds, status, error, other metrics.

        n_iter is the number of the best iteration if each iteration was scored, else the number of iterations done. Of
        `tune`, also "ahead", how much better the chosen setting scores than this one, and "noise", the standard error of
        that difference over users. A difference of less than twice the noise means little.
        """
        rows = [
            {"score": np.nan if t.score is None else t.score}
            | self._compared(t)
            | t.params
            | {"n_iter": t.iterations, "seconds": t.seconds, "status": t.status, "error": t.error}
            | {name: value for name, value in t.metrics.items() if name != self.metric}
            for t in self.trials
        ]
        ascending = self.metric in LOWER_IS_BETTER
        return frame(rows).sort_values("score", ascending=ascending, kind="stable", ignore_index=True)

    def _compared(self, trial: Trial) -> dict[str, float]:
        found = difference(self.metric, self.best_trial_, trial)
        return {} if found is None else {"ahead": found.mean, "noise": found.error}

    def __repr__(self) -> str:
        return f"<SearchResult: {self}>"

    def _repr_html_(self) -> str:
        best = self.table.head(10)
        names = ("score", "ahead", "noise", *self.best_trial_.params, "n_iter", "seconds", "status")
        shown = [name for name in names if name in best]
        return html_table([dict(zip(shown, row, strict=True)) for row in best[shown].itertuples(index=False)], str(self))

    def __str__(self) -> str:
        chosen = ", ".join(
            f"{n}={v:.4g}" if isinstance(v, float) else f"{n}={v!r}" for n, v in self.best_trial_.params.items()
        )
        n = len(self.trials)
        found = f"{n} setting{'s' * (n != 1)}; best {self.metric} {self.best_score_:.4f}"
        return f"{found} with {chosen}" if chosen else found
