"""Interactions.build: the store is that of `from_frame`, within bounded memory, and a build that is killed can go on."""

import decimal
import gzip
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_store import check_same

from cymbals import Interactions, datasets
from cymbals.data.building import sorting, steps
from cymbals.data.building.budget import Budget, memory_of

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
N = 4000


@pytest.fixture
def tiny(monkeypatch):
    """Runs and pieces of few events, and few ranges."""
    monkeypatch.setattr(Budget, "run", lambda self, timed, n: 301)
    monkeypatch.setattr(Budget, "piece", lambda self, timed, wide: 250)


def sides(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return rng.integers(-70, 300, n), rng.zipf(1.4, n) % 90


def table(users=lambda u: u, items=lambda i: i, values=None, times=None, n=N):
    u, i = sides(n=n)
    columns = {"user": pa.array(users(u)), "item": pa.array(items(i))}
    rng = np.random.default_rng(1)
    columns["value"] = pa.array(rng.exponential(3, n).astype(np.float32) if values is None else values(rng, n))
    if times is not None:
        columns["time"] = pa.array(times(rng, n))
    return pa.table(columns)


def texts(prefix):
    return lambda ids: [f"{prefix}é{one}" for one in ids.tolist()]


def spread(ids):
    return (ids * 0x1234567890ABCDF).astype(np.int64)


def late(ids):
    """A short range at first, and then a long one."""
    return np.where(np.arange(ids.size) < ids.size // 2, ids, spread(ids))


def dictionary(ids):
    return pa.array(texts("d")(ids)).dictionary_encode()


def uuids(ids):
    return pa.array([uuid.UUID(int=int(one) + 10**9).bytes for one in ids], pa.uuid())


TABLES = {
    "whole numbers": lambda: table(),
    "texts": lambda: table(texts("u"), texts("i")),
    "large texts": lambda: table(lambda u: pa.array(texts("u")(u), pa.large_string())),
    "views of texts": lambda: table(lambda u: pa.array(texts("u")(u), pa.string_view())),
    "bytes": lambda: table(lambda u: [one.encode() for one in texts("u")(u)]),
    "dictionaries": lambda: table(dictionary, dictionary),
    "dictionaries of numbers": lambda: table(lambda u: pa.array(u).dictionary_encode()),
    "uuids": lambda: table(uuids),
    "spread numbers": lambda: table(spread, spread),
    "numbers that spread later": lambda: table(late, late),
    "small types": lambda: table(lambda u: (u + 70).astype(np.uint16), lambda i: i.astype(np.int8)),
    "unsigned": lambda: table(lambda u: (u + 70).astype(np.uint64)),
    "floats as ids": lambda: table(lambda u: u.astype(np.float64)),
    "decimals as ids": lambda: table(lambda u: [decimal.Decimal(int(one)) for one in u]),
    "extreme ids": lambda: table(lambda u: np.where(u < -68, -(2**63), np.where(u > 298, 2**63 - 1, u))),
    "one user": lambda: table(lambda u: np.full(u.size, 7), n=240),
    "one item": lambda: table(items=lambda i: np.full(i.size, 7)),
    "one event": lambda: table(n=1),
    "no events": lambda: table(n=0),
    "no events, texts": lambda: table(lambda u: pa.array([], pa.string()), lambda i: pa.array([], pa.string()), n=0),
    "counts": lambda: table(values=lambda rng, n: rng.integers(1, 300, n)),
    "ones": lambda: table(values=lambda rng, n: np.ones(n, np.int32)),
    "booleans": lambda: table(values=lambda rng, n: rng.random(n) < 0.5),
    "negative counts": lambda: table(values=lambda rng, n: rng.integers(-300, 300, n)),
    "zeros with signs": lambda: table(values=lambda rng, n: rng.choice([0.0, -0.0, 1.0], n).astype(np.float32)),
    "float64": lambda: table(values=lambda rng, n: rng.normal(size=n)),
    "whole float64": lambda: table(values=lambda rng, n: rng.integers(1, 9, n).astype(np.float64)),
    "float16": lambda: table(values=lambda rng, n: rng.random(n).astype(np.float16)),
    "large counts": lambda: table(values=lambda rng, n: rng.integers(1, 2**40, n)),
    "one large count": lambda: table(values=lambda rng, n: np.where(np.arange(n) == n - 5, 2**24 + 1, 3)),
    "sums of counts that need float64": lambda: table(values=lambda rng, n: rng.integers(2**22, 2**23, n)),
    "a sum of 2 ** 24": lambda: one_pair([2**24 - 5, 5]),
    "a sum of 2 ** 24 + 1": lambda: one_pair([2**24 - 5, 6]),
    "large float32 that cancel": lambda: one_pair(np.array([2.0**26, 3, -(2.0**26)], np.float32)),
    "large float32": lambda: one_pair(np.array([2.0**24, 3], np.float32)),
    "huge float32": lambda: one_pair(np.array([3e38, 3e38], np.float32)),
    "decimals": lambda: table(values=lambda rng, n: [decimal.Decimal(int(v)) / 4 for v in rng.integers(1, 99, n)]),
    "times": lambda: table(times=lambda rng, n: rng.integers(0, 10**6, n)),
    "long times": lambda: table(times=lambda rng, n: rng.integers(-(2**62), 2**62, n)),
    "float times": lambda: table(times=lambda rng, n: rng.normal(size=n)),
    "dates": lambda: table(times=lambda rng, n: rng.integers(0, 10**9, n).astype("M8[s]")),
    "days": lambda: table(times=lambda rng, n: rng.integers(0, 10**4, n).astype("M8[D]")),
    "times with a zone": lambda: table(
        times=lambda rng, n: pa.array(rng.integers(0, 10**9, n), pa.timestamp("ms", "Europe/Paris"))
    ),
    "times without events": lambda: table(times=lambda rng, n: np.zeros(0, "M8[ns]"), n=0),
}


def one_pair(values):
    """Many events, and a pair with these values, far apart."""
    values = np.asarray(values)
    u, i = sides()
    v = np.full(N, 1, values.dtype)
    at = np.linspace(10, N - 10, values.size).astype(int)
    u[at], i[at], v[at] = 10_000, 1000, values
    return pa.table({"user": u, "item": i, "value": v})


def built(source, out, **how):
    return Interactions.build(source, out, **how)


def timed(events):
    return "time" if "time" in events.schema.names else None


@pytest.mark.parametrize("size", ["large", "tiny"])
@pytest.mark.parametrize("kind", TABLES)
def test_the_store_is_that_of_from_frame(kind, size, tmp_path, request):
    if size == "tiny":
        request.getfixturevalue("tiny")
    events = TABLES[kind]()
    got = built(events, tmp_path / "s", time=timed(events))
    check_same(got, Interactions.from_frame(events, time=timed(events)))
    assert sorted(os.listdir(tmp_path)) == ["s"]
    assert not [name for name in os.listdir(tmp_path / "s") if name.endswith(("spill", "part"))]


@given(
    st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 12), st.floats(-(2.0**100), 2.0**100, width=32)), max_size=120),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["numbers", "spread", "texts"]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_events(tmp_path_factory, events, run, piece, kind, whole):
    how = {"numbers": lambda a: a, "spread": spread, "texts": lambda a: pa.array(texts("x")(a), pa.string())}[kind]
    u, i, v = (np.array([one[at] for one in events], [np.int64, np.int64, np.float32][at]) for at in range(3))
    v = np.rint(v / 2.0**76).astype(np.float32) if whole else v
    frame = pa.table({"user": how(u), "item": how(i), "value": v})
    most = max([piece, *np.unique(u, return_counts=True)[1].tolist()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Budget, "run", lambda self, timed, n: run)
        patch.setattr(Budget, "piece", lambda self, timed, wide: most)
        patch.setattr(steps, "_MOST_RANGES", 3)
        out = tmp_path_factory.mktemp("any") / "s"
        check_same(built(frame, out), Interactions.from_frame(frame))


# -- sources -------------------------------------------------------------------------------------------------------------


def as_file(events, folder):
    parquet.write_table(events, folder / "events.parquet", row_group_size=700)
    return folder / "events.parquet"


def as_list(events, folder):
    paths = []
    for number in range(3):
        part = events.slice(number * 1500, 1500)
        parquet.write_table(part, folder / f"{9 - number}.parquet")
        paths.append(str(folder / f"{9 - number}.parquet"))
    return paths


def as_folder(events, folder):
    for number in range(4):
        (folder / "events" / f"part={number}").mkdir(parents=True)
        parquet.write_table(events.slice(number * 1000, 1000), folder / "events" / f"part={number}" / "a.parquet")
    (folder / "events" / "_SUCCESS").write_text("")
    (folder / "events" / ".a.parquet.crc").write_text("")
    return folder / "events"


def as_batches(events, folder):
    return (batch for batch in [*events.to_batches(max_chunksize=333), events.schema.empty_table().to_batches()][:-1])


def as_reader(events, folder):
    batches = events.to_batches(max_chunksize=333)
    empty = [pa.RecordBatch.from_pylist([], events.schema)]
    return pa.RecordBatchReader.from_batches(events.schema, empty + batches[:5] + empty + batches[5:] + empty)


def as_polars(events, folder):
    return pytest.importorskip("polars").from_arrow(events)


def as_lazy_polars(events, folder):
    return as_polars(events, folder).lazy()


def as_pandas(events, folder):
    return events.to_pandas()


def as_duckdb(events, folder):
    return pytest.importorskip("duckdb").from_arrow(events)


def as_uri(events, folder):
    return as_file(events, folder).as_uri()


SOURCES = {name[3:]: make for name, make in list(globals().items()) if name.startswith("as_")}


@pytest.mark.parametrize("size", ["large", "tiny"])
@pytest.mark.parametrize("ids", ["numbers", "texts"])
@pytest.mark.parametrize("kind", SOURCES)
def test_sources(kind, ids, size, tmp_path, request):
    if size == "tiny":
        request.getfixturevalue("tiny")
    events = table() if ids == "numbers" else table(texts("u"), texts("i"))
    got = built(SOURCES[kind](events, tmp_path), tmp_path / "s")
    check_same(got, Interactions.from_frame(events))


def test_file_systems(tmp_path):
    from pyarrow import fs

    events = table()
    as_folder(events, tmp_path)
    below = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    for source, system in (("events", below), (["events/part=0", "events/part=1/a.parquet"], below)):
        want = events if source == "events" else events.slice(0, 2000)
        check_same(built(source, tmp_path / "s", filesystem=system), Interactions.from_frame(want))
    check_same(built(str(tmp_path / "events"), tmp_path / "s", filesystem="file:///"), Interactions.from_frame(events))


def test_parts_of_paths_are_columns(tmp_path):
    events = table()
    for number in range(4):
        place = tmp_path / "events" / f"day={number}" / f"kind={'ab'[number % 2]}"
        place.mkdir(parents=True)
        parquet.write_table(events.slice(number * 1000, 1000), place / "a.parquet")
    days = np.repeat(np.arange(4, dtype=np.int32), 1000)
    kinds = np.array(list("abab"))[days]
    got = built(tmp_path / "events", tmp_path / "s", time="day", item="kind")
    check_same(got, Interactions.from_arrays(sides()[0], kinds, events["value"].to_numpy(), times=days))


def test_other_names_and_no_values(tmp_path, tiny):
    events = table(texts("u")).rename_columns(["who", "what", "plays"])
    names = {3: "three", 5: "five", 1000: "nobody"}
    how = {"user": "who", "item": "what", "value": None, "item_names": names}
    check_same(built(events, tmp_path / "s", **how), Interactions.from_frame(events, **how))
    names = {"ié3": "three"}
    events = table(items=texts("i"))
    check_same(built(events, tmp_path / "s", item_names=names), Interactions.from_frame(events, item_names=names))


def test_files_with_other_types_become_those_of_the_first(tmp_path):
    events = table()
    (tmp_path / "e").mkdir()
    for number, kind in enumerate((pa.int64(), pa.int32(), pa.int16())):
        part = events.slice(number * 1000, 1000)
        part = part.set_column(0, "user", part["user"].cast(kind))
        parquet.write_table(part, tmp_path / "e" / f"{number}.parquet")
    check_same(built(tmp_path / "e", tmp_path / "s"), Interactions.from_frame(events.slice(0, 3000)))


CSV = {
    "numbers": "user,item,value\n3,7,1\n3,7,2\n-1,7,5\n",
    "texts": "user,item,value\na,7,1\nNA,007,2\na,7,5\n",
    "numbers with zeros": "user,item,value\n3.0,7,1\n4,7,2\n",
    "twice the same number": "user,item,value\n3.0,7,1\n3,7,2\n",
    "a minus zero": "user,item,value\n-0,7,1\n3,7,2\n",
    "long numbers": "user,item,value\n9223372036854775808,7,1\n3,7,2\n",
    "fractions": "user,item,value\n1,7,1\n3,7,2.5\n",
    "other columns": "x,item,user,value,y\n1,2,3,4,5\n6,7,8,9,0\n",
    "times": "user,item,value,time\n1,2,3,2005-05-31\n1,2,3,2005-06-01\n2,2,3,2001-01-01\n",
    "moments": "user,item,value,time\n1,2,3,2005-05-31T12:00:00Z\n2,2,3,2001-01-01T00:00:00Z\n",
    "seconds": "user,item,value,time\n1,2,3,1117540800\n2,2,3,978307200\n",
    "quotes": 'user,item,value\n"a, b",7,1\n"c\nd",8,2\n',
    "a byte order mark": "\ufeffuser,item,value\n1,7,1\n",
}


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("kind", CSV)
def test_text_files_are_read_as_load_reads_them(kind, ending, tmp_path):
    text = CSV[kind].replace(",", "\t") if ending == ".tsv" else CSV[kind]
    path = tmp_path / f"events{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    time = "time" if "time" in text else None
    want = datasets.load(path, time=time)
    got = built(path, tmp_path / "s", time=time)
    check_same(got, want)


def test_rows_with_too_many_fields_are_counted(tmp_path):
    (tmp_path / "e.csv").write_text("user,item,value\n1,2,3\n1,2\n1,2,3,4\n2,2,1\n")
    with pytest.warns(UserWarning, match=r"e\.csv: 2 rows rejected"):
        got = built(tmp_path / "e.csv", tmp_path / "s")
    with pytest.warns(UserWarning, match="2 rows rejected"):
        check_same(got, datasets.load(tmp_path / "e.csv"))


def test_a_fraction_late_in_text_files(tmp_path, tiny, monkeypatch):
    from cymbals.data.building import sources

    monkeypatch.setattr(sources, "_BLOCK", 2000)
    u, i = sides()
    values = np.where(np.arange(N) == N - 3, 0.5, 2)
    frame = pd.DataFrame({"user": u, "item": i, "value": [f"{v:g}" for v in values]})
    (tmp_path / "e").mkdir()
    frame[:2000].to_csv(tmp_path / "e" / "a.csv", index=False)
    frame[2000:].to_csv(tmp_path / "e" / "b.tsv", index=False, sep="\t")
    got = built(tmp_path / "e", tmp_path / "s")
    assert got.report.pop("lines_rejected") == 0
    check_same(got, Interactions.from_arrays(u, i, values))


# -- errors --------------------------------------------------------------------------------------------------------------


def with_bad(column, value, row=2345):
    columns = {name: table().column(name).to_pylist() for name in ("user", "item", "value")}
    columns[column][row] = value
    return pa.table(columns)


@pytest.mark.parametrize("kind", ["file", "list", "reader"])
def test_errors_name_the_file_and_the_row(kind, tmp_path, tiny):
    row, where = (
        (2345, r"events\.parquet") if kind == "file" else (845, r"8\.parquet") if kind == "list" else (2345, "the stream")
    )
    for column, value, words in (
        ("user", None, "user: row {} has no id"),
        ("item", None, "item: row {} has no id"),
        ("value", float("nan"), "column 'value', row {} holds nan"),
        ("value", float("inf"), "column 'value', row {} holds inf .user -?[0-9]+, item [0-9]+."),
        ("value", None, "column 'value', row {} holds nan"),
    ):
        source = SOURCES[kind](with_bad(column, value), tmp_path)
        with pytest.raises(ValueError, match=f"{where}: " + words.format(row)):
            built(source, tmp_path / "s")
        assert os.listdir(tmp_path / "s") == ["store.lock"]
        assert not list(tmp_path.glob(".*"))


def test_a_failed_build_keeps_the_old_store(tmp_path):
    want = built(table(), tmp_path / "s")
    with pytest.raises(ValueError, match="has no id"):
        built(with_bad("user", None), tmp_path / "s")
    check_same(Interactions.open(tmp_path / "s"), want)


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path):
    path = as_file(table(), tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    (tmp_path / "bad.parquet").write_text("x")
    (tmp_path / "twice.csv").write_text("user,user,item,value\n1,1,2,3\n")
    (tmp_path / "a.csv").write_text("user,item,value\n1,2,3\n")
    for source, how, kind, words in (
        (path, {"user": "who"}, KeyError, "user='who': no such column; the table has user, item, value"),
        (path, {"value": "plays"}, KeyError, "value=None .* counts every row as 1"),
        (table(), {"item": "what"}, KeyError, "item='what'"),
        (iter(table().to_batches()), {"item": "what"}, KeyError, "item='what'"),
        (tmp_path / "a.csv", {"item": "what"}, KeyError, "item='what'"),
        (tmp_path / "twice.csv", {}, ValueError, "'user' occurs more than once"),
        (path, {"user": None}, TypeError, "user must name a column"),
        (path, {"memory": "lots"}, ValueError, "memory must be a number of bytes, or a text such as '4GB'"),
        (path, {"memory": "10MB"}, ValueError, "memory must be at least 68 MB, got 10 MB"),
        (path, {"memory": 2.5}, TypeError, "memory must be a number of bytes"),
        (path, {"temporary": tmp_path / "absent"}, FileNotFoundError, "temporary must be a folder"),
        (path, {"item_names": ["x"]}, TypeError, "item_names must map"),
        (path, {"progress": 1}, TypeError, "progress must be True or False"),
        (tmp_path / "absent.parquet", {}, FileNotFoundError, "no such file or folder"),
        (tmp_path / "notes.txt", {}, ValueError, r"must end in \.parquet"),
        (tmp_path / "empty", {}, FileNotFoundError, r"holds no \.parquet, \.csv or \.tsv files"),
        (tmp_path / "other", {}, FileNotFoundError, r"it has notes\.txt"),
        (tmp_path / "bad.parquet", {}, ValueError, r"bad\.parquet: cannot be read as Parquet"),
        ([path, tmp_path / "a.csv"], {}, ValueError, "several kinds"),
        (3, {}, TypeError, "source must be a path"),
        ([1, 2], {}, TypeError, "element 0 is int"),
        (table(), {"filesystem": "file:///"}, TypeError, "filesystem is only for paths"),
    ):
        with pytest.raises(kind, match=words):
            built(source, tmp_path / "s", **how)
        left = os.listdir(tmp_path / "s") if (tmp_path / "s").exists() else []
        assert left in ([], ["store.lock"])
    assert not list(tmp_path.glob(".*"))


def test_batches_of_other_types_are_refused(tmp_path):
    first, second = table().to_batches()[0], table(texts("u")).to_batches()[0]
    with pytest.raises(TypeError, match="batch 1 has another type of column 'user'"):
        built(iter([first, second]), tmp_path / "s")


def test_memory_that_is_too_small(tmp_path, monkeypatch):
    with pytest.raises(MemoryError, match=r"the tables of ids take .* give at least memory='[0-9]+MB'"):
        built(many_ids(), tmp_path / "s", memory="68MB")
    monkeypatch.setattr(Budget, "piece", lambda self, timed, wide: 100)
    events = table(lambda u: np.where(u < 50, 7, u))
    with pytest.raises(MemoryError, match=r"user 7 has [0-9,]+ events, .* give at least memory='[0-9]+MB'"):
        built(events, tmp_path / "s", memory="68MB")
    assert not list(tmp_path.glob(".*"))


def many_ids():
    n = 700_000
    return pa.table({"user": spread(np.arange(n)), "item": np.zeros(n, np.int64), "value": np.ones(n)})


def test_sums_that_are_too_large(tmp_path, tiny):
    events = one_pair(np.array([3e38, 3e38, 0.5], np.float32))
    with pytest.raises(ValueError, match="add up to inf: too large") as want:
        Interactions.from_frame(events)
    with pytest.raises(ValueError, match="add up to inf: too large") as got:
        built(events, tmp_path / "s")
    assert str(got.value) == str(want.value)
    with pytest.raises(ValueError, match="too large"):
        built(as_file(events, tmp_path), tmp_path / "s")
    assert not list(tmp_path.glob(".*"))  # to go on would lead to the same error


def test_a_full_disk(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1000))
    path = as_file(table(), tmp_path)
    with pytest.raises(OSError, match=r"4,000 events may take 1 MB in .* and it has 1 MB; free some room"):
        built(path, tmp_path / "s")


def test_memory_as_text():
    for text, n in (("4GB", 4 * 10**9), ("512 MB", 512 * 10**6), ("1.5g", 1_500_000_000), ("1GiB", 2**30)):
        assert memory_of(text).memory == n
    assert memory_of(10**9).memory == 10**9


def test_two_builds_of_one_store(tmp_path):
    from cymbals.data import store

    built(table(), tmp_path / "s")
    with store._alone(tmp_path / "s"), pytest.raises(BlockingIOError, match="another process is writing this store"):
        built(table(), tmp_path / "s")


def test_foreign_files_in_the_temporary_folder_are_kept(tmp_path):
    (tmp_path / ".s.building").mkdir()
    (tmp_path / ".s.building" / "thesis.doc").write_text("x")
    with pytest.raises(FileExistsError, match=r"other files than those of a build, such as thesis\.doc"):
        built(table(), tmp_path / "s")
    assert (tmp_path / ".s.building" / "thesis.doc").exists()


def test_progress(tmp_path, tiny, capsys):
    built(as_file(table(), tmp_path), tmp_path / "s", progress=True)
    shown = capsys.readouterr().err
    assert "read events (millions) 1/1" in shown
    assert "sort by user" in shown
    assert "sort by item" in shown
    built(table().to_reader(), tmp_path / "s", progress=True)
    assert "read events (millions) 1\n" in capsys.readouterr().err


# -- builds that are broken off --------------------------------------------------------------------------------------------


def broken_off(monkeypatch, step, *args, **how):
    """Run a build that fails in a step."""

    def fail(*_args, **_how):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sorting, step, fail)
        with pytest.raises(OSError, match="No space left"):
            built(*args, **how)


def count_reads(monkeypatch):
    """A list that grows by an element for each build that reads its source."""
    reads, real = [], steps._Build._read_events
    monkeypatch.setattr(steps._Build, "_read_events", lambda self: (reads.append(1), real(self))[1])
    return reads


@pytest.mark.parametrize("ids", ["numbers", "texts", "spread"])
@pytest.mark.parametrize("step", ["by_user", "by_item"])
def test_a_build_goes_on_behind_the_last_finished_step(step, ids, tmp_path, tiny, monkeypatch):
    how = {"numbers": lambda a: a, "texts": texts("x"), "spread": spread}[ids]
    events = table(how, how, times=lambda rng, n: rng.integers(0, 9, n))
    path = as_file(events, tmp_path)
    old = built(table(n=50), tmp_path / "s")
    reads = count_reads(monkeypatch)
    broken_off(monkeypatch, step, path, tmp_path / "s", time="time")
    check_same(Interactions.open(tmp_path / "s"), old)
    sorts, real = [], sorting.by_user
    monkeypatch.setattr(sorting, "by_user", lambda *args: (sorts.append(1), real(*args))[1])
    check_same(built(path, tmp_path / "s", time="time"), Interactions.from_frame(events, time="time"))
    assert len(reads) == 1
    assert len(sorts) == (step == "by_user")
    assert not list(tmp_path.glob(".*"))
    assert len(os.listdir(tmp_path / "s")) == 2 + 7 + (4 if ids == "texts" else 2)


def test_other_arguments_or_a_changed_source_begin_anew(tmp_path, tiny, monkeypatch):
    path = as_file(table(), tmp_path)
    reads = count_reads(monkeypatch)
    broken_off(monkeypatch, "by_item", path, tmp_path / "s")
    events = table(times=lambda rng, n: rng.integers(0, 9, n))
    os.utime(path, ns=(1, 1))
    check_same(built(path, tmp_path / "s"), Interactions.from_frame(table()))
    assert len(reads) == 2
    broken_off(monkeypatch, "by_item", path, tmp_path / "s")
    check_same(built(path, tmp_path / "s", value=None), Interactions.from_frame(table(), value=None))
    assert len(reads) == 4
    as_file(events, tmp_path)
    broken_off(monkeypatch, "by_user", path, tmp_path / "s")
    check_same(built(events, tmp_path / "s"), Interactions.from_frame(events))
    assert len(reads) == 6


@pytest.mark.parametrize("name", ["journal.json", "events.index.npy", "users.begins.npy", "entries.spill", "by_user.data"])
def test_damaged_or_missing_temporary_files(name, tmp_path, tiny, monkeypatch):
    path = as_file(table(), tmp_path)
    for damage in ("changed", "missing") if name != "by_user.data" else ("missing",):
        broken_off(monkeypatch, "by_item", path, tmp_path / "s")
        (place,) = (tmp_path / "s").glob("by_user.data.*") if name == "by_user.data" else [tmp_path / ".s.building" / name]
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 1
        place.unlink()
        if damage == "changed":
            place.write_bytes(content)
        if (name, damage) == ("entries.spill", "changed"):
            with pytest.raises(OSError, match=r"entries\.spill was altered .*; build the store again"):
                built(path, tmp_path / "s")
            assert not list(tmp_path.glob(".*"))
        check_same(built(path, tmp_path / "s"), Interactions.from_frame(table()))


BUILD = """
import sys
from cymbals import Interactions
from cymbals.data.building.budget import Budget
Budget.run = lambda self, timed, n: 3001
Budget.piece = lambda self, timed, wide: 2500
print("ready", flush=True)
Interactions.build(sys.argv[1], sys.argv[2], time="time")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_builds_that_are_killed(tmp_path):
    events = table(times=lambda rng, n: rng.integers(0, 9, n), n=60_000)
    path = as_file(events, tmp_path)
    want, old = Interactions.from_frame(events, time="time"), built(table(n=50), tmp_path / "s")
    rng = np.random.default_rng(int(time.time()))
    command = [sys.executable, "-c", BUILD, str(path), str(tmp_path / "s")]
    killed = 0
    for attempt in range(12):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.12 + 0.06 * attempt))
            process.send_signal(signal.SIGKILL)
        killed += process.returncode != 0
        found = Interactions.open(tmp_path / "s")
        check_same(found, want if found.nnz == want.nnz else old)
    assert killed
    check_same(built(path, tmp_path / "s", time="time"), want)
    assert not list(tmp_path.glob(".*"))


# -- memory --------------------------------------------------------------------------------------------------------------

MEMORY = """
import sys, threading
from pathlib import Path
import pyarrow.dataset
from cymbals.data import building

def used():
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

peak, stop = [], threading.Event()

def watch():
    while not stop.wait(0.01):
        peak.append(used())

before = used()
thread = threading.Thread(target=watch)
thread.start()
named = {"user": "user", "item": "item", "value": "value", "time": None}
building.build(sys.argv[1], sys.argv[2], named, lambda ids: None, sys.argv[3], None, False, 2, None)
stop.set()
thread.join()
print(before, max(peak))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has /proc/self/status")
@pytest.mark.parametrize("ids", ["numbers", "spread", "texts"])
def test_memory_stays_within_the_budget(ids, tmp_path):
    n, rng = 3_000_000, np.random.default_rng(0)
    u, i = rng.integers(0, 60_000, n), rng.integers(0, 9000, n)
    if ids == "spread":
        u, i = spread(u), spread(i)
    if ids == "texts":
        u, i = (pa.array(texts("x")(np.arange(60_000))).take(pa.array(side)) for side in (u, i))
    events = pa.table({"user": u, "item": i, "value": rng.random(n).astype(np.float32)})
    parquet.write_table(events, tmp_path / "e.parquet", row_group_size=100_000)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "e.parquet"), str(tmp_path / "s"), "100MB"]
    before, peak = map(int, subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split())
    print(f"{before / 1e6:.0f} MB before, at most {peak / 1e6:.0f} MB")
    assert peak - before < 100e6 + 100e6  # the budget, and what libraries keep
    check_same(Interactions.open(tmp_path / "s"), Interactions.from_frame(events))
