"""Programs written for implicit do the same with `cymbals.compat.implicit`, whether implicit is installed or not."""

import importlib
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from programs import PROGRAMS, Free, Rough

from cymbals.compat import implicit as ours

CLOSE = {"rtol": 1e-6, "atol": 1e-9}


def outcome(program, implicit):
    """What a program returned or raised, and the classes of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = program(implicit)
        except Exception as error:
            result = type(error).__name__
    # only implicit must warn about the threads of BLAS: cymbals does not call it from its own threads; and emulated
    # processors raise flags in NumPy's products of matrices
    beside = ("BLAS", "encountered in dot", "encountered in matmul")
    messages = [(str(warning.message), warning.category) for warning in caught]
    return result, [category for message, category in messages if not any(text in message for text in beside)]


def assert_same(theirs, mine, path="result"):
    if isinstance(theirs, Free):
        assert_same_kind(theirs.value, mine.value, path)
    elif isinstance(theirs, Rough):
        assert_same_kind(theirs.value, mine.value, path)
        np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-3, atol=1e-3, err_msg=path)
    elif isinstance(theirs, np.ndarray):
        assert_same_kind(theirs, mine, path)
        np.testing.assert_allclose(mine, theirs, **CLOSE, err_msg=path)
    elif sp.issparse(theirs):
        assert_same_kind(theirs, mine, path)
        assert_same(theirs.toarray(), mine.toarray(), path)
    elif isinstance(theirs, Mapping):
        assert theirs.keys() == mine.keys(), path
        for name in theirs:
            assert_same(theirs[name], mine[name], f"{path}[{name!r}]")
    elif isinstance(theirs, (list, tuple)):
        assert type(theirs) is type(mine), path
        assert len(theirs) == len(mine), path
        for i, (a, b) in enumerate(zip(theirs, mine, strict=True)):
            assert_same(a, b, f"{path}[{i}]")
    elif isinstance(theirs, float):
        assert type(theirs) is type(mine), path
        assert mine == pytest.approx(theirs, rel=1e-6), path
    else:
        assert theirs == mine, path
        assert type(theirs) is type(mine), path


def assert_same_kind(theirs, mine, path):
    assert type(theirs) is type(mine), path
    for attribute in ("shape", "dtype"):
        assert getattr(theirs, attribute, None) == getattr(mine, attribute, None), path


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_program_does_the_same_with_both(program):
    implicit = pytest.importorskip("implicit", reason="implicit is not installed")
    importlib.import_module("implicit.evaluation")
    (theirs, their_warnings), (mine, my_warnings) = outcome(program, implicit), outcome(program, ours)
    assert_same(theirs, mine)
    assert their_warnings == my_warnings


def test_the_programs_need_no_implicit():
    """They run in a process in which importing implicit fails."""
    code = (
        "import sys; sys.modules['implicit'] = None\n"
        "import programs, test_programs\n"
        "for program in programs.PROGRAMS: print(program.__name__, test_programs.outcome(program, test_programs.ours)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert all(program.__name__ in printed for program in PROGRAMS)
    for failure in ("ImportError", "ModuleNotFoundError", "AttributeError: "):
        assert failure not in printed
