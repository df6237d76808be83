"""Models with features: what nobody has used yet gets factors, priors help short rows, and nothing else changes."""

import pickle

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import dense_of

import cymbals
from cymbals import ALS, EarlyStopping, Interactions, SolveError, baselines, evaluate, features, split

N, M, F = 500, 300, 6


@pytest.fixture(scope="module")
def planted():
    """Clicks of users and items whose factors are half feature and half their own. Ten features say nothing."""
    rng = np.random.default_rng(0)
    sides = []
    for n in (N, M):
        has = (rng.random((n, 12)) < 0.25).astype(np.float32)
        signal = has - has.mean(axis=0)
        signal = signal @ rng.standard_normal((12, F))
        own = rng.standard_normal((n, F))
        factors = signal / signal.std() + own / own.std()
        noise = (rng.random((n, 10)) < 0.25).astype(np.float32)
        sides.append((factors, sp.csr_array(np.hstack([has, noise]))))
    scores = sides[0][0] @ sides[1][0].T
    clicked = rng.random((N, M)) < 1 / (1 + np.exp(5.0 - 0.9 * scores))
    return sp.csr_array(clicked.astype(np.float32)), sides[0][1], sides[1][1]


def without(matrix, rows=None, columns=None):
    """A copy of a matrix without some rows or columns, and the entries that are gone."""
    kept = matrix.toarray()
    gone = np.zeros_like(kept)
    if rows is not None:
        gone[rows], kept[rows] = kept[rows], 0
    if columns is not None:
        gone[:, columns], kept[:, columns] = kept[:, columns], 0
    return sp.csr_array(kept), sp.csr_array(gone)


def test_cold_items_are_ranked_by_their_features(planted):
    clicks, _, of_items = planted
    cold = np.arange(0, M, 10)
    train, test = without(clicks, columns=cold)
    others = sp.csr_array(np.ones((N, 1), np.float32) @ np.isin(np.arange(M), cold, invert=True)[None].astype(np.float32))
    shuffled = [of_items[np.random.default_rng(seed).permutation(M)] for seed in range(8)]
    models = [ALS.auto(16, random_state=0).fit(train, item_features=given) for given in (of_items, *shuffled)]
    real, *by_chance = (evaluate(model, others, test, k=10)["ndcg@10"] for model in models)
    chance = evaluate(baselines.Random(0).fit(train), others, test, k=10)["ndcg@10"]
    assert real > 1.5 * chance
    assert np.mean(by_chance) == pytest.approx(chance, rel=0.15)


def test_cold_users_get_recommendations_of_their_own(planted):
    clicks, of_users, _ = planted
    cold = np.arange(0, N, 10)
    train, test = without(clicks, rows=cold)
    model = ALS.auto(16, random_state=0).fit(train, user_features=of_users)
    popular = baselines.Popularity().fit(train)
    nothing = sp.csr_array((N, M), dtype=np.float32)
    assert evaluate(model, nothing, test)["ndcg@10"] > 1.2 * evaluate(popular, nothing, test)["ndcg@10"]
    assert model.recommend(0, 5)[0].tolist() != model.popular(5)[0].tolist()
    by_features = model.recommend(features=of_users[[0]], n=5)
    assert by_features[0][0].tolist() == model.recommend(0, 5)[0].tolist()
    assert by_features[1][0] == pytest.approx(model.recommend(0, 5)[1], rel=1e-4)


def test_warm_rows_are_not_worse_and_shuffled_features_change_little(planted):
    clicks, of_users, of_items = planted
    train, test = split.random(clicks, 0.1, 0)
    rng = np.random.default_rng(1)
    plain = evaluate(ALS.auto(16, random_state=0).fit(train), train, test)["ndcg@10"]
    real = ALS.auto(16, random_state=0).fit(train, item_features=of_items, user_features=of_users)
    shuffled = {"item_features": of_items[rng.permutation(M)], "user_features": of_users[rng.permutation(N)]}
    noise = ALS.auto(16, random_state=0).fit(train, **shuffled)
    assert evaluate(real, train, test)["ndcg@10"] > plain
    assert evaluate(noise, train, test)["ndcg@10"] > 0.95 * plain


@pytest.mark.parametrize("kind", ["ials", "hu", "explicit"])
def test_fold_in_is_an_exact_solution_with_a_prior(planted, kind):
    clicks, of_users, _ = planted
    how = {"objective": kind, "regularization": 0.3, "nu": 0.5, "alpha": 1.5, "unobserved_weight": 0.4}
    model = ALS(7, iterations=3, random_state=0, dtype="float64", **how).fit(clicks, user_features=of_users)
    rows, _ = without(clicks[:20], rows=[4])
    weights = model.state_.user_features.projection.weights
    lengths = np.sqrt(of_users[:20].sum(axis=1))
    prior = (of_users[:20].toarray() / lengths[:, None]) @ weights[:-1] + weights[-1]
    prior *= (20 / (20 + np.diff(rows.indptr)))[:, None]  # with 20 entries, half as much
    want = reference.solve(dense_of(rows), model.item_factors_, kind, 0.3, 0.5, 1.5, 0.4, prior=prior)
    got = model.fold_in(rows, features=of_users[:20])
    assert np.abs(got - want).max() < 1e-7
    assert np.abs(got[4] - prior[4]).max() < 1e-7
    assert np.abs(model.fold_in(rows[:3], features=of_users[:3]) - want[:3]).max() < 1e-7
    plain = reference.solve(dense_of(rows), model.item_factors_, kind, 0.3, 0.5, 1.5, 0.4)
    assert np.abs(model.fold_in(rows) - plain).max() < 1e-7


def test_the_last_iteration_uses_features(planted):
    clicks, of_users, of_items = planted
    model = ALS.auto(8, random_state=0).fit(clicks, item_features=of_items, user_features=of_users, compute_loss=True)
    assert model.n_iter_ == len(model.history_) == 8
    assert model.history_[-1]["loss"] == pytest.approx(model.loss(clicks), rel=1e-5)
    before = ALS.auto(8, random_state=0, iterations=7).fit(clicks)
    known = np.asarray(clicks.sum(axis=1)).ravel() > 0
    side = cymbals.model.side_features.SideFeatures.aligned("f", of_users, before.users_, 1)[0]
    side = side.fitted(before.user_factors_, known)
    weights = model.state_.user_features.projection.weights
    assert np.abs(side.projection.weights - weights).max() < 1e-5 * np.abs(weights).max()


def test_threads_do_not_change_the_factors(planted):
    clicks, of_users, of_items = planted
    bits = set()
    for n_threads in (1, 2, 3):
        model = ALS.auto(8, random_state=0, n_threads=n_threads).fit(clicks, item_features=of_items, user_features=of_users)
        bits.add(model.user_factors_.tobytes() + model.item_factors_.tobytes())
    assert len(bits) == 1


def test_with_biases(planted):
    clicks, of_users, of_items = planted
    ratings = clicks.copy()
    ratings.data = np.random.default_rng(0).integers(1, 6, ratings.nnz).astype(np.float32)
    cold = np.arange(0, N, 10)
    train, _ = without(ratings, rows=cold)
    how = {"objective": "explicit", "biases": True, "regularization": 0.1, "nu": 1.0}
    model = ALS(4, random_state=0, **how).fit(train, item_features=of_items, user_features=of_users)
    assert np.abs(model.user_biases_[cold]).min() > 0
    predicted = model.predict(cold, np.arange(cold.size))
    assert np.all((predicted > 1) & (predicted < 5))
    assert model.fold_in(train[:3], features=of_users[:3]).shape == (3, 4)


# -- ids -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(planted):
    clicks, of_users, of_items = planted
    users, items = [f"u{i}" for i in range(N)], [f"i{i}" for i in range(M)]
    rows, columns = clicks[:, : M - 20].nonzero()
    data = Interactions.from_arrays([users[i] for i in rows], [items[i] for i in columns])

    def of(matrix, ids):
        at, which = matrix.nonzero()
        return Interactions.from_arrays([ids[i] for i in at], [f"f{j}" for j in which])

    return data, of(of_users, users), of(of_items, items)


def test_features_are_matched_by_id_and_add_rows(named):
    data, of_users, of_items = named
    model = ALS.auto(8, random_state=0).fit(data, item_features=of_items, user_features=of_users)
    assert model.item_factors_.shape[0] == len(set(data.item_ids) | set(of_items.user_ids)) > data.shape[1]
    assert model.items_.all()[: data.shape[1]].tolist() == data.item_ids.tolist()
    row = model.items_.rows("items", ["i299"])[0]
    assert row >= data.shape[1]
    assert model.item_factors_[row].any()
    assert "i299" in model.recommend("u0", n=M)[0]
    assert model.interactions_.shape == model.state_.seen.shape
    order = np.random.default_rng(0).permutation(of_items.shape[0])
    turned = Interactions.from_csr(of_items.user_items[order], of_items.user_ids[order], of_items.item_ids)
    again = ALS.auto(8, random_state=0).fit(data, item_features=turned, user_features=of_users)
    same = again.items_.rows("items", model.items_.all())
    assert np.abs(again.item_factors_[same] - model.item_factors_).max() < 1e-5


def test_recommend_with_features(named):
    data, of_users, _ = named
    model = ALS.auto(8, random_state=0).fit(data, user_features=of_users)
    alone = model.recommend(features=["f1", "f4"], n=4)
    assert alone[0].shape == (4,)
    assert model.recommend(features=[["f1", "f4"], {"f2": 3.0}], n=4)[0][0].tolist() == alone[0].tolist()
    short = model.recommend(history=["i1"], n=M - 30)
    pulled = model.recommend(history=["i1"], features=["f1", "f4"], n=M - 30)
    assert "i1" not in pulled[0]
    assert short[0].tolist() != pulled[0].tolist()
    x = model.fold_in(model.interactions_.user_items[:1], features=[of_users.item_ids[of_users.csr.row(0)[0]].tolist()])
    assert x.shape == (1, 8)
    with pytest.raises(KeyError, match="nosuch"):
        model.recommend(features=["nosuch"])
    with pytest.raises(TypeError, match="features go with rows, history or alone"):
        model.recommend("u0", features=["f1"])
    with pytest.raises(ValueError, match="features needs a model that was fitted with user_features"):
        ALS.auto(4).fit(data).recommend(features=["f1"])


def test_update_takes_features(named):
    data, of_users, of_items = named
    model = ALS.auto(8, random_state=0).fit(data, item_features=of_items, user_features=of_users)
    new_item = features({"item": ["new", "i0"], "": [["x"], ["y"]]}, "item", [""])
    renamed = Interactions.from_csr(new_item.user_items, new_item.user_ids, ["f3", "f5"])
    report = model.update((["u1", "stranger"], ["i2", "new"]), item_features=renamed)
    assert (report.new_users, report.new_items) == (1, 1)
    assert model.item_factors_[model.items_.rows("items", ["new"])].any()
    assert model.state_.item_features.rows.shape[0] == model.items_.n
    assert model.state_.user_features.rows.shape[0] == model.users_.n
    people = features({"user": ["quiet"], "": [["f2"]]}, "user", [""])
    named_people = Interactions.from_csr(people.user_items, people.user_ids, ["f2"])
    model.update((["u1"], ["i3"]), user_features=named_people)
    assert model.recommend("quiet", 3)[0].tolist() == model.recommend(features=["f2"], n=3)[0].tolist()
    unknown = Interactions.from_arrays(["quiet", "quiet"], ["f1", "brandnew"])
    with pytest.warns(UserWarning, match="the model does not know the features brandnew; left out"):
        model.update((["u1"], ["i4"]), user_features=unknown)
    with pytest.raises(TypeError, match="item_features must be Interactions with ids"):
        model.update((["u1"], ["i4"]), item_features=[1])
    with pytest.raises(ValueError, match="the model was fitted without them; fit it with user_features"):
        ALS.auto(4).fit(data).update((["u1"], ["i4"]), user_features=unknown)
    model.remove(items=["i0"], users=["u0"])
    assert model.state_.item_features.rows.shape[0] == model.items_.n
    model.update_users(["late"], sp.csr_array((1, model.items_.n), dtype=np.float32))
    model.update_items(["later"], sp.csr_array((1, model.users_.n), dtype=np.float32))
    assert model.state_.user_features.rows.shape[0] == model.users_.n


def test_explanations_name_features(named):
    data, of_users, of_items = named
    model = ALS.auto(8, random_state=0).fit(data, item_features=of_items, user_features=of_users)
    warm = model.explain("u1", "i1")
    (row,) = of_users.users.rows("user", ["u1"])
    assert {name for name, _ in warm.features} == set(of_users.item_ids[of_users.csr.row(row)[0]])
    assert model.explain(history=["i1"], item="i2").features == []
    cold = model.explain("u1", "i299")
    assert cold.contributions
    own = of_items.item_ids[of_items.csr.row(of_items.users.rows("x", ["i299"])[0])[0]]
    assert {name for name, _ in cold.features} == set(own)
    assert [value for _, value in cold.features] == sorted((value for _, value in cold.features), reverse=True)
    quiet = Interactions.from_arrays(["quiet"], ["f2"])
    model.update((["u1"], ["i3"]), user_features=quiet)
    why = model.explain("quiet", "i1")
    assert why.contributions == []
    assert [name for name, _ in why.features] == ["f2"]
    assert why.total == pytest.approx(model.predict(["quiet"], ["i1"])[0], rel=1e-4)


KINDS = {
    "hu": {"objective": "hu", "regularization": 5.0},
    "ials": {"objective": "ials", "unobserved_weight": 0.1, "regularization": 2.0},
    "dislikes": {"objective": "hu", "regularization": 5.0},
    "explicit": {"objective": "explicit", "biases": True, "regularization": 3.0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_explanations_add_up_to_the_score_of_a_fold_in(planted, kind):
    clicks, of_users, of_items = planted
    values = clicks.copy()
    values.data = np.random.default_rng(0).integers(1, 6, values.nnz).astype(np.float32)
    if kind == "dislikes":
        values.data[::7] *= -0.1
    train, _ = without(values, rows=np.arange(0, N, 10))
    model = ALS(4, random_state=0, dtype="float64", **KINDS[kind]).fit(
        train, item_features=of_items, user_features=of_users
    )
    everybody = (model.global_mean_ + model.item_biases_) if kind == "explicit" else np.zeros(M)
    for user in (0, 3, 17):  # the first one has no entries
        rows, own = train[[user]], of_users[[user]]
        ids, scores = model.recommend(rows=rows, features=own, n=M, exclude_seen=False)
        wanted = scores[0][np.argsort(ids[0])] - everybody
        for item, why in zip((1, 2, 250), model.explain_items([1, 2, 250], n=None, user=user), strict=True):
            assert why.total == pytest.approx(wanted[item], rel=1e-5, abs=1e-6)
            assert len(why.contributions) == rows.nnz
            assert sorted(name for name, _ in why.features) == sorted(own.indices.tolist())


def test_parts_of_features_change_with_the_features(planted):
    """What a feature adds to the score of a user without entries is what the score loses without it."""
    clicks, of_users, of_items = planted
    train, _ = without(clicks, rows=[0])
    plain = of_users.toarray()
    plain[0] = 0
    plain[0, 3] = 1
    model = ALS.auto(8, random_state=0).fit(train, user_features=sp.csr_array(plain), item_features=of_items)
    ((name, part),) = model.explain(0, 7).features
    assert name == 3
    constant = model.state_.user_features.projection.weights[-1] @ model.item_factors_[7]
    assert part + constant == pytest.approx(model.predict([0], [7])[0], rel=1e-4)


def test_files_and_pickles(named, tmp_path):
    data, of_users, of_items = named
    model = ALS.auto(8, random_state=0).fit(data, item_features=of_items, user_features=of_users)
    want = model.recommend(features=["f1"], n=5)
    model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes()[8] == 2  # the version of the format
    for again in (cymbals.load(tmp_path / "m"), cymbals.load(tmp_path / "m", mmap=True), pickle.loads(pickle.dumps(model))):
        got = again.recommend(features=["f1"], n=5)
        assert np.array_equal(got[0], want[0])
        assert np.array_equal(got[1], want[1])
        assert again.explain("u1", "i299").features == model.explain("u1", "i299").features
    ALS.auto(4).fit(data).save(tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes()[8] == 1


# -- input that is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"item_features": [[1]]}, TypeError, "item_features must be Interactions or a scipy sparse"),
        (
            {"item_features": sp.csr_array((3, 2))},
            ValueError,
            "item_features must have at least as many rows as train has items",
        ),
        ({"user_features": sp.csr_array(np.full((N, 1), np.nan))}, ValueError, "user_features"),
    ],
)
def test_bad_features_are_refused_before_the_fit(planted, how, error, words):
    model = ALS.auto(4)
    with pytest.raises(error, match=words):
        model.fit(planted[0], **how)
    assert not hasattr(model, "n_iter_")


def test_one_iteration_is_refused(planted):
    with pytest.raises(ValueError, match="iterations must be at least 2 with features, which the last one uses; got 1"):
        ALS.auto(4, iterations=1).fit(planted[0], item_features=planted[2])


def test_a_failed_last_iteration_leaves_the_model_as_it_was(planted, monkeypatch):
    clicks, of_users, _ = planted
    model = ALS.auto(4, random_state=0).fit(clicks)
    before = model.state_

    def fails(*_):
        raise SolveError("row 3 cannot be solved", 3)

    monkeypatch.setattr("cymbals.model.fitting.attached", fails)
    with pytest.raises(SolveError):
        model.fit(clicks, user_features=of_users)
    assert model.state_ is before


@pytest.mark.parametrize("patience", [1, 20])
def test_early_stopping_restores_the_best_iteration_and_then_uses_features(planted, patience):
    clicks, of_users, _ = planted
    train, validation = split.random(clicks, 0.2, seed=0)
    scores = iter([0.1, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])

    class Stop(EarlyStopping):
        def _scored(self, model):
            return {"ndcg@10": next(scores)}

    stop = Stop(train, validation, patience=patience)
    model = ALS.auto(4, iterations=10, random_state=0).fit(train, user_features=of_users, callback=stop)
    assert stop.best_iteration == 2
    assert model.n_iter_ == 3  # and the iteration with features


def test_ids_of_features_are_row_numbers_of_a_matrix(planted):
    """Item 2 has no feature, so the table has no row for it."""
    clicks = planted[0]
    films = [0, 1, 3, 4, M]
    given = Interactions.from_arrays(films, [f"f{i}" for i in films])
    model = ALS.auto(4, random_state=0).fit(clicks, item_features=given)
    rows = model.state_.item_features.rows
    assert rows.shape[0] == model.item_factors_.shape[0] == M + 1
    assert np.flatnonzero(rows.lengths()).tolist() == films
    assert model.state_.item_features.ids.all()[rows.row(3)[0]].tolist() == ["f3"]
    with pytest.raises(TypeError, match="item_features: ids are strings, but those of train's items are whole numbers"):
        ALS.auto(4).fit(clicks, item_features=Interactions.from_arrays(["0", "1"], ["a", "b"]))
    with pytest.raises(KeyError, match="must be the next row numbers"):
        ALS.auto(4).fit(clicks, item_features=Interactions.from_arrays([0, M + 1], ["a", "b"]))


def test_a_warning_if_no_id_is_known(named):
    data, _, _ = named
    with pytest.warns(UserWarning, match=r"item_features: none of its ids, I0, I1, occurs in train, whose items are i0"):
        ALS.auto(4, random_state=0).fit(data, item_features=Interactions.from_arrays(["I0", "I1"], ["a", "b"]))


def test_ids_of_another_kind_are_refused(named):
    data, _, _ = named
    with pytest.raises(TypeError, match="item_features: ids are whole numbers, but those of train's items are strings"):
        ALS.auto(4).fit(data, item_features=Interactions.from_arrays([1, 2], ["a", "b"]))
    with pytest.raises(ValueError, match="user_features must have a row for each of the 500 users of train, got 3"):
        ALS.auto(4).fit(data, user_features=sp.csr_array((3, 2)))
