"""RecTools' own methods, configurations and cross-validation with `ALSModel`."""

import doctest
import json
import pickle
import warnings

import numpy as np
import pytest
from conftest import run_listing

import cymbals.adapters
from cymbals import ALS

pytest.importorskip("rectools", reason="RecTools is not installed; see docs/develop/frameworks.md")
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.exceptions import NotFittedError
from rectools.metrics import NDCG
from rectools.model_selection import LastNSplitter, cross_validate
from rectools.models import ImplicitALSWrapperModel, load_model, model_from_config

from cymbals.adapters.rectools import ALSModel, ALSModelConfig

SETTINGS = {"factors": 6, "iterations": 5, "random_state": 3}
N_USERS, N_ITEMS = 40, 25


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    pairs = rng.permutation(N_USERS * N_ITEMS)[:300]
    first = np.concatenate(
        [np.arange(N_USERS), rng.integers(0, N_USERS, N_ITEMS)]
    )  # everyone has an item, each item a user
    users = np.concatenate([first, pairs // N_ITEMS])
    items = np.concatenate([rng.integers(0, N_ITEMS, N_USERS), np.arange(N_ITEMS), pairs % N_ITEMS])
    frame = pd.DataFrame({Columns.User: [f"u{u}" for u in users], Columns.Item: items * 10, Columns.Weight: users % 7 + 1})
    frame = frame.drop_duplicates([Columns.User, Columns.Item])
    frame[Columns.Datetime] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(frame)), unit="h")
    return Dataset.construct(frame)


@pytest.fixture(scope="module")
def model(dataset):
    return ALSModel(ALS(**SETTINGS)).fit(dataset)


def lists(frame, target=Columns.User):
    return {
        one: (list(part[Columns.Item]), part[Columns.Score].to_numpy()) for one, part in frame.groupby(target, sort=False)
    }


@pytest.mark.parametrize("filter_viewed", [True, False])
@pytest.mark.parametrize("whitelist", [None, [20, 30, 70, 100]])
def test_recommends_what_als_recommends(model, dataset, filter_viewed, whitelist):
    als = ALS(**SETTINGS).fit(dataset.get_user_item_matrix())
    users = ["u7", "u0", "u39"]
    found = lists(model.recommend(users, dataset, k=6, filter_viewed=filter_viewed, items_to_recommend=whitelist))
    assert list(found) == users
    rows = dataset.user_id_map.convert_to_internal(users)
    candidates = None if whitelist is None else dataset.item_id_map.convert_to_internal(whitelist)
    items, scores = als.recommend(rows, 6, exclude_seen=filter_viewed, candidates=candidates)
    for user, wanted, score in zip(users, items, scores, strict=True):
        there = score > -np.inf
        assert found[user][0] == list(dataset.item_id_map.convert_to_external(wanted[there]))
        np.testing.assert_array_equal(found[user][1], score[there])


def test_ranks_and_more_recommendations_than_items(model, dataset):
    frame = model.recommend(["u1"], dataset, k=1000, filter_viewed=False)
    assert frame[Columns.Rank].tolist() == list(range(1, N_ITEMS + 1))
    assert (frame[Columns.Score].diff().dropna() <= 0).all()


@pytest.mark.parametrize("filter_itself", [True, False])
@pytest.mark.parametrize("whitelist", [None, [20, 30, 70, 100]])
@pytest.mark.parametrize("k", [3, 1000])
def test_recommends_similar_items(model, dataset, filter_itself, whitelist, k):
    targets = [30, 200]
    found = lists(
        model.recommend_to_items(targets, dataset, k, filter_itself=filter_itself, items_to_recommend=whitelist),
        Columns.TargetItem,
    )
    y = model.model.item_factors_ / np.linalg.norm(model.model.item_factors_, axis=1)[:, None]
    ids = dataset.item_id_map.get_external_sorted_by_internal()
    for target in targets:
        cosine = dict(zip(ids, y @ y[dataset.item_id_map.convert_to_internal([target])[0]], strict=True))
        allowed = [i for i in ids if (whitelist is None or i in whitelist) and not (filter_itself and i == target)]
        wanted = sorted(allowed, key=lambda i: -cosine[i])[:k]
        assert found[target][0] == wanted
        np.testing.assert_allclose(found[target][1], [cosine[i] for i in wanted], atol=1e-6)


def test_users_and_items_without_interactions(model, dataset):
    with pytest.raises(ValueError, match="cold"):
        model.recommend(["u0", "stranger"], dataset, k=2, filter_viewed=True)
    known = model.recommend(["u0", "stranger"], dataset, k=2, filter_viewed=True, on_unsupported_targets="ignore")
    assert known[Columns.User].unique().tolist() == ["u0"]
    larger = Dataset(dataset.user_id_map, dataset.item_id_map.add_ids(np.array([990])), dataset.interactions)
    found = model.recommend(["u0"], larger, k=9, filter_viewed=False, items_to_recommend=[990, 20])
    assert found[Columns.Item].tolist() == [20]


def test_configuration_goes_through_json(model, dataset):
    config = json.loads(json.dumps(model.get_config(simple_types=True)))
    assert config["cls"] == "cymbals.adapters.rectools.ALSModel"
    assert config["model"]["factors"] == 6
    for again in (ALSModel.from_config(config), model_from_config(config), ALSModel.from_config(model.get_config())):
        assert type(again) is ALSModel
        np.testing.assert_array_equal(again.fit(dataset).model.item_factors_, model.model.item_factors_)
    assert ALSModel.from_params(model.get_params()).get_params() == model.get_params()
    assert ALSModelConfig(model={}).model.factors == ALS().factors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 3}, "no parameter 'factor'"),
        ({"factors": 0}, "factors must be"),
        (7, "must be an ALS or a dict of its arguments, got 7"),
    ],
)
def test_a_wrong_configuration_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ALSModel.from_config({"model": arguments})


def test_what_json_cannot_hold_is_refused():
    model = ALSModel(ALS(confidence=np.sqrt))
    assert model.get_config()["model"]["confidence"] is np.sqrt
    with pytest.raises(TypeError, match=r"confidence=.* cannot be written as JSON"):
        model.get_config(simple_types=True)


def test_constructor_takes_a_model_only():
    with pytest.raises(TypeError, match="model"):
        ALSModel({"factors": 3})


def test_save_and_load(model, dataset, tmp_path):
    model.save(tmp_path / "model")
    wanted = model.recommend(["u3"], dataset, k=5, filter_viewed=True)
    for again in (ALSModel.load(tmp_path / "model"), load_model(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        pd.testing.assert_frame_equal(again.recommend(["u3"], dataset, k=5, filter_viewed=True), wanted)


def test_fit_leaves_the_given_model_alone_and_can_be_repeated(dataset):
    als = ALS(**SETTINGS)
    model = ALSModel(als).fit(dataset)
    first = model.model
    assert not als.__sklearn_is_fitted__()
    assert model.fit(dataset).model is not first
    np.testing.assert_array_equal(model.model.item_factors_, first.item_factors_)


def test_fit_partial_goes_on(dataset):
    matrix = dataset.get_user_item_matrix()
    model = ALSModel(ALS(**SETTINGS)).fit_partial(dataset, epochs=1)
    losses = [model.model.loss(matrix)]
    for _ in range(3):
        losses.append(model.fit_partial(dataset, epochs=2).model.loss(matrix))
    assert np.all(np.diff(losses) < 0)
    assert model.model.n_iter_ == 2


def test_vectors_give_the_scores(dataset):
    model = ALSModel(ALS(objective="explicit", biases=True, **SETTINGS))
    with pytest.raises(NotFittedError):
        model.get_vectors()
    users, items = model.fit(dataset).get_vectors()
    frame = model.recommend(["u5"], dataset, k=N_ITEMS, filter_viewed=False)
    user = dataset.user_id_map.convert_to_internal(["u5"])[0]
    scores = items[dataset.item_id_map.convert_to_internal(frame[Columns.Item])] @ users[user]
    np.testing.assert_allclose(frame[Columns.Score], scores, rtol=1e-5)


def test_cross_validation_beside_rectools_own_model(dataset):
    from implicit.als import AlternatingLeastSquares

    ours = ALSModel(ALS.from_convention("implicit", factors=6, regularization=0.1, alpha=1.0, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of RecTools and implicit
        theirs = ImplicitALSWrapperModel(AlternatingLeastSquares(factors=6, regularization=0.1, alpha=1.0, random_state=0))
        report = cross_validate(
            dataset,
            LastNSplitter(n=1, n_splits=1),
            {"ndcg": NDCG(10)},
            {"theirs": theirs, "ours": ours},
            k=10,
            filter_viewed=True,
        )
    scores = {row["model"]: row["ndcg"] for row in report["metrics"]}
    assert scores["ours"] == pytest.approx(scores["theirs"], abs=0.1)
    assert scores["ours"] > 0


def test_the_example_runs():
    failed, attempted = doctest.testmod(cymbals.adapters.rectools)
    assert failed == 0
    assert attempted > 0


def test_the_listings_of_the_docs_run(tmp_path):
    names = run_listing("RecTools", tmp_path)
    assert names["model"].recommend(["bob"], names["dataset"], k=10, filter_viewed=True)[Columns.Item].tolist() == ["blur"]
