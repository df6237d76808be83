"""The model of the cost of a distributed fit."""

from dataclasses import replace

import pytest

from cymbals import ALS
from cymbals.distributed.capacity import Cluster, Data, efficiency, estimate, least_nodes
from cymbals.distributed.rates import Rates

RATES = Rates(entry=7e-8, rotate=4e-7, gram=3e-7, whiten=5e-8, eigh=2e-3, send=4e-10, copy=1e-10)
DATA = Data(users=36_000_000, items=29_000_000, entries=1_850_000_000, factors=128)
FAST, SLOW = 100e9 / 8, 100e6 / 8  # bytes a second


def test_one_node_only_computes():
    found = estimate(DATA, Cluster(1, 2, SLOW), RATES)
    assert found.transfer == 0
    assert found.solve == pytest.approx(2 * 1.85e9 * 7e-8 / 2, rel=0.01)
    assert found.binds == "solving rows"
    assert efficiency(DATA, Cluster(1, 2, SLOW), RATES) == 1


def test_more_cores_bandwidth_and_nodes_never_take_longer():
    cluster = Cluster(8, 4, 25e9 / 8)
    seconds = estimate(DATA, cluster, RATES).seconds
    for change in ({"cores": 8}, {"bandwidth": 50e9 / 8}, {"nodes": 16}):
        assert estimate(DATA, replace(cluster, **change), RATES).seconds < seconds
    assert estimate(replace(DATA, entries=2 * DATA.entries), cluster, RATES).seconds > seconds


def test_what_binds():
    assert estimate(DATA, Cluster(16, 2, SLOW), RATES).binds == "the network"
    assert estimate(DATA, Cluster(2, 2, FAST), RATES).binds == "solving rows"
    sending = replace(RATES, send=1e-7)
    assert estimate(DATA, Cluster(16, 2, FAST), sending).binds == "rotating and sending rows"
    few = Data(1000, 1000, 20_000, 8)
    assert estimate(few, Cluster(64, 2, FAST), RATES).binds in ("adding up Gramians", "rotating and sending rows")


def test_a_slow_network_takes_as_long_as_its_bytes():
    found = estimate(DATA, Cluster(4, 16, SLOW), RATES)
    assert found.seconds == pytest.approx(found.bytes / 4 / SLOW, rel=0.15)


def test_nodes_that_share_cores_take_longer():
    alone, shared = (estimate(DATA, Cluster(4, cores, FAST), RATES).seconds for cores in (2, 0.5))
    assert 3 < shared / alone < 5


@pytest.mark.parametrize("memory", [16e9, 30e9, 200e9])
def test_the_least_number_of_nodes_that_is_enough(memory):
    nodes = least_nodes(DATA, memory)
    assert estimate(DATA, Cluster(nodes, 2, FAST), RATES).memory <= 0.9 * memory
    if nodes > 1:
        assert estimate(DATA, Cluster(nodes - 1, 2, FAST), RATES).memory > 0.9 * memory


def test_no_number_of_nodes_is_enough():
    with pytest.raises(ValueError, match=r"4096 nodes are not enough, because each needs .* bytes: use nodes with more"):
        least_nodes(DATA, 1e6)


def test_a_node_needs_fewer_rows_if_there_are_many_nodes():
    items, users = DATA.needed_by(1000)
    assert 0.04 < users < items < 0.1
    assert DATA.needed_by(1) == (1.0, 1.0)
    assert replace(DATA, needed=(0.3, 0.2)).needed_by(1000) == (0.3, 0.2)


def test_measured_rates_are_those_of_a_fit(monkeypatch):
    monkeypatch.setattr("cymbals.distributed.rates._ENTRIES", 60_000)
    monkeypatch.setattr("cymbals.distributed.rates._GATHERED", 20_000)
    monkeypatch.setattr("cymbals.distributed.rates._TABLE_BYTES", 1 << 20)
    monkeypatch.setattr("cymbals.distributed.rates._BYTES", 1 << 20)
    before = ALS().get_params()
    found = Rates.measured((1_000_000, 10_000), 1e7, 16)
    assert all(0 < value < 1 for value in vars(found).values())
    assert ALS().get_params() == before
