"""recommend, similar_*, rank_items, predict, popular: ids, ties, masks, padding, blocks."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import csr_of, random_matrix

from cymbals import ALS, Interactions, _core
from cymbals.base import blocks


@pytest.fixture(scope="module")
def matrix():
    return random_matrix((60, 40), 0.2, values=(1, 9))


@pytest.fixture(scope="module", params=["float32", "float64"])
def model(request, matrix):
    data = Interactions.from_csr(matrix, item_ids=[f"i{k:02}" for k in range(40)])
    return ALS(factors=6, random_state=0, dtype=request.param).fit(data)


def brute(model, users, allowed):
    scores = (model.user_factors_[users] @ model.item_factors_.T).astype(float)
    scores[~allowed] = -np.inf
    return scores


def check(model, ids, scores, want):
    """ids and scores against brute force; equal scores to rounding may swap."""
    rows = np.array([[-1 if i is None else int(i[1:]) for i in line] for line in ids])
    k = rows.shape[1]
    best = -np.sort(-want, axis=1)[:, :k]
    best = np.pad(best, ((0, 0), (0, k - best.shape[1])), constant_values=-np.inf)
    tolerance = 1e-5 if model.dtype == "float32" else 1e-12
    for line in range(rows.shape[0]):
        for place in range(k):
            assert scores[line, place] == pytest.approx(best[line, place], rel=tolerance, abs=tolerance)
            if rows[line, place] >= 0:
                assert want[line, rows[line, place]] == pytest.approx(scores[line, place], rel=tolerance, abs=tolerance)
            else:
                assert scores[line, place] == -np.inf
        found = rows[line][rows[line] >= 0]
        assert np.unique(found).size == found.size


def test_seen_excluded_and_candidates(model, matrix):
    users = np.array([5, 2, 59, 5])
    free = matrix.toarray()[users] == 0
    mask = random_matrix((4, 40), 0.3, seed=4)
    chosen = [f"i{k:02}" for k in (3, 9, 9, 11, 30)]
    inside = np.isin(np.arange(40), [3, 9, 11, 30])
    unmasked = mask.toarray() == 0
    for how, allowed in (
        ({}, free),
        ({"exclude_seen": False}, np.ones_like(free)),
        ({"exclude": chosen}, free & ~inside),
        ({"candidates": chosen}, free & inside),
        ({"exclude": mask}, free & unmasked),
        ({"exclude": mask, "exclude_seen": False}, unmasked),
        ({"exclude": mask, "candidates": chosen}, free & unmasked & inside),
        ({"exclude": ["i09"], "candidates": chosen}, free & inside & (np.arange(40) != 9)),
    ):
        for n in (1, 5, 60):
            for n_threads in (1, 3):
                ids, scores = model.recommend(users, n, n_threads=n_threads, **how)
                assert ids.shape == scores.shape == (4, n)
                assert scores.dtype == model.dtype
                check(model, ids, scores, brute(model, users, allowed))


def test_one_user_and_all_blocks(model, matrix, monkeypatch):
    ids, scores = model.recommend(5, 3)
    assert ids.shape == scores.shape == (3,)
    everyone = model.recommend(np.arange(60), 3)
    assert np.array_equal(everyone[0][5], ids)
    monkeypatch.setattr(blocks, "BYTE_BUDGET", 10_000)  # several blocks
    again = model.recommend(np.arange(60), 3)
    assert np.array_equal(again[0], everyone[0])
    assert np.array_equal(again[1], everyone[1])
    assert model.recommend([], 3)[0].shape == (0, 3)


def test_no_history_gets_what_is_popular(model, matrix):
    ids, scores = model.popular(4)
    audience = (matrix.toarray() > 0).sum(axis=0)
    order = np.argsort(-audience, kind="stable")[:4]
    assert ids.tolist() == [f"i{k:02}" for k in order]
    assert scores.tolist() == audience[order].tolist()
    assert model.recommend(1, 4)[0].tolist() == ids.tolist()  # row 1 is empty
    assert model.recommend(rows=sp.csr_array((1, 40)), n=4)[0][0].tolist() == ids.tolist()
    assert model.recommend(1, 2, exclude=[ids[0]])[0].tolist() == ids[1:3].tolist()


def test_padding_holds_minus_one_where_ids_are_numbers(matrix):
    numbers = ALS(factors=3, random_state=0).fit(matrix)
    ids, scores = numbers.recommend(3, 5)  # user 3 has everything
    assert ids.tolist() == [-1] * 5
    assert (scores == -np.inf).all()


def test_padding_holds_none_where_ids_are_strings(matrix):
    data = Interactions.from_csr(matrix, item_ids=[f"i{i}" for i in range(matrix.shape[1])])
    ids, scores = ALS(factors=3, random_state=0).fit(data).recommend([3], 5)
    assert ids.tolist() == [[None] * 5]
    assert (scores == -np.inf).all()


def test_more_places_than_items(model, matrix):
    """Width is what was asked for, cost what the catalogue takes."""
    few, some = model.recommend(5, 100), model.recommend(5, 3_000_000)
    assert some[0].shape == some[1].shape == (3_000_000,)
    assert some[0][:100].tolist() == few[0].tolist()
    assert np.array_equal(some[1][:100], few[1])
    assert (some[1][100:] == -np.inf).all()


def test_nothing_that_competes(model):
    everything = model.items_.all()
    for ids, scores in (model.recommend(5, 3, candidates=[]), model.recommend(5, 3, exclude=everything)):
        assert ids.tolist() == [None] * 3
        assert (scores == -np.inf).all()
    ids, scores = model.recommend([5, 6], 3, candidates=[everything[0]], exclude=[everything[0]])
    assert ids.shape == scores.shape == (2, 3)


def test_what_has_no_entries_is_like_nothing(matrix):
    lonely = matrix.toarray()
    lonely[:, 7] = 0
    model = ALS(factors=4, random_state=0).fit(sp.csr_array(lonely))
    ids, scores = model.similar_items([7, 8], 5)
    assert ids[0].tolist() == [-1] * 5
    assert (scores[0] == -np.inf).all()
    assert 7 not in model.similar_items(8, 100)[0]
    assert np.isfinite(scores[1]).all()


def test_similar(model):
    for ask, factors in ((model.similar_items, model.item_factors_), (model.similar_users, model.user_factors_)):
        unit = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-30)
        want = (unit @ unit.T).astype(float)
        np.fill_diagonal(want, -np.inf)
        names = model.items_ if ask == model.similar_items else model.users_
        for row in (0, 7):
            ids, scores = ask(names.all()[row], n=6)
            assert scores == pytest.approx(-np.sort(-want[row])[:6], abs=1e-5)
            assert names.all()[row] not in ids.tolist()
        assert ask(names.all()[:3], n=100)[0].shape == (3, 100)


def test_rank_and_predict(model, matrix):
    chosen = ["i30", "i03", "i11", "i03"]
    ids, scores = model.rank_items(5, chosen)
    want = model.predict([5] * 3, ["i03", "i11", "i30"])
    order = np.argsort(-want)
    assert ids.tolist() == [["i03", "i11", "i30"][o] for o in order]
    assert scores == pytest.approx(want[order], rel=1e-5)
    assert model.predict([], []).shape == (0,)
    assert model.rank_items(5, [])[0].shape == (0,)


def test_ties_go_to_the_lower_row():
    data = sp.csr_array(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], np.float32))
    model = ALS(factors=2, random_state=0).fit(data)
    ids, _ = model.recommend(0, 5, exclude_seen=False)
    assert set(ids[:2].tolist()) == {0, 1}
    model.replace_state(model.state_.changed(y=np.ones((5, 2), np.float32), x=np.ones((2, 2), np.float32)))
    assert model.recommend(0, 5, exclude_seen=False)[0].tolist() == [0, 1, 2, 3, 4]
    assert model.recommend(0, 2)[0].tolist() == [2, 3]


def test_unknown_ids_are_named(model):
    for call, what in (
        (lambda: model.recommend(60), "60"),
        (lambda: model.recommend([-1]), "-1"),
        (lambda: model.recommend("u"), "'u'"),
        (lambda: model.recommend(3, candidates=["nope"]), "nope"),
        (lambda: model.recommend(3, exclude=["nope"]), "nope"),
        (lambda: model.similar_items("i99"), "i99"),
        (lambda: model.similar_items(3), "3"),
        (lambda: model.predict([1], ["zz"]), "zz"),
        (lambda: model.explain(1, "zz"), "zz"),
        (lambda: model.rank_items(99, ["i01"]), "99"),
    ):
        with pytest.raises(KeyError, match=what):
            call()


def test_screening_gives_what_brute_force_gives():
    """Many queries are screened by 8-bit products, few are not: ids and scores must be the same to the bit."""
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
