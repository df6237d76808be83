"""The container of model files: forged, damaged, and older files."""

import base64
import json
import os
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from conftest import ROOT, random_matrix

import cymbals
from cymbals import ALS, ModelFileError
from cymbals.model import container

FIXED = struct.Struct("<8sIIQ")


def taken_apart(model, folder):
    """Saves a model; returns the header of the file, parsed, and the bytes after it."""
    path = folder / "taken apart"
    model.save(path)
    content = path.read_bytes()
    length = FIXED.unpack_from(content)[3]
    return json.loads(content[FIXED.size : FIXED.size + length]), content[FIXED.size + length :]


def forged(path, header, body, padding=True):
    """A file with right checksums; `header` is JSON, or its bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-(FIXED.size + len(text)) % 64 if padding else 0)
    path.write_bytes(FIXED.pack(container.MAGIC, container.VERSION, zlib.crc32(text), len(text)) + text + body)
    return path


HOSTILE = (None, True, False, 0, -1, 2.5, 1e308, 2**63, 10**400, -(10**400), "", "x", "\ud800", [], [1], {}, {"a": 1})
# name: a function that changes the header of `plain`'s file. It changes the header in place and returns None, or it
# returns the bytes of another header.
HEADERS = {}


def header(name):
    def note(change):
        HEADERS[name] = change
        return change

    return note


def deep(levels, inner="1"):
    return "[" * levels + inner + "]" * levels


for levels in (65, 500, 5_000, 200_000):
    header(f"{levels} levels")(lambda h, n=levels: json.dumps(h)[:-1].encode() + f', "x": {deep(n)}}}'.encode())
    header(f"{levels} levels alone")(lambda h, n=levels: deep(n).encode())
for name, text in {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "no UTF-8": b'{"\xff": 1}',
    "UTF-16": '{"facts": {}, "arrays": {}, "size": 0}'.encode("utf-16"),
    "half": b'{"facts": {',
    "NaN": b'{"facts": {"mean": NaN}, "arrays": {}, "size": 0}',
    "Infinity": b'{"facts": {"mean": -Infinity}, "arrays": {}, "size": 0}',
    "1e999": b'{"facts": {"mean": 1e999}, "arrays": {}, "size": 0}',
    "many digits": b'{"facts": {"mean": ' + b"9" * 5000 + b'}, "arrays": {}, "size": 0}',
    "no arrays": b'{"facts": {}, "arrays": {}, "size": 0}',
}.items():
    header(name)(lambda h, text=text: text)
for key in ("facts", "arrays", "size"):
    header(f"without {key}")(lambda h, key=key: h.pop(key) and None)
    for value in HOSTILE:
        header(f"{key} = {value!r:.20}")(lambda h, key=key, value=value: h.update({key: value}))
for key in ("type", "shape", "offset", "crc32"):
    header(f"x without {key}")(lambda h, key=key: h["arrays"]["x"].pop(key) and None)
    for value in HOSTILE:
        if (key, value) != ("offset", 0):
            header(f"x's {key} = {value!r:.20}")(lambda h, key=key, value=value: h["arrays"]["x"].update({key: value}))
for shape in ([-12, -3], [12, 3, 1], [36], [3, 12.0], [12, True], [2**32, 2**32], [2**62, 4], [0, 2**62], [10**15], [6, 3]):
    header(f"x's shape = {shape}")(lambda h, shape=shape: h["arrays"]["x"].update(shape=shape))
for offset in (-64, 1, 4, 64, 128, 256, 10**6, 2**62, 0.0):
    header(f"y's offset = {offset}")(lambda h, offset=offset: h["arrays"]["y"].update(offset=offset))
for type_ in ("<f2", ">f4", "<f8", "<i4", "|O8", "|u1", "f4", "<c8", "O", "{}", [["a", "<f4"]]):
    header(f"x's type = {type_}")(lambda h, type_=type_: h["arrays"]["x"].update(type=type_))
for key in ("class", "model"):
    header(f"facts without {key}")(lambda h, key=key: h["facts"].pop(key) and None)
    for value in (*HOSTILE, "Popularity", "als", ["ALS"]):
        header(f"facts' {key} = {value!r:.20}")(lambda h, key=key, value=value: h["facts"].update({key: value}))
for value in HOSTILE[1:]:
    header(f"mean = {value!r:.20}")(lambda h, value=value: h["facts"].update(mean=value))
for key in ("params", "n_iter", "history", "report"):
    header(f"model without {key}")(lambda h, key=key: h["facts"]["model"].pop(key, 1) and None)
    for value in HOSTILE:
        if (key, value) not in (("n_iter", 0), ("n_iter", False), ("history", []), ("report", {}), ("report", {"a": 1})):
            header(f"model's {key} = {value!r:.20}")(
                lambda h, key=key, value=value: h["facts"]["model"].update({key: value})
            )
header("model's n_iter = False")(lambda h: h["facts"]["model"].update(n_iter=False))
ENTRIES = ({"iteration": 0, "seconds": 1}, {"iteration": 1}, {"seconds": 1}, {"iteration": 1, "seconds": "1"}, 5, [], None)
for entry in ENTRIES:
    header(f"history of {entry}")(lambda h, entry=entry: h["facts"]["model"].update(history=[entry]))
header("loss of null")(lambda h: h["facts"]["model"]["history"][0].update(loss=None))
header("report of text")(lambda h: h["facts"]["model"]["report"].update(rows="many"))
for name, values in {
    "factors": (0, -3, 4, 3.5, True, "3", None, 10**9, [3]),
    "regularization": (-1, "x", None, [], True, {}),
    "alpha": (-0.5, "1", None, [1], False),
    "unobserved_weight": (-1, "a", None, {}),
    "objective": ("HU", "", None, 3, ["hu"], {}),
    "confidence": ("linea", None, 5, [], {}),
    "nu": (-1, "a", None),
    "biases": (1, None, "yes", True),
    "solver": ("fast", None, 1, []),
    "cg_steps": (0, -3, 1.5, None, 10**9, True),
    "iterations": (0, -1, 2.5, "3", None, 2**31),
    "tol": (-1e-3, "x", [], True),
    "dtype": ("float16", "float64", "f4", None, "", 7, ["float32"], {"names": []}, "{", "(2,"),
    "n_threads": (0, -2, 1.5, "2", 10**6, True),
    "random_state": ("seed", -1, 1.5, [1], True, 2**64),
    "compact": (None, 1, "yes"),
    "relaxation": (0, -1, 2, 2.5, "1", True),
    "row_size": ("n", None, 1, []),
}.items():
    for value in values:
        header(f"{name} = {value!r}")(lambda h, n=name, v=value: h["facts"]["model"]["params"].update({n: v}))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", HEADERS)
def test_forged_header_is_refused(tmp_path, name, mmap, plain):
    content, body = taken_apart(plain, tmp_path)
    changed = HEADERS[name](content)
    with pytest.raises(ModelFileError, match="forged: "):
        cymbals.load(forged(tmp_path / "forged", content if changed is None else changed, body), mmap=mmap)


def test_the_forging_helper_can_write_valid_files(tmp_path, plain, named):
    for model in (plain, named):
        cymbals.load(forged(tmp_path / "m", *taken_apart(model, tmp_path)))


@pytest.mark.parametrize("length", [0, 1, 39, 40, 2**31, 2**63, 2**64 - 1])
def test_forged_length_of_the_header(tmp_path, length, plain):
    plain.save(tmp_path / "m")
    content = bytearray((tmp_path / "m").read_bytes())
    crc = zlib.crc32(content[FIXED.size : FIXED.size + length])
    FIXED.pack_into(content, 0, container.MAGIC, container.VERSION, crc, length)
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError):
        cymbals.load(tmp_path / "m")


def test_header_that_leaves_arrays_unaligned(tmp_path, plain):
    content, body = taken_apart(plain, tmp_path)
    with pytest.raises(ModelFileError):
        cymbals.load(forged(tmp_path / "m", content | {"more": "x" * 3}, body, padding=False), mmap=True)


ARRAYS = {}  # name: (the model in `models`, a function that changes the facts and arrays of its file)


@pytest.fixture(scope="module")
def models(plain, named):
    return {
        "plain": plain,
        "named": named,
        "biased": ALS(factors=2, objective="explicit", biases=True, iterations=1).fit(random_matrix((12, 8), 0.4)),
        "ials": ALS(factors=2, objective="ials", iterations=1).fit(random_matrix((12, 8), 0.4)),
    }


def arrays(name, model="plain"):
    def note(change):
        ARRAYS[name] = (model, change)
        return change

    return note


def replaced(array, make, model="plain"):
    arrays(f"{array} {make.__name__}", model)(lambda f, a: a.update({array: make(a[array])}))


def poked(value, at=-1):
    def put(array):
        out = array.copy()
        out.reshape(-1)[at] = value
        return out

    put.__name__ = f"with {value} at {at}"
    return put


def as_(kind):
    def cast(array):
        return array.astype(kind)

    cast.__name__ = f"as {np.dtype(kind).name}"
    return cast


def flat(array):
    return array.reshape(-1)


def empty(array):
    return array[:0]


def without_the_last(array):
    return array[:-1]


def tall(array):
    return array.reshape(-1, 1)


def no_columns(array):
    return array[:, :0]


for name in ("x", "y"):
    for make in (poked(np.nan), poked(np.inf, 5), poked(-np.inf), as_(np.int32), as_(np.uint8), as_(np.float64)):
        replaced(name, make)
    for make in (flat, empty, without_the_last, tall, no_columns):
        replaced(name, make)
    # "named" has biases, so each side has a column of ones, which multiply the biases of the other side
    replaced(name, poked(2.0, -2 if name == "y" else -1), "named")
for make in (poked(np.nan), poked(np.inf), as_(np.int64), as_(np.uint8), without_the_last, tall, empty):
    replaced("seen.data", make)
for make in (poked(-1), poked(8), poked(2**31 - 1), as_(np.float32), as_(np.uint8), without_the_last, tall, empty):
    replaced("seen.indices", make)
for make in (poked(2**62), poked(2**62, 3), poked(-1, 2), poked(1, 0), poked(0, 5), as_(np.int32), as_(np.float64)):
    replaced("seen.indptr", make)
for make in (empty, without_the_last, tall):
    replaced("seen.indptr", make)
for name in ("users", "names"):
    for make in (poked(-2), poked(2**62), poked(-(2**63)), poked(1), as_(np.int32), as_(np.float64), empty, tall):
        replaced(f"{name}.length", make, "named")
    for make in (poked(0xFF), as_(np.int32), without_the_last, empty, tall):
        replaced(f"{name}.bytes", make, "named")
replaced("users.length", poked(-1), "named")
for make in (poked(50), as_(np.float32), as_(np.float64), as_(np.int32), as_(np.uint8), empty, without_the_last, tall):
    replaced("items", make, "named")
for name in ("x", "y", "seen.indptr", "seen.indices", "seen.data"):
    arrays(f"without {name}")(lambda f, a, name=name: a.pop(name))
for name in ("users.length", "users.bytes", "names.length", "names.bytes", "x"):
    arrays(f"named, without {name}", "named")(lambda f, a, name=name: a.pop(name))
arrays("names cut between the two bytes of a letter", "named")(
    lambda f, a: a.update({"names.length": np.array([7, 2, -1, -1, -1, -1, -1, -1])})
)
arrays("lengths whose sum overflows", "named")(
    lambda f, a: a.update({"names.length": np.array([2**62] * 4 + [9] + [0] * 3)})
)
arrays("without its mean", "named")(lambda f, a: f.update(mean=None))
arrays("a mean that float32 cannot hold", "biased")(lambda f, a: f.update(mean=1e200))
arrays("negative values of ials", "ials")(lambda f, a: a.update({"seen.data": -a["seen.data"]}))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_other_arrays_are_refused(tmp_path, name, mmap, models):
    model, change = ARRAYS[name]
    models[model].save(tmp_path / "m")
    facts, stored = container.read(tmp_path / "m")
    change(facts, stored)
    container.write(tmp_path / "forged", facts, stored)
    with pytest.raises(ModelFileError, match="not a complete cymbals model"):
        cymbals.load(tmp_path / "forged", mmap=mmap)


def test_a_header_of_absurd_length_takes_no_memory(tmp_path):
    path = tmp_path / "m"
    with open(path, "wb") as file:
        file.write(struct.pack("<8sIIQ", b"cymbals\n", 1, 0, 20 * 10**9))
        file.truncate(24 + 20 * 10**9)
    with pytest.raises(ModelFileError, match="20,000,000,000 bytes"):
        cymbals.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes in folders on this system")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="not a regular file"):
        cymbals.load(tmp_path / "pipe")


def test_many_iterations_take_no_memory(tmp_path, plain):
    """A list of 2**31 iterations would take gigabytes."""
    content, body = taken_apart(plain, tmp_path)
    content["facts"]["model"]["params"]["iterations"] = 2**31 - 1
    began = time.perf_counter()
    assert cymbals.load(forged(tmp_path / "m", content, body)).iterations == 2**31 - 1
    assert time.perf_counter() - began < 5


OLD = zlib.decompress(
    base64.b85decode(
        "c-p0ty^q{P6u^C#4=xc=u1Enz#A!v5B3kVEu*Xq8E_6|-h=f29T8-`5-HB|EH8Z~4-eo1)6!`-pMM)7-AyFZLl;i-"
        ">L<sRGP#_9Q3aDXb)_ZGjq(mEDv9oXHz2EzEIw=yGtCMS<=bicoTswE%bF$wX(p0P7g{}Qwnp0)}^{#$&qj!F*m(G0bjo%OYzP&3%#&Ty}QAvx"
        "LqeTd5{{v$p*{IH`<a<<eQJPD??+50d=GB-Q)sT!<mm*P2?yzidoAJ?DAHIm>7E3kXVKy+^t#Y1n?eY=jkY}t+-"
        "Am3(My0(k>sb)<H{nz<n~0V*GrAJ_4wKfL)>=5oXrMH!tPM0O*G#%R=h<sv%PZ?VH%g`_l?yh^1=SF^XahZ#jAm+KCTW?8!f>g!*1pTNs7zNDn"
        "Mjt?-FZi>-_)^e{3i04E7Qe^(QfW9^0IBQg)mdSi)jk=edxzH^kXXsM=-?3Bo}J-"
        "4iH3PNCNW`Kp5fBgz6H(%R~Thgs}yN5WyIuHZd?ah{O<Jg2E^w)6ZQ+m5|ykfKA*Ca*s)&2ALF9#j>UmQruPpR#bY@zDP&5E-"
        "+WKn&$22O7i0Hradt@w~$OrJ_|Cnoh%r2h4l&S2)2(@N;;XX>aP2pkM-gZ*^#O-"
        "b^1+%N47LE94e;g@nvcze_<;E1mg%q4mnwk6QULf#(=;eh+<+%wfPEEKWF7gkGoJ#y3h_W0HlQkD2M?v+-"
        "QMJCYq@Z@lG9dh@?x5L5moejWAmPLVr5@ObWF^b^wPh76OqUgubcREj=yR8x#yddl=B{cIZbiS`c4fZ`=iv_D})@a7+RK!PI>mtnBkLtF(M&ir"
        "pzAL^>%#AEOXL(kAkhEjO~eJ7EWj1JD^W@neFUF*{^NHC@_8@+w}`8H|~75J%Xw(E<6MbqN8QZY{|#^_Sb9+<ScR?e4=Xp7+I-"
        "Ki_`;hri$bWBbgDuMe!AU3};H#@*AGPX7Gy_g43o<n$AA`P2K?pV_wuXWx7J)n`Ya|Mo%Re1Ba3=DQc0*ALD=+PrM_jbDF%y6k^s>0I|#6Izyu"
        "NYaV-hVoW(ZZzkK75$Gk=f8~{Thae&lF$$HpPotY|H=ANKF3$|U28GcR*rsVyXj(c{?+WsW}|zD=YI{F_P_"
    )
)


@pytest.mark.parametrize("mmap", [False, True])
def test_an_embedded_file_of_an_earlier_version_still_loads(tmp_path, mmap):
    (tmp_path / "m").write_bytes(OLD)
    model = cymbals.load(tmp_path / "m", mmap=mmap)
    assert model.predict(["ann"], [8]) == pytest.approx([3.9758015])
    assert model.item_names_.tolist() == ["Abba", None, "Blür"]
    assert [entry["iteration"] for entry in model.history_] == [1, 2]
    model.save(tmp_path / "again")
    assert np.array_equal(cymbals.load(tmp_path / "again").user_factors_, model.user_factors_)


def test_a_saved_subclass_is_loaded_as_its_base_class(tmp_path, plain):
    class Mine(ALS):
        pass

    Mine(factors=2, iterations=1, random_state=0).fit(random_matrix((12, 8), 0.4)).save(tmp_path / "m")
    assert type(cymbals.load(tmp_path / "m")) is ALS
    content, body = taken_apart(plain, tmp_path)
    content["facts"]["class"] = "Mine"  # earlier versions wrote the subclass
    cymbals.load(forged(tmp_path / "m", content, body))


def test_an_altered_byte_is_detected_or_has_no_effect(tmp_path, model):
    path = tmp_path / "m"
    model.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, 9, 13, 17, 30, 200, len(whole) - 1, *rng.integers(len(whole), size=60).tolist()]:
        altered = bytearray(whole)
        altered[at] ^= 0x41
        path.write_bytes(altered)
        for mmap in (False, True):
            try:
                back = cymbals.load(path, mmap=mmap)
            except cymbals.ModelFileError:
                continue
            # The altered byte was in the padding between arrays, which no array uses: the model is saved as it was.
            again = tmp_path / "again"
            back.save(again)
            assert again.read_bytes() == whole
    for size in (0, 5, 23, 24, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(cymbals.ModelFileError):
            cymbals.load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(cymbals.ModelFileError):
        cymbals.load(path)


@pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="not a checkout: there are no tools")
def test_altered_files_are_refused_or_work():
    pytest.importorskip("sklearn", reason="the tool searches, which needs scikit-learn")
    command = [sys.executable, str(ROOT / "tools" / "alter_files.py"), "--n", "300", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout
