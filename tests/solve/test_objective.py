"""Objectives: confidences, stored zeros, regularization that overflows."""

import numpy as np
import pytest
import scipy.sparse as sp
from bad_input import check_refused
from conftest import SMALL, random_matrix

from cymbals import ALS


def test_stored_zeros():
    m = sp.csr_array((np.array([1.0, 0.0, 2.0]), ([0, 0, 1], [0, 1, 1])), shape=(2, 3))
    assert ALS(factors=2, random_state=0).fit(m).report_["stored_zeros_dropped"] == 1
    only_zero = sp.csr_array((np.array([0.0]), ([0], [1])), shape=(1, 3))
    fitted = ALS(factors=2, random_state=0).fit(m)
    assert fitted.recommend(rows=only_zero, n=3)[0][0].tolist() == fitted.popular(3)[0].tolist()
    explicit = ALS(factors=2, objective="explicit", random_state=0).fit(m)
    assert explicit.report_["stored_zeros_dropped"] == 0
    assert explicit.explain(0, 2).contributions[0][0] in (0, 1)


def test_confidence_of_zero_keeps_the_preference():
    ones = random_matrix((30, 20), 0.3, values=(1, 2))
    a = ALS(factors=4, confidence=np.log, random_state=0).fit(ones)
    b = ALS(factors=4, alpha=0.0, random_state=0).fit(ones)
    assert np.abs(a.user_factors_ @ a.item_factors_.T - b.user_factors_ @ b.item_factors_.T).max() < 1e-4


def test_callable_confidence_is_applied_once(matrix):
    calls = []

    def damped(values):
        calls.append(values.size)
        return np.log1p(values)

    a = ALS(factors=4, confidence=damped, solver="exact", random_state=0).fit(matrix)
    assert calls == [matrix.nnz]
    b = ALS(factors=4, confidence="log", solver="exact", random_state=0).fit(matrix)
    assert np.abs(a.user_factors_ @ a.item_factors_.T - b.user_factors_ @ b.item_factors_.T).max() < 1e-3


@pytest.mark.parametrize("how", [{}, {"objective": "ials"}, {"objective": "explicit", "regularization": 1e30}])
def test_a_regularization_that_overflows_names_nu(how):
    with pytest.raises(ValueError, match=r"nu=300 is too large: the regularization of a row of \d+ entries"):
        ALS(factors=2, nu=300, **how).fit(SMALL)


def test_nu_is_refused_before_the_first_half_step(monkeypatch):
    monkeypatch.setattr("cymbals.solve.loop.half_step", lambda *args: pytest.fail("a half-step ran"))
    with pytest.raises(ValueError, match="nu"):
        ALS(factors=2, nu=300).fit(SMALL)


@pytest.mark.parametrize("name", ["regularization", "unobserved_weight"])
def test_arguments_beyond_the_dtype_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be at most 3.4e.38 with dtype 'float32', got 1e.300"):
        ALS(4, **{name: 1e300}).fit(random_matrix((30, 20), 0.3))


def test_masked_confidences():
    with pytest.raises(ValueError, match=r"the result of the confidence function: .* masked, the first at row"):
        ALS(factors=3, confidence=lambda values: np.ma.masked_equal(values, values[3])).fit(SMALL)


RETURNED = {
    "short": lambda v: v[:-1],
    "scalar": lambda v: 1.0,
    "nan": lambda v: v * np.nan,
    "inf": lambda v: v + np.inf,
    "text": lambda v: v.astype(str),
    "none": lambda v: None,
    "two columns": lambda v: np.stack([v, v], axis=1),
}
CASES = {f"confidence returns {name}": function for name, function in RETURNED.items()}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name):
    check_refused(lambda: ALS(confidence=CASES[name]).fit(SMALL), "confidence")


def test_total_makes_alpha_r_the_weight_of_the_entry():
    """alpha r = 1 + w, so with values above 1 it is "linear" on alpha r - 1."""
    matrix = random_matrix((30, 20), 0.3, values=(2, 9), dtype=np.float64)
    less = matrix.copy()
    less.data = 3.0 * less.data - 1
    fits = [
        ALS(factors=4, alpha=3.0, confidence="total", dtype="float64", random_state=0).fit(matrix),
        ALS(factors=4, dtype="float64", random_state=0).fit(less),
    ]
    scores = [model.user_factors_ @ model.item_factors_.T for model in fits]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-9)
    assert fits[0].loss(matrix) == pytest.approx(fits[1].loss(less), rel=1e-12)
    explained = [model.explain(0, 1) for model in fits]
    assert explained[0].total == pytest.approx(explained[1].total, rel=1e-9)
    with pytest.raises(ValueError, match="confidence='total' is not for objective 'ials'"):
        ALS(objective="ials", confidence="total").fit(matrix)


@pytest.mark.parametrize("confidence", ["linear", "total"])
@pytest.mark.parametrize("kind", ["hu", "explicit"])
@pytest.mark.parametrize("nu", [0.5, 1.0])
def test_row_size_entries_counts_the_entries_alone(nu, kind, confidence):
    matrix = random_matrix((30, 20), 0.3, values=(2, 9), dtype=np.float64)
    settings = {"factors": 4, "nu": nu, "objective": kind, "confidence": confidence, "dtype": "float64", "iterations": 1}
    model = ALS(row_size="entries", regularization=0.3, solver="exact", random_state=0, **settings).fit(matrix)
    regularization = 0.3 * np.diff(matrix.indptr).astype(float) ** nu
    for user in (0, 2, 5):
        seen = matrix[[user]].indices
        y, r = model.item_factors_, matrix[[user]].data
        unseen = np.delete(y, seen, axis=0) * (kind == "hu")
        weight = {"linear": 1 + r, "total": r}[confidence] if kind == "hu" else np.ones_like(r)
        target = 1.0 if kind == "hu" else r
        system = unseen.T @ unseen + (y[seen] * weight[:, None]).T @ y[seen] + regularization[user] * np.eye(4)
        np.testing.assert_allclose(model.fold_in(matrix[[user]])[0], np.linalg.solve(system, y[seen].T @ (weight * target)))
