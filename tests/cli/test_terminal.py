"""Names with control characters on the command line: they steer no terminal and break no JSON and no table."""

import csv
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from click.testing import CliRunner
from odd_names import BROKEN, CLEAR, NASTY, ORDINARY, made, shown

import cymbals
from cymbals import ALS, Interactions
from cymbals.base.format import printable
from cymbals.cli import cli
from cymbals.cli.terminal import console, print_json, show_tables


def run(*args, code=0):
    """What a command prints: stdout and stderr, which must hold no control characters."""
    done = CliRunner().invoke(cli, [str(a) for a in args])
    assert done.exit_code == code, done.output + str(done.exception)
    return shown(done.stdout), shown(done.stderr)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m"
    ALS(factors=3, iterations=2, random_state=0).fit(made([*NASTY, *BROKEN])).save(path)
    return path


def test_titles_columns_and_cells(capsys):
    for text in (*NASTY, *BROKEN):
        show_tables(console(), {text: [{text: text, "n": 1}], f"{text} ": []})
        out = shown(capsys.readouterr().out)
        assert out.count(printable(text)) == 4


def test_names_on_the_terminal(model):
    recommended, _ = run("recommend", model, "--user", "0", "-n", "30")
    similar, _ = run("similar", model, "--item", "0", "-n", "30")
    assert r"like \x1b[2J\x1b]0;owned\x07" in similar
    for name in (*NASTY[1:], *BROKEN):
        assert printable(name) in recommended + similar


def test_names_in_json_are_kept(model, capsys):
    out, _ = run("recommend", model, "--user", "0", "-n", "30", "--json")
    fitted = cymbals.load(model)
    found = json.loads(out)["0"]
    assert [row["name"] for row in found] == [fitted.name_of(row["item"]) for row in found]
    assert {row["name"] for row in found} & set(BROKEN)
    for text in (*NASTY, *BROKEN):
        print_json({text: [text]})
        out = shown(capsys.readouterr().out)
        assert json.loads(out) == {text: [text]}
        assert (text in out) == (text == printable(text) and "\\" not in text)
    print_json({"name": "Sigur Rós – 東京事変"})
    assert "Sigur Rós – 東京事変" in capsys.readouterr().out


def write_plays(folder, users, header="user,item,value"):
    path = folder / "plays.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(header + "\n")
        csv.writer(file).writerows([users[u % len(users)], i, u + i + 1] for u in range(12) for i in range(8))
    return path


@pytest.mark.filterwarnings("ignore:Glyph")
def test_user_ids_and_pictures_of_describe(tmp_path):
    path = write_plays(tmp_path, [name for name in NASTY if name != "\x00"])
    out, err = run("describe", path, "--figures", tmp_path / "figures")
    assert r"\x1b[2J" in out
    assert r"a\u202egnp.exe" in out
    pictures = list((tmp_path / "figures").glob("*.svg"))
    assert len(pictures) == 8
    for picture in pictures:
        ET.parse(picture)
    assert f"wrote 8 pictures to {tmp_path}" in err


def test_errors_and_column_names(tmp_path, model):
    path = write_plays(tmp_path, ["ann", "bob"], header="\x1b]0;owned\x07,item\u202e,value")
    _, err = run("fit", path, "-o", tmp_path / "m", code=1)
    assert r"the table has \x1b]0;owned\x07, item\u202e, value" in err
    _, err = run("fit", path, "-o", tmp_path / "m", "--item", CLEAR, code=1)
    assert len(err.splitlines()) == 1
    _, err = run("recommend", model, "--user", "\x1b[2J", code=1)
    assert "no id" in err
    _, err = run("fit", write_plays(tmp_path, ["ann"]), "-o", tmp_path / "m", "--time", "\x9b31m\udcff", code=1)
    assert r"\x9b31m\udcff" in err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["\x1b[2J", "\udcff\udcfe", "a\u202eb", "\x9b31m"])
def test_file_names(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    path = write_plays(folder, ["ann", "bob", "cy"])
    path.write_text(path.read_text() + "1,2\n")
    out, err = run("fit", path, "-o", folder / f"{name}.model", "--factors", "2", "--iterations", "1")
    assert f"saved {tmp_path}/{printable(name)}/{printable(name)}.model\n" in out
    assert f"cymbals: {tmp_path}/{printable(name)}/plays.csv: 1 row rejected" in err  # a warning
    for suffix in ("csv", "parquet"):
        out, err = run("recommend", folder / f"{name}.model", "--all", "-n", "2", "-o", folder / f"all.{suffix}")
        assert f"wrote {tmp_path}/{printable(name)}/all.{suffix}" in err
    path.write_text("user,item,value\n1,2,x\n")
    _, err = run("fit", path, "-o", folder / "m", code=1)
    _, err = run("fit", folder / "absent.csv", "-o", folder / "m", code=2)
    _, err = run("fit", path, "-o", folder / "no" / "m", code=2)
    assert printable(name) in err
    _, err = run("fit", path, path, "-o", folder / "m", code=2)
    assert "nexpected extra argument" in err
    _, err = run(name, code=2)
    assert "No such command" in err


def test_bytes_that_are_not_text(tmp_path):
    """Arguments as a shell hands them over, in a process of its own."""
    path = write_plays(tmp_path, ["ann"]).rename(tmp_path / "\udcff\x1b.csv")
    command = [sys.executable, "-m", "cymbals", "describe", os.fsencode(path), "--value", b"\xfe\x9b"]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONUTF8": "1"}, timeout=300)
    assert done.returncode == 1
    assert rb"cymbals: value='\udcfe\udc9b': no such column" in done.stderr


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_all_recommendations_in_a_table(tmp_path, suffix):
    path, target = tmp_path / "m", tmp_path / f"all{suffix}"
    fit = ALS(factors=3, iterations=2, random_state=0).fit
    fit(made(None, [name for name in NASTY if "\x00" not in name])).save(path)
    run("recommend", path, "--all", "-n", "3", "-o", target)
    frame = pd.read_parquet(target) if suffix == ".parquet" else pd.read_csv(target, lineterminator="\n")
    assert {CLEAR, "a\u202egnp.exe", "\ufffe\uffff", ORDINARY} <= set(frame["user"])  # tables are data: no escapes
    for users in (True, False):
        broken = made(None, BROKEN)
        plain = [f"id {row}" for row in range(60)]
        ids = (broken.user_ids, plain[:30]) if users else (plain, broken.item_ids)
        fit(Interactions.from_csr(broken.user_items, *ids)).save(path)
        before = target.read_bytes()
        _, err = run("recommend", path, "--all", "-o", target, code=1)
        assert re.search(
            rf"the {'user' if users else 'item'} id '(\\udc80 name|x\\ud800)' contains half of a surrogate pair", err
        )
        assert target.read_bytes() == before
        out, _ = run("recommend", path, "--user", "id 7", "-n", "30", "--json")
        assert json.loads(out)
