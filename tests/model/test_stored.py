"""Saving and loading models, copies by pickle and joblib, memory-mapped models."""

import copy
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from bad_input import check_refused
from conftest import SMALL, random_matrix, run_python

import cymbals
from cymbals import ALS
from cymbals.model import container

M = random_matrix((12, 8), 0.4)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("ids", ["strings", "rows"])
def test_save_and_load(tmp_path, model, matrix, ids, mmap):
    if ids == "rows":
        model = ALS(factors=8, random_state=np.random.default_rng(0), alpha=np.float32(2)).fit(matrix)
    path = tmp_path / "m.cymbals"
    model.save(path)
    back = cymbals.load(path, mmap=mmap)
    user = "u7" if ids == "strings" else 7
    for call in (lambda m: m.recommend(user, 5), lambda m: m.similar_users(user), lambda m: (m.fold_in(matrix),)):
        assert all(np.array_equal(a, b) for a, b in zip(call(model), call(back), strict=True))
    assert back.history_ == model.history_
    assert back.get_params()["factors"] == 8
    assert back.user_factors_.flags.writeable is not mmap
    if ids == "strings":
        assert back.item_names_.tolist() == model.item_names_.tolist()
    back.update_users([user], matrix[[3]])
    assert [p.name for p in tmp_path.iterdir()] == ["m.cymbals"]


def test_save_without_interactions(tmp_path, model, matrix):
    model.save(tmp_path / "m", include_interactions=False)
    back = cymbals.load(tmp_path / "m")
    assert back.recommend("u7", exclude_seen=False)[0].shape == (10,)
    for call in (
        lambda: back.recommend("u7"),
        lambda: back.explain("u7", 10),
        lambda: back.update_users(["u7"], matrix[[3]]),
    ):
        with pytest.raises(ValueError, match="no interactions"):
            call()


def test_a_failing_save_leaves_the_old_file(tmp_path, model, monkeypatch):
    path = tmp_path / "m"
    model.save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_pickle_copy_and_joblib(tmp_path, model, data):
    import joblib

    joblib.dump(model, tmp_path / "m")
    for back in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(tmp_path / "m")):
        assert np.array_equal(back.recommend("u7")[0], model.recommend("u7")[0])
    back = pickle.loads(pickle.dumps(data))
    assert back.user_ids.tolist() == data.user_ids.tolist()


def test_seen_items_stay_read_only(model):
    for copied in (model, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        with pytest.raises(ValueError, match="read-only"):
            copied.state_.seen.data[0] = 5


def test_saving_odd_numbers_and_long_names(tmp_path, matrix):
    from fractions import Fraction

    model = ALS(factors=np.int64(3), alpha=Fraction(1, 2), regularization=np.float32(0.25)).fit(matrix)
    path = tmp_path / ("m" * 250)
    model.save(path)
    assert cymbals.load(path).get_params()["alpha"] == 0.5
    assert cymbals.load(path).get_params()["regularization"] == 0.25


def test_entries_that_a_callback_adds_to_history_are_saved(tmp_path):
    def note(model, iteration):
        model.history_[-1]["found"] = {"auc": [0.5, None], "by": "me"}

    ALS(factors=2, iterations=2, random_state=0).fit(M, callback=note).save(tmp_path / "m")
    assert cymbals.load(tmp_path / "m").history_[0]["found"] == {"auc": [0.5, None], "by": "me"}


@pytest.mark.parametrize("path", [0, 99, None, b"m", "", "a\0b"])
def test_a_path_of_a_wrong_type_is_refused(path):
    model = ALS(factors=2, iterations=1, random_state=0).fit(M)
    for call in (cymbals.load, model.save):
        with pytest.raises((TypeError, ValueError), match="path must be the path of a file"):
            call(path)


def test_loading_starts_no_threads(tmp_path, plain):
    """Loading a model runs nothing in parallel.

    If it did, the children that a server forks after loading would be limited to one thread.
    """
    plain.save(tmp_path / "m")
    loaded = f"import sys, cymbals; cymbals.load({str(tmp_path / 'm')!r})"
    script = f"{loaded}; print(sys.modules['cymbals.base.threads']._parallel_ran)"
    environment = os.environ | {"OMP_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"


# -- memory-mapped models --------------------------------------------------------------------------------------------


def test_documentation_of_mmap_says_how_a_file_may_be_replaced():
    assert "Replace a mapped file only by renaming" in " ".join(cymbals.load.__doc__.split())
    assert "SIGBUS" in cymbals.load.__doc__


def test_a_mapped_file_may_be_replaced_by_saving(tmp_path, plain, named):
    plain.save(tmp_path / "m")
    mapped = cymbals.load(tmp_path / "m", mmap=True)
    named.save(tmp_path / "m")
    assert np.array_equal(mapped.item_factors_, plain.item_factors_)


def test_interactions_that_were_overwritten_in_a_mapped_file_are_refused(tmp_path):
    """Whoever writes to the file breaks the rule of `mmap=True`; a kernel must still not gather outside its arrays."""
    code = f"""
import numpy as np, cymbals
from cymbals.model import container
path = {str(tmp_path / "m")!r}
matrix = __import__("scipy.sparse").sparse.random_array((900, 800), density=0.05, format="csr", rng=0)
cymbals.ALS(factors=4, iterations=1, random_state=0).fit(matrix).save(path)
model = cymbals.load(path, mmap=True)
seen = model.state_.seen.indices
text = open(path, "rb").read()
at = text.index(seen.tobytes())
with open(path, "r+b") as file:
    file.seek(at)
    file.write(np.full(seen.size, 2**31 - 1, seen.dtype).tobytes())
assert model.state_.seen.indices[0] == 2**31 - 1
try:
    model.update_items([0], matrix.T.tocsr()[[0]])
except ValueError as error:
    print("refused:", error)
"""
    assert run_python(code).startswith("refused: the file of the interactions")


@pytest.mark.parametrize("number", [10**12, 2**62, -1, -(2**63)])
def test_row_pointers_that_were_overwritten_in_a_mapped_file_are_refused(number, tmp_path):
    code = f"""
import numpy as np, cymbals
path = {str(tmp_path / "m")!r}
matrix = __import__("scipy.sparse").sparse.random_array((900, 800), density=0.05, format="csr", rng=0)
cymbals.ALS(factors=4, iterations=1, random_state=0).fit(matrix).save(path)
model = cymbals.load(path, mmap=True)
pointers = model.state_.seen.indptr[5:105]
at = open(path, "rb").read().index(pointers.tobytes())
with open(path, "r+b") as file:
    file.seek(at)
    file.write(np.full(50, {number}).tobytes())
for users in (np.arange(300), [10, 3]):
    try:
        model.recommend(users)
    except ValueError as error:
        print("refused:", error)
"""
    assert run_python(code).count("refused: the file of the interactions") == 2


def test_a_model_is_read_into_memory_unless_it_is_mapped(tmp_path):
    ALS(factors=4, iterations=1, random_state=0).fit(M).save(tmp_path / "m")
    model = cymbals.load(tmp_path / "m")
    before = model.item_factors_.copy()
    (tmp_path / "m").write_bytes(b"\xff" * (tmp_path / "m").stat().st_size)
    assert np.array_equal(model.item_factors_, before)


# -- files that are refused ------------------------------------------------------------------------------------------


def saved(model, folder):
    path = folder / "m"
    model.save(path)
    return path


def load_bytes(folder, content):
    (folder / "m").write_bytes(content)
    return cymbals.load(folder / "m")


def newer_version(model, folder):
    header = b"{}".ljust(64)
    return load_bytes(folder, struct.pack("<8sIIQ", container.MAGIC, 99, zlib.crc32(header), 64) + header)


def rewritten(model, folder, change):
    """A file whose checksums are right and whose content says something impossible."""
    facts, arrays = container.read(saved(model, folder))
    facts, arrays = json.loads(json.dumps(facts)), dict(arrays)
    change(facts, arrays)
    container.write(folder / "x", facts, arrays)
    return cymbals.load(folder / "x")


CONTENTS = {
    "text": b"hello world" * 9,
    "pickle": b"\x80\x04N.",
    "zeros": bytes(4096),
    "magic only": b"cymbals\n" + b"\xff" * 99,
}
CHANGES = {  # changes to the facts and the arrays of a file
    "no items": lambda f, a: a.pop("y"),
    "ranks differ": lambda f, a: a.update(y=a["y"][:, :2]),
    "types differ": lambda f, a: a.update(y=a["y"].astype(np.float64)),
    "indices outside": lambda f, a: a.update({"seen.indices": a["seen.indices"] + 12}),
    "indptr outside": lambda f, a: a.update({"seen.indptr": a["seen.indptr"] * 1000}),
    "indptr short": lambda f, a: a.update({"seen.indptr": a["seen.indptr"][:-1]}),
    "repeated ids": lambda f, a: a.update(users=np.zeros(20, np.int64)),
    "few ids": lambda f, a: a.update(users=np.arange(3)),
    "few names": lambda f, a: a.update({"names.length": np.zeros(1, np.int64), "names.bytes": np.zeros(1, np.uint8)}),
    "flat factors": lambda f, a: a.update(x=a["x"].reshape(-1)),
}
CASES = {  # name: what is done with a model and an empty folder, and what the message must have
    f"model file cut to {size}": (lambda m, t, n=size: load_bytes(t, saved(m, t).read_bytes()[:n]), "m: ")
    for size in (0, 1, 8, 23, 24, 200, 1000)
}
CASES |= {f"model file {name}": (lambda m, t, b=content: load_bytes(t, b), "m: ") for name, content in CONTENTS.items()}
CASES |= {
    f"model file {name}": (lambda m, t, c=change: rewritten(m, t, c), "not a complete") for name, change in CHANGES.items()
}
CASES |= {
    "model file newer": (newer_version, "version 99"),
    "model file absent": (lambda m, t: cymbals.load(t / "absent"), ""),
    "model file is a folder": (lambda m, t: cymbals.load(t), ""),
    "save onto a folder": (lambda m, t: m.save(t), "regular file"),
    "save onto a device": (lambda m, t: m.save("/dev/null"), "regular file"),
    "save into no folder": (lambda m, t: m.save(t / "no" / "m"), ""),
    "save unfitted": (lambda m, t: ALS().save(t / "m"), ""),
    "save a function": (lambda m, t: ALS(factors=2, confidence=np.sqrt).fit(SMALL).save(t / "m"), "confidence"),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, small_model, tmp_path):
    call, words = CASES[name]
    state = small_model._state
    check_refused(lambda: call(small_model, tmp_path), words)
    assert small_model._state is state
