"""Recommendations and metrics that several nodes compute, compared with those of one process."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import cymbals_cli

from cymbals import ALS, Interactions, distributed, evaluate, load, split
from cymbals.distributed import answers


@pytest.fixture
def small_tasks(monkeypatch):
    monkeypatch.setattr(answers, "_USERS", 1700)


@pytest.fixture(scope="module")
def parts(store, tmp_path_factory):
    """Train and test, and a model of train: data, paths of their stores, and the path of the model's file."""
    folder = tmp_path_factory.mktemp("parts")
    train, test = split.random(Interactions.open(store), seed=0)
    model = ALS(factors=16, iterations=2, random_state=0).fit(train)
    model.save(folder / "model.cymbals")
    train.save(folder / "train")
    test.save(folder / "test")
    return train, test, model, folder


def test_recommendations_are_those_of_one_process(cluster, parts, small_tasks):
    pa = pytest.importorskip("pyarrow")
    model, folder = parts[2], parts[3]
    expected = pa.table(model.recommend_all(n=5))
    for given in (model, folder / "model.cymbals"):
        assert pa.table(distributed.recommend_all(given, n=5)).combine_chunks().equals(expected.combine_chunks())
    some = model.users_.all()[[7, 3, 4000]]
    expected = pa.table(model.recommend_all(2, some, exclude=[0, 3])).combine_chunks()
    assert pa.table(distributed.recommend_all(model, 2, some, exclude=[0, 3])).combine_chunks().equals(expected)


@pytest.mark.parametrize("kind", ["data", "paths"])
def test_metrics_are_those_of_one_process(cluster, parts, small_tasks, kind):
    train, test, model, folder = parts
    expected = evaluate(model, train, test, k=(3, 10))
    given = (model, train, test)
    if kind == "paths":
        given = (folder / "model.cymbals", folder / "train", folder / "test")
    found = distributed.evaluate(*given, k=(3, 10))
    assert dict(found) == dict(expected)
    for name, values in expected.per_user.items():
        np.testing.assert_array_equal(found.per_user[name], values)


def test_errors_of_ratings(cluster, small_tasks):
    ratings = sp.random_array((4000, 50), density=0.1, rng=0, format="csr", dtype="f4")
    train, test = split.random(ratings, seed=0)
    model = ALS(factors=4, objective="explicit", biases=True, iterations=2, random_state=0).fit(train)
    expected, found = evaluate(model, train, test, k=5), distributed.evaluate(model, train, test, k=5)
    assert found["rmse"] == pytest.approx(expected["rmse"], rel=1e-12)
    assert found["mae"] == pytest.approx(expected["mae"], rel=1e-12)
    np.testing.assert_array_equal(found.per_user["rmse"], expected.per_user["rmse"])


def test_a_warning_if_the_model_was_fitted_on_the_held_out_entries(cluster, parts):
    train, test, _, _ = parts
    whole = train.append(test)
    model = ALS(factors=4, iterations=1, random_state=0).fit(whole)
    with pytest.warns(UserWarning, match="fitted on"):
        distributed.evaluate(model, train, test, k=5)


def test_the_command_fits_on_a_cluster(cluster, store, tmp_path):
    pytest.importorskip("click")
    options = ["--factors", 8, "--iterations", 2, "--seed", 4, "--threads", 1]
    done = cymbals_cli("fit", store, "--ray", "auto", "-o", tmp_path / "m.cymbals", *options)
    assert "fitted" in done.stdout
    expected = ALS.auto(factors=8, iterations=2, random_state=4).fit(Interactions.open(store))
    np.testing.assert_array_equal(load(tmp_path / "m.cymbals").item_factors_, expected.item_factors_)
