"""Stores: what is read is what was written, damage is refused, and a store is replaced as a whole or not at all."""

import json
import os
import zlib

import numpy as np
import pytest
from conftest import random_matrix

import cymbals
from cymbals import ALS, Interactions, StoreError
from cymbals.data import store


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
    assert data.csr.indices.nbytes > store.BLOCK
    data.save(tmp_path / "s")
    check_same(Interactions.open(tmp_path / "s"), data)
    (file,) = (tmp_path / "s").glob("by_user.indices.*")
    content = bytearray(file.read_bytes())
    content[store.BLOCK + 5] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"s: not a complete store: by_user.indices.* altered .*wrong checksum of block 1"):
        Interactions.open(tmp_path / "s")


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
    real, left = store._read_array, [1]

    def overtaken(path, entry):
        if left:
            left.pop()
            second.save(tmp_path / "s")
        return real(path, entry)

    monkeypatch.setattr(store, "_read_array", overtaken)
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


def test_every_changed_byte_is_refused(tmp_path):
    small = Interactions.from_arrays(["a", "b"], ["x", "y"], times=[1, 2], item_names={"x": "X"})
    small.save(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(StoreError):
                Interactions.open(tmp_path / "s")
        for changed in (whole[:-1], whole + b"x", b"") if whole else ():
            path.write_bytes(changed)
            with pytest.raises(StoreError):
                Interactions.open(tmp_path / "s")
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
    "a type of the same size": (lambda c: c["arrays"]["by_user.data"].update(type="<i4"), "must be float32 or float64"),
    "no matrix": (lambda c: [c["arrays"].pop(f"by_user.{p}") for p in ("indptr", "indices", "data")], "do not match"),
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
