"""Bad input of every kind: each case is a Python exception that says what is wrong, or a counted rejection; never a
crash, never a hang, and never a changed model."""

import json
import math
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import random_matrix

import cymbals
from cymbals import ALS, Interactions, audioscrobbler, datasets, evaluate, split
from cymbals.model import container

ERRORS = (ArithmeticError, KeyError, MemoryError, OSError, TypeError, ValueError)
M = random_matrix((20, 12), 0.3)
CASES = {}


def case(name, call, match=""):
    """One bad input: `call(tmp_path)` must raise one of ERRORS with a message that has `match`."""
    assert name not in CASES, name
    CASES[name] = (call, match)


def broken_csr(indptr=None, indices=None, data=None, shape=None):
    """A CSR array whose parts were replaced behind scipy's back."""
    out = M.copy()
    for part, new in (("indptr", indptr), ("indices", indices), ("data", data)):
        if new is not None:
            setattr(out, part, new)
    if shape is not None:
        out._shape = shape
    return out


def poked(array, at, value):
    out = array.copy()
    out[at] = value
    return out


# -- estimator arguments ---------------------------------------------------------------------------------------------

for argument, values in {
    "factors": (0, -1, 2.5, "8", None, True, 10**9, np.nan),
    "regularization": (-1, math.nan, math.inf, "x", None, 1j),
    "alpha": (-0.5, math.nan, math.inf, "1", None, [1]),
    "unobserved_weight": (-1, math.nan, "a", None),
    "objective": ("HU", "", None, 3, ["hu"]),
    "confidence": ("linea", None, 5, b"log"),
    "nu": (-1, math.nan, "a", None),
    "solver": ("fast", None, 1),
    "cg_steps": (0, -3, 1.5, None),
    "iterations": (0, -1, 2.0, "3", None),
    "tol": (-1e-3, math.nan, "x"),
    "dtype": ("float16", "int32", None, object, "no such", 7),
    "n_threads": (0, -2, 1.5, "2", 10**6),
    "random_state": ("seed", -1, 1.5, [1]),
    "compact": (None, 1, "yes"),
    "relaxation": (0, -1, 2, 2.5, math.nan, "1"),
}.items():
    for value in values:
        case(f"ALS {argument}={value!r}", lambda _, a=argument, v=value: ALS(**{a: v}).fit(M), argument)

for name, f in {
    "short": lambda v: v[:-1],
    "scalar": lambda v: 1.0,
    "nan": lambda v: v * np.nan,
    "inf": lambda v: v + np.inf,
    "text": lambda v: v.astype(str),
    "none": lambda v: None,
    "two columns": lambda v: np.stack([v, v], axis=1),
}.items():
    case(f"confidence returns {name}", lambda _, f=f: ALS(confidence=f).fit(M), "confidence")

# -- matrices --------------------------------------------------------------------------------------------------------

for name, make in {
    "None": lambda: None,
    "list": lambda: [[1, 2], [3, 4]],
    "dense": lambda: M.toarray(),
    "frame": lambda: pd.DataFrame(M.toarray()),
    "text": lambda: "data.csv",
    "complex": lambda: M.astype(complex),
    "no entries": lambda: sp.csr_array((5, 5)),
    "no rows": lambda: sp.csr_array((0, 5)),
    "no columns": lambda: sp.csr_array((5, 0)),
    "nothing": lambda: sp.csr_array((0, 0)),
    "only zeros": lambda: sp.csr_array((np.zeros(2), ([0, 1], [0, 1]))),
    "nan": lambda: broken_csr(data=poked(M.data, 3, np.nan)),
    "inf": lambda: broken_csr(data=poked(M.data, 3, np.inf)),
    "-inf": lambda: broken_csr(data=poked(M.data, -1, -np.inf)),
    "negative index": lambda: broken_csr(indices=poked(M.indices, 0, -1)),
    "index too large": lambda: broken_csr(indices=poked(M.indices, 5, 12)),
    "huge index": lambda: broken_csr(indices=poked(M.indices.astype(np.int64), 5, 2**62)),
    "float indices": lambda: broken_csr(indices=M.indices.astype(float)),
    "indptr falls": lambda: broken_csr(indptr=poked(M.indptr, 4, 0)),
    "indptr beyond the end": lambda: broken_csr(indptr=poked(M.indptr, -1, M.nnz + 7)),
    "indptr starts late": lambda: broken_csr(indptr=poked(M.indptr, 0, 1)),
    "indptr negative": lambda: broken_csr(indptr=poked(M.indptr, 2, -5)),
    "indptr huge": lambda: broken_csr(indptr=poked(M.indptr.astype(np.int64), 2, 2**62)),
    "indptr short": lambda: broken_csr(indptr=M.indptr[:-1]),
    "indptr float": lambda: broken_csr(indptr=M.indptr.astype(float)),
    "fewer values than indices": lambda: broken_csr(data=M.data[:-2]),
    "fewer indices than values": lambda: broken_csr(indices=M.indices[:-2]),
    "shape too narrow": lambda: broken_csr(shape=(20, 3)),
    "shape too tall": lambda: broken_csr(shape=(99, 12)),
    "csc nan": lambda: sp.csc_array(broken_csr(data=poked(M.data, 3, np.nan))),
    "coo nan": lambda: sp.coo_array(broken_csr(data=poked(M.data, 3, np.nan))),
    "text values": lambda: broken_csr(data=M.data.astype(str)),
    "object values": lambda: broken_csr(data=np.array(["a"] * M.nnz, dtype=object)),
}.items():
    case(f"fit {name}", lambda _, make=make: ALS(factors=2).fit(make()), "train")
case("fit ials negative", lambda _: ALS(objective="ials").fit(broken_csr(data=poked(M.data, 3, -1))), "row")
case("nan names row and column", lambda _: ALS().fit(broken_csr(data=poked(M.data, 0, np.nan))), "row 0, column")


def bad_coo(_):
    m = sp.coo_array(M)
    m.coords = (poked(m.coords[0], 0, 99), m.coords[1])
    return Interactions.from_csr(m)


case("coo row outside", bad_coo, "99")

X0, Y0 = np.ones((20, 4)), np.ones((12, 4))
for name, init in {
    "one array": X0,
    "three": (X0, Y0, Y0),
    "swapped": (Y0, X0),
    "wrong rank": (X0[:, :3], Y0[:, :3]),
    "nan": (X0 * np.nan, Y0),
    "inf": (X0, Y0 * np.inf),
    "text": (X0.astype(str), Y0),
    "none inside": (None, Y0),
    "number": 3,
    "unfitted": ALS(),
    "other rank": ALS(factors=3, iterations=1).fit(M),
    "too large": (X0 * 1e300, Y0),
    "other ids": ALS(factors=4, iterations=1).fit(Interactions.from_csr(M, user_ids=[f"u{i}" for i in range(20)])),
}.items():
    case(f"init {name}", lambda _, init=init: ALS(factors=4).fit(M, init=init), "" if name == "unfitted" else "init")

# -- events ----------------------------------------------------------------------------------------------------------

GOOD = {"user": [1, 2, 2], "item": [5, 5, 6], "value": [1.0, 2.0, 3.0]}
for column, bad in (
    ("user", [1, None, 2]), ("user", [1.5, 2, 3]), ("user", ["a", 1, "b"]), ("user", [2**64, 1, 2]), ("user", [1j, 2, 3]),
    ("user", [True, "x", 1]), ("item", [np.nan, 5, 6]), ("item", [np.inf, 5, 6]), ("item", ["a", None, "b"]),
    ("item", [[1], [2], [3]]),
    ("value", [1.0, np.nan, 3.0]), ("value", [1.0, np.inf, 3.0]), ("value", ["1", "x", "3"]), ("value", [1, None, "x"]),
    ("value", [1j, 2, 3]), ("user", pd.to_datetime(["2020-01-01"] * 3)), ("value", pd.to_datetime(["2020-01-01"] * 3)),
):  # fmt: skip
    case(f"frame {column}={bad!r}", lambda _, c=column, b=bad: Interactions.from_frame(pd.DataFrame(GOOD | {c: b})), column)
case("frame value names row", lambda _: Interactions.from_frame(pd.DataFrame(GOOD | {"value": [1, np.nan, 2]})), "row 1")
for argument in ("user", "item", "value"):
    case(
        f"frame without {argument}",
        lambda _, a=argument: Interactions.from_frame(pd.DataFrame(GOOD), **{a: "absent"}),
        "absent",
    )
case("frame user None", lambda _: Interactions.from_frame(pd.DataFrame(GOOD), user=None), "user")
case("frame is None", lambda _: Interactions.from_frame(None))
case("frame is text", lambda _: Interactions.from_frame("plays.csv"))
for name, args in {
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
}.items():
    case(f"arrays {name}", lambda _, a=args: Interactions.from_arrays(*a))
case("user_ids short", lambda _: Interactions.from_csr(M, user_ids=[1, 2]), "user_ids")
case("user_ids repeated", lambda _: Interactions.from_csr(M, user_ids=[1] * 20), "more than once")
case("item_ids mixed", lambda _: Interactions.from_csr(M, item_ids=["a", 1] * 6), "item_ids")
case("item_names list", lambda _: Interactions.from_csr(M, item_names=["a"] * 12), "item_names")
case("item_names of the other kind", lambda _: Interactions.from_csr(M, item_names={"a": "A"}), "strings")
case("shape a number", lambda _: Interactions.from_arrays([1], [1], shape=5), "shape")
case("sum too large", lambda _: Interactions.from_arrays([1, 1], [2, 2], np.full(2, 1e308)), "too large")
case("from_csr dense", lambda _: Interactions.from_csr(M.toarray()), "scipy")

# -- splitting and evaluating ----------------------------------------------------------------------------------------

for value in (0, 1, -0.1, 1.5, math.nan, "x", None):
    case(f"test_fraction {value!r}", lambda _, v=value: split.random(M, v), "test_fraction")
for value in (0, -1, 1.5, "x", None):
    case(f"leave k {value!r}", lambda _, v=value: split.leave_k_out(M, v), "k")
case("split dense", lambda _: split.random(M.toarray()))
case("split seed", lambda _: split.random(M, seed="x"))
MODEL = ALS(factors=3, iterations=2, random_state=0).fit(M)
for value in (0, -1, (), (5, 0), 2.5, "x", None, ("a",)):
    case(f"evaluate k={value!r}", lambda _, v=value: evaluate(MODEL, M, M, k=v), "k must")
case("evaluate unfitted", lambda _: evaluate(ALS(), M, M), "fit")
case("evaluate shape", lambda _: evaluate(MODEL, M[:5], M), "shape")
case("evaluate transposed", lambda _: evaluate(MODEL, M, M.T.tocsr()), "transposed")
case("evaluate nan", lambda _: evaluate(MODEL, M, broken_csr(data=poked(M.data, 1, np.nan))), "nan")
case("evaluate unknown user", lambda _: evaluate(MODEL, M, M, users=[99]), "99")
case("evaluate threads", lambda _: evaluate(MODEL, M, M, n_threads=0), "n_threads")

# -- reading a model -------------------------------------------------------------------------------------------------

for name, call in {
    "unfitted": lambda: ALS().recommend(0),
    "nothing asked": lambda: MODEL.recommend(),
    "users and rows": lambda: MODEL.recommend(0, rows=M),
    "n 0": lambda: MODEL.recommend(0, 0),
    "n -1": lambda: MODEL.recommend(0, -1),
    "n float": lambda: MODEL.recommend(0, 2.5),
    "n text": lambda: MODEL.recommend(0, "3"),
    "n huge": lambda: MODEL.recommend(0, 10**9),
    "users a set": lambda: MODEL.recommend({0, 1}),
    "exclude a set": lambda: MODEL.recommend(0, exclude={0, 1}),
    "popular n huge": lambda: MODEL.popular(2**31 - 1),
    "user -1": lambda: MODEL.recommend(-1),
    "user 20": lambda: MODEL.recommend(20),
    "user huge": lambda: MODEL.recommend(2**62),
    "user beyond 64 bits": lambda: MODEL.recommend(2**70),
    "user float": lambda: MODEL.recommend(1.5),
    "user nan": lambda: MODEL.recommend(np.nan),
    "user text": lambda: MODEL.recommend("bob"),
    "user None": lambda: MODEL.recommend([None]),
    "user bool list": lambda: MODEL.recommend([True]),
    "users 2d": lambda: MODEL.recommend([[1, 2]]),
    "candidates unknown": lambda: MODEL.recommend(0, candidates=[12]),
    "candidates text": lambda: MODEL.recommend(0, candidates="a"),
    "exclude unknown": lambda: MODEL.recommend(0, exclude=[-1]),
    "exclude mask shape": lambda: MODEL.recommend([0, 1], exclude=M),
    "exclude mask nan": lambda: MODEL.recommend(np.arange(20), exclude=broken_csr(data=poked(M.data, 1, np.nan))),
    "rows dense": lambda: MODEL.recommend(rows=M.toarray()),
    "rows narrow": lambda: MODEL.recommend(rows=M[:, :5]),
    "rows transposed": lambda: MODEL.recommend(rows=M.T.tocsr()),
    "threads": lambda: MODEL.recommend(0, n_threads=0),
    "similar unknown": lambda: MODEL.similar_items(99),
    "similar n": lambda: MODEL.similar_users(0, 0),
    "rank unknown": lambda: MODEL.rank_items(0, [99]),
    "rank user": lambda: MODEL.rank_items(99, [0]),
    "predict unequal": lambda: MODEL.predict([0, 1], [0]),
    "predict unknown": lambda: MODEL.predict([0], [77]),
    "explain unknown": lambda: MODEL.explain(0, 77),
    "explain n": lambda: MODEL.explain(0, 0, n=0),
    "fold_in dense": lambda: MODEL.fold_in(M.toarray()),
    "fold_in narrow": lambda: MODEL.fold_in(M[:, :5]),
    "fold_in nan": lambda: MODEL.fold_in(broken_csr(data=poked(M.data, 1, np.nan))),
    "fold_in indptr": lambda: MODEL.fold_in(broken_csr(indptr=poked(M.indptr, 2, 10**6))),
    "update twice": lambda: MODEL.update_users([0, 0], M[[0, 1]]),
    "update count": lambda: MODEL.update_users([0], M[[0, 1]]),
    "update gap": lambda: MODEL.update_users([25], M[[0]]),
    "update text": lambda: MODEL.update_users(["a"], M[[0]]),
    "update narrow": lambda: MODEL.update_items([0], M[[0]]),
    "update nan": lambda: MODEL.update_users([0], broken_csr(data=poked(M.data, 1, np.nan))[[0]] * np.nan),
    "popular n": lambda: MODEL.popular(0),
    "loss shape": lambda: MODEL.loss(M[:3]),
    "loss dense": lambda: MODEL.loss(M.toarray()),
}.items():
    case(f"model {name}", lambda _, call=call: call())

# -- model files -----------------------------------------------------------------------------------------------------


def saved(folder):
    path = folder / "m"
    MODEL.save(path)
    return path


def rewritten(folder, change):
    """A file with a valid checksum everywhere whose content says something impossible."""
    facts, arrays = container.read(saved(folder))
    facts, arrays = json.loads(json.dumps(facts)), dict(arrays)
    change(facts, arrays)
    container.write(folder / "x", facts, arrays)
    return cymbals.load(folder / "x")


for size in (0, 1, 8, 23, 24, 200, 1000):
    case(
        f"model file cut to {size}",
        lambda t, n=size: (saved(t).write_bytes(saved(t).read_bytes()[:n]), cymbals.load(t / "m")),
        "m: ",
    )
for name, text in {
    "text": b"hello world" * 9,
    "pickle": b"\x80\x04N.",
    "zeros": bytes(4096),
    "magic only": b"cymbals\n" + b"\xff" * 99,
}.items():
    case(f"model file {name}", lambda t, b=text: ((t / "m").write_bytes(b), cymbals.load(t / "m")), "m: ")
case("model file absent", lambda t: cymbals.load(t / "absent"))
case("model file is a folder", lambda t: cymbals.load(t))
case("save onto a folder", lambda t: MODEL.save(t), "regular file")
case("save onto a device", lambda t: MODEL.save("/dev/null"), "regular file")
case("save into no folder", lambda t: MODEL.save(t / "no" / "m"))
case("save unfitted", lambda t: ALS().save(t / "m"))
case("save a function", lambda t: ALS(factors=2, confidence=np.sqrt).fit(M).save(t / "m"), "confidence")


def newer_version(folder):
    header = b"{}".ljust(64)
    (folder / "m").write_bytes(struct.pack("<8sIIQ", container.MAGIC, 99, zlib.crc32(header), 64) + header)
    return cymbals.load(folder / "m")


case("model file newer", newer_version, "version 99")
for name, change in {
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
}.items():
    case(f"model file {name}", lambda t, c=change: rewritten(t, c), "not a whole")

# -- data files ------------------------------------------------------------------------------------------------------


def table(folder, name, text):
    (folder / name).write_bytes(text)
    return datasets.load(folder / name)


for name, text in {
    "empty.csv": b"",
    "headless.csv": b"1,2,3\n4,5,6\n",
    "gap.csv": b"user,item,value\n1,2,\n",
    "no user.csv": b"user,item,value\n,2,3\n",
    "text value.csv": b"user,item,value\n1,2,x\n",
    "ragged.csv": b"user,item,value\n1,2,3,4,5\n1\n",
    "wrong.tsv": b"user,item,value\n1,2,3\n",
    "binary.csv": bytes(range(256)),
    "no.parquet": b"PAR1 but not really",
    "notes.txt": b"user,item,value\n1,2,3\n",
}.items():
    where = {"gap.csv": "value", "no user.csv": "user", "ragged.csv": "user", "text value.csv": "value"}.get(name)
    headless = name in ("headless.csv", "wrong.tsv")
    case(f"table {name}", lambda t, n=name, b=text: table(t, n, b), where or ("no such column" if headless else name))
case("load absent", lambda t: datasets.load(t / "absent"))
case("load empty folder", lambda t: datasets.load(t), "neither")
case("read absent", lambda t: audioscrobbler.read(t), "user_artist_data")


def test_there_are_enough():
    assert len(CASES) + len(LINES) >= 200


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name, tmp_path):
    call, match = CASES[name]
    state = MODEL._state
    with pytest.raises(ERRORS) as caught:
        call(tmp_path)
    assert match in str(caught.value)
    assert str(caught.value), "an error must say something"
    assert MODEL._state is state


LINES = {
    "one field": b"1",
    "two fields": b"1 2",
    "four fields": b"1 2 3 4",
    "word": b"1 two 3",
    "float": b"1 2 3.5",
    "exponent": b"1 2 1e3",
    "negative count": b"1 2 -3",
    "negative id": b"-1 2 3",
    "huge": b"1 2 99999999999999999999999",
    "just too large": b"9223372036854775808 2 3",
    "nul": b"1 2 \x003",
    "not utf-8": b"1 2 \xff\xfe",
    "comma": b"1,2,3",
    "plus": b"1 + 2",
    "hex": b"0x1 2 3",
    "very long": b"1 2 " + b"9" * 100_000,
    "many fields": b"1 " * 5000,
}


@pytest.mark.parametrize("name", LINES)
def test_line_is_counted_and_its_neighbours_kept(name, tmp_path):
    (tmp_path / "user_artist_data.txt").write_bytes(b"1 2 3\n" + LINES[name] + b"\n1 3 4\r\n")
    (tmp_path / "artist_data.txt").write_bytes(b"2\tTwo\n" + LINES[name] + b"\n3\tThree\n")
    (tmp_path / "artist_alias.txt").write_bytes(b"9\t2\n" + LINES[name] + b"\n")
    raw = audioscrobbler.read(tmp_path)
    assert raw.play_rows.tolist() == [[1, 2, 3], [1, 3, 4]]
    assert [(r.lines, r.first_line) for r in raw.rejected if r.file == "user_artist_data.txt"] == [(1, 2)]
    data = raw.clean()
    assert data.nnz == 2
    assert data.item_names.tolist() == ["Two", "Three"]
