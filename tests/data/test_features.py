"""Features of users or items from the columns of a frame."""

import numpy as np
import pandas as pd
import pytest

import cymbals


def entries(made):
    """The set of (id, feature) pairs."""
    rows, columns = made.user_items.nonzero()
    return set(zip(made.user_ids[rows].tolist(), made.item_ids[columns].tolist(), strict=True))


FILMS = {
    "film": ["Alien", "Up", "Heat"],
    "genres": [["Horror", "SF"], ["Animation"], []],
    "country": ["GB", None, "US"],
    "year": [1979, 2009, 1995.0],
    "colour": [True, True, False],
}
WANTED = {
    ("Alien", "genres=Horror"),
    ("Alien", "genres=SF"),
    ("Up", "genres=Animation"),
    ("Alien", "country=GB"),
    ("Heat", "country=US"),
    ("Alien", "year=1970"),
    ("Up", "year=2000"),
    ("Heat", "year=1990"),
    ("Alien", "colour"),
    ("Up", "colour"),
}


def frames():
    yield FILMS
    yield pd.DataFrame(FILMS)
    polars = pytest.importorskip("polars")
    yield polars.DataFrame(FILMS, strict=False)
    yield pytest.importorskip("pyarrow").Table.from_pandas(pd.DataFrame(FILMS))


@pytest.mark.parametrize("frame", list(frames()), ids=lambda frame: type(frame).__module__.partition(".")[0])
def test_each_kind_of_column(frame):
    made = cymbals.features(frame, "film", widths={"year": 10})
    assert entries(made) == WANTED
    assert set(made.user_items.data) == {1.0}
    some = cymbals.features(frame, "film", ["country", "film"])
    assert entries(some) == {pair for pair in WANTED if pair[1].startswith("country")}


def test_a_feature_counts_once_for_each_row():
    made = cymbals.features({"id": [1, 2], "tags": [["a", "a"], {"b"}]}, "id")
    assert entries(made) == {(1, "tags=a"), (2, "tags=b")}
    assert made.user_items.max() == 1
    assert entries(cymbals.features({"id": [1], "x": [-0.5]}, "id", widths={"x": 0.25})) == {(1, "x=-0.5")}


@pytest.mark.parametrize(
    ("frame", "how", "error", "words"),
    [
        ({"id": [1], "x": [2]}, {}, ValueError, "column 'x' holds numbers: give the width of their ranges in widths"),
        ({"id": [1], "x": ["a"]}, {"widths": {"x": 2}}, ValueError, "column 'x' holds texts: it takes no width"),
        ({"id": [1], "x": [2]}, {"widths": {"x": 0}}, ValueError, "widths must be finite and above 0"),
        ({"id": [1], "x": [np.inf]}, {"widths": {"x": 1}}, ValueError, "column 'x' must be finite"),
        ({"id": [1], "x": ["a"]}, {"widths": {"y": 2}}, KeyError, "widths names 'y', which is not one of the columns"),
        (
            {"id": [1, 2], "x": ["a", 3]},
            {},
            TypeError,
            "column 'x' must hold values of one kind, but it holds numbers and texts",
        ),
        ({"id": [1], "x": [1j]}, {}, TypeError, "column 'x' must hold texts, lists, numbers or booleans, got"),
        ({"id": [1], "x": [None]}, {}, ValueError, "column 'x' holds nothing|no feature"),
        ({"id": [1]}, {}, ValueError, "columns must name at least one column"),
        (
            {"id": [1], "x": ["a"]},
            {"columns": "x"},
            TypeError,
            r"columns must be a list of columns, got 'x': write \['x'\]",
        ),
        ({"id": [1], "x": ["a"]}, {"columns": ["z"]}, KeyError, "no such column"),
        ({"x": ["a"]}, {}, KeyError, "id='id': no such column"),
    ],
)
def test_bad_frames_are_refused(frame, how, error, words):
    with pytest.raises(error, match=words):
        cymbals.features(frame, "id", **how)
