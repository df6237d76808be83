"""Arguments that are "auto": the numbers that the rule chooses, and where they are used and kept."""

import copy
import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import random_matrix

import cymbals
from cymbals import ALS, Interactions
from cymbals.model import container
from cymbals.solve import rule

PLAYS = random_matrix((60, 40), 0.1, values=(1, 50))
AUTO = dict.fromkeys(rule.AUTOMATIC, "auto")


def entries(matrix):
    return matrix.tocsr().data.astype(np.float64)


def confidence(kind, values):
    return {"linear": values, "log": np.log1p(values), "binary": np.ones_like(values)}[kind]


def fitted(matrix=PLAYS, **params):
    return ALS(**{"factors": 4, "iterations": 2, "random_state": 0} | params).fit(matrix)


@pytest.mark.parametrize("kind", ["linear", "log", "binary"])
@pytest.mark.parametrize("objective", ["hu", "ials"])
def test_the_numbers_are_those_of_the_formulas(objective, kind):
    model = fitted(objective=objective, confidence=kind, nu=1.0, **AUTO)
    g = confidence(kind, entries(PLAYS)).mean()
    assert model.report_["alpha"] == pytest.approx(1 / g)
    mean = 2 if objective == "hu" else 1  # the mean weight of an entry
    density = PLAYS.nnz / 2400
    (c, power), (d, slope) = rule.RULE
    weight, strength = c * (density / 0.01) ** power, d * (density / 0.01) ** slope
    assert model.report_["unobserved_weight"] == pytest.approx(mean * weight)
    per_user, per_item = PLAYS.nnz / 60, PLAYS.nnz / 40
    row = np.sqrt((per_user + weight * 40) * (per_item + weight * 60))  # the size of an average row, in entries
    most = np.sqrt(per_user * per_item) / 2
    regularization = min(strength / (weight * np.sqrt(2400)) * row, most)  # of an average row, compared with an entry
    size = np.sqrt((per_user + mean * weight * 40) * (per_item + mean * weight * 60))
    assert model.report_["regularization"] == pytest.approx(mean * regularization / size)


@pytest.mark.parametrize("params", [{"nu": 0.0}, {"nu": 0.5}, {"nu": 1.0, "row_size": "entries"}, {"nu": 2.0}])
def test_an_average_row_gets_the_same_regularization_with_any_nu(params):
    of_a_row = []
    for one in ({"nu": 1.0}, params):
        model = fitted(objective="ials", **AUTO | one)
        w = 0 if "row_size" in one else model.report_["unobserved_weight"]
        size = np.sqrt((PLAYS.nnz / 60 + w * 40) * (PLAYS.nnz / 40 + w * 60))
        of_a_row.append(model.report_["regularization"] * size ** one["nu"])
    assert of_a_row[0] == pytest.approx(of_a_row[1])


@pytest.mark.parametrize("factor", [1e-3, 1e6])
def test_the_unit_of_the_counts_does_not_matter(factor):
    one, other = (fitted(m, objective="ials", nu=1.0, dtype="float64", **AUTO) for m in (PLAYS, PLAYS * factor))
    assert other.report_["alpha"] * factor == pytest.approx(one.report_["alpha"])
    assert other.report_["regularization"] == pytest.approx(one.report_["regularization"])
    assert np.allclose(one.user_factors_ @ one.item_factors_.T, other.user_factors_ @ other.item_factors_.T)


def test_arguments_that_are_numbers_stay_and_the_others_fit_them():
    g = confidence("log", entries(PLAYS)).mean()
    model = fitted(objective="ials", confidence="log", nu=1.0, alpha=3.0, unobserved_weight=0.9, regularization="auto")
    assert rule.automatic(model.get_params()) == ("regularization",)
    assert "alpha" not in model.report_
    chosen = fitted(
        objective="ials", confidence="log", nu=1.0, alpha=1 / g, unobserved_weight=0.9 / (3 * g), regularization="auto"
    )
    scale = 3 * g  # all weights of the first model are this many times as large
    relative = 0.9 / scale
    sizes = [np.sqrt((PLAYS.nnz / 60 + w * 40) * (PLAYS.nnz / 40 + w * 60)) for w in (0.9, relative)]
    assert model.report_["regularization"] * sizes[0] == pytest.approx(
        scale * chosen.report_["regularization"] * sizes[1], rel=1e-5
    )


@pytest.mark.parametrize("confidence", ["total", "binary", lambda r: r**0.5])
def test_a_model_with_auto_is_the_model_with_its_numbers(confidence):
    objective = "hu" if confidence == "total" else "ials"
    one = fitted(objective=objective, confidence=confidence, nu=1.0, **AUTO)
    numbers = {name: one.report_[name] for name in AUTO}
    other = fitted(objective=objective, confidence=confidence, nu=1.0, **numbers)
    assert np.array_equal(one.user_factors_, other.user_factors_)
    for model in (one, other):
        model.update(([1, 2], [5, 6], [3.0, 4.0]))
    assert np.array_equal(one.item_factors_, other.item_factors_)
    assert np.array_equal(one.fold_in(PLAYS[:3]), other.fold_in(PLAYS[:3]))
    assert one.loss(PLAYS) == other.loss(PLAYS)


def test_the_numbers_are_kept_with_the_model(tmp_path):
    model = fitted(objective="ials", nu=1.0, **AUTO)
    path = tmp_path / "m.cymbals"
    model.save(path)
    for same in (cymbals.load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert {same.get_params()[name] for name in AUTO} == {"auto"}
        assert same.report_ == model.report_
        assert np.array_equal(same.fold_in(PLAYS[:3]), model.fold_in(PLAYS[:3]))
        assert repr(same) == repr(model)
    assert f"unobserved_weight = {model.report_['unobserved_weight']:.4g}" in repr(model)
    assert "with" not in repr(ALS.auto())
    assert "with" not in repr(fitted())
    assert repr(ALS(alpha="much")) == "ALS(alpha='much')"  # `fit` refuses it, `repr` must not


def test_a_file_without_the_numbers_is_refused(tmp_path):
    fitted(objective="ials", nu=1.0, **AUTO).save(tmp_path / "m")
    facts, arrays = container.read(tmp_path / "m")
    facts = json.loads(json.dumps(facts))
    del facts["model"]["report"]["alpha"]
    container.write(tmp_path / "x", facts, dict(arrays))
    with pytest.raises(cymbals.ModelFileError, match="alpha='auto', but the report has no number for it"):
        cymbals.load(tmp_path / "x")


def test_other_libraries_get_the_numbers():
    model = fitted(objective="hu", confidence="total", **AUTO)
    numbers = model.report_
    theirs = model.to_convention("implicit")
    assert theirs["regularization"] == numbers["regularization"] / numbers["unobserved_weight"]


def test_a_tiny_matrix_does_not_get_factors_of_zero():
    plays = Interactions.from_arrays(["ann", "ann", "bob", "cy"], ["abba", "blur", "abba", "blur"], [9, 1, 4, 7])
    model = ALS.auto(2, random_state=0).fit(plays)
    assert np.abs(model.user_factors_).max() > 0.1
    assert np.isfinite(ALS.auto(2, random_state=0).fit(sp.csr_array([[3.0]])).user_factors_).all()


def test_cells_without_an_entry_never_weigh_more_than_those_with_one():
    """With objective "hu" and raw counts, the mean weight can be thousands of times the least one."""
    plays = PLAYS.copy()
    plays.data[::10] = 1e5
    assert fitted(plays, objective="hu", unobserved_weight="auto").report_["unobserved_weight"] == 1.0


def test_auto_takes_other_arguments():
    model = ALS.auto(random_state=5, alpha=2.0, confidence="binary")
    assert (model.factors, model.alpha, model.confidence, model.regularization) == (128, 2.0, "binary", "auto")
    assert model.set_params(regularization=0.1).check_params() is None


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"objective": "explicit", "regularization": "auto"}, ValueError, "regularization='auto' is for counts and clicks"),
        ({"objective": "explicit", "alpha": "auto"}, ValueError, "alpha='auto' is for counts and clicks"),
        ({"regularization": "automatic"}, TypeError, "regularization must be a number or 'auto', got 'automatic'"),
        ({"unobserved_weight": 0, "regularization": "auto"}, ValueError, "needs an unobserved_weight above 0"),
        ({"nu": 1e4, "regularization": "auto"}, ValueError, "regularization='auto' overflows with nu=10000"),
    ],
)
def test_auto_is_refused(params, error, message):
    with pytest.raises(error, match=message):
        fitted(**params)


def test_alpha_is_refused_if_all_values_are_too_small():
    with pytest.raises(ValueError, match="alpha='auto' needs values with a mean confidence above 0"):
        fitted(sp.csr_array([[5e-324]]), alpha="auto", dtype="float64")


def test_a_model_that_is_not_fitted_has_no_numbers():
    with pytest.raises(ValueError, match="regularization='auto' is a number only after fit"):
        ALS(regularization="auto").to_convention("rendle")
    with pytest.raises(ValueError, match="alpha='auto' is a number only after fit"):
        ALS.from_factors(np.ones((2, 1)), np.ones((3, 1)), alpha="auto")
