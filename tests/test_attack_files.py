"""Files that others wrote, damaged or forged, and files that others read, hold or write at the same time."""

import base64
import contextlib
import errno
import json
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, random_matrix

import cymbals
from cymbals import ALS, Interactions, ModelFileError, search
from cymbals.base import files as _files
from cymbals.base import locks as _locks
from cymbals.base.files import beside, check_writable
from cymbals.choose.journal import Journal, Trial, key_of
from cymbals.model import container

M = random_matrix((12, 8), 0.4)
RATED = Interactions.from_csr(
    M, user_ids=[f"u{i}" for i in range(12)], item_ids=list(range(50, 58)), item_names={50: "Abba", 51: "Blür"}
)
MODEL = ALS(factors=3, iterations=2, random_state=0).fit(M)
NAMED = ALS(factors=3, iterations=2, objective="explicit", biases=True, dtype="float64", random_state=0).fit(RATED)
FIXED = struct.Struct("<8sIIQ")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")


def parts(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name.endswith(".part"))


def mode_of(path):
    return os.stat(path).st_mode & 0o777


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def open_folder():
    """One that every user may write to, below folders that all may pass through."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@contextlib.contextmanager
def as_user(user, group, groups=()):
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


# -- who may read and write a file that is replaced ------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666, 0o700])
def test_mode_is_kept(tmp_path, mode):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(mode)
    MODEL.save(path)
    assert mode_of(path) == mode


@needs_root
def test_owner_and_group_are_kept(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    MODEL.save(path)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (12345, 23456, 0o640)


@needs_root
@pytest.mark.parametrize("mode", [0o660, 0o664])
def test_who_cannot_give_a_file_away_keeps_its_group(open_folder, mode):
    path = open_folder / "m"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(mode)
    with as_user(1111, 2222, [23456]):
        MODEL.save(path)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (1111, 23456, mode)


@needs_root
@pytest.mark.parametrize(("mode", "then"), [(0o666, 0o666), (0o662, 0o622), (0o626, 0o622), (0o602, 0o600)])
def test_another_group_gets_no_more_than_everybody_had(open_folder, mode, then):
    path = open_folder / "m"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(mode)
    with as_user(1111, 2222):
        MODEL.save(path)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (1111, 2222, then)


def acl(*entries):
    """An access control list as Linux stores it: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 2**32 - 1
LIST = acl((1, 6, NOBODY), (2, 4, 12345), (4, 0, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))  # user 12345 may read


def set_acl(path, name):
    if not hasattr(os, "setxattr"):
        pytest.skip("no access control lists in extended attributes")
    try:
        os.setxattr(path, f"system.posix_acl_{name}", LIST)
    except OSError as error:
        pytest.skip(f"no access control lists on this filesystem: {error}")


def test_access_control_list_is_kept(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    set_acl(path, "access")
    MODEL.save(path)
    assert os.getxattr(path, "system.posix_acl_access") == LIST
    assert mode_of(path) == 0o640  # the group's bits are the list's mask: the group itself may not read


def test_list_of_a_folder_lets_nobody_read_what_they_could_not(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(0o640)
    set_acl(tmp_path, "default")
    MODEL.save(path)
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        os.getxattr(path, "system.posix_acl_access")
    MODEL.save(tmp_path / "new")
    assert struct.pack("<HHI", 2, 4, 12345) in os.getxattr(tmp_path / "new", "system.posix_acl_access")


def test_unfinished_file_is_as_private_as_its_target(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with umask(0), beside(path) as part:
        part.write_bytes(b"new")
        assert mode_of(part) == 0o600


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0])
def test_a_new_file_gets_what_the_umask_leaves(tmp_path, mask):
    with umask(mask):
        MODEL.save(tmp_path / "m")
    assert mode_of(tmp_path / "m") == 0o666 & ~mask


def test_the_umask_is_never_touched(tmp_path, monkeypatch):
    """It is the process's: for a moment, files of other threads would get any permissions."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("changed the umask"))
    MODEL.save(tmp_path / "m")
    MODEL.save(tmp_path / "m")


@pytest.mark.parametrize("who", ["this user", "another user"])
def test_write_protected_target_is_refused(open_folder, who):
    """Also for root, whom the system would let."""
    path = open_folder / "m"
    path.write_bytes(b"old")
    path.chmod(0o444 if who == "this user" else 0o644)
    with contextlib.ExitStack() as stack:
        if who == "another user":
            if os.geteuid() != 0:
                pytest.skip("only root can be somebody else")
            stack.enter_context(as_user(1111, 2222))
        for write in (MODEL.save, check_writable):
            with pytest.raises(PermissionError, match=r"write-protected; make it writable .* or save under another name"):
                write(path)
    assert path.read_bytes() == b"old"
    assert not parts(open_folder)


def test_target_with_several_names_is_refused(tmp_path):
    (tmp_path / "m").write_bytes(b"old")
    os.link(tmp_path / "m", tmp_path / "other")
    for write in (MODEL.save, check_writable):
        with pytest.raises(OSError, match=r"has 2 hard links.*unlink it first, or save under another name"):
            write(tmp_path / "m")
    assert (tmp_path / "other").read_bytes() == b"old"
    (tmp_path / "m").unlink()
    MODEL.save(tmp_path / "m")
    assert (tmp_path / "other").read_bytes() == b"old"


# -- part files ------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from cymbals.base.files import beside
with beside(sys.argv[1]) as part:
    part.write_bytes(b"from the child")
    print(flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def writing(path):
    """Another process that has written its part file and does not go on."""
    command = [sys.executable, "-c", WRITER, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "m"
    for _ in range(2):
        with writing(path) as child:
            child.send_signal(signal.SIGKILL)
            child.wait()
    assert len(parts(tmp_path)) == 1  # the second one removed that of the first
    assert all("m" in name for name in parts(tmp_path))
    (tmp_path / ".other.cymbals-0123456789abcdef.part").write_bytes(b"another target's")
    MODEL.save(path)
    assert parts(tmp_path) == [".other.cymbals-0123456789abcdef.part"]


def test_what_a_living_writer_has_is_left_alone(tmp_path):
    path = tmp_path / "m"
    with writing(path) as child:
        MODEL.save(path)
        assert len(parts(tmp_path)) == 1
        child.communicate("", timeout=60)
        assert child.returncode == 0
    assert path.read_bytes() == b"from the child"
    with beside(path) as first, beside(path) as second:  # and another thread's, or this one's
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert not parts(tmp_path)


@pytest.mark.parametrize("moment", ["removed", "held"])
def test_part_that_another_writer_finds_before_it_is_locked(tmp_path, monkeypatch, moment):
    path, real, others = tmp_path / "m", os.open, []

    def open_(name, flags, *mode):
        file = real(name, flags, *mode)
        if flags & os.O_EXCL and not others:  # it exists now, and nobody has locked it yet
            others.append(name)
            if moment == "removed":
                _files._remove_stale(path)
            else:
                finder = real(name, os.O_RDWR)
                stack.callback(os.close, finder)
                stack.enter_context(_locks.locked(finder, _files._LIVE, wait=False))
        return file

    with contextlib.ExitStack() as stack:
        monkeypatch.setattr(os, "open", open_)
        with beside(path) as part:
            assert part != others[0]
            part.write_bytes(b"new")
        monkeypatch.undo()
    assert path.read_bytes() == b"new"
    assert os.path.exists(others[0]) == (moment == "held")  # then its finder removes it


def test_filesystem_without_locks(tmp_path, monkeypatch):
    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".m.cymbals-0123456789abcdef.part").write_bytes(b"perhaps somebody's")
    monkeypatch.setattr(_locks, "_set_lock", no_locks)
    MODEL.save(tmp_path / "m")
    assert len(parts(tmp_path)) == 1
    cymbals.load(tmp_path / "m")


def test_where_linux_has_no_locks_of_open_files(tmp_path, monkeypatch):
    """gVisor has not."""

    def refuse(file, command, argument):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(_locks.fcntl, "fcntl", refuse)
    with beside(tmp_path / "m") as first, beside(tmp_path / "m") as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert not parts(tmp_path)
    with Journal(tmp_path / "j", {}) as one, Journal(tmp_path / "j", {}) as two, one.claim("a", False) as mine:
        assert mine
        with two.claim("a", False) as too, two.claim("b", False) as other:
            assert (too, other) == (False, True)


def test_many_writers_of_one_target(tmp_path):
    path, errors = tmp_path / "m", []

    def save():
        try:
            for _ in range(25):
                MODEL.save(path)
                cymbals.load(path)
        except Exception as error:
            errors.append(error)

    writers = [threading.Thread(target=save) for _ in range(4)]
    script = f"import cymbals\nm = cymbals.load({str(tmp_path / 'first')!r})\nfor _ in range(25): m.save({str(path)!r})"
    MODEL.save(tmp_path / "first")
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [child.wait() for child in children] == [0, 0]
    assert errors == []
    assert not parts(tmp_path)
    assert np.array_equal(cymbals.load(path).item_factors_, MODEL.item_factors_)


def test_full_disk_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "m"
    MODEL.save(path)
    before = path.read_bytes()
    script = (
        "import resource, signal, cymbals, errno\n"
        f"model = cymbals.load({str(path)!r})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"  # as a full disk, but EFBIG
        "try:\n"
        f"    model.save({str(path)!r})\n"
        "except OSError as error:\n"
        "    print(error.errno == errno.EFBIG)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert path.read_bytes() == before
    assert not parts(tmp_path)


def test_file_then_rename_then_folder(tmp_path, monkeypatch):
    """A rename lasts once its folder is on the disk, and must not get there before the file is."""
    steps, fsync, replace = [], os.fsync, os.replace

    def synced(file):
        steps.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("rename"), replace(*names)))
    MODEL.save(tmp_path / "m")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "\U0001f941" * 63, "\udcff" * 255])
def test_longest_names(tmp_path, name):
    with beside(tmp_path / name) as part:
        part.write_bytes(b"new")
    assert (tmp_path / name).read_bytes() == b"new"
    with pytest.raises(OSError, match="too long"):
        check_writable(tmp_path / (name + "long"))


# -- model files -----------------------------------------------------------------------------------------------------


def taken_apart(model, folder):
    """The header, as JSON has it, and the bytes behind it, of a saved model."""
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
HEADERS = {}  # name: what to do to the header of MODEL's file; returns another header, or None where it changed this one


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
}.items():
    for value in values:
        header(f"{name} = {value!r}")(lambda h, n=name, v=value: h["facts"]["model"]["params"].update({n: v}))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", HEADERS)
def test_forged_header_is_refused(tmp_path, name, mmap):
    content, body = taken_apart(MODEL, tmp_path)
    changed = HEADERS[name](content)
    with pytest.raises(ModelFileError, match="forged: "):
        cymbals.load(forged(tmp_path / "forged", content if changed is None else changed, body), mmap=mmap)


def test_the_forger_of_these_tests_can_write_right_files(tmp_path):
    for model in (MODEL, NAMED):
        cymbals.load(forged(tmp_path / "m", *taken_apart(model, tmp_path)))


@pytest.mark.parametrize("length", [0, 1, 39, 40, 2**31, 2**63, 2**64 - 1])
def test_forged_length_of_the_header(tmp_path, length):
    MODEL.save(tmp_path / "m")
    content = bytearray((tmp_path / "m").read_bytes())
    crc = zlib.crc32(content[FIXED.size : FIXED.size + length])
    FIXED.pack_into(content, 0, container.MAGIC, container.VERSION, crc, length)
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError):
        cymbals.load(tmp_path / "m")


def test_header_that_leaves_arrays_unaligned(tmp_path):
    content, body = taken_apart(MODEL, tmp_path)
    with pytest.raises(ModelFileError):
        cymbals.load(forged(tmp_path / "m", content | {"more": "x" * 3}, body, padding=False), mmap=True)


ARRAYS = {}  # name: (model, what to do to facts and arrays of its file)


def arrays(name, model=MODEL):
    def note(change):
        ARRAYS[name] = (model, change)
        return change

    return note


def replaced(array, make, model=MODEL):
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
    replaced(name, poked(2.0, -2 if name == "y" else -1), NAMED)  # beside the biases of the other side stand ones
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
        replaced(f"{name}.length", make, NAMED)
    for make in (poked(0xFF), as_(np.int32), without_the_last, empty, tall):
        replaced(f"{name}.bytes", make, NAMED)
replaced("users.length", poked(-1), NAMED)
for make in (poked(50), as_(np.float32), as_(np.float64), as_(np.int32), as_(np.uint8), empty, without_the_last, tall):
    replaced("items", make, NAMED)
for name in ("x", "y", "seen.indptr", "seen.indices", "seen.data"):
    arrays(f"without {name}")(lambda f, a, name=name: a.pop(name))
for name in ("users.length", "users.bytes", "names.length", "names.bytes", "x"):
    arrays(f"named, without {name}", NAMED)(lambda f, a, name=name: a.pop(name))
arrays("both halves of a letter", NAMED)(
    lambda f, a: a.update({"names.length": np.array([6, 4, -1, -1, -1, -1, -1, -1]), "names.bytes": a["names.bytes"][:10]})
)
arrays("lengths whose sum overflows", NAMED)(lambda f, a: a.update({"names.length": np.array([2**62] * 4 + [9] + [0] * 3)}))
arrays("without its mean", NAMED)(lambda f, a: f.update(mean=None))
arrays("a mean that float32 cannot hold", ALS(factors=2, objective="explicit", biases=True, iterations=1).fit(M))(
    lambda f, a: f.update(mean=1e200)
)
arrays("negative values of ials", ALS(factors=2, objective="ials", iterations=1).fit(M))(
    lambda f, a: a.update({"seen.data": -a["seen.data"]})
)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_other_arrays_are_refused(tmp_path, name, mmap):
    model, change = ARRAYS[name]
    model.save(tmp_path / "m")
    facts, stored = container.read(tmp_path / "m")
    change(facts, stored)
    container.write(tmp_path / "forged", facts, stored)
    with pytest.raises(ModelFileError, match="not a whole cymbals model"):
        cymbals.load(tmp_path / "forged", mmap=mmap)


def test_many_iterations_take_no_memory(tmp_path):
    """`fit` lists what it does in each of them; 2**31 of them would be gigabytes."""
    content, body = taken_apart(MODEL, tmp_path)
    content["facts"]["model"]["params"]["iterations"] = 2**31 - 1
    began = time.perf_counter()
    assert cymbals.load(forged(tmp_path / "m", content, body)).iterations == 2**31 - 1
    assert time.perf_counter() - began < 5


def test_loading_is_no_parallel_work(tmp_path):
    """A child that is forked after some works on one thread, so a server loads before it forks."""
    MODEL.save(tmp_path / "m")
    loaded = f"import sys, cymbals; cymbals.load({str(tmp_path / 'm')!r})"
    script = f"{loaded}; print(sys.modules['cymbals.base.threads']._parallel_ran)"
    environment = os.environ | {"OMP_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"


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
def test_files_written_before_this_still_load(tmp_path, mmap):
    (tmp_path / "m").write_bytes(OLD)
    model = cymbals.load(tmp_path / "m", mmap=mmap)
    assert model.predict(["ann"], [8]) == pytest.approx([3.9758015])
    assert model.item_names_.tolist() == ["Abba", None, "Blür"]
    assert [entry["iteration"] for entry in model.history_] == [1, 2]
    model.save(tmp_path / "again")
    assert np.array_equal(cymbals.load(tmp_path / "again").user_factors_, model.user_factors_)


def test_what_a_callback_noted_is_kept(tmp_path):
    def note(model, iteration):
        model.history_[-1]["found"] = {"auc": [0.5, None], "by": "me"}

    ALS(factors=2, iterations=2, random_state=0).fit(M, callback=note).save(tmp_path / "m")
    assert cymbals.load(tmp_path / "m").history_[0]["found"] == {"auc": [0.5, None], "by": "me"}


def test_subclass_is_loaded_as_what_it_was_before(tmp_path):
    class Mine(ALS):
        pass

    Mine(factors=2, iterations=1, random_state=0).fit(M).save(tmp_path / "m")
    assert type(cymbals.load(tmp_path / "m")) is ALS
    content, body = taken_apart(MODEL, tmp_path)
    content["facts"]["class"] = "Mine"  # as it was written earlier
    cymbals.load(forged(tmp_path / "m", content, body))


def test_documentation_of_mmap_says_how_a_file_may_be_replaced():
    assert "Replace such a\n        file only by renaming" in cymbals.load.__doc__
    assert "SIGBUS" in cymbals.load.__doc__


def test_a_mapped_file_may_be_replaced_by_saving(tmp_path):
    MODEL.save(tmp_path / "m")
    mapped = cymbals.load(tmp_path / "m", mmap=True)
    NAMED.save(tmp_path / "m")
    assert np.array_equal(mapped.item_factors_, MODEL.item_factors_)


# -- journals --------------------------------------------------------------------------------------------------------

GOOD = {"params": {"factors": 1}, "status": "done", "score": 0.5, "iterations": 3, "seconds": 0.1, "metrics": {"auc": 0.5}}
GOOD |= {"trace": [0.4, 0.5], "error": "", "number": -1}
LINES = {
    "deep": f'{{"params": {{"a": {deep(500)}}}}}',
    "deeper than Python's stack": deep(100_000),
    "deep trace": json.dumps(GOOD).replace("[0.4, 0.5]", deep(100)),
    "NaN": json.dumps(GOOD).replace("0.5", "NaN"),
    "Infinity": json.dumps(GOOD).replace("0.1", "Infinity"),
    "1e999": json.dumps(GOOD).replace("0.1", "1e999"),
    "5000 digits": json.dumps(GOOD).replace("0.1", "9" * 5000),
    "400 digits": json.dumps(GOOD).replace('"number": -1', '"number": 1' + "0" * 400),
    "NaN in params": json.dumps(GOOD).replace('"factors": 1', '"alpha": NaN'),
    "another field": json.dumps(GOOD | {"colour": "red"}),
    "no UTF-8": b'{"params": {"\xff": 1}}',
    "no object": "5",
    "nothing": "",
    "zeros": b"\0" * 100,
    "carriage returns": "\r\r\r5",
    "a failed one with a score": json.dumps(GOOD | {"status": "failed"}),
}
for name, values in {
    "params": (None, 5, [], [["factors", 1]], "x"),
    "status": (None, "fine", 1, [], {}),
    "score": (None, True, "0.5", [0.5], {}),
    "iterations": (None, True, 3.5, -1, 0, "3", 2**31, [3]),
    "seconds": (None, False, "1", [], {}),
    "metrics": (None, 5, [], "x", {"auc": None}, {"auc": "0.5"}, {"auc": True}, {"auc": [0.5]}),
    "trace": (None, 5, {}, "12", [None], ["0.5"], [True], [[0.5]]),
    "error": (None, 5, [], True),
    "number": (None, True, False, 0.5, "1", -2, [1]),
}.items():
    for value in values:
        LINES[f"{name} = {value!r}"] = json.dumps(GOOD | {name: value})
    if name in ("params", "status", "score", "iterations", "seconds"):
        LINES[f"without {name}"] = json.dumps({key: v for key, v in GOOD.items() if key != name})


@pytest.mark.parametrize("name", LINES)
def test_line_that_nobody_wrote_is_named(tmp_path, name):
    path, bad = tmp_path / "j", LINES[name]
    with Journal(path, {}):
        pass
    with open(path, "ab") as file:
        for line in (json.dumps(GOOD), bad, json.dumps(GOOD | {"params": {"factors": 2}})):
            file.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
    words = r"journal .*j: line 3 is no finished setting \(.*\): delete it, or name another file"
    with Journal(path, {}) as notes:
        for _ in range(2):  # and again, not as if it had been read
            with pytest.raises(ValueError, match=words):
                notes.trials()


@pytest.mark.parametrize(
    "first", [deep(100_000), '{"cymbals search": NaN}', '{"cymbals search": 1, "x": ' + deep(80) + "}", b"\xff\xfe", "5"]
)
def test_first_line_that_nobody_wrote(tmp_path, first):
    (tmp_path / "j").write_bytes((first if isinstance(first, bytes) else first.encode()) + b"\n")
    with pytest.raises(ValueError, match="holds something else than a search's journal; name another file"):
        Journal(tmp_path / "j", {})


def test_journals_written_before_this_still_load(tmp_path):
    (tmp_path / "j").write_text(
        '{"cymbals search": 1, "cymbals": "0.1.0", "als": {"random_state": 0}}\n'
        '{"params": {"factors": 2, "alpha": 1.0}, "status": "done", "score": 0.5, "iterations": 3, "seconds": 0.1, '
        '"metrics": {"auc": 0.5}, "trace": [], "error": "", "number": -1}\n'
        '{"params": {"factors": -2}, "status": "failed", "score": null, "iterations": 0, "seconds": 0.1, "metrics": {}, '
        '"trace": [], "error": "factors must be from 1", "number": 3}\n'
        '{"params": {"factors": 3}, "status": "pruned", "score": 1, "iterations": 1, "seconds": 1}\n'
    )
    with Journal(tmp_path / "j", {"als": {"random_state": 0}}) as notes:
        assert [trial.status for trial in notes.trials().values()] == ["done", "failed", "pruned"]


@pytest.mark.parametrize("journals", [1, 2])
def test_threads_exclude_each_other(tmp_path, journals):
    """Through one journal, and through two on the same file."""
    open_ones = [Journal(tmp_path / "j", {}) for _ in range(journals)]
    mine, theirs = open_ones[0], open_ones[-1]
    told = []

    def other():
        with theirs.claim("a", wait=False) as got:
            told.append(got)
        with theirs.claim("b", wait=False) as got:
            told.append(got)
        with theirs.claim("a", wait=True) as got:
            told.append((got, list(theirs.trials())))

    with mine.claim("a", wait=False) as got:
        assert got
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.3)
        assert told == [False, True]
        mine.append(Trial({"factors": 1}, "done", 0.5, 3, 0.1))
    thread.join(60)
    assert told[2] == (True, [key_of({"factors": 1})])
    for journal in open_ones:
        journal.close()


def test_closing_another_journal_of_the_file_ends_no_claim(tmp_path):
    """Locks of POSIX end when the process closes any descriptor of the file."""
    script = (
        "from cymbals.choose.journal import Journal\n"
        f"with Journal({str(tmp_path / 'j')!r}, {{}}) as notes, notes.claim('a', False) as mine: print(mine)\n"
    )
    with Journal(tmp_path / "j", {}) as notes, notes.claim("a", False):
        Journal(tmp_path / "j", {}).close()
        (tmp_path / "j").read_bytes()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_does_not_inherit_claims_of_threads(tmp_path):
    with Journal(tmp_path / "j", {}) as notes, contextlib.ExitStack() as claims:
        claims.enter_context(notes.claim("a", False))
        child = os.fork()
        if not child:
            with Journal(tmp_path / "j", {}) as own, own.claim("a", False) as mine:
                os._exit(10 + mine)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
        child = os.fork()
        claims.close()
        if not child:
            signal.alarm(30)
            with Journal(tmp_path / "j", {}) as own, own.claim("a", True) as mine:
                os._exit(10 + mine)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11


def test_threads_share_a_search(tmp_path, monkeypatch):
    fits, fit, lock = [], ALS.fit, threading.Lock()

    def counted(self, *args, **options):
        with lock:
            fits.append(self.regularization)
        time.sleep(0.01)
        return fit(self, *args, **options)

    monkeypatch.setattr(ALS, "fit", counted)
    data, results = random_matrix((60, 40), 0.3), []
    grid = {"regularization": [1 + i / 10 for i in range(12)]}

    def run():
        how = {"factors": 2, "iterations": 2, "n_threads": 1, "refit": False, "journal": tmp_path / "j"}
        results.append(search(data, grid, **how))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fits) == grid["regularization"]  # each once
    assert [len(found.trials) for found in results] == [12] * 3
    assert len({found.best_params_["regularization"] for found in results}) == 1


# -- the tool that alters files --------------------------------------------------------------------------------------


@pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="not a checkout: there are no tools")
def test_altered_files_are_refused_or_work():
    command = [sys.executable, str(ROOT / "tools" / "alter_files.py"), "--n", "300", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout


def test_a_header_of_absurd_length_takes_no_memory(tmp_path):
    path = tmp_path / "m"
    with open(path, "wb") as file:
        file.write(struct.pack("<8sIIQ", b"cymbals\n", 1, 0, 20 * 10**9))
        file.truncate(24 + 20 * 10**9)
    with pytest.raises(ModelFileError, match="20,000,000,000 bytes"):
        cymbals.load(path)


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="not a regular file"):
        cymbals.load(tmp_path / "pipe")


@pytest.mark.parametrize("path", [0, 99, None, b"m", "", "a\0b"])
def test_what_is_no_path_is_named(path):
    model = ALS(factors=2, iterations=1, random_state=0).fit(M)
    for call in (cymbals.load, model.save):
        with pytest.raises((TypeError, ValueError), match="path must be the path of a file"):
            call(path)
