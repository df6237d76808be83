"""LensKit's own pipelines, batch recommendation and metrics with `ALSScorer`."""

import doctest
import json
import pickle
import warnings

import numpy as np
import pytest
from conftest import run_listing

import cymbals.adapters
from cymbals import ALS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # LensKit 2026 warns of its own modules when it is imported
    pytest.importorskip("lenskit.data", reason="LensKit is not installed; see docs/develop/frameworks.md")
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.batch import recommend
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.metrics import NDCG, RunAnalysis
from lenskit.pipeline import Pipeline, predict_pipeline, topn_pipeline
from lenskit.splitting import SampleN, sample_users
from lenskit.training import TrainingOptions

from cymbals.adapters.lenskit import ALSScorer, ALSScorerConfig

SETTINGS = {"factors": 5, "iterations": 4, "random_state": 0}
N_USERS, N_ITEMS = 60, 30


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    taste, kind = rng.integers(3, size=N_USERS), rng.integers(3, size=N_ITEMS)
    has = rng.random((N_USERS, N_ITEMS)) < np.where(taste[:, None] == kind, 0.6, 0.1)
    has[np.arange(N_USERS), rng.integers(N_ITEMS, size=N_USERS)] = True
    users, items = np.nonzero(has)
    ids = {"user_id": [f"u{u}" for u in users], "item_id": items * 10}
    return pd.DataFrame(ids | {"rating": rng.integers(1, 6, users.size).astype(float)})


@pytest.fixture(scope="module")
def data(frame):
    return from_interactions_df(frame)


def trained(data, **config):
    scorer = ALSScorer(**config)
    scorer.train(data)
    return scorer


def test_the_factors_of_the_fit(data):
    scorer = trained(data, als=ALS(**SETTINGS), fold_in=False)
    items = ItemList([30, 0, 10])
    scores = scorer(RecQuery(user_id="u7", history_items=data.user_row("u8")), items)
    assert scores.ids().tolist() == [30, 0, 10]
    np.testing.assert_allclose(scores.scores(), scorer.als_.predict(["u7"] * 3, [30, 0, 10]), rtol=1e-5)
    assert scorer.als_.recommend("u7", n=3)[0].dtype.kind == "i"


@pytest.mark.parametrize("values", [None, "rating"])
@pytest.mark.parametrize("more", [{}, {"objective": "explicit", "biases": True}])
def test_history_is_folded_in(data, frame, values, more):
    scorer = trained(data, als=ALS(**SETTINGS, **more), values=values)
    history = data.user_row("u3")
    own = frame[frame.user_id == "u3"]
    given = dict(zip(own.item_id, own.rating if values else np.ones(len(own)), strict=True))
    ids, wanted = scorer.als_.recommend(history=given, n=N_ITEMS, exclude_seen=False)
    for query in (
        RecQuery(user_id="u3", history_items=history),
        RecQuery(user_id="stranger", history_items=history),
        history,
    ):
        np.testing.assert_allclose(scorer(query, ItemList(ids)).scores(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("use_ratings", [False, True])
def test_scores_are_lenskits_scores_for_the_same_item_factors(data, use_ratings):
    settings = {"embedding_size": 5, "weight": 4.0, "regularization": 0.3, "use_ratings": use_ratings}
    theirs = ImplicitMFScorer(**settings, epochs=3)
    theirs.train(data, TrainingOptions(rng=0))
    values = "rating" if use_ratings else None
    ours = trained(data, als=ALS.from_convention("lenskit", **settings), values=values)
    params = {name: value for name, value in ours.als_.get_params().items() if name not in ("factors", "dtype")}
    ours.als_ = ALS.from_factors(theirs.user_embeddings, theirs.item_embeddings, **params)
    items = ItemList.from_vocabulary(data.items)
    for user in ("u0", "u9", "u40"):
        query = RecQuery(user_id=user, history_items=data.user_row(user))
        np.testing.assert_allclose(ours(query, items).scores(), theirs(query, items).scores(), rtol=1e-3, atol=1e-4)


def test_items_of_a_history_may_repeat_or_lack_a_value(data):
    scorer, items = trained(data, als=ALS(**SETTINGS), values="rating"), ItemList([0, 50])
    history = ItemList([30, 20, 30], rating=[2.0, np.nan, 1.0])
    once = scorer(ItemList([30], rating=[3.0]), items).scores()
    np.testing.assert_array_equal(scorer(history, items).scores(), once)


def test_what_is_unknown_has_no_score(data):
    scorer = trained(data, als=ALS(**SETTINGS))
    scores = scorer("u1", ItemList([10, 5, 20])).scores()
    assert np.isnan(scores).tolist() == [False, True, False]
    for query in ("stranger", ItemList([5]), RecQuery(user_id="stranger", history_items=ItemList([5])), ItemList([]), None):
        assert np.isnan(scorer(query, ItemList([10, 20])).scores()).all()
    known = scorer(RecQuery(user_id="u1", history_items=ItemList([5])), ItemList([10, 20])).scores()
    np.testing.assert_allclose(known, scorer.als_.predict(["u1"] * 2, [10, 20]), rtol=1e-5)
    mixed = scorer(ItemList([5, 30]), ItemList([10, 20])).scores()
    np.testing.assert_array_equal(mixed, scorer(ItemList([30]), ItemList([10, 20])).scores())
    assert len(scorer("u1", ItemList([]))) == 0


def test_values_that_are_missing_are_an_error(data):
    with pytest.raises(ValueError, match="values='stars': the interactions have no such attribute"):
        trained(data, values="stars")
    scorer = trained(data, als=ALS(**SETTINGS), values="rating")
    with pytest.raises(ValueError, match="the query's items have no field 'rating'"):
        scorer(ItemList([30]), ItemList([10]))


def test_random_numbers_are_lenskits_unless_the_model_has_a_seed(data):
    def factors(rng, **settings):
        scorer = ALSScorer(als=ALS(factors=5, iterations=2, **settings))
        scorer.train(data, TrainingOptions(rng=rng))
        return scorer.als_.item_factors_

    np.testing.assert_array_equal(factors(1), factors(1))
    assert not np.array_equal(factors(1), factors(2))
    np.testing.assert_array_equal(factors(1, random_state=7), factors(2, random_state=7))


def test_training_again(data):
    scorer = ALSScorer(als=ALS(**SETTINGS))
    assert not scorer.is_trained()
    scorer.train(data)
    assert scorer.is_trained()
    first = scorer.als_
    scorer.train(data, TrainingOptions(retrain=False))
    assert scorer.als_ is first
    scorer.train(data)
    assert scorer.als_ is not first
    assert not scorer.config.als.__sklearn_is_fitted__()


def test_configuration_goes_through_json(data):
    pipeline = topn_pipeline(ALSScorer(als=ALS(**SETTINGS, confidence="log"), values="rating"), n=5)
    text = json.dumps(pipeline.config.model_dump(mode="json"))
    again = Pipeline.from_config(json.loads(text))
    config = again.component("scorer").config
    assert isinstance(config, ALSScorerConfig)
    assert config.als.get_params() == ALS(**SETTINGS, confidence="log").get_params()
    lists = []
    for one in (pipeline, again):
        one.train(data)
        lists.append(one.run("recommender", query="u5").ids().tolist())
    assert lists[0] == lists[1]
    assert len(lists[0]) == 5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"als": {"factor": 3}}, "no parameter 'factor'"),
        ({"als": {"alpha": -1}}, "alpha must be"),
        ({"als": "ALS"}, "must be an ALS or a dict of its arguments, got 'ALS'"),
        ({"factors": 3}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_configuration_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        ALSScorer(**config)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(Exception, match=r"confidence=.* cannot be written as JSON"):
        ALSScorer(als=ALS(confidence=np.sqrt)).dump_config()


@pytest.mark.filterwarnings("ignore")  # LensKit 2026 gives RunAnalysis another name, and uses what pandas will change
def test_batches_and_metrics_beside_lenskits_own_scorer(data):
    part = sample_users(data, 30, SampleN(2, rng=0), rng=0)
    settings = {"embedding_size": 6, "weight": 10.0, "epochs": 8}
    scores = []
    for scorer in (ImplicitMFScorer(**settings), ALSScorer(als=ALS.from_convention("lenskit", **settings))):
        pipeline = topn_pipeline(scorer, n=10)
        pipeline.train(part.train, TrainingOptions(rng=0))
        analysis = RunAnalysis()
        analysis.add_metric(NDCG(10))
        found = analysis.measure(recommend(pipeline, part.test, 10, n_jobs=1), part.test)
        scores.append(found.list_summary()["mean"].iloc[0])
    assert scores[1] == pytest.approx(scores[0], abs=0.05)
    assert scores[1] > 0.3


def test_predicted_ratings(data, frame):
    scorer = ALSScorer(als=ALS(objective="explicit", biases=True, regularization=1.0, **SETTINGS), values="rating")
    pipeline = predict_pipeline(scorer, fallback=False)
    pipeline.train(data)
    predictions = pipeline.run("rating-predictor", query="u4", items=ItemList([0, 10, 20])).scores()
    assert np.all((predictions > 0.5) & (predictions < 5.5))
    np.testing.assert_allclose(predictions, scorer.als_.predict(["u4"] * 3, [0, 10, 20]), atol=0.2)


def test_pickles(data):
    pipeline = topn_pipeline(ALSScorer(als=ALS(**SETTINGS)), n=4)
    pipeline.train(data)
    again = pickle.loads(pickle.dumps(pipeline))
    assert again.run("recommender", query="u2").ids().tolist() == pipeline.run("recommender", query="u2").ids().tolist()


def test_the_example_runs():
    failed, attempted = doctest.testmod(cymbals.adapters.lenskit)
    assert failed == 0
    assert attempted > 0


def test_the_listing_of_the_docs_runs(tmp_path):
    names = run_listing("LensKit", tmp_path)
    assert names["pipeline"].run("recommender", query="bob").ids().tolist() == ["blur"]
