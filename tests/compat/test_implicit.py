"""What `cymbals.compat.implicit` does differently from implicit, what its files hold, and how it refuses bad input."""

import io
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from programs import exact, plays, scores_of

from cymbals.compat import implicit as ours
from cymbals.compat.implicit.cpu.als import calculate_loss, least_squares
from cymbals.compat.implicit.recommender_base import ModelFitError
from cymbals.compat.implicit.utils import ParameterWarning, augment_inner_product_matrix, check_random_state, nonzeros

pytestmark = [
    pytest.mark.filterwarnings("ignore:OpenBLAS is configured"),  # by implicit
    pytest.mark.filterwarnings("ignore:.* encountered in (dot|matmul):RuntimeWarning"),  # from emulated processors
]


def theirs():
    implicit = pytest.importorskip("implicit", reason="implicit is not installed")
    pytest.importorskip("implicit.evaluation")
    return implicit


def dense_step(c, fixed, regularization):
    """Every row of one side, solved in float64: weight |c|, target 1 where c > 0; weight 1, target 0 where c is 0."""
    weights, targets = np.where(c == 0, 1, np.abs(c)), (c > 0) * 1.0
    out = np.zeros((c.shape[0], fixed.shape[1]))
    for row in np.flatnonzero((c != 0).any(axis=1)):
        system = (fixed * weights[row, :, None]).T @ fixed + regularization * np.eye(fixed.shape[1])
        out[row] = np.linalg.solve(system, fixed.T @ (weights[row] * targets[row]))
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("smallest", [1e-3, 1e-30])
def test_very_small_confidences(smallest, dtype):
    rng = np.random.default_rng(0)
    c = plays().toarray()
    c[c > 25] = smallest * rng.choice([-1, 1], (c > 25).sum())
    y = rng.random((40, 6)).astype(dtype)
    x = np.zeros((60, 6), dtype)
    least_squares(sp.csr_matrix(c), x, y, 0.1)
    expected = dense_step(c.astype(np.float32).astype(float), y.astype(float), 0.1) @ y.T.astype(float)
    np.testing.assert_allclose(x @ y.T, expected, atol=2e-3 if dtype == "float32" else 1e-6)


def test_stored_zeros_are_dropped_with_a_warning():
    matrix = plays()
    with_zeros = matrix.copy()
    with_zeros.data[:50] = 0
    without = with_zeros.copy()
    without.eliminate_zeros()
    with pytest.warns(Warning, match="50 entries whose confidence") as caught:
        model, _ = exact(ours, matrix=with_zeros)
    assert [warning.category.__name__ for warning in caught] == ["ParameterWarning"]
    assert caught[0].filename == exact.__code__.co_filename  # the caller's line, not a line of cymbals
    np.testing.assert_array_equal(scores_of(model), scores_of(exact(ours, matrix=without)[0]))
    # they are items that the user has, as in implicit
    ids, _ = model.recommend(0, with_zeros[0], N=5)
    assert not set(ids) & set(with_zeros[0].indices)


def test_the_warning_is_implicits_own_if_implicit_is_loaded():
    implicit = theirs()
    with pytest.warns(implicit.utils.ParameterWarning):
        exact(ours, matrix=plays().tocoo())


def test_entries_that_occur_twice_are_added():
    matrix = sp.csr_matrix((np.ones(4), [0, 0, 1, 1], [0, 2, 4]), shape=(2, 2))
    once = sp.csr_matrix((np.full(2, 2.0), [0, 1], [0, 1, 2]), shape=(2, 2))
    np.testing.assert_array_equal(scores_of(exact(ours, matrix=matrix)[0]), scores_of(exact(ours, matrix=once)[0]))


def test_a_matrix_of_another_shape_is_refused_by_a_fitted_model():
    model, matrix = exact(ours)
    before = model.item_factors
    for other, message in (
        (sp.hstack([matrix, matrix[:, :1]]).tocsr(), "user_items needs 41 rows of item_factors"),
        (matrix[:50].tocsr(), "user_items needs 50 rows of user_factors"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(other, show_progress=False)
        with pytest.raises(ValueError, match="Cui must have the shape"):
            calculate_loss(other, model.user_factors, model.item_factors, 0.1)
    assert model.item_factors is before


def test_columns_that_the_model_lacks_are_refused():
    model, matrix = exact(ours)
    wide = sp.csr_matrix((np.ones(1), [60], [0, 1]), shape=(1, 61))
    for call in (
        lambda: model.recalculate_user(0, wide),
        lambda: model.partial_fit_users([0], wide),
        lambda: model.recommend(0, wide, recalculate_user=True),
    ):
        with pytest.raises(ValueError, match="column 60, but the model has 40 items"):
            call()
    with pytest.raises(IndexError, match="column 60, but the model has 40 items"):
        model.recommend(0, wide)
    with pytest.raises(ValueError, match="item_users has an entry in column 60, but the model has 60 users"):
        model.recalculate_item(0, wide)
    with pytest.raises(ValueError, match="item_users should have one row for each id"):
        model.recalculate_item([0, 1], matrix.T.tocsr()[:1])


def test_entries_outside_the_shape_are_refused():
    bad = plays()
    bad.indices = bad.indices.copy()
    bad.indices[5] = 1000
    with pytest.raises(ValueError, match="index outside its shape"):
        exact(ours, matrix=bad)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_values_that_are_not_finite_are_refused(value):
    matrix = plays()
    matrix.data[3] = value
    with pytest.raises(ModelFitError, match="row 0, column"):
        exact(ours, matrix=matrix)


def test_int64_indices_and_large_ids():
    model, matrix = exact(ours)
    wide = matrix.copy()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    assert np.array_equal(scores_of(exact(ours, matrix=wide)[0]), scores_of(model))
    narrow = ours.evaluation.ranking_metrics_at_k(model, matrix, plays(seed=1), show_progress=False)
    assert ours.evaluation.ranking_metrics_at_k(model, wide, plays(seed=1), show_progress=False) == narrow


def test_metrics_are_at_most_1_if_k_is_above_the_number_of_items():
    model, matrix = exact(ours)
    found = ours.evaluation.ranking_metrics_at_k(model, matrix[:, :].copy(), plays(seed=1), K=80, show_progress=False)
    assert 0 < found["map"] <= 1
    assert found["precision"] <= 1
    assert found["ndcg"] <= 1
    assert found == pytest.approx(
        ours.evaluation.ranking_metrics_at_k(model, matrix, plays(seed=1), K=40, show_progress=False), rel=1e-12
    )


def test_a_user_whose_test_part_has_all_items_has_no_auc():
    model, matrix = exact(ours)
    test = plays(seed=1).tolil()
    test[0] = 1
    found = ours.evaluation.ranking_metrics_at_k(model, matrix, test.tocsr(), show_progress=False)
    test[0] = 0
    assert found["auc"] == ours.evaluation.ranking_metrics_at_k(model, matrix, test.tocsr(), show_progress=False)["auc"]


def test_seeds_are_used():
    matrix = plays()
    split = ours.evaluation.leave_k_out_split
    first, again, other = (split(matrix, random_state=seed)[1] for seed in (1, 1, 2))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0
    state = np.random.RandomState(3)
    assert check_random_state(state).random() != check_random_state(state).random()
    assert check_random_state(np.random.RandomState(3)).random() == check_random_state(np.random.RandomState(3)).random()
    exact(ours, random_state=np.random.RandomState(3))


def test_leaving_k_out_keeps_every_entry_once():
    matrix = plays()
    for K in (1, 3):
        train, test = ours.evaluation.leave_k_out_split(matrix, K=K, random_state=0)
        assert abs(train + test - matrix).nnz == 0
        lengths = np.diff(matrix.indptr)
        assert np.array_equal(np.diff(test.indptr), np.where(lengths > K + 1, K, 0))


@pytest.mark.parametrize("direction", ["read", "write"])
def test_files_are_exchanged_with_implicit(direction, tmp_path):
    writer, reader = (theirs(), ours) if direction == "read" else (ours, theirs())
    model, matrix = exact(writer, alpha=2.0)
    model.save(str(tmp_path / "model"))
    loaded = reader.cpu.als.AlternatingLeastSquares.load(str(tmp_path / "model"))
    for a, b in zip(model.recommend(4, matrix[4]), loaded.recommend(4, matrix[4]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    for name in ("factors", "regularization", "alpha", "use_cg", "use_native", "iterations", "random_state", "dtype"):
        assert getattr(model, name) == getattr(loaded, name)


def test_models_with_a_generator_can_be_saved_and_read(tmp_path):
    model, _ = exact(ours, random_state=np.random.default_rng(0))
    model.save(tmp_path / "ours.npz")
    assert ours.AlternatingLeastSquares.load(tmp_path / "ours.npz").random_state is None
    model, _ = exact(theirs(), random_state=np.random.default_rng(0))
    model.save(str(tmp_path / "theirs"))
    loaded = ours.AlternatingLeastSquares.load(str(tmp_path / "theirs"))
    assert loaded.random_state is None
    assert np.array_equal(loaded.item_factors, model.item_factors)


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    model, _ = exact(ours)
    model.save(tmp_path / "model.npz")
    before = (tmp_path / "model.npz").read_bytes()

    def fails(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(RuntimeError):
        model.save(tmp_path / "model.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
    assert (tmp_path / "model.npz").read_bytes() == before


def test_files_that_hold_no_model_are_refused(tmp_path):
    load = ours.AlternatingLeastSquares.load
    contents = [b"", b"PK\x03\x04 nonsense", b"\x93NUMPY"]
    for arrays in (
        {"user_factors": np.ones((3, 2))},
        {"user_factors": np.ones((3, 2)), "item_factors": np.ones((3, 3))},
        {"user_factors": np.ones(3), "item_factors": np.ones(3)},
        {"factors": "many"},
        {"dtype": "nonsense"},
    ):
        file = io.BytesIO()
        np.savez(file, **arrays)
        contents.append(file.getvalue())
    for i, content in enumerate(contents):
        path = tmp_path / f"{i}.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no ALS model"):
            load(path)
    whole = io.BytesIO()
    exact(ours)[0].save(whole)
    (tmp_path / "cut.npz").write_bytes(whole.getvalue()[:3000])
    with pytest.raises(ValueError, match="holds no ALS model"):
        load(tmp_path / "cut.npz")


def test_a_model_that_was_not_fitted_can_be_saved(tmp_path):
    ours.AlternatingLeastSquares(factors=7).save(tmp_path / "new")
    loaded = ours.AlternatingLeastSquares.load(tmp_path / "new.npz")
    assert loaded.factors == 7
    assert loaded.user_factors is None


def test_assigned_factors_are_used_and_not_changed():
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 5)), rng.random((40, 5))
    before = x.copy(), y.copy()
    model = ours.AlternatingLeastSquares(factors=5, dtype=np.float64, iterations=2)
    model.user_factors, model.item_factors = x, y
    model.similar_items(0)
    model.recalculate_user(0, plays()[0])
    model.fit(plays(), show_progress=False)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])
    # what the model had cached for the old factors is gone
    np.testing.assert_allclose(model.item_norms, np.linalg.norm(model.item_factors, axis=1).clip(1e-10))
    system = model.YtY + 0.01 * np.eye(5)
    own = model.item_factors[plays()[0].indices]
    system += own.T @ ((plays()[0].data - 1)[:, None] * own)
    np.testing.assert_allclose(
        model.recalculate_user(0, plays()[0]), np.linalg.solve(system, own.T @ plays()[0].data), rtol=1e-8
    )
    model.user_factors = x[:, :3]
    with pytest.raises(ValueError, match="they have 3 in float64 and 5 in float64"):
        model.fit(plays(), show_progress=False)


def test_partial_fits_change_no_array_that_someone_else_holds():
    model, _ = exact(ours)
    held, before = model.user_factors, model.user_factors.copy()
    model.partial_fit_users([0], plays(seed=3)[0])
    assert np.array_equal(held, before)
    assert not np.array_equal(model.user_factors[0], before[0])


def test_conjugate_gradients_reach_a_lower_loss_than_implicits():
    losses = {}
    for name, library in (("theirs", theirs()), ("ours", ours)):
        model, matrix = exact(library, 5, use_cg=True, dtype=np.float32, random_state=2)
        losses[name] = calculate_loss(matrix, model.user_factors, model.item_factors, 0.1)
    assert losses["ours"] < losses["theirs"]


def test_any_number_of_threads_gives_the_same_bits():
    scores = [exact(ours, num_threads=n, use_cg=True, dtype=np.float32)[0].user_factors for n in (1, 2, 5)]
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[0], scores[2])


def test_a_row_that_cannot_be_solved():
    matrix = sp.csr_matrix(np.full((30, 20), 3e38, dtype=np.float32))
    with pytest.raises(ValueError, match=r"row 0: .* increasing the regularization"):
        exact(ours, matrix=matrix, dtype=np.float32)


def test_models_of_neighbours_are_refused():
    for kind in ("ItemItemRecommender", "CosineRecommender", "TFIDFRecommender", "BM25Recommender"):
        with pytest.raises(NotImplementedError, match=f"cymbals has no {kind}"):
            getattr(ours.nearest_neighbours, kind)()


def test_graphics_cards_are_refused():
    assert ours.gpu.HAS_CUDA is False
    model = ours.AlternatingLeastSquares()
    for call in (model.to_gpu, model.to_cpu, lambda: ours.AlternatingLeastSquares(use_gpu=True)):
        with pytest.raises(ValueError, match="CPU"):
            call()


def test_everything_public_of_implicits_class_exists():
    implicit = theirs()
    names = {name for name in dir(implicit.cpu.als.AlternatingLeastSquares()) if not name.startswith("_")}
    assert names <= set(dir(ours.cpu.als.AlternatingLeastSquares()))
    functions = {name for name in dir(implicit.evaluation) if name.endswith(("_at_k", "_split"))}
    assert functions <= set(dir(ours.evaluation))


def test_what_programs_import_from_utils():
    assert list(nonzeros(plays(), 3)) == []
    assert len(list(nonzeros(plays(), 0))) == plays()[0].nnz
    factors = np.random.default_rng(0).random((9, 4))
    longest, augmented = augment_inner_product_matrix(factors)
    np.testing.assert_allclose(np.linalg.norm(augmented, axis=1), longest)
    assert ours.utils.check_blas_config() is None
    assert issubclass(ParameterWarning, Warning)


def test_progress_goes_to_stderr(capsys):
    model = ours.AlternatingLeastSquares(factors=4, iterations=2, calculate_training_loss=True)
    model.fit(plays())
    assert "fit 2/2 loss" in capsys.readouterr().err
    model.fit(plays(), show_progress=False)
    assert capsys.readouterr().err == ""


def test_losses_are_logged_under_implicits_name(caplog):
    caplog.set_level("INFO", "implicit")
    ours.AlternatingLeastSquares(factors=4, iterations=2, calculate_training_loss=True).fit(plays(), show_progress=False)
    assert len([r for r in caplog.records if r.name == "implicit"]) == 3


def test_a_pickle_holds_no_caches():
    model, matrix = exact(ours)
    small = len(pickle.dumps(model))
    model.similar_items(0)
    model.similar_users(0)
    model.recommend(0, matrix[0], recalculate_user=True)
    assert len(pickle.dumps(model)) == small


def test_no_warning_without_a_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, matrix = exact(ours, alpha=40.0)
        model.recommend(np.arange(10), matrix[:10], recalculate_user=True)


def test_a_test_part_with_fewer_items_than_the_model():
    implicit = theirs()
    found = []
    for library in (implicit, ours):
        model, matrix = exact(library)
        for K in (3, 30):
            found.append(library.evaluation.ranking_metrics_at_k(model, matrix, matrix[:, :20], K=K, show_progress=False))
    assert found[2:] == [pytest.approx(one) for one in found[:2]]


def test_explain_treats_entries_as_recalculating_does():
    model, _ = exact(ours)
    odd = sp.csr_matrix((np.array([3.0, 0, 2, 2]), [4, 9, 11, 11], [0, 4]), shape=(1, 40))
    total, parts, _ = model.explain(0, odd, 7)
    with pytest.warns(Warning, match="1 entries whose confidence"):
        score = model.recalculate_user(0, odd) @ model.item_factors[7]
    assert total == pytest.approx(score)
    assert sorted(item for item, _ in parts) == [4, 11]


def test_paths_get_the_ending_where_implicit_gives_it(tmp_path):
    model, _ = exact(ours)
    model.save(tmp_path / "model.dat")
    (tmp_path / "model.dat.npz").rename(tmp_path / "model.dat")
    assert ours.AlternatingLeastSquares.load(tmp_path / "model.dat").factors == 8


def test_a_file_says_which_dtype_the_factors_have(tmp_path):
    model = ours.AlternatingLeastSquares(factors=8)
    model.user_factors, model.item_factors = (side.astype(np.float64) for side in (np.ones((3, 8)), np.ones((4, 8))))
    model.save(tmp_path / "m")
    assert ours.AlternatingLeastSquares.load(tmp_path / "m.npz").dtype == np.float64


def test_ctrl_c_leaves_both_sides_in_one_basis(monkeypatch):
    """It arrives between two rotations of a half-step, and is delivered after the half-step."""
    import signal

    from cymbals.solve import half_step as module

    model, matrix = exact(ours, 2)
    items, rotate, calls = model.item_factors.copy(), module.rotate, []

    def rotate_and_interrupt(*arguments):
        rotate(*arguments)
        calls.append(1)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(module, "rotate", rotate_and_interrupt)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(matrix, show_progress=False)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert len(calls) == 2
    monkeypatch.undo()
    users = dense_step(matrix.toarray(), items, 0.1)  # the users are solved, the items are not
    np.testing.assert_allclose(scores_of(model), users @ items.T, rtol=1e-6, atol=1e-9)


def test_other_models_are_named_in_the_error():
    for name in ("bpr", "lmf", "datasets"):
        with pytest.raises(AttributeError, match=f"cymbals has no implicit.{name}"):
            getattr(ours, name)


def test_factors_that_are_not_finite():
    model, _ = exact(ours)
    model.item_factors[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        model.similar_items(3)
