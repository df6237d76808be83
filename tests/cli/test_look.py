"""cymbals demo, describe and doctor."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from conftest import cymbals_cli

import cymbals

pytestmark = pytest.mark.usefixtures("own_cache")


def test_demo():
    out = cymbals_cli("demo").stdout
    gain = float(re.search(r"AUC [\d.]+, ([\d.]+) above popularity", out)[1])
    share = float(re.search(r"([\d.]+) of the top-5 recommendations", out)[1])
    assert gain >= 0.05
    assert share >= 0.8
    assert "wrong number of fields" in out
    assert "alias_cycles" in out
    assert "cymbals explore demo/model.cymbals" in out


def test_a_demo_can_be_kept(tmp_path):
    out = cymbals_cli("demo", "--listeners", 60, "-o", tmp_path / "kept").stdout
    assert "cymbals report" in out
    assert f"cymbals explore {tmp_path}" in out
    assert cymbals.load(tmp_path / "kept" / "model.cymbals").user_ids_.size
    assert "is not empty" in cymbals_cli("demo", "-o", tmp_path / "kept", code=1).output


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


def test_doctor_needs_no_click():
    code = "import sys; sys.modules['click'] = None; sys.argv[1:] = ['doctor']; import cymbals.__main__ as m; m.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "simd" in done.stdout
