"""How well a model ranks held-out items: exact, over the full catalogue, for every user, in one threaded pass."""

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
from ..data.interactions import Interactions, as_interactions
from ..metrics.errors import errors
from ..metrics.ranking import mean_over_users, ranking
from ..model.factor_model import FactorModel

if TYPE_CHECKING:
    import pandas as pd

MOST_CUTOFFS = 100_000  # as csrc/metrics.cpp has it


class Metrics(Mapping[str, float]):
    """Means over the users for whom a metric is defined; ``m["auc"]``, ``m["ndcg@10"]``, ``m["recall@20"]`` ...

    Coverage, rmse and mae are figures of all users together instead.

    Attributes
    ----------
    per_user : dict of str to ndarray, shape (n_users,)
        Each user's own figure, NaN where undefined or not asked for.
    n_users : int
        Users with at least one held-out item.
    """

    def __init__(self, per_user: dict[str, NDArray[np.float64]], together: dict[str, float]) -> None:
        self.per_user = per_user
        self.n_users = int(np.sum(~np.isnan(per_user["mrr"])))
        self._means = {name: mean_over_users(values) for name, values in per_user.items()} | together

    def __getitem__(self, name: str) -> float:
        try:
            return self._means[name]
        except KeyError:
            raise KeyError(f"no metric {name!r}; there are {', '.join(self._means)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._means)

    def __len__(self) -> int:
        return len(self._means)

    def to_dict(self, at: str = "@") -> dict[str, float]:
        """Plain numbers by name.

        Parameters
        ----------
        at : str
            What stands before a cut-off: ``to_dict("_at_")`` has "ndcg_at_10", a name that MLflow takes.

        Returns
        -------
        dict of str to float
        """
        return {name.replace("@", at): value for name, value in self.items()}

    def to_frame(self) -> pd.DataFrame:
        """A data frame with a row for each metric: columns "metric" and "value".

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
    train: Any,
    test: Any,
    k: int | Sequence[int] = (5, 10, 20),
    users: Any = None,
    n_threads: int | None = None,
) -> Metrics:
    """Rank all items that a user does not have in train, and compare with what the user has in test.

    AUC is the share of (held-out, other) pairs of items in the right order, ties counting one half; the others are all
    items neither in train nor in test. precision@k = hits / k; recall@k = hits / held-out items; map@k and ndcg@k
    divide by what a perfect ranking of min(k, held-out) hits would reach; mrr is 1 / rank of the first hit;
    coverage@k is the share of the catalogue in at least one user's top k. Equal scores rank by row number.
    Held-out entries that stand in train too, or whose value is not above 0, do not count; users without any left out.

    For a model that estimates values (objective "explicit"), rmse and mae are the root mean square and the mean size of
    the errors of its scores, over all entries of test, whatever their value: pooled, not means over users.

    Parameters
    ----------
    model : ALS
        A fitted model.
    train, test : Interactions or scipy sparse, shape (n_users, n_items)
        In the model's row order; Interactions with other ids are refused.
    k : int or sequence of int
        Cut-offs, each at least 1.
    users : array_like, optional
        Ids of the users to evaluate; all by default.
    n_threads : int, optional

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
    cutoffs = _cutoffs(k)
    x, y = model.state_.x, model.state_.scored_items
    seen, held_out = (aligned(name, part, model, n) for name, part in (("train", train), ("test", test)))
    rows = None
    if users is not None:
        rows = np.unique(model.users_.rows("users", listed(users)))
        x, seen, held_out = np.ascontiguousarray(x[rows]), seen.take(rows), held_out.take(rows)
    _warn_of_fitted(model.state_.seen, seen, held_out, rows)
    per_user, together = ranking(x, y, seen, held_out, cutoffs, n)
    if model.predicts_values:
        of_users, of_all = errors(x, y, held_out)
        per_user, together = per_user | of_users, together | of_all
    if rows is not None:
        per_user = {name: _scattered(values, rows, model.state_.x.shape[0]) for name, values in per_user.items()}
    return Metrics(per_user, together)


def _warn_of_fitted(fitted: Csr | None, train: Csr, test: Csr, rows: NDArray[np.int64] | None) -> None:
    """Warns if the model was fitted on more than a hundredth of the held-out entries that count: its ranking knows them."""
    if fitted is None or fitted is train:  # entries of train do not count
        return
    users, items = test.row_numbers(), test.indices
    counts = (test.data > 0) & ~train.holds(users, items)
    users, items = users[counts], items[counts]
    known = np.count_nonzero(fitted.holds(users if rows is None else rows[users], items))
    if known > 0.01 * users.size:
        warnings.warn(
            f"the model was fitted on {known:,} of the {users.size:,} held-out entries, so these metrics are too good: "
            "fit it on the train part alone",
            stacklevel=3,
        )


def _scattered(values: NDArray[np.float64], rows: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Values of some rows among `n`, NaN in the others."""
    out = np.full(n, np.nan)
    out[rows] = values
    return out


def _cutoffs(k: Any) -> NDArray[np.int64]:
    several = isinstance(k, Iterable) and not isinstance(k, (str, bytes)) and getattr(k, "ndim", 1) > 0
    values = list(itertools.islice(k, MOST_CUTOFFS + 1)) if several else [k]
    if not values:
        raise ValueError("k must name at least one cut-off, got none")
    if len(values) > MOST_CUTOFFS:
        raise ValueError(f"k must name at most {MOST_CUTOFFS:,} cut-offs, got more; score them in several calls")
    return np.array([whole_number("k", v, 1) for v in values], np.int64)


def aligned(name: str, data: Any, model: Any, n_threads: int) -> Csr:
    """Entries of `data`, which must have the model's shape and, where it has ids, the model's."""
    shape = (model.state_.x.shape[0], model.state_.y.shape[0])
    part = as_interactions(name, data, n_threads)
    if part.shape != shape:
        flipped = " (it looks transposed: users go in rows)" if part.shape == shape[::-1] else ""
        raise ValueError(f"{name} must have the model's shape {shape}, got {part.shape}{flipped}")
    if isinstance(data, Interactions) and not (part.users.same_as(model.users_) and part.items.same_as(model.items_)):
        raise ValueError(f"{name} has other user or item ids than the model; split one data set and fit on its train part")
    entries: Csr = model.entries(part.csr)
    return entries
