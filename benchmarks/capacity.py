"""Compares the seconds of an iteration that `cymbals plan` predicts with those of fits over slow networks.

    python benchmarks/capacity.py                # as root: each node gets a network namespace of its own
    python benchmarks/capacity.py --table        # only the table of efficiencies, which needs no network

Each node of Ray runs in a network namespace. The namespaces are connected by a bridge, and `tc` limits what each of them
sends and receives. All nodes share the cores of this machine, which the prediction knows. Linux only. Needs "cymbals[ray]",
and `ip` and `tc` of iproute2.

The table says what the model predicts for the sparse shape of docs/benchmarks.md with 100 times as many users, items and
entries, f 128. It assumes that each node has the cores to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from shapes import SHAPES, generate

os.environ["RAY_AUTH_MODE"] = "disabled"  # nobody else can reach these namespaces

# Ray, here and in its workers, must not take requests.py of this folder for the library of this name.
sys.path.remove(str(Path(__file__).resolve().parent))


from cymbals import ALS, Interactions, distributed
from cymbals.distributed.capacity import Cluster, Data, efficiency, estimate
from cymbals.distributed.rates import Rates

NET = "10.77.0"
PORT = 6380
STORE_BYTES = 400 << 20  # of each node's object store
BANDWIDTHS = {"100mbit": 100e6 / 8, "1gbit": 1e9 / 8}
TABLE_NODES, TABLE_CORES, TABLE_GBITS = (2, 4, 8, 16, 32, 64), (2, 8, 16), (10, 25, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.4, help="of the sparse shape")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--table", action="store_true", help="only print the table of efficiencies")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        fit(args)
        return
    print(machine())
    if not args.table:
        compare(args)
    table()


def compare(args: argparse.Namespace) -> None:
    data = generate("sparse", args.scale)
    rates = Rates.measured(data.shape, data.nnz, args.factors)
    print(f"{data!r}, f {args.factors}\n{rates}")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plays")
        data.save(path)
        for rate, bandwidth in BANDWIDTHS.items():
            for nodes in (2, 3, 4):
                with namespaces(nodes, rate):
                    found = run_fit(args, path, nodes)
                cores = min(os.cpu_count() or 1, nodes) / nodes
                shape = Data(*data.shape, data.nnz, args.factors, needed(data, nodes))
                predicted = estimate(shape, Cluster(nodes, cores, bandwidth), rates)
                measured = statistics.median(found["seconds"][1:])
                ratios.append(predicted.seconds / measured)
                bytes_ratio = predicted.bytes / found["received"]
                print(
                    f"{rate:>8}, {nodes} nodes: measured {measured:6.3f} s, predicted {predicted.seconds:6.3f} s (gram "
                    f"{predicted.gram:.3f}, rotate {predicted.rotate:.3f}, network {predicted.transfer:.3f}, solve "
                    f"{predicted.solve:.3f}), ratio {ratios[-1]:.2f}; bytes: predicted over counted {bytes_ratio:.3f}",
                    flush=True,
                )
    print(f"predicted over measured: {min(ratios):.2f} to {max(ratios):.2f}")


def needed(data: Interactions, nodes: int) -> tuple[float, float]:
    """The shares of items and users that a node needs, for rows in random order."""
    shares = [float(np.mean(1 - (1 - 1 / nodes) ** np.diff(matrix.indptr))) for matrix in (data.by_item(), data.csr)]
    return shares[0], shares[1]


# -- a cluster whose nodes are connected by slow links ----------------------------------------------------------------


@contextmanager
def namespaces(nodes: int, rate: str) -> Iterator[None]:
    """Starts a node of Ray in each of some network namespaces that can send and receive at this rate."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        do("ip link add cymbals type bridge")
        do("ip link set cymbals up")
        for node in range(nodes):
            name, inner, outer = f"cymbals{node}", f"cy-in{node}", f"cy-out{node}"
            do(f"ip netns add {name}")
            do(f"ip link add {outer} type veth peer name {inner} netns {name}")
            do(f"ip link set {outer} master cymbals up")
            within = f"ip netns exec {name}"
            do(f"{within} ip addr add {NET}.{node + 1}/24 dev {inner}")
            do(f"{within} ip link set {inner} up")
            do(f"{within} ip link set lo up")
            limit = f"root tbf rate {rate} burst 1mb latency 200ms"
            do(f"{within} tc qdisc add dev {inner} {limit}")
            do(f"tc qdisc add dev {outer} {limit}")
        for node in range(nodes):
            here = f"{NET}.{node + 1}"
            where = f"--head --port={PORT} --include-dashboard=false" if node == 0 else f"--address={NET}.1:{PORT}"
            command = f"ip netns exec cymbals{node} {sys.executable} -m ray.scripts.scripts start {where} --num-cpus=1"
            command += f" --node-ip-address={here} --object-store-memory={STORE_BYTES}"
            command += " --disable-usage-stats --block"
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command.split(), start_new_session=True, **quiet))
            time.sleep(6 if node == 0 else 4)  # nodes that start at the same time take the same names for their sockets
        yield
    finally:
        for node, process in enumerate(started):  # without SIGTERM, at which a node of Ray would wait for 30 s
            inside = subprocess.run(["ip", "netns", "pids", f"cymbals{node}"], check=True, capture_output=True, text=True)
            for pid in (*map(int, inside.stdout.split()), process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        for node in range(nodes):
            do(f"ip link del cy-out{node}", check=False)
            do(f"ip netns del cymbals{node}", check=False)
        do("ip link del cymbals", check=False)


def do(command: str, check: bool = True) -> None:
    subprocess.run(command.split(), check=check, stdout=subprocess.DEVNULL, stderr=None if check else subprocess.DEVNULL)


def run_fit(args: argparse.Namespace, path: Path, nodes: int) -> dict[str, Any]:
    """Fit in the namespace of the first node. Returns the seconds of each iteration, and the bytes of one."""
    command = ["ip", "netns", "exec", "cymbals0", sys.executable, __file__, "--fit", f"{path}:{nodes}"]
    command += ["--factors", str(args.factors), "--iterations", str(args.iterations)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def fit(args: argparse.Namespace) -> None:
    import ray

    path, nodes = args.fit.rsplit(":", 1)
    ray.init(address=f"{NET}.1:{PORT}", logging_level="error", log_to_driver=False)
    while sum(node["Alive"] for node in ray.nodes()) < int(nodes):
        time.sleep(0.1)
    model = ALS(args.factors, iterations=args.iterations, random_state=0)
    distributed.fit(model, path, nodes=int(nodes), threads_per_node=1, profile=True)
    received = sum(row["received"] for row in model.profile_.nodes() if row["iteration"] == 2)
    print(json.dumps({"seconds": [entry["seconds"] for entry in model.history_], "received": received}))


# -- the table --------------------------------------------------------------------------------------------------------


def table() -> None:
    """Print the efficiencies that the model predicts."""
    small = generate("sparse", 0.3)
    n_users, n_items, _ = (100 * n for n in SHAPES["sparse"])
    entries = round(100 * small.nnz / 0.3)
    rates = Rates.measured((n_users, n_items), entries, 128)
    print(f"\nthe sparse shape 100 times: {n_users:,} users, {n_items:,} items, {entries:,} entries, f 128\n{rates}")
    print("efficiency; * the network binds, + processor time for rotating and sending rows binds")
    print(f"{'':14}" + "".join(f"{nodes:7} nodes" for nodes in TABLE_NODES))
    for cores in TABLE_CORES:
        for gbits in TABLE_GBITS:
            line = f"{cores:2} cores {gbits:3} Gbit"
            for nodes in TABLE_NODES:
                data = Data(n_users, n_items, entries, 128, needed(small, nodes))
                cluster = Cluster(nodes, cores, gbits * 1e9 / 8)
                found = estimate(data, cluster, rates)
                mark = {"the network": "*", "rotating and sending rows": "+"}.get(found.binds, " ")
                line += f"{efficiency(data, cluster, rates):11.2f}{mark}"
            print(line)


if __name__ == "__main__":
    main()
