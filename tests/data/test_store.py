"""Stores: what is read is what was written, damage is refused, and a store is replaced as a whole or not at all."""

import json
import os
import pickle
import shutil
import zlib

import numpy as np
import pyarrow as pa
import pytest
from conftest import random_matrix

import cymbals
from cymbals import ALS, Interactions, StoreError
from cymbals.data import csr, deriving, store, stored_array
from cymbals.data.ids import Ids


def plays(**how):
    return Interactions.from_csr(random_matrix((50, 30), 0.2, values=(1, 9)), **how)


def times_of(kind):
    rows, columns = random_matrix((50, 30), 0.2).nonzero()
    times = np.random.default_rng(0).integers(0, 10**9, rows.size).astype(kind)
    return Interactions.from_arrays(rows, columns, times=times)


NAMES = [f"artist ü{i}" if i % 3 else None for i in range(30)]
DATA = {
    "row numbers": plays,
    "whole numbers": lambda: plays(user_ids=np.arange(50) * 7 - 100, item_ids=np.arange(30)[::-1]),
    "strings and names": lambda: plays(
        user_ids=[f"ann {i}" for i in range(50)],
        item_ids=[f"\ud800{i}" for i in range(30)],
        item_names={f"\ud800{i}": name for i, name in enumerate(NAMES) if name},
    ),
    "float64": lambda: Interactions.from_csr(random_matrix((50, 30), 0.2).astype(np.float64)),
    "int times": lambda: times_of("int64"),
    "float times": lambda: times_of("float64"),
    "dates": lambda: times_of("datetime64[s]"),
    "empty": lambda: Interactions.from_arrays([], [], shape=(3, 0)),
}


def check_same(got, want):
    for side in ("csr", "by_item"):
        a, b = (getattr(data, side) for data in (got, want))
        a, b = (a(), b()) if side == "by_item" else (a, b)
        assert a.shape == b.shape
        for part in ("indptr", "indices", "data"):
            assert getattr(a, part).dtype == getattr(b, part).dtype
            assert np.array_equal(getattr(a, part), getattr(b, part))
    assert got.user_ids.tolist() == want.user_ids.tolist()
    assert got.item_ids.tolist() == want.item_ids.tolist()
    assert (got.users.array is None, got.items.array is None) == (want.users.array is None, want.items.array is None)
    for name in ("item_names", "times"):
        a, b = getattr(got, name), getattr(want, name)
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and a.tolist() == b.tolist())
    assert got.report == want.report


@pytest.mark.parametrize("kind", DATA)
def test_what_is_opened_is_what_was_saved(kind, tmp_path):
    data = DATA[kind]()
    data.save(tmp_path / "s")
    check_same(Interactions.open(tmp_path / "s"), data)


def test_blocks_of_a_large_array(tmp_path):
    rng = np.random.default_rng(0)
    data = Interactions.from_arrays(rng.integers(0, 3000, 400_000), rng.integers(0, 2000, 400_000), shape=(3000, 2000))
    assert data.csr.indices.nbytes > stored_array.BLOCK
    data.save(tmp_path / "s")
    check_same(Interactions.open(tmp_path / "s"), data)
    (file,) = (tmp_path / "s").glob("by_user.indices.*")
    content = bytearray(file.read_bytes())
    content[stored_array.BLOCK + 5] ^= 1
    file.write_bytes(content)
    opened, words = Interactions.open(tmp_path / "s"), r"s: not a complete store: by_user.indices.* altered .*of block 1"
    assert opened.csr.row(0)[0].size  # of block 0
    for _ in range(2):
        with pytest.raises(StoreError, match=words):
            opened.csr.row(2900)
        with pytest.raises(StoreError, match=words):
            opened.csr.indices  # noqa: B018


def test_a_fit_of_an_opened_store_is_a_fit_of_the_data(tmp_path):
    data = DATA["strings and names"]()
    data.save(tmp_path / "s")
    want, got = (ALS(4, random_state=0).fit(one) for one in (data, Interactions.open(tmp_path / "s")))
    assert np.array_equal(want.item_factors_, got.item_factors_)
    assert got.name_of(got.item_ids_[1]) == "artist ü1"


def test_a_store_is_replaced_as_a_whole(tmp_path):
    first, second = plays(), DATA["whole numbers"]()
    first.save(tmp_path / "s")
    before = set(os.listdir(tmp_path / "s"))
    second.save(tmp_path / "s")
    check_same(Interactions.open(tmp_path / "s"), second)
    after = set(os.listdir(tmp_path / "s"))
    assert before & after == {"store.json", "store.lock"}
    assert len(after) == 2 + 6 + 2  # two matrices of three arrays, and two arrays of ids


@pytest.mark.parametrize("at", range(1, 9))
def test_a_write_that_fails_changes_nothing(tmp_path, monkeypatch, at):
    first = plays()
    first.save(tmp_path / "s")
    before = {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()}
    calls, real = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == at:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        DATA["whole numbers"]().save(tmp_path / "s")
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == before
    check_same(Interactions.open(tmp_path / "s"), first)


def test_a_reader_that_a_writer_overtakes_reads_the_new_store(tmp_path, monkeypatch):
    first, second = plays(), DATA["whole numbers"]()
    first.save(tmp_path / "s")
    real, left = store._mapped, [1]

    def overtaken(folder, entry):
        if left:
            left.pop()
            second.save(tmp_path / "s")
        return real(folder, entry)

    monkeypatch.setattr(store, "_mapped", overtaken)
    check_same(Interactions.open(tmp_path / "s"), second)


def test_two_writers(tmp_path):
    plays().save(tmp_path / "s")
    with store._alone(tmp_path / "s"), pytest.raises(BlockingIOError, match="another process is writing this store"):
        plays().save(tmp_path / "s")
    plays().save(tmp_path / "s")


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "by_user.data.0123456789abcdef").write_bytes(b"half")
    with pytest.raises(StoreError, match=r"not a store: it has no store\.json"):
        Interactions.open(tmp_path / "s")
    plays().save(tmp_path / "s")
    assert not (tmp_path / "s" / "by_user.data.0123456789abcdef").exists()


# -- damage --------------------------------------------------------------------------------------------------------------


def read_all(path):
    """Open a store, and read all that it holds."""
    data = Interactions.open(path)
    for matrix in (data.csr, data.by_item()):
        matrix.whole()
    return data, data.item_names, data.times


def test_every_changed_byte_is_refused(tmp_path):
    small = Interactions.from_arrays(["a", "b"], ["x", "y"], times=[1, 2], item_names={"x": "X"})
    small.save(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(StoreError):
                read_all(tmp_path / "s")
        for changed in (whole[:-1], whole + b"x", b"") if whole else ():
            path.write_bytes(changed)
            with pytest.raises(StoreError):
                read_all(tmp_path / "s")
        path.write_bytes(whole)
    check_same(Interactions.open(tmp_path / "s"), small)


def rewritten(folder, change):
    """Change the list of a store, with a correct checksum."""
    path = folder / "store.json"
    content = json.loads(path.read_bytes().split(b"\n")[0])
    change(content)
    text = json.dumps(content).encode()
    path.write_bytes(text + b"\n%08x\n" % zlib.crc32(text))


HOSTILE = {
    "a file elsewhere": (lambda c: c["arrays"]["by_user.data"].update(file="../../etc/passwd"), "impossible file name"),
    "a huge array": (lambda c: c["arrays"]["by_user.data"].update(size=2**60), "but should have"),
    "a negative array": (lambda c: c["arrays"]["by_user.data"].update(size=-1), "no size or no checksum"),
    "an unknown type": (lambda c: c["arrays"]["by_user.data"].update(type="|O"), "unknown type"),
    "a type of another size": (lambda c: c["arrays"]["by_user.data"].update(type="<f8"), "but should have"),
    "a type of the same size": (
        lambda c: c["arrays"]["by_user.data"].update(type="<i4"),
        "'by_user.data' is missing, or",
    ),
    "no matrix": (lambda c: [c["arrays"].pop(f"by_user.{p}") for p in ("indptr", "indices", "data")], "is missing"),
    "half a matrix": (lambda c: c["arrays"].pop("by_item.indices"), "'by_item.indices' is missing"),
    "another matrix": (
        lambda c: c["arrays"].update({f"by_item.{p}": c["arrays"][f"by_user.{p}"] for p in ("indptr", "indices", "data")}),
        "do not match",
    ),
    "another shape": (lambda c: c["facts"].update(shape=[51, 30]), "do not match"),
    "no shape": (lambda c: c["facts"].pop("shape"), "its shape must be two whole numbers"),
    "a report with text": (lambda c: c["facts"].update(report={"rows": "x"}), "its report must contain only numbers"),
    "another version": (lambda c: c.update({"cymbals store": 2}), "format version 2, but this cymbals reads version 1"),
    "no arrays": (lambda c: c.pop("arrays"), "no facts or no arrays"),
    "a list": (lambda c: c.pop("cymbals store"), "not the list of a store"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_lists_are_refused(how, tmp_path):
    plays().save(tmp_path / "s")
    change, words = HOSTILE[how]
    rewritten(tmp_path / "s", change)
    with pytest.raises(StoreError, match=words):
        Interactions.open(tmp_path / "s")


def test_hostile_content_is_refused(tmp_path):
    """Checksums can be right although the content is not."""

    def wrong(name, at, value):
        rewritten(tmp_path / "s", lambda c: replace_array(tmp_path / "s", c["arrays"][name], at, value))
        return name, at, value

    for name, at, value, words in (
        ("by_user.indptr", 0, 1, "must rise from 0"),
        ("by_user.indptr", 5, 10**12, "must rise from 0"),
        ("by_item.indptr", 30, 7, "must rise from 0"),
        ("by_user.indices", 3, 30, "rows 0 to 49 have indices out of order or out of range"),
        ("by_user.indices", 3, -1, "indices out of order or out of range"),
        ("by_user.indices", 1, 0, "indices out of order or out of range"),
        ("by_item.data", 4, np.nan, "values that are not finite"),
    ):
        plays().save(tmp_path / "s")
        wrong(name, at, value)
        with pytest.raises(StoreError, match=words):
            read_all(tmp_path / "s")
    with pytest.raises(StoreError, match="not finite"):
        ALS(4).fit(Interactions.open(tmp_path / "s"))


def replace_array(folder, entry, at, value):
    """Change one number of an array file, with correct checksums."""
    array = np.fromfile(folder / entry["file"], entry["type"], entry["size"])
    array[at] = value
    checksums = np.array([zlib.crc32(array.tobytes())], "<u4")
    assert array.nbytes <= stored_array.BLOCK
    (folder / entry["file"]).write_bytes(array.tobytes() + checksums.tobytes())
    entry["crc32"] = zlib.crc32(checksums.tobytes())


def test_wrong_paths_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    with pytest.raises(FileExistsError, match="it is a file, and a store is a folder"):
        plays().save(tmp_path / "file")
    with pytest.raises(FileExistsError, match=r"it holds other files, such as notes\.txt; name a new folder"):
        plays().save(tmp_path / "full")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "store.json").write_text("{}")
    with pytest.raises(FileExistsError, match=r"its store\.json is not that of a store; name a new folder"):
        plays().save(tmp_path / "other")
    assert (tmp_path / "other" / "store.json").read_text() == "{}"
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        plays().save(tmp_path / "no" / "s")
    for name in ("file", "full", "absent"):
        with pytest.raises(StoreError, match="not a store"):
            Interactions.open(tmp_path / name)
    data = plays()
    data.report["note"] = "mine"
    with pytest.raises(TypeError, match=r"report\['note'\] must be a number, .* got 'mine'"):
        data.save(tmp_path / "s")
    assert not (tmp_path / "s").exists()
    assert cymbals.StoreError is StoreError


# -- reading in blocks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, and checksums of a few numbers."""
    monkeypatch.setattr(csr, "BLOCK_ENTRIES", 40)
    for module in (store, stored_array):
        monkeypatch.setattr(module, "BLOCK", 64)


FITS = {
    "hu": {},
    "ials": {"objective": "ials", "nu": 1.0},
    "log": {"confidence": "log", "solver": "cg"},
    "callable": {"confidence": np.sqrt},
    "exact": {"solver": "exact", "nu": 0.5},
    "float64": {"dtype": "float64"},
    "explicit": {"objective": "explicit"},
    "no regularization": {"objective": "explicit", "regularization": 0},
    "biases": {"objective": "explicit", "biases": True, "nu": 1.0},
    "auto": {"objective": "ials", "alpha": "auto", "regularization": "auto", "unobserved_weight": "auto", "nu": 1.0},
    "tol": {"tol": 0.01},
}


@pytest.mark.parametrize("how", FITS)
def test_a_fit_of_a_store_has_the_bits_of_a_fit_in_memory(how, tmp_path, small_blocks):
    data = plays()
    data.save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    assert len(list(stored.csr.blocks())) > 5
    want, got = (ALS(5, random_state=0, n_threads=2, **FITS[how]).fit(d, compute_loss=True) for d in (data, stored))
    assert np.array_equal(want.user_factors_, got.user_factors_)
    assert np.array_equal(want.item_factors_, got.item_factors_)
    assert want.report_ == got.report_
    assert [h["loss"] for h in want.history_] == [h["loss"] for h in got.history_]


def test_zeros_and_dislikes_in_a_store(tmp_path, small_blocks):
    matrix = random_matrix((50, 30), 0.2, values=(1, 9))
    matrix.data[::7], matrix.data[1::11] = 0, -2
    data = Interactions.from_csr(matrix)
    data.save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    want, got = (ALS(5, random_state=0).fit(d) for d in (data, stored))
    assert np.array_equal(want.item_factors_, got.item_factors_)
    assert got.report_["stored_zeros_dropped"] == len(range(0, matrix.nnz, 7)) - len(range(56, matrix.nnz, 77))
    with pytest.raises(ValueError, match=r"train holds -2.0 at row 0, column .*objective 'ials' takes no negative values"):
        ALS(objective="ials").fit(stored)


def test_a_model_of_a_store_answers_like_one_in_memory(tmp_path, small_blocks):
    data = DATA["whole numbers"]()
    data.save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    want, got = (ALS(5, random_state=0).fit(d) for d in (data, stored))
    got.save(tmp_path / "model")
    assert (cymbals.load(tmp_path / "model").interactions_.user_items != data.user_items).nnz == 0
    users = data.user_ids[[3, 40, 7, 7]]
    for call in (
        lambda model: model.recommend(users, 7),
        lambda model: model.popular(5),
        lambda model: [model.explain(users[0], item) for item in data.item_ids[:3]],
        lambda model: pa.table(model.recommend_all(4)).to_pydict(),
    ):
        assert str(call(want)) == str(call(got))


def test_an_evaluation_of_a_store_is_one_in_memory(tmp_path, small_blocks):
    train, test = cymbals.split.random(plays(), 0.3, seed=0)
    model = ALS(5, random_state=0).fit(train)
    train.save(tmp_path / "train")
    test.save(tmp_path / "test")
    want = cymbals.evaluate(model, train, test, k=(1, 5))
    got = cymbals.evaluate(model, Interactions.open(tmp_path / "train"), Interactions.open(tmp_path / "test"), k=(1, 5))
    assert dict(want) == dict(got)


def test_a_model_of_a_store_is_updated_like_one_in_memory(tmp_path, small_blocks):
    data = DATA["whole numbers"]()
    data.save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    want, got = (ALS(5, random_state=0).fit(d) for d in (data, stored))
    assert got.state_.seen_by_item(1) is stored.by_item()
    for users, items in (([-100, 600, -93], [3, 29, 99]), (data.user_ids[:9], data.item_ids[9:18])):
        reports = [model.update((users, items, np.arange(1, len(users) + 1))) for model in (want, got)]
        assert reports[0].touched_items == reports[1].touched_items
        for model in (want, got):
            model.update_items([3], model.interactions_.item_users[[model.items_.rows("item", [3])[0]]])
        assert (want.interactions_.user_items != got.interactions_.user_items).nnz == 0
        assert np.array_equal(want.user_factors_, got.user_factors_)
        assert np.array_equal(want.item_factors_, got.item_factors_)
    check_same(Interactions.open(tmp_path / "s"), data)


def test_a_fit_of_a_store_is_resumed(tmp_path, small_blocks):
    data, model = DATA["whole numbers"](), ALS(5, random_state=0, iterations=6)
    data.save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    want = model.fit(data).item_factors_

    def stop(model, iteration):
        if iteration == 4:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        model.fit(stored, checkpoint=tmp_path / "fit", callback=stop, factors_path=tmp_path)
    for again in (stored, data):  # the same entries, wherever they are
        shutil.copy(tmp_path / "fit", tmp_path / "copy")
        resumed = ALS.resume(tmp_path / "copy", again, callback=False)
        assert resumed.report_["resumed_at"] == 3
        assert np.array_equal(resumed.item_factors_, want)


def test_a_description_of_a_store_is_one_in_memory(tmp_path, small_blocks):
    data = DATA["whole numbers"]()
    data.save(tmp_path / "s")
    assert str(cymbals.describe(data)) == str(cymbals.describe(Interactions.open(tmp_path / "s")))


def test_an_opened_store_stays_as_it_was(tmp_path, small_blocks):
    first, second = plays(), DATA["whole numbers"]()
    first.save(tmp_path / "s")
    opened = Interactions.open(tmp_path / "s")
    second.save(tmp_path / "s")
    check_same(opened, first)


def test_a_damaged_block_is_found_when_it_is_read(tmp_path, small_blocks):
    plays().save(tmp_path / "s")
    (file,) = (tmp_path / "s").glob("by_user.data.*")
    content = bytearray(file.read_bytes())
    content[-600] ^= 1  # in one of the last blocks
    file.write_bytes(content)
    stored = Interactions.open(tmp_path / "s")
    blocks = stored.csr.blocks()
    for _ in range(2):
        next(blocks)
    with pytest.raises(StoreError, match="wrong checksum of block"):
        list(blocks)
    model = ALS(5)
    with pytest.raises(StoreError, match="wrong checksum of block"):
        model.fit(stored)
    assert not hasattr(model, "item_factors_")


def test_a_file_that_is_overwritten_while_it_is_mapped_is_noticed(tmp_path):
    """Whoever writes to the file breaks the rule of stores; kernels must still not gather outside their arrays."""
    plays().save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    stored.csr.whole()
    (file,) = (tmp_path / "s").glob("by_user.indices.*")
    with open(file, "r+b") as opened:
        opened.write(np.full(stored.nnz, 2**31 - 1, np.int32).tobytes())
    with pytest.raises(ValueError, match="row 0 has an index out of range"):
        ALS(5).fit(stored)
    with pytest.raises(ValueError, match="the file of the interactions was changed while it was in use"):
        stored.csr.take(np.array([3, 1]))


def test_pickles_of_a_store_are_in_memory(tmp_path):
    data = DATA["int times"]()
    data.save(tmp_path / "s")
    copy = pickle.loads(pickle.dumps(Interactions.open(tmp_path / "s")))
    shutil.rmtree(tmp_path / "s")
    check_same(copy, data)


# -- appending -----------------------------------------------------------------------------------------------------------


def events_of(kind, seed):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 60, 200), rng.integers(0, 40, 200)
    values = rng.integers(1, 5, 200).astype(np.float32)
    if kind == "strings and names":
        return Interactions.from_arrays([f"ann {i}" for i in users], [f"new {i}" for i in items], values)
    times = rng.integers(0, 2 * 10**9, 200)
    return Interactions.from_arrays(users, items, values, times=times if kind == "int times" else None)


@pytest.mark.parametrize("how", ["add", "replace"])
@pytest.mark.parametrize("kind", ["whole numbers", "strings and names", "int times", "float64"])
def test_appending_writes_what_appending_in_memory_gives(kind, how, tmp_path, small_blocks):
    data = DATA[kind]()
    if kind in ("int times", "float64"):  # without ids, events could not have new users
        data = Interactions(
            data.csr, *(Ids(i.what, i.n, np.arange(i.n)) for i in (data.users, data.items)), times=data.times
        )
    data.save(tmp_path / "s")
    first = stored = Interactions.open(tmp_path / "s")
    want = data
    for seed in range(3):
        new = events_of(kind, seed)
        want, stored = want.append(new, how), stored.append(new, how)
        check_same(stored, want)
    check_same(first, data)
    check_same(Interactions.open(tmp_path / "s"), want)
    assert len(list((tmp_path / "s").iterdir())) == 2 + len(store.read(tmp_path / "s").arrays)


def test_large_sums_widen_the_values_of_a_store(tmp_path, small_blocks):
    data = plays(user_ids=np.arange(50), item_ids=np.arange(30))
    data.save(tmp_path / "s")
    new = Interactions.from_arrays([0, 0], [1, 2], [2.0**24, 3])
    got = Interactions.open(tmp_path / "s").append(new)
    check_same(got, data.append(new))
    assert got.csr.data.dtype == np.float64


def test_appending_to_an_old_version_is_refused(tmp_path):
    plays(user_ids=np.arange(50), item_ids=np.arange(30)).save(tmp_path / "s")
    old = Interactions.open(tmp_path / "s")
    new = old.append(([3], [4]))
    with pytest.raises(StoreError, match="was replaced since it was opened: open it again"):
        old.append(([3], [5]))
    check_same(Interactions.open(tmp_path / "s"), new)


def test_an_append_that_fails_changes_nothing(tmp_path, monkeypatch):
    data = plays(user_ids=np.arange(50), item_ids=np.arange(30))
    data.save(tmp_path / "s")
    stored, real, calls = Interactions.open(tmp_path / "s"), os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(descriptor)

    before = sorted(os.listdir(tmp_path / "s"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        stored.append(([3], [4]))
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path / "s")) == before
    check_same(Interactions.open(tmp_path / "s"), data)
    check_same(stored.append(([3], [4])), data.append(([3], [4])))


# -- stores made from others ---------------------------------------------------------------------------------------------

DERIVED = {
    "random": lambda d, out: cymbals.split.random(d, 0.3, seed=1, out=out),
    "leave_k_out": lambda d, out: cymbals.split.leave_k_out(d, 2, seed=1, out=out),
    "latest": lambda d, out: cymbals.split.leave_k_out(d, 2, latest=True, out=out),
    "by_time": lambda d, out: cymbals.split.by_time(d, 0.2, out=out),
    "clip": lambda d, out: (cymbals.weighting.clip(d, 3, out=out and out[0]),),
    "tfidf": lambda d, out: (cymbals.weighting.tfidf(d, out=out and out[0]),),
    "bm25": lambda d, out: (cymbals.weighting.bm25(d, out=out and out[0]),),
    "time_decay": lambda d, out: (cymbals.weighting.time_decay(d, 10**8, out=out and out[0]),),
}


@pytest.mark.parametrize("kind", ["int times", "float times", "strings and names", "float64"])
@pytest.mark.parametrize("how", DERIVED)
def test_what_is_written_to_out_is_what_comes_in_memory(how, kind, tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(deriving, "_PIECE", 50)
    data, make = DATA[kind](), DERIVED[how]
    if data.times is None and how in ("latest", "by_time", "time_decay"):
        return
    data.save(tmp_path / "s")
    stored, out = Interactions.open(tmp_path / "s"), (tmp_path / "a", tmp_path / "b")
    for want, in_memory, written in zip(make(data, None), make(stored, None), make(stored, out), strict=True):
        for got in (in_memory, written):
            got.report, want.report = {}, {}
            check_same(got, want)
    parts = {"a", "b"} if how in list(DERIVED)[:4] else {"a"}
    assert {path.name for path in tmp_path.iterdir()} == {"s"} | parts


def test_wrong_outs_are_refused(tmp_path, monkeypatch):
    data = DATA["int times"]()
    data.save(tmp_path / "s")
    stored = Interactions.open(tmp_path / "s")
    for out in (tmp_path / "a", (tmp_path / "a",), 3):
        with pytest.raises(TypeError, match="out must be the paths of two stores, for train and test"):
            cymbals.split.random(stored, out=out)
    with pytest.raises(TypeError, match="out needs Interactions, got csr_array"):
        cymbals.weighting.clip(data.user_items, out=tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        cymbals.weighting.clip(stored, out=tmp_path / "no" / "a")
    monkeypatch.setattr(deriving, "available", lambda: 100)
    for call in (cymbals.weighting.bm25, cymbals.split.random):
        with pytest.raises(MemoryError, match=r"would take 0.0 GB of memory, and 0.0 GB are free; name new stores in out"):
            call(stored)
        call(data)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
