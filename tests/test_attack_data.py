"""Data that loaded without a word and meant something else: shifted columns, "1_000", masked entries."""

import csv
import io
import json
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from click.testing import CliRunner
from conftest import random_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

import cymbals
from cymbals import ALS, Interactions, audioscrobbler, datasets, figures
from cymbals.base.checks import boolean, generator, instance, one_of, real_number, share, whole_number
from cymbals.cli import cli, options
from cymbals.data import interactions
from cymbals.data.datasets import delimited

HEADER = "user,item,value\n"


@pytest.fixture
def load(tmp_path):
    """A function that writes a table and loads it, as .csv, or as .tsv with tabs in place of commas."""

    def written(text, suffix=".csv", **how):
        path = tmp_path / f"plays{suffix}"
        path.write_text(text if suffix == ".csv" else text.replace(",", "\t"), encoding="utf-8", newline="")
        return datasets.load(path, **how)

    return written


def events(data):
    """(user, item, value) of each entry."""
    coo = data.user_items.tocoo()
    return list(zip(data.user_ids[coo.row].tolist(), data.item_ids[coo.col].tolist(), coo.data.tolist(), strict=True))


# -- rows with another number of fields than the header ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("row", ["1,2,3,4", "1,2,3,", "1,2", "1", "1,2,3,4,5", '"1,2,3"', '""'])
@pytest.mark.parametrize("line", [2, 3, 4])
def test_a_row_too_long_or_too_short_is_left_out_and_counted(load, suffix, row, line):
    good = ["5,6,7", "8,9,1"]
    lines = [*good[: line - 2], row, *good[line - 2 :]]
    with pytest.warns(UserWarning, match=rf"plays{suffix}: 1 row rejected .* header, 3: line {line}$"):
        data = load(HEADER + "\n".join(lines) + "\n", suffix)
    assert events(data) == [(5, 6, 7), (8, 9, 1)]
    assert data.report == {"rows": 2, "pairs": 2, "lines_rejected": 1}


def test_a_trailing_comma_shifts_nothing_where_rows_count_1(load):
    with pytest.warns(UserWarning, match="line 2$"):
        data = load("user,item\n1,2,\n3,4\n", value=None)
    assert events(data) == [(3, 4, 1)]


def test_no_row_left_is_an_error(load):
    with pytest.raises(ValueError, match=r"none of the 2 rows has as many .* 3 \(user, item, value\); line 2 has 4\."):
        load(HEADER + "1,2,3,4\n5,6,7,8\n")
    with pytest.raises(ValueError, match="none of the 1 rows"):
        load("user,item,value\n1,2\n")


def test_an_empty_field_is_an_error_not_a_rejection(load):
    with pytest.raises(ValueError, match="'value', row 1 holds nan"):
        load(HEADER + "1,2,3\n4,5,\n")
    with pytest.raises(ValueError, match=r"'value', row 1 holds nan"), pytest.warns(UserWarning, match="line 2"):
        load(HEADER + "1,2\n1,2,3\n4,5,\n")
    with pytest.raises(ValueError, match="item: row 0 has no id"):
        load(HEADER + "1,,3\n")


def test_an_empty_last_column_is_no_short_row(load):
    data = load("user,item,value,comment\n1,2,3,\n4,5,6,fine\n7,8,9,\n")
    assert events(data) == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert data.report["lines_rejected"] == 0


def test_separators_at_the_end_of_every_line(load):
    for suffix in (".csv", ".tsv"):
        data = load("user,item,value,\n1,2,3,\n4,5,6,\n", suffix)
        assert events(data) == [(1, 2, 3), (4, 5, 6)]
        assert data.report["lines_rejected"] == 0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_lines_are_numbered_as_an_editor_does(load, end, mark, suffix):
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
        data = load(text.replace("\n", end) if end == "\n" else text, suffix)
    assert str(caught[0].message).endswith(": lines 6, 7, 13, 15")
    comma = "w,w" if suffix == ".csv" else "w\tw"
    assert events(data) == [("a\nb", "x", 1), ("f", comma, 3), ("h", "v", 4)]
    assert data.report["lines_rejected"] == 4


def test_five_lines_are_named_and_the_others_counted(load):
    text = HEADER + "".join(f"{i},{i},1{',' * (i % 2)}\n" for i in range(40))
    with pytest.warns(UserWarning, match="20 rows rejected.*: lines 3, 5, 7, 9, 11 and 15 more$") as caught:
        data = load(text)
    assert data.nnz == 20
    assert caught[0].filename == __file__  # whoever called datasets.load


def test_quotes_that_do_not_close_are_an_error(load):
    with pytest.raises(ValueError, match="row that starts on line 4"):
        load(HEADER + '1,2,3\n4,5,6,7\n8,"9,1\n1,1,1\n2,2,2\n')
    with pytest.raises(ValueError, match="row that starts on line 3"):
        load(HEADER + '1,2,3\n8,9,"1\n1,1,1\n')


def test_a_long_field_is_read_where_another_row_is_rejected(load):
    long = "x" * 200_000  # beyond the csv module's limit
    before = csv.field_size_limit()
    with pytest.warns(UserWarning, match="line 3$"):
        assert load(f"{HEADER}{long},1,1\na,1\n").user_ids.tolist() == [long]
    assert csv.field_size_limit() == before


def test_a_warning_made_an_error_stays_a_warning(load):
    with pytest.raises(UserWarning, match="line 2"):  # as the tests' filter has it
        load(HEADER + "1,2,3,4\n1,2,3\n")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(['"', ",", ",", "\n", "\r\n", "1", " x", '"a,"', "1,2,3\n", '"1",2,"3,\n"\n']), max_size=20),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_the_rows_are_those_of_the_csv_module(tmp_path_factory, parts, end, quotes):
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
    with pytest.raises(ValueError, match=r"user_artists\.dat: none of the 1 rows has as many fields as the header, 3"):
        write_hetrec(tmp_path, "2\t51\t9\t1\n", "51\tA\tu\tp\n")


def test_hetrec_names_stay_as_written(tmp_path):
    data = write_hetrec(tmp_path, "1\t7\t1\n1\t8\t1\n1\t9\t1\n", "7\t007\tu\tp\n8\t311\tu\t\n9\t\tu\tp\n")
    assert data.item_names.tolist() == ["007", "311", ""]
    assert data.report["lines_rejected"] == 0


@pytest.mark.filterwarnings("default")
def test_the_command_line_tells(tmp_path):
    rows = "".join(f"{u},{i},{1 + u * i}\n" for u in range(6) for i in range(5))
    path = tmp_path / "plays.csv"
    path.write_text(HEADER + "1,2,3,4\n" + rows + "1,2\n")
    fitted = CliRunner().invoke(cli, ["fit", str(path), "-o", str(tmp_path / "m"), "--factors", "2", "--iterations", "1"])
    assert fitted.exit_code == 0
    assert "loaded 30 rows, 30 distinct pairs, 6 users, 5 items, 2 lines rejected\n" in fitted.stderr
    assert (
        f"cymbals: {path}: 2 rows rejected for having more or fewer fields than the header, 3: lines 2, 33\n"
        in fitted.stderr
    )
    shown = CliRunner().invoke(cli, ["describe", str(path), "--json"])
    assert {"what": "lines_rejected", "value": 2} in json.loads(shown.stdout)["overview"]


# -- numbers with underscores ----------------------------------------------------------------------------------------


def test_values_with_underscores_are_no_numbers(load):
    for value in ("1_000", "1_0.5", "1e1_0"):
        with pytest.raises(TypeError, match=f"value must hold numbers.*row 1 holds '{value}'"):
            load(HEADER + f"1,2,3\n4,5,{value}\n")
        for wrong in (np.array([1, value], object), pd.Series([1, value])):
            with pytest.raises(TypeError, match=f"values must hold numbers.*row 1 holds '{value}'"):
                Interactions.from_arrays([1, 2], [3, 4], wrong)
    with pytest.raises(TypeError, match="row 0 holds b'1_000'"):
        Interactions.from_arrays([1], [3], np.array([b"1_000"], object))
    texts = Interactions.from_arrays([1, 2], [3, 4], np.array(["10", "2.5"], object))  # as a frame of texts has them
    assert texts.csr.data.tolist() == [10, 2.5]


def test_ids_with_underscores_stay_texts(load, tmp_path):
    assert load(HEADER + "1_000,2,3\n1000,2,3\n").user_ids.tolist() == ["1000", "1_000"]
    (tmp_path / "user_artist_data.txt").write_text("1 2 3\n1_000 2 3\n1 2_0 3\n1 2 3_0\n")
    raw = audioscrobbler.read(tmp_path)
    assert raw.play_rows.tolist() == [[1, 2, 3]]
    assert [(r.reason, r.lines) for r in raw.rejected] == [("not a whole number", 3)]


def test_times_with_underscores_are_refused(load):
    with pytest.raises(ValueError, match="1_000"):
        load("user,item,value,when\n1,2,3,1_000\n", time="when")


def test_the_command_line_takes_no_underscores(tmp_path):
    assert options.assigned("--grid", "factors=1_0,1_0.5,8,0.5") == ("factors", ["1_0", "1_0.5", 8, 0.5])
    assert options.one_id(False, "1_000") == "1_000"
    with pytest.raises(KeyError, match="no id '1_000'"):
        options.one_id(True, "1_000")
    (tmp_path / "user_artist_data.txt").write_text("1 1000 3\n")
    wrong = CliRunner().invoke(cli, ["describe", str(tmp_path), "--resolve", "1_000"])
    assert wrong.exit_code == 2
    assert "1_000" in wrong.stderr
    right = CliRunner().invoke(cli, ["describe", str(tmp_path), "--resolve", "1000", "--json"])
    assert json.loads(right.stdout) == {"aliases": [{"artist": 1000, "canonical": 1000}]}


# -- missing entries of masked arrays ----------------------------------------------------------------------------------

MASK = np.arange(10) % 3 == 2  # rows 2, 5 and 8
TEN = np.arange(10)
MASKED = r"3 of 10 values are masked, the first at row 2; "
M = random_matrix((20, 12), 0.3)
MODEL = ALS(factors=3, iterations=1, random_state=0).fit(M)


def masked(values):
    return np.ma.array(values, mask=MASK)


@pytest.mark.parametrize(
    ("name", "call"),
    {
        "values": lambda: Interactions.from_arrays(TEN, TEN, masked(TEN)),
        "values ": lambda: Interactions.from_arrays(TEN, TEN, masked(TEN.astype(float))),
        "values  ": lambda: Interactions.from_arrays(TEN, TEN, masked(TEN.astype(object))),
        "users": lambda: Interactions.from_arrays(masked(TEN), TEN),
        "items": lambda: Interactions.from_arrays(TEN, masked(TEN.astype(str)), shape=None),
        "users ": lambda: Interactions.from_arrays(masked(TEN), TEN, shape=(10, 10)),
        "times": lambda: Interactions.from_arrays(TEN, TEN, times=masked(TEN)),
        "times ": lambda: Interactions.from_arrays(TEN, TEN, times=masked(TEN.astype("datetime64[s]"))),
        "value": lambda: Interactions.from_frame({"user": TEN, "item": TEN, "value": masked(TEN)}),
        "user": lambda: Interactions.from_frame({"user": masked(TEN), "item": TEN, "value": TEN}),
        "when": lambda: Interactions.from_frame({"user": TEN, "item": TEN, "value": TEN, "when": masked(TEN)}, time="when"),
        "user_ids": lambda: Interactions.from_csr(M[:10], user_ids=masked(TEN)),
        "users  ": lambda: MODEL.recommend(masked(TEN)),
        "exclude": lambda: MODEL.recommend(0, exclude=masked(TEN)),
        "candidates": lambda: MODEL.recommend(0, candidates=masked(TEN)),
        "users   ": lambda: cymbals.evaluate(MODEL, M, M, users=masked(TEN)),
        "ids": lambda: MODEL.update_users(masked(TEN), M[:10]),
    }.items(),
)
def test_masked_entries_are_counted_and_refused(name, call):
    with pytest.raises(ValueError, match=f"^{name.strip()}: {MASKED}"):
        call()


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_masked_values_of_a_sparse_matrix(kind):
    matrix = sp.eye_array(10, format=kind)
    matrix.data = masked(matrix.data)
    with pytest.raises(ValueError, match=f"matrix: {MASKED}"):
        Interactions.from_csr(matrix)
    with pytest.raises(ValueError, match=f"train: {MASKED}"):
        ALS(factors=2).fit(matrix)


def test_masked_starting_factors():
    y = np.ma.array(np.ones((12, 3)))
    y[4, 1] = y[7] = np.ma.masked
    with pytest.raises(ValueError, match=r"init: Y0: 4 of 36 values are masked, the first at row 4"):
        ALS(factors=3).fit(M, init=(np.ones((20, 3)), y))


def test_masked_confidences():
    with pytest.raises(ValueError, match=r"what confidence returned: .* masked, the first at row"):
        ALS(factors=3, confidence=lambda values: np.ma.masked_equal(values, values[3])).fit(M)


def test_masked_values_in_a_picture():
    for call in (
        lambda v: figures.ecdf(v, "plays", "t"),
        lambda v: figures.bars(list("abcdefghij"), v, "plays", "t"),
        lambda v: figures.distribution(v, "plays", "t"),
    ):
        with pytest.raises(ValueError, match=f"values: {MASKED}"):
            call(masked(TEN))


def test_masked_names_are_no_names():
    names = dict(zip([1, 2, 3], np.ma.array(["a", "b", "c"], mask=[0, 1, 0]), strict=True))
    assert Interactions.from_arrays([1, 1, 1], [1, 2, 3], item_names=names).item_names.tolist() == ["a", None, "c"]


def test_arrays_without_a_masked_entry_are_taken():
    whole = np.ma.array(TEN)
    data = Interactions.from_arrays(whole, whole, whole, times=whole)
    assert events(data) == [(i, i, i) for i in range(10)]
    y = np.ma.array(np.ones((12, 3)), mask=False)
    ALS(factors=3, iterations=1, confidence=lambda v: np.ma.array(v)).fit(M, init=(np.ones((20, 3)), y))


@pytest.mark.parametrize("name", ["user", "item", "value", "when"])
@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3], "Int64"),
        pd.array([1, None, 3], "int64[pyarrow]"),
        np.array([1, None, 3], object),
    ],
    ids=lambda values: str(values.dtype),
)
def test_missing_entries_of_pandas_arrays_are_refused_with_their_row(name, values):
    columns = {"user": [1, 2, 3], "item": [1, 2, 3], "value": [1, 2, 3], "when": [1, 2, 3]}
    for table in (pd.DataFrame(columns | {name: values}), columns | {name: values}):
        with pytest.raises(ValueError, match=rf"{name}.* row 1 (has no|holds nan)"):
            Interactions.from_frame(table, time="when")
    texts = columns | {"item": pd.array(["a", None, "c"], "string")}
    with pytest.raises(ValueError, match="item: row 1 has no id"):
        Interactions.from_frame(pd.DataFrame(texts))


def test_missing_names_of_a_pandas_array_are_no_names():
    names = pd.Series(pd.array(["a", pd.NA, "c"], "string"), index=[1, 2, 3])
    for given_names in (names, names.astype(object), names.to_dict()):
        data = Interactions.from_arrays([1, 1, 1], [1, 2, 3], item_names=given_names)
        assert data.item_names.tolist() == ["a", None, "c"]


# -- what messages say -------------------------------------------------------------------------------------------------

HUGE = 10**5000  # more digits than Python prints


@pytest.mark.parametrize(
    "number", [10**400, -(10**400), HUGE, Fraction(10**400), Fraction(-HUGE, 3)], ids=lambda n: type(n).__name__
)
def test_numbers_beyond_a_float_are_refused_by_name(number):
    for call in (real_number, share):
        with pytest.raises(ValueError, match=f"^alpha must be finite; the {type(number).__name__} given is beyond"):
            call("alpha", number)
    for model in (ALS(alpha=number), ALS(regularization=number), ALS(tol=number)):
        with pytest.raises(ValueError, match=r"^(alpha|regularization|tol) must be finite"):
            model.fit(M)
    assert real_number("alpha", Fraction(1, 10**400)) == 0
    assert real_number("alpha", 10**300) == 1e300


def test_a_search_refuses_them_by_name():
    with pytest.raises(ValueError, match=r"^alpha must be finite"):
        cymbals.search(M, {"alpha": [Fraction(10**400)]})


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueError, lambda: whole_number("this", HUGE, 0)),
        (TypeError, lambda: whole_number("this", [HUGE], 0)),
        (TypeError, lambda: real_number("this", [HUGE])),
        (TypeError, lambda: real_number("this", Decimal(1))),
        (TypeError, lambda: boolean("this", HUGE)),
        (TypeError, lambda: instance("this", HUGE, str)),
        (ValueError, lambda: one_of("this", HUGE, ("a", "b"))),
    ],
)
def test_arguments_too_large_to_print_are_refused_by_name(error, call):
    with pytest.raises(error, match=r"^this must be .*(got <(int|list) too large to print>|got Decimal)"):
        call()
    for seed in (HUGE, [HUGE]):
        with pytest.raises((TypeError, ValueError), match=r"^random_state must be .* too large to print>"):
            generator(seed)


def test_data_too_large_to_print_or_for_a_float_are_refused_by_name():
    for values in ([1, 10**400], np.array([1, HUGE], object)):
        with pytest.raises(TypeError, match=r"^values must hold numbers within a float's range; row 1 holds "):
            Interactions.from_arrays([1, 2], [1, 2], values)
    with pytest.raises(ValueError, match=r"^users: row 1 holds <int too large to print>, too large for 63 bits"):
        Interactions.from_arrays([1, HUGE], [1, 2])
    with pytest.raises(TypeError, match=r"^items: row 1 holds <int too large to print>; ids must be"):
        Interactions.from_arrays([1, 2], ["a", HUGE])
    with pytest.raises(TypeError, match=r"^times must hold numbers or datetime64, got object, e.g. <int too large"):
        Interactions.from_arrays([1, 2], [1, 2], times=[HUGE, 1])


def test_up_to_five_unknown_ids_are_named():
    texts = ALS(factors=2, iterations=1, random_state=0).fit(Interactions.from_arrays(["ann", "bob"], [7, 8]))
    for call, message in (
        (lambda: MODEL.recommend([0, 77]), "users: no user 77; the model knows 20 user row numbers, 0 to 19, from its fit"),
        (lambda: MODEL.recommend([77, 0, 77]), "users: no user 77; the model knows 20 user row numbers"),
        (lambda: MODEL.recommend(np.arange(15, 25)), "users: 5 unknown user ids: 20, 21, 22, 23, 24; the model"),
        (lambda: MODEL.recommend(np.arange(30, 10, -1)), "users: 11 unknown user ids: 30, 29, 28, 27, 26 and 6 more; the"),
        (
            lambda: texts.recommend(["cy", "ann", "Bob"]),
            "users: 2 unknown user ids: 'cy', 'Bob'; the model knows 2 user ids",
        ),
        (lambda: texts.predict(["ann"] * 2, [7, 9]), "items: no item 9; the model knows 2 item ids from its fit"),
    ):
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value.args[0].startswith(message)


def test_ids_are_copied_before_they_are_numbered(monkeypatch):
    """Another thread may write to the arrays of ids while they are numbered, first the users', then the items'."""
    users, items = np.arange(40) % 7, np.arange(40) % 5
    want = Interactions.from_arrays(users.copy(), items.copy()).user_items.toarray()
    number, sides = interactions.distinct, [users, items]

    def write_and_number(ids, n_threads):
        sides.pop(0)[:] = 10**6
        return number(ids, n_threads)

    monkeypatch.setattr(interactions, "distinct", write_and_number)
    got = Interactions.from_arrays(users, items)
    assert np.array_equal(got.user_items.toarray(), want)
    assert got.user_ids.tolist() == list(range(7))
    assert got.item_ids.tolist() == list(range(5))


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("user,item,value,value\n1,1,5,9\n")
    with pytest.raises(ValueError, match="more than once in the header: 'value'"):
        datasets.load(path)


def test_plays_with_a_byte_order_mark_lose_no_line(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("\ufeff1 2 3\n4 5 6\n", encoding="utf-8")
    (tmp_path / "artist_data.txt").write_text("\ufeff2\tBlur\n5\tPulp\n", encoding="utf-8")
    data = audioscrobbler.load(tmp_path)
    assert data.user_items.sum() == 9
    assert data.item_names.tolist() == ["Blur", "Pulp"]
    assert data.report["lines_rejected"] == 0


def test_plays_of_which_every_line_is_rejected_are_refused(tmp_path):
    (tmp_path / "user_artist_data.txt").write_text("1,2,3\n4,5,6\n")
    with pytest.raises(ValueError, match=r"every line was rejected: 2 for .*first on line 1"):
        audioscrobbler.load(tmp_path)


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 2.0**63])
def test_floats_that_cannot_tell_ids_apart_are_refused(value):
    with pytest.raises(ValueError, match="only below 2\\^53"):
        Interactions.from_arrays(np.array([1.0, value]), [0, 0])


def test_what_models_share_cannot_be_written_to():
    data = Interactions.from_arrays([0, 1], [5, 6], item_names={5: "a", 6: "b"})
    for array in (data.item_names, data.user_items.indices, data.user_items.data, data.user_items.indptr):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("command", [["fit"], ["report", "--random", "1"]])
def test_the_command_line_does_not_write_over_its_input(tmp_path, command):
    path = tmp_path / "plays.csv"
    path.write_text("user,item,value\n1,1,5\n2,1,5\n1,2,5\n")
    before = path.read_bytes()
    found = CliRunner().invoke(cli, [*command, str(path), "-o", str(tmp_path / "." / "plays.csv")])
    assert found.exit_code == 2
    assert "would replace what is read" in found.output
    assert path.read_bytes() == before


def test_the_command_line_does_not_write_over_a_file_of_its_input_folder(tmp_path):
    path = tmp_path / "user_artist_data.txt"
    path.write_text("1 2 3\n4 5 6\n")
    found = CliRunner().invoke(cli, ["fit", str(tmp_path), "-o", str(path)])
    assert found.exit_code == 2
    assert path.read_text() == "1 2 3\n4 5 6\n"
