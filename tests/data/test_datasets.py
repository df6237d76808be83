"""Loading tables, sparse matrices and the HetRec files: columns, ids as they are written, files that are refused."""

import gzip
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bad_input import check_refused
from conftest import random_matrix

import cymbals
from cymbals import Interactions, audioscrobbler, datasets


def write(df, path):
    """Writes a data frame as a file of the kind that the path's suffix names."""
    if path.suffix == ".parquet":
        pytest.importorskip("ssl", reason="pandas needs it for Parquet")
        df.to_parquet(path)
    else:
        df.to_csv(path, sep="," if path.suffix == ".csv" else "\t", index=False)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables(tmp_path, suffix):
    df = pd.DataFrame({"who": [3, 1, 3], "what": ["a", "NA", "a"], "n": [1.5, 2, 3]})
    path = tmp_path / f"plays{suffix}"
    write(df, path)
    data = datasets.load(path, user="who", item="what", value="n")
    assert data.item_ids.tolist() == ["NA", "a"]
    assert data.user_items.toarray().tolist() == [[2, 0], [0, 4.5]]


def test_ids_of_a_table_are_whole_numbers_if_all_are_and_else_stay_as_written(tmp_path):
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


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_from_files(tmp_path, suffix):
    df = pd.DataFrame(
        {
            "user": [1, 1, 2],
            "item": [5, 6, 5],
            "value": [1, 2, 3],
            "when": ["2005-01-31", "2005-02-01T12:00:00Z", "2004-01-01"],
        }
    )
    path = tmp_path / f"events.{suffix}"
    write(df, path)
    data = datasets.load(path, time="when")
    assert data.times.tolist() == np.array(["2005-01-31", "2005-02-01T12", "2004-01-01"], "datetime64[ns]").tolist()
    assert datasets.load(path).times is None


HEADER = "user,item,value\n"


def test_values_with_underscores_are_no_numbers(load_table):
    for value in ("1_000", "1_0.5", "1e1_0"):
        with pytest.raises(TypeError, match=f"value must hold numbers.*row 1 holds '{value}'"):
            load_table(HEADER + f"1,2,3\n4,5,{value}\n")
        for wrong in (np.array([1, value], object), pd.Series([1, value])):
            with pytest.raises(TypeError, match=f"values must hold numbers.*row 1 holds '{value}'"):
                Interactions.from_arrays([1, 2], [3, 4], wrong)
    with pytest.raises(TypeError, match="row 0 holds b'1_000'"):
        Interactions.from_arrays([1], [3], np.array([b"1_000"], object))
    texts = Interactions.from_arrays([1, 2], [3, 4], np.array(["10", "2.5"], object))  # as in a data frame of texts
    assert texts.csr.data.tolist() == [10, 2.5]


def test_ids_with_underscores_stay_strings(load_table, tmp_path):
    assert load_table(HEADER + "1_000,2,3\n1000,2,3\n").user_ids.tolist() == ["1000", "1_000"]
    (tmp_path / "user_artist_data.txt").write_text("1 2 3\n1_000 2 3\n1 2_0 3\n1 2 3_0\n")
    raw = audioscrobbler.read(tmp_path)
    assert raw.play_rows.tolist() == [[1, 2, 3]]
    assert [(r.reason, r.lines) for r in raw.rejected] == [("not a whole number", 3)]


def test_times_with_underscores_are_refused(load_table):
    with pytest.raises(ValueError, match="1_000"):
        load_table("user,item,value,when\n1,2,3,1_000\n", time="when")


def test_a_column_name_that_occurs_twice_is_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("user,item,value,value\n1,1,5,9\n")
    with pytest.raises(ValueError, match="more than once in the header: 'value'"):
        datasets.load(path)


def test_hetrec(data_folder):
    data = datasets.load(data_folder("hetrec_lastfm2k"))
    assert data.shape == (1892, 17632)
    assert data.nnz == 92834
    assert data.user_items.max() == 352698
    assert data.name_of(0) == "MALICE MIZER"


def events(data):
    """(user, item, value) of each entry."""
    coo = data.user_items.tocoo()
    return list(zip(data.user_ids[coo.row].tolist(), data.item_ids[coo.col].tolist(), coo.data.tolist(), strict=True))


def write_hetrec(folder, plays, artists):
    (folder / "user_artists.dat").write_text("userID\tartistID\tweight\n" + plays, encoding="utf-8")
    (folder / "artists.dat").write_text("id\tname\turl\tpictureURL\n" + artists, encoding="utf-8")
    return datasets.load(folder)


@pytest.mark.parametrize("plays", ["2\t51\t9\t1\n2\t51\t3\n", "2\t51\t3\n2\t51\n", "2\t51\t3\n2\t51\t9\t\n"])
@pytest.mark.parametrize("artists", ["9\tX\tu\tp\tmore\n51\tNA\tu\t\n", '51\tNA\tu\tp\n9\t"X\n', "51\tNA\tu\t\n9\tX\tu\n"])
def test_hetrec_rows_in_both_files(tmp_path, plays, artists):
    with pytest.warns(UserWarning, match="1 row rejected") as caught:
        data = write_hetrec(tmp_path, plays, artists)
    files = [re.search(r"(\w+\.dat): .*line (\d)$", str(w.message)).groups() for w in caught]
    assert files == [
        ("user_artists.dat", "2" if plays.startswith("2\t51\t9") else "3"),
        ("artists.dat", "2" if artists.startswith("9") else "3"),
    ]
    assert events(data) == [(2, 51, 3)]
    assert data.item_names.tolist() == ["NA"]
    assert data.report["lines_rejected"] == 2


def test_hetrec_without_a_row_left(tmp_path):
    with pytest.raises(ValueError, match=r"user_artists\.dat: the header has 3 fields .*, but none of the 1 rows has that"):
        write_hetrec(tmp_path, "2\t51\t9\t1\n", "51\tA\tu\tp\n")


def test_hetrec_names_stay_as_written(tmp_path):
    data = write_hetrec(tmp_path, "1\t7\t1\n1\t8\t1\n1\t9\t1\n", "7\t007\tu\tp\n8\t311\tu\t\n9\t\tu\tp\n")
    assert data.item_names.tolist() == ["007", "311", ""]
    assert data.report["lines_rejected"] == 0


# -- files that are refused -----------------------------------------------------------------------------------------


TABLES = {  # name: content, and what the message must have
    "empty.csv": (b"", "empty.csv"),
    "headless.csv": (b"1,2,3\n4,5,6\n", "no such column"),
    "gap.csv": (b"user,item,value\n1,2,\n", "value"),
    "no user.csv": (b"user,item,value\n,2,3\n", "user"),
    "text value.csv": (b"user,item,value\n1,2,x\n", "value"),
    "ragged.csv": (b"user,item,value\n1,2,3,4,5\n1\n", "user"),
    "wrong.tsv": (b"user,item,value\n1,2,3\n", "no such column"),
    "binary.csv": (bytes(range(256)), "binary.csv"),
    "no.parquet": (b"PAR1 but not really", "no.parquet"),
    "notes.txt": (b"user,item,value\n1,2,3\n", "notes.txt"),
}


def load_bytes(folder, name, content):
    (folder / name).write_bytes(content)
    return datasets.load(folder / name)


CASES = {
    f"table {name}": (lambda folder, name=name, content=content: load_bytes(folder, name, content), words)
    for name, (content, words) in TABLES.items()
} | {
    "load absent": (lambda folder: datasets.load(folder / "absent"), ""),
    "load empty folder": (lambda folder: datasets.load(folder), "neither"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, tmp_path):
    call, words = CASES[name]
    check_refused(lambda: call(tmp_path), words)
