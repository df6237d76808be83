"""Threads that read, update and fit one model at the same time: no update is lost, and no reader sees half of one."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import random_matrix

import cymbals
from cymbals import ALS, Interactions, evaluate
from cymbals.model import stored
from cymbals.solve import loop

M = random_matrix((40, 30), 0.3)


@pytest.fixture
def model():
    data = Interactions.from_csr(M, user_ids=[f"u{i}" for i in range(40)], item_ids=[f"i{i}" for i in range(30)])
    return ALS(factors=4, iterations=2, random_state=0, n_threads=1).fit(data)


def at_once(*tasks):
    """Runs functions in threads that begin together; raises what any of them raises."""
    gate, errors = threading.Barrier(len(tasks)), []

    def run(task):
        gate.wait()
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def add_users(model, name, n):
    for i in range(n):
        model.update_users([f"{name}{i}"], sp.csr_array(([1.0], ([0], [i % 30])), shape=(1, model.state_.y.shape[0])))


def add_items(model, name, n):
    for i in range(n):
        users = model.state_.x.shape[0]
        model.update_items([f"{name}{i}"], sp.csr_array(([1.0], ([0], [i % 40])), shape=(1, users)))


def is_whole(state):
    return state.seen.shape == (state.x.shape[0], state.y.shape[0]) == (state.users.n, state.items.n)


def test_recommending_from_many_threads(model):
    users, items = model.users_.all(), model.items_.all()
    want = model.recommend(users, 5), model.similar_items(items, 5), model.fold_in(M)
    fresh = pickle.loads(pickle.dumps(model))  # nothing cached yet
    barrier = threading.Barrier(8)

    def read(_):
        barrier.wait()
        return fresh.recommend(users, 5), fresh.similar_items(items, 5), fresh.fold_in(M)

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(read, range(8)):
            assert np.array_equal(got[0][0], want[0][0])
            assert np.array_equal(got[1][1], want[1][1])
            assert np.array_equal(got[2], want[2])


def test_no_update_is_lost(model):
    at_once(lambda: add_users(model, "a", 60), lambda: add_users(model, "b", 60))
    assert set(model.users_.all()) >= {f"{name}{i}" for name in "ab" for i in range(60)}
    assert is_whole(model.state_)


def test_users_and_items_may_be_updated_at_once(model):
    def update_an_item(rows):
        try:
            model.update_items(["i0"], rows)
        except ValueError as error:  # the other thread added its user first
            if "must have a column for each" not in str(error):
                raise

    for _ in range(40):
        users, items = model.users_.n, model.items_.n
        wide = sp.csr_array((1, items), dtype=float), sp.csr_array((1, users), dtype=float)
        at_once(
            lambda r=wide[0]: model.update_users([f"u{model.users_.n}"], r),
            lambda r=wide[1]: update_an_item(r),
        )
        assert is_whole(model.state_)


def test_recommendations_during_an_update_use_one_state(model):
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            state = model.state_
            seen.append(is_whole(state))
            model.recommend(["u0", "u1"], 3)
            model.snapshot().similar_items("i0", 3)

    def write():
        try:
            add_users(model, "a", 60)
        finally:
            stop.set()

    at_once(read, read, write)
    assert len(seen) > 2
    assert all(seen)


def test_evaluation_uses_one_state_during_updates(model, monkeypatch):
    data = Interactions.from_csr(M, user_ids=model.users_.all(), item_ids=model.items_.all())
    want = dict(evaluate(model, data, data))
    entries = ALS.entries

    def update_and_answer(self, csr):
        add_users(model, f"new{model.users_.n}-", 1)
        return entries(self, csr)

    monkeypatch.setattr(ALS, "entries", update_and_answer)
    assert dict(evaluate(model, data, data)) == pytest.approx(want, nan_ok=True)


def test_a_failed_fit_undoes_no_update(model, monkeypatch):
    """A fit that fails must not undo updates that others made while it ran."""

    def update_and_fail(*args):
        add_users(model, "meanwhile", 1)
        raise ArithmeticError("no solution")

    monkeypatch.setattr(loop, "half_step", update_and_fail)
    with pytest.raises(ArithmeticError):
        model.fit(M)
    assert "meanwhile0" in set(model.users_.all())


def test_settings_belong_to_the_state(model):
    """A reader keeps the settings of the state that it holds, even if the model is fitted again meanwhile."""
    rows = M[[3]]
    before, state = model.fold_in(rows), model.state_
    model.set_params(alpha=40.0, objective="ials").fit(M)
    assert np.array_equal(model._fold_in(state, model._raw_rows("rows", rows, state, 1), 1), before)


def test_a_file_saved_during_updates_holds_one_state(model, tmp_path, monkeypatch):
    """If a fit ends while the model is being saved, the file must not mix the factors and settings of two fits."""
    write = stored.write

    def refit_and_write(*args):
        model.set_params(factors=7).fit(M)
        write(*args)

    monkeypatch.setattr(stored, "write", refit_and_write)
    model.save(tmp_path / "m")
    assert cymbals.load(tmp_path / "m").item_factors_.shape == (30, 4)


def test_an_update_of_a_copy_does_not_change_the_original(model):
    back = pickle.loads(pickle.dumps(model))
    add_users(back, "b", 1)
    frozen = model.snapshot()
    assert len({id(each._writing) for each in (model, back, frozen, copy.copy(model))}) == 4
    add_users(model, "a", 1)
    assert (back.users_.n, model.users_.n, frozen.users_.n) == (41, 41, 40)


def test_replace_state_takes_only_states():
    model = ALS(factors=2, random_state=0).fit(random_matrix((9, 8), 0.4))
    best = model.state_
    with pytest.raises(TypeError, match=r"state must be State, got .x."):
        model.replace_state("x")
    model.replace_state(None)
    with pytest.raises(cymbals.NotFittedError):
        model.recommend(0)
    model.replace_state(best)
    assert model.state_ is best
