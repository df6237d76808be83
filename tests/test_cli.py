"""The command line on real files, made-up ones, and bad usage."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import cymbals
from cymbals.cli import cli


def cymbals_cli(*args, code=0):
    result = CliRunner().invoke(cli, [str(a) for a in args])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Unfinished searches are noted here, not in the cache of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    df = pd.DataFrame(
        {"user": rng.integers(0, 60, 900), "item": rng.integers(0, 40, 900), "value": rng.integers(1, 9, 900)}
    )
    df.to_csv(tmp_path / "plays.csv", index=False)
    return tmp_path / "plays.csv"


def test_demo():
    out = cymbals_cli("demo").stdout
    gain = float(re.search(r"AUC [\d.]+, ([\d.]+) above popularity", out)[1])
    share = float(re.search(r"([\d.]+) of the top-5 recommendations", out)[1])
    assert gain >= 0.05
    assert share >= 0.8
    assert "wrong number of fields" in out
    assert "alias_cycles" in out


def test_fit_recommend_similar(tmp_path, table):
    model = tmp_path / "m.cymbals"
    fitted = cymbals_cli("fit", table, "-o", model, "--factors", 5, "--iterations", 3, "--seed", 1)
    assert "loaded 900 rows" in fitted.stderr
    assert "saved" in fitted.stdout
    found = json.loads(cymbals_cli("recommend", model, "--user", 3, "--user", 4, "-n", 4, "--json").stdout)
    back = cymbals.load(model)
    ids, _ = back.recommend([3, 4], 4)
    assert [[r["item"] for r in found[u]] for u in ("3", "4")] == ids.tolist()
    assert "user 3" in cymbals_cli("recommend", model, "--user", 3).stdout
    near = json.loads(cymbals_cli("similar", model, "--item", 7, "-n", 2, "--json").stdout)
    assert [r["item"] for r in near["7"]] == back.similar_items(7, 2)[0].tolist()
    for suffix in ("parquet", "csv"):
        target = tmp_path / f"recs.{suffix}"
        cymbals_cli("recommend", model, "--all", "-n", 3, "-o", target)
        frame = pd.read_parquet(target) if suffix == "parquet" else pd.read_csv(target)
        assert frame.columns.tolist() == ["user", "rank", "item", "score"]
        assert frame[frame["user"] == 3]["item"].tolist() == back.recommend(3, 3)[0].tolist()
    assert not list(tmp_path.glob("*.part"))


def test_laboratory_on_the_sample(tmp_path, data_folder):
    model = tmp_path / "m.cymbals"
    how = ("--factors", 10, "--iterations", 5, "--regularization", 0.01, "--alpha", 1.0)
    out = cymbals_cli("fit", data_folder("audioscrobbler_small"), "-o", model, *how)
    assert "loaded 49,481 rows, 48,943 distinct pairs, 50 users" in out.stderr
    found = json.loads(cymbals_cli("recommend", model, "--user", 1059637, "-n", 5, "--json").stdout)["1059637"]
    data = cymbals.audioscrobbler.load(data_folder("audioscrobbler_small"))
    row = data.user_ids.tolist().index(1059637)
    heard = {data.item_ids[i] for i in data.user_items[[row]].indices}
    assert len(found) == 5
    assert all(r["item"] not in heard and not r["name"].isdigit() for r in found)


def test_evaluate_describe_doctor(table):
    found = json.loads(cymbals_cli("evaluate", table, "--factors", 4, "-k", 3, "--json").stdout)
    assert set(found) == {"ALS", "popularity", "random"}
    assert 0 <= found["ALS"]["ndcg@3"] <= 1
    assert "precision@5" in cymbals_cli("evaluate", table, "--factors", 4).stdout
    tables = json.loads(cymbals_cli("describe", table, "--json", "--top", 3).stdout)
    df = pd.read_csv(table)
    top = df.groupby("item")["value"].sum().sort_values(ascending=False)
    assert [r["plays"] for r in tables["top items by plays"]] == top.head(3).tolist()
    audience = df.groupby("item")["user"].nunique().max()
    assert tables["top items by audience"][0]["users"] == audience
    assert "activity" in cymbals_cli("describe", table).stdout
    assert json.loads(cymbals_cli("doctor", "--json").stdout)["threads"] == cymbals.threads()
    assert cymbals.simd() in cymbals_cli("doctor").stdout
    peaks = json.loads(cymbals_cli("doctor", "--peaks", "--json").stdout)
    assert all(peaks[f"peak_{what}"] > 0 for what in ("multiply_adds", "near", "stream", "gather"))


def test_splits(tmp_path, table):
    df = pd.read_csv(table).drop_duplicates(["user", "item"])
    df["when"] = pd.date_range("2005-01-01", periods=len(df)).strftime("%Y-%m-%d")
    df.to_csv(tmp_path / "timed.csv", index=False)
    data = cymbals.datasets.load(tmp_path / "timed.csv", time="when")
    how = {"factors": 4, "iterations": 3, "random_state": 0}
    for words, parts in (
        (("--split", "by-time", "--time", "when"), [cymbals.split.by_time(data, 0.1)]),
        (("--split", "leave-k-out", "--leave", 2), [cymbals.split.leave_k_out(data, 2)]),
        (("--split", "k-fold", "--folds", 3), cymbals.split.k_fold(data, 3)),
    ):
        args = ("evaluate", tmp_path / "timed.csv", "--factors", 4, "--iterations", 3, "-k", 5, *words)
        got = json.loads(cymbals_cli(*args, "--json").stdout)["ALS"]
        want = [cymbals.evaluate(cymbals.ALS(**how).fit(train), train, test, k=5) for train, test in parts]
        assert got["ndcg@5"] == pytest.approx(np.mean([m["ndcg@5"] for m in want]), abs=1e-12)
        out = cymbals_cli(*args).stdout
        assert ("ALS minus popularity: auc" in out) == (len(want) == 1)


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
    assert set(some["best"]["params"]) == {"regularization", "alpha"}


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


def test_names_and_aliases_of_the_sample(data_folder):
    folder = data_folder("audioscrobbler_small")
    found = json.loads(cymbals_cli("describe", folder, "--find", "aerosmith", "--resolve", 1027859, "--json").stdout)
    assert found["names with 'aerosmith'"][0]["name"] == "Aerosmith"
    assert found["aliases"] == [{"artist": 1027859, "canonical": 1252408}]


def test_a_table_without_values(tmp_path):
    place = tmp_path / "pairs.csv"
    place.write_text("user,item\n" + "".join(f"u{i % 7},i{i % 5}\n" for i in range(35)))
    found = json.loads(cymbals_cli("describe", place, "--value", "", "--json").stdout)
    assert {row["what"]: row["value"] for row in found["overview"]}["pairs"] == 35


def test_failures_are_one_line_and_exit_1(tmp_path, table):
    model = tmp_path / "m"
    cymbals_cli("fit", table, "-o", model, "--factors", 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    for args in (
        ("recommend", table, "--user", 1),
        ("recommend", model, "--user", 12345),
        ("recommend", model, "--user", "bob"),
        ("similar", model, "--item", "nobody"),
        ("fit", tmp_path / "empty", "-o", model),
        ("fit", tmp_path / "x.csv", "-o", model),
        ("evaluate", table, "--test-fraction", 1.5),
        ("fit", table, "-o", model, "--alpha", -1),
        ("fit", table, "-o", model, "--biases"),
        ("search", table, "--grid", "factor=1,2"),
        ("search", table, "--grid", "factors=0"),
        ("search", table, "--grid", "factors=2", "--metric", "accuracy"),
        ("evaluate", table, "--split", "by-time"),
        ("evaluate", table, "--test-fraction", 1e-6),
        ("evaluate", table, "--split", "leave-k-out", "--leave", 10_000),
        ("report", table, "-o", tmp_path / "r.html", "--test-fraction", 1e-6, "--factors", 2, "--random", 1),
        ("search", table, "--grid", "factors=2", "--validation", 1e-6),
        ("report", table, "-o", tmp_path / "r.html", "--test-fraction", 2),
        ("report", table, "-o", tmp_path / "r.html", "--listener", "bob"),
        ("report", table, "-o", tmp_path / "r.html", "--listener", 12345),
        ("search", table, "--grid", "factors=2", "--listener", 12345),
    ):
        result = cymbals_cli(*args, code=1)
        assert result.stderr.splitlines()[-1].startswith("cymbals: ")
        assert "Traceback" not in result.output
    assert cymbals.load(model).get_params()["factors"] == 2
    assert not (tmp_path / "r.html").exists()


def test_bad_usage_exits_2(tmp_path, table):
    model = tmp_path / "m"
    cymbals_cli("fit", table, "-o", model, "--factors", 2)
    for args in (
        ("fit", tmp_path / "absent", "-o", model),
        ("fit", table),
        ("fit", table, "-o", model, "--factors", 0),
        ("fit", table, "-o", model, "--objective", "best"),
        ("fit", table, "-o", tmp_path / "no" / "folder"),
        ("recommend", model),
        ("recommend", model, "--all"),
        ("recommend", model, "--all", "--user", 3, "-o", tmp_path / "r.csv"),
        ("recommend", model, "--user", 3, "-o", tmp_path / "r.csv"),
        ("nonsense",),
        ("search", table, "--grid", "factors"),
        ("search", table, "--space", "alpha=1:2"),
        ("search", table, "--random", 2, "--space", "alpha=2:1"),
        ("search", table, "--random", 2, "--space", "alpha=1:2:square"),
        ("search", table, "--random", 2, "--space", "alpha=0:2:log"),
        ("report", table),
        ("report", table, "-o", tmp_path / "no" / "r.html"),
        ("describe", table, "--resolve", 3),
        ("doctor", "--threads", "x"),
    ):
        cymbals_cli(*args, code=2)


def test_module_and_pipe(table):
    help_ = subprocess.run([sys.executable, "-m", "cymbals", "--help"], capture_output=True, text=True, check=True)
    for command in ("demo", "describe", "fit", "recommend", "similar", "evaluate", "search", "report", "doctor"):
        assert command in help_.stdout
    pipe = subprocess.run(
        f"{sys.executable} -m cymbals describe {table} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pipe.stderr == ""


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


def test_other_spellings_are_suggested(tmp_path):
    names = {1: "Radiohead", 2: "Portishead", 3: "Blur"}
    data = cymbals.Interactions.from_arrays([1, 1, 2, 2, 3], [1, 2, 2, 3, 1], item_names=names)
    cymbals.ALS(2, random_state=0).fit(data).save(tmp_path / "m")
    assert "Did you mean 'Radiohead'?" in cymbals_cli("similar", tmp_path / "m", "--item", "radiohead", code=1).output
    assert "Did you mean 'Portishead'?" in cymbals_cli("similar", tmp_path / "m", "--item", "Portishaed", code=1).output
    assert "Did you mean" not in cymbals_cli("similar", tmp_path / "m", "--item", "77", code=1).output


def test_a_demo_can_be_kept(tmp_path):
    out = cymbals_cli("demo", "--listeners", 60, "-o", tmp_path / "kept").stdout
    assert "cymbals report" in out
    assert cymbals.load(tmp_path / "kept" / "model.cymbals").user_ids_.size
    assert "is not empty" in cymbals_cli("demo", "-o", tmp_path / "kept", code=1).output


def test_doctor_needs_no_click():
    code = "import sys; sys.modules['click'] = None; sys.argv[1:] = ['doctor']; import cymbals.__main__ as m; m.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "simd" in done.stdout
