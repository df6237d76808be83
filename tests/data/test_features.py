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
    twice = cymbals.features({"id": [1, 1], "tag": ["a", "a"]}, "id")
    assert twice.user_items.toarray().tolist() == [[1.0]]
    assert entries(cymbals.features({"id": [1], "x": [-0.5]}, "id", widths={"x": 0.25})) == {(1, "x=-0.5")}


def test_ranges_of_numbers():
    large = cymbals.features({"id": [1, 2], "price": [1234567, 1234568]}, "id", widths={"price": 1})
    assert entries(large) == {(1, "price=1234567"), (2, "price=1234568")}
    tenths = cymbals.features({"id": [1, 2, 3], "x": [0.3, 0.6, 0.69]}, "id", widths={"x": 0.1})
    assert entries(tenths) == {(1, "x=0.3"), (2, "x=0.6"), (3, "x=0.6")}


def test_missing_values_make_no_feature():
    frame = {"id": [1, 2], "tags": [["a", None], ["b", float("nan")]], "year": [None, None]}
    assert entries(cymbals.features(frame, "id", widths={"year": 10})) == {(1, "tags=a"), (2, "tags=b")}


def test_streams_say_their_columns():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"id": [1, 2], "tag": ["a", "b"]})
    for frame in (table.to_reader(), table.to_batches()[0]):
        assert entries(cymbals.features(frame, "id")) == {(1, "tag=a"), (2, "tag=b")}


@pytest.mark.parametrize(
    ("frame", "how", "error", "words"),
    [
        ({"id": [1], "x": [2]}, {}, ValueError, "column 'x' holds numbers: give the width of their ranges in widths"),
        ({"id": [1], "x": ["a"]}, {"widths": {"x": 2}}, ValueError, "column 'x' holds texts: it takes no width"),
        ({"id": [1], "x": [2]}, {"widths": {"x": 0}}, ValueError, r"widths\['x'\] must be finite and above 0"),
        ({"id": [1], "x": [np.inf]}, {"widths": {"x": 1}}, ValueError, "column 'x' must be finite"),
        ({"id": [1], "x": ["a"]}, {"widths": {"y": 2}}, KeyError, "widths names 'y', which is not one of the columns"),
        (
            {"id": [1, 2], "x": ["a", 3]},
            {},
            TypeError,
            "column 'x' must hold values of one kind, but it holds numbers and texts",
        ),
        ({"id": [1], "x": [1j]}, {}, TypeError, "column 'x' must hold texts, lists, numbers or booleans, got"),
        ({"id": [1], "x": [None]}, {}, ValueError, "frame has no feature"),
        ({"id": [1], "x": [None]}, {"widths": {"x": 2}}, ValueError, "frame has no feature"),
        ({"id": [1], "x": [1e300]}, {"widths": {"x": 1e-9}}, ValueError, "holds 1e.300, for which the width 1e-09"),
        ({"id": [1], "x": [[["a"]]]}, {}, TypeError, "column 'x' must hold lists of texts, but one holds \\['a'\\]"),
        (iter([1]), {}, TypeError, "frame must be a frame, an Arrow stream or a dict of columns, got"),
        (np.ones((2, 2)), {}, TypeError, "frame must be a frame"),
        ({"id": [1, 2], "x": ["a"]}, {}, ValueError, "column 'x' has 1 values, but the column of ids, 'id', has 2"),
        (pd.DataFrame([[1, "a", "b"]], columns=["id", "x", "x"]), {}, ValueError, "columns: 'x' occurs more than once"),
        ({"id": [1], "x": ["a"]}, {"columns": 3}, TypeError, "columns must be a list of columns, got 3"),
        ({"id": [1], "x": ["a"]}, {"widths": 10}, TypeError, "widths must be a dict of columns to numbers, got 10"),
        ({"id": [1], "x": [False]}, {}, ValueError, "all values are missing, False, or empty lists"),
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
