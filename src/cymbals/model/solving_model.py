"""A model that can solve rows. It folds in new rows, explains scores, and computes loss and score."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import Index
from ..base.checks import shown, whole_number
from ..data.csr import Csr, random_mask, refuse_negative
from ..data.ids import Ids, is_one, listed, one_row
from ..data.interactions import in_order
from ..metrics.errors import errors
from ..metrics.loss import loss
from ..metrics.ranking import mean_of_defined, ranking
from ..solve.fold_in import FixedSide, solves_alone
from ..solve.objective import Objective
from .exporting_model import ExportingModel
from .naming import naming
from .queries import histories
from .side_features import of_strangers
from .state import State, user_rows


@dataclass(frozen=True)
class Explanation:
    """Why a user is recommended an item: how much each item that the user has seen contributes to the score.

    Attributes
    ----------
    total : float
        The sum over all seen items, also those not listed, and over what the user's features add. This is the score that
        the item has with the user's exact factors, which `fold_in` computes. The score of `predict` differs a little: the
        factors of a fit are not exact. In a model with biases, the global mean and the item's bias are subtracted from this
        score.
    contributions : list of (id, float)
        Seen items and their contributions, largest first.
    features : list of (id, float)
        In a model with features of users, those of the user and their contributions, largest first. What remains of the
        total is what all users with features get. If the item has no entries, but the user has some, these are the features
        of the item instead. They are another division of the same score, not added to the contributions.
    """

    total: float
    contributions: list[tuple[Any, float]]
    features: list[tuple[Any, float]] = field(default_factory=list)


class SolvingModel(ExportingModel):
    """The methods of a model that need its objective: solving rows, loss, explanations."""

    @property
    def predicts_values(self) -> bool:
        """Whether a score is an estimate of the entry's value. With objective "explicit" it is."""
        return bool(self.state_.params["objective"] == "explicit")

    def entries(self, csr: Csr) -> Csr:
        """The entries of a matrix that count as seen. Stored zeros count only with "explicit", as ratings of 0."""
        return _entries(self.state_.params["objective"], csr)

    def loss(self, data: Any, n_threads: int | None = None) -> float:
        """The value of the objective on `data`, with regularization, divided by the number of cells.

        With "explicit" it is divided by the number of entries. Use it to compare how far two fits of the same objective
        have converged; to compare recommendations, use `cymbals.evaluate`.

        Parameters
        ----------
        data : Interactions or scipy sparse, shape (n_users, n_items)
            Interactions with ids are brought into the model's row order. A matrix must have this order.
        n_threads : int, optional

        Returns
        -------
        float
        """
        state, n = self.state_, self._threads(n_threads)
        settings = state.settings
        csr = in_order("data", data, state.users, state.items, n)
        rows = transformed(entries_of("data", csr, settings.objective, n), settings.objective)
        indptr = np.concatenate(([0], np.cumsum(rows.column_counts())))
        return loss(rows, state.solved_users(), state.solved_items(), settings.objective, indptr, n, state.mean)

    def score(self, rows: Any, y: None = None) -> float:
        """How well the model ranks held-out items of new users. scikit-learn's searches maximise this score.

        A tenth of the entries is held out, the same entries in each call. The rest is folded in.

        Parameters
        ----------
        rows : scipy sparse, shape (m, n_items)
            Raw values of users that the model does not know, with items in the model's row order.
        y : None
            Ignored; scikit-learn passes it.

        Returns
        -------
        float
            Mean AUC, as defined in `evaluate`. With objective "explicit": the negative RMSE.

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
        return mean_of_defined(per_user["auc"])

    # -- rows outside a fit --------------------------------------------------------------------------------------------

    def fold_in(self, rows: Any, n_threads: int | None = None, *, features: Any = None) -> NDArray[Any]:
        """Compute factors of new users from their values, without changing the model.

        The factors are those of an exact half-step. Use `recommend(rows=...)` for recommendations to new users, and
        `update_users` to add the users to the model.

        Parameters
        ----------
        rows : scipy sparse, shape (m, n_items)
            Raw values, with items in the model's row order.
        n_threads : int, optional
        features : list or dict for each user, scipy sparse of shape (m, n_features), or Interactions, optional
            Features of these users, in the same order: a list of feature ids, or a dict of feature id to value, for each
            user. The model must be fitted with `user_features`.

        Returns
        -------
        ndarray, shape (m, f)
            Zeros for rows without entries and features. A model with biases solves a bias for each user too, and
            `recommend` uses it, but it is not returned here.
        """
        state, n = self.state_, self._threads(n_threads)
        given = self._raw_rows("rows", rows, state, n)
        known = None if features is None else of_strangers(state.user_features, "features", features, given.shape[0])[1]
        users = self._fold_in(state, given, n, known)
        return users if state.mean is None else users[:, :-2].copy()

    def _fold_in(self, state: State, rows: Csr, n_threads: int, features: Csr | None = None) -> NDArray[Any]:
        prior = None
        if features is not None:
            assert state.user_features is not None
            prior = state.user_features.prior(features, rows.lengths())
        ids = Ids("row", rows.shape[0])
        solved = self._solve(state, rows, state.item_side(n_threads), ids, n_threads, prior=prior)
        return user_rows(solved, state.mean)

    def _solved_and_ranked(
        self, state: State, row: Csr, index: Index, k: int, exclude_seen: bool, n_threads: int
    ) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
        settings = state.exact
        if state.mean is not None or not solves_alone(settings):
            return None
        with naming(Ids("row", 1)):
            row = transformed(row, settings.objective)
            return state.item_side(n_threads).ranked(row, settings, index, k, exclude_seen, n_threads)

    def _solve(
        self,
        state: State,
        rows: Csr,
        fixed: FixedSide,
        ids: Ids,
        n_threads: int,
        start: NDArray[Any] | None = None,
        prior: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Solve rows exactly; with `start`, as a half-step of the fit does, from these factors.

        With `prior`, the regularization pulls them towards the rows of `prior`, and they are solved exactly.
        """
        settings = state.settings if start is not None and prior is None else state.exact
        with naming(ids):
            return fixed.solve(transformed(rows, settings.objective), settings, n_threads, start, prior)

    def _raw_rows(self, name: str, rows: Any, state: State, n_threads: int, *, by_item: bool = False) -> Csr:
        csr = super()._raw_rows(name, rows, state, n_threads, by_item=by_item)
        return entries_of(name, csr, state.settings.objective, n_threads)

    def explain(self, user: Any = None, item: Any = None, n: int | None = 10, *, history: Any = None) -> Explanation:
        """How much each item of a user's history contributes to the score of an item: the reasons for a recommendation.

        The exact factors of a user are a sum with one term for each of their entries (Hu, Koren, Volinsky 2008, section 5).
        So the score is a sum with one part for each entry. With biases, this sum is x.y + b_u, the product of the factors
        plus the user's bias. It does not include the global mean and the item's bias, because they are the same for all
        users.

        Parameters
        ----------
        user, item : id
        n : int or None
            Number of contributions to list, largest first. None: all.
        history : list of item ids, or dict of item id to value, optional
            What somebody has whom the model does not know, instead of `user`, as in `recommend`.

        Returns
        -------
        Explanation
            `total` is the sum of the contributions of all items, listed or not, and of the user's features.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1))
        >>> why = model.explain(history=[4, 7], item=2)
        >>> sorted(item for item, _ in why.contributions)
        [4, 7]
        """
        if item is None or not is_one(item):
            raise TypeError(f"item must be one id, got {shown(item)}; explain_items takes several")
        return self.explain_items([item], n, user=user, history=history)[0]

    def explain_items(self, items: Any, n: int | None = 10, *, user: Any = None, history: Any = None) -> list[Explanation]:
        """The explanation of each of several items for one user. It is faster than a call of `explain` for each item.

        Parameters
        ----------
        items : array_like of ids
        n : int or None
            Number of contributions to list for each item, largest first. None: all.
        user : id, optional
            A user whom the model knows.
        history : list of item ids, or dict of item id to value, optional
            What somebody has whom the model does not know, instead of `user`, as in `recommend`.

        Returns
        -------
        list of Explanation
            One for each item, in the order of `items`.
        """
        if (user is None) == (history is None):
            raise TypeError("give either user or history, whose items explain the score")
        state = self.state_ if user is None else self._with_interactions()
        k, n_threads = None if n is None else whole_number("n", n, 1), self._threads(None)
        at = state.items.rows("items", listed(items))
        of_user: NDArray[np.int64] | None = None
        if user is None:
            one, given = histories("history", history, state.items)
            if not one:
                raise TypeError("history must be one history: a list of item ids, or a dict of item ids to values")
            row, who = self._raw_rows("history", given, state, n_threads), Ids("history", 1)
        else:
            assert state.seen is not None
            of_user = np.array([one_row(state.users, "user", user)])
            row, who = state.seen.take(of_user), Ids(state.users.what, 1, state.users.of(of_user))
        with naming(who):
            parts, pull = state.item_explainer(n_threads).parts(row, at, state.settings.objective)
        ids = state.items.of(row.indices.astype(np.int64)).tolist()
        orders = np.argsort(-parts, axis=1, kind="stable")[:, :k]
        totals = parts.sum(axis=1)
        featured: list[list[tuple[Any, float]]] = [[] for _ in at]
        if of_user is not None and state.user_features is not None:
            if not row.nnz:  # the factors are the prior
                pull = _beside(state.solved_items(at), state.mean, 1.0)
            prior, featured = state.user_features.explained(of_user, row.nnz, pull)
            totals = totals + prior
        if row.nnz and state.item_features is not None:
            self._explain_cold_items(featured, state, of_user, row, at, n_threads)
        return [
            Explanation(float(total), [(ids[j], float(of_item[j])) for j in order], by_features[:k])
            for total, of_item, order, by_features in zip(totals, parts, orders.tolist(), featured, strict=True)
        ]

    def _explain_cold_items(
        self,
        featured: list[list[tuple[Any, float]]],
        state: State,
        user: NDArray[np.int64] | None,
        row: Csr,
        items: NDArray[np.int64],
        n_threads: int,
    ) -> None:
        """For items without entries, put the contributions of their own features into `featured`."""
        if state.seen is None:
            return
        assert state.item_features is not None
        cold = np.flatnonzero(state.seen_by_item(n_threads).lengths()[items] == 0)
        if not cold.size:
            return
        x = self._fold_in(state, row, n_threads) if user is None else state.x[user]
        solved = x if state.mean is None else np.delete(x, -1, axis=1)
        direction = _beside(solved, state.mean, 0.0)  # totals leave out the bias of the item
        for i in cold.tolist():
            featured[i] = state.item_features.explained(items[i : i + 1], 0, direction)[1][0]


def _beside(rows: NDArray[Any], mean: float | None, last: float) -> NDArray[np.float64]:
    """Rows that are multiplied with rows of the other side: with `last` in place of their own biases."""
    out = rows.astype(np.float64)
    if mean is not None:
        out[:, -1] = last
    return out


def entries_of(name: str, csr: Csr, objective: Objective, n_threads: int) -> Csr:
    """The entries that the objective uses: without zeros, unless it is "explicit". "ials" refuses negative values."""
    if objective.kind == "ials":
        refuse_dislikes(name, csr, n_threads)
    return _entries(objective.kind, csr)


def refuse_dislikes(name: str, csr: Csr, n_threads: int) -> None:
    """Refuse negative values, which objective "ials" cannot use."""
    advice = "objective 'ials' takes no negative values: drop them, or use objective 'hu' (negative feedback) or 'explicit'"
    refuse_negative(name, csr, advice, n_threads)


def _entries(kind: str, csr: Csr) -> Csr:
    """The entries that an objective uses. Only "explicit" uses stored zeros."""
    return csr if kind == "explicit" else csr.without_zeros()


def transformed(csr: Csr, objective: Objective) -> Csr:
    """`csr` after a callable confidence was applied to its values, or `csr` itself if there is none."""
    if objective.transform is None:
        return csr
    whole = csr.whole()
    return replace(whole, data=objective.apply(whole.data))
