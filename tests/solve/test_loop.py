"""The fit loop: losses, callbacks, tolerance, over-relaxation, and half-steps that fail."""

import itertools

import numpy as np
import pytest
import reference
from conftest import dense_of, random_matrix

import cymbals
from cymbals import ALS
from cymbals.solve import loop

M = random_matrix((60, 40), 0.1, seed=1)


def test_loss_falls_and_history_records_it(matrix):
    seen = []
    model = ALS(factors=5, iterations=7, random_state=0)
    model.fit(matrix, compute_loss=True, callback=lambda m, i: seen.append((m is model, i)))
    losses = [h["loss"] for h in model.history_]
    assert all(b <= a * (1 + 1e-5) for a, b in itertools.pairwise(losses))
    assert [h["iteration"] for h in model.history_] == list(range(1, 8))
    assert seen == [(True, i) for i in range(1, 8)]
    assert model.loss(matrix) == pytest.approx(losses[-1], rel=1e-6)
    assert model.n_iter_ == 7


def test_callback_and_tolerance_stop(matrix):
    assert ALS(factors=4, random_state=0).fit(matrix, callback=lambda m, i: i == 3).n_iter_ == 3
    assert ALS(factors=4, random_state=0, iterations=200, tol=1e-3).fit(matrix).n_iter_ < 100


def test_nothing_of_an_earlier_fit_is_reused(matrix):
    wide = random_matrix((100, 90), 0.1)
    again = ALS(factors=6, random_state=3).fit(wide).fit(matrix)
    fresh = ALS(factors=6, random_state=3).fit(matrix)
    assert np.array_equal(again.user_factors_, fresh.user_factors_)


def test_if_a_half_step_fails_the_model_keeps_the_state_from_before_the_fit(matrix, monkeypatch):
    model = ALS(factors=4, random_state=0, iterations=2).fit(matrix)
    want, history = model.recommend(5)[0], model.history_
    calls = []

    def dying(*args):
        calls.append(args)
        if len(calls) == 4:
            raise MemoryError
        return real(*args)

    real = loop.half_step
    monkeypatch.setattr(loop, "half_step", dying)
    with pytest.raises(MemoryError):
        model.set_params(random_state=9).fit(matrix)
    assert np.array_equal(model.recommend(5)[0], want)
    assert model.history_ is history


def test_a_failed_fit_keeps_the_model(matrix, model):
    state = model._state
    bad = matrix.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="nan"):
        model.fit(bad)
    model.set_params(alpha=1e308)
    with pytest.raises(cymbals.SolveError, match="user 0"):
        model.fit(matrix)
    assert model._state is state


@pytest.mark.parametrize("solver", ["auto", "exact"])
@pytest.mark.parametrize("objective", ["hu", "explicit"])
def test_with_relaxation_the_loss_falls_in_every_iteration_and_ends_lower(matrix, solver, objective):
    """With over-relaxation the loss falls in each iteration. In the end, it is below the loss without over-relaxation."""
    losses = {}
    for relaxation in (1.0, 1.5, 1.9):
        model = ALS(factors=8, objective=objective, unobserved_weight=1.0, solver=solver, iterations=12, dtype="float64")
        model.set_params(relaxation=relaxation, regularization=0.1, random_state=0)
        losses[relaxation] = [h["loss"] for h in model.fit(matrix, compute_loss=True).history_]
        assert np.all(np.diff(losses[relaxation]) < 0)
    assert losses[1.5][-1] < losses[1.0][-1]


def test_the_first_iteration_is_not_relaxed_and_only_solver_auto_relaxes_by_default(matrix):
    plain, relaxed = (ALS(factors=6, iterations=1, relaxation=by, random_state=0).fit(matrix) for by in (1, 1.8))
    np.testing.assert_array_equal(plain.item_factors_, relaxed.item_factors_)
    plain, default = (ALS(factors=6, solver="exact", relaxation=by, random_state=0).fit(matrix) for by in (1, None))
    np.testing.assert_array_equal(plain.item_factors_, default.item_factors_)
    plain, default = (ALS(factors=6, relaxation=by, random_state=0).fit(matrix) for by in (1, None))
    assert default.loss(matrix) < plain.loss(matrix)
    with pytest.raises(ValueError, match="relaxation must be below 2"):
        ALS(relaxation=2).fit(matrix)


@pytest.mark.parametrize("solve", ["auto", "exact"])
def test_tol_ends_after_an_iteration_without_relaxation(solve):
    """Over-relaxed factors do not solve their half-step: a fit ended by `tol` adds an iteration without over-relaxation."""
    how = {"factors": 8, "regularization": 0.1, "dtype": "float64", "random_state": 0, "solver": solve, "relaxation": 1.7}
    model = ALS(iterations=50, tol=0.05, **how).fit(M)
    assert model.n_iter_ < 50
    x, y = model.user_factors_, model.item_factors_
    want = reference.solve(dense_of(M.T.tocsr()), x, "hu", reg=0.1)
    assert np.abs(x @ (y - want).T).max() < (1e-8 if solve == "exact" else 1e-2)
    losses = [h["loss"] for h in model.history_]
    assert losses[-1] <= min(losses)


def test_iterations_take_no_memory():
    model = ALS(factors=2, iterations=2**31 - 1, tol=1e-3, random_state=0).fit(random_matrix((30, 20), 0.3))
    assert model.n_iter_ < 100


def test_tol_does_not_read_history_which_callbacks_may_change(matrix):
    params = {"factors": 4, "tol": 1e-2, "random_state": 0}
    want = ALS(**params).fit(matrix).item_factors_
    model = ALS(**params).fit(matrix, callback=lambda m, iteration: m.history_[-1].clear())
    assert np.array_equal(model.item_factors_, want)
