"""Sends requests to the service from several connections while its model is replaced, and counts errors.

python load_test.py                      # fits a small model, starts the service, runs for 20 seconds
python load_test.py --model m.cymbals --seconds 60 --connections 8
"""

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import cymbals


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> object:
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {answer[:200]!r}")
    return json.loads(answer)


def wait_until_ready(port: int, process: subprocess.Popen) -> None:
    for _ in range(100):
        time.sleep(0.2)
        if process.poll() is not None:
            sys.exit("the service ended")
        try:
            ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "GET", "/health")
            return
        except OSError:
            continue
    sys.exit("the service did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model file; by default a small one is fitted")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--reloads", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.cymbals")
        if arguments.model:
            model = cymbals.load(arguments.model)
        else:
            plays = sp.random_array((5000, 3000), density=0.01, rng=0, data_sampler=lambda size: np.ones(size))
            model = cymbals.ALS(64, iterations=5, random_state=0).fit(plays.tocsr())
        model.save(path)
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "warning"]
        process = subprocess.Popen(command, cwd=Path(__file__).parent, env=os.environ | {"MODEL": str(path)})
        try:
            wait_until_ready(port, process)
            run(model, path, port, arguments)
        finally:
            process.terminate()
            process.wait(10)


def run(model: cymbals.ALS, path: Path, port: int, arguments: argparse.Namespace) -> None:
    users, items = model.user_ids_.tolist(), model.item_ids_.tolist()
    taken: list[float] = []
    errors: list[str] = []
    end = time.monotonic() + arguments.seconds

    def requests(seed: int) -> None:
        rng, connection = random.Random(seed), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < end:
            body = {"history": rng.sample(items, 20)} if rng.random() < 0.5 else {"user": rng.choice(users)}
            began = time.perf_counter()
            try:
                answer = ask(connection, "POST", "/recommend", body)
                if len(answer["items"]) != 10:
                    raise RuntimeError(f"{len(answer['items'])} items")
            except Exception as error:
                errors.append(repr(error))
                connection.close()
            taken.append(time.perf_counter() - began)

    threads = [threading.Thread(target=requests, args=(seed,)) for seed in range(arguments.connections)]
    for thread in threads:
        thread.start()
    for _ in range(arguments.reloads):
        time.sleep(arguments.seconds / (arguments.reloads + 1))
        model.save(path)
    for thread in threads:
        thread.join()
    health = ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "GET", "/health")
    milliseconds = np.percentile(taken, [50, 95, 99]) * 1e3
    print(f"{len(taken) / arguments.seconds:,.0f} requests/s over {arguments.connections} connections")
    print("median {:.2f} ms, 95th percentile {:.2f} ms, 99th {:.2f} ms".format(*milliseconds))
    print(f"model replaced {arguments.reloads} times, loaded {health['loads']} times; {len(errors)} errors {errors[:3]}")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
