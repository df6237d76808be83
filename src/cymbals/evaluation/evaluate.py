"""Evaluates how well a model ranks held-out items: exact metrics over the whole catalogue, for every user."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import instance, whole_number
from ..base.html import html_table
from ..base.optional import frame
from ..base.threads import resolve
from ..data.csr import Csr
from ..data.ids import listed
from ..data.interactions import as_interactions, in_order
from ..metrics.errors import errors
from ..metrics.ranking import item_novelty, mean_of_defined, ranking
from ..model.factor_model import FactorModel

if TYPE_CHECKING:
    import pandas as pd

MAX_CUTOFFS = 100_000  # the limit of csrc/metrics.cpp


class Metrics(Mapping[str, float]):
    """The metrics of a model, as returned by `cymbals.evaluate`: ``m["auc"]``, ``m["ndcg@10"]``, ``m["recall@20"]`` ...

    A metric is the mean over the users for whom it is defined. Coverage, rmse and mae are computed over all users together.

    Attributes
    ----------
    per_user : dict of str to ndarray, shape (n_users,)
        The value of each user. NaN for users for whom a metric is not defined, and for users who were not evaluated.
    n_users : int
        Number of users with at least one held-out item.
    """

    def __init__(self, per_user: dict[str, NDArray[np.float64]], together: dict[str, float]) -> None:
        self.per_user = per_user
        self.n_users = int(np.sum(~np.isnan(per_user["mrr"])))
        self._means = {name: mean_of_defined(values) for name, values in per_user.items()} | together

    def __getitem__(self, name: str) -> float:
        try:
            return self._means[name]
        except KeyError:
            raise KeyError(f"no metric {name!r}; the metrics are {', '.join(self._means)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._means)

    def __len__(self) -> int:
        return len(self._means)

    def to_dict(self, at: str = "@") -> dict[str, float]:
        """The metrics as a dict of plain numbers. Use it to log them.

        Parameters
        ----------
        at : str
            Text that replaces "@" in the names: ``to_dict("_at_")`` has "ndcg_at_10", a name that MLflow accepts.

        Returns
        -------
        dict of str to float
        """
        return {name.replace("@", at): value for name, value in self.items()}

    def to_frame(self) -> pd.DataFrame:
        """The metrics as a data frame with one row for each metric and the columns "metric" and "value".

        Returns
        -------
        DataFrame
        """
        return frame({"metric": list(self), "value": list(self.values())})

    def _repr_html_(self) -> str:
        title = f"Metrics of {self.n_users:,} users"
        return html_table([{"metric": name, "value": value} for name, value in self.items()], title)

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value:.4f}" for name, value in self.items())
        return f"<Metrics of {self.n_users:,} users: {figures}>"


def evaluate(
    model: Any,
    train: Any = None,
    test: Any = None,
    k: int | Sequence[int] = (5, 10, 20),
    users: Any = None,
    n_threads: int | None = None,
    *,
    rows: Any = None,
) -> Metrics:
    """Rank for each user all items that are not in train, and compare the ranking with the user's items in test.

    Use it to judge a fitted model on the test part of a split. With `rows` instead of `train`, it judges how the model
    serves people whom it does not know: their rows are folded in. The metrics of a user are:

    * auc: the share of pairs (held-out item, other item) in the right order. Pairs with equal scores count one half. The
      other items are all items that are neither in train nor in test.
    * precision@k: hits / k. A hit is a held-out item among the first k.
    * recall@k: hits / held-out items. capped_recall@k: hits / min(k, held-out items) (Liang et al. 2018).
    * hit_rate@k: 1 if there is a hit, else 0.
    * map@k, ndcg@k: average precision and discounted cumulative gain, divided by the value of a perfect ranking with
      min(k, held-out items) hits.
    * mrr: 1 / rank of the first held-out item.
    * novelty@k: the mean of -log2(share of the users who have the item) over the first k items (Zhou et al. 2010). The
      shares are those of train; with `rows`, those of the data that the model was fitted on, or of rows if it was saved
      without these data. An item that nobody has counts as if one user had it.

    coverage@k is the share of the catalogue that is in the top k of at least one user. Items with equal scores rank by row
    number. Held-out entries do not count if they are also in train or if their value is not above 0. Users without
    held-out entries do not count.

    A model that estimates values (objective "explicit") also has rmse, the root mean square error, and mae, the mean
    absolute error. They are taken over all entries of test, whatever their value, and are not means over users.

    Parameters
    ----------
    model : ALS
        A fitted model.
    train, test : Interactions or scipy sparse, shape (n_users, n_items)
        Interactions with ids are brought into the model's row order; entries of users and items that the model does not
        have are left out, with a warning. Matrices must have the model's shape and order. `test` is required.
    k : int or sequence of int
        Cut-offs, each at least 1.
    users : array_like, optional
        Ids of the users to evaluate. All by default. Not with `rows`.
    n_threads : int, optional
    rows : Interactions or scipy sparse, shape (m, n_items), optional
        Instead of `train`: what people have whom the model does not know, such as the fold part of `split.users`. `test`
        then has the rows of the same people, in the same order or with the same ids.

    Returns
    -------
    Metrics

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> data = scipy.sparse.random_array((50, 40), density=0.2, rng=0)
    >>> train, test = cymbals.split.random(data.tocsr(), seed=0)
    >>> m = cymbals.evaluate(cymbals.ALS(factors=4, random_state=0).fit(train), train, test, k=5)
    >>> 0 <= m["auc"] <= 1 and 0 <= m["ndcg@5"] <= 1
    True
    """
    n, model = resolve(n_threads), instance("model", model, FactorModel).snapshot()
    cutoffs = cutoffs_of(k)
    if (train is None) == (rows is None) or test is None:
        raise TypeError("evaluate takes test, and exactly one of train and rows")
    if rows is not None:
        if users is not None:
            raise TypeError("users names users of the model, but rows are people whom it does not know: leave users out")
        return _of_strangers(model, rows, test, cutoffs, n)
    x, y = model.state_.x, model.state_.scored_items
    seen, held_out = (aligned(name, part, model, n) for name, part in (("train", train), ("test", test)))
    novelty, chosen = item_novelty(seen), None
    if users is not None:
        chosen = np.unique(model.users_.rows("users", listed(users)))
        x, seen, held_out = np.ascontiguousarray(x[chosen]), seen.take(chosen, n), held_out.take(chosen, n)
    _warn_of_fitted(model.state_.seen, seen, held_out, chosen)
    per_user, together = _metrics(model, x, y, seen, held_out, novelty, cutoffs, n)
    if chosen is not None:
        per_user = {name: _scattered(values, chosen, model.state_.x.shape[0]) for name, values in per_user.items()}
    return Metrics(per_user, together)


def _of_strangers(model: FactorModel, rows: Any, test: Any, cutoffs: NDArray[np.int64], n_threads: int) -> Metrics:
    """The metrics of people whom the model does not know, after their rows were folded in."""
    people = as_interactions("rows", rows, n_threads)
    others = as_interactions("test", test, n_threads)
    if others.shape[0] != people.shape[0]:
        raise ValueError(
            f"rows and test must have the same people, but rows has {people.shape[0]} and test {others.shape[0]}"
        )
    given = in_order("rows", rows, people.users, model.items_, n_threads)
    held_out = model.entries(in_order("test", test, people.users, model.items_, n_threads))
    x, y, seen = model.folded_in("rows", given, n_threads), model.state_.scored_items, model.entries(given)
    novelty = item_novelty(seen if model.state_.seen is None else model.state_.seen)
    return Metrics(*_metrics(model, x, y, seen, held_out, novelty, cutoffs, n_threads))


def _metrics(
    model: FactorModel,
    x: NDArray[Any],
    y: NDArray[Any],
    seen: Csr,
    held_out: Csr,
    novelty: NDArray[np.float64],
    cutoffs: NDArray[np.int64],
    n_threads: int,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    per_user, together = ranking(x, y, seen, held_out, cutoffs, n_threads, novelty)
    if model.predicts_values:
        of_users, of_all = errors(x, y, held_out)
        return per_user | of_users, together | of_all
    return per_user, together


def _warn_of_fitted(fitted: Csr | None, train: Csr, test: Csr, rows: NDArray[np.int64] | None) -> None:
    """Warn if the model was fitted on more than 1 % of the held-out entries that count: its metrics are then too good."""
    if fitted is None or fitted is train:  # entries that are in train are not counted below: nothing to warn about
        return
    warn_of_fitted(*fitted_entries(fitted, train, test, rows), stacklevel=4)


def fitted_entries(fitted: Csr, train: Csr, test: Csr, rows: NDArray[np.int64] | None) -> tuple[int, int]:
    """How many of the held-out entries that count are in `fitted`, and how many there are: (0, 0) if none is.

    `rows` are the rows of `fitted` that the rows of `train` and `test` correspond to.
    """
    users, items = test.row_numbers(), test.indices
    known = fitted.holds(users if rows is None else rows[users], items)
    if not known.any():  # the usual case, which needs no second search
        return 0, 0
    counts = (test.data > 0) & ~train.holds(users, items)
    return int(np.count_nonzero(known & counts)), int(np.count_nonzero(counts))


def warn_of_fitted(n_known: int, n_counts: int, stacklevel: int) -> None:
    """Warn if a model was fitted on more than 1 % of the held-out entries."""
    if n_known > 0.01 * n_counts:
        warnings.warn(
            f"the model was fitted on {n_known:,} of the {n_counts:,} held-out entries, so these metrics are too good: "
            "fit it on the train part alone",
            stacklevel=stacklevel,
        )


def _scattered(values: NDArray[np.float64], rows: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """An array of `n` with `values` in the given rows, and NaN in all others."""
    out = np.full(n, np.nan)
    out[rows] = values
    return out


def cutoffs_of(k: Any) -> NDArray[np.int64]:
    """The checked cut-offs of `evaluate`."""
    several = isinstance(k, Iterable) and not isinstance(k, (str, bytes)) and getattr(k, "ndim", 1) > 0
    values = list(itertools.islice(k, MAX_CUTOFFS + 1)) if several else [k]
    if not values:
        raise ValueError("k must name at least one cut-off, got none")
    if len(values) > MAX_CUTOFFS:
        raise ValueError(f"k must name at most {MAX_CUTOFFS:,} cut-offs, got more; evaluate them in several calls")
    return np.array([whole_number("k", v, 1) for v in values], np.int64)


def aligned(name: str, data: Any, model: Any, n_threads: int) -> Csr:
    """The entries of `data` that count, in the model's row order."""
    entries: Csr = model.entries(in_order(name, data, model.users_, model.items_, n_threads))
    return entries
