"""Checkpoints of fits: a resumed fit ends in the factors of the uninterrupted one, to the bit, or is refused."""

import copy
import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import Failure, environment, failing, random_matrix

import cymbals
from cymbals import ALS, EarlyStopping, Interactions, ModelFileError
from cymbals.model import checkpoint as checkpoints
from cymbals.model import container, stored

N = 5  # iterations
M = random_matrix((60, 40), 0.2, values=(1, 20))
IDS = Interactions.from_csr(M, user_ids=[f"u{i}" for i in range(60)], item_ids=np.arange(40) * 3)
TAGS = Interactions.from_arrays([f"u{i}" for i in range(0, 62, 2)], [f"tag{i % 5}" for i in range(31)])  # u60 is new
GENRES = Interactions.from_arrays(np.arange(42) * 3, np.arange(42) % 4)  # items 120 and 123 are new


def als(**params):
    return ALS(**{"factors": 4, "iterations": N, "random_state": 0, "regularization": 0.1, "n_threads": 1} | params)


def assert_same_model(a, b):
    """All that a fit computes is equal, but for the seconds and for what a resumed fit reports of itself."""
    for name in ("x", "y"):
        one, other = getattr(a.state_, name), getattr(b.state_, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert a.state_.mean == b.state_.mean
    assert a.n_iter_ == b.n_iter_
    histories = [[{k: v for k, v in e.items() if k != "seconds"} for e in m.history_] for m in (a, b)]
    assert histories[0] == histories[1]
    reports = [{k: v for k, v in m.report_.items() if k != "resumed_at"} for m in (a, b)]
    assert reports[0] == reports[1]
    assert a.user_ids_.tolist() == b.user_ids_.tolist()
    assert a.item_ids_.tolist() == b.item_ids_.tolist()


def unfinished(path, at, data=M, params=None, **how):
    """Leaves the checkpoint of iteration `at`, of a fit that was to go on."""
    with pytest.raises(Failure):
        als(**params or {}).fit(data, checkpoint=path, callback=failing(at + 1), **how)


# -- the factors of the uninterrupted fit ----------------------------------------------------------------------------

OBJECTIVES = {
    "hu": {},
    "ials": {"objective": "ials", "confidence": "log", "nu": 1.0},
    "biases": {"objective": "explicit", "biases": True},
    "explicit": {"objective": "explicit", "nu": 0.5},
    "auto": {"objective": "ials", "nu": 1.0, "alpha": "auto", "regularization": "auto", "unobserved_weight": "auto"},
}
SETTINGS = list(product(OBJECTIVES, ("float32", "float64"), ("auto", "cg", "exact"), (None, 1.5)))


@pytest.mark.parametrize(("objective", "dtype", "solver", "relaxation"), SETTINGS)
def test_every_resume_ends_in_the_factors_of_the_whole_fit(tmp_path, objective, dtype, solver, relaxation):
    params = OBJECTIVES[objective] | {"dtype": dtype, "solver": solver, "relaxation": relaxation}
    whole = als(**params).fit(IDS, compute_loss=True)
    for at in range(1, N):
        unfinished(tmp_path / "c", at, IDS, params, compute_loss=True)
        model = ALS.resume(tmp_path / "c", IDS, callback=False, n_threads=1 + at % 2)
        assert_same_model(model, whole)
        assert model.report_["resumed_at"] == at
        assert "resumed_at" not in whole.report_


@pytest.mark.parametrize("solver", ["auto", "cg"])
@pytest.mark.parametrize("compute_loss", [False, True])
def test_tol_ends_a_resumed_fit_where_it_ends_the_whole_one(tmp_path, solver, compute_loss):
    params = {"tol": 0.05, "solver": solver, "iterations": 40}
    whole = als(**params).fit(M, compute_loss=compute_loss)
    assert 3 < whole.n_iter_ < 40
    for at in range(1, whole.n_iter_):
        unfinished(tmp_path / "c", at, M, params, compute_loss=compute_loss)
        assert_same_model(ALS.resume(tmp_path / "c", M, callback=False), whole)
    assert ALS.resume(tmp_path / "c", M).report_["resumed_at"] == whole.n_iter_


@pytest.mark.parametrize("params", [{}, {"objective": "explicit", "biases": True, "dtype": "float64"}])
@pytest.mark.parametrize("sides", ["users", "items", "both"])
def test_fits_with_features(tmp_path, params, sides):
    features = {"user_features": TAGS, "item_features": GENRES}
    features = {name: given for name, given in features.items() if sides in ("both", name.split("_")[0] + "s")}
    whole = als(**params).fit(IDS, compute_loss=True, **features)
    assert (whole.users_.n, whole.items_.n) == (61 if "user_features" in features else 60, 42 if sides != "users" else 40)
    for at in range(1, N - 1):
        unfinished(tmp_path / "c", at, IDS, params, compute_loss=True, **features)
        with pytest.raises(ValueError, match=rf"{next(iter(features))}: the fit had them.*give them again"):
            ALS.resume(tmp_path / "c", IDS, callback=False)
        model = ALS.resume(tmp_path / "c", IDS, callback=False, **features)
        assert_same_model(model, whole)
        assert model.n_iter_ == N
        for name in features:
            assert np.array_equal(
                getattr(model.state_, name).projection.weights, getattr(whole.state_, name).projection.weights
            )
    finished = ALS.resume(tmp_path / "c", IDS)  # the file has the features now
    assert_same_model(finished, whole)
    assert finished.recommend("u7")[0].tolist() == whole.recommend("u7")[0].tolist()
    assert cymbals.load(tmp_path / "c").users_.n == whole.users_.n


def test_a_fit_that_failed_in_the_iteration_with_features(tmp_path, monkeypatch):
    whole = als().fit(IDS, item_features=GENRES)
    with monkeypatch.context() as patch:
        patch.setattr("cymbals.model.fitting.attached", lambda *_: (_ for _ in ()).throw(Failure))
        with pytest.raises(Failure):
            als().fit(IDS, item_features=GENRES, checkpoint=tmp_path / "c")
    assert not checkpoints.read(str(tmp_path / "c")).is_finished
    model = ALS.resume(tmp_path / "c", IDS, item_features=GENRES)
    assert_same_model(model, whole)
    assert model.report_["resumed_at"] == N - 1


@pytest.mark.parametrize("given", ["model", "arrays", "generator"])
def test_other_starts(tmp_path, given):
    """A fit from a model treats its first iteration in another way, and a generator cannot be stored."""

    def start():
        if given == "generator":
            return {"random_state": np.random.default_rng(3)}, {}
        first = als(iterations=1, random_state=9).fit(IDS)
        return {}, {"init": first if given == "model" else (first.user_factors_, first.item_factors_)}

    params, how = start()
    whole = als(**params).fit(IDS, **how)
    for at in range(1, N):
        params, how = start()
        unfinished(tmp_path / "c", at, IDS, params, **how)
        assert checkpoints.read(str(tmp_path / "c")).terms.from_noise is (given != "model")
        assert_same_model(ALS.resume(tmp_path / "c", IDS, callback=False), whole)


def test_several_interruptions(tmp_path):
    whole = als().fit(M)
    unfinished(tmp_path / "c", 1)
    for at in (2, 3):
        with pytest.raises(Failure):
            ALS.resume(tmp_path / "c", M, callback=failing(at + 1))
        assert cymbals.load(tmp_path / "c").n_iter_ == at
    seconds = [entry["seconds"] for entry in cymbals.load(tmp_path / "c").history_]
    model = ALS.resume(tmp_path / "c", M, callback=False)
    assert_same_model(model, whole)
    assert [entry["seconds"] for entry in model.history_][:3] == seconds
    assert model.n_iter_ - model.report_["resumed_at"] == 2


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_every(tmp_path, every, monkeypatch):
    written, write = [], stored.write
    monkeypatch.setattr(
        stored, "write", lambda path, state, *args: (written.append(state.fit.n_iter), write(path, state, *args))
    )
    als().fit(M, checkpoint=tmp_path / "c", every=every)
    assert written == [i for i in range(1, N + 1) if i % every == 0 or i == N]
    written.clear()
    unfinished(tmp_path / "c", 3, every=1)
    assert written == [1, 2, 3]
    ALS.resume(tmp_path / "c", M, callback=False, every=every)
    assert written[3:] == [i for i in (4, 5) if i % every == 0 or i == N]
    written.clear()
    unfinished(tmp_path / "c", 2, every=2)
    ALS.resume(tmp_path / "c", M, callback=False)  # as often as the fit
    assert written == [2, 4, 5]


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_finished_fit_is_returned_at_once(tmp_path, monkeypatch):
    whole = als().fit(IDS, checkpoint=tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    monkeypatch.setattr("cymbals.solve.loop.half_step", lambda *_: pytest.fail("an iteration ran"))
    model = ALS.resume(tmp_path / "c", IDS)
    assert_same_model(model, whole)
    assert model.report_ == whole.report_ | {"resumed_at": N}
    assert model.history_ == whole.history_
    assert model.get_params() == whole.get_params()
    assert model.explain("u7", 3).total == whole.explain("u7", 3).total
    assert model.recommend("u7")[0].tolist() == whole.recommend("u7")[0].tolist()
    assert (tmp_path / "c").read_bytes() == before


@pytest.mark.parametrize("features", [{}, {"item_features": GENRES}])
def test_a_finished_fit_with_data_from_a_store(tmp_path, features):
    IDS.save(tmp_path / "store")
    data = Interactions.open(tmp_path / "store")
    whole = als().fit(data, checkpoint=tmp_path / "c", **features)
    model = ALS.resume(tmp_path / "c", data)
    assert_same_model(model, whole)
    assert model.recommend("u7")[0].tolist() == whole.recommend("u7")[0].tolist()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("params", [{}, OBJECTIVES["biases"]])
def test_load_reads_a_checkpoint_as_a_model(tmp_path, mmap, params):
    kept = []

    def callback(model, iteration):
        kept.append(model.snapshot())
        failing(4)(model, iteration)

    with pytest.raises(Failure):
        als(**params).fit(IDS, checkpoint=tmp_path / "c", callback=callback)
    model = cymbals.load(tmp_path / "c", mmap=mmap)
    assert_same_model(model, kept[2])
    ids, scores = model.recommend("u7", 3, exclude_seen=False)
    assert ids.tolist() == kept[2].recommend("u7", 3, exclude_seen=False)[0].tolist()
    assert np.isfinite(scores).all()
    with pytest.raises(ValueError, match="no interactions"):
        model.recommend("u7")
    with pytest.raises(ValueError, match=r"no interactions.*ALS\.resume"):
        model.explain("u7", 3)
    model.save(tmp_path / "m")
    assert_same_model(cymbals.load(tmp_path / "m"), kept[2])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["c", "m"]


def test_a_checkpoint_is_a_model_file_of_the_first_version_without_the_matrix(tmp_path):
    als().fit(IDS, checkpoint=tmp_path / "c")
    facts, arrays = container.read(tmp_path / "c")
    assert (tmp_path / "c").read_bytes()[8:12] == (1).to_bytes(4, "little")
    assert set(facts) == {"class", "cymbals", "model", "mean", "checkpoint"}
    assert not [name for name in arrays if name.startswith("seen")]


@pytest.mark.parametrize("params", [{}, OBJECTIVES["biases"]])
def test_checkpoints_change_nothing_in_the_fit(tmp_path, params):
    seen, want = [], []
    model = als(**params).fit(M, checkpoint=tmp_path / "c", callback=lambda m, i: seen.append(m.state_.y.copy()))
    whole = als(**params).fit(M, callback=lambda m, i: want.append(m.state_.y.copy()))
    assert_same_model(model, whole)
    assert np.array_equal(seen, want)
    for back in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_same_model(back, whole)


def test_subclasses(tmp_path):
    class Own(ALS):
        pass

    params = als().get_params()
    whole = Own(**params).fit(M)
    with pytest.raises(Failure):
        Own(**params).fit(M, checkpoint=tmp_path / "c", callback=failing(3))
    model = Own.resume(tmp_path / "c", M, callback=False)
    assert type(model) is Own
    assert model.get_params() == params
    assert np.array_equal(model.item_factors_, whole.item_factors_)
    assert type(cymbals.load(tmp_path / "c")) is ALS


def test_a_profile_of_a_resumed_fit(tmp_path):
    unfinished(tmp_path / "c", 2)
    model = ALS.resume(tmp_path / "c", M, callback=False, profile=True)
    assert {row["iteration"] for row in model.profile_.phases(peaks=False) if row["phase"] == "gather"} == {3, 4, 5}
    assert "checkpoint" in {row["phase"] for row in model.profile_.summary(peaks=False)}


def test_progress_goes_on_where_it_was(tmp_path, capsys):
    unfinished(tmp_path / "c", 3)
    ALS.resume(tmp_path / "c", M, callback=False, progress=True)
    assert capsys.readouterr().err.splitlines() == ["fit 4/5", "fit 5/5"]


# -- callbacks, early stopping, signals ------------------------------------------------------------------------------


def test_a_callback_must_be_given_again(tmp_path):
    unfinished(tmp_path / "c", 2)
    with pytest.raises(ValueError, match="callback: the fit had one"):
        ALS.resume(tmp_path / "c", M)
    with pytest.raises(TypeError, match="callback must be a function"):
        ALS.resume(tmp_path / "c", M, callback=3)
    called = []
    ALS.resume(tmp_path / "c", M, callback=lambda model, iteration: called.append((iteration, model.n_iter_)))
    assert called == [(3, 3), (4, 4), (5, 5)]
    assert ALS.resume(tmp_path / "c", M).n_iter_ == N  # it is finished, so the callback is not needed


def test_a_callback_that_stops_the_fit(tmp_path):
    model = als().fit(IDS, checkpoint=tmp_path / "c", callback=lambda m, i: i == 3)
    assert model.n_iter_ == 3
    for back in (ALS.resume(tmp_path / "c", IDS), cymbals.load(tmp_path / "c")):
        assert_same_model(back, model)
    assert checkpoints.read(str(tmp_path / "c")).is_finished


@pytest.mark.parametrize("features", [{}, {"item_features": GENRES}])
@pytest.mark.parametrize("params", [{}, OBJECTIVES["biases"]])
def test_a_callback_that_restores_an_earlier_state(tmp_path, features, params):
    """As `EarlyStopping` does. The finished checkpoint has that state, and the features are attached to it."""

    def restoring():
        kept = {}

        def callback(model, iteration):
            kept[iteration] = model.state_
            if iteration == 4:
                model.replace_state(kept[2])
            return iteration == 4

        return callback

    whole = als(iterations=9, **params).fit(IDS, compute_loss=True, callback=restoring(), **features)
    assert whole.n_iter_ == 2 + bool(features)
    als(iterations=9, **params).fit(IDS, compute_loss=True, callback=restoring(), checkpoint=tmp_path / "c", **features)
    assert_same_model(cymbals.load(tmp_path / "c"), whole)
    assert_same_model(ALS.resume(tmp_path / "c", IDS), whole)


@pytest.mark.parametrize("other", ["none", "other shape"])
def test_a_callback_that_leaves_a_state_of_no_iteration(tmp_path, other):
    """The checkpoint then stays that of the last iteration before."""
    foreign = None if other == "none" else als().fit(M[:, :30]).state_

    def callback(model, iteration):
        if iteration == 3:
            model.replace_state(foreign)
        return iteration == 3

    als().fit(M, checkpoint=tmp_path / "c", callback=callback)
    assert cymbals.load(tmp_path / "c").n_iter_ == 2


def parts():
    return cymbals.split.random(M, 0.3, seed=1)


def test_early_stopping_leaves_the_best_iteration_in_the_checkpoint(tmp_path):
    train, held_out = parts()
    stop = EarlyStopping(train, held_out, "auc", patience=2)
    params = {"relaxation": 1, "iterations": 30, "regularization": 0.001}
    model = als(**params).fit(train, callback=stop, checkpoint=tmp_path / "c")
    assert stop.best_iteration < len(stop.trace)
    assert_same_model(ALS.resume(tmp_path / "c", train), model)
    assert cymbals.load(tmp_path / "c").n_iter_ == stop.best_iteration


STOPPED = {"relaxation": 1, "iterations": 30, "regularization": 0.001}


@pytest.fixture(scope="module", params=[{}, {"objective": "explicit", "biases": True, "regularization": 0.5}])
def stopped(request):
    """Arguments of a fit, its data, how it is stopped early, and the fit without an interruption."""
    train, held_out = parts()
    params = STOPPED | request.param
    how = {"train": train, "validation": held_out, "metric": "auc" if not request.param else "rmse", "patience": 3}
    whole = EarlyStopping(**how)
    return params, train, how, whole, als(**params).fit(train, callback=whole)


@pytest.mark.parametrize("same_object", [False, True])
def test_early_stopping_goes_on_as_without_an_interruption(tmp_path, stopped, same_object):
    params, train, how, whole, best = stopped
    assert 1 < len(whole.trace) < 30
    assert whole.best_iteration < len(whole.trace)
    for at in range(2, len(whole.trace) + 1):
        stop = EarlyStopping(**how)

        class Ending:
            """The process ends after the callback, before the checkpoint of this iteration."""

            def __init__(self, stop, at):
                self.stop, self.at, self.memory_for_checkpoint = stop, at, stop.memory_for_checkpoint

            def restore_memory(self, memory, model):
                pass

            def __call__(self, model, iteration):
                self.stop(model, iteration)
                failing(self.at)(model, iteration)

        with pytest.raises(Failure):
            als(**params).fit(train, callback=Ending(stop, at), checkpoint=tmp_path / "c")
        assert cymbals.load(tmp_path / "c").n_iter_ == at - 1
        again = stop if same_object else EarlyStopping(**how)
        assert_same_model(ALS.resume(tmp_path / "c", train, callback=again), best)
        assert (again.trace, again.best_iteration) == (whole.trace, whole.best_iteration)
        assert (again.best_score, dict(again.metrics)) == (whole.best_score, dict(whole.metrics))
        assert_same_model(cymbals.load(tmp_path / "c"), best)


def test_the_factors_of_early_stopping_are_in_the_file_once(tmp_path, stopped):
    params, train, how, whole, _ = stopped
    sizes = {}

    class Watching(EarlyStopping):
        def __call__(self, model, iteration):
            if iteration > 1:
                sizes[iteration - 1] = "kept.x" in container.read(tmp_path / "c")[1]
            return super().__call__(model, iteration)

    als(**params).fit(train, callback=Watching(**how), checkpoint=tmp_path / "c")
    better = [score > max(whole.trace[:i], default=-9) for i, score in enumerate(whole.trace)]
    if how["metric"] == "rmse":
        better = [score < min(whole.trace[:i], default=9) for i, score in enumerate(whole.trace)]
    assert sizes == {i: not better[i - 1] for i in sizes}
    assert True in sizes.values()
    assert "kept.x" not in container.read(tmp_path / "c")[1]  # the finished fit


def test_early_stopping_with_another_metric_is_refused(tmp_path, stopped):
    params, train, how, _, _ = stopped

    class Failing(EarlyStopping):
        def __call__(self, model, iteration):
            failing(3)(model, iteration)
            return super().__call__(model, iteration)

    with pytest.raises(Failure):
        als(**params).fit(train, callback=Failing(**how), checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match=r"callback: the fit was stopped by .* give the same metric"):
        ALS.resume(tmp_path / "c", train, callback=EarlyStopping(**how | {"metric": "ndcg@5"}))
    assert ALS.resume(tmp_path / "c", train, callback=False).n_iter_ == 30


def test_early_stopping_warns_if_it_has_not_seen_the_first_iterations(tmp_path):
    train, held_out = parts()
    unfinished(tmp_path / "c", 2, train)
    stop = EarlyStopping(train, held_out, "auc", patience=9)
    with pytest.warns(UserWarning, match="has not seen the iterations before 3"):
        model = ALS.resume(tmp_path / "c", train, callback=stop)
    assert len(stop.trace) == 3
    assert model.n_iter_ == stop.best_iteration >= 3


@pytest.fixture
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore SIGINT
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("params", [{}, OBJECTIVES["biases"] | {"relaxation": 1.5}, {"tol": 1e-9, "solver": "exact"}])
@pytest.mark.parametrize("half_steps", range(1, 2 * N + 1))
def test_ctrl_c_loses_no_half_step(tmp_path, monkeypatch, params, half_steps):
    from cymbals.solve import loop

    whole = als(**params).fit(M)
    run, ran = loop.half_step, []

    def interrupted(*args):
        ran.append(1)
        if len(ran) == half_steps:
            signal.raise_signal(signal.SIGINT)
        return run(*args)

    monkeypatch.setattr(loop, "half_step", interrupted)
    broken = als(**params)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(M, checkpoint=tmp_path / "c", every=100)
    assert len(ran) == half_steps
    if broken.n_iter_:
        assert_same_model(cymbals.load(tmp_path / "c"), broken)
    model = ALS.resume(tmp_path / "c", M)
    assert len(ran) == 2 * N  # no half-step ran twice
    assert_same_model(model, whole)
    assert model.report_["resumed_at"] == half_steps // 2
    assert all(entry["seconds"] > 0 for entry in model.history_)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("used", [False, True])
def test_ctrl_c_and_early_stopping(tmp_path, monkeypatch, stopped, used):
    """In each half-step, with a new EarlyStopping or with one that another fit has used."""
    from cymbals.solve import loop

    params, train, how, whole, best = stopped
    run = loop.half_step
    for half_steps in range(1, 2 * len(whole.trace) + 1):
        ran, stop = [], EarlyStopping(**how)
        if used:
            als(**params | {"iterations": 2}).fit(train, callback=stop)
            stop._state = stop._state or als(**params | {"iterations": 2}).fit(train).state_

        def interrupted(*args, ran=ran, half_steps=half_steps):
            ran.append(1)
            if len(ran) == half_steps:
                signal.raise_signal(signal.SIGINT)
            return run(*args)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "half_step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                als(**params).fit(train, callback=stop, checkpoint=tmp_path / "c", every=50)
        again = EarlyStopping(**how)
        assert_same_model(ALS.resume(tmp_path / "c", train, callback=again), best)
        assert again.trace == ([] if half_steps == 2 * len(whole.trace) else whole.trace)  # the fit was finished then


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_waits_for_the_callback_and_for_tol(tmp_path):
    """A resumed fit does not call the callback again for an iteration that is complete."""
    called = []

    def callback(model, iteration):
        called.append(iteration)
        if called == [1, 2, 3]:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        als().fit(M, checkpoint=tmp_path / "c", callback=callback, every=9)
    ALS.resume(tmp_path / "c", M, callback=callback)
    assert called == [1, 2, 3, 4, 5]


def test_sigterm_is_not_touched_by_a_fit(tmp_path):
    handlers = []
    als().fit(M, checkpoint=tmp_path / "c", callback=lambda m, i: handlers.append(signal.getsignal(signal.SIGTERM)))
    assert set(handlers) == {signal.getsignal(signal.SIGTERM)}


def test_a_fit_in_another_thread(tmp_path):
    thread = threading.Thread(target=lambda: als().fit(M, checkpoint=tmp_path / "c"))
    thread.start()
    thread.join()
    assert_same_model(ALS.resume(tmp_path / "c", M), als().fit(M))


# -- disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, OBJECTIVES["biases"]])
@pytest.mark.parametrize("at", range(1, N + 1))
def test_a_full_disk_keeps_the_last_checkpoint_and_the_factors(tmp_path, monkeypatch, at, params):
    whole, states = als(**params).fit(M), []
    als(**params).fit(M, callback=lambda m, i: states.append(m.state_) and None)
    write, fsync, written = stored.write, os.fsync, []

    def counting(path, state, *args):
        written.append(state.fit.n_iter)
        write(path, state, *args)

    def full(file):
        if written[-1] == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    model = als(**params)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "write", counting)
        patch.setattr(os, "fsync", full)
        kept = f"it still holds iteration {at - 1}" if at > 1 else "it holds none yet"
        words = f"checkpoint .*c could not be written after iteration {at}, {kept}: No space left on device"
        with pytest.raises(OSError, match=words) as caught:
            model.fit(M, checkpoint=tmp_path / "c")
    assert caught.value.errno == errno.ENOSPC
    assert model.n_iter_ == at
    assert np.array_equal(model.state_.x, states[at - 1].x)
    assert np.array_equal(model.state_.y, states[at - 1].y)
    model.recommend(5)
    if at == 1:
        assert not list(tmp_path.iterdir())
        return
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert cymbals.load(tmp_path / "c").n_iter_ == at - 1
    assert_same_model(ALS.resume(tmp_path / "c", M), whole)


def test_a_folder_that_vanishes(tmp_path):
    (tmp_path / "folder").mkdir()
    model = als()

    def callback(model, iteration):
        if iteration == 3:
            shutil.rmtree(tmp_path / "folder")

    with pytest.raises(OSError, match=r"after iteration 3, it still holds iteration 2: cannot write"):
        model.fit(M, checkpoint=tmp_path / "folder" / "c", callback=callback)
    assert model.n_iter_ == 3


def test_entries_that_json_cannot_hold_end_the_fit_with_its_factors(tmp_path):
    model = als()
    with pytest.raises(TypeError, match="JSON"):
        model.fit(M, checkpoint=tmp_path / "c", callback=lambda m, i: m.history_[-1].update(found=object()))
    assert model.n_iter_ == 1


# -- refused arguments -----------------------------------------------------------------------------------------------


def test_refused_before_the_first_iteration(tmp_path, monkeypatch):
    monkeypatch.setattr("cymbals.model.preparing.entries", lambda *_: pytest.fail("the fit began"))
    (tmp_path / "file").write_text("")
    (tmp_path / "linked").write_text("")
    os.link(tmp_path / "linked", tmp_path / "other link")
    path = tmp_path / "c"
    for params, how, words in (
        ({"confidence": np.sqrt}, {"checkpoint": path}, "confidence is a function"),
        ({}, {"checkpoint": tmp_path / "no" / "c"}, "cannot write"),
        ({}, {"checkpoint": tmp_path}, "not a regular file"),
        ({}, {"checkpoint": tmp_path / "file" / "c"}, "cannot write"),
        ({}, {"checkpoint": tmp_path / "linked"}, "hard links"),
        ({}, {"checkpoint": 3}, "checkpoint must be the path"),
        ({}, {"checkpoint": ""}, "checkpoint must be the path"),
        ({}, {"checkpoint": b"c"}, "checkpoint must be the path"),
        ({}, {"checkpoint": path, "every": 0}, "every must be"),
        ({}, {"checkpoint": path, "every": -1}, "every must be"),
        ({}, {"checkpoint": path, "every": 1.5}, "every must be"),
        ({}, {"checkpoint": path, "every": True}, "every must be"),
        ({}, {"checkpoint": path, "every": None}, "every must be"),
        ({}, {"every": 0}, "every must be"),
    ):
        with pytest.raises((ValueError, TypeError, OSError), match=words):
            als(**params).fit(M, **how)
    assert not path.exists()


def test_refused_arguments_of_resume(tmp_path):
    unfinished(tmp_path / "c", 2)
    for how in ({"every": 0}, {"every": "1"}, {"n_threads": 0}, {"progress": 1}, {"profile": None}, {"callback": True}):
        with pytest.raises((ValueError, TypeError), match=next(iter(how))):
            ALS.resume(tmp_path / "c", M, **{"callback": False} | how)
    for path in (3, "", b"c", None):
        with pytest.raises((ValueError, TypeError), match="path must be the path"):
            ALS.resume(path, M)
    with pytest.raises(FileNotFoundError):
        ALS.resume(tmp_path / "absent", M)


def changed(matrix, at, value):
    out = matrix.copy()
    out.data[at] = value
    return out


def moved(matrix):
    """The same values with one entry in another column."""
    dense = matrix.toarray()
    row = int(np.flatnonzero((dense != 0).any(1) & (dense == 0).any(1))[0])
    full, empty = np.flatnonzero(dense[row])[0], np.flatnonzero(dense[row] == 0)[0]
    dense[row, [full, empty]] = dense[row, [empty, full]]
    return sp.csr_array(dense)


def relabelled(users=None, items=None):
    kept = {"user_ids": IDS.user_ids, "item_ids": IDS.item_ids}
    return Interactions.from_csr(M, **kept | ({} if users is None else {"user_ids": users}) | (items or {}))


OTHER_DATA = {
    "a row more": (sp.csr_array(sp.vstack([M, M[:1]])), "61 users, but the fit had 60"),
    "a column less": (M[:, :39], "39 items, but the fit had 40"),
    "one entry less": (changed(M, 7, 0), f"{M.nnz - 1} entries, but the fit had {M.nnz}"),
    "another value": (changed(M, -1, 77), "other values"),
    "a value that differs in its last bit": (changed(M, 3, np.nextafter(M.data[3], np.float32(99))), "other values"),
    "an entry elsewhere": (moved(M), "other pairs"),
    "float64 values": (M.astype(np.float64), "8 bytes in each value, but the fit had 4"),
}


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("name", OTHER_DATA)
def test_other_data_are_refused(tmp_path, name, finished):
    other, words = OTHER_DATA[name]
    if finished:
        als().fit(M, checkpoint=tmp_path / "c")
    else:
        unfinished(tmp_path / "c", 2)
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(ValueError, match="data must be the same as in the fit, but here it has " + words):
        ALS.resume(tmp_path / "c", other, callback=False)
    assert (tmp_path / "c").read_bytes() == before
    ALS.resume(tmp_path / "c", M.tocsc(), callback=False)


def test_other_ids_are_refused(tmp_path):
    unfinished(tmp_path / "c", 2, IDS)
    users = IDS.user_ids.tolist()
    for other, words in (
        (M, "other user ids"),
        (relabelled(users[::-1]), "other user ids"),
        (relabelled([*users[:-1], "someone"]), "other user ids"),
        (relabelled(np.arange(60)), "other user ids"),
        (relabelled(items={"item_ids": IDS.item_ids + 1}), "other item ids"),
        (relabelled(items={"item_ids": None}), "other item ids"),
    ):
        with pytest.raises(ValueError, match=words):
            ALS.resume(tmp_path / "c", other, callback=False)


def test_stored_zeros_are_no_entries(tmp_path):
    """As in a fit, they matter only to objective "explicit"."""
    zeros = changed(M, 5, 0)
    clean = zeros.copy()
    clean.eliminate_zeros()
    unfinished(tmp_path / "c", 2, zeros)
    assert_same_model(ALS.resume(tmp_path / "c", zeros, callback=False), als().fit(zeros))
    assert ALS.resume(tmp_path / "c", clean).n_iter_ == N
    unfinished(tmp_path / "c", 2, zeros, {"objective": "explicit"})
    with pytest.raises(ValueError, match="entries, but the fit had"):
        ALS.resume(tmp_path / "c", clean, callback=False)


def test_other_features_are_refused(tmp_path):
    unfinished(tmp_path / "c", 2, IDS, user_features=TAGS)
    other_tags = Interactions.from_arrays(TAGS.user_ids, [f"tag{(i + 1) % 5}" for i in range(31)])
    fewer = TAGS.remove(users="u60")
    for how, words in (
        ({}, "user_features: the fit had them"),
        ({"item_features": GENRES}, "user_features: the fit had them"),
        ({"user_features": TAGS, "item_features": GENRES}, "item_features: the fit of this checkpoint had none"),
        ({"user_features": other_tags}, "user_features must be the same as in the fit, but here it has other pairs"),
        ({"user_features": fewer}, "user_features must be .* it has 60 users, but the fit had 61"),
    ):
        with pytest.raises(ValueError, match=words):
            ALS.resume(tmp_path / "c", IDS, callback=False, **how)
    ALS.resume(tmp_path / "c", IDS, callback=False, user_features=TAGS)
    with pytest.raises(ValueError, match="other pairs"):  # what is given is checked, though the file has the features
        ALS.resume(tmp_path / "c", IDS, user_features=other_tags)


# -- damaged files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Small checkpoints with ids, with biases, and finished with features."""
    folder = tmp_path_factory.mktemp("small")
    small = Interactions.from_csr(random_matrix((6, 5), 0.5), user_ids=[f"u{i}" for i in range(6)])
    tags = sp.csr_array(np.eye(6, 2, dtype=np.float32))
    for name, params in (("plain", {}), ("biases", OBJECTIVES["biases"])):
        unfinished(folder / name, 2, small, params | {"factors": 2}, compute_loss=True)
    als(factors=2, iterations=2).fit(small, user_features=tags, checkpoint=folder / "features")
    return folder, small


@pytest.mark.parametrize("name", ["plain", "biases", "features"])
def test_every_altered_or_missing_byte_is_found(damaged, tmp_path, name):
    folder, data = damaged
    content, path = (folder / name).read_bytes(), tmp_path / "c"
    made = [content[:n] for n in range(len(content))] + [content + b"\0"]
    for at, byte in enumerate(content):
        made += [content[:at] + bytes([byte ^ mask]) + content[at + 1 :] for mask in (0xFF, 1, 3)]
    for altered in made:
        path.write_bytes(altered)
        with pytest.raises(ModelFileError):
            checkpoints.read(str(path))
    path.write_bytes(content[:-1])
    with pytest.raises(ModelFileError, match="c: "):
        ALS.resume(path, data)
    with pytest.raises(ModelFileError, match="c: "):
        cymbals.load(path)


def test_other_files_are_refused(tmp_path, plain):
    plain.save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="a model, but not a checkpoint"):
        ALS.resume(tmp_path / "m", M)
    for name, content in (("empty", b""), ("text", b"hello world" * 9)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match="not a cymbals model file"):
            ALS.resume(tmp_path / name, M)


HOSTILE = (None, True, -1, 2.5, 2**70, "x", [], [1], {}, {"a": "b"})
FACTS = ("every", "compute_loss", "has_callback", "from_noise", "data", "half_steps", "n_iterations", "seconds", "losses")
POSSIBLE = {  # of HOSTILE, what a checkpoint can have
    "compute_loss": [True],
    "has_callback": [True],
    "from_noise": [True],
    "seconds": [-1, 2.5, 2**70],
    "counts": [{}],
    "user_features": [None, {}, {"a": "b"}],  # the dicts are no fingerprint of any features
}


@pytest.mark.parametrize("name", [*FACTS, "counts", "user_features", "checkpoint"])
def test_forged_facts_are_refused(damaged, tmp_path, name):
    folder, data = damaged
    facts, arrays = container.read(folder / "biases")
    for value in HOSTILE:
        forged = json.loads(json.dumps(facts))
        (forged if name == "checkpoint" else forged["checkpoint"])[name] = value
        container.write(tmp_path / "c", forged, arrays)
        if any(value is each or (value == each and type(value) is type(each)) for each in POSSIBLE.get(name, [])):
            checkpoints.read(str(tmp_path / "c"))
        else:
            with pytest.raises(ModelFileError, match="not a complete cymbals model"):
                checkpoints.read(str(tmp_path / "c"))
    with pytest.raises(ValueError, match=r"not a complete|user_features: the fit had them"):  # the last value of HOSTILE
        ALS.resume(tmp_path / "c", data, callback=False)
    del facts["checkpoint"][name if name != "checkpoint" else "data"]
    container.write(tmp_path / "c", facts, arrays)
    with pytest.raises(ModelFileError):
        checkpoints.read(str(tmp_path / "c"))


MEMORY = {"facts": {}, "iteration": 1, "counts": {}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory": []}, "memory must have facts"),
        ({"memory": {"facts": 3}}, "memory must have facts"),
        ({"memory": MEMORY | {"iteration": 3}}, "the callback keeps iteration 3 of 2"),
        ({"memory": MEMORY | {"iteration": 0}}, "iteration must be a whole number of at least 1"),
        ({"memory": MEMORY}, "array 'kept.x' is missing"),
        ({"memory": MEMORY | {"iteration": 2, "counts": []}}, "counts must be whole numbers"),
        ({"half_steps": 6}, "contradict"),
        ({"half_steps": 2}, "contradict"),
        ({"n_iterations": 1}, "contradict"),
        ({"n_iterations": 2**31}, "the parameters say iterations=5, but the fit was to do 2147483648"),
        ({"losses": [1.0]}, "1 losses of 2 iterations"),
        ({"losses": []}, "0 losses of 2 iterations"),
        ({"compute_loss": False}, "2 losses of 2 iterations"),
        ({"data": {"users": 7, "items": 5}}, "the data had 7 users"),
        ({"data": {"users": 6, "items": 4}}, "the data had 4 items"),
    ],
)
def test_facts_that_contradict_each_other(damaged, tmp_path, change, words):
    facts, arrays = container.read(damaged[0] / "plain")
    facts["checkpoint"] |= change
    container.write(tmp_path / "c", facts, arrays)
    with pytest.raises(ModelFileError, match=words):
        checkpoints.read(str(tmp_path / "c"))


# -- processes that are killed ---------------------------------------------------------------------------------------

FIT = """
import sys, numpy as np, scipy.sparse as sp
from cymbals import ALS
matrix = sp.random_array((3000, 2000), density=0.01, format="csr", rng=np.random.default_rng(0))
params = {"factors": 24, "iterations": 100, "random_state": 0, "n_threads": 1}
what, path, factors = sys.argv[1:]
if what == "fit":
    model = ALS(**params).fit(matrix, checkpoint=path, callback=lambda model, iteration: print(iteration, flush=True))
elif what == "resume":
    model = ALS.resume(path, matrix, callback=False)
    print(model.n_iter_ - model.report_["resumed_at"])
else:
    model = ALS(**params).fit(matrix)
np.save(factors, np.vstack([model.user_factors_, model.item_factors_]))
"""


def started(*words):
    return subprocess.Popen(
        [sys.executable, "-c", FIT, *map(str, words)], stdout=subprocess.PIPE, text=True, env=environment()
    )


def finished(*words):
    process = started(*words)
    out = process.communicate(timeout=300)[0]
    assert process.returncode == 0
    return out.split()


def test_a_killed_process_loses_at_most_the_running_iteration(tmp_path):
    finished("whole", "", tmp_path / "whole.npy")
    want, rng, ran = np.load(tmp_path / "whole.npy"), np.random.default_rng(5), []
    for i in range(4):
        path = tmp_path / f"c{i}"
        process = started("fit", path, tmp_path / "killed.npy")
        assert process.stdout.readline() == "1\n"
        while not path.exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        iterations = 1 + len(process.communicate()[0].split())
        remaining = int(finished("resume", path, tmp_path / "resumed.npy")[0])
        ran.append(remaining)
        assert 100 - iterations <= remaining <= 100 - iterations + 1
        assert remaining < 100
        assert np.array_equal(np.load(tmp_path / "resumed.npy"), want)
        assert not list(tmp_path.glob("*.part"))
    assert any(ran)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of file sizes")
def test_a_limit_of_the_file_size(tmp_path):
    """A real error of the operating system while a checkpoint is written."""
    code = f"""
import resource, signal
from cymbals import ALS, load
import scipy.sparse as sp
matrix = sp.random_array((300, 200), density=0.1, format="csr", rng=0)
path = {str(tmp_path / "c")!r}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(model, iteration):
    if iteration == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
model = ALS(factors=8, iterations=6, random_state=0)
try:
    model.fit(matrix, checkpoint=path, callback=limit)
except OSError as error:
    print(type(error).__name__, error)
print(model.n_iter_, load(path).n_iter_)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    error, numbers = done.stdout.splitlines()
    assert "could not be written after iteration 3, it still holds iteration 2: File too large" in error
    assert numbers == "3 2"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
