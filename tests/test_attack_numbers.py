"""Numbers at the ends of what floats hold: the right result, or an error that names the row or the argument."""

import datetime

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import FLOATS, csr_of, dense_of, objective, random_matrix

from cymbals import ALS, Interactions, SolveError, weighting
from cymbals.data.ids import Ids
from cymbals.model.factor_model import FactorModel
from cymbals.model.state import State
from cymbals.solve.half_step import Settings, half_step

M = random_matrix((60, 40), 0.1, seed=1)


def model_of(x, y):
    model = FactorModel()
    model._state = State(x, y, Ids("user", len(x)), Ids("item", len(y)), None, None)
    return model


def factors(n_users, n_items, rank, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, rank)).astype(dtype) for n in (n_users, n_items))


# -- tiny factors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "user_scale", "item_scale"),
    [
        ("float64", 1e-163, 1e-163),
        ("float64", 1.0, 1e-200),
        ("float64", 1e200, 1e-200),
        ("float64", 1e-320, 1.0),
        ("float32", 1e-22, 1e-22),
        ("float32", 1e-23, 1e-23),
        ("float32", 1e-38, 1e-3),
        ("float32", 1e19, 1e-19),
        ("float32", 3e18, 3e18),
        ("float32", 1e19, 1e19),
    ],
)
def test_index_screen_and_plain_search_agree_on_tiny_factors(dtype, user_scale, item_scale):
    x, y = factors(300, 4000, 24, dtype)
    model = model_of(x * np.array(user_scale, dtype), y * np.array(item_scale, dtype))
    everybody = np.arange(300)
    screened = model.recommend(everybody, 10, exclude_seen=False)
    plain = model.recommend(everybody[:30], 10, exclude_seen=False, candidates=np.arange(4000))
    by_index = [model.recommend(u, 10, exclude_seen=False) for u in range(30)]
    for u in range(30):
        for found in ((screened[0][u], screened[1][u]), by_index[u]):
            np.testing.assert_array_equal(found[0], plain[0][u])
            np.testing.assert_array_equal(found[1], plain[1][u])


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("float64", 1e-163),
        ("float64", 1e-310),
        ("float64", 1e160),
        ("float64", 1e300),
        ("float32", 1e-23),
        ("float32", 1e-40),
        ("float32", 1e20),
        ("float32", 1e37),
    ],
)
def test_cosines_do_not_depend_on_lengths(dtype, scale):
    x, y = factors(20, 300, 8, dtype)
    y = np.round(y * 8) / 8  # so that scaling down to subnormal numbers loses little
    y[5] = 0  # an item without entries has no direction
    scaled = y * np.array(scale, dtype)
    scaled[::3] = y[::3]  # beside ordinary ones
    want, got = (model_of(x, f).similar_items(np.arange(300), 10) for f in (y, scaled))
    tolerance = 1e-2 if dtype == "float32" and scale < 1e-38 else 1e-5
    filled = np.isfinite(want[1])
    assert np.array_equal(filled, np.isfinite(got[1]))
    assert np.abs(got[1][filled] - want[1][filled]).max() < tolerance
    assert got[1][filled].max() <= 1 + tolerance
    assert not np.any(got[0] == 5)


# -- large values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
@pytest.mark.parametrize("scale", [1.0, 3e18, 1e19, 1e22])
def test_huge_ratings_scale_the_predictions(scale, solve):
    """In float32 their squares overflow."""
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
def test_heavy_weights_are_solved_as_well_as_exactly(alpha, dtype, kind):
    """More factors than most rows have entries, and weights beside which rounding hides the regularization."""
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


@pytest.mark.parametrize("confidence", ["linear", "log", "binary"])
@pytest.mark.parametrize("kind", ["hu", "ials"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
def test_weights_without_a_solution_name_their_row(solve, dtype, kind, confidence):
    for alpha in (1e40, 1e308):
        with pytest.raises(SolveError, match=r"user 0 \(row 0\)"):
            ALS(4, alpha=alpha, objective=kind, confidence=confidence, solver=solve, dtype=dtype).fit(M, compute_loss=True)


def test_a_loss_that_overflows_is_refused():
    model = ALS(factors=3, objective="explicit", iterations=2, random_state=0, dtype="float64").fit(M)
    with pytest.raises(ValueError, match="loss overflows"):
        model.loss(M.astype(np.float64) * 1e200)


# -- where conjugate gradients stop ----------------------------------------------------------------------------------


def excess_and_explained(matrix, y, x, want):
    """What each row of x loses beside the best, and what the best explains, leaves over and has to explain."""
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
def test_each_row_is_as_near_its_best_as_the_tolerance_says(largest, dtype):
    """From a start of zeros a row's excess loss is at most four times tolerance^2 of what is explained or is left."""
    matrix = random_matrix((300, 200), 0.08, seed=3, values=(1, largest))
    matrix.data[:] = np.exp(np.random.default_rng(0).uniform(0, np.log(largest), matrix.nnz))
    y = np.random.default_rng(0).standard_normal((200, 24)) * 0.5
    fixed, x, tolerance = y.astype(dtype), np.zeros((300, 24), dtype), 0.016
    settings = Settings(objective(), cg_tolerance=tolerance)
    info = half_step(csr_of(matrix), fixed, x, settings, 2)  # which rotates `fixed`, and so the basis of x
    assert info["rows_cg"] > 0
    want = reference.solve(dense_of(matrix), fixed.astype(np.float64), "hu")
    excess, explained, left, n = excess_and_explained(matrix, fixed.astype(np.float64), x, want)
    least = np.maximum(1e-3 * np.minimum(explained, n), 8 * np.finfo(dtype).eps * (explained + left))
    part = np.minimum(np.maximum(left, least), np.maximum(explained, 0))
    assert np.all(excess <= 4 * tolerance**2 * part * 1.01 + 1e-6 * (explained + left) * (dtype == "float32") + 1e-9)


def test_ratings_far_from_zero_are_fitted_to_what_is_left():
    """A thousandth of what such ratings explain is more than all that there is to learn."""
    rng = np.random.default_rng(0)
    ratings = sp.random_array((300, 200), density=0.2, format="csr", rng=0)
    ratings.data[:] = 1000 + rng.standard_normal(ratings.nnz)
    how = {"factors": 8, "objective": "explicit", "iterations": 6, "dtype": "float64", "random_state": 0}
    auto, exact = (ALS(solver=s, **how).fit(ratings, compute_loss=True).history_[-1]["loss"] for s in ("auto", "exact"))
    assert auto < 1.02 * exact


@pytest.mark.parametrize("solve", ["auto", "exact"])
def test_tol_ends_at_a_solution(solve):
    """Over-relaxed factors are not yet the solution of their half-step; one more iteration makes them so."""
    how = {"factors": 8, "regularization": 0.1, "dtype": "float64", "random_state": 0, "solver": solve, "relaxation": 1.7}
    model = ALS(iterations=50, tol=0.05, **how).fit(M)
    assert model.n_iter_ < 50
    x, y = model.user_factors_, model.item_factors_
    want = reference.solve(dense_of(M.T.tocsr()), x, "hu", reg=0.1)
    assert np.abs(x @ (y - want).T).max() < (1e-8 if solve == "exact" else 1e-2)
    losses = [h["loss"] for h in model.history_]
    assert losses[-1] <= min(losses)


# -- explanations, ties, times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "how",
    [
        {"regularization": 0.0},
        {"regularization": 1e-14},
        {"alpha": 1e9},
        {"alpha": 1e9, "regularization": 0.0},
        {"objective": "ials", "alpha": 1e8, "unobserved_weight": 1e-6},
        {"objective": "explicit", "regularization": 0.0},
        {"objective": "explicit", "regularization": 1e-9},
        {"unobserved_weight": 2.5, "alpha": 0.2},
        {"alpha": 0.0},
    ],
    ids=str,
)
def test_an_explanation_adds_up_to_the_folded_in_score(how, dtype):
    """More factors than the matrix has rank: the plain system is singular or nearly so."""
    model = ALS(factors=50, dtype=dtype, random_state=0, iterations=3, **how).fit(M)
    items, scores = model.item_factors_.astype(np.float64), []
    for user in (2, 3, 17):
        folded = items @ model.fold_in(M[[user]])[0].astype(np.float64)
        scores.append(np.abs(folded).max())
        for item in (0, 7, 20):
            found = model.explain(user, item, n=None)
            tolerance = (2e-3 if dtype == "float32" else 1e-6) * max(scores[-1], 1e-30)
            assert abs(found.total - folded[item]) <= tolerance, (user, item)
            assert found.total == pytest.approx(sum(part for _, part in found.contributions), abs=tolerance)
            assert len(found.contributions) == np.diff(M.indptr)[user]


def test_with_biases_ties_are_those_of_the_scores_returned():
    """Adding the mean rounds scores that differ to equal ones; among these the lower row comes first."""
    rng = np.random.default_rng(0)
    rows = random_matrix((40, 300), 0.3, values=(1, 6))
    model = ALS(factors=2, objective="explicit", biases=True, random_state=0, iterations=2).fit(rows)
    state = model.state_
    x, y = state.x.copy(), state.y.copy()
    x[:, :-1], y[:, :2] = 0, 0
    y[:, -1] = rng.permutation(300) * 1e-11  # all the same beside a mean of 3
    model.replace_state(state.changed(x=x, y=y))
    for found in (model.recommend(0, 20, exclude_seen=False), model.rank_items(0, np.arange(20))):
        assert found[0].tolist() == list(range(20))
        assert np.unique(found[1]).size == 1
    assert model.recommend([0, 4], 20, exclude_seen=False, candidates=np.arange(300))[0][1].tolist() == list(range(20))
    np.testing.assert_array_equal(model.predict([0], [7]), model.rank_items(0, [7])[1])


def test_decay_over_more_than_292_years():
    """The difference of two dates may be longer than 63 bits of nanoseconds, and so may that of two whole numbers."""
    dates = np.array(["1700-01-01", "2200-01-01", "2100-01-01"], "M8[ns]")
    data = Interactions.from_arrays([1, 1, 2], [5, 6, 7], np.full(3, 8.0), times=dates)
    days = (dates.max().astype("M8[D]") - dates.astype("M8[D]")).astype(float)
    decayed = weighting.time_decay(data, datetime.timedelta(days=36_525))
    np.testing.assert_allclose(decayed.csr.data, 8 * 0.5 ** (days / 36_525), rtol=1e-6)
    numbers = Interactions.from_arrays([1, 1], [5, 6], [8, 8], times=[-(2**63), 2**63 - 1])
    np.testing.assert_allclose(weighting.time_decay(numbers, 2**62).csr.data, [0.5, 8.0])
    for half_life in (datetime.timedelta(days=200_000), np.timedelta64("NaT")):
        with pytest.raises(ValueError, match="half_life"):
            weighting.time_decay(data, half_life)


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
def test_confidences_beyond_rounding_say_what_helps(how):
    with pytest.raises(SolveError, match=r"add up to more.*lower alpha"):
        ALS(4, random_state=0, **how).fit(random_matrix((30, 20), 0.3))


@pytest.mark.parametrize("name", ["regularization", "unobserved_weight"])
def test_arguments_beyond_the_dtype_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be at most 3.4e.38 with dtype 'float32', got 1e.300"):
        ALS(4, **{name: 1e300}).fit(random_matrix((30, 20), 0.3))
