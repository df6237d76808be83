"""Fits over a cluster of three nodes in this machine, compared bit by bit with `ALS.fit`."""

import itertools
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from clusters import during, same
from conftest import counts

from cymbals import ALS, Interactions, SolveError, StoreError, distributed
from cymbals.distributed.fleet import Fleet
from cymbals.distributed.plan import balanced

pytest.importorskip("ray", reason="Ray is not installed")


CASES = [
    (1, {"objective": "hu", "factors": 32}),
    (2, {"objective": "ials", "factors": 20, "nu": 1.0, "unobserved_weight": 0.1, "confidence": "log"}),
    (3, {"objective": "hu", "factors": 128, "tol": 1e-9}),
    (3, {"objective": "ials", "factors": 32, "alpha": "auto", "unobserved_weight": "auto", "regularization": "auto"}),
    (3, {"objective": "explicit", "biases": True, "factors": 7, "dtype": "float64"}),
    (2, {"objective": "hu", "unobserved_weight": 0.0, "factors": 8}),
]


@pytest.mark.parametrize(("nodes", "params"), CASES)
def test_any_number_of_nodes_gives_the_bits_of_one(cluster, store, nodes, params):
    params = {"iterations": 2, "random_state": 3} | params
    expected = ALS(**params).fit(Interactions.open(store), compute_loss=True)
    model = distributed.fit(ALS(**params), store, nodes=nodes, compute_loss=True)
    assert same(model, expected)
    assert [entry["loss"] for entry in model.history_] == [entry["loss"] for entry in expected.history_]
    assert model.report_ == expected.report_
    assert model.recommend("u7", n=3)[0].tolist() == expected.recommend("u7", n=3)[0].tolist()


def test_very_sparse_data_send_only_needed_rows(cluster, tmp_path):
    path = tmp_path / "sparse"
    Interactions.from_csr(sp.random_array((6000, 9000), density=0.0001, rng=1, format="csr")).save(path)
    params = {"factors": 16, "iterations": 2, "random_state": 0}
    model = distributed.fit(ALS(**params), path, profile=True)
    assert same(model, ALS(**params).fit(Interactions.open(path)))
    received = sum(row["received"] for row in model.profile_.nodes() if row["iteration"] == 2)
    assert received < 0.75 * distributed.bytes_per_iteration((6000, 9000), 16, 3)["total"]
    predicted = distributed.bytes_per_iteration((6000, 9000), 16, 3, needed=needed(path, 3))["total"]
    assert received == pytest.approx(predicted, rel=0.1)


@pytest.mark.parametrize("density", [0.002, 0.0002])  # nodes need all rows of the other side, or some
@pytest.mark.parametrize("alpha", [1.0, 1e4])  # without heavy entries, and with
def test_rows_travel_in_16_bits(cluster, tmp_path, density, alpha):
    path = tmp_path / "store"
    Interactions.from_csr(sp.random_array((9000, 9000), density=density, rng=1, format="csr")).save(path)
    params = {"factors": 64, "iterations": 2, "random_state": 0, "alpha": alpha, "objective": "ials", "nu": 0.5}
    expected = ALS(**params).fit(Interactions.open(path), compute_loss=True)
    assert not same(expected, ALS(**params, compact=False).fit(Interactions.open(path)))
    model = distributed.fit(ALS(**params), path, compute_loss=True, profile=True)
    assert same(model, expected)
    assert model.history_[-1]["loss"] == expected.history_[-1]["loss"]


def needed(path, nodes):
    """The shares of the items and of the users that the rows of a node need on average."""
    data, shares = Interactions.open(path), []
    for matrix, unit in ((data.csr, 64), (data.by_item(), 1)):
        parts = [matrix.between(*ends) for ends in itertools.pairwise(balanced(matrix, nodes, unit))]
        shares.append(np.mean([np.unique(part.indices).size / part.shape[1] for part in parts]))
    return shares


def test_a_matrix_with_fewer_rows_than_a_block_of_the_loss(cluster, tmp_path):
    path = tmp_path / "tiny"
    Interactions.from_csr(sp.random_array((30, 20), density=0.2, rng=1, format="csr")).save(path)
    params = {"factors": 3, "iterations": 2, "random_state": 0}
    model = distributed.fit(ALS(**params), path, compute_loss=True)
    expected = ALS(**params).fit(Interactions.open(path), compute_loss=True)
    assert same(model, expected)
    assert model.history_[-1]["loss"] == expected.history_[-1]["loss"]


def test_callback_and_profile(cluster, store):
    seen = []

    def callback(model, iteration):
        seen.append((iteration, model.user_factors_.copy()))
        return iteration == 2

    model = distributed.fit(ALS(factors=8, iterations=5, random_state=0), store, callback=callback, profile=True)
    assert [iteration for iteration, _ in seen] == [1, 2]
    assert model.n_iter_ == 2
    np.testing.assert_array_equal(model.user_factors_, seen[1][1])
    nodes = model.profile_.nodes()
    assert {"users", "items"} <= {row["side"] for row in nodes}
    in_fit = [row for row in nodes if row["iteration"] == 2]
    assert len({row["node"] for row in in_fit}) == 4  # three nodes and the driver
    assert all(row["compute"] >= 0 and row["wait"] >= 0 for row in in_fit)
    assert sum(row["received"] for row in in_fit) == sum(row["sent"] for row in in_fit)
    predicted = distributed.bytes_per_iteration((5000, 2500), 8, 3)["total"]
    assert sum(row["received"] for row in in_fit) == pytest.approx(predicted, rel=0.1)


@pytest.mark.parametrize("half_step", [0, 3])
def test_a_killed_worker_changes_no_bit(cluster, store, fleets, half_step):
    params = {"factors": 32, "iterations": 3, "random_state": 1}
    thread = during(fleets, half_step, lambda fleet: os.kill(fleet.pids[1], signal.SIGKILL))
    model = distributed.fit(ALS(**params), store)
    thread.join()
    assert fleets[-1].replaced == 1
    assert same(model, ALS(**params).fit(Interactions.open(store)))


def test_a_worker_that_is_lost_when_the_others_wait_for_it_does_its_part_again(cluster, store, fleets, monkeypatch):
    """Its successor has the state of the beginning of the half-step, though the lost worker had finished."""
    params = {"factors": 16, "iterations": 2, "random_state": 1}
    add_usage, killed = Fleet._add_usage, []

    def killing(self, node, reply):
        add_usage(self, node, reply)
        if self.now == 2 and not killed and isinstance(reply.value, dict) and "rows_cg" in reply.value:
            killed.append(node)
            os.kill(self.pids[node], signal.SIGKILL)
            self._replace(node)

    monkeypatch.setattr(Fleet, "_add_usage", killing)
    model = distributed.fit(ALS(**params), store)
    assert killed
    assert same(model, ALS(**params).fit(Interactions.open(store)))


def test_ctrl_c_leaves_a_usable_model(cluster, store, fleets):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background processes ignore it
    thread = during(fleets, 3, lambda fleet: os.kill(os.getpid(), signal.SIGINT))
    model = ALS(factors=16, iterations=30, random_state=1)
    try:
        with pytest.raises(KeyboardInterrupt):
            distributed.fit(model, store)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert 1 <= model.n_iter_ < 30
    assert model.user_factors_.any(axis=1).sum() > 1000
    assert len(model.recommend("u3", n=4)[0]) == 4


def test_a_fit_whose_workers_are_always_lost_ends_with_one_error(cluster, store, fleets, monkeypatch):
    monkeypatch.setattr("cymbals.distributed.workers._LOSSES", 1)
    stop = threading.Event()

    def kill(fleet):
        while not stop.is_set():
            for pid in fleet.pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.01)

    thread = during(fleets, 1, kill)
    model = ALS(factors=16, iterations=4, random_state=1)
    try:
        with pytest.raises(distributed.NodeError, match=r"so the fit stops\..*Start the fit again"):
            distributed.fit(model, store)
    finally:
        stop.set()
        thread.join()
    assert not hasattr(model, "user_factors_")


def test_a_node_that_cannot_open_its_part_is_named(cluster, store, tmp_path):
    path = tmp_path / "damaged"
    shutil.copytree(store, path)
    (file,) = path.glob("by_item.data.*")
    content = bytearray(file.read_bytes())
    content[-(len(content) // 20) * 4] ^= 255  # in the range of the last node
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"node \d .*by_item.data.*was altered"):
        distributed.fit(ALS(factors=4), path)


def test_a_row_that_cannot_be_solved_is_named_as_on_one_machine(cluster, tmp_path):
    path = tmp_path / "heavy"
    matrix = counts((3000, 300), 9000)
    matrix.data[[100, 8000]] = 1e30
    Interactions.from_csr(matrix).save(path)
    with pytest.raises(SolveError) as expected:
        ALS(factors=4, random_state=0).fit(Interactions.open(path))
    with pytest.raises(SolveError) as found:
        distributed.fit(ALS(factors=4, random_state=0), path)
    assert str(found.value) == str(expected.value)


def test_refusals(cluster, store, tmp_path):
    with pytest.raises(ValueError, match="confidence is a function"):
        distributed.fit(ALS(confidence=np.sqrt), store)
    with pytest.raises(distributed.NodeError, match="3 nodes with CPUs, and nodes=9"):
        distributed.fit(ALS(), store, nodes=9)
    with pytest.raises(TypeError, match="model must be"):
        distributed.fit(None, store)
    with pytest.raises(StoreError, match="not a store"):
        distributed.fit(ALS(), tmp_path)
    Interactions.from_csr(sp.csr_array(np.array([[1.0, -1.0], [2.0, 1.0]]))).save(tmp_path / "negative")
    with pytest.raises(ValueError, match="'ials' takes no negative values"):
        distributed.fit(ALS(objective="ials"), tmp_path / "negative")
    zeros = Interactions.from_csr(sp.csr_array(np.array([[1.0, 1.0], [2.0, 1.0]])))
    zeros.with_values(np.array([1, 0, 2, 1], "f4")).save(tmp_path / "zeros")
    with pytest.raises(ValueError, match="stored zeros"):
        distributed.fit(ALS(), tmp_path / "zeros")
