"""Threads that a fork left behind, and threads that the system does not start: an error or a warning, never a hang."""

import os
import sys

import pytest
from conftest import run_python

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

CHILD = """
import os, signal, sys, warnings
import numpy as np, scipy.sparse as sp, cymbals
from cymbals import _core
matrix = sp.random_array((2000, 1500), density=0.02, rng=0).tocsr()
def in_child(f):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # ends a child that hangs
        try:
            with warnings.catch_warnings(record=True):
                print("child:", f())
        except Exception as error:
            print("child:", type(error).__name__, error)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, "the child hung or crashed"
def fit(callback=None):
    model = cymbals.ALS(factors=32, n_threads=2, iterations=2, random_state=0)
    return model.fit(matrix, callback=callback)
"""


@FORK
def test_a_child_forked_in_a_callback_cannot_go_on_with_the_fit():
    code = """
child = []
def fork(model, iteration):
    if iteration == 1:
        sys.stdout.flush()
        child.append(os.fork())
        if child[0] == 0:
            signal.alarm(20)
try:
    fit(fork)
    print("parent: fitted")
except RuntimeError as error:
    print("child:", error, flush=True)
    os._exit(0)
assert os.waitpid(child[0], 0)[1] == 0, "the child hung or crashed"
"""
    lines = run_python(CHILD + code).splitlines()
    assert "parent: fitted" in lines
    assert any(line.startswith("child: this process was forked inside the callback of a fit") for line in lines)


@FORK
def test_a_child_forked_in_a_callback_can_fit_for_itself():
    code = "fit(lambda model, iteration: in_child(lambda: fit().n_iter_) if iteration == 1 else None)"
    assert "child: 2" in run_python(CHILD + code)


@FORK
@pytest.mark.parametrize("used", [False, True])
def test_a_workspace_from_before_a_fork_is_refused(used):
    code = f"""
y, gram = np.ones((200_000, 64), np.float32), np.empty((64, 64))
workspace = _core.Workspace(2)
_core.gram(y, gram, workspace if {used} else 2)
in_child(lambda: _core.gram(y, gram, workspace))
in_child(lambda: (_core.gram(y, gram, 2), gram[0, 0])[1])  # one that the child makes works, on one thread
"""
    lines = run_python(CHILD + code).splitlines()
    assert lines[0].startswith("child: ValueError workspace: it was made before a fork")
    assert lines[1] == "child: 200000.0"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited through Linux's address space")
def test_threads_that_cannot_be_started_are_done_without():
    """Each thread's stack takes half a gigabyte of addresses, of which there are enough for two or three."""
    code = """
import os, resource, sys
if len(sys.argv) < 2:  # the size of stacks is read when a program starts
    resource.setrlimit(resource.RLIMIT_STACK, (512 * 2**20,) * 2)
    os.execv(sys.executable, [sys.executable, "-c", sys.orig_argv[2], "again"])
import warnings
from pathlib import Path
import numpy as np, scipy.sparse as sp, cymbals
matrix = sp.random_array((2000, 1500), density=0.02, rng=0).tocsr()
used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + 1500 * 2**20,) * 2)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fits = [cymbals.ALS(32, n_threads=n, iterations=2, random_state=0).fit(matrix) for n in (8, 8, 1)]
print(len(caught), caught[0].message)
print(all(np.array_equal(fits[0].user_factors_, other.user_factors_) for other in fits))
"""
    warned, same = run_python(code, OPENBLAS_NUM_THREADS="1").splitlines()
    assert warned.startswith("1 only ")
    assert "of 8 threads can be started" in warned
    assert same == "True"
