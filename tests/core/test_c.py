"""The C interface from C: each program of tests/c, built against the installed package's header and library."""

import os
import shutil

import pytest
from conftest import ROOT, run

import cymbals

SOURCES = ROOT / "tests" / "c"
FLAGS = "-std=c99 -D_POSIX_C_SOURCE=200809L -O1 -g -Wall -Wextra -Wpedantic -Werror".split()
COMPILER = shutil.which(os.environ.get("CC", "cc"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler (set CC)")


@pytest.fixture
def build(tmp_path):
    """A function that builds the program with a given name, and returns the path of the executable."""

    def built(name):
        library, to = cymbals.get_library_dir(), tmp_path / name
        link = ["-L", library, "-lcymbals", f"-Wl,-rpath,{library}", "-pthread", "-lm"]
        run(COMPILER, *FLAGS, "-I", cymbals.get_include(), SOURCES / f"{name}.c", "-o", to, *link)
        return to

    return built


@pytest.mark.parametrize("name", sorted(p.stem for p in SOURCES.glob("*.c")))
def test_program(build, name):
    assert " 0 failed" in run(build(name))


def test_concurrent_callers_with_two_threads_each(build):
    assert " 0 failed" in run(build("threads"), 4, 2)
