"""Questions about metrics: how uncertain a mean is, whether two models differ, how sampled negatives change AUC, and how
strongly a model prefers popular items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import generator, instance, one_of, share, whole_number
from ..base.threads import resolve
from ..data.csr import Csr
from ..data.ids import listed
from ..metrics.errors import pair_scores
from ..metrics.ranking import mean_of_defined
from ..model.factor_model import FactorModel
from .evaluate import Metrics, aligned

NEGATIVES = ("unseen", "catalogue", "train")
_DRAWS = 1000  # bootstrap samples of all users
# A negative is drawn from all items at most this many times, until an item is allowed. After that, it is chosen from a list
# of the allowed items.
_ROUNDS = 12


def sampled_auc(
    model: Any, train: Any, test: Any, negatives: str = "unseen", n_samples: int = 1, seed: Any = 0
) -> NDArray[np.float64]:
    """Estimate the AUC of each user from randomly drawn negatives.

    `cymbals.evaluate` gives the exact AUC. Use this to reproduce published figures that were sampled, and to see how
    far such figures are from the exact AUC. Each held-out item is compared with `n_samples` negatives. Equal scores count
    one half. The choice of the negatives decides what is estimated:

    * "unseen": items that are neither in train nor in test. The expectation is the exact AUC. The noise in a user's value
      falls with the number of comparisons; the noise in the mean also falls with the number of users.
    * "catalogue": any item that is not in test. These include items of train, which a fitted model ranks high. So the
      estimate is a little too low, and lower for users with many items in train.
    * "train": items that the user has in train. The fit has raised the scores of exactly these items, so the estimate is
      far too low, and lower for a model that fits its train part better. It measures how similar the scores of held-out
      and train items are, not how well a model recommends.

    Parameters
    ----------
    model : ALS
        A fitted model.
    train, test : Interactions or scipy sparse, shape (n_users, n_items)
        As `evaluate` takes them.
    negatives : {"unseen", "catalogue", "train"}
    n_samples : int
        Number of negatives for each held-out item.
    seed : int, Generator or RandomState

    Returns
    -------
    ndarray, shape (n_users,)
        NaN for users without held-out items, and for users without items to draw from.

    Examples
    --------
    >>> import cymbals, numpy, scipy.sparse
    >>> data = scipy.sparse.random_array((300, 200), density=0.1, rng=0).tocsr()
    >>> train, test = cymbals.split.random(data, seed=0)
    >>> model = cymbals.ALS(factors=4, random_state=0).fit(train)
    >>> exact = cymbals.evaluate(model, train, test)["auc"]
    >>> drawn = cymbals.validation.sampled_auc(model, train, test, n_samples=50)
    >>> bool(abs(numpy.nanmean(drawn) - exact) < 0.01)
    True
    """
    kind, each = one_of("negatives", negatives, NEGATIVES), whole_number("n_samples", n_samples, 1)
    rng, n, model = generator(seed, "seed"), resolve(None), instance("model", model, FactorModel).snapshot()
    seen, held_out = _parts(model, train, test, n)
    users, items = (np.repeat(side, each) for side in _drawable(kind, seen, held_out))
    drawn = _draw(kind, users, seen, held_out, rng)
    x, y = model.state_.x, model.state_.scored_items
    ahead = pair_scores(x, y, users, items) - pair_scores(x, y, users, drawn)
    won = np.bincount(users, (np.sign(ahead) + 1) / 2, seen.shape[0])
    compared = np.bincount(users, minlength=seen.shape[0])
    out: NDArray[np.float64] = np.divide(won, compared, out=np.full(won.size, np.nan), where=compared > 0)
    return out


def sampled_ranking(model: Any, train: Any, test: Any, n_negatives: int = 99, k: int = 10, seed: Any = 0) -> Metrics:
    """Rank each held-out item among randomly drawn items that are neither in train nor in test.

    Use it only to reproduce published figures: He et al. (2017) and many after them hold out the latest entry of each user
    (`split.leave_k_out` with ``latest=True``) and rank it among 99 drawn items. Such metrics say little about the top of
    the whole list, and can order models differently from the exact metrics of `cymbals.evaluate` (Krichene and Rendle
    2020).

    Parameters
    ----------
    model : ALS
        A fitted model.
    train, test : Interactions or scipy sparse, shape (n_users, n_items)
        As `evaluate` takes them.
    n_negatives : int
        Number of items that are drawn for each held-out item, with replacement.
    k : int
        Cut-off.
    seed : int, Generator or RandomState

    Returns
    -------
    Metrics
        "hit_rate@k", "ndcg@k" and "mrr". If a user has several held-out items, each is ranked alone, and the user's value
        is the mean. A drawn item with the same score counts as ranked before the held-out item.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> data = scipy.sparse.random_array((300, 200), density=0.1, rng=0).tocsr()
    >>> train, test = cymbals.split.leave_k_out(data, 1)
    >>> model = cymbals.ALS(factors=4, random_state=0).fit(train)
    >>> sorted(cymbals.validation.sampled_ranking(model, train, test))
    ['hit_rate@10', 'mrr', 'ndcg@10']
    """
    each, cut = whole_number("n_negatives", n_negatives, 1), whole_number("k", k, 1)
    if cut > each:
        raise ValueError(f"k must be at most n_negatives, {each}: every item is among the first {each + 1}; got {cut}")
    rng, n, model = generator(seed, "seed"), resolve(None), instance("model", model, FactorModel).snapshot()
    seen, held_out = _parts(model, train, test, n)
    users, items = _drawable("unseen", seen, held_out)
    x, y = model.state_.x, model.state_.scored_items
    drawn = _draw("unseen", np.repeat(users, each), seen, held_out, rng)
    theirs = pair_scores(x, y, np.repeat(users, each), drawn).reshape(users.size, each)
    rank = 1 + np.sum(theirs >= pair_scores(x, y, users, items)[:, None], axis=1)
    counts = np.bincount(users, minlength=seen.shape[0])
    values = {"mrr": 1 / rank, f"hit_rate@{cut}": rank <= cut, f"ndcg@{cut}": (rank <= cut) / np.log2(rank + 1)}
    with np.errstate(invalid="ignore"):  # users without held-out items give 0 / 0
        return Metrics({name: np.bincount(users, of, seen.shape[0]) / counts for name, of in values.items()}, {})


def _parts(model: FactorModel, train: Any, test: Any, n_threads: int) -> tuple[Csr, Csr]:
    """The train entries, and the held-out entries that count."""
    seen, held_out = aligned("train", train, model, n_threads), aligned("test", test, model, n_threads)
    known = seen.holds(held_out.row_numbers(), held_out.indices)
    return seen, held_out.where((held_out.data > 0) & ~known)


def _drawable(kind: str, seen: Csr, held_out: Csr) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users and items of the held-out entries for whose users there are negatives to draw."""
    users, items = held_out.row_numbers(), held_out.indices.astype(np.int64)
    drawable = _n_negatives(kind, seen, held_out)[users] > 0
    return users[drawable], items[drawable]


def _n_negatives(kind: str, seen: Csr, held_out: Csr) -> NDArray[np.int64]:
    """The number of items to draw from, for each user."""
    n_seen, n_held_out = seen.lengths(), held_out.lengths()
    if kind == "train":
        return n_seen
    out: NDArray[np.int64] = seen.shape[1] - n_held_out
    return out - n_seen if kind == "unseen" else out


def _draw(kind: str, users: NDArray[np.int64], seen: Csr, held_out: Csr, rng: Any) -> NDArray[np.int64]:
    """Draw one negative for each of `users`, uniformly from the user's negatives of this kind."""
    if kind == "train":
        at = seen.indptr[users] + (rng.random(users.size) * seen.lengths()[users]).astype(np.int64)
        return np.asarray(seen.indices[at], np.int64)
    refused = [held_out] + ([seen] if kind == "unseen" else [])
    out = np.empty(users.size, np.int64)
    left = np.arange(users.size)
    for _ in range(_ROUNDS):  # draw from all items, and draw again where the item is refused
        out[left] = (rng.random(left.size) * seen.shape[1]).astype(np.int64)
        left = left[np.any([part.holds(users[left], out[left]) for part in refused], axis=0)]
    for user in np.unique(users[left]).tolist():  # users who have nearly all items: choose from a list of the others
        everything = np.arange(seen.shape[1])
        free = everything[~np.any([part.holds(np.full_like(everything, user), everything) for part in refused], axis=0)]
        of_user = left[users[left] == user]
        out[of_user] = free[(rng.random(of_user.size) * free.size).astype(np.int64)]
    return out


def interval(
    metrics: Metrics, metric: str = "auc", level: float = 0.95, seed: Any = 0, n_draws: int = _DRAWS
) -> tuple[float, float]:
    """Bootstrap confidence interval of the mean of a metric over users (Efron 1979).

    Use it to report how much a metric would vary with another sample of users.

    Parameters
    ----------
    metrics : Metrics
    metric : str
        A metric that is a mean over users: not coverage, rmse or mae.
    level : float
        Confidence level, above 0 and below 1.
    seed : int, Generator or RandomState
    n_draws : int
        Number of bootstrap samples. Each has as many users as there are, drawn with replacement.

    Returns
    -------
    low, high : float
        NaN if the metric is not defined for any user.

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> data = scipy.sparse.random_array((50, 40), density=0.2, rng=0).tocsr()
    >>> train, test = cymbals.split.random(data, seed=0)
    >>> m = cymbals.evaluate(cymbals.ALS(factors=4, random_state=0).fit(train), train, test)
    >>> low, high = cymbals.validation.interval(m, "auc")
    >>> low < m["auc"] < high
    True
    """
    return _bootstrap(_of_users("metrics", metrics, metric), level, seed, n_draws)


def _of_users(name: str, metrics: Metrics, metric: str) -> NDArray[np.float64]:
    instance(name, metrics, Metrics)
    means = [m for m in metrics.per_user if m not in ("rmse", "mae")]  # these two are not means over users
    if metric not in means:
        raise ValueError(f"metric must be a mean over users; {name} has these: {', '.join(means)}; got {metric!r}")
    return metrics.per_user[metric]


def _bootstrap(values: NDArray[np.float64], level: float, seed: Any, n_draws: int) -> tuple[float, float]:
    inside = share("level", level)
    rng, n_draws = generator(seed, "seed"), whole_number("n_draws", n_draws, 1)
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan")
    means = [values[(rng.random(values.size) * values.size).astype(np.int64)].mean() for _ in range(n_draws)]
    low, high = np.quantile(means, [(1 - inside) / 2, (1 + inside) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`: the differences of a metric between two models, user by user.

    Attributes
    ----------
    metric : str
    difference : float
        Mean over users of (first model - second model).
    low, high : float
        Bootstrap interval of `difference`.
    p_value : float
        p-value of a paired t test: the probability of a mean at least this far from 0 if the models did not differ.
    p_rank : float
        p-value of Wilcoxon's signed-rank test, which uses only the ranks of the differences.
    better, equal, worse : int
        Number of users for whom the first model is better than, equal to or worse than the second.
    n_users : int
    """

    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    p_rank: float
    better: int
    equal: int
    worse: int
    n_users: int

    def __str__(self) -> str:
        p_value, p_rank = ("below 1e-99" if p < 1e-99 else f"{p:.2g}" for p in (self.p_value, self.p_rank))
        return (
            f"{self.metric}: {self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}], p {p_value} "
            f"(signed ranks {p_rank}); better for {self.better:,}, equal for {self.equal:,}, "
            f"worse for {self.worse:,} of {self.n_users:,} users"
        )


def compare(first: Metrics, second: Metrics, metric: str = "auc", level: float = 0.95, seed: Any = 0) -> Comparison:
    """Test whether two models differ in a metric on the same users.

    Use it before you claim that one model is better. The test is paired: it looks at the difference for each user, so users
    who are difficult for both models add no noise.

    Parameters
    ----------
    first, second : Metrics
        Metrics of two models on the same train and test parts.
    metric : str
        A metric that is a mean over users.
    level : float
        Confidence level of the interval.
    seed : int, Generator or RandomState

    Returns
    -------
    Comparison

    Examples
    --------
    >>> import cymbals, scipy.sparse
    >>> data = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
    >>> train, test = cymbals.split.random(data, seed=0)
    >>> models = cymbals.baselines.Popularity().fit(train), cymbals.baselines.Random().fit(train)
    >>> found = [cymbals.evaluate(model, train, test) for model in models]
    >>> cymbals.validation.compare(*found).n_users == found[0].n_users
    True
    """
    a, b = _of_users("first", first, metric), _of_users("second", second, metric)
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        raise ValueError("first and second must be of the same users: evaluate both models on the same train and test")
    import scipy.stats

    differences = (a - b)[~np.isnan(a)]
    low, high = _bootstrap(differences, level, seed, _DRAWS)
    better, worse = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    p_value = p_rank = 1.0 if differences.size else float("nan")  # unless a test is possible
    if better + worse and differences.size > 1:
        p_rank = float(scipy.stats.wilcoxon(differences, method="approx").pvalue)
        # The t test divides by the standard deviation, which is 0 if all differences are equal.
        alike = differences.std() < 1e-9 * np.abs(differences).max()
        p_value = p_rank if alike else float(scipy.stats.ttest_1samp(differences, 0.0).pvalue)
    mean = float(differences.mean()) if differences.size else float("nan")
    equal = differences.size - better - worse
    return Comparison(metric, mean, low, high, p_value, p_rank, better, equal, worse, differences.size)


def popularity_bias(
    model: Any, train: Any, n: int = 10, users: Any = None, n_threads: int | None = None
) -> dict[str, float]:
    """How strongly a model's recommendations favour popular items.

    Use it to compare the diversity of models, together with metrics of accuracy.

    Parameters
    ----------
    model : ALS
        A fitted model.
    train : Interactions or scipy sparse, shape (n_users, n_items)
        The data that the model was fitted on.
    n : int
        Number of recommendations for each user.
    users : array_like, optional
        Ids of users. By default all users with entries in train.
    n_threads : int, optional

    Returns
    -------
    dict of str to float
        * "coverage": share of the catalogue that is recommended to at least one user.
        * "gini": Gini coefficient of the number of times each item is recommended. 0: all items equally often, 1: a single
          item always.
        * "audience": mean number of users of a recommended item. "audience_train": mean number of users of the
          items that these users have in train.
        * "top_percent": share of the recommendations that are among the most popular 1 % of the items.
          "top_percent_train": the share of these users' entries in train that are for such items.
    """
    threads, model = resolve(n_threads), instance("model", model, FactorModel).snapshot()
    seen = aligned("train", train, model, threads)
    audience = np.bincount(seen.indices, minlength=seen.shape[1])
    rows = np.flatnonzero(seen.lengths()) if users is None else np.unique(model.users_.rows("users", listed(users)))
    if not rows.size:
        raise ValueError("users must name at least one user with entries in train")
    ids, scores = model.recommend(model.users_.of(rows), n, n_threads=threads)
    items = model.items_.find(ids[scores > -np.inf])
    own = seen.take(rows).indices
    popular = np.zeros(seen.shape[1], bool)
    popular[np.argsort(-audience, kind="stable")[: max(1, seen.shape[1] // 100)]] = True
    counts = np.bincount(items, minlength=seen.shape[1])
    return {
        "coverage": float(np.mean(counts > 0)),
        "gini": _gini(counts),
        "audience": mean_of_defined(audience[items]),
        "audience_train": mean_of_defined(audience[own]),
        "top_percent": mean_of_defined(popular[items]),
        "top_percent_train": mean_of_defined(popular[own]),
    }


def _gini(counts: NDArray[np.int64]) -> float:
    """The Gini coefficient: the mean absolute difference of two counts, divided by twice the mean count."""
    n, total = counts.size, counts.sum()
    if not total:
        return float("nan")
    rank = np.arange(1, n + 1)
    return float(2 * np.sum(rank * np.sort(counts)) / (n * total) - (n + 1) / n)
