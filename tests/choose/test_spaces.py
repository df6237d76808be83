"""The settings that a search proposes: random draws, the default space, Optuna."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from conftest import planted_clusters

from cymbals import search

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


def test_default_space_is_factors_regularization_and_alpha(plays):
    found = search(plays, n=2, iterations=2, refit=False)
    assert set(found.best_params_) == {"factors", "regularization", "alpha"}


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
