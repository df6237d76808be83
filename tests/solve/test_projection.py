"""The map from features to factors, against dense ridge regression."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import csr_of

from cymbals.solve import projection
from cymbals.solve.projection import Projection


def dense_design(matrix):
    values = np.sign(matrix) * np.log1p(np.abs(matrix))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.hstack([values / np.where(lengths > 0, lengths, 1), np.ones((len(matrix), 1))])


@pytest.mark.parametrize("few", [500, 1])  # a dense system; conjugate gradients
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_map_is_ridge_regression(few, dtype, monkeypatch):
    monkeypatch.setattr(projection, "_FEW", few)
    monkeypatch.setattr(projection, "_TOLERANCE", 1e-7)
    rng = np.random.default_rng(0)
    matrix = sp.random_array((80, 30), density=0.2, rng=rng).toarray() * 20 - 2 * (rng.random((80, 30)) < 0.05)
    matrix[3] = 0
    factors, known = rng.standard_normal((80, 5)).astype(dtype), rng.random(80) < 0.7
    features = csr_of(sp.csr_array(matrix.astype(dtype)))
    found = Projection.fitted(features, factors, known)
    a = dense_design(matrix)[known]
    want = np.linalg.solve(a.T @ a + projection._RIDGE * np.eye(31), a.T @ factors[known])
    assert found.weights.dtype == dtype
    assert np.abs(found.weights - want).max() < (1e-4 if dtype == "float32" else 1e-6) * np.abs(want).max()
    given = found.of(features)
    design = dense_design(matrix) @ want
    design[3] = 0  # no feature: nothing is known
    assert np.abs(given - design).max() < 1e-4
    parts = found.parts(features.take(np.array([7])), np.ones(5))
    assert parts.sum() == pytest.approx(design[7].sum(), abs=1e-4)


def test_no_known_row_gives_a_map_of_zeros():
    features = csr_of(sp.csr_array(np.eye(4, dtype=np.float32)))
    found = Projection.fitted(features, np.ones((4, 2), np.float32), np.zeros(4, bool))
    assert not found.weights.any()
