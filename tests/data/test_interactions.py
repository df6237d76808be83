"""Interactions from frames, arrays and matrices: repeated pairs, ids, names, and input that is refused."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from bad_input import MASKED, TEN, check_refused, masked
from conftest import SMALL, random_matrix

import cymbals
from cymbals import ALS, Interactions
from cymbals.data import coded, interactions

M = random_matrix((30, 20), 0.3)


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


def test_read_only_and_strided_input():
    m = random_matrix((30, 20))
    for part in (m.data, m.indices, m.indptr):
        part.flags.writeable = False
    assert Interactions.from_csr(m).nnz == m.nnz
    wide = np.arange(40).reshape(20, 2)
    assert Interactions.from_arrays(wide[:, 0], wide[:, 1]).nnz == 20
    assert not Interactions.from_csr(m).user_items.data.flags.writeable


def test_ids_are_copied_before_they_are_numbered(monkeypatch):
    """Another thread may write to the arrays of ids while they are numbered, first the users', then the items'."""
    users, items = np.arange(40) % 7, np.arange(40) % 5
    want = Interactions.from_arrays(users.copy(), items.copy()).user_items.toarray()
    number, sides = coded.distinct, [users, items]

    def write_and_number(ids, n_threads):
        sides.pop(0)[:] = 10**6
        return number(ids, n_threads)

    monkeypatch.setattr(coded, "distinct", write_and_number)
    got = Interactions.from_arrays(users, items)
    assert np.array_equal(got.user_items.toarray(), want)
    assert got.user_ids.tolist() == list(range(7))
    assert got.item_ids.tolist() == list(range(5))


OUTSIDE = 2**31 - 1


def test_a_write_right_after_the_check_of_events_changes_nothing(monkeypatch):
    coo = sp.coo_array(M)
    rows, cols, values = coo.coords[0].astype(np.int64), coo.coords[1].astype(np.int64), coo.data.astype(np.float32)
    make = interactions.summed

    def write_and_make(*args):
        rows[:], cols[:], values[:] = OUTSIDE, OUTSIDE, np.nan
        return make(*args)

    monkeypatch.setattr(interactions, "summed", write_and_make)
    assert (Interactions.from_arrays(rows, cols, values, shape=M.shape).user_items != M).nnz == 0


# -- missing entries -------------------------------------------------------------------------------------------------


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
        "user_ids": lambda: Interactions.from_csr(SMALL[:10], user_ids=masked(TEN)),
    }.items(),
)
def test_masked_entries_are_counted_and_refused(name, call):
    with pytest.raises(ValueError, match=f"^{name.strip()}: {MASKED}"):
        call()


def test_masked_names_count_as_missing():
    names = dict(zip([1, 2, 3], np.ma.array(["a", "b", "c"], mask=[0, 1, 0]), strict=True))
    assert Interactions.from_arrays([1, 1, 1], [1, 2, 3], item_names=names).item_names.tolist() == ["a", None, "c"]


def events(data):
    """(user, item, value) of each entry."""
    coo = data.user_items.tocoo()
    return list(zip(data.user_ids[coo.row].tolist(), data.item_ids[coo.col].tolist(), coo.data.tolist(), strict=True))


def test_arrays_without_a_masked_entry_are_taken():
    whole = np.ma.array(TEN)
    data = Interactions.from_arrays(whole, whole, whole, times=whole)
    assert events(data) == [(i, i, i) for i in range(10)]
    y = np.ma.array(np.ones((12, 3)), mask=False)
    ALS(factors=3, iterations=1, confidence=lambda v: np.ma.array(v)).fit(SMALL, init=(np.ones((20, 3)), y))


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


def test_missing_names_of_a_pandas_array_count_as_missing():
    names = pd.Series(pd.array(["a", pd.NA, "c"], "string"), index=[1, 2, 3])
    for given_names in (names, names.astype(object), names.to_dict()):
        data = Interactions.from_arrays([1, 1, 1], [1, 2, 3], item_names=given_names)
        assert data.item_names.tolist() == ["a", None, "c"]


# -- input that is refused -------------------------------------------------------------------------------------------


HUGE = 10**5000  # more digits than Python prints


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


def test_frame_without_the_time_column():
    with pytest.raises(KeyError, match="time='when': no such column"):
        Interactions.from_frame(pd.DataFrame({"user": [1], "item": [2], "value": [3]}), time="when")
    assert cymbals.Interactions.from_arrays([1], [2]).times is None


@pytest.mark.parametrize("shape", [(2**62, 5), (5, 2**63 - 1)])
def test_shapes_beyond_any_memory_are_refused_by_name(shape):
    with pytest.raises(ValueError, match="shape must be from 0 to"):
        cymbals.Interactions.from_arrays([0], [0], shape=shape)


GOOD = {"user": [1, 2, 2], "item": [5, 5, 6], "value": [1.0, 2.0, 3.0]}
COLUMNS = (
    ("user", [1, None, 2]), ("user", [1.5, 2, 3]), ("user", ["a", 1, "b"]), ("user", [2**64, 1, 2]), ("user", [1j, 2, 3]),
    ("user", [True, "x", 1]), ("item", [np.nan, 5, 6]), ("item", [np.inf, 5, 6]), ("item", ["a", None, "b"]),
    ("item", [[1], [2], [3]]),
    ("value", [1.0, np.nan, 3.0]), ("value", [1.0, np.inf, 3.0]), ("value", ["1", "x", "3"]), ("value", [1, None, "x"]),
    ("value", [1j, 2, 3]), ("user", pd.to_datetime(["2020-01-01"] * 3)), ("value", pd.to_datetime(["2020-01-01"] * 3)),
)  # fmt: skip
ARRAYS = {
    "unequal": ([1, 2], [1], None),
    "unequal values": ([1, 2], [1, 2], [1]),
    "two dimensions": ([[1, 2]], [[1, 2]], None),
    "nan": ([1], [1], [np.nan]),
    "row outside": ([5], [1], None, (3, 3)),
    "row negative": ([-1], [1], None, (3, 3)),
    "column outside": ([1], [3], None, (3, 3)),
    "text rows with shape": (["a"], [1], None, (3, 3)),
    "negative shape": ([1], [1], None, (-3, 3)),
    "short shape": ([1], [1], None, (3,)),
    "float shape": ([1], [1], None, (3.5, 3)),
    "huge row": ([2**62], [1], None, (3, 3)),
    "too large for 63 bits": (np.array([2**63], np.uint64), [1], None),
}


def of_frame(**columns):
    return Interactions.from_frame(pd.DataFrame(GOOD | columns))


CASES = {f"frame {column}={bad!r}": (lambda c=column, b=bad: of_frame(**{c: b}), column) for column, bad in COLUMNS}
CASES |= {
    f"frame without {column}": (lambda c=column: Interactions.from_frame(pd.DataFrame(GOOD), **{c: "absent"}), "absent")
    for column in GOOD
}
CASES |= {f"arrays {name}": (lambda a=arguments: Interactions.from_arrays(*a), "") for name, arguments in ARRAYS.items()}
CASES |= {
    "frame value names row": (lambda: of_frame(value=[1, np.nan, 2]), "row 1"),
    "frame user None": (lambda: Interactions.from_frame(pd.DataFrame(GOOD), user=None), "user"),
    "frame is None": (lambda: Interactions.from_frame(None), ""),
    "frame is text": (lambda: Interactions.from_frame("plays.csv"), ""),
    "user_ids short": (lambda: Interactions.from_csr(SMALL, user_ids=[1, 2]), "user_ids"),
    "user_ids repeated": (lambda: Interactions.from_csr(SMALL, user_ids=[1] * 20), "more than once"),
    "item_ids mixed": (lambda: Interactions.from_csr(SMALL, item_ids=["a", 1] * 6), "item_ids"),
    "item_names list": (lambda: Interactions.from_csr(SMALL, item_names=["a"] * 12), "item_names"),
    "item_names of the other kind": (lambda: Interactions.from_csr(SMALL, item_names={"a": "A"}), "strings"),
    "shape a number": (lambda: Interactions.from_arrays([1], [1], shape=5), "shape"),
    "sum too large": (lambda: Interactions.from_arrays([1, 1], [2, 2], np.full(2, 1e308)), "too large"),
    "from_csr dense": (lambda: Interactions.from_csr(SMALL.toarray()), "scipy"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name):
    check_refused(*CASES[name])


# -- append and remove -------------------------------------------------------------------------------------------------


def triplets_as_dict(data):
    """The value of each (user id, item id) pair."""
    coo = data.user_items.tocoo()
    users, items = data.user_ids[coo.coords[0]].tolist(), data.item_ids[coo.coords[1]].tolist()
    return dict(zip(zip(users, items, strict=True), coo.data.tolist(), strict=True))


@pytest.mark.parametrize("how", ["add", "replace"])
@pytest.mark.parametrize("kind", ["numbers", "strings"])
def test_append_against_a_dict(kind, how):
    rng = np.random.default_rng(0)
    for trial in range(20):
        sizes = rng.integers(0 if trial else 1, 60, 2)
        made = [(rng.integers(0, 12, n), rng.integers(0, 9, n), rng.integers(1, 6, n).astype(float)) for n in sizes]
        if kind == "strings":
            made = [(np.char.add("u", u.astype(str)), np.char.add("i", i.astype(str)), v) for u, i, v in made]
        first, second = (Interactions.from_arrays(*events) for events in (made[0], made[1]))
        want = triplets_as_dict(first)
        for user, item, value in zip(*(part.tolist() for part in made[1]), strict=True):
            want[user, item] = value + (want.get((user, item), 0) if how == "add" else 0)
        got = first.append(tuple(made[1]), how)
        assert triplets_as_dict(got) == want
        assert got.user_ids.tolist()[: first.shape[0]] == first.user_ids.tolist()
        assert set(got.item_ids.tolist()) == set(first.item_ids.tolist()) | set(second.item_ids.tolist())
        assert got.user_items.has_canonical_format
        assert all(np.all(np.diff(got.csr.row(r)[0]) > 0) for r in range(got.shape[0]))
        assert got.by_item().to_scipy().toarray().T.tolist() == got.user_items.toarray().tolist()


def test_append_keeps_names_and_the_latest_times():
    first = Interactions.from_arrays([1, 1, 2], [5, 6, 5], item_names={5: "five"}, times=[10, 20, 30])
    second = Interactions.from_arrays([1, 2, 3], [5, 5, 7], times=[15, 25, 40])
    both = first.append(second)
    assert both.item_names.tolist() == ["five", None, None]
    assert both.times.tolist() == [15, 20, 30, 40]
    assert both.user_items.toarray().tolist() == [[2, 1, 0], [2, 0, 0], [0, 0, 1]]
    assert first.append(([9], [5])).times is None
    frame = pd.DataFrame({"who": [1], "what": [6], "when": [99]})
    assert first.append(frame, user="who", item="what", value=None, time="when").times.tolist() == [10, 99, 30]


def test_append_refuses_times_of_another_type():
    first = Interactions.from_arrays([1], [5], times=[10])
    for times in ([10.5], np.array(["2020-01-01"], "datetime64[ns]")):
        with pytest.raises(TypeError, match="time: the data have times of the type int64"):
            first.append(Interactions.from_arrays([1], [5], times=times))


def test_append_sums_whole_numbers_exactly():
    first = Interactions.from_arrays([1], [1], [2**24])
    assert first.csr.data.dtype == np.float32
    more = first.append(([1], [1], [1]))
    assert more.csr.data.tolist() == [2**24 + 1]
    assert more.csr.data.dtype == np.float64


def test_append_refuses_other_kinds_of_ids():
    with pytest.raises(TypeError, match="user ids are whole numbers, got 'ann'"):
        Interactions.from_arrays([1], [1]).append((["ann"], [1]))
    with pytest.raises(KeyError, match="next row numbers"):
        Interactions.from_csr(sp.eye_array(3)).append(([7], [0]))
    with pytest.raises(ValueError, match="how must be one of"):
        Interactions.from_arrays([1], [1]).append(([1], [1]), "max")


def test_remove_users_items_and_pairs():
    data = Interactions.from_arrays(
        list("aabbc"), [1, 2, 2, 3, 3], [1, 2, 3, 4, 5], item_names={2: "two"}, times=[1, 2, 3, 4, 5]
    )
    left = data.remove(users="c", items=[3])
    assert triplets_as_dict(left) == {("a", 1): 1, ("a", 2): 2, ("b", 2): 3}
    assert left.user_ids.tolist() == ["a", "b"]
    assert left.item_ids.tolist() == [1, 2]
    assert left.item_names.tolist() == [None, "two"]
    assert left.times.tolist() == [1, 2, 3]
    fewer = data.remove(pairs=(["a", "a", "c"], [1, 3, 3]))  # ("a", 3) has no entry
    assert triplets_as_dict(fewer) == {("a", 2): 2, ("b", 2): 3, ("b", 3): 4}
    assert fewer.shape == data.shape
    assert fewer.times.tolist() == [2, 3, 4]
    for pairs in ([("a", 1), ("a", 2)], {"a": 1, "b": 2}, 5, ("a",)):
        with pytest.raises(TypeError, match="pairs must be a tuple of two arrays"):
            data.remove(pairs=pairs)
    with pytest.raises(TypeError, match="users, items or pairs"):
        data.remove()
    with pytest.raises(KeyError, match="no user 'z'"):
        data.remove(users=["a", "z"])
    with pytest.raises(ValueError, match="as many users as items"):
        data.remove(pairs=(["a"], [1, 2]))
    assert data.nnz == 5


# -- in the order of a model ---------------------------------------------------------------------------------------------


def test_like_uses_the_rows_of_a_model_or_of_other_interactions():
    train = Interactions.from_arrays(list("cab"), [30, 10, 20], item_names={10: "ten"})
    model = ALS(factors=2, iterations=1, random_state=0).fit(train)
    frame = pd.DataFrame({"user": list("bbzc"), "item": [10, 10, 10, 99], "value": [1, 2, 4, 8], "time": [1, 2, 3, 4]})
    for like in (model, train):
        with pytest.warns(UserWarning, match="2 of 4 entries are left out, .*unknown users: 1, unknown items: 1"):
            test = Interactions.from_frame(frame, time="time", like=like)
        assert test.users.same_as(train.users)
        assert test.items.same_as(train.items)
        assert test.user_items.toarray().tolist() == [[0, 0, 0], [3, 0, 0], [0, 0, 0]]
        assert test.item_names.tolist() == ["ten", None, None]
        assert test.times.tolist() == [2]
        assert test.report == {"rows": 4, "unknown": 2, "pairs": 1}
    same = Interactions.from_arrays(list("ab"), [10, 20], like=train)
    assert same.shape == (3, 3)
    for call, message in (
        (lambda: Interactions.from_arrays([1], [10], like=train), "the user ids are whole numbers, like 1"),
        (lambda: Interactions.from_arrays(["z"], [10], like=train), "no entry has a known user and a known item"),
        (lambda: Interactions.from_arrays([0], [0], shape=(3, 3), like=train), "either shape or like"),
        (lambda: Interactions.from_frame(frame, like=frame), "like must be a fitted model or Interactions"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()


def test_evaluate_and_loss_align_by_id():
    matrix = random_matrix((40, 30), 0.3, seed=5)
    ids = {"user_ids": [f"u{k}" for k in range(40)], "item_ids": [f"i{k}" for k in range(30)]}
    data = Interactions.from_csr(matrix, **ids)
    train, test = cymbals.split.random(data, 0.3, seed=0)
    model = ALS(factors=4, random_state=0).fit(train)
    coo = test.user_items.tocoo()
    users, items = test.user_ids[coo.coords[0]], test.item_ids[coo.coords[1]]
    apart = Interactions.from_arrays(users, items, coo.data)  # its own, sorted order, without users who have no entry
    assert apart.shape != test.shape
    assert cymbals.evaluate(model, train, apart) == cymbals.evaluate(model, train, test)
    more = Interactions.from_arrays([*users, "new"], [*items, "i3"], [*coo.data, 1])
    with pytest.warns(UserWarning, match=rf"test: 1 of {coo.nnz + 1} entries are left out"):
        assert cymbals.evaluate(model, train, more) == cymbals.evaluate(model, train, test)
    turned = Interactions.from_csr(matrix[::-1], user_ids=ids["user_ids"][::-1], item_ids=ids["item_ids"])
    assert model.loss(turned) == pytest.approx(model.loss(data), rel=1e-12)
    with pytest.raises(TypeError, match="user ids are whole numbers"):
        cymbals.evaluate(model, train, Interactions.from_arrays([1], ["i1"]))
