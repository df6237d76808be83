"""cymbals profile."""

import json

import pytest
from conftest import cymbals_cli

pytestmark = pytest.mark.usefixtures("own_cache")


def test_profile(tmp_path, table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ("profile", table, "--factors", 4, "--iterations", 2, "--threads", 2)
    out = cymbals_cli(*common, "--trace", "t.json", "--figure", "roofline.svg").stdout
    assert "gather" in out
    assert "rows by length and solver" in out
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert "<svg" in (tmp_path / "roofline.svg").read_text()
    found = json.loads(cymbals_cli(*common, "--json").stdout)
    assert {row["iteration"] for row in found["phases"]} == {0, 1, 2}
    sweep = ("--sweep", "factors=2,4", "--sweep", "threads=1,2", "--rounds", 1)
    rows = json.loads(cymbals_cli(*common, *sweep, "--json").stdout)
    assert [(row["factors"], row["threads"]) for row in rows] == [(2, 1), (2, 2), (4, 1), (4, 2)]
    assert all(row["seconds an iteration"] > 0 for row in rows)
    assert "<svg" in (tmp_path / "scaling.svg").read_text()
    assert "factor" in cymbals_cli(*common, *sweep[2:], "--figure", "x.svg", "--sweep", "factor=2", code=2).stderr
    assert "single fit" in cymbals_cli(*common, *sweep, "--trace", "x.json", code=2).stderr
    assert "factors must be" in cymbals_cli(*common, "--sweep", "factors=0", code=1).stderr
    twice = ("--sweep", "threads=1", "--sweep", "n_threads=2")
    assert "given twice" in cymbals_cli(*common, *twice, code=2).stderr
    assert "must end in one of" in cymbals_cli(*common, "--figure", "x.table", code=2).stderr
    assert "needs --sweep" in cymbals_cli(*common, "--rounds", 2, code=2).stderr
    assert "the same file" in cymbals_cli(*common, "--figure", "x.png", "--trace", "x.png", code=2).stderr
