"""The settings that a search proposes: random draws, the default space, Optuna."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from conftest import planted_clusters

from cymbals import ALS, search, split

GRID = {"factors": [2, 5], "regularization": [0.1, 10.0], "alpha": [1.0, 20.0]}


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    liked = planted_clusters(rng, (150, 80), 0.4, 0.05)
    return sp.csr_array(liked * rng.integers(1, 30, (150, 80)).astype(np.float32))


def test_random_draws_scored_by_rmse_with_objective_explicit(plays):
    space = {"factors": scipy.stats.randint(2, 6), "regularization": scipy.stats.loguniform(0.01, 10)}
    found = search(plays, random=space, n=5, metric="rmse", objective="explicit", biases=True, iterations=3)
    scores = found.table["score"].tolist()
    assert scores == sorted(scores)
    assert found.best_score_ == scores[0]
    assert len(scores) == 5
    assert isinstance(found.best_params_["factors"], int)
    again = search(plays, random=space, n=5, metric="rmse", objective="explicit", biases=True, iterations=3, refit=False)
    assert [t.score for t in again.trials] == [t.score for t in found.trials]
    assert again.best_model_ is None
    assert len(search(plays, random={"factors": [2, 3]}, n=9, iterations=1, refit=False).trials) == 2


def test_the_default_space_lies_around_the_rule(plays):
    found = search(plays, n=12, iterations=2, refit=False)
    rule = ALS.auto(2, iterations=1).fit(split.random(plays, 0.1, 0)[0]).report_
    assert all(set(trial.params) == {"factors", "unobserved_weight", "regularization"} for trial in found.trials)
    assert {trial.params["factors"] for trial in found.trials} <= {32, 64, 128, 256}
    for name, most in (("unobserved_weight", 8), ("regularization", 4)):
        drawn = np.array([trial.params[name] for trial in found.trials]) / rule[name]
        assert 0.9 / most < drawn.min() < 0.8
        assert 2 < drawn.max() < 1.1 * most
    assert found.best_params_["objective"] == "ials"
    some = search(plays, n=2, iterations=2, factors=3, unobserved_weight=0.1, refit=False)
    assert [set(trial.params) for trial in some.trials] == [{"regularization"}] * 2
    none = search(plays, iterations=2, factors=3, unobserved_weight=0.1, regularization="auto", refit=False)
    assert [trial.params for trial in none.trials] == [{}]
    rated = search(plays, n=2, iterations=2, objective="explicit", metric="rmse", refit=False)
    assert [set(trial.params) for trial in rated.trials] == [{"factors", "regularization"}] * 2
    proposed = search(plays, n=2, iterations=2, backend="optuna", refit=False)
    assert set(proposed.best_trial_.params) == {"factors", "unobserved_weight", "regularization"}


def test_optuna_proposes_and_resumes(plays, tmp_path):
    space = {
        "factors": scipy.stats.randint(2, 9),
        "regularization": scipy.stats.loguniform(0.01, 10),
        "confidence": ["log", "linear"],
    }
    how = {"backend": "optuna", "iterations": 2, "refit": False}
    whole = search(plays, random=space, n=6, **how)
    search(plays, random=space, n=3, journal=tmp_path / "j", **how)
    resumed = search(plays, random=space, n=6, journal=tmp_path / "j", **how)
    assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]
    assert len({t.key for t in whole.trials}) == 6
    assert len(search(plays, random={"factors": [2, 3]}, n=5, **how).trials) == 2
    with pytest.raises(ValueError, match="takes one dict as random, and no grid"):
        search(plays, grid=GRID, **how)
    with pytest.raises(ValueError, match="belongs to another search: space is"):
        search(plays, random=space | {"factors": scipy.stats.randint(20, 30)}, n=6, journal=tmp_path / "j", **how)
    assert len(search(plays, random=space, n=2, journal=tmp_path / "j", **how).trials) == 2
    with pytest.raises(ValueError, match="norm distribution; Optuna takes"):
        search(plays, random={"alpha": scipy.stats.norm()}, **how)
