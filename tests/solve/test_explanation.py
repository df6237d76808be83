"""Explanations: the contributions add up to the score of the folded-in user."""

import numpy as np
import pytest
from conftest import FLOATS, random_matrix

from cymbals import ALS

M = random_matrix((60, 40), 0.1, seed=1)


@pytest.mark.parametrize("kind", ["hu", "ials", "explicit"])
def test_explanations_sum_to_the_score(kind, matrix):
    model = ALS(factors=9, objective=kind, iterations=3, regularization=0.3, dtype="float64", random_state=1).fit(matrix)
    for user in (2, 3, 10):
        explanation = model.explain(user, 7, n=None)
        assert explanation.total == pytest.approx(sum(part for _, part in explanation.contributions))
        assert explanation.total == pytest.approx((model.fold_in(matrix[[user]]) @ model.item_factors_[7]).item())
        parts = [part for _, part in explanation.contributions]
        assert parts == sorted(parts, reverse=True)
        assert {i for i, _ in explanation.contributions} == set(matrix[[user]].indices.tolist())
    assert len(model.explain(3, 7, n=2).contributions) == 2
    assert model.explain(1, 7).contributions == []


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
    """More factors than the rank of the matrix: without whitening, the system of a row is nearly singular."""
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
