"""The estimator: scikit-learn's conventions, and arguments that are refused."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from bad_input import check_refused
from conftest import SMALL, planted_clusters

import cymbals
from cymbals import ALS, Interactions, split


def test_parameters_and_clone_work_as_in_scikit_learn():
    clone = pytest.importorskip("sklearn.base").clone

    generator = np.random.default_rng(0)
    model = ALS(factors=3, random_state=generator)
    assert clone(model.set_params(random_state=3)).get_params() == model.get_params()
    model.set_params(random_state=generator)
    assert model.set_params(alpha=2.0).alpha == 2.0
    assert model.random_state is generator
    assert repr(ALS(alpha=3.0)) == "ALS(alpha=3.0)"
    with pytest.raises(ValueError, match="no parameter 'rank'"):
        model.set_params(rank=3)
    with pytest.raises(cymbals.NotFittedError):
        model.recommend(0)
    assert not hasattr(model, "user_factors_")


def test_warns_of_more_factors_than_the_matrix_can_use():
    with pytest.warns(UserWarning, match=r"factors=1500 is more than a matrix of 3 x 2"):
        ALS(1500, iterations=1, random_state=0).fit(sp.csr_array([[1, 0], [0, 1], [1, 1]]))


def test_the_caller_may_change_the_matrix_afterwards(matrix):
    m = matrix.copy()
    model = ALS(factors=4, random_state=0).fit(m)
    want = model.recommend(5, 40)[0]
    m.indices[:] = 2**30
    m.data[:] = 0
    assert np.array_equal(model.recommend(5, 40)[0], want)
    model.update_items([0], sp.csr_array((1, 80)))


@pytest.mark.parametrize("through_file", [False, True])
def test_arguments_set_after_a_fit_change_only_the_next_fit(tmp_path, matrix, through_file):
    """A fitted model answers with the arguments of its fit. Its file holds these, and not the ones set later."""
    model = ALS(factors=4, alpha=3.0, random_state=0, iterations=3).fit(matrix)
    row, loss, part = model.fold_in(matrix[:2]), model.loss(matrix), model.explain(5, 7).total
    model.set_params(alpha=50.0, objective="ials", regularization=9.0, factors=9)
    if through_file:
        model.save(tmp_path / "m")
        model = cymbals.load(tmp_path / "m")
    assert np.array_equal(model.fold_in(matrix[:2]), row)
    assert model.loss(matrix) == loss
    assert model.explain(5, 7).total == part
    assert model.fit(matrix).user_factors_.shape[1] == (4 if through_file else 9)


def test_ids_of_a_model(matrix):
    data = Interactions.from_csr(matrix, user_ids=[f"u{k}" for k in range(80)])
    model = ALS(2, random_state=0).fit(data)
    assert model.user_ids_.tolist() == data.user_ids.tolist()
    assert model.item_ids_.tolist() == list(range(50))
    assert "\n" not in repr(model.users_)


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    liked = planted_clusters(rng, (150, 80), 0.4, 0.05)
    return sp.csr_array(liked * rng.integers(1, 30, (150, 80)).astype(np.float32))


def test_grid_search_cv(plays):
    GridSearchCV = pytest.importorskip("sklearn.model_selection").GridSearchCV
    found = GridSearchCV(ALS(iterations=3, random_state=0), {"factors": [2, 6], "regularization": [0.1, 1e4]}, cv=3).fit(
        plays
    )
    assert found.best_params_["regularization"] == 0.1
    assert 0.5 < found.best_score_ < 1
    rated = GridSearchCV(ALS(iterations=3, objective="explicit", biases=True, random_state=0), {"factors": [2, 3]}, cv=2)
    assert rated.fit(plays).best_score_ < 0


def test_score_is_the_auc_of_folded_in_users(plays):
    model = ALS(factors=6, random_state=0).fit(plays[:100])
    rest, held_out = split.random(plays[100:], 0.1, 0)
    x = model.fold_in(rest)
    auc = []
    for u in range(50):
        seen, positives = set(rest[[u]].indices.tolist()), held_out[[u]].indices.tolist()
        scores = model.item_factors_ @ x[u]
        others = [i for i in range(80) if i not in seen and i not in positives]
        if positives:
            auc.append(np.mean([[scores[p] > scores[o] for o in others] for p in positives]))
    assert model.score(plays[100:]) == pytest.approx(np.mean(auc), abs=1e-3)


ARGUMENTS = {
    "factors": (0, -1, 2.5, "8", None, True, 10**9, np.nan),
    "regularization": (-1, math.nan, math.inf, "x", None, 1j),
    "alpha": (-0.5, math.nan, math.inf, "1", None, [1]),
    "unobserved_weight": (-1, math.nan, "a", None),
    "objective": ("HU", "", None, 3, ["hu"]),
    "confidence": ("linea", None, 5, b"log"),
    "nu": (-1, math.nan, "a", None),
    "solver": ("fast", None, 1),
    "cg_steps": (0, -3, 1.5, None),
    "iterations": (0, -1, 2.0, "3", None),
    "tol": (-1e-3, math.nan, "x"),
    "dtype": ("float16", "int32", None, object, "no such", 7),
    "n_threads": (0, -2, 1.5, "2", 10**6),
    "random_state": ("seed", -1, 1.5, [1]),
    "compact": (None, 1, "yes"),
    "relaxation": (0, -1, 2, 2.5, math.nan, "1"),
    "row_size": ("n", None, 1, ["entries"]),
}
CASES = {f"ALS {name}={value!r}": (name, value) for name, values in ARGUMENTS.items() for value in values}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name):
    argument, value = CASES[name]
    check_refused(lambda: ALS(**{argument: value}).fit(SMALL), argument)
