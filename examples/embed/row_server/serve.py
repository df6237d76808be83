"""Finds the top 10 of a saved model for users it does not know, from several threads, and prints the response times."""

import argparse
import os
import threading
import time

import numpy as np
from row_server import Server, Session

import cymbals


def requests(n_items: int, n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random histories of up to 149 items, as pairs (row numbers of items, values). Low numbers are more frequent."""
    rng = np.random.default_rng(seed)
    out = []
    for length in rng.integers(20, 150, n):
        items = np.unique((n_items * rng.random(min(length, n_items)) ** 2).astype(np.int32))
        out.append((items, 1 + rng.poisson(2, items.size).astype(np.float32)))
    return out


def serve(answer, asked: list, cpu: int | None, seconds: list[float]) -> None:
    """Send the requests one after another, on one CPU if it is given, and append the seconds of each to `seconds`."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    for request in asked:
        begin = time.perf_counter()
        answer(*request)
        seconds.append(time.perf_counter() - begin)


def run(answers: list, asked: list, cpus: list) -> tuple[list[float], float]:
    """Send all requests from each thread. Returns the seconds of each request, and the requests per second in all."""
    taken: list[list[float]] = [[] for _ in answers]
    threads = [
        threading.Thread(target=serve, args=(answer, asked, cpu, own))
        for answer, cpu, own in zip(answers, cpus, taken, strict=True)
    ]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - begin
    every = [seconds for own in taken for seconds in own]
    return every, len(every) / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="file that ALS.save wrote")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--requests", type=int, default=2000, help="number for each thread")
    args = parser.parse_args()
    server = Server(cymbals.load(args.model, mmap=True))
    asked = requests(server.n_items, args.requests, seed=0)
    sessions = [Session(server) for _ in range(args.threads)]
    taken, rate = run([session.recommend for session in sessions], asked, [None] * args.threads)
    median, last = np.percentile(taken, [50, 99]) * 1e3
    print(f"{args.threads} threads: median {median:.3f} ms, 99th percentile {last:.3f} ms, {rate:,.0f} requests/s")


if __name__ == "__main__":
    main()
