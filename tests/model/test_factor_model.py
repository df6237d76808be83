"""Reading a fitted model: recommend, similar, rank_items, predict, popular; ids, ties, masks, padding."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bad_input import MASKED, TEN, broken_csr, check_refused, masked, poked
from conftest import SMALL, random_matrix

from cymbals import ALS, Interactions
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
    """Checks ids and scores against brute force. Items whose scores differ only by rounding may be exchanged."""
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


def test_users_without_history_get_popular_items(model, matrix):
    ids, scores = model.popular(4)
    audience = (matrix.toarray() > 0).sum(axis=0)
    order = np.argsort(-audience, kind="stable")[:4]
    assert ids.tolist() == [f"i{k:02}" for k in order]
    assert scores.tolist() == audience[order].tolist()
    assert model.recommend(1, 4)[0].tolist() == ids.tolist()  # row 1 is empty
    assert model.recommend(rows=sp.csr_array((1, 40)), n=4)[0][0].tolist() == ids.tolist()
    assert model.recommend(1, 2, exclude=[ids[0]])[0].tolist() == ids[1:3].tolist()


def test_missing_places_hold_minus_one_if_ids_are_numbers(matrix):
    numbers = ALS(factors=3, random_state=0).fit(matrix)
    ids, scores = numbers.recommend(3, 5)  # user 3 has everything
    assert ids.tolist() == [-1] * 5
    assert (scores == -np.inf).all()


def test_missing_places_hold_none_if_ids_are_strings(matrix):
    data = Interactions.from_csr(matrix, item_ids=[f"i{i}" for i in range(matrix.shape[1])])
    ids, scores = ALS(factors=3, random_state=0).fit(data).recommend([3], 5)
    assert ids.tolist() == [[None] * 5]
    assert (scores == -np.inf).all()


def test_more_places_than_items(model, matrix):
    """The result has n columns, however large n is; the work depends on the number of items."""
    few, some = model.recommend(5, 100), model.recommend(5, 3_000_000)
    assert some[0].shape == some[1].shape == (3_000_000,)
    assert some[0][:100].tolist() == few[0].tolist()
    assert np.array_equal(some[1][:100], few[1])
    assert (some[1][100:] == -np.inf).all()


def test_no_candidates_left(model):
    everything = model.items_.all()
    for ids, scores in (model.recommend(5, 3, candidates=[]), model.recommend(5, 3, exclude=everything)):
        assert ids.tolist() == [None] * 3
        assert (scores == -np.inf).all()
    ids, scores = model.recommend([5, 6], 3, candidates=[everything[0]], exclude=[everything[0]])
    assert ids.shape == scores.shape == (2, 3)


def test_items_without_entries_are_similar_to_no_item(matrix):
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
        unit = factors.astype(float) / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-30)
        want = unit @ unit.T
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


def test_with_biases_ties_are_those_of_the_scores_returned():
    """When the mean is added, rounding can make different scores equal. Of equal scores, the lower row comes first."""
    rng = np.random.default_rng(0)
    rows = random_matrix((40, 300), 0.3, values=(1, 6))
    model = ALS(factors=2, objective="explicit", biases=True, random_state=0, iterations=2).fit(rows)
    state = model.state_
    x, y = state.x.copy(), state.y.copy()
    x[:, :-1], y[:, :2] = 0, 0
    y[:, -1] = rng.permutation(300) * 1e-11  # rounding hides these differences, because the mean is 3
    model.replace_state(state.changed(x=x, y=y))
    for found in (model.recommend(0, 20, exclude_seen=False), model.rank_items(0, np.arange(20))):
        assert found[0].tolist() == list(range(20))
        assert np.unique(found[1]).size == 1
    assert model.recommend([0, 4], 20, exclude_seen=False, candidates=np.arange(300))[0][1].tolist() == list(range(20))
    np.testing.assert_array_equal(model.predict([0], [7]), model.rank_items(0, [7])[1])


def test_n_threads_of_the_model_is_the_default_of_its_methods(matrix, monkeypatch):
    from cymbals.model import fitted_model as module

    model = ALS(factors=4, n_threads=3, random_state=0).fit(matrix)
    asked = []
    monkeypatch.setattr(module, "resolve", lambda n: asked.append(n) or n)
    model.recommend(0)
    model.similar_items(0)
    model.fold_in(matrix[:1])
    model.recommend(0, n_threads=2)
    assert set(asked[:-1]) == {3}
    assert asked[-1] == 2


# -- what is refused -------------------------------------------------------------------------------------------------


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


def test_up_to_five_unknown_ids_are_named(small_model):
    texts = ALS(factors=2, iterations=1, random_state=0).fit(Interactions.from_arrays(["ann", "bob"], [7, 8]))
    for call, message in (
        (
            lambda: small_model.recommend([0, 77]),
            "users: no user 77; 20 user row numbers, 0 to 19, are known",
        ),
        (lambda: small_model.recommend([77, 0, 77]), "users: no user 77; 20 user row numbers"),
        (lambda: small_model.recommend(np.arange(15, 25)), "users: 5 unknown user ids: 20, 21, 22, 23, 24; 20 user row"),
        (
            lambda: small_model.recommend(np.arange(30, 10, -1)),
            "users: 11 unknown user ids: 30, 29, 28, 27, 26 and 6 more; 20 user row",
        ),
        (
            lambda: texts.recommend(["cy", "ann", "Bob"]),
            "users: 2 unknown user ids: 'cy', 'Bob'; 2 user ids are known",
        ),
        (lambda: texts.predict(["ann"] * 2, [7, 9]), "items: no item 9; 2 item ids are known"),
    ):
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value.args[0].startswith(message)


def test_several_ids_are_refused_if_one_is_expected():
    model = ALS(factors=2, iterations=1, random_state=0).fit(random_matrix((9, 8), 0.4))
    for call in (lambda: model.explain([0], 0), lambda: model.name_of([0]), lambda: model.rank_items([0], [1])):
        with pytest.raises(TypeError, match=r"must be one id, got \[0\]"):
            call()


@pytest.mark.parametrize("name", ["users  ", "exclude", "candidates"])
def test_masked_entries_are_counted_and_refused(name, small_model):
    how = {} if name == "users  " else {name: masked(TEN)}
    with pytest.raises(ValueError, match=f"^{name.strip()}: {MASKED}"):
        small_model.recommend(0 if how else masked(TEN), **how)


CASES = {
    "model unfitted": lambda model: ALS().recommend(0),
    "model nothing asked": lambda model: model.recommend(),
    "model users and rows": lambda model: model.recommend(0, rows=SMALL),
    "model n 0": lambda model: model.recommend(0, 0),
    "model n -1": lambda model: model.recommend(0, -1),
    "model n float": lambda model: model.recommend(0, 2.5),
    "model n text": lambda model: model.recommend(0, "3"),
    "model n huge": lambda model: model.recommend(0, 10**9),
    "model users a set": lambda model: model.recommend({0, 1}),
    "model popular n huge": lambda model: model.popular(2**31 - 1),
    "model user -1": lambda model: model.recommend(-1),
    "model user 20": lambda model: model.recommend(20),
    "model user huge": lambda model: model.recommend(2**62),
    "model user beyond 64 bits": lambda model: model.recommend(2**70),
    "model user float": lambda model: model.recommend(1.5),
    "model user nan": lambda model: model.recommend(np.nan),
    "model user text": lambda model: model.recommend("bob"),
    "model user None": lambda model: model.recommend([None]),
    "model user bool list": lambda model: model.recommend([True]),
    "model users 2d": lambda model: model.recommend([[1, 2]]),
    "model candidates unknown": lambda model: model.recommend(0, candidates=[12]),
    "model candidates text": lambda model: model.recommend(0, candidates="a"),
    "model exclude unknown": lambda model: model.recommend(0, exclude=[-1]),
    "model exclude mask shape": lambda model: model.recommend([0, 1], exclude=SMALL),
    "model exclude mask nan": lambda model: model.recommend(
        np.arange(20), exclude=broken_csr(data=poked(SMALL.data, 1, np.nan))
    ),
    "model rows dense": lambda model: model.recommend(rows=SMALL.toarray()),
    "model rows narrow": lambda model: model.recommend(rows=SMALL[:, :5]),
    "model rows transposed": lambda model: model.recommend(rows=SMALL.T.tocsr()),
    "model threads": lambda model: model.recommend(0, n_threads=0),
    "model similar unknown": lambda model: model.similar_items(99),
    "model similar n": lambda model: model.similar_users(0, 0),
    "model rank unknown": lambda model: model.rank_items(0, [99]),
    "model rank user": lambda model: model.rank_items(99, [0]),
    "model predict unequal": lambda model: model.predict([0, 1], [0]),
    "model predict unknown": lambda model: model.predict([0], [77]),
    "model explain unknown": lambda model: model.explain(0, 77),
    "model explain n": lambda model: model.explain(0, 0, n=0),
    "model fold_in dense": lambda model: model.fold_in(SMALL.toarray()),
    "model fold_in narrow": lambda model: model.fold_in(SMALL[:, :5]),
    "model fold_in nan": lambda model: model.fold_in(broken_csr(data=poked(SMALL.data, 1, np.nan))),
    "model fold_in indptr": lambda model: model.fold_in(broken_csr(indptr=poked(SMALL.indptr, 2, 10**6))),
    "model popular n": lambda model: model.popular(0),
    "model loss shape": lambda model: model.loss(SMALL[:3]),
    "model loss dense": lambda model: model.loss(SMALL.toarray()),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, small_model):
    state = small_model._state
    check_refused(lambda: CASES[name](small_model))
    assert small_model._state is state


# -- requests as people have them --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["float32", "float64"])
def named_model(request, matrix):
    data = Interactions.from_csr(
        matrix,
        user_ids=[100 + k for k in range(60)],
        item_ids=[f"i{k:02}" for k in range(40)],
        item_names={"i03": "three", "i07": "seven"},
    )
    return ALS(factors=6, random_state=0, dtype=request.param).fit(data)


def test_history_is_the_same_as_a_sparse_row(named_model, matrix):
    def row(*values):
        out = np.zeros((1, 40), np.float32)
        for item, value in values:
            out[0, item] += value
        return sp.csr_array(out)

    cases = [
        (["i05", "i03"], row((5, 1), (3, 1))),
        (("i05", "i03", "i05"), row((5, 2), (3, 1))),
        ({"i05", "i03"}, row((5, 1), (3, 1))),
        (np.array(["i05", "i03"]), row((5, 1), (3, 1))),
        ({"i05": 1, "i03": 1}.keys(), row((5, 1), (3, 1))),
        ({"i05": 4, "i03": 2.5}, row((5, 4), (3, 2.5))),
        ([], row()),
        ({}, row()),
        ({"i05": -1.0}, row((5, -1))),
    ]
    for history, sparse in cases:
        ids, scores = named_model.recommend(history=history, n=7)
        want = named_model.recommend(rows=sparse, n=7)
        assert ids.shape == scores.shape == (7,)
        assert ids.tolist() == want[0][0].tolist()
        np.testing.assert_allclose(scores, want[1][0], rtol=1e-6)
    together = named_model.recommend(history=[history for history, _ in cases], n=7)
    assert together[0].shape == (9, 7)
    for i, (history, _) in enumerate(cases):
        assert together[0][i].tolist() == named_model.recommend(history=history, n=7)[0].tolist()
    assert named_model.recommend(history=[["i05"]], n=3)[0].shape == (1, 3)
    assert named_model.recommend(history=[[], ["i05"]], n=3)[0].shape == (2, 3)
    kept = named_model.recommend(history=["i05"], n=40, exclude_seen=False)[0].tolist()
    assert "i05" in kept
    assert "i05" not in named_model.recommend(history=["i05"], n=40)[0].tolist()


def test_a_history_may_be_any_array_of_row_numbers_and_is_copied():
    model = ALS(factors=4, random_state=0).fit(random_matrix((30, 20), 0.3))
    rows = np.arange(20).reshape(10, 2)
    want = model.recommend(history=[0, 2, 4, 6], n=5)[0].tolist()
    for history in (rows[:4, 0], rows[:4, 0].astype(np.uint8), np.array([6, 4, 2, 0]), np.array([0.0, 2, 4, 6])):
        assert model.recommend(history=history, n=5)[0].tolist() == want
    found = model.state_.items.find(rows[0])
    assert not np.shares_memory(found, rows)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend(history=["i05", "ix"]), "history: no item 'ix'"),
        (lambda m: m.recommend(history=[["i05"], ["iy", "iz"]]), "history: 2 unknown item ids: 'iy', 'iz'"),
        (lambda m: m.recommend(history="i05"), "history must be a list of item ids"),
        (lambda m: m.recommend(history=5), "history must be a list of item ids"),
        (lambda m: m.recommend(history=[["i05"], "i03"]), "history holds 'i03' among histories"),
        (lambda m: m.recommend(history={"i05": np.nan}), "item 'i05' has the value nan"),
        (lambda m: m.recommend(history={"i05": "many"}), "history must hold numbers"),
        (lambda m: m.recommend(history=[1, 2]), "history"),
        (lambda m: m.recommend(history=["i05", ["i03"]]), "history holds both ids and"),
        (lambda m: m.recommend(history=np.array([["i05", "i03"]])), "history must have one dimension"),
        (lambda m: m.recommend(history=np.ma.masked_array([5, 8], [0, 1])), "1 of 2 values are masked"),
        (lambda m: m.recommend(history={"ix": np.nan}), "history: no item 'ix'"),
        (lambda m: m.recommend(["100", "101"], unknown="popular"), "users: 2 unknown user ids"),
        (lambda m: m.recommend(100, history=["i05"]), "exactly one of users, rows and history"),
        (lambda m: m.recommend(), "exactly one of users, rows and history"),
        (lambda m: m.recommend(100, unknown="drop"), "unknown must be one of"),
        (lambda m: m.recommend(100, candidates=np.ones(39, bool)), "candidates is a mask of shape .39,."),
        (lambda m: m.recommend(100, exclude=["ix"]), "exclude: no item 'ix'"),
        (lambda m: m.similar_items("i03", exclude=["ix"]), "exclude: no item 'ix'"),
        (lambda m: m.similar_users(100, candidates=[7]), "candidates: no user 7"),
        (lambda m: m.recommend(100, to_frame=1), "to_frame must be True or False"),
    ],
)
def test_a_request_that_is_refused_names_what_is_wrong(named_model, call, message):
    with pytest.raises((KeyError, TypeError, ValueError), match=message):
        call(named_model)


def test_limits_may_be_ids_sets_or_masks(named_model):
    chosen = ["i01", "i09", "i20", "i30"]
    mask = np.isin(np.arange(40), [1, 9, 20, 30])
    for name in ("exclude", "candidates"):
        want = named_model.recommend(105, 10, **{name: chosen})
        for form in (set(chosen), np.array(chosen), mask, mask.tolist()):
            got = named_model.recommend(105, 10, **{name: form})
            assert got[0].tolist() == want[0].tolist()


def test_similar_with_limits(named_model):
    ids, scores = named_model.similar_items(["i03", "i09"], 39)
    chosen = ["i01", "i09", "i20"]
    for query in range(2):
        order = dict(zip(ids[query].tolist(), scores[query].tolist(), strict=True))
        got = named_model.similar_items(["i03", "i09"], 5, candidates=chosen)
        want = sorted((i for i in chosen if order.get(i, -np.inf) > -np.inf), key=lambda i: -order[i])
        assert got[0][query].tolist() == want + [None] * (5 - len(want))
        got = named_model.similar_items(["i03", "i09"], 5, exclude=set(chosen))
        want = [i for i in ids[query].tolist() if i is not None and i not in chosen][:5]
        assert got[0][query].tolist() == want
    users = named_model.similar_users(100, 3, candidates=np.arange(60) % 2 == 0)[0]
    assert all(user % 2 == 0 for user in users)


def test_unknown_users(named_model):
    popular = named_model.popular(4)
    known = named_model.recommend([100, 105], 4)
    ids, scores = named_model.recommend([100, 999, 105, 998], 4, unknown="popular")
    assert ids[[0, 2]].tolist() == known[0].tolist()
    assert ids[1].tolist() == ids[3].tolist() == popular[0].tolist()
    np.testing.assert_array_equal(scores[1], popular[1])
    ids, scores = named_model.recommend([100, 999, 105], 4, unknown="skip")
    assert ids[[0, 2]].tolist() == known[0].tolist()
    assert ids[1].tolist() == [None] * 4
    assert np.isneginf(scores[1]).all()
    assert named_model.recommend(999, 4, unknown="popular")[0].shape == (4,)
    with pytest.raises(KeyError, match="999"):
        named_model.recommend([100, 999])


def test_answers_as_frames(named_model):
    pytest.importorskip("pandas", reason="pandas is not installed")
    ids, scores = named_model.recommend([105, 100], 3)
    table = named_model.recommend([105, 100], 3, to_frame=True)
    assert table.columns.tolist() == ["user", "rank", "item", "name", "score"]
    assert table["user"].tolist() == [105] * 3 + [100] * 3
    assert table["rank"].tolist() == [1, 2, 3] * 2
    assert table["item"].tolist() == ids.ravel().tolist()
    np.testing.assert_array_equal(table["score"], scores.ravel())
    few = named_model.recommend(105, 40, candidates=["i03", "i07", "i09"], exclude_seen=False, to_frame=True)
    assert len(few) == 3  # places that are not filled have no row
    names = dict(zip(few["item"], few["name"], strict=True))
    assert (names["i03"], names["i07"]) == ("three", "seven")
    assert named_model.recommend(history=[["i03"], ["i07"]], n=2, to_frame=True)["user"].tolist() == [0, 0, 1, 1]
    assert len(named_model.recommend([999], to_frame=True, unknown="skip")) == 0
    similar = named_model.similar_items(["i03"], 2, to_frame=True)
    assert similar.columns.tolist() == ["item", "rank", "similar", "name", "score"]
    assert named_model.similar_users(100, 2, to_frame=True).columns.tolist() == ["user", "rank", "similar", "score"]


def test_frames_of_other_libraries(named_model):
    """The library of the ids, or one by name."""
    polars, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    want = named_model.recommend([105, 100], 3, to_frame=True)
    for users in (polars.Series([105, 100]), pa.array([105, 100])):
        got = named_model.recommend(users, 3, to_frame=True)
        assert type(got) is (polars.DataFrame if isinstance(users, polars.Series) else pa.Table)
        columns = ["user", "rank", "item", "score"]
        assert got.to_pandas()[columns].equals(want[columns])
        assert got.to_pandas()["name"].isna().all()
    similar = named_model.similar_items(["i03"], 2, to_frame="polars")
    assert similar.columns == ["item", "rank", "similar", "name", "score"]
    assert isinstance(named_model.recommend(polars.Series([105]), to_frame="pandas"), pd.DataFrame)
    with pytest.raises(ValueError, match=r"to_frame must be .*'spark'"):
        named_model.recommend(105, to_frame="spark")


def test_frames_have_the_same_types_whether_names_are_missing_or_nothing_is_found(named_model):
    polars, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    for library in ("polars", "pyarrow"):
        full = named_model.similar_items(["i03", "i20"], 5, to_frame=library)
        none = named_model.similar_items("i20", 1, candidates=["i20"], to_frame=library)
        nobody = named_model.recommend([], to_frame=library)
        assert len(none) == len(nobody) == 0
        if library == "polars":
            assert none.schema == full.schema
            assert full.schema["name"] == polars.String
            assert nobody.schema["user"] == polars.Int64
        else:
            assert none.schema == full.schema
            assert full.schema.field("name").type == pa.string()


def test_a_request_that_is_solved_and_ranked_at_once_gets_what_two_steps_give(monkeypatch, matrix):
    wide = random_matrix((60, 500), density=0.1)
    rng = np.random.default_rng(0)
    ratings = {"objective": "explicit", "dtype": "float64"}
    for how in ({}, {"objective": "ials", "nu": 1.0}, ratings, {"confidence": "log"}):
        model = ALS(factors=6, random_state=0, regularization=0.1, **how).fit(wide)
        for n in (1, 40, 500):
            for exclude_seen in (True, False):
                history = dict(zip(rng.choice(500, 7, replace=False).tolist(), range(1, 8), strict=True))
                got = model.recommend(history=history, n=n, exclude_seen=exclude_seen)
                with monkeypatch.context() as patch:
                    patch.setattr(type(model), "_solved_and_ranked", lambda *args: None)
                    want = model.recommend(history=history, n=n, exclude_seen=exclude_seen)
                assert got[0].tolist() == want[0].tolist()
                assert np.array_equal(got[1], want[1])
