"""Updating and adding users and items of a fitted model."""

import threading

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from bad_input import MASKED, TEN, broken_csr, check_refused, masked, poked
from conftest import SMALL, dense_of, random_matrix

import cymbals
from cymbals import ALS, Interactions
from cymbals.data.csr import Csr
from cymbals.model.state import State
from cymbals.model.updates import moved


def test_ids_of_an_update_may_be_read_only():
    model = ALS(factors=4, random_state=0).fit(random_matrix((30, 20), 0.3))
    ids = np.array([1, 5, 8])
    ids.flags.writeable = False
    model.update_users(ids, random_matrix((3, 20), 0.3))
    model.update_items(ids, random_matrix((3, 30), 0.3))
    assert ids.tolist() == [1, 5, 8]


def test_update_users_and_items(model, matrix, data):
    before = model.item_factors_.copy()
    new = random_matrix((4, 50), 0.3, seed=9)[[0, 3]]
    model.update_users(["u5", "new"], new)
    assert model.user_factors_.shape == (81, 8)
    assert np.allclose(model.user_factors_[[5, 80]], model.fold_in(new))
    assert np.array_equal(model.item_factors_, before)
    got = model.recommend("new", 50)[0]
    assert not set(got.tolist()) & set((new[[1]].indices * 10).tolist())
    column = random_matrix((4, 81), 0.3, seed=2)[[3]]
    model.update_items([1234], column)
    assert model.item_factors_.shape == (51, 8)
    assert model.item_names_.tolist()[-1] is None
    assert 1234 not in model.recommend("u5", 60)[0]  # everyone has it now
    want = reference.solve(dense_of(column), model.user_factors_, "hu", 0.1)
    assert np.allclose(model.item_factors_[50], want[0])
    state = model._state
    for bad in (lambda: model.update_users(["x", "x"], new), lambda: model.update_users(["x"], new),
                lambda: model.update_users(["x"], sp.csr_array((1, 3)))):  # fmt: skip
        with pytest.raises(ValueError, match=r"distinct|names|column"):
            bad()
        assert model._state is state


def test_new_users_of_a_model_without_ids_get_the_next_row_numbers(matrix):
    model = ALS(factors=4, random_state=0).fit(matrix)
    model.update_users([80, 81], matrix[[0, 3]])
    assert model.user_factors_.shape[0] == 82
    with pytest.raises(KeyError, match="row numbers"):
        model.update_users([99], matrix[[0]])


def test_updates_name_the_id_that_is_refused():
    matrix = random_matrix((9, 8), 0.4)
    model = ALS(factors=2, iterations=1, random_state=0).fit(matrix)
    with pytest.raises(ValueError, match="distinct; 1 appears more than once"):
        model.update_users([1, 1], matrix[:2])
    with pytest.raises(KeyError, match="must be the next row numbers, 9; got 12"):
        model.update_users([12], matrix[:1])


@pytest.mark.parametrize("name", ["ids"])
def test_masked_entries_are_counted_and_refused(name, small_model):
    with pytest.raises(ValueError, match=f"^{name}: {MASKED}"):
        small_model.update_users(masked(TEN), SMALL[:10])


CASES = {
    "model update twice": lambda model: model.update_users([0, 0], SMALL[[0, 1]]),
    "model update count": lambda model: model.update_users([0], SMALL[[0, 1]]),
    "model update gap": lambda model: model.update_users([25], SMALL[[0]]),
    "model update text": lambda model: model.update_users(["a"], SMALL[[0]]),
    "model update narrow": lambda model: model.update_items([0], SMALL[[0]]),
    "model update nan": lambda model: model.update_users([0], broken_csr(data=poked(SMALL.data, 1, np.nan))[[0]] * np.nan),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, small_model):
    state = small_model._state
    check_refused(lambda: CASES[name](small_model))
    assert small_model._state is state


# -- events ------------------------------------------------------------------------------------------------------------


PLAYS = random_matrix((40, 25), 0.3, seed=3, values=(1, 9))


def fitted(ids=True, **settings):
    names = {"user_ids": [f"u{k}" for k in range(40)], "item_ids": [10 * k for k in range(25)]} if ids else {}
    data = Interactions.from_csr(PLAYS, **names)
    return ALS(**{"factors": 6, "solver": "exact", "dtype": "float64", "random_state": 0} | settings).fit(data)


def dense_seen(model):
    """The stored values of a model as a dense matrix; 0 where nothing is stored."""
    return model.state_.seen.to_scipy().toarray()


EVENTS = (["u3", "new", "u7", "u3", "u3"], [50, 50, 999, 10, 50], [2.0, 3.0, 1.0, 4.0, 5.0])


def expected(how):
    """The values after EVENTS, with the new user and the new item in the last row and column."""
    out = np.zeros((41, 26))
    out[:40, :25] = PLAYS.toarray()
    for user, item, value in zip(*EVENTS, strict=True):
        at = 40 if user == "new" else int(user[1:]), 25 if item == 999 else item // 10
        out[at] = value + (out[at] if how == "add" else 0)
    return out


def forms(events):
    users, items, values = events
    yield "arrays", (users, items, values)
    yield "interactions", Interactions.from_arrays(users, items, values)
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame({"user": users, "item": items, "value": values})
    yield "pandas", frame
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    yield "arrow", pa.Table.from_pandas(frame)


@pytest.mark.parametrize("form", ["arrays", "interactions", "pandas", "arrow"])
@pytest.mark.parametrize("how", ["add", "replace"])
def test_update_merges_values_and_solves_the_rows_touched(how, form):
    model = fitted()
    before = model.state_
    events = dict(forms(EVENTS))[form]
    report = model.update(events, how)
    want = expected(how)
    if form == "interactions" and how == "replace":  # they were added before
        want[3, 5] = 7
    np.testing.assert_array_equal(dense_seen(model), want)
    np.testing.assert_array_equal(model.state_.seen_by_item(1).to_scipy().toarray(), want.T)
    assert model.user_ids_.tolist() == [*before.users.all(), "new"]
    assert model.item_ids_.tolist() == [*before.items.all(), 999]
    assert (report.new_users, report.new_items, report.touched_users, report.touched_items) == (1, 1, 3, 3)
    # touched users against the old items (the new one is 0 until then), then touched items
    stored = np.where(want == 0, np.nan, want)
    y = np.concatenate([before.y, np.zeros((1, 6))])
    x = reference.solve(stored, y, "hu", 0.01)[[3, 7, 40]]
    near = {"rtol": 1e-6, "atol": 1e-9}
    np.testing.assert_allclose(model.user_factors_[[3, 7, 40]] @ before.y.T, x @ before.y.T, **near)
    others = np.setdiff1d(np.arange(40), [3, 7])
    assert np.array_equal(model.user_factors_[others], before.x[others])
    items = reference.solve(stored.T, model.user_factors_, "hu", 0.01)[[1, 5, 25]]
    np.testing.assert_allclose(
        model.item_factors_[[1, 5, 25]] @ model.user_factors_.T, items @ model.user_factors_.T, **near
    )
    rest = np.setdiff1d(np.arange(25), [1, 5])
    assert np.array_equal(model.item_factors_[rest], before.y[rest])


@pytest.mark.parametrize("settings", [{}, {"objective": "ials", "unobserved_weight": 0.1}, {"objective": "explicit"},
                                      {"objective": "explicit", "biases": True}, {"solver": "auto"}, {"solver": "cg"},
                                      {"nu": 1.0}, {"confidence": np.log1p}, {"dtype": "float32"}])  # fmt: skip
def test_update_is_update_users_then_update_items(settings):
    """With whole rows of known users and items, the old methods do the same, up to the accuracy of the solver."""
    one, two = fitted(regularization=0.5, **settings), fitted(regularization=0.5, **settings)
    one.update((["u3", "u7"], [50, 200], [2.0, 3.0]), "replace")
    after = PLAYS.toarray()
    after[3, 5], after[7, 20] = 2, 3
    two.update_users(["u3", "u7"], sp.csr_array(after[[3, 7]]))
    two.update_items([50, 200], sp.csr_array(after.T[[5, 20]]))
    near = {"rtol": 0.05, "atol": 0.02} if one.solver != "exact" else {"rtol": 1e-3, "atol": 1e-4}
    for a, b in zip(scores_of(one), scores_of(two), strict=True):
        np.testing.assert_allclose(a, b, **near)


def scores_of(model):
    state = model.state_
    return state.x @ state.scored_items.T


def test_more_sweeps_reach_the_neighbours():
    models = [fitted() for _ in range(3)]
    reports = [model.update((["u3"], [50], [2.0]), sweeps=sweeps) for model, sweeps in zip(models, (1, 2, 3), strict=True)]
    assert reports[0].touched_users == 1 < reports[1].touched_users <= reports[2].touched_users
    assert reports[1].touched_users == np.count_nonzero(dense_seen(models[1])[:, 5])


def test_a_value_that_becomes_0_is_deleted():
    for how, value in (("add", -PLAYS[2, 12]), ("replace", 0.0)):
        model = fitted()
        assert dense_seen(model)[2, 12] > 0
        model.update((["u2"], [120], [value]), how)
        assert model.state_.seen.nnz == PLAYS.nnz - 1
        assert model.state_.seen_by_item(1).nnz == PLAYS.nnz - 1
    explicit = fitted(objective="explicit")
    explicit.update((["u2"], [120], [0.0]), "replace")
    assert explicit.state_.seen.nnz == PLAYS.nnz


def test_an_update_that_is_refused_changes_nothing(model):
    state = model.state_
    for call, message in (
        (lambda: model.update((["u1"], [10], [np.nan])), "must be finite"),
        (lambda: model.update((["u1"], [10], [1.0]), how="set"), "how must be one of 'add', 'replace'"),
        (lambda: model.update((["u1"], [10], [1.0]), sweeps=0), "sweeps must be from 1"),
        (lambda: model.update((["u1"], [10, 20])), "same length"),
        (lambda: model.update(5), "events must be a frame"),
        (lambda: model.update((["u1"],)), "got 1 parts"),
        (lambda: model.update(([5], [10])), "user ids are strings"),
        (lambda: model.update((["u1"], [10], [1e39])), "too large for the factors' type"),
    ):
        with pytest.raises((ArithmeticError, ValueError, TypeError), match=message):
            call()
        assert model.state_ is state
    dislikes = fitted(objective="ials")
    before = dislikes.state_
    with pytest.raises(ValueError, match="the value of user 'u1' and item 10 becomes"):
        dislikes.update((["u1"], [10], [-50.0]))
    assert dislikes.state_ is before


def test_updates_of_a_model_without_ids():
    model = fitted(ids=False)
    model.update(([3, 40], [5, 25]))
    assert model.user_factors_.shape[0] == 41
    with pytest.raises(KeyError, match="next row numbers"):
        model.update(([50], [5]))


def test_drift_grows_with_the_events_and_a_refit_ends_it():
    model = fitted(iterations=20)
    small = model.update((["u3"], [50], [1.0])).drift
    rng = np.random.default_rng(0)
    users = [f"u{k}" for k in rng.integers(0, 40, 300)]
    large = model.update((users, 10 * rng.integers(0, 25, 300), rng.integers(1, 20, 300)))
    assert large.drift > 2 * small
    assert not fitted(iterations=20).update((["u3"], [50], [1.0])).refit_due


def test_a_reader_sees_the_old_model_or_the_new_one():
    model = fitted()
    broken, done = [], threading.Event()

    def read():
        while not done.is_set():
            state = model.state_
            sizes = {state.users.n, state.x.shape[0], state.seen.shape[0]}, {state.items.n, state.y.shape[0]}
            if any(len(size) > 1 for size in sizes):
                broken.append(sizes)

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(20):
        model.update(([f"new{k}"], [10_000 + k]))
    done.set()
    reader.join()
    assert not broken


def test_remove_forgets_users_and_items(tmp_path):
    model = fitted()
    before = model.state_
    model.remove(users=["u3", "u39"], items=50)
    users, items = np.setdiff1d(np.arange(40), [3, 39]), np.setdiff1d(np.arange(25), [5])
    assert np.array_equal(model.user_factors_, before.x[users])
    assert np.array_equal(model.item_factors_, before.y[items])
    np.testing.assert_array_equal(dense_seen(model), PLAYS.toarray()[users][:, items])
    assert "u3" not in model.user_ids_
    with pytest.raises(KeyError, match="u3"):
        model.recommend("u3")
    assert 50 not in model.recommend("u4", 24)[0]
    model.save(tmp_path / "m")
    assert cymbals.load(tmp_path / "m").recommend("u4")[0].tolist() == model.recommend("u4")[0].tolist()
    state = model.state_
    with pytest.raises(KeyError, match="u3"):
        model.remove(users=["u4", "u3"])
    with pytest.raises(TypeError, match="users, items, or both"):
        model.remove()
    assert model.state_ is state
    without = cymbals.load(tmp_path / "m")
    without.replace_state(without.state_.changed(seen=None))
    without.remove(items=[10])
    assert without.item_factors_.shape[0] == 23


def test_a_mapped_model_can_be_updated(tmp_path):
    fitted().save(tmp_path / "m")
    mapped, loaded = (cymbals.load(tmp_path / "m", mmap=mmap) for mmap in (True, False))
    for model in (mapped, loaded):
        model.update((["u3"], [50]))
    assert np.array_equal(mapped.user_factors_, loaded.user_factors_)


def test_new_users_of_new_items_get_factors_or_what_is_popular():
    model = fitted()
    popular = model.popular(3)[0].tolist()
    model.update((["new"], [777]))  # one user, one item, nobody else
    assert np.isfinite(model.user_factors_).all()
    one = fitted()
    one.update((["new", "u1", "u2"], [777, 777, 777]))  # the item's other users are known
    assert one.user_factors_[-1].any()
    many = fitted()
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 30, 200), rng.integers(0, 20, 200)
    items = np.where(users % 2 == 0, items // 2, 10 + items // 2)  # two groups of new users with their own new items
    report = many.update(([f"n{k}" for k in users], (1000 + items).tolist()), sweeps=3)
    assert report.new_users == np.unique(users).size
    assert many.user_factors_[40:].any(axis=1).all()
    scores = many.user_factors_[40:] @ many.item_factors_[25:].T
    of_user = np.array([int(i[1:]) for i in many.user_ids_[40:]])
    own = (of_user[:, None] % 2 == 1) == (many.item_ids_[25:] >= 1010)
    assert scores[own].mean() > scores[~own].mean() + 0.2
    silent = fitted()
    state = silent.state_
    x = state.x.copy()
    x[5] = 0
    silent.replace_state(state.changed(x=x))
    assert silent.recommend("u5", 3, exclude_seen=False)[0].tolist() == popular


def test_an_update_whose_drift_cannot_be_measured_is_made(small_model):
    data = sp.csr_array(np.array([[1e30, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], np.float32))
    x, y = np.ones((3, 2), np.float32), np.array([[1, 0], [0, 2], [1, 1], [0.5, 0.5]], np.float32)
    model = ALS.from_factors(x, y, data=data)
    report = model.update(([1], [3]))
    assert report.drift == np.inf
    assert report.refit_due
    assert model.state_.seen.to_scipy().toarray()[1].tolist() == [0, 1, 0, 1]


def test_drift_sees_a_model_without_life():
    model = fitted()
    model.replace_state(model.state_.changed(x=np.zeros_like(model.state_.x), y=np.zeros_like(model.state_.y)))
    assert model.update((["u1"], [10])).refit_due


def test_events_without_ids_are_refused_by_a_model_with_ids():
    model = fitted()
    state = model.state_
    with pytest.raises(TypeError, match="row numbers instead of user ids"):
        model.update(Interactions.from_arrays([0, 1], [0, 1], shape=(40, 25)))
    for events in (PLAYS, np.ones((3, 2)), "abc"):
        with pytest.raises(TypeError, match="events must be a frame"):
            model.update(events)
    assert model.state_ is state
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    batch = pa.record_batch({"user": ["u1", "new"], "item": [10, 10], "value": [1.0, 2.0]})
    assert model.update(batch).new_users == 1


def test_all_users_cannot_be_removed():
    model = fitted()
    with pytest.raises(ValueError, match="users: none of the 40 users"):
        model.remove(users=model.user_ids_)
    assert model.users_.n == 40


def many_users(n=3000):
    """All users have the first item, a third the second one, few any other."""
    rng = np.random.default_rng(5)
    users = np.concatenate([np.arange(n), np.arange(0, n, 3), rng.integers(0, n, 4 * n)])
    items = np.concatenate([np.zeros(n, int), np.ones(n // 3, int), rng.integers(2, 60, 4 * n)])
    return Interactions.from_arrays(users, items, rng.integers(1, 6, users.size))


@pytest.mark.parametrize("settings", [{}, {"objective": "ials"}, {"objective": "explicit", "biases": True}])
def test_small_updates_in_a_row_do_as_well_as_with_new_bases(monkeypatch, settings):
    """A small update keeps the bases of both sides, whose Gramians are then no longer quite diagonal."""
    base = ALS(factors=6, random_state=0, regularization=0.1, **settings).fit(many_users())
    kept, anew, same_basis = base.snapshot(), base.snapshot(), 0
    rng = np.random.default_rng(1)
    for k in range(12):
        events = (np.append(rng.integers(0, 3000, 5), 3000 + k), np.append(rng.integers(0, 60, 5), 60 + k), np.ones(6))
        kept.update(events)
        with monkeypatch.context() as patch:
            patch.setattr(State, "_keeps_basis", lambda self, rows, factors: False)
            anew.update(events)
        same_basis += "value" not in kept.state_._user_side._cache
    assert same_basis > 3
    close = np.abs(scores_of(kept) - scores_of(anew)).max() / np.abs(scores_of(anew)).max()
    assert close < 0.01
    losses = [model.loss(model.state_.seen.to_scipy()) for model in (kept, anew)]
    assert abs(losses[0] / losses[1] - 1) < 1e-3


def test_a_long_row_waits_until_it_has_grown():
    model = ALS(factors=4, random_state=0).fit(many_users())
    before = model.item_factors_.copy()
    report = model.update(([5], [0]))  # a second play of the first item, which 3,000 users have
    assert (report.touched_users, report.touched_items, report.deferred) == (1, 1, 1)
    assert np.array_equal(model.item_factors_[0], before[0])
    assert not np.array_equal(model.user_factors_[5], ALS(factors=4, random_state=0).fit(many_users()).user_factors_[5])
    deferred = [model.update((np.arange(k, k + 5), np.zeros(5, int))).deferred for k in range(0, 60, 5)]
    assert 2 <= deferred.count(0) <= 6  # 60 plays are 2 %, in steps of 0.4 %
    assert not np.array_equal(model.item_factors_[0], before[0])
    assert model.update(([3000], [0])).deferred == 0 or model.update(([3000], [0]), sweeps=2).deferred == 0


def test_which_rows_have_moved():
    before = Csr(
        np.array([0, 1100, 2200, 2203]), np.tile(np.arange(1100), 3)[:2203].astype(np.int32), np.ones(2203), (3, 1100)
    )
    values = before.data.copy()
    values[0], values[1100] = 2, 400
    after = Csr(before.indptr, before.indices, values, before.shape)
    nothing = np.zeros(3, bool)
    assert moved(before, after, np.arange(3), nothing).tolist() == [False, True, True]
    assert moved(before, after, np.arange(2), np.array([True, False])).tolist() == [True, True]
    values = np.where(np.arange(2203) < 1100, -1, 1)
    negative = Csr(before.indptr, before.indices, values.astype(float), before.shape)
    assert moved(negative, negative, np.arange(3), nothing).tolist() == [True, False, True]


def test_a_long_row_whose_values_change_places_is_solved():
    """The number of its entries and their sum stay the same."""
    ratings = np.where(np.arange(2000) % 2, 5.0, 1.0)
    users, item = np.arange(2000), np.zeros(2000, int)
    more = np.random.default_rng(0).integers(1, 30, 6000)
    data = Interactions.from_arrays(
        np.concatenate([users, np.repeat(users, 3)]), np.concatenate([item, more]), np.append(ratings, 1 + more % 5)
    )
    model = ALS(factors=4, objective="explicit", regularization=0.1, random_state=0).fit(data)
    report = model.update((users, item, 6 - ratings), how="replace")
    assert report.deferred == 0
    refitted = ALS(factors=4, objective="explicit", regularization=0.1, random_state=0).fit(model.interactions_)
    got, want = (one.predict(users, item) for one in (model, refitted))
    assert np.corrcoef(got, want)[0, 1] > 0.9


@pytest.mark.parametrize("settings", [{}, {"objective": "explicit", "biases": True}])
def test_interactions_with_empty_rows_are_taken_in(settings):
    """Their users and items without entries do not become users and items of the model."""
    model = ALS(factors=4, random_state=0, **settings).fit(many_users())
    new = Interactions.from_csr(
        sp.csr_array(([3.0], ([2], [1])), shape=(4, 3)), user_ids=[9001, 9000, 17, 9002], item_ids=[900, 0, 901]
    )
    report = model.update(new)
    assert (report.new_users, report.new_items, report.touched_users, report.touched_items) == (0, 0, 1, 1)
    assert report.drift < 1
    assert np.isfinite(model.user_factors_).all()
    assert many_users().append(new).shape == many_users().shape
    new = Interactions.from_csr(sp.csr_array(np.eye(3)), user_ids=[9002, 9000, 9001], item_ids=[902, 900, 901])
    model.update(new)
    assert model.user_ids_[-3:].tolist() == [9000, 9001, 9002]
    assert many_users().append(new).item_ids[-3:].tolist() == [900, 901, 902]


def test_a_mapped_file_that_changes_between_updates_is_noticed_or_not_read(tmp_path):
    path = tmp_path / "model"
    ALS(factors=4, random_state=0).fit(many_users()).save(path)
    model = cymbals.load(path, mmap=True)
    model.update(([5], [3]))
    content = bytearray(path.read_bytes())
    content[len(content) // 8 :] = b"\xff" * (len(content) - len(content) // 8)
    with open(path, "r+b") as file:
        file.write(content)
    model.update(([7], [4]))  # the matrices were copied at the first update
    changed = cymbals.ALS(factors=4, random_state=0).fit(many_users())
    changed.save(path)
    model = cymbals.load(path, mmap=True)
    with open(path, "r+b") as file:
        file.write(content)
    for read in (lambda: model.interactions_, lambda: model.update(([5], [3])), lambda: model.remove(users=5)):
        with pytest.raises(ValueError, match="was changed while it was in use"):
            read()


def test_a_model_gives_back_its_interactions(tmp_path):
    data = Interactions.from_arrays(["ann", "bob"], [7, 9], [2, 3], item_names={7: "seven"})
    model = ALS(factors=2, random_state=0).fit(data)
    model.update((["cy"], [7]))
    held = model.interactions_
    assert held.user_ids.tolist() == ["ann", "bob", "cy"]
    assert held.item_names.tolist() == ["seven", None]
    assert held.user_items.toarray().tolist() == [[2, 0], [0, 3], [1, 0]]
    model.fit(held, init=model)
    model.save(tmp_path / "m", include_interactions=False)
    with pytest.raises(ValueError, match="interactions"):
        _ = cymbals.load(tmp_path / "m").interactions_
