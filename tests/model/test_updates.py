"""Updating and adding users and items of a fitted model."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from bad_input import MASKED, TEN, broken_csr, check_refused, masked, poked
from conftest import SMALL, dense_of, random_matrix

from cymbals import ALS


def test_update_users_and_items(model, matrix, data):
    before = model.item_factors_.copy()
    new = random_matrix((4, 50), 0.3, seed=9)[[0, 3]]
    model.update_users(["u5", "new"], new)
    assert model.user_factors_.shape == (81, 8)
    assert np.allclose(model.user_factors_[[5, 80]], model.fold_in(new))
    assert np.array_equal(model.item_factors_, before)
    got = model.recommend("new", 50)[0]
    assert not set(got.tolist()) & set((new[[1]].indices * 10).tolist())
    column = random_matrix((4, 81), 0.3, seed=2)[[3]]
    model.update_items([1234], column)
    assert model.item_factors_.shape == (51, 8)
    assert model.item_names_.tolist()[-1] is None
    assert 1234 not in model.recommend("u5", 60)[0]  # everyone has it now
    want = reference.solve(dense_of(column), model.user_factors_, "hu", 0.1)
    assert np.allclose(model.item_factors_[50], want[0])
    state = model._state
    for bad in (lambda: model.update_users(["x", "x"], new), lambda: model.update_users(["x"], new),
                lambda: model.update_users(["x"], sp.csr_array((1, 3)))):  # fmt: skip
        with pytest.raises(ValueError, match=r"distinct|names|column"):
            bad()
        assert model._state is state


def test_new_users_of_a_model_without_ids_get_the_next_row_numbers(matrix):
    model = ALS(factors=4, random_state=0).fit(matrix)
    model.update_users([80, 81], matrix[[0, 3]])
    assert model.user_factors_.shape[0] == 82
    with pytest.raises(KeyError, match="row numbers"):
        model.update_users([99], matrix[[0]])


def test_updates_name_the_id_that_is_refused():
    matrix = random_matrix((9, 8), 0.4)
    model = ALS(factors=2, iterations=1, random_state=0).fit(matrix)
    with pytest.raises(ValueError, match="distinct; 1 appears more than once"):
        model.update_users([1, 1], matrix[:2])
    with pytest.raises(KeyError, match="must be the next row numbers, 9; got 12"):
        model.update_users([12], matrix[:1])


@pytest.mark.parametrize("name", ["ids"])
def test_masked_entries_are_counted_and_refused(name, small_model):
    with pytest.raises(ValueError, match=f"^{name}: {MASKED}"):
        small_model.update_users(masked(TEN), SMALL[:10])


CASES = {
    "model update twice": lambda model: model.update_users([0, 0], SMALL[[0, 1]]),
    "model update count": lambda model: model.update_users([0], SMALL[[0, 1]]),
    "model update gap": lambda model: model.update_users([25], SMALL[[0]]),
    "model update text": lambda model: model.update_users(["a"], SMALL[[0]]),
    "model update narrow": lambda model: model.update_items([0], SMALL[[0]]),
    "model update nan": lambda model: model.update_users([0], broken_csr(data=poked(SMALL.data, 1, np.nan))[[0]] * np.nan),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, small_model):
    state = small_model._state
    check_refused(lambda: CASES[name](small_model))
    assert small_model._state is state
