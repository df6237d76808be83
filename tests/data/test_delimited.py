"""Rows of a .csv or .tsv file with more or fewer fields than its header are left out, counted, and named by line."""

import csv
import io
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cymbals import datasets
from cymbals.data.datasets import delimited

HEADER = "user,item,value\n"


def events(data):
    """(user, item, value) of each entry."""
    coo = data.user_items.tocoo()
    return list(zip(data.user_ids[coo.row].tolist(), data.item_ids[coo.col].tolist(), coo.data.tolist(), strict=True))


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("row", ["1,2,3,4", "1,2,3,", "1,2", "1", "1,2,3,4,5", '"1,2,3"', '""'])
@pytest.mark.parametrize("line", [2, 3, 4])
def test_a_row_too_long_or_too_short_is_left_out_and_counted(load_table, suffix, row, line):
    good = ["5,6,7", "8,9,1"]
    lines = [*good[: line - 2], row, *good[line - 2 :]]
    with pytest.warns(UserWarning, match=rf"plays{suffix}: 1 row rejected .* header's 3 fields: line {line}$"):
        data = load_table(HEADER + "\n".join(lines) + "\n", suffix)
    assert events(data) == [(5, 6, 7), (8, 9, 1)]
    assert data.report == {"rows": 2, "pairs": 2, "lines_rejected": 1}


def test_a_trailing_comma_shifts_no_column_if_there_is_no_value_column(load_table):
    with pytest.warns(UserWarning, match="line 2$"):
        data = load_table("user,item\n1,2,\n3,4\n", value=None)
    assert events(data) == [(3, 4, 1)]


def test_no_row_left_is_an_error(load_table):
    with pytest.raises(ValueError, match=r"3 fields \(user, item, value\), but none of the 2 .*; line 2 has 4 instead"):
        load_table(HEADER + "1,2,3,4\n5,6,7,8\n")
    with pytest.raises(ValueError, match="none of the 1 rows"):
        load_table("user,item,value\n1,2\n")


def test_an_empty_field_is_an_error_not_a_rejection(load_table):
    with pytest.raises(ValueError, match="'value', row 1 holds nan"):
        load_table(HEADER + "1,2,3\n4,5,\n")
    with pytest.raises(ValueError, match=r"'value', row 1 holds nan"), pytest.warns(UserWarning, match="line 2"):
        load_table(HEADER + "1,2\n1,2,3\n4,5,\n")
    with pytest.raises(ValueError, match="item: row 0 has no id"):
        load_table(HEADER + "1,,3\n")


def test_an_empty_last_column_is_no_short_row(load_table):
    data = load_table("user,item,value,comment\n1,2,3,\n4,5,6,fine\n7,8,9,\n")
    assert events(data) == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert data.report["lines_rejected"] == 0


def test_separators_at_the_end_of_every_line(load_table):
    for suffix in (".csv", ".tsv"):
        data = load_table("user,item,value,\n1,2,3,\n4,5,6,\n", suffix)
        assert events(data) == [(1, 2, 3), (4, 5, 6)]
        assert data.report["lines_rejected"] == 0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_lines_are_numbered_as_an_editor_does(load_table, end, mark, suffix):
    lines = [
        "",
        "user,item,value",
        '"a\nb",x,1',  # lines 3 and 4
        "",
        "c,y,2,extra",  # 6
        '"d\n\n",x,"1\n","\n"',  # 7 to 11
        "  ",
        "e,z",  # 13
        'f,"w,w",3',
        'g,5" disc,3,4',  # 15
        "h,v,4",
    ]
    text = mark + end.join(lines)
    with pytest.warns(UserWarning, match="4 rows rejected") as caught:
        data = load_table(text.replace("\n", end) if end == "\n" else text, suffix)
    assert str(caught[0].message).endswith(": lines 6, 7, 13, 15")
    comma = "w,w" if suffix == ".csv" else "w\tw"
    assert events(data) == [("a\nb", "x", 1), ("f", comma, 3), ("h", "v", 4)]
    assert data.report["lines_rejected"] == 4


def test_five_lines_are_named_and_the_others_counted(tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text(HEADER + "".join(f"{i},{i},1{',' * (i % 2)}\n" for i in range(40)))
    with pytest.warns(UserWarning, match="20 rows rejected.*: lines 3, 5, 7, 9, 11 and 15 more$") as caught:
        data = datasets.load(path)
    assert data.nnz == 20
    assert caught[0].filename == __file__  # whoever called datasets.load


def test_a_missing_closing_quote_is_an_error(load_table):
    with pytest.raises(ValueError, match="row that starts on line 4"):
        load_table(HEADER + '1,2,3\n4,5,6,7\n8,"9,1\n1,1,1\n2,2,2\n')
    with pytest.raises(ValueError, match="row that starts on line 3"):
        load_table(HEADER + '1,2,3\n8,9,"1\n1,1,1\n')


def test_a_long_field_is_read_if_another_row_is_rejected(load_table):
    long = "x" * 200_000  # beyond the csv module's limit
    before = csv.field_size_limit()
    with pytest.warns(UserWarning, match="line 3$"):
        assert load_table(f"{HEADER}{long},1,1\na,1\n").user_ids.tolist() == [long]
    assert csv.field_size_limit() == before


def test_if_warnings_are_errors_the_UserWarning_itself_is_raised(load_table):
    with pytest.raises(UserWarning, match="line 2"):  # pyproject.toml turns warnings of the tests into errors
        load_table(HEADER + "1,2,3,4\n1,2,3\n")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(['"', ",", ",", "\n", "\r\n", "1", " x", '"a,"', "1,2,3\n", '"1",2,"3,\n"\n']), max_size=20),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_rows_equal_those_of_the_csv_module(tmp_path_factory, parts, end, quotes):
    text = f"user,item,value{end}{''.join(parts)}"
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), quoting=quoting) if row]
    want = [row for row in rows[1:] if len(row) == 3]
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_text(text, newline="")
    how = {"quotes": quotes, "dtype": str, "keep_default_na": False, "na_values": [""]}
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            frame, rejected = delimited.read(path, ",", **how)
        except ValueError as raised:
            error = str(raised)
    if error:
        assert "does not end" in error or ("none of the" in error and not want)
        return
    assert rejected == len(rows) - 1 - len(want)
    assert [str(w.message).split()[1] for w in caught] == ([str(rejected)] if rejected else [])
    # pandas drops spaces at the beginning of a row
    found = [[field.strip() for field in row] for row in frame.fillna("").to_numpy().tolist()]
    assert found == [[field.strip() for field in row] for row in want]
