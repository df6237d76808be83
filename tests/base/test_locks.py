"""File locks where the filesystem or the system has none."""

import errno
from pathlib import Path

import pytest

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
    with Journal(tmp_path / "j", {}) as one, Journal(tmp_path / "j", {}) as two, one.claim("a", False) as mine:
        assert mine
        with two.claim("a", False) as too, two.claim("b", False) as other:
            assert (too, other) == (False, True)
