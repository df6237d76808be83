"""Names from anywhere, shown: none steers a terminal, none breaks JSON, a picture, a report or a table."""

import base64
import csv
import json
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import cymbals
from cymbals import ALS, Interactions, figures
from cymbals.base.format import printable
from cymbals.cli import cli
from cymbals.cli.terminal import console, print_json, show_tables

# C0, DEL, C1, bidi embeddings, overrides and isolates, line separators, lone surrogates, what XML refuses
STEERING = [
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xD800,
    0xDC80,
    0xFFFE,
    0xFFFF,
]
UNPRINTABLE = re.compile(f"[{''.join(map(re.escape, map(chr, STEERING)))}]")
ORDINARY = "Sigur Rós – 東京事変 – עברית – فيروز – 👩‍🎤 – a\u200fb – naïve\u0301 \\x1b"
CLEAR = "\x1b[2J\x1b]0;owned\x07"
NASTY = [CLEAR, "\x9b31m", "a\u202egnp.exe", "\u2066isolate\u2069", "a\x7fb", "a\nb\tc", "\ufffe\uffff", "\u2028x", "\x00"]
NASTY += [ORDINARY]
BROKEN = ["\udc80 name", "x\ud800"]  # what surrogateescape leaves, and half of a pair


def shown(text):
    """That no line of it holds a character which a terminal would obey."""
    assert not UNPRINTABLE.search(text.replace("\n", "")), ascii(UNPRINTABLE.search(text.replace("\n", "")))
    text.encode()
    return text


def run(*args, code=0):
    """The command line, whose output must be UTF-8."""
    done = CliRunner().invoke(cli, [str(a) for a in args])
    assert done.exit_code == code, done.output + str(done.exception)
    return shown(done.stdout), shown(done.stderr)


def made(names, ids=None):
    """Interactions whose items have such names, the first ones most often, or whose users and items have such ids."""
    rng = np.random.default_rng(0)
    users = np.concatenate([np.arange(60) for _ in range(5)] + [rng.integers(0, 60, 600)])
    items = np.concatenate([np.full(60, i) for i in range(5)] + [rng.integers(0, 30, 600)])
    if ids:
        wanted = [*ids, *(f"id {i}" for i in range(60))]
        return Interactions.from_arrays([wanted[u] for u in users], [wanted[i] for i in items])
    names = {i: names[i % len(names)] for i in range(30)}
    return Interactions.from_arrays(users, items, item_names=names)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m"
    ALS(factors=3, iterations=2, random_state=0).fit(made([*NASTY, *BROKEN])).save(path)
    return path


def test_what_is_escaped_and_what_is_not():
    assert printable(ORDINARY) == ORDINARY
    assert printable("".join(NASTY[:6])) == (
        r"\x1b[2J\x1b]0;owned\x07" r"\x9b31m" r"a\u202egnp.exe" r"\u2066isolate\u2069" r"a\x7fb" r"a\nb\tc"
    )
    for character in map(chr, STEERING):
        escaped = printable(f"a{character}b")
        assert escaped.isascii()
        assert escaped == f"a{character.encode('unicode_escape').decode()}b"


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


def test_bytes_that_are_no_text(tmp_path):
    """Arguments as a shell hands them over, in a process of its own."""
    path = write_plays(tmp_path, ["ann"]).rename(tmp_path / "\udcff\x1b.csv")
    command = [sys.executable, "-m", "cymbals", "describe", os.fsencode(path), "--value", b"\xfe\x9b"]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONUTF8": "1"}, timeout=300)
    assert done.returncode == 1
    assert rb"cymbals: value='\udcfe\udc9b': no such column" in done.stderr


def test_help_keeps_its_lines():
    result = CliRunner().invoke(cli, [])
    assert len((result.stdout + result.stderr).splitlines()) > 10
    assert "\\n" not in result.stdout + result.stderr


def test_the_command_line_gives_warnings_back():
    before = warnings.showwarning
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 0
    assert warnings.showwarning is before


def test_a_description_as_text():
    description = cymbals.describe(made([*NASTY, *BROKEN]), top=30)
    text = shown(str(description))
    assert r"\x1b[2J\x1b]0;owned\x07" in text
    assert ORDINARY in text
    assert text.startswith("overview\n")


def test_pictures_are_xml(tmp_path):
    for text in ("".join(NASTY), NASTY[0], *BROKEN):
        made_of = {
            "bars": figures.bars([text, "x"], [2, 1], text, text),
            "ecdf": figures.ecdf([1, 2, 3], text, text),
            "distribution": figures.distribution([0.1, 0.2], text, text),
        }
        for name, figure in made_of.items():
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph")  # of fonts without them
                figure.savefig(tmp_path / f"{name}.svg")
            ET.parse(tmp_path / f"{name}.svg")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("ids", [None, [*NASTY, *BROKEN]])
def test_a_report(tmp_path, ids):
    names = [*NASTY, *BROKEN]
    data = made(names, ids)
    how = {"listeners": [names[0], names[-1]]} if ids else {}
    cymbals.report(data, tmp_path / "r.html", n=1, iterations=2, title=f"All of {CLEAR}\udc80", **how)
    text = (tmp_path / "r.html").read_bytes().decode()
    assert not UNPRINTABLE.search(text.replace("\n", ""))
    assert r"<h1>All of \x1b[2J\x1b]0;owned\x07\udc80</h1>" in text
    assert r"\udc80 name" in text
    assert r"\u202e" in text
    pictures = re.findall(r"base64,([^\"]+)", text)
    assert len(pictures) >= 6
    for picture in pictures:
        ET.fromstring(base64.b64decode(picture))
    if ids:
        assert r"Recommended to user \x1b[2J" in text


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_all_recommendations_in_a_table(tmp_path, suffix):
    path, target = tmp_path / "m", tmp_path / f"all{suffix}"
    fit = ALS(factors=3, iterations=2, random_state=0).fit
    fit(made(None, [name for name in NASTY if "\x00" not in name])).save(path)
    run("recommend", path, "--all", "-n", "3", "-o", target)
    frame = pd.read_parquet(target) if suffix == ".parquet" else pd.read_csv(target, lineterminator="\n")
    assert {CLEAR, "a\u202egnp.exe", "\ufffe\uffff", ORDINARY} <= set(frame["user"])  # as they are: it is data
    for users in (True, False):
        broken = made(None, BROKEN)
        plain = [f"id {row}" for row in range(60)]
        ids = (broken.user_ids, plain[:30]) if users else (plain, broken.item_ids)
        fit(Interactions.from_csr(broken.user_items, *ids)).save(path)
        before = target.read_bytes()
        _, err = run("recommend", path, "--all", "-o", target, code=1)
        assert re.search(
            rf"the {'user' if users else 'item'} id '(\\udc80 name|x\\ud800)' holds half of a surrogate pair", err
        )
        assert target.read_bytes() == before
        out, _ = run("recommend", path, "--user", "id 7", "-n", "30", "--json")
        assert json.loads(out)
