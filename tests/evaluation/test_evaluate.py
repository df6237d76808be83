"""Metrics of models against a slow, plain computation: ties, empty users, cut-offs beyond the number of items."""

import numpy as np
import pytest
import scipy.sparse as sp
from bad_input import MASKED, TEN, broken_csr, check_refused, masked, poked
from conftest import SMALL, csr_of, model_of, planted_clusters, random_matrix
from reference_metrics import slow

import cymbals
from cymbals import ALS, Interactions, evaluate, split
from cymbals.evaluation.baselines import Popularity


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_metrics_equal_the_reference(seed, dtype):
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


def test_some_users_and_metrics_as_a_mapping():
    data = random_matrix((50, 40), 0.3)
    train, test = split.random(data, 0.2, 0)
    model = ALS(factors=5, random_state=0).fit(train)
    whole, some = evaluate(model, train, test), evaluate(model, train, test, users=[7, 3, 7])
    assert np.flatnonzero(~np.isnan(some.per_user["mrr"])).tolist() == [3, 7]
    assert some.per_user["auc"][7] == whole.per_user["auc"][7]
    assert dict(whole)["ndcg@10"] == whole["ndcg@10"]
    assert len(whole) == 2 + 8 * 3
    assert "recall@20" in whole
    with pytest.raises(KeyError, match="the metrics are auc"):
        whole["recall@7"]
    one_thread = evaluate(model, train, test, n_threads=1)
    assert all(np.array_equal(whole.per_user[m], one_thread.per_user[m], equal_nan=True) for m in whole.per_user)


def test_novelty_of_some_users_uses_the_items_of_all_users():
    train, test = split.random(random_matrix((50, 40), 0.3), 0.2, 0)
    model = ALS(factors=5, random_state=0).fit(train)
    whole, some = (evaluate(model, train, test, k=10, users=users) for users in (None, [3, 7]))
    assert some.per_user["novelty@10"][[3, 7]].tolist() == whole.per_user["novelty@10"][[3, 7]].tolist()


def test_novelty_of_items_that_everybody_or_nobody_has():
    train = sp.csr_array(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    test = sp.csr_array(np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32))
    found = evaluate(Popularity().fit(train), train, test, k=(1, 4)).per_user
    assert found["novelty@1"].tolist() == [1, 2, 2, 1, 0]  # of four users, two have item 1, one has item 2
    assert found["novelty@4"].tolist() == [5 / 3, 2, 2, 5 / 3, 5 / 4]


def test_same_order_as_recommend():
    data = random_matrix((50, 40), 0.3)
    train, test = split.random(data, 0.2, 0)
    model = ALS(factors=5, random_state=0).fit(train)
    ids, _ = model.recommend(np.arange(50), 10)
    hits = np.array([np.isin(ids[u], test[[u]].indices).sum() for u in range(50)])
    m = evaluate(model, train, test, k=10)
    assert np.nan_to_num(m.per_user["precision@10"] * 10).round().astype(int).tolist() == hits.tolist()


def test_held_out_zeros_do_not_count():
    """A 0 in train is not a seen item, a 0 in test not a held-out item; with "explicit", a 0 in train is a rating."""
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


def test_als_beats_popularity_on_planted_clusters():
    liked = planted_clusters(np.random.default_rng(0), (200, 100), 0.4, 0.02)
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


def test_warns_if_the_model_was_fitted_on_the_test_part():
    matrix = random_matrix((40, 30), 0.3, values=(1, 5))
    train, test = split.random(matrix, 0.2, seed=0)
    with pytest.warns(UserWarning, match=rf"fitted on {test.nnz:,} of the {test.nnz:,} held-out entries"):
        evaluate(ALS(4, random_state=0).fit(matrix), train, test)
    with pytest.warns(UserWarning, match="held-out entries"):
        evaluate(Popularity().fit(matrix), train, test, users=[3, 1])
    evaluate(ALS(4, random_state=0).fit(train), train, test)  # warnings are errors here


def test_no_warning_if_only_a_few_test_entries_were_in_the_fit():
    matrix = random_matrix((400, 30), 0.3, values=(1, 5))
    train, test = split.random(matrix, 0.2, seed=0)
    some = sp.lil_array(train)
    for user, item in zip(*(part[:3] for part in test.nonzero()), strict=True):
        some[user, item] = 1
    evaluate(ALS(4, random_state=0).fit(sp.csr_array(some)), train, test)


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


@pytest.mark.parametrize("name", ["users   "])
def test_masked_entries_are_counted_and_refused(name, small_model):
    with pytest.raises(ValueError, match=f"^{name.strip()}: {MASKED}"):
        evaluate(small_model, SMALL, SMALL, users=masked(TEN))


CASES = {
    f"evaluate k={k!r}": (lambda model, k=k: evaluate(model, SMALL, SMALL, k=k), "k must")
    for k in (0, -1, (), (5, 0), 2.5, "x", None, ("a",))
} | {
    "evaluate unfitted": (lambda model: evaluate(ALS(), SMALL, SMALL), "fit"),
    "evaluate shape": (lambda model: evaluate(model, SMALL[:5], SMALL), "shape"),
    "evaluate transposed": (lambda model: evaluate(model, SMALL, SMALL.T.tocsr()), "transposed"),
    "evaluate nan": (lambda model: evaluate(model, SMALL, broken_csr(data=poked(SMALL.data, 1, np.nan))), "nan"),
    "evaluate unknown user": (lambda model: evaluate(model, SMALL, SMALL, users=[99]), "99"),
    "evaluate threads": (lambda model: evaluate(model, SMALL, SMALL, n_threads=0), "n_threads"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, small_model):
    call, words = CASES[name]
    state = small_model._state
    check_refused(lambda: call(small_model), words)
    assert small_model._state is state


@pytest.mark.parametrize("objective", ["hu", "ials", "explicit"])
def test_people_whom_the_model_does_not_know(objective):
    data = Interactions.from_csr(random_matrix((80, 40), 0.3), user_ids=np.arange(80) + 1000, item_ids=np.arange(40) * 2)
    train, fold, test = split.users(data, 20, 0.6)
    model = ALS(factors=5, objective=objective, random_state=0).fit(train)
    got = evaluate(model, rows=fold, test=test, k=(3, 10))
    rows = fold.user_items
    x = model.fold_in(rows)
    scores, parts = (x @ model.item_factors_.T).astype(float), (rows.toarray(), test.user_items.toarray())
    want, coverage = slow(scores, *parts, (3, 10), fitted=train.user_items.toarray())
    for name, values in want.items():
        assert np.allclose(got.per_user[name], values, atol=1e-12, equal_nan=True), name
    assert got["coverage@3"] == pytest.approx(coverage[3])
    assert ("rmse" in got) == (objective == "explicit")
    ids, _ = model.recommend(rows=rows, n=3)
    held_out = [set(test.item_ids[test.csr.row(u)[0]]) for u in range(20)]
    hits = [len(held & set(found)) for held, found in zip(held_out, ids, strict=True)]
    assert np.allclose(got.per_user["precision@3"] * 3, hits)


def test_people_are_matched_by_id_or_by_order():
    data = Interactions.from_csr(
        random_matrix((50, 30), 0.3), user_ids=np.arange(50), item_ids=[f"i{i}" for i in range(30)]
    )
    train, fold, test = split.users(data, 10)
    model = ALS(factors=4, random_state=0).fit(train)
    want = evaluate(model, rows=fold, test=test)
    turned = Interactions.from_csr(test.user_items[::-1], user_ids=test.user_ids[::-1], item_ids=test.item_ids)
    assert dict(evaluate(model, rows=fold, test=turned)) == dict(want)
    by_order = evaluate(model, rows=fold.user_items, test=test.user_items)
    assert dict(by_order) == dict(want)
    assert evaluate(Popularity().fit(train), rows=fold, test=test).n_users == 10


SOME = random_matrix((10, 6), 0.5)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"train": SOME, "rows": SOME, "test": SOME}, TypeError, "exactly one of train and rows"),
        ({"test": SOME}, TypeError, "exactly one of train and rows"),
        ({"train": SOME}, TypeError, "takes test"),
        ({"rows": SOME, "test": SOME, "users": [0]}, TypeError, "leave users out"),
        ({"rows": SOME[:4], "test": SOME}, ValueError, "rows has 4 and test"),
        ({"rows": SOME[:, :3], "test": SOME[:, :3]}, ValueError, "shape"),
    ],
)
def test_rows_that_are_refused(kwargs, error, message):
    model = ALS(factors=2, random_state=0).fit(SOME)
    with pytest.raises(error, match=message):
        evaluate(model, **kwargs)
