"""File locks where the filesystem or the system has none."""

import ctypes
import errno
import sys
from pathlib import Path

import pytest
from conftest import run_python

import cymbals
from cymbals.base import system
from cymbals.base.files import _part_prefix, beside
from cymbals.choose.journal import Journal

REFUSE = f"""
import fcntl
def refuse(*arguments):
    raise OSError({errno.EINVAL}, "Invalid argument")
fcntl.fcntl = refuse
"""


def parts(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name.endswith(".part"))


def test_filesystem_without_locks(tmp_path, monkeypatch, plain):
    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / f"{_part_prefix(tmp_path / 'm')}0123456789abcdef.part").write_bytes(b"perhaps somebody's")
    monkeypatch.setattr(system, "lock", no_locks)
    plain.save(tmp_path / "m")
    assert len(parts(tmp_path)) == 1
    cymbals.load(tmp_path / "m")


def test_systems_without_locks_of_open_files(tmp_path, monkeypatch):
    """gVisor is such a system."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(file, command, argument):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with beside(tmp_path / "m") as first, beside(tmp_path / "m") as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert not parts(tmp_path)
    with beside(tmp_path / "m") as part:
        part.write_bytes(b"this process")  # opens and closes the part file, which ends record locks
        other = f"""{REFUSE}
from cymbals.base.files import beside
with beside({str(tmp_path / "m")!r}) as part:
    part.write_bytes(b"other process")
"""
        run_python(other)
    assert (tmp_path / "m").read_bytes() == b"this process"
    with Journal(tmp_path / "j", {}) as journal, journal.claim("a", False) as mine:
        assert mine
        other = f"""{REFUSE}
from cymbals.choose.journal import Journal
with Journal({str(tmp_path / "j")!r}, {{}}) as two, two.claim("a", False) as a, two.claim("b", False) as b:
    print(a, b)
"""
        assert run_python(other) == "False True\n"


def test_locks_of_macos(monkeypatch):
    """The structure is that of Apple's header sys/fcntl.h."""
    fcntl = pytest.importorskip("fcntl")
    posix = pytest.importorskip("cymbals.base.posix")

    class Flock(ctypes.Structure):
        _fields_ = [("l_start", ctypes.c_int64), ("l_len", ctypes.c_int64), ("l_pid", ctypes.c_int32)]
        _fields_ += [("l_type", ctypes.c_short), ("l_whence", ctypes.c_short)]

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    monkeypatch.delattr(fcntl, "F_OFD_SETLKW")
    assert posix._ofd_commands() == (90, 91)
    made = Flock.from_buffer_copy(posix._flock(3, 2**41))
    assert (made.l_start, made.l_len, made.l_pid, made.l_type, made.l_whence) == (2**41, 1, 0, 3, 0)


@pytest.mark.parametrize("again", [False, True])
def test_a_journal_that_is_removed_while_it_is_opened(tmp_path, monkeypatch, again):
    path, open_file, opened = tmp_path / "j", system.open_file, []

    def remove_once(*arguments):
        file = open_file(*arguments)
        opened.append(file)
        if len(opened) == 1:
            path.unlink()
            if again:
                path.touch()
        return file

    monkeypatch.setattr(system, "open_file", remove_once)
    with Journal(path, {}):
        assert path.read_bytes()


def test_an_old_file_stays_until_there_is_a_target(tmp_path):
    name = "m" * 40
    old = tmp_path / f"{_part_prefix(tmp_path / name)}0123456789abcdef.old"
    old.write_bytes(b"perhaps the only copy")
    with pytest.raises(KeyError), beside(tmp_path / name):
        raise KeyError
    with beside(tmp_path / f"{name} and more") as part:
        part.write_bytes(b"another file's")
    assert old.exists()
    with beside(tmp_path / name) as part:
        part.write_bytes(b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name} and more"]
