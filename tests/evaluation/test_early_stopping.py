"""Early stopping restores the best iteration, and refuses a `tol` that would end the fit earlier."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import planted_clusters

from cymbals import ALS, EarlyStopping, evaluate, split
from cymbals.evaluation.early_stopping import cutoffs


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    liked = planted_clusters(rng, (150, 80), 0.4, 0.05)
    return sp.csr_array(liked * rng.integers(1, 30, (150, 80)).astype(np.float32))


def test_early_stopping_restores_the_best_iteration(plays):
    train, validation = split.random(plays, 0.2, 0)
    stop = EarlyStopping(train, validation, metric="ndcg@5", patience=3)
    model = ALS(factors=20, regularization=0.001, alpha=5.0, relaxation=1, iterations=25, random_state=0)
    model.fit(train, callback=stop)
    assert model.n_iter_ == stop.best_iteration == 1 + int(np.argmax(stop.trace))
    assert len(stop.trace) == stop.best_iteration + 3 < 25
    assert len(model.history_) == model.n_iter_
    assert evaluate(model, train, validation, k=5)["ndcg@5"] == stop.best_score == max(stop.trace)
    shorter = ALS(factors=20, regularization=0.001, alpha=5.0, relaxation=1, iterations=model.n_iter_, random_state=0)
    assert np.array_equal(shorter.fit(train).user_factors_, model.user_factors_)


def test_a_tol_that_would_end_the_fit_earlier_is_refused(plays):
    train, validation = split.random(plays, 0.2, 0)
    with pytest.raises(ValueError, match=r"tol=0.1 would end the fit before .* leave tol out"):
        ALS(tol=0.1, random_state=0).fit(train, callback=EarlyStopping(train, validation))


def test_the_metrics_of_evaluate_are_accepted_and_no_other_names(plays):
    train, validation = split.random(plays, 0.2, 0)
    model = ALS(factors=4, objective="explicit", random_state=0).fit(train)
    for name in evaluate(model, train, validation, k=7):
        assert ("@" in name) == (7 in cutoffs(name))
    for name in ("ndcg", "ndcg@", "ndcg@0", "ndcg@x", "auc@5", "recall@5@5", "", None, np.zeros(3)):
        with pytest.raises(ValueError, match="metric must be auc"):
            cutoffs(name)


def test_a_validation_part_that_cannot_be_scored_is_refused(plays):
    train, validation = split.random(plays, 0.2, 0)
    for part, users in ((sp.csr_array(plays.shape), None), (validation, [])):
        with pytest.raises(ValueError, match="ndcg@10 of the validation part is undefined"):
            ALS(factors=2, random_state=0).fit(train, callback=EarlyStopping(train, part, users=users))


def test_a_callback_may_ignore_that_early_stopping_wants_to_stop(plays):
    train, validation = split.random(plays, 0.2, 0)
    stop = EarlyStopping(train, validation, patience=1)
    stopped = []
    model = ALS(factors=20, regularization=0.001, alpha=5.0, iterations=12, random_state=0)
    model.fit(train, callback=lambda m, i: stopped.append(stop(m, i)))
    assert sum(stopped) > 1
    assert model.n_iter_ == 12
