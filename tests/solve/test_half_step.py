"""Half-steps: how accurately rows are solved, also with very large and very small numbers, and which are refused."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import FLOATS, csr_of, dense_of, objective, random_matrix

from cymbals import ALS, Interactions, SolveError
from cymbals.solve.half_step import Settings, half_step, solve_rows
from cymbals.solve.objective import Objective

M = random_matrix((60, 40), 0.1, seed=1)


def test_solver_auto_does_at_least_cg_steps_steps(matrix):
    at = {}
    for steps in (1, 2, 6):
        model = ALS(factors=16, cg_steps=steps, alpha=0.1, iterations=1, random_state=0)
        at[steps] = model.fit(matrix).report_["cg_steps"]
    assert at[1] <= at[2] < at[6]


def test_empty_rows_do_not_change_the_choice_of_solver():
    dense = random_matrix((300, 200), 0.2).toarray()
    dense[:, :30] = np.maximum(dense[:, :30], 1)
    dense[1, 30:] = 2
    for part in (dense, np.pad(dense, ((0, 1), (0, 1)))):
        model = ALS(factors=64, objective="explicit", nu=1.0, regularization=0.3, iterations=2, random_state=0)
        report = model.fit(sp.csr_array(part)).report_
        assert report["rows_cg"] > 900
        assert report["rows_primal"] + report["rows_dual"] < 100


def test_a_row_that_overflows_does_not_change_other_rows():
    """A row that overflows float32 is solved in float64; rows after it get the same bits for any number of threads."""
    rng = np.random.default_rng(0)
    values = np.full((300, 100), 0.0)
    values[0] = 1e36
    values[1:] = rng.integers(0, 9, (299, 100)) * (rng.random((299, 100)) < 0.2)
    data = Interactions.from_csr(sp.csr_array(values))
    y = (np.abs(rng.standard_normal((100, 17))) * 100).astype(np.float32)
    goal = Objective.checked(
        objective="explicit", alpha=1.0, unobserved_weight=0.0, confidence="linear", regularization=1.0, nu=0.0
    )
    results = []
    for n_threads in (1, 2, 5):
        x = np.zeros((300, 17), np.float32)
        info = solve_rows(data.csr, y, np.zeros(17), x, Settings(goal, "cg"), n_threads)
        assert info["rows_cg"] > 250
        results.append(x)
    assert all(np.array_equal(results[0], x) for x in results[1:])


@pytest.mark.parametrize("how", ["auto", "exact"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_more_factors_than_rank_and_hardly_any_regularization(dtype, how):
    """Rounding loses the smallest eigenvalues of the Gramian. Factors must not grow along their eigenvectors."""
    worst = []
    for seed in range(4):
        pattern = sp.random(45, 40, 0.09, format="csr", random_state=seed)
        pattern.data[:] = 1
        for regularization in (0.0, 1e-14, 1e-12):
            model = ALS(factors=64, regularization=regularization, iterations=6, dtype=dtype, solver=how, random_state=0)
            worst.append(max(h["loss"] for h in model.fit(pattern, compute_loss=True).history_))
    # In float32, factors drift in directions that the data do not determine: of 240 fits, one had a loss above 0.01, and
    # none above 0.05.
    assert np.median(worst) < 1e-3
    assert max(worst) < (0.05 if dtype == "float32" else 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_explicit_with_hardly_any_regularization(matrix, dtype):
    for regularization in (0.0, 1e-300, 1e-38, 1e-31, 1e-20):
        model = ALS(factors=3, objective="explicit", regularization=regularization, dtype=dtype, random_state=0)
        model.fit(matrix)
        assert np.isfinite(model.user_factors_).all()
        assert model.loss(matrix) < 20


# -- large and small values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
@pytest.mark.parametrize("scale", [1.0, 3e18, 1e19, 1e22])
def test_huge_ratings_scale_the_predictions(scale, solve):
    """The squares of the largest ones overflow float32."""
    ratings = random_matrix((60, 40), 0.2)
    ratings.data = (ratings.data * scale).astype(np.float32)
    start = [np.random.default_rng(0).standard_normal((n, 4)) * 0.1 for n in ratings.shape]
    how = {"factors": 4, "regularization": 0.1 * scale, "objective": "explicit", "iterations": 3, "relaxation": 1}
    model = ALS(solver=solve, cg_steps=8, **how).fit(ratings, init=start, compute_loss=True)
    (*_, (x, y)) = reference.fit(dense_of(ratings), *start, 3, kind="explicit", reg=0.1 * scale)
    want = reference.loss(dense_of(ratings), x, y, "explicit", reg=0.1 * scale)
    assert model.history_[-1]["loss"] == pytest.approx(want, rel=0.02)


@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
def test_ratings_beyond_float32_are_refused(solve):
    ratings = random_matrix((60, 40), 0.2)
    ratings.data = (ratings.data * 1e30).astype(np.float32)
    with pytest.raises((ValueError, SolveError), match="float64"):
        ALS(factors=4, objective="explicit", solver=solve, random_state=0, iterations=3).fit(ratings)


@pytest.mark.parametrize("kind", ["hu", "ials"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [1e3, 1e5, 1e7, 1e9])
def test_with_heavy_weights_auto_reaches_the_loss_of_exact(alpha, dtype, kind):
    """More factors than most rows have entries, and weights so large that rounding hides the regularization."""
    start = [np.random.default_rng(1).standard_normal((n, 32)) * 0.1 / 32**0.5 for n in M.shape]
    how = {"factors": 32, "alpha": alpha, "unobserved_weight": 0.01, "objective": kind, "dtype": dtype}
    losses = {}
    for solve in ("auto", "exact"):
        model = ALS(solver=solve, iterations=8, relaxation=1, **how).fit(M, init=start, compute_loss=True)
        losses[solve] = model.history_[-1]["loss"]
    assert losses["auto"] == pytest.approx(losses["exact"], rel=0.02)
    (*_, (x, y)) = reference.fit(dense_of(M), *start, 8, kind=kind, alpha=min(alpha, 1e7), alpha0=0.01)
    want = reference.loss(dense_of(M), x, y, kind, alpha=min(alpha, 1e7), alpha0=0.01)
    assert losses["exact"] == pytest.approx(want, rel=0.02)


@pytest.mark.parametrize("confidence", ["linear", "log", "binary", "total"])
@pytest.mark.parametrize("kind", ["hu", "ials"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
def test_weights_without_a_solution_name_their_row(solve, dtype, kind, confidence):
    if (kind, confidence) == ("ials", "total"):
        pytest.skip("ALS refuses this combination of arguments")
    for alpha in (1e40, 1e308):
        with pytest.raises(SolveError, match=r"user 0 \(row 0\)"):
            ALS(4, alpha=alpha, objective=kind, confidence=confidence, solver=solve, dtype=dtype).fit(M, compute_loss=True)


@pytest.mark.parametrize(("dtype", "scales"), [("float32", (1e-15, 1e-18, 1e-25)), ("float64", (1e-35, 1e-100))])
@pytest.mark.parametrize("solver", ["auto", "exact"])
def test_weights_and_regularization_scaled_alike_change_nothing(solver, dtype, scales):
    """A stored weight far below the dtype's rounding still counts where all other weights are as small."""
    matrix = random_matrix((60, 40), 0.2, values=(1, 9))

    def loss(scale):
        how = {"alpha": scale, "unobserved_weight": scale, "regularization": 0.01 * scale}
        model = ALS(8, objective="ials", solver=solver, dtype=dtype, random_state=0, iterations=5, **how).fit(matrix)
        return model.loss(matrix) / scale

    want = loss(1.0)
    for scale in scales:
        assert loss(scale) == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("how", [{"alpha": 1e13}, {"alpha": 1e30}, {"alpha": 1e33, "dtype": "float64"}])
def test_error_for_too_heavy_rows_says_what_helps(how):
    with pytest.raises(SolveError, match=r"add up to more.*lower alpha"):
        ALS(4, random_state=0, **how).fit(random_matrix((30, 20), 0.3))


# -- where conjugate gradients stop ----------------------------------------------------------------------------------


def excess_and_explained(matrix, y, x, want):
    """Returns four numbers for each row. `x` has the solutions to judge, and `want` the exact ones.

    The numbers are: the loss in `x` minus the loss of the exact solution; the loss that the exact solution explains; the
    loss that remains with it; and the number of entries of the row.
    """
    dense, out = dense_of(matrix), []
    for row, mine, best in zip(dense, x.astype(np.float64), want, strict=True):
        seen = ~np.isnan(row)
        a, b, c = reference.weights(row[seen], "hu")

        def loss(z, a=a, b=b, c=c, seen=seen):
            s = y @ z
            return np.sum(a * s[seen] ** 2 - 2 * b * s[seen] + c) + np.sum(s**2) + 0.01 * z @ z

        out.append((loss(mine) - loss(best), loss(0 * best) - loss(best), loss(best), np.sum(seen)))
    return np.array(out).T


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("largest", [6, 400, 20_000])
def test_each_row_is_within_the_tolerance_of_its_solution(largest, dtype):
    """A row's loss exceeds the best by at most 4 tolerance^2 times the explained or the remaining loss.

    The bound uses the smaller of these two losses. A tiny remaining loss is replaced by `least`, and rounding is allowed.
    """
    matrix = random_matrix((300, 200), 0.08, seed=3, values=(1, largest))
    matrix.data[:] = np.exp(np.random.default_rng(0).uniform(0, np.log(largest), matrix.nnz))
    y = np.random.default_rng(0).standard_normal((200, 24)) * 0.5
    fixed, x, tolerance = y.astype(dtype), np.zeros((300, 24), dtype), 0.016
    settings = Settings(objective(), cg_tolerance=tolerance)
    info = half_step(csr_of(matrix), fixed, x, settings, 2)  # rotates `fixed`, and so changes the basis of x
    assert info["rows_cg"] > 0
    want = reference.solve(dense_of(matrix), fixed.astype(np.float64), "hu")
    excess, explained, left, n = excess_and_explained(matrix, fixed.astype(np.float64), x, want)
    least = np.maximum(1e-3 * np.minimum(explained, n), 8 * np.finfo(dtype).eps * (explained + left))
    part = np.minimum(np.maximum(left, least), np.maximum(explained, 0))
    assert np.all(excess <= 4 * tolerance**2 * part * 1.01 + 1e-6 * (explained + left) * (dtype == "float32") + 1e-9)


def test_cg_does_not_stop_too_early_for_ratings_far_from_zero():
    """Their mean explains nearly all of the loss. A tolerance relative to the explained loss would stop CG too early."""
    rng = np.random.default_rng(0)
    ratings = sp.random_array((300, 200), density=0.2, format="csr", rng=0)
    ratings.data[:] = 1000 + rng.standard_normal(ratings.nnz)
    how = {"factors": 8, "objective": "explicit", "iterations": 6, "dtype": "float64", "relaxation": 1}
    for seed in range(4):
        models = (ALS(solver=solver, random_state=seed, **how) for solver in ("auto", "exact"))
        auto, exact = (model.fit(ratings, compute_loss=True).history_[-1]["loss"] for model in models)
        assert auto < 1.03 * exact
