"""A model of the cost of a distributed fit: seconds, bytes and memory, as functions of the data, the nodes and the network.

`benchmarks/capacity.py` compares its seconds with those of fits whose nodes are connected by slow links.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from .._core import compact_width, gram_segments
from .rates import Rates
from .table import NEARLY_ALL
from .traffic import bytes_per_iteration

_WIRE = 1538 / 1448  # bytes on a wire for each byte of data: headers of Ethernet, IP and TCP, 1500 bytes in a frame
_RAY_BYTES = 1e9  # that Ray transfers in a second, at most
_MOST_NODES = 4096
_KEPT = 3  # half-steps whose rows Ray keeps
_HOP = 0.001  # seconds from the end of one node's part of a Gramian to the beginning of the next one's
_CALLED_CORES = 4  # that can work on a call at the same time


@dataclass(frozen=True)
class Data:
    """The data of a fit, and its rank."""

    users: int
    items: int
    entries: int
    factors: int
    # The shares of items and users that one node needs: see `bytes_per_iteration`. None: as many as if all items, and all
    # users, had the same number of entries. Of data that differ in popularity, a node needs less.
    needed: tuple[float, float] | None = None

    def needed_by(self, nodes: int) -> tuple[float, float]:
        """The shares of items and users that one of `nodes` nodes needs."""
        if self.needed is not None:
            return self.needed
        items, users = (1 - (1 - 1 / nodes) ** (self.entries / n) for n in (self.items, self.users))
        return items, users


@dataclass(frozen=True)
class Cluster:
    """The machines."""

    nodes: int
    cores: float  # of a node. Nodes that share cores have a part of them.
    bandwidth: float  # bytes a second that a node can send, and that it can receive at the same time


@dataclass(frozen=True)
class Estimate:
    """The cost of one iteration."""

    gram: float  # seconds to add up the Gramians, with the calls that this takes
    eigh: float  # seconds to decompose them
    rotate: float  # seconds of processor time to rotate and copy rows, and to send and receive them
    transfer: float  # seconds that the network takes for the rows. Rows travel while others are rotated.
    solve: float  # seconds to solve rows
    bytes: int  # that all nodes together receive
    memory: int  # of a node: factors, tables and Ray's shared memory, in bytes
    mapped: int  # bytes of a node's rows in the files of the store; they stay in memory as long as there is room
    driver_memory: int  # of the program that calls `fit`

    @property
    def seconds(self) -> float:
        return self.gram + self.eigh + max(self.rotate, self.transfer) + self.solve

    @property
    def binds(self) -> str:
        """What takes most of the time."""
        parts = {
            "the network": self.transfer - self.rotate,
            "solving rows": self.solve,
            "rotating and sending rows": self.rotate if self.rotate >= self.transfer else 0.0,
            "adding up Gramians": self.gram,
            "decomposing Gramians": self.eigh,
        }
        return max(parts, key=lambda name: parts[name])


def estimate(data: Data, cluster: Cluster, rates: Rates) -> Estimate:
    """Predict one iteration of `cymbals.distributed.fit`, with solver "auto" and float32.

    In a half-step, the nodes add up the Gramian of the fixed side, one after the other; the driver decomposes it; each node
    rotates its rows of both sides, and sends those of the fixed side to the others, which takes processor time, too; then
    it solves its rows. Rotating and sending happen at the same time, and the slower of the two counts.
    """
    nodes, cores, f = cluster.nodes, cluster.cores, data.factors
    sides, needed = (data.users, data.items), data.needed_by(nodes)
    gram = eigh = rotate = transfer = solve = 0.0
    for fixed, solved in ((1, 0), (0, 1)):
        n = sides[fixed]
        found = bytes_per_iteration((0, n), f, nodes, needed=(1.0, needed[solved]))
        segments = len(gram_segments(n, f)) - 1
        adding = min(nodes, segments)
        link, ray = cluster.bandwidth / _WIRE, min(cluster.bandwidth / _WIRE, _RAY_BYTES)
        call = nodes * rates.call + rates.called / min(cores, _CALLED_CORES)
        gram += n / nodes * rates.gram / cores + found["borders"] / nodes / link
        gram += call + adding * (8 * f**2 / link + _HOP)
        eigh += rates.eigh / min(cores, 1.0) + nodes * 8 * f**2 / ray
        received = (found["rows"] + found["replicas"]) / nodes
        own = n / nodes
        work = (own * (rates.rotate + rates.whiten) + sides[solved] / nodes * rates.rotate + received * rates.send) / cores
        put = own * 4 * f * rates.copy / min(cores, 1.0)
        rotate += work + put + call
        transfer += received / link
        solve += data.entries / nodes * rates.entry / cores + (nodes > 1) * put + call
    total = bytes_per_iteration(sides, f, nodes, needed=needed)["total"]
    return Estimate(gram, eigh, rotate, transfer, solve, total, *_memory(data, nodes))


def efficiency(data: Data, cluster: Cluster, rates: Rates) -> float:
    """The seconds of one node, divided by those of all nodes times their number."""
    one = estimate(data, Cluster(1, cluster.cores, cluster.bandwidth), rates).seconds
    return one / (cluster.nodes * estimate(data, cluster, rates).seconds)


def _memory(data: Data, nodes: int) -> tuple[int, int, int]:
    """Memory of a node, bytes of its rows in the store, and memory of the driver."""
    f, sides, needed = data.factors, (data.users, data.items), data.needed_by(nodes)
    of_copy, of_row = 4 * (compact_width(f) + 1), 4 * f
    own = sum(sides) / nodes
    table = max(share * n for share, n in zip(needed, sides[::-1], strict=True)) * of_copy
    published = max(sides) / nodes * (of_copy + of_row)  # the copy that others read, and the replica of another node's rows
    shared = _KEPT * 2 * max(sides) / nodes * of_row if nodes > 1 else 0
    numbers = (
        4 * data.entries / nodes * sum(share < NEARLY_ALL for share in needed)
    )  # of columns, if some rows are not needed
    memory = own * (of_row + 16) + table + (published if nodes > 1 else 0) + shared + numbers
    return round(memory), round(16 * data.entries / nodes), round(sum(sides) * (of_row + 16))


def least_nodes(data: Data, node_memory: float, share: float = 0.9) -> int:
    """The least number of nodes with this memory, of which `share` is used. Raises ValueError if it is above 4096."""

    def enough(nodes: int) -> bool:
        return _memory(data, nodes)[0] <= share * node_memory

    if not enough(_MOST_NODES):
        raise ValueError(
            f"{_MOST_NODES} nodes are not enough, because each needs {_memory(data, _MOST_NODES)[0]:,} bytes: use nodes "
            "with more memory, or fewer factors"
        )
    return bisect_left(range(1, _MOST_NODES), True, key=enough) + 1
