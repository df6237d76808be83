"""Numbers in options and ids."""

import json

import pytest
from click.testing import CliRunner

from cymbals.cli import cli, options


def test_texts_with_underscores_are_not_read_as_numbers(tmp_path):
    assert options.assigned("--grid", "factors=1_0,1_0.5,8,0.5") == ("factors", ["1_0", "1_0.5", 8, 0.5])
    assert options.one_id(False, "1_000") == "1_000"
    with pytest.raises(KeyError, match="no id '1_000'"):
        options.one_id(True, "1_000")
    (tmp_path / "user_artist_data.txt").write_text("1 1000 3\n")
    wrong = CliRunner().invoke(cli, ["describe", str(tmp_path), "--resolve", "1_000"])
    assert wrong.exit_code == 2
    assert "1_000" in wrong.stderr
    right = CliRunner().invoke(cli, ["describe", str(tmp_path), "--resolve", "1000", "--json"])
    assert json.loads(right.stdout) == {"aliases": [{"artist": 1000, "canonical": 1000}]}
