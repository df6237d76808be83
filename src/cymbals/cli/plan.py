"""The command that predicts the cost of a fit on several machines: `plan`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import click

from ..base.checks import byte_count
from ..base.format import size_of
from ..distributed.capacity import Cluster, Data, Estimate, efficiency, estimate, least_nodes
from ..distributed.rates import Rates
from . import options
from .group import cli
from .terminal import console, echo, print_json, show_tables

_SIZES = 4  # of clusters that are shown: the smallest one, and each with twice as many nodes as the one before
_BITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def number(text: str) -> int:
    """A whole number, which may be written as 1e9."""
    try:
        found = float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number") from None
    if not (1 <= found <= 1e15 and found == int(found)):
        raise click.BadParameter(f"{text} is not a whole number from 1 to 1e15")
    return int(found)


def bandwidth_of(text: str) -> float:
    """A text such as "25Gbit", in bytes a second."""
    found = re.fullmatch(r"(\d+\.?\d*)\s*([KMGT]?)bit(/s)?", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]) > 0:
        raise click.BadParameter(f"{text!r} is not a bandwidth such as 25Gbit or 100Mbit")
    return float(found[1]) * _BITS[found[2].upper()] / 8


def size(text: str) -> int:
    """A text such as "256GB", in bytes."""
    try:
        return byte_count("the size", text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@cli.command()
@click.option("--users", type=number, required=True, help="Number of users, such as 1e9.")
@click.option("--items", type=number, required=True, help="Number of items.")
@click.option("--entries", type=number, required=True, help="Number of pairs of a user and an item.")
@click.option("--factors", type=click.IntRange(1, 4096), default=64, show_default=True, help="Rank of the model.")
@click.option("--node-memory", type=size, required=True, help="Memory of a node, such as 256GB.")
@click.option("--cores", type=click.IntRange(1), default=16, show_default=True, help="Cores of a node.")
@click.option("--bandwidth", type=bandwidth_of, default="10Gbit", show_default=True, help="Of a node's network.")
@click.option("--nodes", type=click.IntRange(1), help="Number of nodes. By default the least that is enough.")
@options.as_json
def plan(
    users: int,
    items: int,
    entries: int,
    factors: int,
    node_memory: int,
    cores: int,
    bandwidth: float,
    nodes: int | None,
    as_json: bool,
) -> None:
    """Predict memory, time and network traffic of a fit on several machines.

    A small fit measures how fast a core of this machine is. Run the command on a machine like those
    of the cluster, with nothing else running. It takes some seconds, and needs no cluster.
    """
    data = Data(users, items, entries, factors)
    least = least_nodes(data, node_memory)
    if nodes is not None and nodes < least:
        raise click.UsageError(f"{nodes} nodes of {size_of(node_memory)} are not enough: it takes {least}")
    if not as_json:
        echo("measuring this machine ...", err=True)
    rates = Rates.measured((users, items), entries, factors)
    first = Cluster(nodes or least, cores, bandwidth)
    clusters = [first] if nodes else [replace(first, nodes=least * 2**i) for i in range(_SIZES)]
    found = estimate(data, first, rates)
    changes = _changes(data, first, rates)
    rows = [_row(data, cluster, rates) for cluster in clusters]
    if as_json:
        print_json({"plan": rows, "seconds after a change": changes})
        return
    show_tables(console(), {"one iteration": rows})
    for line in _explained(first, found):
        echo(line)
    for change, seconds in changes.items():
        echo(f"  with {change}: {seconds:,.3g} s")


def _row(data: Data, cluster: Cluster, rates: Rates) -> dict[str, Any]:
    found = estimate(data, cluster, rates)
    return {
        "nodes": cluster.nodes,
        "memory of a node": size_of(found.memory),
        "its rows in the store": size_of(found.mapped),
        "network": size_of(found.bytes),
        "seconds": float(f"{found.seconds:.3g}"),
        "efficiency": round(efficiency(data, cluster, rates), 2),
        "what binds": found.binds,
    }


def _changes(data: Data, cluster: Cluster, rates: Rates) -> dict[str, float]:
    """The seconds of an iteration after each of some changes."""
    changed = {
        "twice the nodes": replace(cluster, nodes=2 * cluster.nodes),
        "twice the cores": replace(cluster, cores=2 * cluster.cores),
        "twice the bandwidth": replace(cluster, bandwidth=2 * cluster.bandwidth),
    }
    return {name: estimate(data, to, rates).seconds for name, to in changed.items()}


def _explained(cluster: Cluster, found: Estimate) -> list[str]:
    parts = {
        "adding up Gramians": found.gram,
        "decomposing them": found.eigh,
        "rotating, copying and sending rows": found.rotate,
        "the network, at the same time": found.transfer,
        "solving rows": found.solve,
    }
    listed = ", ".join(f"{name} {seconds:,.3g} s" for name, seconds in parts.items())
    return [
        f"With {cluster.nodes} nodes, an iteration takes {found.seconds:,.3g} s: {listed}.",
        f"What binds is {found.binds}. The program that calls fit needs {size_of(found.driver_memory)} for all factors.",
        f"Instead of {found.seconds:,.3g} s, an iteration takes",
    ]
