"""Numbers in options and ids."""

import json

import pytest
from click.testing import CliRunner
from conftest import cymbals_cli

from cymbals.cli import cli, options
from cymbals.data.ids import one_id


def test_texts_with_underscores_are_not_read_as_numbers(tmp_path):
    assert options.assigned("--grid", "factors=1_0,1_0.5,8,0.5") == ("factors", ["1_0", "1_0.5", 8, 0.5])
    assert one_id(False, "1_000") == "1_000"
    with pytest.raises(KeyError, match="no id '1_000'"):
        one_id(True, "1_000")
    (tmp_path / "user_artist_data.txt").write_text("1 1000 3\n")
    wrong = CliRunner().invoke(cli, ["describe", str(tmp_path), "--resolve", "1_000"])
    assert wrong.exit_code == 2
    assert "1_000" in wrong.stderr
    right = CliRunner().invoke(cli, ["describe", str(tmp_path), "--resolve", "1000", "--json"])
    assert json.loads(right.stdout) == {"aliases": [{"artist": 1000, "canonical": 1000}]}


def test_a_parameter_that_is_given_twice_is_refused(tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text("user,item,value\n1,1,5\n2,1,5\n1,2,5\n")
    for option in (("--grid", "factors=2"), ("--space", "alpha=1:2")):
        found = cymbals_cli("search", path, "--random", 2, *option, *option, code=2)
        assert f"{option[0]} {option[1].partition('=')[0]} is given twice" in found.output


def test_a_failing_picture_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")

    class Failing:
        def savefig(self, file, format):
            file.write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        options.save_picture(Failing(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]


def test_columns_of_a_folder_are_refused(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("1 2 3\n")
    for option in ("--user", "--item", "--value", "--time"):
        found = cymbals_cli("describe", tmp_path, option, "day", code=2)
        assert f"{option} names a column of a table, but" in found.output


def test_an_output_in_a_missing_folder_is_refused(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("1 2 3\n4 5 6\n")
    found = cymbals_cli("fit", tmp_path, "-o", tmp_path / "missing" / "m.csv", code=2)
    assert "missing" in found.output
