"""Metrics against a slow, plain computation, with ties, empty users, and k beyond the catalogue."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import csr_of, random_matrix
from sklearn.metrics import roc_auc_score

import cymbals
from cymbals import ALS, Interactions, evaluate, split
from cymbals.data.ids import Ids
from cymbals.evaluation.baselines import Popularity, Random
from cymbals.model.factor_model import FactorModel
from cymbals.model.state import State


def slow(scores, train, test, cutoffs):
    """Per-user figures and coverage, one user at a time."""
    n_users, n_items = scores.shape
    names = ["auc", "mrr"] + [f"{m}@{k}" for k in cutoffs for m in ("precision", "recall", "map", "ndcg")]
    out = {name: np.full(n_users, np.nan) for name in names}
    shown = {k: set() for k in cutoffs}
    for u in range(n_users):
        candidates = [i for i in range(n_items) if train[u, i] == 0]
        positives = {i for i in candidates if test[u, i] > 0}
        if not positives:
            continue
        ranked = sorted(candidates, key=lambda i: (-scores[u, i], i))
        labels = [i in positives for i in candidates]
        if not all(labels):
            out["auc"][u] = roc_auc_score(labels, [scores[u, i] for i in candidates])
        hits = [i in positives for i in ranked]
        out["mrr"][u] = 1 / (hits.index(True) + 1)
        for k in cutoffs:
            shown[k] |= set(ranked[:k])
            top, possible = hits[:k], min(k, len(positives))
            out[f"precision@{k}"][u] = sum(top) / k
            out[f"recall@{k}"][u] = sum(top) / len(positives)
            out[f"map@{k}"][u] = sum(sum(top[: i + 1]) / (i + 1) for i in range(len(top)) if top[i]) / possible
            gain = sum(1 / np.log2(i + 2) for i in range(len(top)) if top[i])
            out[f"ndcg@{k}"][u] = gain / sum(1 / np.log2(i + 2) for i in range(possible))
    return out, {k: len(s) / n_items for k, s in shown.items()}


def model_of(x, y):
    users, items = (Ids(what, side.shape[0]) for what, side in (("user", x), ("item", y)))
    model = FactorModel()
    model._state = State(x, y, users, items, None, None)
    return model


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_the_slow_computation(seed, dtype):
    """Small whole factors: scores are exact and often equal."""
    rng = np.random.default_rng(seed)
    n_users, n_items, rank = int(rng.integers(1, 40)), int(rng.integers(1, 80)), int(rng.integers(1, 12))
    x, y = (rng.integers(-2, 3, (n, rank)).astype(dtype) for n in (n_users, n_items))
    train, test = (random_matrix((n_users, n_items), d, seed + s) for d, s in ((0.3, 0), (0.15, 100)))
    cutoffs = (1, 3, 10, 200)
    got = evaluate(model_of(x, y), train, test, k=cutoffs, n_threads=int(rng.integers(1, 4)))
    want, coverage = slow((x @ y.T).astype(float), train.toarray(), test.toarray(), cutoffs)
    for name, values in want.items():
        assert np.allclose(got.per_user[name], values, rtol=0, atol=1e-12, equal_nan=True), name
        defined = values[~np.isnan(values)]
        assert got[name] == pytest.approx(defined.mean(), abs=1e-12) if defined.size else np.isnan(got[name])
    for k, share in coverage.items():
        assert got[f"coverage@{k}"] == pytest.approx(share)


def test_some_users_and_the_mapping():
    data = random_matrix((50, 40), 0.3)
    train, test = split.random(data, 0.2, 0)
    model = ALS(factors=5, random_state=0).fit(train)
    whole, some = evaluate(model, train, test), evaluate(model, train, test, users=[7, 3, 7])
    assert np.flatnonzero(~np.isnan(some.per_user["mrr"])).tolist() == [3, 7]
    assert some.per_user["auc"][7] == whole.per_user["auc"][7]
    assert dict(whole)["ndcg@10"] == whole["ndcg@10"]
    assert len(whole) == 2 + 5 * 3
    assert "recall@20" in whole
    with pytest.raises(KeyError, match="the metrics are auc"):
        whole["recall@7"]
    one_thread = evaluate(model, train, test, n_threads=1)
    assert all(np.array_equal(whole.per_user[m], one_thread.per_user[m], equal_nan=True) for m in whole.per_user)


def test_same_order_as_recommend():
    data = random_matrix((50, 40), 0.3)
    train, test = split.random(data, 0.2, 0)
    model = ALS(factors=5, random_state=0).fit(train)
    ids, _ = model.recommend(np.arange(50), 10)
    hits = np.array([np.isin(ids[u], test[[u]].indices).sum() for u in range(50)])
    m = evaluate(model, train, test, k=10)
    assert np.nan_to_num(m.per_user["precision@10"] * 10).round().astype(int).tolist() == hits.tolist()


def test_stored_zeros_are_no_entries():
    """A 0 in train is nothing seen, one in test nothing held out; with "explicit" a rating of 0 was seen."""
    rng = np.random.default_rng(0)
    dense = (rng.random((30, 25)) < 0.3).astype(np.float32)
    train, test = cymbals.split.random(sp.csr_array(dense), 0.3, 0)
    rows, cols = np.nonzero(dense == 0)
    chosen = rng.permutation(rows.size)[:60]

    def with_zeros(part):
        coo = part.tocoo()
        coords = [np.concatenate([a, b[chosen]]) for a, b in zip(coo.coords, (rows, cols), strict=True)]
        return sp.csr_array((np.concatenate([coo.data, np.zeros(60, np.float32)]), coords), shape=part.shape)

    model = cymbals.ALS(factors=4, random_state=0).fit(train)
    want = cymbals.evaluate(model, train, test)
    assert dict(cymbals.evaluate(model, with_zeros(train), with_zeros(test))) == dict(want)
    rated = cymbals.ALS(factors=4, random_state=0, objective="explicit").fit(with_zeros(train))
    assert cymbals.evaluate(rated, with_zeros(train), test)["auc"] != cymbals.evaluate(rated, train, test)["auc"]


def test_other_ids_and_shapes_are_refused():
    a = Interactions.from_csr(random_matrix((10, 8)), user_ids=np.arange(10) + 5)
    b = Interactions.from_csr(random_matrix((10, 8)), user_ids=np.arange(10) + 6)
    model = ALS(factors=2, random_state=0).fit(a)
    with pytest.raises(ValueError, match="other user or item ids"):
        evaluate(model, a, b)
    with pytest.raises(ValueError, match="transposed"):
        evaluate(model, a, sp.csr_array((8, 10)))
    with pytest.raises(ValueError, match="model's shape"):
        evaluate(model, sp.csr_array((3, 3)), a)


def test_als_beats_popularity_on_planted_clusters():
    rng = np.random.default_rng(0)
    taste, kind = rng.integers(4, size=200), rng.integers(4, size=100)
    liked = rng.random((200, 100)) < np.where(taste[:, None] == kind, 0.4, 0.02)
    train, test = split.random(sp.csr_array(liked.astype(np.float32)), 0.2, 0)
    als = evaluate(ALS(factors=8, alpha=10.0, random_state=0).fit(train), train, test)
    popular = evaluate(Popularity().fit(train), train, test)
    assert als["auc"] > popular["auc"] + 0.2
    assert csr_of(test).nnz > 0


def test_metrics_as_frames_and_plain_names():
    matrix = random_matrix((40, 30), 0.3)
    train, test = split.random(matrix, 0.2, seed=0)
    found = evaluate(ALS(4, random_state=0).fit(train), train, test, k=5)
    assert found.to_frame()["metric"].tolist() == list(found)
    assert found.to_frame()["value"].tolist() == list(found.values())
    assert found.to_dict("_at_")["ndcg_at_5"] == found["ndcg@5"]
    assert found._repr_html_().count("<tr>") == 1 + len(found)


def test_a_model_that_was_fitted_on_the_test_part_is_told():
    matrix = random_matrix((40, 30), 0.3, values=(1, 5))
    train, test = split.random(matrix, 0.2, seed=0)
    with pytest.warns(UserWarning, match=rf"fitted on {test.nnz:,} of the {test.nnz:,} held-out entries"):
        evaluate(ALS(4, random_state=0).fit(matrix), train, test)
    with pytest.warns(UserWarning, match="held-out entries"):
        evaluate(Popularity().fit(matrix), train, test, users=[3, 1])
    evaluate(ALS(4, random_state=0).fit(train), train, test)  # warnings are errors here


def test_few_known_entries_are_no_warning():
    matrix = random_matrix((400, 30), 0.3, values=(1, 5))
    train, test = split.random(matrix, 0.2, seed=0)
    some = sp.lil_array(train)
    for user, item in zip(*(part[:3] for part in test.nonzero()), strict=True):
        some[user, item] = 1
    evaluate(ALS(4, random_state=0).fit(sp.csr_array(some)), train, test)


def test_popularity_counts_no_dislikes():
    matrix = sp.csr_array(np.array([[1, -1], [1, -1], [0, 2]], np.float32))
    model = Popularity().fit(matrix)
    assert model.popular(2)[1].tolist() == [2.0, 1.0]
    assert model.item_factors_[:, 0].tolist() == [2.0, 1.0]
    assert ALS(2, random_state=0).fit(matrix).popular(2)[1].tolist() == [2.0, 1.0]


def test_baselines_recommend_to_strangers():
    matrix = random_matrix((40, 30), 0.3)
    ids, _ = Popularity().fit(matrix).recommend(rows=matrix[:2], n=3)
    assert np.array_equal(ids, Popularity().fit(matrix).recommend([0, 1], 3)[0])
    assert Random().fit(matrix).recommend(rows=matrix[:2], n=3)[0].shape == (2, 3)
