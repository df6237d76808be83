"""Settings and factors of other libraries: `from_convention`, `to_convention`, `from_factors`."""

import numpy as np
import pytest
import scipy.sparse as sp
from bad_input import check_refused
from conftest import random_matrix

from cymbals import ALS, Interactions

M = random_matrix((30, 20), 0.3, values=(1, 9), dtype=np.float64)
SIGNED = M.copy()
SIGNED.data[::4] *= -1
BINARY = M.copy()
BINARY.data[:] = 1


def like(r):
    return (r > 0) * 1.0


# For each convention: settings, data, and the weight alpha0 of all cells, a, b and the regularization of a row of n entries
# where the other side has N rows, as the libraries' sources have them.
FORMULAS = {
    "implicit": (
        "implicit",
        {"alpha": 2.5, "regularization": 0.3},
        SIGNED,
        lambda r: (2.5 * abs(r) - 1, 2.5 * r * like(r)),
        1,
        lambda n, N: 0.3,
    ),
    "implicit, small": (
        "implicit",
        {"alpha": 0.05},
        SIGNED,
        lambda r: (0.05 * abs(r) - 1, 0.05 * r * like(r)),
        1,
        lambda n, N: 0.01,
    ),
    "spark": (
        "spark",
        {"implicitPrefs": True, "alpha": 3.0, "regParam": 0.2},
        M,
        lambda r: (3 * r, 1 + 3 * r),
        1,
        lambda n, N: 0.2 * n,
    ),
    "spark, explicit": ("spark", {"regParam": 0.2}, M, lambda r: (r * 0 + 1, r), 0, lambda n, N: 0.2 * n),
    "irspack": (
        "irspack",
        {"alpha0": 0.2, "reg": 0.1, "nu": 0.7},
        M,
        lambda r: (r, r),
        0.2,
        lambda n, N: 0.1 * (n + 0.2 * N) ** 0.7,
    ),
    "irspack, log": (
        "irspack",
        {"alpha0": 0.2, "confidence_scaling": "log", "nu": 0.0},
        M,
        lambda r: (np.log1p(r), np.log1p(r)),
        0.2,
        lambda n, N: 1e-3,
    ),
    "irspack, original": (
        "irspack",
        {"alpha0": 1.0, "loss_type": "ORIGINAL", "reg": 0.1},
        M,
        lambda r: (r, 1 + r),
        1,
        lambda n, N: 0.1 * (n + N),
    ),
    "irspack, original, alpha0": (
        "irspack",
        {"alpha0": 0.2, "loss_type": "ORIGINAL", "nu": 0.0, "reg": 0.1},
        M,
        lambda r: (r, 0.2 + r),
        0.2,
        lambda n, N: 0.1,
    ),
    "rendle": (
        "rendle",
        {"regularization": 0.02, "unobserved_weight": 0.1},
        M,
        lambda r: (r * 0 + 1, r * 0 + 1),
        0.1,
        lambda n, N: 0.02 * (n + 0.1 * N),
    ),
    "cmfrec": ("cmfrec", {"alpha": 2.0}, M, lambda r: (2 * r, 1 + 2 * r), 1, lambda n, N: 1.0),
    "lenskit": ("lenskit", {"weight": 7.0}, M, lambda r: (r * 0 + 7, r * 0 + 8), 1, lambda n, N: 0.1),
    "lenskit, ratings": (
        "lenskit",
        {"weight": 7.0, "use_ratings": True},
        M,
        lambda r: (7 * r, 1 + 7 * r),
        1,
        lambda n, N: 0.1,
    ),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_from_convention_minimises_the_librarys_objective(case):
    name, settings, matrix, cell, alpha0, regularization = FORMULAS[case]
    model = ALS.from_convention(name, **settings, dtype="float64", solver="exact", random_state=0).fit(matrix)
    y = model.item_factors_
    for user in (0, 2, 5):
        own, r = y[matrix[[user]].indices], matrix[[user]].data
        a, b = cell(r)
        system = alpha0 * y.T @ y + (a[:, None] * own).T @ own
        system += regularization(r.size, y.shape[0]) * np.eye(y.shape[1])
        want = np.linalg.solve(system, own.T @ b)
        np.testing.assert_allclose(model.fold_in(matrix[[user]])[0] @ y.T, want @ y.T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", FORMULAS)
def test_to_convention_is_the_inverse(case):
    name, settings, *_ = FORMULAS[case]
    model = ALS.from_convention(name, **settings)
    back = model.to_convention(name)
    assert {key: back[key] for key in settings} == pytest.approx(settings)
    assert ALS.from_convention(name, **back).get_params() == pytest.approx(model.get_params())


def test_to_convention_divides_the_objective_where_this_helps():
    ours = ALS(confidence="total", alpha=3.0, unobserved_weight=0.5, regularization=0.2)
    assert ours.to_convention("implicit")["alpha"] == 6.0
    assert ours.to_convention("implicit")["regularization"] == 0.4
    ours = ALS(objective="ials", alpha=4.0, unobserved_weight=0.5, regularization=0.2)
    assert ours.to_convention("irspack") | {"alpha0": 0.125, "reg": 0.05} == ours.to_convention("irspack")


INEXPRESSIBLE = {
    "implicit": [
        ({}, "give it the values 1 \\+ 1 r"),
        ({"confidence": "total", "nu": 1}, "nu=1 has no counterpart"),
        ({"objective": "ials"}, "objective 'hu' only"),
        ({"confidence": "log"}, "confidence='log'"),
        ({"confidence": "total", "unobserved_weight": 0}, "weight 1"),
    ],
    "spark": [
        ({}, "use nu=1, row_size='entries'"),
        ({"nu": 1}, "use nu=1, row_size='entries'"),
        ({"objective": "explicit", "nu": 1, "biases": True}, "no biases"),
        ({"nu": 1, "row_size": "entries", "unobserved_weight": 0.1}, "unobserved_weight=0.1"),
    ],
    "irspack": [
        ({"objective": "explicit"}, "counts only"),
        ({"objective": "ials", "confidence": "binary"}, "'none' and 'log'"),
        ({"objective": "ials", "alpha": 2.0, "nu": 1.0}, "irspack has no alpha"),
        ({"objective": "ials", "nu": 1.0, "row_size": "entries"}, "row size"),
        ({"unobserved_weight": 0.5}, "ORIGINAL"),
    ],
    "rendle": [
        ({"objective": "ials"}, "same weight for all entries"),
        ({"objective": "ials", "confidence": "binary", "alpha": 2.0}, "weight 1"),
        ({"objective": "ials", "confidence": "binary", "nu": 1.0, "row_size": "entries"}, "row size"),
    ],
    "cmfrec": [({"unobserved_weight": 0.1}, "unobserved_weight=0.1"), ({"confidence": "log"}, "confidence='log'")],
    "lenskit": [({"nu": 0.5}, "nu=0.5"), ({"confidence": "total"}, "'linear' or 'binary'")],
}


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_to_convention_says_what_cannot_be_expressed(name):
    for settings, message in INEXPRESSIBLE[name]:
        with pytest.raises(ValueError, match=message):
            ALS(**settings).to_convention(name)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("implict", {}, "name must be one of 'implicit', 'spark'"),
        ("spark", {"rnk": 3}, "rnk is no setting of spark that cymbals translates; these are rank, maxIter"),
        ("spark", {"nonnegative": True}, "nonnegative=True has no counterpart"),
        ("spark", {"nu": 1.0}, "nu is no setting of spark"),
        ("irspack", {"loss_type": "ORIGINAL"}, "it needs alpha0=1"),
        ("irspack", {"loss_type": "other"}, "loss_type must be one of"),
        ("irspack", {"confidence_scaling": "log", "epsilon": 2.0}, "epsilon=2.0 has no counterpart"),
        ("irspack", {"nu_star": 0.5}, "nu_star=0.5"),
        ("cmfrec", {"nonneg": True}, "nonneg=True"),
    ],
)
def test_from_convention_refuses(name, settings, message):
    with pytest.raises(ValueError, match=message):
        ALS.from_convention(name, **settings)


# -- factors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("biases", [False, True])
def test_from_factors_gives_the_model_that_they_came_from(biases, dtype, tmp_path):
    data = Interactions.from_csr(M, item_ids=[f"i{k}" for k in range(20)], item_names={"i3": "three"})
    settings = {"objective": "explicit", "biases": biases, "regularization": 0.2, "dtype": dtype}
    first = ALS(factors=4, random_state=0, **settings).fit(data)
    own = {"user_biases": first.user_biases_, "item_biases": first.item_biases_} if biases else {}
    own |= {"global_mean": first.global_mean_} if biases else {}
    second = ALS.from_factors(
        first.user_factors_, first.item_factors_, data=data, **own, regularization=0.2, objective="explicit"
    )
    assert second.dtype == dtype
    assert second.factors == 4
    for call in (
        lambda m: m.recommend([0, 3], 5),
        lambda m: m.similar_items("i3"),
        lambda m: m.fold_in(M[:2]),
        lambda m: m.predict([1, 2], ["i3", "i4"]),
        lambda m: (m.name_of("i3"), m.loss(data)),
        lambda m: m.explain(0, "i3").total,
    ):
        for a, b in zip(np.atleast_1d(call(first)), np.atleast_1d(call(second)), strict=True):
            np.testing.assert_array_equal(a, b)
    second.save(tmp_path / "model")
    second.update_users([0], M[:1])
    assert second.history_ == []


def test_from_factors_without_data():
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 3)), rng.random((4, 3))
    model = ALS.from_factors(x, y, user_ids=list("abcde"), item_ids=[10, 20, 30, 40])
    ids, scores = model.recommend("b", n=4, exclude_seen=False)
    np.testing.assert_allclose(scores, np.sort(y @ x[1])[::-1])
    assert ids.tolist() == (10 * (1 + np.argsort(-(y @ x[1])))).tolist()
    with pytest.raises(ValueError, match="has no interactions"):
        model.recommend("b")
    before = model.user_factors_.copy()
    x[:] = 0  # the arrays were copied
    assert np.array_equal(model.user_factors_, before)
    assert ALS.from_factors([[1, 2]], [[3, 4]]).dtype == "float32"


GOOD = {"user_factors": np.ones((3, 2)), "item_factors": np.ones((4, 2))}
BAD = {
    "user_factors": (
        [[1.0, 2.0, 3.0]] * 3,
        "x",
        np.ones(3),
        np.full((3, 2), np.nan),
        np.ones((3, 0)),
        np.ones((0, 2)),
        None,
    ),
    "item_factors": (np.full((4, 2), np.inf), np.ones((4, 2), bool), [["a", "b"]]),
    "data": (sp.csr_array((4, 3)), np.ones((3, 4)), "x"),
    "user_ids": ([1, 2], [1, 1, 2]),
    "item_ids": ([1, 2, 3], [None] * 4),
    "item_names": ([1, 2], 5),
    "factors": (3,),
    "user_biases": (np.ones(3), np.ones(2)),
    "global_mean": ("x", np.nan, 3.0),
    "biases": (True,),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_from_factors_refuses(name, value):
    check_refused(lambda: ALS.from_factors(**GOOD | {name: value}), name)
