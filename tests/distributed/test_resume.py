"""Checkpoints of distributed fits: a resumed fit ends in the bits of `ALS.fit`, wherever it began and went on."""

import os
import shutil
import signal
import types

import numpy as np
import pytest
from clusters import same
from conftest import Failure, counts, cymbals_cli, failing

import cymbals
from cymbals import ALS, Interactions, distributed
from cymbals.cli.checkpoints import recoverable
from cymbals.distributed.cluster import connected
from cymbals.distributed.fleet import Fleet
from cymbals.model import checkpoint as checkpoints

pytest.importorskip("ray", reason="Ray is not installed")


def acting(monkeypatch, method, act):
    """Call `act` with the fleet and the arguments before each call of a method of Fleet."""
    original = getattr(Fleet, method)

    def acting_first(self, *args, **how):
        act(self, *args)
        return original(self, *args, **how)

    monkeypatch.setattr(Fleet, method, acting_first)


def losing_nodes(fleet, settings):
    if fleet.now == 4:
        raise distributed.NodeError("all nodes were lost")


@pytest.mark.parametrize(
    ("before", "after", "params"),
    [
        (
            3,
            2,
            dict.fromkeys(("alpha", "unobserved_weight", "regularization"), "auto") | {"objective": "ials", "tol": 1e-9},
        ),
        (1, 3, {"objective": "explicit", "biases": True, "factors": 7, "dtype": "float64"}),
    ],
)
def test_a_fit_that_goes_on_elsewhere_twice(cluster, store, tmp_path, monkeypatch, before, after, params):
    """From a cluster to one machine, and to a cluster with another number of nodes."""
    params = {"iterations": 5, "random_state": 3, "factors": 32} | params
    data, path = Interactions.open(store), tmp_path / "c"
    whole = ALS(**params).fit(data, compute_loss=True)
    with monkeypatch.context() as patch:
        acting(patch, "half_step", losing_nodes)
        with pytest.raises(distributed.NodeError, match=rf"lost. .*resume goes on from iteration 2, which is in {path}"):
            distributed.fit(ALS(**params), store, nodes=before, compute_loss=True, checkpoint=path)
    shutil.copy(path, tmp_path / "copy")
    assert same(ALS.resume(tmp_path / "copy", data), whole)
    with pytest.raises(Failure):
        ALS.resume(path, data, callback=failing(4))
    model = distributed.resume(path, store, nodes=after, callback=False)
    assert same(model, whole)
    assert model.report_ == whole.report_ | {"resumed_at": 3}
    for name in ("iteration", "loss"):
        assert [entry[name] for entry in model.history_] == [entry[name] for entry in whole.history_]
    assert model.get_params() == whole.get_params()
    assert model.recommend("u7", n=3)[0].tolist() == whole.recommend("u7", n=3)[0].tolist()
    assert same(distributed.resume(path, store, nodes=999), whole)  # it is finished, so no cluster is needed


def test_workers_that_are_lost_after_a_resume(cluster, store, tmp_path, fleets, monkeypatch):
    """Until two half-steps are published, their successors begin with the factors of the checkpoint."""
    params = {"factors": 32, "iterations": 4, "random_state": 1}
    with pytest.raises(Failure):
        ALS(**params).fit(Interactions.open(store), checkpoint=tmp_path / "c", callback=failing(3))
    to_kill = {(4, "start"): 0, (4, "publish"): 1, (4, "solve"): 2, (5, "publish"): 0}
    given = {}  # by half-step: how many nodes have given factors at the first call

    def kill(fleet, name, *_):
        given.setdefault(fleet.now, len(fleet._given))
        node = to_kill.pop((fleet.now, name), None)
        if node is not None:
            os.kill(fleet.pids[node], signal.SIGKILL)

    acting(monkeypatch, "call", kill)
    model = distributed.resume(tmp_path / "c", store, callback=False)
    assert not to_kill
    assert fleets[-1].replaced == 4
    assert (given[4], given[5], given[6]) == (3, 3, 0)
    assert same(model, ALS(**params).fit(Interactions.open(store)))


def test_factors_are_collected_once_and_only_for_checkpoints_and_callbacks(cluster, store, tmp_path, monkeypatch):
    collected = []
    acting(monkeypatch, "factors", lambda fleet, side: collected.append((fleet.now, side)))
    params, how = {"iterations": 3, "factors": 4}, {"nodes": 2, "checkpoint": tmp_path / "c"}
    distributed.fit(ALS(**params), store, every=2, **how)
    assert collected == [(half_step, side) for half_step in (4, 6) for side in (0, 1)]
    collected.clear()
    stopped = distributed.fit(ALS(**params), store, callback=lambda model, iteration: iteration == 2, **how)
    assert collected == [(half_step, side) for half_step in (2, 4) for side in (0, 1)]
    found = checkpoints.read(str(tmp_path / "c"))
    assert found.is_finished
    assert found.fit.iteration == 2
    assert np.array_equal(found.state.y, stopped.state_.y)


def test_the_command_goes_on_from_its_checkpoint_within_an_iteration(cluster, store, tmp_path, monkeypatch):
    how = ("--factors", 5, "--iterations", 4, "--seed", 1)
    args = ("fit", store, "-o", tmp_path / "m", "--checkpoint", tmp_path / "c", "--every", 3, *how)
    cymbals_cli("fit", store, "-o", tmp_path / "whole", *how)
    whole = cymbals.load(tmp_path / "whole")
    with monkeypatch.context() as patch:
        acting(patch, "half_step", lambda fleet, _: fleet.now == 4 and signal.raise_signal(signal.SIGTERM))
        out = cymbals_cli(*args, "--ray", cluster.address, code=143)
    assert f"stopped; the same command goes on from {tmp_path / 'c'}" in out.stderr
    assert checkpoints.read(str(tmp_path / "c")).fit.half_steps == 5
    shutil.copy(tmp_path / "c", tmp_path / "copy")
    for place in (("--ray", cluster.address), ()):
        assert "resuming after iteration 2 of 4" in cymbals_cli(*args, *place).stderr
        assert same(cymbals.load(tmp_path / "m"), whole)
        shutil.copy(tmp_path / "copy", tmp_path / "c")


def test_the_command_says_how_to_go_on_after_the_loss_of_nodes(tmp_path, capsys):
    (tmp_path / "c").touch()
    with pytest.raises(distributed.NodeError), recoverable(str(tmp_path / "c")):
        raise distributed.NodeError
    assert f"stopped; the same command goes on from {tmp_path / 'c'}" in capsys.readouterr().err


def test_connecting_keeps_the_programs_handler_of_sigterm():
    """`ray.init` replaces it. The command writes a checkpoint at SIGTERM only with its own."""

    def init(**_):
        signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the handler of Ray"))

    ray, before = types.SimpleNamespace(is_initialized=lambda: False, init=init, shutdown=lambda: None), []
    found = signal.signal(signal.SIGTERM, lambda *_: before.append(1))
    try:
        with connected(ray, None):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, found)
    assert before == [1]


def test_refused_before_anything_starts(store, tmp_path, monkeypatch):
    monkeypatch.setattr("cymbals.distributed.running.connected", lambda *_: pytest.fail("the fit began"))
    path = tmp_path / "c"
    for how, words in (
        ({"checkpoint": tmp_path / "no" / "c"}, "cannot write"),
        ({"checkpoint": tmp_path}, "not a regular file"),
        ({"checkpoint": 3}, "checkpoint must be the path"),
        ({"checkpoint": path, "every": 0}, "every must be"),
        ({"every": 0}, "every must be"),
    ):
        with pytest.raises((ValueError, TypeError, OSError), match=words):
            distributed.fit(ALS(), store, **how)
    assert not path.exists()


def test_refused_checkpoints(store, tmp_path, monkeypatch):
    monkeypatch.setattr("cymbals.distributed.running.connected", lambda *_: pytest.fail("the fit began"))
    path, other = tmp_path / "c", tmp_path / "other"
    Interactions.from_csr(counts((5000, 2500), 60_001)).save(other)
    data = Interactions.open(store)
    with pytest.raises(Failure):
        ALS(4, iterations=3).fit(data, checkpoint=path, callback=failing(2))
    before = path.read_bytes()
    for how, words in (
        ({}, "callback: the fit had one: give it again, or callback=False"),
        ({"callback": False, "path": other}, "data must be the same as in the fit, but here it has"),
        ({"callback": False, "path": tmp_path}, "not a store"),
        ({"callback": False, "every": 0}, "every must be"),
        ({"callback": False, "nodes": 0}, "nodes must be"),
        ({"callback": False, "progress": 1}, "progress must be"),
        ({"checkpoint": tmp_path / "absent"}, "No such file"),
        ({"checkpoint": b"c"}, "checkpoint must be the path"),
    ):
        with pytest.raises((ValueError, TypeError, OSError), match=words):
            distributed.resume(**{"checkpoint": path, "path": store} | how)
    assert path.read_bytes() == before
    with pytest.raises(Failure):
        ALS(4, iterations=3).fit(data, item_features=data.by_item().to_scipy(), checkpoint=path, callback=failing(2))
    with pytest.raises(ValueError, match=r"the fit has item_features.*use cymbals\.ALS\.resume"):
        distributed.resume(path, store, callback=False)
