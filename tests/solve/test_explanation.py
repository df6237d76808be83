"""Explanations: the contributions add up to the score of the folded-in user."""

import numpy as np
import pytest
from bad_input import check_refused
from conftest import FLOATS, random_matrix

from cymbals import ALS, load

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
            # In float32, without regularization, rounding moves a score by up to 0.7 %, depending on the instruction set.
            tolerance = (1e-2 if dtype == "float32" else 1e-6) * max(scores[-1], 1e-30)
            assert abs(found.total - folded[item]) <= tolerance, (user, item)
            assert found.total == pytest.approx(sum(part for _, part in found.contributions), abs=tolerance)
            assert len(found.contributions) == np.diff(M.indptr)[user]


@pytest.mark.parametrize(
    "how",
    [{}, {"objective": "ials"}, {"objective": "explicit", "biases": True}, {"unobserved_weight": 2.5, "alpha": 0.2}],
    ids=str,
)
def test_a_history_is_explained_like_the_same_row_of_a_user(how):
    model = ALS(factors=9, iterations=3, dtype="float64", random_state=0, **how).fit(M)
    for user in (1, 2, 17):
        row = M[[user]]
        history = dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        known = model.explain_items([0, 7, 20], n=None, user=user)
        assert model.explain_items([0, 7, 20], n=None, history=history) == known
        for item, why in zip((0, 7, 20), known, strict=True):
            one = model.explain(history=history, item=item, n=None)
            assert one.total == pytest.approx(why.total, abs=1e-12)
            assert dict(one.contributions) == pytest.approx(dict(why.contributions), abs=1e-12)
            assert dict(model.explain(user, item, n=2).contributions) == pytest.approx(
                dict(one.contributions[:2]), abs=1e-12
            )


def test_a_history_is_explained_without_interactions(tmp_path):
    model = ALS(factors=5, random_state=0).fit(M)
    model.save(tmp_path / "m", include_interactions=False)
    small = load(tmp_path / "m")
    assert small.explain(history=[3, 4], item=5) == model.explain(history=[3, 4], item=5)
    assert small.explain_items([], history=[3]) == []
    assert small.explain(history=[], item=5).contributions == []
    for call, words in (
        (lambda: small.explain(3, 5), "no interactions"),
        (lambda: small.explain(history=[3]), "item must be one id, got None"),
        (lambda: small.explain(3, 5, history=[3]), "either user or history"),
        (lambda: small.explain(item=5), "either user or history"),
        (lambda: small.explain(history=[[3], [4]], item=5), "must be one history"),
        (lambda: small.explain(history=[3], item=[5]), "explain_items takes several"),
        (lambda: small.explain(history=[77], item=5), "no item 77"),
        (lambda: small.explain(history=[7], item=5, n=0), "n must be"),
    ):
        check_refused(call, words)
