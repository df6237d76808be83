"""Shows what `cymbals.distributed` promises, on a cluster of up to four nodes in this machine.

    python benchmarks/distributed.py [--small]

1. Factors are bitwise those of `ALS.fit` on 1, 2 and 3 nodes.
2. The anonymous memory of a worker is at most that of its rows, of the factor rows that it needs and solves, and 10 %.
3. The bytes that travel in an iteration are those of `bytes_per_iteration`, within 10 %, on 2, 3 and 4 nodes. The second
   number is what the loopback interface of the machine counted; it includes all of Ray's own messages.
4. Factors keep their bits when a worker, or a node, is killed in the middle of a half-step.
5. A worker that cannot open its part ends the fit with one error.

Linux only. Needs "cymbals[ray]".
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from machine import machine

# Ray, here and in its workers, must not take requests.py of this folder for the library of this name.
sys.path.remove(str(Path(__file__).resolve().parent))

import ray
from ray.cluster_utils import Cluster

import cymbals
from cymbals import ALS, Interactions, distributed
from cymbals.distributed.cluster import usable_nodes
from cymbals.distributed.fleet import Fleet
from cymbals.distributed.plan import LOSS_ROWS, balanced

OBJECTIVES: dict[str, dict[str, Any]] = {
    "hu": {"objective": "hu"},
    "ials": {"objective": "ials", "nu": 1.0, "unobserved_weight": 0.1, "confidence": "log"},
}
STORE = 300 * 2**20  # bytes of each node's object store
KILLS = 10
# The shapes of docs/benchmarks.md, scaled down. In the third, users have 20 entries.
MEMORY_DATA = {
    "dense": ((70_000, 14_000), 5_000_000),
    "sparse": ((120_000, 97_000), 6_000_000),
    "very sparse": ((200_000, 150_000), 4_000_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="smaller data")
    parser.add_argument("--only", help="some of the parts, such as 1,4")
    options = parser.parse_args()
    parts = [int(part) for part in options.only.split(",")] if options.only else [1, 2, 3, 4, 5]
    shape, n = ((20_000, 8_000), 400_000) if options.small else ((70_000, 14_000), 5_000_000)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plays")
        Interactions.from_csr(counts(shape, n)).save(path)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE})
        others = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(3)]
        ray.init(address=cluster.address, logging_level="error", log_to_driver=False)
        try:
            found = [PARTS[part](path, cluster, others) for part in parts]
        finally:
            ray.shutdown()
            cluster.shutdown()
    print(f"{sum(found)} of {len(found)} parts as promised: {dict(zip(parts, found, strict=True))}")


def counts(shape: tuple[int, int], n: int) -> sp.csr_array:
    """Counts whose users and items differ much in activity."""
    rng = np.random.default_rng(0)
    users = (shape[0] * rng.random(n) ** 1.5).astype(int)
    items = (shape[1] * rng.random(n) ** 2.0).astype(int)
    values = np.minimum(1 + rng.lognormal(1, 1.2, n), 500).astype("f4")
    return sp.coo_array((values, (users, items)), shape=shape).tocsr()


def same(model: ALS, other: ALS) -> bool:
    return all(np.array_equal(getattr(model, name), getattr(other, name)) for name in ("user_factors_", "item_factors_"))


def verdict(good: bool) -> str:
    return "the same bits" if good else "DIFFERENT"


def bits(path: Path, cluster: Any, others: list[Any]) -> bool:
    print("\n1. bitwise the factors of ALS.fit, 3 iterations")
    results = []
    for name, params in OBJECTIVES.items():
        for f in (32, 128):
            arguments = {"factors": f, "iterations": 3, "random_state": 0} | params
            expected = ALS(**arguments).fit(Interactions.open(path))
            for nodes in (1, 2, 3):
                began = time.perf_counter()
                results.append(same(distributed.fit(ALS(**arguments), path, nodes=nodes), expected))
                seconds = time.perf_counter() - began
                print(f"   {name:5} f {f:3}  {nodes} nodes: {verdict(results[-1])}  {seconds:5.1f} s")
    return all(results)


def memory(path: Path, cluster: Any, others: list[Any]) -> bool:
    print("\n2. anonymous memory of each worker, 3 nodes")
    results = []
    for kind, (shape, n) in MEMORY_DATA.items():
        store = path.with_name(kind.replace(" ", "-"))
        Interactions.from_csr(counts(shape, n)).save(store)
        data = Interactions.open(store)
        for f in (32, 128):
            model = distributed.fit(ALS(factors=f, iterations=2, random_state=0), store, nodes=3, profile=True)
            peaks: dict[str, int] = {}
            for row in model.profile_.nodes():
                if row["node"] != "driver":
                    peaks[row["node"]] = max(peaks.get(row["node"], 0), int(row["memory"]))
            for node, allowed in enumerate(allowed_memory(data, f, 3)):
                peak = next(peak for name, peak in peaks.items() if name.startswith(f"node {node} "))
                ratio = peak / sum(allowed.values())
                results.append(ratio <= 1.1)
                listed = ", ".join(f"{name} {n / 1e6:.1f}" for name, n in allowed.items())
                print(f"   {kind:11} f {f:3}  node {node}: {peak / 1e6:6.1f} MB; {listed} MB; ratio {ratio:.2f}")
    return all(results)


def allowed_memory(data: Interactions, f: int, nodes: int) -> list[dict[str, int]]:
    """For each node, the bytes of its rows, of the factor rows that it solves, and of those that it needs."""
    matrices = data.csr, data.by_item()
    begins = [balanced(m, nodes, unit) for m, unit in zip(matrices, (LOSS_ROWS, 1), strict=True)]
    out = []
    for node in range(nodes):
        rows, used = 0, []
        for matrix, cuts in zip(matrices, begins, strict=True):
            part = matrix.between(cuts[node], cuts[node + 1])
            rows += part.indptr.nbytes + part.indices.nbytes + part.data.nbytes
            used.append((part.shape[0], np.unique(part.indices).size))
        solves, needs = max(used, key=sum)
        out.append({"rows": rows, "solved": 4 * f * solves, "needed": 4 * f * needs})
    return out


def traffic(path: Path, cluster: Any, others: list[Any]) -> bool:
    print("\n3. bytes of an iteration, received by all nodes and the driver")
    shape, results = Interactions.open(path).shape, []
    for f in (32, 128):
        for nodes in (2, 3, 4):
            loopback = []
            for iterations in (2, 5):
                before = loopback_bytes()
                model = distributed.fit(
                    ALS(factors=f, iterations=iterations, random_state=0), path, nodes=nodes, profile=True
                )
                loopback.append(loopback_bytes() - before)
            counted = sum(row["received"] for row in model.profile_.nodes() if row["iteration"] == 3)
            predicted = distributed.bytes_per_iteration(shape, f, nodes)["total"]
            ratio, wire = counted / predicted, (loopback[1] - loopback[0]) / 3
            results.append(0.9 <= ratio <= 1.1)
            print(
                f"   f {f:3}  {nodes} nodes: counted {counted / 1e6:7.1f} MB, predicted {predicted / 1e6:7.1f} MB, ratio "
                f"{ratio:.3f}; loopback {wire / 1e6:7.1f} MB, ratio {wire / predicted:.3f}"
            )
    return all(results)


def loopback_bytes() -> int:
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.strip().startswith("lo:")).split()[1])


def kills(path: Path, cluster: Any, others: list[Any]) -> bool:
    arguments: dict[str, Any] = {"factors": 64, "iterations": 3, "random_state": 0}
    expected = ALS(**arguments).fit(Interactions.open(path))
    rng, results = np.random.default_rng(0), []

    def kill_worker(fleet: Fleet) -> None:
        os.kill(fleet.pids[int(rng.integers(3))], signal.SIGKILL)

    def kill_node(fleet: Fleet) -> None:
        node = next(node for node in others if node.node_id in fleet.nodes)
        others.remove(node)
        cluster.remove_node(node, allow_graceful=False)

    for what, kill in (("worker", kill_worker), ("node", kill_node)):
        print(f"\n4. kill -9 of a {what} in the middle of a half-step, 3 nodes, f 64")
        for number in range(KILLS):
            half_step, delay = int(rng.integers(6)), float(rng.random() * 0.3)
            began = time.perf_counter()
            fit = killed_fit(lambda: distributed.fit(ALS(**arguments), path, nodes=3), half_step, delay, kill)
            results.append(fit[1] > 0 and same(fit[0], expected))
            print(
                f"   {number + 1:2}: half-step {half_step}, {1000 * delay:3.0f} ms after its start: "
                f"{verdict(results[-1])}, {fit[1]} replaced, {time.perf_counter() - began:.1f} s",
                flush=True,
            )
            while len(others) < 3:
                others.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
                cluster.wait_for_nodes()
    return all(results)


def killed_fit(fit: Callable[[], ALS], half_step: int, delay: float, kill: Callable[[Fleet], None]) -> tuple[ALS, int]:
    """A fit during which `kill` is called, and how many workers were replaced."""
    fleets: list[Fleet] = []
    begin = Fleet.begin

    def noting(fleet: Fleet, *given: Any) -> None:
        begin(fleet, *given)
        fleets.append(fleet)

    def wait() -> None:
        while not fleets or fleets[0].now < half_step:
            time.sleep(0.0005)
        time.sleep(delay)
        kill(fleets[0])

    thread = threading.Thread(target=wait)
    Fleet.begin = noting  # type: ignore[method-assign]
    try:
        thread.start()
        model = fit()
        thread.join()
    finally:
        Fleet.begin = begin  # type: ignore[method-assign]
    return model, fleets[0].replaced


def unopened(path: Path, cluster: Any, others: list[Any]) -> bool:
    print("\n5. a worker that cannot open its part")
    damaged = path.with_name("damaged")
    shutil.copytree(path, damaged)
    (file,) = damaged.glob("by_item.data.*")
    content = bytearray(file.read_bytes())
    content[-len(content) // 20] ^= 255
    file.write_bytes(content)
    began = time.perf_counter()
    try:
        distributed.fit(ALS(factors=8), damaged, nodes=3)
    except cymbals.StoreError as error:
        print(f"   StoreError after {time.perf_counter() - began:.1f} s: {error}")
        return len(usable_nodes(ray, None)[0]) == 4
    print("   NO ERROR")
    return False


PARTS: dict[int, Callable[[Path, Any, list[Any]], bool]] = {1: bits, 2: memory, 3: traffic, 4: kills, 5: unopened}

if __name__ == "__main__":
    main()
