"""Folding in users: the same as a half-step, and the same for one row as for many."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import dense_of, random_matrix

import cymbals
from cymbals import ALS
from cymbals.data.csr import from_scipy
from cymbals.model.arguments import settings_of
from cymbals.solve.basis import beside_diagonal
from cymbals.solve.fold_in import FixedSide
from cymbals.solve.half_step import without_biases


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


@pytest.mark.parametrize("mean", [None, 3.5])
def test_a_side_whose_rows_change_stays_in_its_basis_while_the_gramian_is_nearly_diagonal(mean):
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((4000, 6)) * np.arange(1, 7)
    side = FixedSide.of(factors, 2, mean)
    changed = np.concatenate([factors, rng.standard_normal((2, 6))])
    changed[7] *= 1.5
    at = np.array([7, 4000, 4001])
    got, want = side.with_rows(changed, at, 2, mean), FixedSide.of(changed, 2, mean)
    assert got.vectors is side.vectors
    assert beside_diagonal(got.gram) > beside_diagonal(want.gram)
    fixed = without_biases(changed, mean)[0]
    assert np.allclose(got.rotated @ side.vectors.T, fixed)
    assert np.allclose(got.gram, side.vectors.T @ fixed.T @ fixed @ side.vectors)
    rows = from_scipy("rows", random_matrix((20, 4002), density=0.01), 1)
    settings = settings_of(ALS(regularization=0.1, solver="exact").get_params())
    assert np.allclose(got.solve(rows, settings, 2), want.solve(rows, settings, 2), rtol=0.01, atol=1e-3)
    changed[:2000] *= 3
    assert side.with_rows(changed, np.arange(4002), 2, mean) is None
    nothing = FixedSide.of(np.zeros((30, 3)), 1)
    assert nothing.with_rows(np.ones((30, 3)), np.arange(30), 1) is None


def test_a_side_that_is_diagonal_already_is_not_copied():
    """So are the users after a fit, whose last half-step is in their basis."""
    matrix = random_matrix((300, 100), density=0.1)
    model = ALS(factors=5, random_state=0).fit(matrix)
    side = FixedSide.of(model.user_factors_, 2)
    assert side.vectors is None
    assert np.shares_memory(side.rotated, model.user_factors_)
    changed = model.user_factors_.copy()
    changed[3] *= 1.001
    assert side.with_rows(changed, np.array([3]), 2).rotated is changed
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0].astype(np.float32)
    turned = FixedSide.of(model.user_factors_ @ turn, 2)
    assert np.allclose(side.spectrum, turned.spectrum, rtol=1e-4)
