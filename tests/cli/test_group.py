"""The command line as a whole: failures, bad usage, pipes, help, warnings."""

import json
import subprocess
import sys
import warnings

import pytest
from click.testing import CliRunner
from conftest import cymbals_cli

import cymbals
from cymbals.cli import cli

pytestmark = pytest.mark.usefixtures("own_cache")


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
    for command in (
        "demo",
        "describe",
        "fit",
        "recommend",
        "similar",
        "evaluate",
        "search",
        "tune",
        "report",
        "explore",
        "doctor",
    ):
        assert command in help_.stdout
    pipe = subprocess.run(
        f"{sys.executable} -m cymbals describe {table} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pipe.stderr == ""


def test_line_ends_of_help_are_not_escaped():
    result = CliRunner().invoke(cli, [])
    assert len((result.stdout + result.stderr).splitlines()) > 10
    assert "\\n" not in result.stdout + result.stderr


def test_the_command_line_restores_showwarning():
    before = warnings.showwarning
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 0
    assert warnings.showwarning is before


HEADER = "user,item,value\n"


@pytest.mark.filterwarnings("default")
def test_the_command_line_reports_rejected_lines(tmp_path):
    rows = "".join(f"{u},{i},{1 + u * i}\n" for u in range(6) for i in range(5))
    path = tmp_path / "plays.csv"
    path.write_text(HEADER + "1,2,3,4\n" + rows + "1,2\n")
    fitted = CliRunner().invoke(cli, ["fit", str(path), "-o", str(tmp_path / "m"), "--factors", "2", "--iterations", "1"])
    assert fitted.exit_code == 0
    assert "loaded 30 rows, 30 distinct pairs, 6 users, 5 items, 2 lines rejected\n" in fitted.stderr
    assert (
        f"cymbals: {path}: 2 rows rejected for having more or fewer than the header's 3 fields: lines 2, 33\n"
        in fitted.stderr
    )
    shown = CliRunner().invoke(cli, ["describe", str(path), "--json"])
    assert {"what": "lines_rejected", "value": 2} in json.loads(shown.stdout)["overview"]


@pytest.mark.parametrize("command", [["fit"], ["report", "--random", "1"]])
def test_the_command_line_does_not_write_over_its_input(tmp_path, command):
    path = tmp_path / "plays.csv"
    path.write_text("user,item,value\n1,1,5\n2,1,5\n1,2,5\n")
    before = path.read_bytes()
    found = CliRunner().invoke(cli, [*command, str(path), "-o", str(tmp_path / "." / "plays.csv")])
    assert found.exit_code == 2
    assert "would replace a file that is read" in found.output
    assert path.read_bytes() == before


def test_the_command_line_does_not_write_over_a_file_of_its_input_folder(tmp_path):
    path = tmp_path / "user_artist_data.txt"
    path.write_text("1 2 3\n4 5 6\n")
    found = CliRunner().invoke(cli, ["fit", str(tmp_path), "-o", str(path)])
    assert found.exit_code == 2
    assert path.read_text() == "1 2 3\n4 5 6\n"


def test_outputs_do_not_replace_journals_models_and_each_other(tmp_path):
    plays = tmp_path / "plays.csv"
    plays.write_text("user,item,value\n1,1,5\n2,1,5\n1,2,5\n2,3,1\n3,2,2\n3,3,4\n")
    model, journal = tmp_path / "model.csv", tmp_path / "journal"
    cymbals_cli("fit", plays, "-o", model, "--factors", 2)
    before = model.read_bytes()
    for command, words in (
        (("recommend", model, "--all", "-o", model), "would replace a file that is read"),
        (("search", plays, "--journal", journal, "-o", tmp_path / "." / "journal"), "would replace a file that is read"),
        (("profile", plays, "--trace", tmp_path / "a.svg", "--figure", tmp_path / "." / "a.svg"), "name the same file"),
    ):
        assert words in cymbals_cli(*command, code=2).output
    assert model.read_bytes() == before
    assert not journal.exists()
