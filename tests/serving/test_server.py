"""The server of `cymbals explore`, over real sockets: its answers are those of the model, and bad requests are refused."""

import http.client
import json
import os
import re
import socket
import threading

import numpy as np
import pytest
from conftest import random_matrix
from explore import ask, exploring, ran, send
from odd_names import BROKEN, NASTY, made

from cymbals import ALS, Interactions
from cymbals.serving.explorer import Explorer
from cymbals.serving.server import LARGEST_BODY, ExploreServer

ARTISTS = ["Radiohead", "Portishead", "Björk", "<b>Blur</b>", "Air", "Muse", "U2", "Sigur Rós"]


@pytest.fixture(scope="module")
def data():
    return Interactions.from_csr(
        random_matrix((60, 40), 0.2, values=(1, 300)),
        user_ids=[f"Ann {i}" for i in range(60)],
        item_ids=np.arange(40) * 2**55,
        item_names=dict(zip((np.arange(40) * 2**55).tolist(), ARTISTS, strict=False)),
    )


@pytest.fixture(scope="module")
def model(data):
    return ALS(factors=8, confidence="log", random_state=0).fit(data)


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    with exploring(model, tmp_path_factory.mktemp("model") / "it's a model.cymbals") as opened:
        yield opened


def id_of(row):
    return str(row * 2**55)


def test_the_page_and_its_files(server):
    for place, kind in (("/", "html"), ("/page.css", "css"), ("/page.js", "javascript"), ("/widgets.js", "javascript")):
        status, content, headers = send(server, "GET", place)
        assert (status, headers.get_content_subtype()) == (200, kind)
        assert not re.findall(rb"https?://|\bstyle=|\son\w+=|innerHTML|eval\(", content)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not {"Access-Control-Allow-Origin", "Set-Cookie"} & set(headers)
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert server.server_address[0] == "127.0.0.1"


def test_facts(server, data):
    facts = ask(server, "model")
    assert (facts["users"], facts["items"], facts["factors"]) == (60, 40, 8)
    assert (facts["named"], facts["interactions"], facts["ratings"], facts["error"]) == (True, True, False, "")
    strengths = facts["strengths"]
    assert strengths["low"] < strengths["usual"] < strengths["high"]
    assert strengths["usual"] == pytest.approx(np.median(data.user_items.data), rel=0.05)


def test_completion(server):
    found = ask(server, "find-items", text="radiohed")["items"]
    assert found[0] == {"item": id_of(0), "name": "Radiohead", "users": ask(server, "similar", item=id_of(0))["users"]}
    assert ask(server, "find-items", text="blur", n=1)["items"][0]["name"] == "<b>Blur</b>"
    assert ask(server, "find-items", text=id_of(30), n=3)["items"][0] == {
        "item": id_of(30),
        "name": id_of(30),
        "users": ask(server, "similar", item=id_of(30))["users"],
    }
    assert [one["user"] for one in ask(server, "find-users", text="ann 1", n=3)["users"]] == ["Ann 1", "Ann 10", "Ann 11"]
    known = ask(server, "items", items=[[id_of(2), 1], ["7", 1], ["x", 1], [id_of(0), 2]])["items"]
    assert [one["name"] for one in known] == ["Björk", "Radiohead"]


def test_recommendations_are_those_of_the_model(server, model):
    history = {0: 250, 2: 3.5, 3: 1}
    answer = ask(server, "recommend", history=[[id_of(row), value] for row, value in history.items()], n=7)
    of_ids = {int(id_of(row)): value for row, value in history.items()}
    ids, scores = model.recommend(history=of_ids, n=7)
    assert [int(one["item"]) for one in answer["items"]] == ids.tolist()
    assert [one["score"] for one in answer["items"]] == scores.tolist()
    assert [one["name"] for one in answer["items"]] == [model.name_of(i) for i in ids]
    assert answer["basis"] == "scores"
    assert ran(answer["call"]) == (ids.tolist(), scores.tolist())
    for one in answer["items"]:
        why = model.explain(history=of_ids, item=int(one["item"]), n=3)
        assert [int(reason["item"]) for reason in one["reasons"]] == [i for i, _ in why.contributions]
        assert [reason["part"] for reason in one["reasons"]] == pytest.approx([part for _, part in why.contributions])
        assert one["rest"] is None


def test_nothing_is_known_of_somebody(server, model):
    answer = ask(server, "recommend", history=[], n=4)
    assert answer["basis"] == "popular"
    assert [int(one["item"]) for one in answer["items"]] == model.popular(4)[0].tolist()
    assert ran(answer["call"])[0] == model.popular(4)[0].tolist()
    assert ask(server, "user", user="Ann 1", n=4)["items"] == answer["items"]  # this user has no entries


def test_a_user(server, model, data):
    answer = ask(server, "user", user="Ann 7", n=5)
    ids, scores = model.recommend("Ann 7", 5)
    assert [int(one["item"]) for one in answer["items"]] == ids.tolist()
    assert ran(answer["call"]) == (ids.tolist(), scores.tolist())
    row = data.user_items[[7]]
    want = {id_of(int(item)): value for item, value in zip(row.indices, row.data.tolist(), strict=True)}
    assert {one["item"]: one["value"] for one in answer["history"]} == want
    assert [one["value"] for one in answer["history"]] == sorted(want.values(), reverse=True)
    assert answer["entries"] == len(want)
    for one in answer["items"]:
        assert [int(reason["item"]) for reason in one["reasons"]] == [
            i for i, _ in model.explain("Ann 7", int(one["item"]), 3).contributions
        ]
    drawn = {ask(server, "user", n=1)["user"] for _ in range(12)}
    assert len(drawn) > 1
    assert "Ann 1" not in drawn


def test_similar_items(server, model):
    answer = ask(server, "similar", item=id_of(4), n=3)
    ids, scores = model.similar_items(4 * 2**55, 3)
    assert answer["name"] == "Air"
    assert [int(one["item"]) for one in answer["items"]] == ids.tolist()
    assert ran(answer["call"]) == (ids.tolist(), scores.tolist())


WRONG = [
    ("recommend", {"history": [["5", 1]]}, 404, "no item 5"),
    ("recommend", {"history": [["abc", 1]]}, 404, "no id 'abc'"),
    ("recommend", {"history": [[id_of(1), 1]], "n": 10**9}, 400, "n must be"),
    ("recommend", {"history": [[id_of(1), 1]], "n": "7"}, 400, "n must be"),
    ("recommend", {"history": [[id_of(1), 1]], "n": True}, 400, "n must be"),
    ("recommend", {"history": [[id_of(1), "many"]]}, 400, "must hold pairs"),
    ("recommend", {"history": [[id_of(1), True]]}, 400, "must hold pairs"),
    ("recommend", {"history": [[1, 1]]}, 400, "must hold pairs"),
    ("recommend", {"history": [id_of(1)]}, 400, "must hold pairs"),
    ("recommend", {"history": {id_of(1): 1}}, 400, "must be a list"),
    ("recommend", {"history": [[id_of(1), 1]] * 2}, 400, "is there twice"),
    ("recommend", {"history": [[id_of(1), 1e30]]}, 400, "from -1e9 to 1e9"),
    ("recommend", {"history": [[id_of(1), 10**300]]}, 400, "from -1e9 to 1e9"),
    ("recommend", {"history": [["9" * 40, 1]]}, 400, "too large for 63 bits"),
    ("recommend", {"history": [[str(i), 1] for i in range(1001)]}, 400, "at most 1000 pairs"),
    ("recommend", {}, 400, "history must be"),
    ("recommend", {"history": [], "color": "red"}, 400, "there is no field 'color'"),
    ("recommend", [], 400, "must be a JSON object"),
    ("user", {"user": "Bob"}, 404, "no user 'Bob'"),
    ("user", {"user": 7}, 400, "user must be a text"),
    ("similar", {"item": "5"}, 404, "no item 5"),
    ("similar", {}, 400, "item must be a text"),
    ("find-items", {"text": "x" * 301}, 400, "at most 300 letters"),
    ("find-items", {"text": None}, 400, "text must be"),
    ("nonsense", {}, 404, "no such request"),
]


@pytest.mark.parametrize(("question", "fields", "status", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_fields(server, capfd, question, fields, status, words):
    found, content, _ = send(server, "POST", f"/{question}", fields)
    assert (found, words in json.loads(content)["error"]) == (status, True), content
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"n": NaN}', "not JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
    ids=range(6),
)
def test_bodies_that_are_not_json(server, body, words):
    status, content, _ = send(server, "POST", "/recommend", body)
    assert (status, words in json.loads(content)["error"]) == (400, True), content


def test_requests_from_elsewhere(server):
    port = server.server_address[1]
    fields = {"text": "air"}
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "localhost:1", f"127.0.0.1.evil.example:{port}", ""):
        assert send(server, "GET", "/", Host=host)[0] == 403, host
        assert send(server, "POST", "/find-items", fields, Host=host)[0] == 403
    assert send(server, "POST", "/find-items", fields, Host=f"LOCALHOST:{port}")[0] == 200
    for origin in (
        "http://evil.example",
        "null",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1:1",
        f"127.0.0.1:{port}",
        "",
    ):
        assert send(server, "POST", "/find-items", fields, Origin=origin)[0] == 403, origin
    assert send(server, "POST", "/find-items", fields, Origin=f"http://127.0.0.1:{port}")[0] == 200
    assert send(server, "POST", "/find-items", fields, Content_Type="text/plain")[0] == 415
    assert send(server, "OPTIONS", "/find-items")[0] == 501
    assert send(server, "GET", "/recommend")[0] == 405
    assert send(server, "GET", "/../server.py")[0] == send(server, "GET", "/page.js/../page.html")[0] == 404


HOST = "Host: {}\r\n"  # filled in by the test
POST = f"POST /user HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (f"{POST}Content-Length: {LARGEST_BODY + 1}\r\n\r\n", 413),
        (f"{POST}Content-Length: {'9' * 5000}\r\n\r\n", 413),
        (f"{POST}Content-Length: -1\r\n\r\n", 411),
        (f"{POST}\r\n", 411),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n", 411),
        (f"{POST}Content-Length: 5\r\n\r\n[]", 400),
        ("GET / HTTP/1.1\r\n\r\n", 403),
        (f"GET / HTTP/1.1\r\n{HOST}Host: evil.example\r\n\r\n", 403),
        (f"GET /{'x' * 70_000} HTTP/1.1\r\n{HOST}\r\n", 414),
        ("nonsense\r\n\r\n", None),  # answered as HTTP 0.9: without a status
        (f"GET / HTTP/9.9\r\n{HOST}\r\n", None),
    ],
    ids=range(11),
)
def test_requests_that_are_no_http(server, capfd, lines, status):
    with socket.create_connection(server.server_address, timeout=20) as connection:
        connection.sendall(lines.format(f"127.0.0.1:{server.server_address[1]}").encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    found = re.match(rb"HTTP/1.1 (\d\d\d) ", answer)
    assert (found and int(found[1])) == status, answer
    assert b'{"error": "' in answer
    assert capfd.readouterr().err == ""
    assert ask(server, "find-items", text="air")["items"]


def test_a_body_of_the_largest_size_is_read(server):
    status, content, _ = send(server, "POST", "/find-items", b'{"text": "air"}'.ljust(LARGEST_BODY))
    assert (status, b"Air" in content) == (200, True)


def test_a_connection_answers_many_requests(server):
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    for _ in range(3):
        connection.request("POST", "/find-items", b'{"text": "air"}', {"Content-Type": "application/json"})
        first = connection.sock
        assert json.loads(connection.getresponse().read())["items"]
        assert connection.sock is first
    connection.close()


def test_many_at_once(server, model):
    ids, _ = model.recommend(history={0: 3}, n=5)
    wrong = []

    def asking():
        for _ in range(20):
            answer = ask(server, "recommend", history=[["0", 3]], n=5)
            if [int(one["item"]) for one in answer["items"]] != ids.tolist():
                wrong.append(answer)

    threads = [threading.Thread(target=asking) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ratings_with_biases(tmp_path):
    data = Interactions.from_csr(random_matrix((40, 30), 0.3, values=(1, 6)), item_ids=[f"i {k}" for k in range(30)])
    model = ALS(factors=4, objective="explicit", biases=True, dtype="float64", random_state=0).fit(data)
    with exploring(model, tmp_path / "m") as server:
        facts = ask(server, "model")
        assert (facts["ratings"], facts["biases"], facts["named"]) == (True, True, False)
        assert facts["strengths"] == {"low": 1, "high": 5, "usual": 4, "logarithmic": False, "guessed": False}
        answer = ask(server, "recommend", history=[["i 3", 5], ["i 4", 0]])
        ids, scores = model.recommend(history={"i 3": 5, "i 4": 0})
        assert ran(answer["call"]) == (ids.tolist(), scores.tolist())
        for one in answer["items"]:
            assert one["rest"] + sum(reason["part"] for reason in one["reasons"]) == pytest.approx(one["score"])
            bias = model.item_biases_[int(one["item"][2:])]
            assert one["rest"] == pytest.approx(model.global_mean_ + bias)


@pytest.mark.parametrize("objective", ["hu", "ials", "explicit"])
def test_a_model_without_interactions(tmp_path, objective):
    model = ALS(factors=4, objective=objective, random_state=0).fit(random_matrix((40, 30), 0.3))
    with exploring(model, tmp_path / "m", include_interactions=False) as server:
        facts = ask(server, "model")
        assert not facts["interactions"]
        assert facts["strengths"]["guessed"]
        assert ask(server, "find-items", text="1", n=2)["items"] == [
            {"item": "1", "name": "1", "users": None},
            {"item": "10", "name": "10", "users": None},
        ]
        answer = ask(server, "recommend", history=[["3", 2]], n=4)
        assert [int(one["item"]) for one in answer["items"]] == model.recommend(history={3: 2}, n=4)[0].tolist()
        assert all(one["reasons"][0]["item"] == "3" for one in answer["items"])
        of_user = ask(server, "user", user="7", n=4)
        assert (of_user["entries"], of_user["history"], of_user["basis"]) == (None, [], "scores")
        assert ran(of_user["call"])[0] == model.recommend(7, 4, exclude_seen=False)[0].tolist()
        assert ask(server, "recommend", history=[], n=4)["basis"] == "scores"
        if objective == "ials":
            assert "negative" in ask(server, "recommend", status=400, history=[["3", -2]])["error"]


def test_odd_names_and_ids(tmp_path):
    for names, ids in (([*NASTY, *BROKEN], None), (None, ["a'b", 'c"d', "e\\f", "<i>", *NASTY])):
        model = ALS(factors=2, random_state=0).fit(made(names, ids))
        with exploring(model, tmp_path / "m") as server:
            wanted = [str(i) for i in model.item_ids_.tolist()[:12]]
            answer = ask(server, "recommend", history=[[i, 3] for i in wanted])
            history = dict.fromkeys(model.item_ids_.tolist()[:12], 3)
            assert ran(answer["call"])[0] == model.recommend(history=history)[0].tolist()
            for item in wanted:
                assert ran(ask(server, "similar", item=item)["call"])[0][0] is not None
            user = str(model.user_ids_[0])
            assert ask(server, "user", user=user)["user"] == user


def test_a_replaced_file_is_loaded_with_the_page(tmp_path, model):
    other = ALS(factors=3, random_state=0).fit(random_matrix((20, 10), 0.4))
    with exploring(model, tmp_path / "m") as server:
        assert ask(server, "model")["items"] == 40
        other.save(tmp_path / "m")
        assert ask(server, "model")["items"] == 10
        assert ask(server, "find-items", text="radiohead")["items"] == []
        (tmp_path / "new").write_bytes(b"nonsense")
        os.replace(tmp_path / "new", tmp_path / "m")
        facts = ask(server, "model")
        assert facts["items"] == 10
        assert facts["error"]
        os.unlink(tmp_path / "m")
        assert "No such file" in ask(server, "model")["error"]
        other.save(tmp_path / "m")
        assert ask(server, "model")["error"] == ""


def test_a_bug_is_reported_in_the_terminal(server, capfd, monkeypatch):
    monkeypatch.setattr(Explorer, "facts", lambda self: None.missing)
    status, content, _ = send(server, "POST", "/model", {})
    assert status == 500
    assert b"Traceback" not in content
    assert "AttributeError" in capfd.readouterr().err


def test_one_server_for_each_port(server, tmp_path, model):
    model.save(tmp_path / "m")
    with pytest.raises(OSError, match="in use"):
        ExploreServer(tmp_path / "m", server.server_address[1])
