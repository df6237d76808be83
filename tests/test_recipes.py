"""The listings of docs/engines.md: engines find the items that `recommend` finds, and written files hold the factors."""

import csv
import importlib.util
import json
import re
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ROOT, environment, planted_clusters, run

from cymbals import ALS, Interactions

TOOL = ROOT / "tools" / "recipes.py"
sys.path.insert(0, str(TOOL.parent))
recipes = pytest.importorskip("recipes", reason="not a checkout: the listings are not here")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
N_USERS, N_ITEMS = 200, 300


@pytest.fixture(scope="module", params=["numbers", "text"])
def model(request):
    plays = planted_clusters(np.random.default_rng(0), (N_USERS, N_ITEMS), 0.2, 0.02)
    users, items = np.arange(N_USERS) + 5000, 7 * np.arange(N_ITEMS)[::-1] + 100
    if request.param == "text":
        users, items = [f"u{k}" for k in users], [f'{k} "it\'s", {{a|b}}\t\\é' for k in items]
    data = Interactions.from_csr(sp.csr_array(plays.astype(np.float32)), users, items)
    return ALS(8, regularization=1.0, random_state=0).fit(data)


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    """The working directory, which has the model's file."""
    model.save(tmp_path / "model.cymbals")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("engine", recipes.NEEDED)
def test_engines_find_the_exact_items(engine, folder):
    absent = [name for name in recipes.NEEDED[engine] if not importlib.util.find_spec(name.partition(".")[0])]
    if absent:
        pytest.skip(f"{' and '.join(absent)} not installed: pip install the engine to run its listing")
    out = run(sys.executable, TOOL, engine, "--model", folder / "model.cymbals", "--users", 100, env=environment())
    print(out)
    assert float(re.search(r"recall@10 ([\d.]+)", out)[1]) >= 0.98


def commands(text):
    """The commands in a file in Redis's protocol, each as a list of bytes."""
    place = 0

    def number(mark):
        nonlocal place
        end = text.index(b"\r\n", place)
        assert text[place : place + 1] == mark
        found, place = int(text[place + 1 : end]), end + 2
        return found

    while place < len(text):
        words = []
        for _ in range(number(b"*")):
            length = number(b"$")
            words.append(text[place : place + length])
            assert text[place + length : place + length + 2] == b"\r\n"
            place += length + 2
        yield words


def read_pgvector(folder):
    assert "vector vector(8)" in (folder / "items.sql").read_text()
    with open(folder / "items.csv", newline="", encoding="utf-8") as file:
        return {one: json.loads(vector) for one, vector in csv.reader(file)}


def read_opensearch(folder):
    mapping = json.loads((folder / "index.json").read_text())["mappings"]["properties"]["vector"]
    assert (mapping["dimension"], mapping["method"]["space_type"]) == (8, "innerproduct")
    lines = [json.loads(line) for line in (folder / "items.ndjson").read_text().splitlines()]
    return {a["index"]["_id"]: b["vector"] for a, b in zip(lines[::2], lines[1::2], strict=True)}


def read_redis(folder):
    create, *puts = commands((folder / "items.resp").read_bytes())
    assert create[:2] + create[-2:] == [b"FT.CREATE", b"items", b"DIM", b"8"]
    out = {}
    for name, key, *fields in puts:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        assert (name, key) == (b"HSET", b"item:" + values[b"id"])
        out[values[b"id"].decode()] = np.frombuffer(values[b"vector"], "<f4")
    return out


READERS = {"pgvector": read_pgvector, "opensearch": read_opensearch, "redis": read_redis}


@pytest.mark.parametrize("engine", READERS)
def test_written_files_hold_the_factors(engine, model, folder):
    recipes.run(engine, only_files=True)
    found = READERS[engine](folder)
    assert list(found) == [str(one) for one in model.item_ids_.tolist()]
    np.testing.assert_array_equal(np.array(list(found.values()), np.float32), model.item_factors_)


def parts_opensearch(body):
    nearest = body["query"]["knn"]["vector"]
    json.dumps(body)
    return nearest["vector"], nearest["k"], nearest["filter"]["bool"]["must_not"]["ids"]["values"]


def parts_redis(words):
    assert all(isinstance(word, (str, bytes, int)) for word in words)
    text, vector = words[2], words[words.index("vector") + 1]
    given, n = re.fullmatch(r"(.+)=>\[KNN (\d+) @vector \$vector AS distance\]", text, re.S).groups()
    if given == "*":
        return np.frombuffer(vector, "<f4"), int(n), []
    tags = re.split(r"(?<!\\)\|", re.fullmatch(r"\(-@id:\{(.+)\}\)", given, re.S)[1])
    return np.frombuffer(vector, "<f4"), int(n), [re.sub(r"\\(.)", r"\1", tag, flags=re.S) for tag in tags]


@pytest.mark.parametrize(("engine", "parts_of"), [("opensearch", parts_opensearch), ("redis", parts_redis)])
def test_requests_ask_for_the_recommendations(engine, parts_of, model, folder):
    """An exact search through the written file, with the vector, the number and the filter of the request."""
    request = recipes.run(engine)["request"]
    vectors = READERS[engine](folder)
    for user in model.user_ids_[[0, 7, 150]].tolist():
        vector, n, unwanted = parts_of(request(user, 5))
        scores = {one: float(np.dot(vector, values)) for one, values in vectors.items() if one not in set(unwanted)}
        best = sorted(scores, key=scores.get, reverse=True)[:n]
        assert best == [str(one) for one in model.recommend(user, 5)[0].tolist()]
