"""Sampled AUC and its bias, confidence intervals, paired comparisons, popularity bias: against plain computations."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from conftest import csr_of, planted_clusters, random_matrix

from cymbals import ALS, Interactions, evaluate, split, validation
from cymbals.evaluation import evaluate as evaluation
from cymbals.evaluation.baselines import Popularity, Random


@pytest.fixture(scope="module")
def fitted():
    liked = planted_clusters(np.random.default_rng(0), (150, 80), 0.4, 0.05)
    liked[3] = False  # a user without entries
    liked[4] = True  # a user with all items
    train, test = split.random(sp.csr_array(liked.astype(np.float32)), 0.2, 0)
    return ALS(factors=6, alpha=5.0, random_state=0).fit(train), train, test


def others(kind, train, test):
    """For each user, the set of items with which a held-out item is compared."""
    n = train.shape[1]
    for u in range(train.shape[0]):
        seen, held_out = set(train[[u]].indices.tolist()), set(test[[u]].indices.tolist())
        yield {"unseen": set(range(n)) - seen - held_out, "catalogue": set(range(n)) - held_out, "train": seen}[kind]


@pytest.mark.parametrize("kind", validation.NEGATIVES)
def test_sampled_auc_estimates_the_auc_against_all_negatives_of_its_kind(fitted, kind):
    model, train, test = fitted
    scores = model.user_factors_ @ model.item_factors_.T
    want = np.full(150, np.nan)
    for u, candidates in enumerate(others(kind, train, test)):
        positives = test[[u]].indices
        if positives.size and candidates:
            ahead = scores[u, positives][:, None] - scores[u, sorted(candidates)]
            want[u] = np.mean((np.sign(ahead) + 1) / 2)
    got = validation.sampled_auc(model, train, test, kind, n_samples=400, seed=1)
    assert np.array_equal(np.isnan(got), np.isnan(want))
    assert np.nanmax(np.abs(got - want)) < 0.12
    assert abs(np.nanmean(got) - np.nanmean(want)) < 0.005


def test_auc_is_too_low_with_negatives_from_train_and_right_with_unseen_ones(fitted):
    model, train, test = fitted
    exact = evaluate(model, train, test)["auc"]
    drawn = {kind: np.nanmean(validation.sampled_auc(model, train, test, kind, 50)) for kind in validation.NEGATIVES}
    assert drawn["unseen"] == pytest.approx(exact, abs=0.01)
    assert drawn["train"] < drawn["catalogue"] < drawn["unseen"]
    assert drawn["train"] < 0.5
    one = validation.sampled_auc(model, train, test, seed=3)
    assert np.array_equal(one, validation.sampled_auc(model, train, test, seed=3), equal_nan=True)


def test_random_baseline_ranks_each_user_differently(fitted):
    _, train, test = fitted
    model = Random(seed=0).fit(train)
    assert abs(evaluate(model, train, test)["auc"] - 0.5) < 0.03
    ids, _ = model.recommend([0, 1], 10)
    assert set(ids[0].tolist()) != set(ids[1].tolist())


def test_interval_has_the_stated_coverage():
    """Of 200 samples from a known distribution, about 95 % of the intervals hold its mean."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        low, high = validation._bootstrap(rng.beta(2, 5, 120), 0.95, rng, 300)
        hits += low <= 2 / 7 <= high
    assert 180 <= hits <= 198


def test_interval_equals_scipys(fitted):
    metrics = evaluate(*fitted)
    values = metrics.per_user["auc"][~np.isnan(metrics.per_user["auc"])]
    want = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000).confidence_interval
    assert validation.interval(metrics, "auc", n_draws=20_000) == pytest.approx(tuple(want), abs=0.004)


def test_compare(fitted):
    model, train, test = fitted
    ours, popular = evaluate(model, train, test), evaluate(Popularity().fit(train), train, test)
    found = validation.compare(ours, popular, "ndcg@10")
    a, b = (m.per_user["ndcg@10"] for m in (ours, popular))
    there = ~np.isnan(a)
    assert found.difference == pytest.approx(np.mean(a[there] - b[there]))
    assert found.low < found.difference < found.high
    assert found.p_value == pytest.approx(scipy.stats.ttest_rel(a[there], b[there]).pvalue)
    assert (found.better, found.equal, found.worse) == tuple(
        np.sum(f(a[there], b[there])) for f in (np.greater, np.equal, np.less)
    )
    assert found.better + found.equal + found.worse == found.n_users == there.sum()
    assert "ndcg@10: +" in str(found)
    same = validation.compare(ours, ours)
    assert (same.difference, same.p_value, same.p_rank, same.better) == (0, 1, 1, 0)


def test_compare_if_all_users_differ_by_the_same_amount():
    per_user = {"auc": np.array([0.7, 0.9, np.nan]), "mrr": np.zeros(3)}
    better = evaluation.Metrics(per_user, {})
    worse = evaluation.Metrics(per_user | {"auc": per_user["auc"] - 0.2}, {})
    found = validation.compare(better, worse)
    assert found.difference == pytest.approx(0.2)
    assert found.p_value == found.p_rank > 0.1  # two users prove nothing


def test_negatives_of_a_user_who_has_nearly_all_items():
    dense = np.ones((2, 500), np.float32)
    dense[0, [7, 400]] = 0
    train, test = sp.csr_array(dense), sp.csr_array(([1.0], ([0], [7])), shape=(2, 500))
    model = Popularity().fit(train)
    drawn = validation._draw("unseen", np.zeros(50, np.int64), csr_of(train), csr_of(test), np.random.default_rng(0))
    assert set(drawn.tolist()) == {400}
    got = validation.sampled_auc(model, train, test, n_samples=3)
    assert got[0] == 0.5
    assert np.isnan(got[1])


def test_popularity_bias(fitted):
    model, train, _ = fitted
    for m in (model, Popularity().fit(train), Random(0).fit(train)):
        got = validation.popularity_bias(m, train, 5)
        users = np.flatnonzero(np.diff(train.indptr))
        ids = m.recommend(users, 5)[0]
        ids = ids[ids >= 0]
        counts, audience = np.bincount(ids, minlength=80), np.bincount(train.indices, minlength=80)
        distances = np.abs(counts[:, None] - counts).mean()
        assert got["coverage"] == pytest.approx(np.unique(ids).size / 80)
        assert got["gini"] == pytest.approx(distances / (2 * counts.mean()))
        assert got["audience"] == pytest.approx(audience[ids].mean())
        assert got["audience_train"] == pytest.approx(audience[train.indices].mean())
        assert got["top_percent"] == pytest.approx(np.mean(ids == np.argmax(audience)))
    popular = validation.popularity_bias(Popularity().fit(train), train, 5)
    assert popular["gini"] > validation.popularity_bias(Random(0).fit(train), train, 5)["gini"]
    some = validation.popularity_bias(model, train, 5, users=[0, 7])
    assert some["audience_train"] == pytest.approx(audience[train[[0, 7]].indices].mean())


def test_string_ids_and_missing_places():
    data = Interactions.from_arrays(["a", "a", "b"], ["x", "y", "x"])
    got = validation.popularity_bias(Popularity().fit(data), data, 3)
    assert got["coverage"] == 0.5  # b is recommended y; a has seen all items
    assert got["audience"] == 1


def test_bad_input_is_named(fitted):
    model, train, test = fitted
    metrics = evaluate(model, train, test)
    other = evaluate(model, train, random_matrix((150, 80), 0.1, seed=9))
    for call, error, words in (
        (lambda: validation.sampled_auc(model, train, test, "none"), ValueError, "negatives must be one of 'unseen'"),
        (lambda: validation.sampled_auc(model, train, test, n_samples=0), ValueError, "n_samples must be from 1"),
        (lambda: validation.sampled_auc(model, train[:5], test), ValueError, "train must have the model's shape"),
        (lambda: validation.interval(metrics, "coverage@10"), ValueError, "metric must be a mean over users"),
        (lambda: validation.interval({"auc": 1}), TypeError, "metrics must be Metrics"),
        (lambda: validation.interval(metrics, level=1.0), ValueError, "level must be below 1"),
        (lambda: validation.compare(metrics, other), ValueError, "of the same users"),
        (lambda: validation.popularity_bias(model, train, users=[]), ValueError, "at least one user"),
        (lambda: validation.popularity_bias(model, train, users=[999]), KeyError, "999"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_sampled_ranking_converges_to_the_rank_among_all_other_items():
    rng = np.random.default_rng(0)
    data = sp.csr_array((rng.random((60, 40)) < 0.3).astype(np.float32))
    train, test = split.leave_k_out(data, 1)
    model = ALS(5, random_state=0).fit(train)
    scores = model.user_factors_ @ model.item_factors_.T
    found = validation.sampled_ranking(model, train, test, n_negatives=400, k=50)
    want = np.full(60, np.nan)
    for user, item in zip(*test.nonzero(), strict=True):
        others = np.flatnonzero(data[[user]].toarray()[0] == 0)
        ahead = np.mean(scores[user, others] >= scores[user, item])
        want[user] = 1 / (1 + 400 * ahead)
    there = ~np.isnan(want)
    assert np.array_equal(np.isnan(found.per_user["mrr"]), ~there)
    ranks = 1 / found.per_user["mrr"][there] - 1
    assert np.abs(ranks - (1 / want[there] - 1)).max() < 5 * (400 * 0.25) ** 0.5
    assert found["hit_rate@50"] == np.mean(ranks + 1 <= 50)
    assert found["ndcg@50"] == pytest.approx(np.mean((ranks + 1 <= 50) / np.log2(ranks + 2)))
    constant = ALS.from_factors(np.ones((60, 1)), np.ones((40, 1)))
    assert validation.sampled_ranking(constant, train, test)["hit_rate@10"] == 0  # equal scores do not count as hits
    with pytest.raises(ValueError, match=r"k must be at most n_negatives, 5: .*; got 6"):
        validation.sampled_ranking(model, train, test, n_negatives=5, k=6)
