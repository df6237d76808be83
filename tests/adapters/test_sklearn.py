"""scikit-learn's own checks, pipelines and searches."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import random_matrix

import cymbals
from cymbals import ALS

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from cymbals.adapters.sklearn import Factorizer

M = random_matrix((90, 40), 0.3, values=(1, 9))


def failures(estimator):
    """The checks of scikit-learn that an estimator fails, with the message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    assert len(results) > 30
    return {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "failed"}


def test_scikit_learns_checks():
    found = failures(Factorizer(ALS(factors=2, solver="exact", dtype="float64", random_state=0)))
    assert found == {}, found


def test_transform_is_fold_in():
    made = Factorizer(ALS(factors=4, random_state=0)).fit(M)
    np.testing.assert_array_equal(made.transform(M[:5]), made.als_.fold_in(M[:5]))
    np.testing.assert_array_equal(made.transform(M[:5].toarray()), made.als_.fold_in(M[:5]))
    assert made.components_.shape == (4, 40)
    assert made.n_features_in_ == 40
    assert made.get_feature_names_out().tolist() == [f"factorizer{k}" for k in range(4)]
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = made.set_output(transform="pandas").transform(M[:5])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == made.get_feature_names_out().tolist()


def test_pipelines_and_searches():
    groups = np.arange(90) % 2
    dense = np.where((np.arange(40) % 2 == groups[:, None]) & (np.random.default_rng(0).random((90, 40)) < 0.5), 1.0, 0.0)
    plays = sp.csr_array(dense)
    pipe = make_pipeline(Factorizer(ALS(random_state=0, iterations=5)), LogisticRegression())
    grid = GridSearchCV(pipe, {"factorizer__als__factors": [2, 4]}, cv=3).fit(plays, groups)
    assert grid.best_score_ > 0.9
    searched = HalvingGridSearchCV(ALS(random_state=0), {"factors": [2, 4]}, cv=3, min_resources=30).fit(plays)
    assert searched.best_params_["factors"] in (2, 4)
    assert GridSearchCV(ALS(random_state=0), {"alpha": [1.0, 40.0]}, cv=3).fit(plays, groups).best_estimator_.n_iter_ == 15


def test_fit_ignores_y_and_takes_the_rest_by_name():
    model = ALS(factors=2, random_state=0)
    assert np.array_equal(model.fit(M, np.arange(90)).item_factors_, clone(model).fit(M).item_factors_)
    with pytest.raises(TypeError, match="positional"):
        model.fit(M, None, (1, 2))
    for init in (model, (np.ones((90, 2)), np.ones((40, 2)))):
        with pytest.raises(TypeError, match="not init: write init="):
            model.fit(M, init)


def test_the_error_of_an_unfitted_model_is_scikit_learns_too():
    for call in (lambda: ALS().recommend(0), lambda: ALS().item_factors_):
        with pytest.raises(NotFittedError) as caught:
            call()
        assert isinstance(caught.value, cymbals.NotFittedError)
        assert isinstance(caught.value, ValueError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(again, NotFittedError)
        assert str(again) == str(caught.value)
    with pytest.raises(NotFittedError):
        Factorizer().components_  # noqa: B018
