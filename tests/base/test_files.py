"""Replacing a file: permissions, owners, unfinished files, several writers at once, a full disk."""

import contextlib
import errno
import os
import platform
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

import cymbals
from cymbals.base import files as _files
from cymbals.base import locks as _locks
from cymbals.base import system
from cymbals.base.files import beside, check_writable

name, version = platform.libc_ver()
OLD_GLIBC = name == "glibc" and tuple(map(int, version.split("."))) < (2, 33)
needs_permissions = pytest.mark.skipif(not hasattr(os, "fchown"), reason="no POSIX permissions on this system")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as another user")


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
    """A folder that every user may write to, inside folders that every user may enter."""
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


@needs_permissions
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666, 0o700])
def test_mode_is_kept(tmp_path, mode, plain):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(mode)
    plain.save(path)
    assert mode_of(path) == mode


@needs_root
def test_owner_and_group_are_kept(tmp_path, plain):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    plain.save(path)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (12345, 23456, 0o640)


@needs_root
@pytest.mark.parametrize("mode", [0o660, 0o664])
def test_user_who_cannot_change_the_owner_keeps_the_files_group(open_folder, mode, plain):
    path = open_folder / "m"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(mode)
    with as_user(1111, 2222, [23456]):
        plain.save(path)
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (1111, 23456, mode)


@needs_root
@pytest.mark.parametrize(("mode", "then"), [(0o666, 0o666), (0o662, 0o622), (0o626, 0o622), (0o602, 0o600)])
def test_a_file_whose_group_is_lost_grants_only_what_the_group_and_others_had_in_common(open_folder, mode, then, plain):
    path = open_folder / "m"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(mode)
    with as_user(1111, 2222):
        plain.save(path)
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


def test_access_control_list_is_kept(tmp_path, plain):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    set_acl(path, "access")
    plain.save(path)
    assert os.getxattr(path, "system.posix_acl_access") == LIST
    assert mode_of(path) == 0o640  # the group's bits are the list's mask: the group itself may not read


def test_default_acl_of_a_folder_adds_no_readers_to_a_replaced_file(tmp_path, plain):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(0o640)
    set_acl(tmp_path, "default")
    plain.save(path)
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        os.getxattr(path, "system.posix_acl_access")
    plain.save(tmp_path / "new")
    assert struct.pack("<HHI", 2, 4, 12345) in os.getxattr(tmp_path / "new", "system.posix_acl_access")


@needs_permissions
def test_unfinished_file_is_as_private_as_its_target(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with umask(0), beside(path) as part:
        part.write_bytes(b"new")
        assert mode_of(part) == 0o600


@needs_permissions
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0])
def test_the_umask_applies_to_a_new_file(tmp_path, mask, plain):
    with umask(mask):
        plain.save(tmp_path / "m")
    assert mode_of(tmp_path / "m") == 0o666 & ~mask


def test_the_umask_is_never_touched(tmp_path, monkeypatch, plain):
    """The umask belongs to the process: while it is changed, other threads would create files with wrong permissions."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("changed the umask"))
    plain.save(tmp_path / "m")
    plain.save(tmp_path / "m")


@pytest.mark.parametrize("who", ["this user", "another user"])
def test_write_protected_target_is_refused(open_folder, who, plain):
    """Also for root, whom the system would not stop."""
    path = open_folder / "m"
    path.write_bytes(b"old")
    path.chmod(0o444 if who == "this user" else 0o644)
    with contextlib.ExitStack() as stack:
        if who == "another user":
            if not hasattr(os, "geteuid") or os.geteuid() != 0:
                pytest.skip("only root can act as another user")
            if OLD_GLIBC:
                pytest.skip("before glibc 2.33, os.access ignores that a process acts as another user")
            stack.enter_context(as_user(1111, 2222))
        for write in (plain.save, check_writable):
            with pytest.raises(PermissionError, match=r"write-protected; make it writable .* or save under another name"):
                write(path)
    assert path.read_bytes() == b"old"
    assert not parts(open_folder)


def test_target_with_hard_links_is_refused(tmp_path, plain):
    (tmp_path / "m").write_bytes(b"old")
    os.link(tmp_path / "m", tmp_path / "other")
    for write in (plain.save, check_writable):
        with pytest.raises(OSError, match=r"has 2 hard links.*unlink it first, or save under another name"):
            write(tmp_path / "m")
    assert (tmp_path / "other").read_bytes() == b"old"
    (tmp_path / "m").unlink()
    plain.save(tmp_path / "m")
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
    """Another process that has written its unfinished file and waits."""
    command = [sys.executable, "-c", WRITER, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_the_next_writer_removes_the_part_file_of_a_killed_writer(tmp_path, plain):
    path = tmp_path / "m"
    for _ in range(2):
        with writing(path) as child:
            child.send_signal(signal.SIGKILL)
            child.wait()
    assert len(parts(tmp_path)) == 1  # the second writer removed the first one's part file
    assert all("m" in name for name in parts(tmp_path))
    other = tmp_path / f"{_files._part_prefix(tmp_path / 'other')}0123456789abcdef.part"
    other.write_bytes(b"another target's")
    plain.save(path)
    assert parts(tmp_path) == [other.name]


def test_the_part_file_of_a_living_writer_is_kept(tmp_path, plain):
    path = tmp_path / "m"
    with writing(path) as child:
        plain.save(path)
        assert len(parts(tmp_path)) == 1
        child.communicate("", timeout=60)
        assert child.returncode == 0
    assert path.read_bytes() == b"from the child"
    with beside(path) as first, beside(path) as second:  # two part files of one process
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert not parts(tmp_path)


@pytest.mark.parametrize("moment", ["removed", "held"])
def test_another_writer_finds_a_part_file_before_it_is_locked(tmp_path, monkeypatch, moment):
    path, real, others = tmp_path / "m", system.open_file, []

    def open_file(name, flags, *mode):
        file = real(name, flags, *mode)
        if flags & os.O_EXCL and not others:  # the file exists now, and is not locked yet
            others.append(name)
            if moment == "removed":
                _files._remove_stale(path, "part")
            else:
                finder = real(name, os.O_RDWR)
                stack.callback(os.close, finder)
                stack.enter_context(_locks.locked(finder, None, wait=False))
        return file

    with contextlib.ExitStack() as stack:
        monkeypatch.setattr(system, "open_file", open_file)
        with beside(path) as part:
            assert part != others[0]
            part.write_bytes(b"new")
        monkeypatch.undo()
    assert path.read_bytes() == b"new"
    assert os.path.exists(others[0]) == (moment == "held")  # if "held", the other writer of this test only locks it


def test_many_writers_of_one_target(tmp_path, plain):
    path, errors = tmp_path / "m", []

    def save():
        try:
            for _ in range(25):
                plain.save(path)
                cymbals.load(path)
        except Exception as error:
            errors.append(error)

    writers = [threading.Thread(target=save) for _ in range(4)]
    script = f"import cymbals\nm = cymbals.load({str(tmp_path / 'first')!r})\nfor _ in range(25): m.save({str(path)!r})"
    plain.save(tmp_path / "first")
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [child.wait() for child in children] == [0, 0]
    assert errors == []
    assert not parts(tmp_path)
    assert np.array_equal(cymbals.load(path).item_factors_, plain.item_factors_)


def test_full_disk_leaves_the_old_file_and_no_part(tmp_path, plain):
    pytest.importorskip("resource")
    path = tmp_path / "m"
    plain.save(path)
    before = path.read_bytes()
    script = (
        "import resource, signal, cymbals, errno\n"
        f"model = cymbals.load({str(path)!r})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"  # writes fail (EFBIG)
        "try:\n"
        f"    model.save({str(path)!r})\n"
        "except OSError as error:\n"
        "    print(error.errno == errno.EFBIG)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert path.read_bytes() == before
    assert not parts(tmp_path)


def test_file_then_rename_then_folder(tmp_path, monkeypatch, plain):
    """The file is synced before the rename and the folder after it: a power failure leaves the old or the new file."""
    steps, fsync, replace = [], os.fsync, os.replace

    def synced(file):
        steps.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("rename"), replace(*names)))
    plain.save(tmp_path / "m")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "\U0001f941" * 63, "\udcff" * 255])
def test_longest_names(tmp_path, name):
    with beside(tmp_path / name) as part:
        part.write_bytes(b"new")
    assert (tmp_path / name).read_bytes() == b"new"
    with pytest.raises(OSError, match="too long"):
        check_writable(tmp_path / (name + "long"))
