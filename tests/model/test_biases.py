"""Models with biases against the dense reference: fitting, reading, updating, saving."""

import copy
import pickle
import signal

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from conftest import dense_of, random_matrix

import cymbals
from cymbals import ALS, Interactions, evaluate
from cymbals.base.threads import single_blas_thread

TOLERANCE = {"float32": 2e-3, "float64": 1e-8}


def ratings(shape=(60, 45), density=0.25, seed=0):
    """Half stars from 0 on, stored zeros among them, an empty row and an empty column."""
    matrix = random_matrix(shape, density, seed, values=(1, 12)).tocsc()
    matrix.data = ((matrix.data - 1) / 2).astype(np.float32)
    matrix.data[matrix.indptr[4] : matrix.indptr[5]] = np.nan
    coo = matrix.tocoo()
    kept = ~np.isnan(coo.data)
    return sp.csr_array((coo.data[kept], tuple(c[kept] for c in coo.coords)), shape=shape)


def start(shape, rank, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, rank)) * 0.1 for n in shape]


def als(**how):
    settings = {"factors": 5, "regularization": 0.3, "biases": True, "iterations": 4, "dtype": "float64", "n_threads": 1}
    return ALS(objective="explicit", random_state=0, **settings | how)


def solved(model):
    """[x, b_u] and [y, b_i]."""
    x, y = model.user_factors_, model.item_factors_
    return np.column_stack([x, model.user_biases_]), np.column_stack([y, model.item_biases_])


@pytest.fixture(scope="module")
def matrix():
    return ratings()


@pytest.fixture(scope="module")
def data(matrix):
    return Interactions.from_csr(matrix, user_ids=[f"u{i}" for i in range(60)], item_ids=np.arange(45) * 10)


@pytest.fixture
def model(data):
    return als().fit(data)


@pytest.mark.parametrize("nu", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [*range(1, 21), 130])
def test_iterations_follow_the_reference(rank, dtype, nu, matrix):
    x, y = start(matrix.shape, rank, seed=rank)
    how = {"reg": 0.5 if nu == 0 else 0.05, "nu": nu}
    dense, got = dense_of(matrix), []
    with single_blas_thread():  # small systems, which more threads only delay
        want = list(reference.fit_biased(dense, x, y, 3, **how))
    model = als(factors=rank, regularization=how["reg"], nu=nu, iterations=3, solver="exact", dtype=dtype)
    model.fit(matrix, init=(x, y), compute_loss=True, callback=lambda m, _: got.append((*solved(m), m.global_mean_)))
    for (a, b), (c, d, mean), entry in zip(want, got, model.history_, strict=True):
        scores = reference.scores_biased(dense, a, b)
        assert np.abs(mean + c[:, -1:] + d[:, -1] + c[:, :-1] @ d[:, :-1].T - scores).max() <= TOLERANCE[dtype] * 5
        assert np.abs(d[:, -1] - b[:, -1]).max() <= TOLERANCE[dtype]
        assert entry["loss"] == pytest.approx(reference.loss_biased(dense, a, b, **how), rel=TOLERANCE[dtype])
    assert model.loss(matrix) == pytest.approx(model.history_[-1]["loss"], rel=1e-6)


@pytest.mark.parametrize("rank", [1, 8, 20, 130])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_solver_auto_ends_where_exact_does(dtype, rank, matrix):
    losses = {}
    for solver in ("auto", "exact"):
        model = als(factors=rank, solver=solver, iterations=12, dtype=dtype).fit(matrix, compute_loss=True)
        losses[solver] = [h["loss"] for h in model.history_]
        assert np.all(np.diff(losses[solver]) < 1e-5)
    assert losses["auto"][-1] <= 1.01 * losses["exact"][-1]


def test_same_bits_for_any_number_of_threads():
    matrix = ratings((500, 300), 0.1)
    fits = [solved(als(n_threads=n, dtype="float32").fit(matrix)) for n in (1, 2, 5)]
    assert all(np.array_equal(a, b) for fit in fits[1:] for a, b in zip(fits[0], fit, strict=True))


def test_planted_biases_are_found():
    rng = np.random.default_rng(0)
    b_u, b_i = rng.standard_normal(300), rng.standard_normal(200)
    b_u, b_i = b_u - b_u.mean(), b_i - b_i.mean()
    dense = 3 + b_u[:, None] + b_i + 0.1 * rng.standard_normal((300, 200))
    keep = rng.random(dense.shape) < 0.3
    matrix = sp.csr_array((dense[keep], np.nonzero(keep)), shape=dense.shape)
    model = als(factors=1, regularization=1.0, iterations=15).fit(matrix)
    assert model.global_mean_ == pytest.approx(dense[keep].mean())
    x, y = solved(model)
    for own, others, want in ((x, y, b_u), (y, x, b_i)):
        assert np.corrcoef(own[:, -1], want)[0, 1] > 0.999
        average = own[:, -1] + own[:, :-1] @ others[:, :-1].mean(axis=0)  # the factors take over part of a bias
        assert average - average.mean() == pytest.approx(want, abs=0.15)


def test_users_and_items_without_entries_have_no_bias(model):
    assert model.user_biases_[1] == model.item_biases_[4] == 0
    assert not model.user_factors_[1].any()
    assert not model.item_factors_[4].any()
    assert model.predict(["u1"], [40]) == pytest.approx([model.global_mean_])
    assert model.predict(["u1"], [70]) == pytest.approx([model.global_mean_ + model.item_biases_[7]])


def test_stored_zeros_are_ratings(matrix):
    assert np.any(matrix.data == 0)
    model = als().fit(matrix)
    assert model.report_["stored_zeros_dropped"] == 0
    assert model.global_mean_ == pytest.approx(matrix.data.mean())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["auto", "cg", "exact"])
def test_hardly_any_regularization(matrix, solver, dtype):
    for regularization in (0.0, 1e-300, 1e-20):
        model = als(factors=3, regularization=regularization, solver=solver, dtype=dtype).fit(matrix)
        assert all(np.isfinite(side).all() for side in solved(model))


def test_double_precision_is_kept():
    """Ratings around a million that differ by little: sums of them in float32 would give wrong biases."""
    matrix = ratings().astype(np.float64)
    small = als().fit(matrix)
    matrix.data += 2.0**20
    large = als().fit(matrix)
    assert large.global_mean_ == pytest.approx(small.global_mean_ + 2.0**20, rel=1e-15)
    assert np.abs(large.user_biases_ - small.user_biases_).max() < 1e-6


@pytest.mark.parametrize("from_biased", [True, False])
@pytest.mark.parametrize("to_biased", [True, False])
def test_starting_from_a_model(from_biased, to_biased, data):
    old = als(biases=from_biased).fit(data)
    new = als(biases=to_biased, iterations=1).fit(data, init=old)
    assert hasattr(new, "item_biases_") is to_biased
    if from_biased and to_biased:
        want = reference.solve_biased(dense_of(data.user_items), solved(old)[1], old.global_mean_, 0.3)
        want = reference.solve_biased(dense_of(data.user_items).T, want, old.global_mean_, 0.3)
        # CG, which starts from the old factors, comes near the exact solution.
        assert new.item_biases_ == pytest.approx(want[:, -1], abs=0.05)
    with pytest.raises(ValueError, match="init has 5 factors, but this model has factors=6"):
        new.set_params(factors=6).fit(data, init=old)


def test_ctrl_c_and_tolerance(matrix):
    model = als(iterations=1000)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(matrix, callback=lambda m, i: signal.raise_signal(signal.SIGINT) if i == 3 else None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert model.n_iter_ == 3
    assert np.isfinite(model.recommend(0)[1]).all()
    assert model.set_params(tol=1e-3).fit(matrix).n_iter_ < 100


def all_scores(model):
    x, y = solved(model)
    return model.global_mean_ + x[:, -1:] + y[:, -1] + x[:, :-1] @ y[:, :-1].T


def test_scores(model, data):
    want = all_scores(model)
    u, i = (a.ravel() for a in np.indices(want.shape))
    assert model.predict(data.user_ids[u], data.item_ids[i]) == pytest.approx(want.ravel())
    users = [n for n in range(60) if n != 1]
    ids, scores = model.recommend(data.user_ids[users], 45, exclude_seen=False)
    assert scores == pytest.approx(-np.sort(-want[users], axis=1))
    assert scores[0] == pytest.approx(model.predict(["u0"] * 45, ids[0]))
    assert model.recommend("u3", 3)[1][1:].tolist() == [-np.inf] * 2  # has rated all but item 40
    few = [70, 30, 30, 40]
    ids, scores = model.rank_items("u5", few)
    assert dict(zip(ids.tolist(), scores, strict=True)) == pytest.approx({n: want[5, n // 10] for n in few})
    assert model.user_factors_.flags.c_contiguous


def test_users_without_history_get_the_most_popular_items(model):
    ids, scores = model.recommend("u1", 4)
    assert (ids.tolist(), scores.tolist()) == tuple(part.tolist() for part in model.popular(4))
    assert model.recommend(rows=sp.csr_array((1, 45)), n=4)[1].tolist() == [scores.tolist()]


def test_similar_items_ignores_biases(model):
    y = model.item_factors_
    unit = y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-300)
    ids, scores = model.similar_items(70, 3)
    want = unit @ unit[7]
    want[7] = -np.inf
    assert ids.tolist() == (np.argsort(-want)[:3] * 10).tolist()
    assert scores == pytest.approx(np.sort(want)[::-1][:3])
    assert model.similar_users("u1")[1].tolist() == [-np.inf] * 10


@pytest.mark.parametrize("nu", [0, 1])
def test_fold_in_is_a_half_step(nu, matrix):
    model = als(nu=nu).fit(matrix)
    want = reference.solve_biased(dense_of(matrix), solved(model)[1], model.global_mean_, 0.3, nu)
    assert model.fold_in(matrix) == pytest.approx(want[:, :-1], abs=1e-8)
    assert model.fold_in(sp.csr_array((2, 45))).tolist() == [[0] * 5] * 2
    _, scores = model.recommend(rows=matrix[[5, 9]], n=45, exclude_seen=False)
    y = solved(model)[1]
    whole = model.global_mean_ + y[:, -1] + want[[5, 9], -1:] + want[[5, 9], :-1] @ y[:, :-1].T
    assert scores == pytest.approx(-np.sort(-whole, axis=1))


def test_updates(model, matrix, data):
    dense = dense_of(matrix)
    want = reference.solve_biased(dense[[3, 9]], solved(model)[1], model.global_mean_, 0.3)
    others = model.user_biases_
    model.update_users(["u5", "new"], matrix[[3, 9]])
    assert solved(model)[0][[5, 60]] == pytest.approx(want)
    assert np.array_equal(np.delete(model.user_biases_, [5, 60]), np.delete(others, 5))
    column = ratings((4, 61), 0.3)[[3]]
    want = reference.solve_biased(dense_of(column), solved(model)[0], model.global_mean_, 0.3)
    model.update_items([1234], column)
    assert solved(model)[1][[45]] == pytest.approx(want)
    assert model.predict(["new"], [1234]) == pytest.approx(all_scores(model)[60, 45])


def test_explanations(model, matrix, data):
    model.update_users(data.user_ids, matrix)  # solves users exactly, as explanations do
    for user in ("u2", "u3", "u10"):
        explanation = model.explain(user, 70, n=None)
        assert explanation.total == pytest.approx(sum(part for _, part in explanation.contributions))
        score = model.predict([user], [70])[0]
        assert explanation.total == pytest.approx(score - model.global_mean_ - model.item_biases_[7])
    assert model.explain("u1", 70).contributions == []


@pytest.mark.parametrize("mmap", [False, True])
def test_save_and_load(tmp_path, model, matrix, mmap):
    model.save(tmp_path / "m")
    back = cymbals.load(tmp_path / "m", mmap=mmap)
    assert back.get_params()["biases"] is True
    assert back.global_mean_ == model.global_mean_
    for other in (back, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        for a, b in zip(solved(model), solved(other), strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(other.recommend("u7", 5)[1], model.recommend("u7", 5)[1])
        assert np.array_equal(other.fold_in(matrix), model.fold_in(matrix))
        assert other.loss(matrix) == model.loss(matrix)
    back.update_users(["u7"], matrix[[3]])
    back.save(tmp_path / "m")


@pytest.mark.parametrize("biases", [True, False])
def test_rmse_and_mae(biases, matrix):
    train, test = cymbals.split.random(matrix, 0.3, 0)
    assert np.any(test.data == 0)
    model = als(biases=biases).fit(train)
    coo = test.tocoo()
    errors = model.predict(*coo.coords) - coo.data
    got = evaluate(model, train, test, k=5)
    assert got["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert got["mae"] == pytest.approx(np.mean(np.abs(errors)))
    for user in range(60):
        own = errors[coo.coords[0] == user]
        want = [np.sqrt(np.mean(own**2)), np.mean(np.abs(own))] if own.size else [np.nan] * 2
        assert [got.per_user["rmse"][user], got.per_user["mae"][user]] == pytest.approx(want, nan_ok=True)
    some = evaluate(model, train, test, k=5, users=[3, 9])
    assert some["mae"] == pytest.approx(np.mean(np.abs(errors[np.isin(coo.coords[0], [3, 9])])))
    assert np.flatnonzero(~np.isnan(some.per_user["rmse"])).tolist() == [3, 9]
    nobody = evaluate(model, train, sp.csr_array(test.shape), k=5)
    assert np.isnan([nobody["rmse"], nobody["mae"]]).all()


def test_preferences_have_no_rmse(matrix):
    assert "rmse" not in evaluate(ALS(factors=3, random_state=0).fit(matrix), matrix, matrix)


def test_refusals(matrix):
    for objective in ("hu", "ials"):
        with pytest.raises(ValueError, match="biases=True needs objective='explicit', got '"):
            ALS(objective=objective, biases=True).fit(matrix)
    with pytest.raises(TypeError, match="biases must be True or False, got 1"):
        ALS(objective="explicit", biases=1).fit(matrix)
    large = matrix.astype(np.float64)
    large.data[:] = 1e300
    with pytest.raises(ValueError, match=r"mean of its values, 1.*e\+300, is too large for float32"):
        als(dtype="float32").fit(large)
    large.data[:] = matrix.data
    large.data[0] = 1e39
    large.data[1] = -1e39
    with pytest.raises(cymbals.SolveError, match="user 0"):
        als(dtype="float32").fit(large)


def test_biases_of_a_model_without_biases_raise_an_error(matrix):
    model = ALS(factors=3, objective="explicit", random_state=0).fit(matrix)
    for name in ("global_mean_", "user_biases_", "item_biases_"):
        with pytest.raises(AttributeError, match=rf"{name}: this model has biases=False; fit ALS"):
            getattr(model, name)
        with pytest.raises(cymbals.NotFittedError):
            getattr(als(), name)
