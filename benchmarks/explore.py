"""Measures how long `cymbals explore` takes to answer, and how long its index of names takes to build.

    python benchmarks/explore.py --data HETREC_FOLDER    # answers of a model of HetRec's Last.fm data with 64 factors
    python benchmarks/explore.py --names 300000          # the index alone, of made-up names

Times of answers are those of the header Server-Timing: from the end of the request's headers to the finished JSON. One
connection sends the requests one after the other. Texts to complete are beginnings of names, and half of them have two
letters exchanged.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import cymbals
from cymbals.data.name_index import NameIndex
from cymbals.serving.server import ExploreServer


def misspelled(name: str, rng: random.Random) -> str:
    """The beginning of a name; half of the time, two neighbouring letters of it are exchanged."""
    text = name[: rng.randint(1, len(name))].lower()
    if len(text) > 3 and rng.random() < 0.5:
        at = rng.randrange(len(text) - 1)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def shown(what: str, milliseconds: list[float]) -> None:
    middle, late, last = np.percentile(milliseconds, [50, 99, 100])
    print(f"{what:24} median {middle:6.2f} ms, 99th percentile {late:6.2f} ms, longest {last:6.2f} ms")


def answers(folder: str, n: int, threads: int | None) -> None:
    data = cymbals.datasets.load(folder)
    model = cymbals.ALS(64, confidence="log", regularization=5.0, random_state=0).fit(data)
    rng, names, items = random.Random(0), [name for name in data.item_names if name], [str(i) for i in data.item_ids]
    users = [str(user) for user in data.user_ids]
    questions = {
        "find-items": lambda: {"text": misspelled(rng.choice(names), rng)},
        "recommend, 5 items": lambda: {"history": [[i, rng.randint(1, 5000)] for i in rng.sample(items, 5)]},
        "recommend, 50 items": lambda: {"history": [[i, rng.randint(1, 5000)] for i in rng.sample(items, 50)]},
        "recommend, 1000 items": lambda: {"history": [[i, rng.randint(1, 5000)] for i in rng.sample(items, 1000)]},
        "user": lambda: {"user": rng.choice(users)},
        "similar": lambda: {"item": rng.choice(items)},
    }
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "model.cymbals")
        model.save(path)
        began = time.perf_counter()
        with ExploreServer(path, n_threads=threads) as server:
            print(f"the server was ready after {time.perf_counter() - began:.2f} s")
            threading.Thread(target=server.serve_forever, daemon=True).start()
            connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
            for question, fields in questions.items():
                taken = []
                for _ in range(n):
                    place_of = f"/{question.partition(',')[0]}"
                    connection.request("POST", place_of, json.dumps(fields()), {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    response.read()
                    taken.append(float(response.headers["Server-Timing"].partition("dur=")[2]))
                shown(question, taken)
            server.shutdown()


def index(n_names: int, n: int) -> None:
    """Made-up names of one to three words, each of two to four syllables."""
    rng = random.Random(0)
    syllables = [a + b + c for a in "bcdfghjklmnprstvwz" for b in "aeiou" for c in ("", "n", "r", "s", "l")]
    words = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(n_names // 5)]
    names = [" ".join(rng.choices(words, k=rng.randint(1, 3))).title() for _ in range(n_names)]
    began = time.perf_counter()
    made = NameIndex(names, np.random.default_rng(0).zipf(1.5, n_names).astype(float))
    print(f"an index of {n_names:,} names: {time.perf_counter() - began:.2f} s, arrays of {made.nbytes / 1e6:.0f} MB")
    taken = []
    for _ in range(n):
        text = misspelled(rng.choice(names), rng)
        began = time.perf_counter()
        made.find(text, 8)
        taken.append((time.perf_counter() - began) * 1e3)
    shown("completion", taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with HetRec's Last.fm files")
    parser.add_argument("--names", type=int, help="number of made-up names")
    parser.add_argument("--requests", type=int, default=1000, help="requests of each kind")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.data:
        answers(arguments.data, arguments.requests, arguments.threads)
    if arguments.names:
        index(arguments.names, arguments.requests)


if __name__ == "__main__":
    main()
