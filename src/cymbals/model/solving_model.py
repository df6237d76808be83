"""A model whose rows can be solved: it folds new rows in, solves changed rows again, explains, says how well it fits."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import boolean, one_of, whole_number
from ..data.csr import Csr, random_mask, refuse_negative
from ..data.ids import Ids, one_row
from ..data.interactions import as_interactions
from ..metrics.errors import errors
from ..metrics.loss import loss
from ..metrics.ranking import mean_over_users, ranking
from ..solve.fold_in import FixedSide
from ..solve.half_step import LARGE, NEVER, Settings
from ..solve.objective import Objective
from . import updates
from .factor_model import FactorModel
from .naming import naming
from .state import State, item_rows, user_rows

_OF_OBJECTIVE = tuple(inspect.signature(Objective.checked).parameters)


@dataclass(frozen=True)
class Explanation:
    """Why a user gets an item: the parts of the score that each item seen contributes.

    Attributes
    ----------
    total : float
        The sum over all items seen, listed or not: the score, which in a model with biases is less the mean and the
        item's own bias here.
    contributions : list of (id, float)
        Largest first.
    """

    total: float
    contributions: list[tuple[Any, float]]


class SolvingModel(FactorModel):
    """What can be asked of a model beside its scores, once its objective is known."""

    @property
    def predicts_values(self) -> bool:
        """Whether scores estimate the values themselves: with "explicit" they do."""
        return bool(self.state_.params["objective"] == "explicit")

    def entries(self, csr: Csr) -> Csr:
        """What of a matrix says that a user has had an item: in "explicit" a rating of 0 does, too."""
        return _taken(self.state_.params["objective"], csr)

    def loss(self, data: Any, n_threads: int | None = None) -> float:
        """The objective on `data`, regularization included, over the number of cells (explicit: of entries).

        Parameters
        ----------
        data : Interactions or scipy sparse, shape (n_users, n_items)
            In the model's row order.
        n_threads : int, optional

        Returns
        -------
        float
        """
        state, n = self.state_, self._threads(n_threads)
        settings = settings_of(state.params)
        csr = as_interactions("data", data, n).csr
        if csr.shape != (state.x.shape[0], state.y.shape[0]):
            raise ValueError(f"data must have the model's shape {(state.x.shape[0], state.y.shape[0])}, got {csr.shape}")
        rows = transformed(entries_of("data", csr, settings.objective, n), settings.objective)
        indptr = np.concatenate(([0], np.cumsum(np.bincount(rows.indices, minlength=csr.shape[1]))))
        return loss(rows, state.solved_users(), state.solved_items(), settings.objective, indptr, n, state.mean)

    def score(self, rows: Any, y: None = None) -> float:
        """How well held-out items of users that the model has not seen are ranked: what scikit-learn's searches maximise.

        A tenth of the entries, the same ones each time, is held out, the rest folded in.

        Parameters
        ----------
        rows : scipy sparse, shape (m, n_items)
            Raw values of users, items in the model's row order.
        y : None
            Ignored; scikit-learn passes it.

        Returns
        -------
        float
            Mean AUC, as `evaluate` has it; with objective "explicit" the RMSE, negative.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> from sklearn.model_selection import GridSearchCV
        >>> plays = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
        >>> grid = GridSearchCV(cymbals.ALS(random_state=0), {"factors": [2, 4], "alpha": [1.0, 40.0]}, cv=3).fit(plays)
        >>> sorted(grid.best_params_)
        ['alpha', 'factors']
        """
        state, n = self.state_, self._threads(None)
        given = self._raw_rows("rows", rows, state, n)
        held_out = random_mask(given.nnz, 0.1, np.random.default_rng(0))
        rest, test = given.where(~held_out), given.where(held_out)
        users, items = self._fold_in(state, rest, n), state.scored_items
        if self.predicts_values:
            return -errors(users, items, test)[1]["rmse"]
        per_user, _ = ranking(users, items, rest, test, np.array([1]), n)
        return mean_over_users(per_user["auc"])

    # -- rows outside a fit --------------------------------------------------------------------------------------------

    def fold_in(self, rows: Any, n_threads: int | None = None) -> NDArray[Any]:
        """Factors of users that the model has not seen: what a half-step of a fit would give them, exactly solved.

        Parameters
        ----------
        rows : scipy sparse, shape (m, n_items)
            Raw values, items in the model's row order.
        n_threads : int, optional

        Returns
        -------
        ndarray, shape (m, f)
            Zeros for empty rows. Without the bias that a model with biases solves with them, and recommends `rows` by.
        """
        state, n = self.state_, self._threads(n_threads)
        users = self._fold_in(state, self._raw_rows("rows", rows, state, n), n)
        return users if state.mean is None else users[:, :-2].copy()

    def _fold_in(self, state: State, rows: Csr, n_threads: int) -> NDArray[Any]:
        solved = self._solve(state, rows, state.item_side(n_threads), Ids("row", rows.shape[0]), n_threads)
        return user_rows(solved, state.mean)

    def _solve(self, state: State, rows: Csr, fixed: FixedSide, ids: Ids, n_threads: int) -> NDArray[Any]:
        settings = settings_of(state.params, solver="exact")
        with naming(ids):
            return fixed.solve(transformed(rows, settings.objective), settings, n_threads)

    def _raw_rows(self, name: str, rows: Any, state: State, n_threads: int, *, by_item: bool = False) -> Csr:
        csr = super()._raw_rows(name, rows, state, n_threads, by_item=by_item)
        return entries_of(name, csr, settings_of(state.params).objective, n_threads)

    def update_users(self, ids: Any, rows: Any, n_threads: int | None = None) -> None:
        """Replace what some users did, and solve them again; unknown ids become new users.

        Factors, seen items and ids change together or, where anything is wrong, not at all.

        Parameters
        ----------
        ids : id or array_like of ids
            Distinct. New users of a model without ids are numbered on.
        rows : scipy sparse, shape (m, n_items)
            The whole raw rows of these users, items in the model's row order.
        n_threads : int, optional
        """
        with self._writing:
            state, n = self._with_interactions(), self._threads(n_threads)
            assert state.seen is not None
            rows = self._raw_rows("rows", rows, state, n)
            users, at = updates.placed(state.users, "ids", ids, rows.shape[0])
            solved = self._solve(state, rows, state.item_side(n), Ids(users.what, at.size, users.of(at)), n)
            x = updates.with_rows(state.x, at, user_rows(solved, state.mean), users.n)
            seen = updates.with_seen(state.seen, at, rows, users.n, n)
            self.replace_state(state.changed(x=x, users=users, seen=seen))

    def update_items(self, ids: Any, rows: Any, n_threads: int | None = None) -> None:
        """Replace who used some items, and solve them again; unknown ids become new items.

        Parameters
        ----------
        ids : id or array_like of ids
            Distinct. New items of a model without ids are numbered on.
        rows : scipy sparse, shape (m, n_users)
            The whole raw rows of these items, users in the model's row order.
        n_threads : int, optional
        """
        with self._writing:
            state, n = self._with_interactions(), self._threads(n_threads)
            rows = self._raw_rows("rows", rows, state, n, by_item=True)
            items, at = updates.placed(state.items, "ids", ids, rows.shape[0])
            solved = self._solve(state, rows, state.user_side(n), Ids(items.what, at.size, items.of(at)), n)
            y = updates.with_rows(state.y, at, item_rows(solved, state.mean), items.n)
            seen = updates.with_seen(state.seen_by_item(n), at, rows, items.n, n)
            names = state.names
            if names is not None:
                names = np.concatenate([names, np.full(items.n - names.size, None, dtype=object)])
            self.replace_state(state.changed(y=y, items=items, names=names, seen=seen.transposed(n)))

    def explain(self, user: Any, item: Any, n: int | None = 10) -> Explanation:
        """How much each item of a user's history contributes to the score of an item.

        A user's factors are linear in the targets b of the user's entries (Hu, Koren, Volinsky 2008, section 5), so the
        score of their exact solution is a sum over these entries. With biases, this is the part of the score that their
        ratings explain, x.y + b_u; mean and item bias, which everyone gets, are left out.

        Parameters
        ----------
        user, item : id
        n : int or None
            Contributions listed, largest first; None for all.

        Returns
        -------
        Explanation
            `total` is the sum of all contributions, with biases the score less mean and item bias.
        """
        state = self._with_interactions()
        assert state.seen is not None
        settings, threads = settings_of(state.params), self._threads(None)
        u, i = one_row(state.users, "user", user), one_row(state.items, "item", item)
        k = None if n is None else whole_number("n", n, 1)
        row = state.seen.take(np.array([u]))
        with naming(Ids(state.users.what, 1, state.users.of(np.array([u])))):
            parts = state.item_explainer(threads).parts(row, i, settings.objective)
        order = np.argsort(-parts, kind="stable")[:k]
        ids = state.items.of(row.indices[order].astype(np.int64))
        return Explanation(float(parts.sum()), [(i, float(p)) for i, p in zip(ids.tolist(), parts[order], strict=True)])


def settings_of(params: dict[str, Any], **changes: Any) -> Settings:
    """From constructor arguments: an estimator's for a fit, those of its fit for a model."""
    settings = Settings(
        objective=Objective.checked(**{name: params[name] for name in _OF_OBJECTIVE}),
        solver=one_of("solver", params["solver"], ("auto", "cg", "exact")),
        cg_steps=whole_number("cg_steps", params["cg_steps"], 1, 10_000),
        compact=LARGE if boolean("compact", params["compact"]) else NEVER,
    )
    return replace(settings, **changes)


def entries_of(name: str, csr: Csr, objective: Objective, n_threads: int) -> Csr:
    """What the objective takes as entries: no zeros unless it is "explicit"; "ials" refuses negative values."""
    if objective.kind == "ials":
        refuse_negative(name, csr, "objective 'ials'", n_threads)
    return _taken(objective.kind, csr)


def _taken(kind: str, csr: Csr) -> Csr:
    """What an objective takes as entries: stored zeros in "explicit" alone."""
    return csr if kind == "explicit" else csr.without_zeros()


def transformed(csr: Csr, objective: Objective) -> Csr:
    """With a callable confidence applied; itself where there is none."""
    return csr if objective.transform is None else replace(csr, data=objective.apply(csr.data))
