"""File locks where the filesystem or the system has none."""

import ctypes
import errno
import sys
from pathlib import Path

import pytest
from conftest import run_python

import cymbals
from cymbals.base import system
from cymbals.base.files import beside
from cymbals.choose.journal import Journal


def parts(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name.endswith(".part"))


def test_filesystem_without_locks(tmp_path, monkeypatch, plain):
    def no_locks(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".m.cymbals-0123456789abcdef.part").write_bytes(b"perhaps somebody's")
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
        other = f"""
import fcntl
from cymbals.base.files import beside
def refuse(*arguments):
    raise OSError({errno.EINVAL}, "Invalid argument")
fcntl.fcntl = refuse
with beside({str(tmp_path / "m")!r}) as part:
    part.write_bytes(b"other process")
"""
        run_python(other)
    assert (tmp_path / "m").read_bytes() == b"this process"
    with Journal(tmp_path / "j", {}) as one, Journal(tmp_path / "j", {}) as two, one.claim("a", False) as mine:
        assert mine
        with two.claim("a", False) as too, two.claim("b", False) as other:
            assert (too, other) == (False, True)


def test_locks_of_macos(monkeypatch):
    """The structure is that of Apple's header sys/fcntl.h."""
    posix = pytest.importorskip("cymbals.base.posix")

    class Flock(ctypes.Structure):
        _fields_ = [("l_start", ctypes.c_int64), ("l_len", ctypes.c_int64), ("l_pid", ctypes.c_int32)]
        _fields_ += [("l_type", ctypes.c_short), ("l_whence", ctypes.c_short)]

    monkeypatch.setattr(sys, "platform", "darwin")
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
    old = tmp_path / ".m.cymbals-0123456789abcdef.old"
    old.write_bytes(b"perhaps the only copy")
    with pytest.raises(KeyError), beside(tmp_path / "m"):
        raise KeyError
    assert old.exists()
    with beside(tmp_path / "m") as part:
        part.write_bytes(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
