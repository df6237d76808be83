"""Finding names by parts of them and by misspellings."""

import random

import numpy as np
import pytest
from odd_names import BROKEN, NASTY

import cymbals
from cymbals.data.name_index import BeginningIndex, NameIndex, folded

NAMES = [
    "Radiohead",
    "The Beatles",
    "Björk",
    "AC/DC",
    "Sigur Rós",
    "!!!",
    "Røyksopp",
    "Air",
    "Jefferson Airplane",
    "U2",
    "東京事変",
]


def found(index, text, n=3):
    return [NAMES[row] for row in index.find(text, n)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("radiohed", "Radiohead"),
        ("RADIOHEAD", "Radiohead"),
        ("beatels", "The Beatles"),
        ("bea", "The Beatles"),
        ("bjrok", "Björk"),
        ("acdc", "AC/DC"),
        ("ac dc", "AC/DC"),
        ("sigurros", "Sigur Rós"),
        ("royksop", "Røyksopp"),
        ("!!!", "!!!"),
        ("u", "U2"),
        ("東京", "東京事変"),
        ("airplane", "Jefferson Airplane"),
    ],
)
def test_names_are_found(text, name):
    assert found(NameIndex(NAMES), text)[0] == name


def test_equal_names_come_first_then_heavier_ones():
    index = NameIndex(NAMES, np.arange(len(NAMES), dtype=float))
    assert found(index, "air")[:2] == ["Air", "Jefferson Airplane"]
    twins = NameIndex(["Genesis", "Other", "genesis"], np.array([3.0, 1.0, 5.0]))
    assert twins.find("genesis").tolist() == [2, 0]
    assert twins.find("gen", 1).tolist() == [2]


def test_an_equal_name_is_found_among_many_heavier_ones():
    names = [f"Air {i}" for i in range(500)] + ["Air", "M"] + [f"Mo {i}" for i in range(500)]
    index = NameIndex(names, np.array([9.0] * 500 + [1.0, 1.0] + [9.0] * 500))
    assert index.find("air", 2).tolist() == [500, 0]
    assert index.find("m", 2).tolist() == [501, 502]


def test_nothing_is_found():
    index = NameIndex(NAMES)
    for text in ("", " ", "\n", "qqqq", "77", "\x00", *BROKEN):
        assert index.find(text).size == 0, ascii(text)
    assert index.find("x" * 100_000).size == 0
    assert index.find("radiohed", similarity=0.99).size == 0


def test_odd_names_can_be_indexed():
    names = [*NASTY, *BROKEN, "", " ", "_", "a" * 5000]
    index = NameIndex(names)
    for row, name in enumerate(names):
        rows = index.find(name, len(names)).tolist()
        assert row in rows or not name.strip(), ascii(name)
    assert len(folded(names)) == len(names)
    assert folded([]) == []


def test_folding_one_name_or_many_is_the_same():
    names = [*NAMES, *NASTY, *BROKEN, "ǅ İstanbul ẞ", "e\u0301", "นันทิดา", "ﬁn"]
    assert folded(names) == [one for name in names for one in folded([name])]
    assert folded(["Motörhead", "Łódź", "Straße", "Æon"]) == ["motorhead", "lodz", "strasse", "aeon"]


def test_misspelled_artists_are_found(data_folder):
    """One wrong letter in the name of a well-known artist: the artist is among the first eight of 17,632."""
    data = cymbals.datasets.load(data_folder("hetrec_lastfm2k"))
    names, audience = data.item_names.tolist(), np.diff(data.by_item().indptr)
    index, rng, hits = NameIndex(names, audience), random.Random(0), []
    known = [row for row in np.argsort(-audience)[:1000].tolist() if len(names[row]) > 5]
    for row in rng.sample(known, 200):
        name = names[row]
        at = rng.randrange(1, len(name) - 1)
        text = name[:at] + rng.choice(["", name[at + 1], "e"]) + name[at + 1 :]
        hits.append(row in index.find(text, 8))
    assert np.mean(hits) >= 0.95


def test_texts_are_found_by_their_beginning():
    index = BeginningIndex(["user 12", "Anna", "user 1", "ännchen", "b"])
    assert index.find("USER") == [2, 0]
    assert index.find("ann") == [1, 3]
    assert index.find("ann", 1) == [1]
    assert index.find("c") == []
    assert index.find("") == [1, 3, 4, 2, 0]
