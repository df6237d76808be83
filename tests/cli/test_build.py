"""cymbals build."""

import json

import pytest
from conftest import cymbals_cli

from cymbals import Interactions

pytest.importorskip("pyarrow")


def test_build_then_fit(tmp_path):
    (tmp_path / "plays").mkdir()
    rows = [f"u{u},{i},{1 + u * i % 5},{u + i}" for u in range(9) for i in range(7)]
    for number, part in enumerate((rows[:30], rows[30:])):
        text = "\n".join(["who,what,plays,day", *part])
        (tmp_path / "plays" / f"{number}.csv").write_text(text)
    common = ("build", tmp_path / "plays", "-o", tmp_path / "s", "--user", "who", "--item", "what", "--memory", "100MB")
    first = cymbals_cli(*common, "--value", "plays", "--time", "day")
    assert first.stdout == f"built {tmp_path / 's'} from 63 rows: 63 distinct pairs, 9 users, 7 items\n"
    assert "sort by user 1/1" in first.stderr
    assert Interactions.open(tmp_path / "s").times.max() == 14
    found = json.loads(cymbals_cli(*common, "--value", "", "--quiet", "--json").stdout)
    assert found == {
        "store": str(tmp_path / "s"),
        "users": 9,
        "items": 7,
        "report": {"rows": 63, "pairs": 63, "lines_rejected": 0},
    }
    assert Interactions.open(tmp_path / "s").csr.data.max() == 1
    cymbals_cli("fit", tmp_path / "s", "-o", tmp_path / "m", "--factors", 2)
    parts = [tmp_path / "plays" / f"{number}.csv" for number in range(2)]
    both = cymbals_cli("build", *parts, *common[2:], "--value", "plays")
    assert both.stdout == first.stdout


def test_bad_usage(tmp_path):
    cymbals_cli("build", code=2)
    cymbals_cli("build", tmp_path, code=2)
    cymbals_cli("build", tmp_path, "-o", tmp_path / "s", "--temporary", tmp_path / "absent", code=2)
    found = cymbals_cli("build", tmp_path / "absent.csv", "-o", tmp_path / "s", code=1)
    assert "no such file or folder" in found.stderr
    found = cymbals_cli("build", tmp_path, "-o", tmp_path / "s", "--memory", "lots", code=1)
    assert "memory must be" in found.stderr
