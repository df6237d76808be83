"""Small programs for implicit's ALS on the CPU. tests/compat/test_programs.py runs each with implicit and with cymbals.

Each takes the package `implicit` and returns what it computed. A result inside `Free` depends on the library's own
arithmetic: only its type, shape and dtype must be the same. A result inside `Rough` was computed in float32.
"""

import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp


@dataclass
class Free:
    value: Any


@dataclass
class Rough:
    value: Any


def plays(seed=0, shape=(60, 40), density=0.2):
    """Counts from 1 to 49, with an empty row and an empty column."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random(shape) < density, rng.integers(1, 50, shape), 0).astype(np.float64)
    dense[3], dense[:, 5] = 0, 0
    return sp.csr_matrix(dense)


def exact(implicit, iterations=3, matrix=None, **more):
    """A model whose factors the convention determines: exact solves in float64 from a seeded start."""
    matrix = plays() if matrix is None else matrix
    settings = {"factors": 8, "regularization": 0.1, "dtype": np.float64, "use_cg": False, "random_state": 1} | more
    model = implicit.als.AlternatingLeastSquares(iterations=iterations, use_gpu=False, **settings)
    model.fit(matrix, show_progress=False)
    return model, matrix


def scores_of(model):
    return model.user_factors @ model.item_factors.T


def fit_with_defaults(implicit):
    model = implicit.als.AlternatingLeastSquares(use_gpu=False, random_state=0)
    returned = model.fit(plays(), show_progress=False)
    return returned, Free(model.user_factors), Free(model.item_factors), model.factors, model.dtype, model.cg_steps


def fit_exactly(implicit):
    return [scores_of(exact(implicit, n)[0]) for n in (0, 1, 3)]


def fit_in_float32(implicit):
    model, _ = exact(implicit, dtype=np.float32)
    return Rough(scores_of(model)), Free(model.item_factors)


def fit_fractions_with_alpha(implicit):
    matrix = plays()
    matrix.data = matrix.data / 100
    return scores_of(exact(implicit, matrix=matrix, alpha=2.5)[0])


def fit_binary_data(implicit):
    matrix = plays()
    matrix.data[:] = 1
    return scores_of(exact(implicit, matrix=matrix)[0]), scores_of(exact(implicit, matrix=matrix, alpha=40)[0])


def fit_dislikes(implicit):
    matrix = plays()
    matrix.data[::3] *= -1
    model, _ = exact(implicit, matrix=matrix)
    return scores_of(model), model.recommend(0, matrix[0], N=5)


def fit_other_formats(implicit):
    out = []
    for matrix in (plays().tocoo(), plays().tocsc(), sp.csr_array(plays()), plays().astype(np.int64), plays() > 0):
        out.append(scores_of(exact(implicit, matrix=matrix)[0]))
    return out


def fit_again_goes_on(implicit):
    model, matrix = exact(implicit, 2)
    model.fit(matrix, show_progress=False)
    return scores_of(model), scores_of(exact(implicit, 4)[0])


def fit_with_callbacks(implicit):
    seen = []
    model, matrix = exact(implicit, 0)
    model.iterations, model.calculate_training_loss = 3, True
    model.fit(matrix, show_progress=False, callback=lambda i, s, loss: seen.append((i, Free(s), loss)))
    model.fit_callback = lambda *arguments: seen.append(len(arguments))
    model.calculate_training_loss = False
    model.fit(matrix, show_progress=False)
    return seen


def fit_what_cannot_be_fitted(implicit):
    matrix = plays()
    matrix.data[7] = np.nan
    exact(implicit, matrix=matrix)


def fit_an_array(implicit):
    exact(implicit, matrix=plays().toarray())


def recommend_to_one(implicit):
    model, matrix = exact(implicit)
    return (
        model.recommend(0, matrix[0]),
        model.recommend(np.int64(7), matrix[7], N=3),
        model.recommend(3, matrix[3], N=4, filter_already_liked_items=False)[1],  # an empty row: all scores are 0
        model.recommend(0, None, N=5, filter_already_liked_items=False),
        model.recommend(-1, matrix[-1], N=5),
    )


def recommend_to_several(implicit):
    model, matrix = exact(implicit)
    users = np.array([0, 4, 4, 20])
    return (
        model.recommend(users, matrix[users], N=6),
        model.recommend([1, 2], matrix[[1, 2]], N=6, filter_already_liked_items=False),
        model.recommend(np.tile(users, 60), sp.vstack([matrix[users]] * 60).tocsr(), N=2),
    )


def recommend_with_filters(implicit):
    model, matrix = exact(implicit)
    users = np.arange(4, 8)
    return (
        model.recommend(0, matrix[0], N=5, filter_items=[0, 1, 2, 3, 30]),
        model.recommend(users, matrix[users], N=5, filter_items=np.arange(20)),
        model.recommend(users, matrix[users], N=5, filter_items=np.arange(40) % 2 == 0),
        model.recommend(0, matrix[0], N=40, filter_items=range(8)),
        model.recommend(0, matrix[0], N=36, filter_items=range(8)),
        model.recommend(0, matrix[0], N=45),
    )


def recommend_chosen_items(implicit):
    model, matrix = exact(implicit)
    users = np.arange(4, 8)
    return (
        model.recommend(0, matrix[0], N=20, items=[3, 1, 2, 30, 39]),
        model.recommend(users, matrix[users], items=np.arange(10) * 3),
        model.recommend(0, matrix[0], items=[9, 4, 9], filter_already_liked_items=False),
    )


def recommend_with_recalculated_users(implicit):
    model, _ = exact(implicit, alpha=3.0)
    new = plays(seed=5)
    users = np.arange(4, 8)
    return (
        model.recommend(0, new[0], N=5, recalculate_user=True),
        model.recommend(users, new[users], N=5, recalculate_user=True, filter_items=[1]),
        model.recommend(users, new[users], N=5, recalculate_user=True, filter_already_liked_items=False, items=[1, 7, 9]),
        model.recalculate_user(0, new[0]) @ model.item_factors.T,
        model.recalculate_user(users, new[users]) @ model.item_factors.T,
        model.recalculate_item([0, 1], new.T.tocsr()[:2]) @ model.user_factors.T,
    )


def find_similar_items(implicit):
    model, matrix = exact(implicit)
    return (
        model.similar_items(0),
        model.similar_items([1, 2], N=4),
        model.similar_items(1, N=4, filter_items=[0, 1, 2]),
        model.similar_items(1, N=4, items=[8, 3, 3, 1]),
        model.similar_items([1, 2], N=3, items=np.arange(20, 30)),
        model.similar_items(1, N=6, items=[8, 3]),
        model.similar_items(5, N=3)[1],  # an item without users: all scores are 0
        model.similar_items(1, N=4, recalculate_item=True, item_users=matrix.T.tocsr()[1]),
        model.item_norms,
    )


def find_similar_users(implicit):
    model, _ = exact(implicit)
    return (
        model.similar_users(0),
        model.similar_users([1, 2], N=4),
        model.similar_users(1, N=4, filter_users=[0, 1, 2]),
        model.similar_users([1, 2], N=3, users=np.arange(20, 30)),
        model.user_norms,
    )


def explain_a_score(implicit):
    model, matrix = exact(implicit, alpha=2.0)
    total, parts, weights = model.explain(0, matrix, 9)
    again = model.explain(0, matrix, 11, user_weights=weights, N=3)
    return (
        total,
        parts,
        again[:2],
        type(weights),
        len(weights),
        model.recalculate_user(0, matrix[0]) @ model.item_factors[9],
    )


def refit_some_rows(implicit):
    model, _ = exact(implicit)
    new = plays(seed=6)
    out = [model.partial_fit_users([0, 5], new[[0, 5]]), scores_of(model)]
    out += [model.partial_fit_users(np.array([64]), new[[1]]), scores_of(model), model.user_factors.shape]
    out += [model.partial_fit_items([2], new.T.tocsr()[2]), scores_of(model)]
    out += [model.partial_fit_items([40, 41], new.T.tocsr()[:2]), scores_of(model), model.item_norms]
    return [*out, model.recommend(64, new[1], N=4), model.YtY.trace(), model.XtX.trace()]


def save_and_load(implicit):
    model, matrix = exact(implicit, alpha=1.5)
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    names = set(np.load(file))
    file.seek(0)
    loaded = implicit.cpu.als.AlternatingLeastSquares.load(file)
    same = [loaded.alpha, loaded.factors, loaded.regularization, loaded.dtype, loaded.use_cg, loaded.random_state]
    return names, same, loaded.recommend(0, matrix[0]), np.array_equal(loaded.user_factors, model.user_factors)


def pickle_a_model(implicit):
    model, matrix = exact(implicit)
    model.similar_items(0)
    model.recalculate_user(0, matrix[0])
    copy = pickle.loads(pickle.dumps(model))
    return copy.recommend(0, matrix[0]), copy.similar_items(1), copy.recommend(1, matrix[1], recalculate_user=True)


def compute_the_loss(implicit):
    model, matrix = exact(implicit)
    signed = matrix.copy()
    signed.data[::4] *= -1
    loss = implicit.cpu.als.calculate_loss
    return [loss(m, model.user_factors, model.item_factors, 0.1) for m in (matrix, signed, matrix * 0.01)]


def evaluate_a_model(implicit):
    train, test = implicit.evaluation.train_test_split(plays(), 0.7, random_state=3)
    model, _ = exact(implicit, matrix=train)
    out = [train, test]
    for K in (1, 5, 20):
        out.append(implicit.evaluation.ranking_metrics_at_k(model, train, test, K=K, show_progress=False))
    evaluation = implicit.evaluation
    for metric in (
        evaluation.precision_at_k,
        evaluation.mean_average_precision_at_k,
        evaluation.ndcg_at_k,
        evaluation.AUC_at_k,
    ):
        out.append(metric(model, train, test, K=7, show_progress=False, num_threads=2))
    return out


def leave_entries_out(implicit):
    matrix = plays()[4:]  # without empty rows, for which implicit takes an entry of another user twice
    train, test = implicit.evaluation.leave_k_out_split(matrix, K=2, random_state=1)
    only, some = implicit.evaluation.leave_k_out_split(matrix, K=1, train_only_size=0.5, random_state=1)
    rows = np.diff(test.indptr)
    return (
        type(train),
        train.dtype,
        abs(train + test - matrix).nnz,
        set(rows.tolist()),
        np.flatnonzero(rows),
        Free(test),
        np.flatnonzero(np.diff(some.indptr)),
        only.nnz + some.nnz,
    )


def weight_values(implicit):
    weighted = implicit.nearest_neighbours.bm25_weight(plays(), K1=100, B=0.8)
    return (
        weighted,
        implicit.nearest_neighbours.bm25_weight(plays().T),
        implicit.nearest_neighbours.tfidf_weight(plays()),
        scores_of(exact(implicit, matrix=weighted.tocsr())[0]),
    )


def use_deprecated_methods(implicit):
    model, matrix = exact(implicit)
    return model.rank_items(0, matrix[0], [1, 2, 3]), model.recommend_all(matrix[:3], N=3)


def give_a_solver_arrays(implicit):
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 8)), rng.random((40, 8))
    model = implicit.cpu.als.AlternatingLeastSquares(factors=8, use_cg=False)
    returned = model.solver(plays(), x, y, 0.1)
    improved = rng.random((60, 8))
    implicit.cpu.als.least_squares_cg(plays(), improved, y, 0.1, cg_steps=40)
    return returned, x, Rough(improved)


def _error(call):
    try:
        return call()
    except Exception as error:
        return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")


def make_mistakes(implicit):
    model, matrix = exact(implicit)
    unfitted = implicit.als.AlternatingLeastSquares(use_gpu=False)
    calls = [
        lambda: model.recommend(0, matrix),
        lambda: model.recommend(0, matrix.tocsc()[0]),
        lambda: model.recommend(0, sp.csr_array(matrix[[0]])),
        lambda: model.recommend(0, None),
        lambda: model.recommend(999, matrix[0]),
        lambda: model.recommend("0", matrix[0]),
        lambda: model.recommend(0, matrix[0], N=-1),
        lambda: model.recommend(0, matrix[0], filter_items=[99]),
        lambda: model.recommend(0, matrix[0], items=[99]),
        lambda: model.recommend(0, matrix[0], items=[-1]),
        lambda: model.recommend(0, matrix[0], items=[1], filter_items=[2]),
        lambda: model.similar_items(99),
        lambda: model.similar_items(0, items=[1], filter_items=[2]),
        lambda: model.similar_users(0, users=[99]),
        lambda: model.similar_users(0, users=[-1]),
        lambda: model.explain(0, matrix, 99),
        lambda: model.explain(99, matrix, 0),
        lambda: model.partial_fit_users([], matrix[:0]),
        lambda: model.partial_fit_users([1], matrix[:2]),
        lambda: model.partial_fit_items([1], matrix.T.tocsr()[:2]),
        lambda: model.recalculate_user([0, 1], matrix[:1]),
        lambda: model.to_gpu(),
        lambda: implicit.als.AlternatingLeastSquares(use_gpu=True),
        lambda: implicit.cpu.als.AlternatingLeastSquares.load("absent.npz"),
        lambda: unfitted.recommend(0, matrix[0]),
        lambda: unfitted.similar_items(0),
        lambda: implicit.evaluation.leave_k_out_split(matrix, K=0),
        lambda: implicit.evaluation.leave_k_out_split(matrix, train_only_size=1.0),
        lambda: implicit.evaluation.precision_at_k(model, matrix, sp.csr_matrix(matrix.shape), show_progress=False),
    ]
    return [_error(call) for call in calls]


PROGRAMS = [
    fit_with_defaults,
    fit_exactly,
    fit_in_float32,
    fit_fractions_with_alpha,
    fit_binary_data,
    fit_dislikes,
    fit_other_formats,
    fit_again_goes_on,
    fit_with_callbacks,
    fit_what_cannot_be_fitted,
    fit_an_array,
    recommend_to_one,
    recommend_to_several,
    recommend_with_filters,
    recommend_chosen_items,
    recommend_with_recalculated_users,
    find_similar_items,
    find_similar_users,
    explain_a_score,
    refit_some_rows,
    save_and_load,
    pickle_a_model,
    compute_the_loss,
    evaluate_a_model,
    leave_entries_out,
    weight_values,
    use_deprecated_methods,
    give_a_solver_arrays,
    make_mistakes,
]
