"""The 8-bit screen and the index behind recommend and similar: the same answers as a plain search."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import csr_of, model_of

from cymbals import _core


def test_screening_finds_the_same_items_as_brute_force():
    """Calls with many queries screen items by 8-bit products, calls with few do not. Both must give the same bits."""
    rng = np.random.default_rng(0)
    n, m = 300, 2500
    hard = {
        "normal": (lambda f: rng.standard_normal((n, f)), lambda f: rng.standard_normal((m, f))),
        "ties": (lambda f: rng.integers(-1, 2, (n, f)), lambda f: rng.integers(-1, 2, (m, f))),
        "one direction": (lambda f: np.eye(f)[rng.integers(0, 2, n)], lambda f: np.eye(f)[rng.integers(0, f, m)] * 3),
        "zeros": (
            lambda f: rng.standard_normal((n, f)) * (rng.random((n, 1)) < 0.5),
            lambda f: rng.standard_normal((m, f)) * (rng.random((m, 1)) < 0.1),
        ),
        "sizes": (
            lambda f: rng.standard_normal((n, f)) * 10.0 ** rng.integers(-12, 12, (n, 1)),
            lambda f: rng.standard_normal((m, f)) * 10.0 ** rng.integers(-6, 6, (m, 1)),
        ),
        "negative": (lambda f: -rng.random((n, f)), lambda f: rng.random((m, f))),
        "not finite": (lambda f: rng.standard_normal((n, f)), lambda f: np.where(rng.random((m, f)) < 1e-4, np.inf, 1.0)),
    }
    skip = sp.random(n, m, 0.02, format="csr", random_state=1, dtype=np.float32)
    some = np.sort(rng.choice(m, 2100, replace=False)).astype(np.int64)
    for name, (users, items) in hard.items():
        for f, dtype in ((16, "float32"), (50, "float64"), (129, "float32"), (300, "float32")):
            x, y = users(f).astype(dtype), items(f).astype(dtype)
            for k, left_out, chosen, scale in (
                (10, None, None, None),
                (10, skip, None, None),
                (100, skip, some, None),
                (1, None, None, rng.standard_normal(m).astype(dtype)),
            ):

                def topk(rows, x=x, y=y, k=k, left_out=left_out, chosen=chosen, scale=scale):
                    ids, scores = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), y.dtype)
                    part = None if left_out is None else csr_of(left_out[rows])
                    _core.topk(x[rows], y, chosen, scale, part, ids, scores, 2)
                    return ids, scores

                with np.errstate(all="ignore"):
                    many = topk(np.arange(n))
                    parts = [topk(r) for r in np.split(np.arange(n), 3)]
                    few = [np.concatenate(part) for part in zip(*parts, strict=True)]
                np.testing.assert_array_equal(many[0], few[0], err_msg=f"{name} {f} {k}")
                np.testing.assert_array_equal(many[1], few[1], err_msg=f"{name} {f} {k}")


def factors(n_users, n_items, rank, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, rank)).astype(dtype) for n in (n_users, n_items))


@pytest.mark.parametrize(
    ("dtype", "user_scale", "item_scale"),
    [
        ("float64", 1e-163, 1e-163),
        ("float64", 1.0, 1e-200),
        ("float64", 1e200, 1e-200),
        ("float64", 1e-320, 1.0),
        ("float32", 1e-22, 1e-22),
        ("float32", 1e-23, 1e-23),
        ("float32", 1e-38, 1e-3),
        ("float32", 1e19, 1e-19),
        ("float32", 3e18, 3e18),
        ("float32", 1e19, 1e19),
    ],
)
def test_index_screen_and_plain_search_agree_on_tiny_and_huge_factors(dtype, user_scale, item_scale):
    x, y = factors(300, 4000, 24, dtype)
    model = model_of(x * np.array(user_scale, dtype), y * np.array(item_scale, dtype))
    everybody = np.arange(300)
    screened = model.recommend(everybody, 10, exclude_seen=False)
    plain = model.recommend(everybody[:30], 10, exclude_seen=False, candidates=np.arange(4000))
    by_index = [model.recommend(u, 10, exclude_seen=False) for u in range(30)]
    for u in range(30):
        for found in ((screened[0][u], screened[1][u]), by_index[u]):
            np.testing.assert_array_equal(found[0], plain[0][u])
            np.testing.assert_array_equal(found[1], plain[1][u])


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("float64", 1e-163),
        ("float64", 1e-310),
        ("float64", 1e160),
        ("float64", 1e300),
        ("float32", 1e-23),
        ("float32", 1e-40),
        ("float32", 1e20),
        ("float32", 1e37),
    ],
)
def test_cosines_do_not_depend_on_lengths(dtype, scale):
    x, y = factors(20, 300, 8, dtype)
    y = np.round(y * 8) / 8  # few digits, so that scaling down to subnormal numbers loses little
    y[5] = 0  # an item without entries has no direction
    scaled = y * np.array(scale, dtype)
    scaled[::3] = y[::3]  # every third item keeps its length
    want, got = (model_of(x, f).similar_items(np.arange(300), 10) for f in (y, scaled))
    tolerance = 1e-2 if dtype == "float32" and scale < 1e-38 else 1e-5
    filled = np.isfinite(want[1])
    assert np.array_equal(filled, np.isfinite(got[1]))
    assert np.abs(got[1][filled] - want[1][filled]).max() < tolerance
    assert got[1][filled].max() <= 1 + tolerance
    assert not np.any(got[0] == 5)
