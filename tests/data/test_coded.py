"""Ids of every kind, in every kind of frame, at every entry point: the matrix and the recommendations are the same."""

import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from cymbals import ALS, Interactions
from cymbals.data.coded import coded

pa = pytest.importorskip("pyarrow")
rng = np.random.default_rng(4)
USERS, ITEMS = rng.integers(0, 9, 60), rng.integers(0, 12, 60)
VALUES = rng.integers(1, 6, 60).astype(np.float64)
LATER = np.array([3, 40, 5]), np.array([41, 2, 11]), np.array([2.0, 1.0, 4.0])  # 40 and 41 are new


def text(n):
    return f"ü{n:03d}"


def key(n):
    return uuid.UUID(int=int(n) << 90 | 7)


# how each kind of id looks in the events, and what it is in the interactions
KINDS = {
    "int64": (int, int),
    "int32": (np.int32, int),
    "uint8": (np.uint8, int),
    "uint64": (np.uint64, int),
    "strings": (text, text),
    "bytes": (lambda n: text(n).encode(), text),
    "UUIDs": (key, lambda n: str(key(n))),
    "categories": (text, text),
    "whole categories": (int, int),
}


def column(kind, numbers):
    values = [KINDS[kind][0](n) for n in numbers]
    if kind in ("int64", "int32", "uint8", "uint64", "whole categories"):
        return np.array(values)
    return np.array(values, object)


def in_pandas(kind, numbers):
    series = pd.Series(column(kind, numbers))
    if "categories" in kind:  # one is unused, and they are not in rising order
        series = series.astype(pd.CategoricalDtype([KINDS[kind][0](n) for n in range(42, -1, -1)]))
    return series


def in_arrow(kind, numbers):
    if kind == "UUIDs":
        return pa.array([value.bytes for value in column(kind, numbers)], pa.uuid())
    array = pa.array(column(kind, numbers))
    if "categories" in kind:
        return pa.chunked_array([array[:17].dictionary_encode(), array[17:].dictionary_encode()])
    return array


def frame_of(make, kind, events):
    users, items, values = events
    return {"user": make(kind, users), "item": make(kind, items), "value": values}


def pandas_numpy(kind, events):
    return pd.DataFrame(frame_of(in_pandas, kind, events))


def pandas_nullable(kind, events):
    return pandas_numpy(kind, events).convert_dtypes()


def pandas_arrow(kind, events):
    columns = frame_of(in_arrow, kind, events)
    return pd.DataFrame(
        {
            name: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([c]) if isinstance(c, pa.Array) else c))
            for name, c in columns.items()
            if name != "value"
        }
        | {"value": columns["value"]}
    )


def pyarrow_table(kind, events):
    return pa.table(frame_of(in_arrow, kind, events))


def large_strings(kind, events):
    table = pyarrow_table(kind, events)
    if kind != "strings":
        pytest.skip("this kind of frame holds only strings")
    return table.cast(pa.schema([("user", pa.large_string()), ("item", pa.string_view()), ("value", pa.float32())]))


def arrow_stream(kind, events):
    table = pyarrow_table(kind, events)
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=13))


def polars_frame(kind, events):
    polars = pytest.importorskip("polars")
    if kind == "UUIDs":
        pytest.skip("Polars has no UUIDs")
    frame = polars.from_arrow(pyarrow_table(kind.replace("whole categories", "int64"), events))
    if kind == "categories":
        frame = frame.with_columns(polars.col("user").cast(polars.String).cast(polars.Categorical))
        names = [text(n) for n in range(42)]
        frame = frame.with_columns(polars.col("item").cast(polars.String).cast(polars.Enum(names)))
    return frame


def polars_lazy(kind, events):
    return polars_frame(kind, events).lazy()


def duckdb_relation(kind, events):
    duckdb = pytest.importorskip("duckdb")
    table = pyarrow_table(kind, events)
    return duckdb.from_arrow(table)


FRAMES = [
    pandas_numpy,
    pandas_nullable,
    pandas_arrow,
    pyarrow_table,
    large_strings,
    arrow_stream,
    polars_frame,
    polars_lazy,
    duckdb_relation,
]


def expected(kind):
    """What NumPy makes of the events: ids in rising order, and a dense matrix."""
    users, user_of = np.unique(USERS, return_inverse=True)
    items, item_of = np.unique(ITEMS, return_inverse=True)
    dense = np.zeros((users.size, items.size))
    np.add.at(dense, (user_of, item_of), VALUES)
    return [KINDS[kind][1](n) for n in users.tolist()], [KINDS[kind][1](n) for n in items.tolist()], dense


def check(data, kind):
    users, items, dense = expected(kind)
    assert data.user_ids.tolist() == users
    assert data.item_ids.tolist() == items
    assert np.array_equal(data.user_items.toarray(), dense)


def fitted(data):
    return ALS(factors=3, iterations=2, random_state=0).fit(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", FRAMES)
def test_every_frame_with_every_kind_of_id(make, kind):
    def frame(events=(USERS, ITEMS, VALUES)):
        return make(kind, events)

    data = Interactions.from_frame(frame())
    check(data, kind)
    if hasattr(frame(), "__arrow_c_stream__"):
        check(Interactions.from_arrow(frame()), kind)
    alike = Interactions.from_frame(frame(), like=data)
    assert (alike.user_items != data.user_items).nnz == 0

    want = Interactions.from_arrays(
        *(np.array([KINDS[kind][1](n) for n in c.tolist()], object) for c in (USERS, ITEMS)), VALUES
    )
    later = [[KINDS[kind][1](n) for n in c.tolist()] for c in LATER[:2]]
    grown, want_grown = data.append(frame(LATER)), want.append((*later, LATER[2]))
    assert grown.user_ids.tolist() == want_grown.user_ids.tolist()
    assert (grown.user_items != want_grown.user_items).nnz == 0

    model, want_model = fitted(data), fitted(want)
    model.update(frame(LATER))
    want_model.update((*later, LATER[2]))
    asked = column(kind, USERS[:3])
    got = model.recommend(asked, n=4)
    for one, other in zip(got, want_model.recommend([KINDS[kind][1](n) for n in USERS[:3].tolist()], n=4), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind(kind):
    for make in (column, in_pandas, in_arrow):
        check(Interactions.from_arrays(make(kind, USERS), make(kind, ITEMS), VALUES), kind)
    check(Interactions.from_arrays(column(kind, USERS).tolist(), column(kind, ITEMS).tolist(), VALUES.tolist()), kind)


def test_polars_without_pyarrow(monkeypatch):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"user": [text(n) for n in USERS], "item": ITEMS, "value": VALUES})
    want = Interactions.from_frame(frame)
    monkeypatch.setattr("cymbals.data.columns.find_spec", lambda name: None)
    got = Interactions.from_frame(frame)
    assert got.user_ids.tolist() == want.user_ids.tolist()
    assert (got.user_items != want.user_items).nnz == 0


@pytest.mark.parametrize("make", [np.int8, np.int16, np.int32, np.int64])
def test_codes_of_every_width(make):
    """pandas stores codes in the smallest type that fits. Unused categories make no rows."""
    categories = pd.Categorical.from_codes(make([5, 2, 5, 0]), [f"c{n}" for n in range(6)])
    got = coded("user", categories)
    assert got.ids.tolist() == ["c0", "c2", "c5"]
    assert got.places.tolist() == [2, 1, 2, 0]


def test_dictionaries_with_repeated_and_missing_values():
    given = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, 0], pa.uint8()), pa.array(["b", "a", "b", None]))
    with pytest.raises(ValueError, match="user: row 3 has no id"):
        coded("user", given)
    got = coded("user", given[:3])  # the missing value has no events
    assert got.ids.tolist() == ["a", "b"]
    assert got.places.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (pd.Series(["a", None], dtype="category"), ValueError, "row 1 has no id"),
        (pd.Series([None], dtype="category"), ValueError, "row 0 has no id"),
        (pd.Series([1, None], dtype="Int64"), ValueError, "row 1 has no id"),
        (pd.Series(["a", None], dtype="string[pyarrow]"), ValueError, "row 1 has no id"),
        (pa.array(["a", None]), ValueError, "row 1 has no id"),
        (pa.chunked_array([["a"], ["b", None]]), ValueError, "row 2 has no id"),
        (pa.array([1, None]), ValueError, "row 1 has no id"),
        (pa.array([1.5]), ValueError, "row 0 holds 1.5"),
        (pa.array([True]), TypeError, "bool"),
        (pa.array([[1]]), TypeError, "ids must be"),
        (pd.Series([1.5], dtype="category"), ValueError, "categories of user: row 0 holds 1.5"),
        ([b"a", b"\xff"], ValueError, r"row 1 holds b'\\xff', which is not text in UTF-8"),
        (["a", b"a"], TypeError, "row 1 holds b'a'"),
        ([key(1), "a"], TypeError, "row 1 holds 'a'"),
        ([key(1), key(2), None], ValueError, "row 2 has no id"),
        ([b"a", "b"], TypeError, "row 1 holds 'b'"),
        (pa.array([b"b", b"\xff", b"a"]), ValueError, r"user: row 1 holds b'\\xff'"),
        (pa.array([b"a\xff"]).cast(pa.string(), safe=False), ValueError, "not text in UTF-8"),
        (pa.array([Decimal("1.5")]), TypeError, "not all are whole numbers"),
        ([1, "a"], TypeError, "row 0 holds 1|row 1 holds 'a'"),
    ],
)
def test_wrong_ids(given, error, says):
    with pytest.raises(error, match=says):
        coded("user", given)


def test_empty_columns():
    kinds = (
        pa.array([], pa.string()),
        pa.chunked_array([], pa.int64()),
        pa.chunked_array([], pa.dictionary("int8", pa.string())),
    )
    for given in (*kinds, [], pd.Series([], dtype="category"), pd.Series([], dtype=str)):
        got = coded("user", given)
        assert got.ids.size == got.places.size == 0


def test_an_unknown_column_of_every_frame():
    for make in FRAMES:
        frame = make("strings", (USERS, ITEMS, VALUES))
        with pytest.raises(KeyError, match="item='song': no such column; the table has user, item, value"):
            Interactions.from_frame(frame, item="song")


def test_a_long_id_does_not_lengthen_the_others():
    """NumPy's own strings would take 4 bytes for each letter of the longest one, for each id."""
    ids = [f"u{n}" for n in range(300)] + ["x" * 50_000]
    data = Interactions.from_arrays(ids, [1] * len(ids))
    assert data.user_ids.dtype == object
    assert data.user_ids[-1] == ids[-1]


def test_codes_outside_a_dictionary_are_refused():
    """Arrow would read beyond the end of the dictionary when it unifies several."""
    for far in (5, 2**30, -1):
        parts = [
            pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int32()), ["a"]),
            pa.DictionaryArray.from_arrays(pa.array([0, far], pa.int32()), ["q"], safe=False),
        ]
        for column in (pa.chunked_array(parts), pa.chunked_array(parts[1:])):
            with pytest.raises(ValueError, match=f"user: row {len(column) - 1} has no id: its code is {far}"):
                coded("user", column)


def test_python_objects_in_polars_and_wide_numbers():
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    frame = polars.DataFrame({"user": [key(2), key(1)], "item": [1, 1], "value": [1.0, 2.0]})
    assert Interactions.from_frame(frame).user_ids.tolist() == [str(key(1)), str(key(2))]
    huge = duckdb.sql('select 5::HUGEINT as "user", 7::DECIMAL(9, 0) as item')
    assert Interactions.from_frame(huge, value=None).item_ids.tolist() == [7]
    assert coded("user", pd.Series(["b", "a"], dtype="string[pyarrow]").array).ids.tolist() == ["a", "b"]
    with pytest.raises(TypeError, match="events must be a frame"):
        Interactions.from_frame(duckdb.execute("select 1"))
