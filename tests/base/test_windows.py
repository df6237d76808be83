"""Files, locks and journals as on Windows. tests/windows makes Python on Linux look like Python on Windows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment, run_python

import cymbals

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tests/windows imitates Windows on Linux only")
PATHS = [str(ROOT / "tests" / "windows"), *filter(None, [os.environ.get("PYTHONPATH")])]
DOUBLE = {"PYTHONPATH": os.pathsep.join(PATHS)}


def test_every_module_imports():
    pytest.importorskip("rich", reason="the extra lab is not installed")
    package = Path(cymbals.__file__).parent
    names = [".".join(("cymbals", *p.relative_to(package).with_suffix("").parts)) for p in package.rglob("*.py")]
    assert "cymbals.lab.report" in names
    names.remove("cymbals.base.posix")
    for adapter in ("config", "lenskit", "mlflow", "rectools"):  # the extra `test` does not install their frameworks
        names.remove(f"cymbals.adapters.{adapter}")
    code = f"""
import importlib, os
assert not hasattr(os, "pread")
for name in {names}:
    importlib.import_module(name)
from cymbals.base import system
print(system.lock.__module__)
"""
    assert run_python(code, **DOUBLE) == "cymbals.base.windows\n"


def test_errors_have_their_classes(tmp_path):
    code = f"""
import os
from cymbals.base import system
try:
    system.open_file({str(tmp_path / "none")!r}, os.O_RDWR)
except FileNotFoundError as error:
    print(error.filename)
"""
    assert run_python(code, **DOUBLE) == f"{tmp_path / 'none'}\n"


def test_tests_of_files_and_journals():
    names = ("base/test_files.py", "base/test_locks.py", "choose/test_journal.py", "model/test_stored.py")
    paths = [str(ROOT / "tests" / name) for name in names]
    code = f"import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *{paths}]))"
    assert " passed" in run_python(code, **DOUBLE)


def test_two_processes_that_share_a_journal_run_no_setting_twice(tmp_path):
    pytest.importorskip("sklearn", reason="search needs scikit-learn")
    journal = tmp_path / "journal.jsonl"
    code = f"""
import scipy.sparse as sp, cymbals
plays = sp.random_array((60, 40), density=0.2, rng=0)
grid = {{"factors": [2, 3, 4, 5], "regularization": [0.01, 0.1, 1.0], "iterations": [2]}}
print(len(cymbals.search(plays, grid, journal={str(journal)!r}).trials))
"""
    command, options = [sys.executable, "-c", code], {"env": environment(**DOUBLE), "stdout": subprocess.PIPE, "text": True}
    searches = [subprocess.Popen(command, **options) for _ in range(3)]
    assert [search.communicate(timeout=120)[0] for search in searches] == ["12\n"] * 3
    assert len(journal.read_text().splitlines()) == 1 + 12  # each process writes a line for each setting that it has run


REPLACE = """
import os
from pathlib import Path
from cymbals.base import windows
target, new = Path(FOLDER, "m"), Path(FOLDER, ".m.cymbals-e101f268-0123456789abcdef.part")
target.write_bytes(b"old")
new.write_bytes(b"new")
os_replace = os.replace
def refuse(*names):
    if os.path.exists(names[-1]):
        raise PermissionError("a process has mapped the file")
    os_replace(*names)
os.replace = os.unlink = refuse
"""


def test_a_mapped_file_is_renamed_and_the_next_writer_removes_it(tmp_path, plain):
    run_python(f"FOLDER = {str(tmp_path)!r}{REPLACE}windows.replace(new, target)", **DOUBLE)
    assert (tmp_path / "m").read_bytes() == b"new"
    (old,) = tmp_path.glob(".m.cymbals-*.old")
    assert old.read_bytes() == b"old"
    plain.save(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_another_process_can_write_the_target_between_the_two_renames(tmp_path):
    code = f"""FOLDER = {str(tmp_path)!r}{REPLACE}
rename = os.rename
def rename_and_write(*names):
    rename(*names)
    target.write_bytes(b"from another process")
    os.replace = os_replace
os.rename = rename_and_write
windows.replace(new, target)
"""
    run_python(code, **DOUBLE)
    assert (tmp_path / "m").read_bytes() == b"new"


def test_a_replacement_that_fails_halfway_leaves_the_old_file(tmp_path):
    code = f"""FOLDER = {str(tmp_path)!r}{REPLACE}
calls = []
def fail(*names):
    calls.append(names)
    raise PermissionError("no")
os.replace = fail
try:
    windows.replace(new, target)
except OSError as error:
    print(error, len(calls))
"""
    assert run_python(code, **DOUBLE) == "no 2\n"
    assert (tmp_path / "m").read_bytes() == b"old"
