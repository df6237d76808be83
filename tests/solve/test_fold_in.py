"""Folding in users: the same as a half-step, and the same for one row as for many."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import dense_of, random_matrix

import cymbals
from cymbals import ALS


@pytest.mark.parametrize("kind", ["hu", "ials", "explicit"])
def test_fold_in_is_a_half_step(kind, matrix):
    how = {"objective": kind, "regularization": 0.2, "nu": 0.5, "unobserved_weight": 0.6, "alpha": 1.5}
    model = ALS(factors=7, iterations=4, dtype="float64", random_state=0, **how).fit(matrix)
    y = model.item_factors_
    want = reference.solve(dense_of(matrix), y, kind, 0.2, 0.5, 1.5, 0.6)
    assert np.abs(model.fold_in(matrix) - want).max() <= 1e-8 * np.abs(want).max()
    assert model.fold_in(sp.csr_array((2, 50))).tolist() == [[0] * 7] * 2
    assert not np.shares_memory(model.item_factors_, model.fold_in(matrix))


@pytest.mark.parametrize("params", [{"objective": "explicit", "regularization": 0.0}, {}, {"objective": "ials", "nu": 1.0}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_single_row_gets_the_same_solution_as_among_others(params, dtype):
    matrix = random_matrix((60, 40), density=0.2)
    model = cymbals.ALS(factors=30, iterations=3, random_state=0, dtype=dtype, **params).fit(matrix)
    together = model.fold_in(matrix)
    for u in range(60):
        np.testing.assert_allclose(model.fold_in(matrix[[u]])[0], together[u], rtol=1e-5, atol=1e-6)


def test_a_row_that_cannot_be_solved_is_named(data):
    model = ALS(factors=8, alpha=100.0, iterations=2, random_state=0).fit(data)
    row = sp.csr_array(np.full((1, 50), 3e38, np.float32))
    with pytest.raises(cymbals.SolveError, match="u7"):
        model.update_users(["u7"], row)
    with pytest.raises(cymbals.SolveError, match="row 0"):
        model.fold_in(row)
    with pytest.raises(ValueError, match="beyond their dtype"):
        ALS(factors=4).fit(sp.eye_array(5, format="csr"), init=(np.full((5, 4), 1e30), np.full((5, 4), 1e30)))


def test_recommend_for_rows_equals_fold_in(model, matrix):
    ids, scores = model.recommend(rows=matrix[[5, 9]], n=4)
    assert ids.shape == (2, 4)
    want = model.fold_in(matrix[[5, 9]]) @ model.item_factors_.T
    want[matrix[[5, 9]].toarray() > 0] = -np.inf
    assert np.array_equal(ids, model.items_.array[np.argsort(-want, axis=1, kind="stable")[:, :4]])
    assert scores == pytest.approx(-np.sort(-want, axis=1)[:, :4])
    assert model.recommend(rows=matrix.tocsr()[5:6].tocoo().reshape(50), n=4)[0].shape == (4,)
