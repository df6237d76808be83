"""Tables of events without quotes: rejected lines, fields that are wrong, ids as numbers and as texts."""

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from cymbals.data.datasets import lightgcn, rows

TIMED = rows.Layout(("user", "item", "value", "time"), "\t")
TEXTS = rows.Layout(("user", "mbid", "item", "value"), "\t", texts=True)


@pytest.fixture
def load(tmp_path):
    """A function that writes a table and reads it."""

    def written(text, layout=TIMED):
        path = tmp_path / "plays.tsv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return rows.load(path, layout)

    return written


def test_numbers(load):
    data = load("7\t3\t2.5\t60\r\n2\t3\t4\t0\n\n7\t1\t1\t3600\n7\t3\t1\t120")
    assert (data.user_ids.tolist(), data.item_ids.tolist()) == ([2, 7], [1, 3])
    assert data.user_items.toarray().tolist() == [[0, 4], [1, 3.5]]
    assert data.times.astype("datetime64[s]").astype(int).tolist() == [0, 3600, 120]
    assert data.csr.data.dtype == np.float32
    assert data.report["lines_rejected"] == 0
    assert load("1\t2\t16777217\t3\n").csr.data.tolist() == [2**24 + 1]


def test_texts(load):
    data = load('b\t\tnull\t7\na\tx\t"NA"\t2\nb\t\tÉmile  \t1\nb\tx\tnull\t3\n', TEXTS)
    assert (data.user_ids.tolist(), data.item_ids.tolist()) == (["a", "b"], ['"NA"', "null", "Émile  "])
    assert data.user_items.toarray().tolist() == [[2, 0, 0], [0, 10, 1]]


def test_rejected_lines_are_counted_and_named(load):
    good = "1\t1\t1\t1\n"
    with pytest.warns(
        UserWarning, match=r"plays\.tsv: 7 lines rejected: a line must have 4 fields.*: 2, 4, 6, 7, 8 and 2 more"
    ):
        data = load(good + "1\t1\t1\n" + "\n" + "1\t\t1\t1\n" + good + "\t2\t1\t1\n" * 3 + "1\t1\t\t1\n1\t1\t1\t1\t1\n")
    assert data.report["lines_rejected"] == 7
    assert data.user_items.toarray().tolist() == [[2]]
    with pytest.warns(UserWarning, match="1 line rejected.*: 2$"):
        data = load("a\t\tx\t1\nz\t\t\t1\n", TEXTS)
    assert data.user_ids.tolist() == ["a"]
    with pytest.raises(ValueError, match=r"every line was rejected: a line must have 4 fields.*lines 1, 2$"):
        load("1\t2\n3\t4\n")
    with pytest.raises(ValueError, match=r"plays\.tsv: cannot be read"):
        load("")


def test_large_ids_stay_exact_beside_rejected_lines(load):
    with pytest.warns(UserWarning, match="1 line rejected"):
        assert load(f"{2**60 + 1}\t1\t1\t1\n\t1\t1\t1\n").user_ids.tolist() == [2**60 + 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"x\t1\t1\t1", "the user is not a whole number: 'x'"),
        (b"1\t1.5\t1\t1", "the item is not a whole number: '1.5'"),
        (b"1\t1\tmany\t1", "the value is not a number: 'many'"),
        (b"1\t1\t1_000\t1", "the value is not a number: '1_000'"),
        (b"1\t1\t1\t2005-05-01", "the time is not a whole number: '2005-05-01'"),
    ],
)
def test_a_wrong_field_names_its_line(load, line, message):
    with pytest.raises(ValueError, match=rf"plays\.tsv: line 4: {message}"):
        load(b"1\t1\t1\t1\n\n1\t1\n" + line + b"\n1\t1\t1\t1\n")


def test_texts_that_are_not_utf8(load):
    with pytest.raises(ValueError, match=r"line 2: the item is not UTF-8: 'Caf\\xe9'"):
        load(b"a\tx\tCan\t1\na\tx\tCaf\xe9\t1\n", TEXTS)


def test_values_that_are_not_finite(load):
    with pytest.raises(ValueError, match="must be finite"):
        load("1\t1\tnan\t1\n")


@pytest.mark.parametrize("line", [b"1 x", b"1 -2", b"1 2.0", b"99999999999", b"1 2147483648"])
def test_lightgcn_names_a_wrong_line(tmp_path, line):
    (tmp_path / "train.txt").write_bytes(b"0 1 2\n\n" + line + b"\n")
    (tmp_path / "test.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train\.txt: line 3: must be a user and items"):
        lightgcn.load(tmp_path)


def test_lightgcn_repeats_count_once_and_parts_may_be_empty(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"0 1 1\n0 1\n")
    (tmp_path / "test.txt").write_bytes(b"")
    train, test = lightgcn.load(tmp_path)
    assert train.user_items.toarray().tolist() == [[0, 1]]
    assert test.nnz == 0
    assert test.shape == (1, 2)
