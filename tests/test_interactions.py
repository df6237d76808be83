"""Data in: frames, arrays, matrices; ids, names, merging, splits, and the files people have."""

import gc
import gzip
import weakref

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import random_matrix

import cymbals
from cymbals import Interactions, datasets, split
from cymbals.data.ids import Ids


def test_frame_pairs_are_summed_and_ids_kept():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"u": rng.integers(5, 90, 3000), "i": rng.integers(-4, 60, 3000), "v": rng.integers(1, 50, 3000)})
    data = Interactions.from_frame(
        df, user="u", item="i", value="v", item_names={-4: "minus four", 7: "seven", 999: "nobody"}
    )
    want = df.pivot_table(index="u", columns="i", values="v", aggfunc="sum").fillna(0)
    assert np.array_equal(data.user_items.toarray(), want.to_numpy())
    assert data.user_ids.tolist() == want.index.tolist()
    assert data.item_ids.tolist() == want.columns.tolist()
    assert np.array_equal(data.item_users.toarray(), want.to_numpy().T)
    assert data.user_items.indptr.dtype == np.int64
    assert data.user_items.has_sorted_indices
    assert data.item_names[0] == "minus four"
    assert data.name_of(data.item_ids.tolist().index(7)) == "seven"
    assert data.name_of(1) == str(data.item_ids[1])
    assert data.report == {"rows": 3000, "pairs": data.nnz}


def test_strings_counts_and_series():
    df = pd.DataFrame({"user": ["b", "a", "b"], "item": ["x", "y", "x"]})
    data = Interactions.from_frame(df, value=None, item_names=pd.Series({"x": "Ex", "y": None}))
    assert data.user_ids.tolist() == ["a", "b"]
    assert data.user_items.toarray().tolist() == [[0, 1], [2, 0]]
    assert data.item_names.tolist() == ["Ex", None]


def test_counts_stay_exact():
    big = Interactions.from_arrays([0, 0, 1], [0, 0, 0], [2**24, 1, 3])
    assert big.user_items.data.tolist() == [2**24 + 1, 3]
    small = Interactions.from_arrays([0, 0], [0, 0], [2, 3])
    assert small.user_items.dtype == np.float32
    assert Interactions.from_arrays([0], [0], np.array([0.1])).user_items.dtype == np.float64


@pytest.mark.parametrize(
    "make", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_matrix, sp.lil_array, sp.dok_array, sp.bsr_array]
)
def test_any_scipy_matrix(make):
    dense = random_matrix((9, 12)).toarray()
    data = Interactions.from_csr(make(dense))
    assert np.array_equal(data.user_items.toarray(), dense)
    for dtype in (bool, np.int8, np.int64, np.uint16, np.float64):
        assert np.array_equal(Interactions.from_csr(make(dense).astype(dtype)).user_items.toarray(), dense.astype(dtype))


def test_unsorted_and_repeated_entries_and_wide_indices():
    for index in (np.int32, np.int64):
        m = sp.csr_array(
            (np.ones(5, np.float32), np.array([2, 0, 2, 1, 1], index), np.array([0, 3, 5], index)), shape=(2, 3)
        )
        before = m.indices.copy()
        assert Interactions.from_csr(m).user_items.toarray().tolist() == [[1, 0, 2], [0, 2, 0]]
        assert np.array_equal(m.indices, before), "the input was changed"


def test_read_only_and_strided_input():
    m = random_matrix((30, 20))
    for part in (m.data, m.indices, m.indptr):
        part.flags.writeable = False
    assert Interactions.from_csr(m).nnz == m.nnz
    wide = np.arange(40).reshape(20, 2)
    assert Interactions.from_arrays(wide[:, 0], wide[:, 1]).nnz == 20
    assert not Interactions.from_csr(m).user_items.data.flags.writeable


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_array, "interactions"])
def test_splits_keep_shape_type_and_every_entry(kind):
    matrix = random_matrix((60, 40), 0.3)
    data = Interactions.from_csr(matrix, user_ids=np.arange(60) + 100) if kind == "interactions" else kind(matrix)
    plain = (lambda d: d.user_items) if kind == "interactions" else (lambda d: d)
    for cut in (lambda s: split.random(data, 0.25, s), lambda s: split.leave_k_out(data, 2, s)):
        train, test = cut(0)
        assert type(train) is type(test) is type(data)
        assert train.shape == test.shape == data.shape
        assert np.array_equal((plain(train) + plain(test)).toarray(), matrix.toarray())
        assert plain(train).nnz + plain(test).nnz == matrix.nnz
        again, other = cut(0)[1], cut(1)[1]
        assert np.array_equal(plain(test).toarray(), plain(again).toarray())
        assert not np.array_equal(plain(test).toarray(), plain(other).toarray())
    assert plain(split.random(data, 0.25)[1]).nnz == round(0.25 * matrix.nnz)
    held = np.diff(sp.csr_array(plain(split.leave_k_out(data, 2)[1])).indptr)
    lengths = np.diff(matrix.indptr)
    assert np.array_equal(held, np.where(lengths > 2, 2, 0))
    if kind == "interactions":
        assert train.user_ids.tolist() == data.user_ids.tolist()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables(tmp_path, suffix):
    df = pd.DataFrame({"who": [3, 1, 3], "what": ["a", "NA", "a"], "n": [1.5, 2, 3]})
    path = tmp_path / f"plays{suffix}"
    df.to_parquet(path) if suffix == ".parquet" else df.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)
    data = datasets.load(path, user="who", item="what", value="n")
    assert data.item_ids.tolist() == ["NA", "a"]
    assert data.user_items.toarray().tolist() == [[2, 0], [0, 4.5]]


def test_ids_of_a_table_stay_as_written(tmp_path):
    for texts, want in (
        (["007", "7", "12"], ["007", "12", "7"]),
        (["3", "-4", "12"], [-4, 3, 12]),
        (["1.0", "2.0", "10.0"], [1, 2, 10]),
        (["NA", "null", "x"], ["NA", "null", "x"]),
        (["9223372036854775807", "1", "2"], [1, 2, 2**63 - 1]),
        (["9223372036854775808", "1", "2"], ["1", "2", "9223372036854775808"]),
    ):
        (tmp_path / "t.csv").write_text("user,item,value\n" + "".join(f"{t},5,1\n" for t in texts))
        data = cymbals.datasets.load(tmp_path / "t.csv")
        assert data.user_ids.tolist() == want
        assert data.item_ids.tolist() == [5]
    assert cymbals.datasets.load(tmp_path / "t.csv", value=None).csr.data.tolist() == [1, 1, 1]


def test_parts_of_a_matrix_may_be_changed():
    train, test = cymbals.split.random(random_matrix((20, 10)), 0.3)
    for part in (train, test):
        part.data[0] = 9
        part.indices[0] = part.indices[0]
        assert part.data[0] == 9


def test_blocks_hold_no_entries_that_nobody_stored():
    dense = np.array([[1, 0, 0, 2], [0, 3, 0, 0]], np.float32)
    assert Interactions.from_csr(sp.bsr_array(dense, blocksize=(2, 2))).nnz == 3


def test_hetrec(data_folder):
    data = datasets.load(data_folder("hetrec_lastfm2k"))
    assert data.shape == (1892, 17632)
    assert data.nnz == 92834
    assert data.user_items.max() == 352698
    assert data.name_of(0) == "MALICE MIZER"


def write_dump(folder, plays, artists=b"", aliases=b"", small=False):
    end = "_small.txt" if small else ".txt"
    for name, text in (("user_artist_data", plays), ("artist_data", artists), ("artist_alias", aliases)):
        (folder / f"{name}{end}").write_bytes(text)
    return folder


@pytest.mark.parametrize("small", [False, True])
def test_audioscrobbler_cleaning(tmp_path, small):
    plays = b"1 10 5\n1 11 2\r\n2 12 1\n2 13 1\n\n3 20 4\nbad\n1 10\n1 x 3\n1 10 -4\n3 30 1\n3 31 1\n3 40 9"
    artists = b"10\tTen\r\n11\tTenn\n12\tTwelve\twith tab\nno tab\nx\tY\n13\t\n20\tCaf\xe9\n10\tTen again\n30\tLoop\n"
    aliases = b"11\t10\n12\t11\n13\t12\n20\t20\n30\t31\n31\t30\n\t5\n11\t99\n"
    raw = cymbals.audioscrobbler.read(write_dump(tmp_path, plays, artists, aliases, small))
    assert raw.plays.shape == (8, 3)
    assert raw.aliases.columns.tolist() == ["misspelled", "canonical"]
    assert dict(zip(raw.artists["artist"], raw.artists["name"], strict=True))[12] == "Twelve\twith tab"
    data = raw.clean()
    assert data.item_ids.tolist() == [10, 20, 30, 40]
    assert data.user_items.toarray().tolist() == [[7, 0, 0, 0], [2, 0, 0, 0], [0, 4, 2, 9]]
    assert data.item_names.tolist() == ["Ten", "Caf\ufffd", "Loop", None]
    report = data.report
    assert report["rows"] == 8
    assert report["pairs"] == 5
    assert report["pairs_merged"] == 3
    assert report["artists_before"] == 7 + 1 - 0
    assert report["alias_cycles"] == 1
    assert report["alias_chains"] >= 2
    assert report["artists_without_name"] == 1
    assert report["names_not_utf8"] == 1
    assert {(r.reason, r.lines, r.first_line) for r in raw.rejected if r.file.startswith("user")} == {
        ("wrong number of fields", 2, 7), ("not a whole number", 1, 9), ("negative number", 1, 10)
    }  # fmt: skip
    assert {r.reason for r in raw.rejected if r.file.startswith("artist_data")} == {
        "no tab", "artist id is not a whole number", "empty name"
    }  # fmt: skip


def test_audioscrobbler_sample(data_folder):
    data = cymbals.audioscrobbler.load(data_folder("audioscrobbler_small"))
    report = data.report
    assert (report["rows"], report["pairs"], report["users"], report["artists"]) == (49481, 48943, 50, 30100)
    assert report["artists_without_name"] == 139
    folder = data_folder("audioscrobbler_small")
    plays = pd.read_csv(folder / "user_artist_data_small.txt", sep=" ", names=["user", "artist", "n"])
    alias = pd.read_csv(folder / "artist_alias_small.txt", sep="\t", names=["bad", "good"])
    plays["artist"] = plays["artist"].map(dict(zip(alias.bad, alias.good, strict=True))).fillna(plays["artist"]).astype(int)
    slow = plays.groupby(["user", "artist"])["n"].sum()
    coo = data.user_items.tocoo()
    ours = pd.Series(
        coo.data, index=pd.MultiIndex.from_arrays([data.user_ids[coo.row], data.item_ids[coo.col]])
    ).sort_index()
    assert np.array_equal(ours.to_numpy(), slow.sort_index().to_numpy())


def test_empty_files_and_missing_ones(tmp_path):
    assert cymbals.audioscrobbler.load(write_dump(tmp_path, b"")).shape == (0, 0)
    (tmp_path / "artist_data.txt").unlink()
    (tmp_path / "artist_alias.txt").unlink()
    assert cymbals.audioscrobbler.load(tmp_path).report["missing_artist_alias"] == 1
    (tmp_path / "user_artist_data.txt").unlink()
    with pytest.raises(FileNotFoundError, match="user_artist_data"):
        cymbals.audioscrobbler.load(tmp_path)


def test_aliases_chains_and_cycles_of_any_length(tmp_path):
    """Each id ends where a walk ends, or at the smallest id of the cycle that it runs into."""
    rng = np.random.default_rng(0)
    for trial in range(20):
        n = int(rng.integers(1, 400))
        wrong = rng.permutation(n)[: rng.integers(1, n + 1)]
        right = (wrong + 1) % n if trial % 4 == 0 else rng.integers(0, n, wrong.size)
        (tmp_path / "user_artist_data.txt").write_text("".join(f"1 {a} 1\n" for a in range(n)))
        (tmp_path / "artist_alias.txt").write_text("".join(f"{a}\t{b}\n" for a, b in zip(wrong, right, strict=True)))
        target = {int(a): int(b) for a, b in zip(wrong, right, strict=True) if a != b}

        def final(a, target=target):
            seen = []
            while a in target and a not in seen:
                seen.append(a)
                a = target[a]
            return min(seen[seen.index(a) :]) if a in seen else a

        raw = cymbals.audioscrobbler.read(tmp_path)
        misspelled, canonical, _ = raw.canonical()
        want = {a: final(a) for a in target if final(a) != a}
        assert dict(zip(misspelled.tolist(), canonical.tolist(), strict=True)) == want
        assert raw.clean().item_ids.tolist() == sorted({final(a) for a in range(n)})


def test_names_are_shared_and_hold_no_plays(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("1 2 3\n1 4 1\n2 2 5\n")
    (tmp_path / "artist_data.txt").write_bytes(b"2\tTwo\n9999999999999999999\tfar\n4\tF\xf6ur\n")
    raw = cymbals.audioscrobbler.read(tmp_path)
    plays = weakref.ref(raw)
    data = raw.clean()
    assert [(r.reason, r.lines, r.first_line) for r in raw.rejected] == [("number too large", 1, 2)]
    del raw
    gc.collect()
    assert plays() is None
    train, _ = cymbals.split.random(data, test_fraction=0.4, seed=0)
    assert train.item_names is data.item_names
    assert data.item_names.tolist() == ["Two", "F\ufffdur"]


def test_ids_one_by_one_and_all_at_once():
    for array in (np.arange(5, 900, 3), np.array([7, 2**62, -(2**62), 0])):
        ids = Ids("item", array.size, array)
        wanted = np.concatenate([array, array + 1, [2**63 - 1, -(2**63)]])
        at_once = ids.find(wanted)
        assert at_once.tolist() == [ids.find(wanted[i : i + 1])[0] for i in range(wanted.size)]
        assert at_once[: array.size].tolist() == list(range(array.size))


def test_whole_sums_beyond_float32_are_kept():
    for one, dtype in (
        (np.float32(3e38), np.float64),
        (np.float32(2**23), np.float32),
        (np.float32(2**24 - 1), np.float64),
    ):
        values = np.array([one, one, 1], np.float32)
        data = Interactions.from_arrays([0, 0, 1], [0, 0, 1], values)
        assert data.csr.data.dtype == dtype
        assert data.csr.data.tolist() == [2 * float(one), 1]


def test_from_arrow():
    """Batches, dictionaries, small whole numbers, times; a stream is read once and may have other columns."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "who": pa.array(["ann", "bob", "ann", "cy"]).dictionary_encode(),
            "what": pa.array([7, 7, 7, 9], pa.int32()),
            "plays": pa.array([1, 2, 3, 4], pa.int8()),
            "when": pa.array([3, 1, 5, 2], pa.timestamp("us")),
            "note": ["x"] * 4,
        }
    )
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))
    data = Interactions.from_arrow(reader, "who", "what", "plays", "when", item_names={7: "seven"})
    assert data.user_items.toarray().tolist() == [[4, 0], [2, 0], [0, 4]]
    assert data.user_ids.tolist() == ["ann", "bob", "cy"]
    assert data.times.astype(np.int64).tolist() == [5000, 1000, 2000]
    assert data.item_names.tolist() == ["seven", None]
    assert Interactions.from_arrow(table, "who", "what", None).nnz == 3
    assert Interactions.from_arrow(table.slice(0, 0), "who", "what", "plays").shape == (0, 0)
    with pytest.raises(KeyError, match="no such column; the table has who, what, plays, when, note"):
        Interactions.from_arrow(table)
    with pytest.raises(ValueError, match="row 1 has no id"):
        Interactions.from_arrow(pa.table({"user": ["a", None], "item": [1, 2], "value": [1, 1]}))
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        Interactions.from_arrow({"user": [1]})


def test_only_what_nobody_can_write_to_is_shared(tmp_path):
    """Arrays over bytes are; read-only views, mapped files and Arrow's buffers can be written to by others."""
    matrix = random_matrix((30, 20))
    matrix.sort_indices()
    parts = {"data": matrix.data, "indices": matrix.indices.astype(np.int32), "indptr": matrix.indptr.astype(np.int32)}
    for name, array in parts.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in parts]
    frozen = [array.copy() for array in parts.values()]
    for array in frozen:
        array.setflags(write=False)
    of_bytes = [np.frombuffer(array.tobytes(), array.dtype) for array in parts.values()]
    data = Interactions.from_csr(sp.csr_array(tuple(of_bytes), shape=matrix.shape))
    assert np.shares_memory(data.csr.data, of_bytes[0])
    assert np.shares_memory(data.csr.indices, of_bytes[1])
    assert (data.user_items != matrix).nnz == 0
    views = [array.copy()[:] for array in parts.values()]
    for array in views:
        array.setflags(write=False)  # what it is a view of can be written to
    writeable = [array.copy() for array in parts.values()]
    appended = [np.load(tmp_path / f"{name}.npy", mmap_mode="r+") for name in parts]
    of_arrow = [pytest.importorskip("pyarrow").array(array).to_numpy() for array in parts.values()]
    for arrays in (mapped, frozen, views, writeable, appended, of_arrow):
        data = Interactions.from_csr(sp.csr_array(tuple(arrays), shape=matrix.shape))
        assert not np.shares_memory(data.csr.data, arrays[0])
        assert not np.shares_memory(data.csr.indices, arrays[1])


def test_what_raw_events_and_ids_print():
    names = cymbals.audioscrobbler.Names(b"", *np.empty((2, 0), np.int64))
    plays, aliases = np.zeros((900_000, 3), np.int64), np.empty((0, 2), np.int64)
    raw = cymbals.audioscrobbler.RawEvents(plays, np.empty(0, np.int64), names, aliases, [])
    assert repr(raw) == "<RawEvents: 900,000 lines of plays, 0 artist names, 0 aliases, 0 lines rejected>"
    assert repr(Ids("item", 3, np.array([5, 6, 7]))) == "<Ids: 3 items, whole numbers>"
    assert repr(Ids("user", 2)) == "<Ids: 2 users, row numbers>"


def test_entries_are_found_by_row_and_column():
    matrix = random_matrix((30, 50), 0.3)
    csr = Interactions.from_csr(matrix).csr
    rows, columns = np.divmod(np.arange(30 * 50), 50)
    assert np.array_equal(csr.holds(rows, columns), (matrix.toarray() != 0).ravel())
    empty = Interactions.from_csr(sp.csr_array((3, 4))).csr
    assert not empty.holds(np.array([0, 2]), np.array([0, 3])).any()


def test_what_is_no_matrix_is_told_what_to_do():
    matrix = random_matrix((20, 12), 0.3)
    data = Interactions.from_csr(matrix)
    frame = pd.DataFrame({"user": [1], "item": [2], "value": [3]})
    model = cymbals.ALS(2, random_state=0).fit(data)
    with pytest.raises(
        TypeError, match=r"rows must be a scipy sparse matrix or array; got Interactions: pass its user_items"
    ):
        model.recommend(rows=data)
    with pytest.raises(TypeError, match=r"train must be Interactions or a scipy.*got DataFrame: .*Interactions.from_frame"):
        cymbals.ALS(2).fit(frame)


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz"])
def test_packed_tables(tmp_path, suffix):
    separator = "," if suffix.startswith(".csv") else "\t"
    lines = ["user,item,value", "1,2,3", "4,5,6", "7,8"]
    path = tmp_path / f"plays{suffix}"
    path.write_bytes(gzip.compress("\n".join(lines).replace(",", separator).encode()))
    with pytest.warns(UserWarning, match="1 row rejected"):
        data = datasets.load(path)
    assert data.user_items.toarray().tolist() == [[3, 0], [0, 6]]


def test_matrices_in_files(tmp_path):
    matrix = random_matrix((9, 8), 0.4)
    sp.save_npz(tmp_path / "m.npz", matrix)
    assert (datasets.load(tmp_path / "m.npz").user_items != matrix).nnz == 0
    np.savez(tmp_path / "other.npz", a=np.arange(3))
    with pytest.raises(ValueError, match="cannot be read as a matrix"):
        datasets.load(tmp_path / "other.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="cannot be read as a matrix"):
        datasets.load(tmp_path / "bad.npz")
