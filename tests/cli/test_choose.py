"""cymbals search, tune and report."""

import json

import pytest
from conftest import cymbals_cli

import cymbals

pytestmark = pytest.mark.usefixtures("own_cache")


def test_search(tmp_path, table):
    args = ("search", table, "--grid", "factors=2,4", "--grid", "alpha=1,40", "--iterations", 3, "--listener", 5)
    found = json.loads(cymbals_cli(*args, "--json", "-o", tmp_path / "best").stdout)
    want = cymbals.search(cymbals.datasets.load(table), {"factors": [2, 4], "alpha": [1, 40]}, iterations=3)
    assert found["best"]["params"] == want.best_params_
    assert [row["score"] for row in found["table"]] == want.table["score"].tolist()
    ids, _ = cymbals.load(tmp_path / "best").recommend(5, 5)
    assert [row["item"] for row in found["recommendations"]["5"]] == ids.tolist()
    out = cymbals_cli(*args, "--journal", tmp_path / "j").stdout
    assert "4 settings; best ndcg@10" in out
    assert "user 5" in out
    assert len((tmp_path / "j").read_text().splitlines()) == 5
    drawn = ("--random", 3, "--space", "alpha=0.1:10:log", "--space", "factors=2:5", "--space", "confidence=log,linear")
    found = json.loads(cymbals_cli("search", table, *drawn, "--metric", "ndcg@5", "--patience", 1, "--json").stdout)
    assert len(found["table"]) == 3
    assert all(
        0.1 <= r["alpha"] <= 10 and r["factors"] in range(2, 6) and r["confidence"] in ("log", "linear")
        for r in found["table"]
    )
    assert "iterations" in found["best"]["params"]
    some = json.loads(cymbals_cli("search", table, "--random", 2, "--factors", 3, "--iterations", 2, "--json").stdout)
    assert {"unobserved_weight", "regularization"} < set(some["table"][0])
    assert some["best"]["params"]["factors"] == 3


def test_tune(tmp_path, table):
    args = ("tune", table, "--budget", "2s", "--factors", 3, "--metric", "ndcg@5", "--listener", 5)
    figure, model = tmp_path / "f.svg", tmp_path / "m"
    found = json.loads(cymbals_cli(*args, "--json", "-o", model, "--figure", figure).stdout)
    assert cymbals.load(model).factors == found["best"]["params"]["factors"] == 3
    assert {"ahead", "noise"} < set(found["table"][0])
    assert {row["score"] for row in found["table"] if row["ahead"] == row["noise"] == 0} == {found["best"]["score"]}
    assert "<svg" in figure.read_text()
    out = cymbals_cli(*args, "--journal", tmp_path / "j", "--validation", "users").stdout
    assert "settings; best ndcg@5" in out
    assert "user 5" in out
    n = len((tmp_path / "j").read_text().splitlines())
    rated = cymbals_cli("tune", table, "--metric", "rmse", "--budget", "1", "--json").stdout
    assert json.loads(rated)["best"]["params"]["objective"] == "explicit"
    assert n > 2
    for wrong, words in (
        (("--budget", "soon"), "budget must be a number of fits"),
        (("--validation", "items"), "validation must be a share of the entries"),
    ):
        assert words in cymbals_cli("tune", table, *wrong, code=1).stderr
    for wrong, words in (
        (("--figure", tmp_path / "f.x"), "its name must end in"),
        (("--figure", figure, "-o", tmp_path / "." / "f.svg"), "--figure and -o name the same file"),
        (("--figure", figure, "--metric", "coverage@5"), "--figure needs a metric that is a mean over users"),
    ):
        assert words in cymbals_cli("tune", table, *wrong, code=2).stderr


def test_search_without_a_cache(tmp_path, table, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    result = cymbals_cli("search", table, "--grid", "factors=2,3", "--iterations", 2)
    assert "an interrupted search cannot be resumed" in result.stderr
    assert "2 settings" in result.stdout


def test_report_and_pictures(tmp_path, table):
    args = (
        "report",
        table,
        "-o",
        tmp_path / "r.html",
        "--random",
        2,
        "--iterations",
        2,
        "--listener",
        7,
        "--title",
        "Mine",
    )
    assert "wrote" in cymbals_cli(*args).stdout
    text = (tmp_path / "r.html").read_text()
    assert "<h1>Mine</h1>" in text
    assert "Recommended to user 7" in text
    cymbals_cli("describe", table, "--figures", tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.svg"))) == 8
