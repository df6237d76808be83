"""cymbals plan."""

import json

import pytest
from conftest import cymbals_cli

from cymbals.distributed.rates import Rates

RATES = Rates(entry=7e-8, rotate=4e-7, gram=3e-7, whiten=5e-8, eigh=2e-3, send=4e-10, copy=1e-10)
DATA = ("plan", "--users", "1e9", "--items", "1e8", "--entries", "1e11", "--factors", "64", "--node-memory", "256GB")


@pytest.fixture(autouse=True)
def rates(monkeypatch):
    monkeypatch.setattr(Rates, "measured", lambda *_: RATES)


def test_a_billion_users():
    out = cymbals_cli(*DATA, "--bandwidth", "25Gbit").stdout
    assert "what binds" in out
    assert "twice the bandwidth" in out
    plan = json.loads(cymbals_cli(*DATA, "--bandwidth", "25Gbit", "--json").stdout)
    first, second = plan["plan"][:2]
    assert second["nodes"] == 2 * first["nodes"]
    assert second["seconds"] < first["seconds"]
    assert 0 < second["efficiency"] < first["efficiency"] <= 1
    assert plan["seconds after a change"]["twice the bandwidth"] <= first["seconds"] * 1.01
    (given,) = json.loads(cymbals_cli(*DATA, "--nodes", "100", "--json").stdout)["plan"]
    assert given["nodes"] == 100


def test_slower_networks_take_longer():
    seconds = [
        json.loads(cymbals_cli(*DATA, "--nodes", "64", "--bandwidth", rate, "--json").stdout)["plan"][0]["seconds"]
        for rate in ("100gbit", "10 Gbit/s", "1000Mbit")
    ]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[2] / 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--users", "many"), "'many' is not a number"),
        (("--items", "1.5"), "1.5 is not a whole number from 1 to 1e15"),
        (("--entries", "0"), "0 is not a whole number"),
        (("--bandwidth", "25GB"), "'25GB' is not a bandwidth such as 25Gbit"),
        (("--bandwidth", "0Gbit"), "not a bandwidth"),
        (("--node-memory", "much"), "must be a number of bytes"),
        (("--nodes", "2"), "2 nodes of 256 GB are not enough: it takes"),
    ],
)
def test_bad_usage(change, message):
    assert message in cymbals_cli(*DATA, *change, code=2).stderr


def test_too_little_memory():
    assert "4096 nodes are not enough" in cymbals_cli(*DATA, "--node-memory", "1MB", code=1).stderr
