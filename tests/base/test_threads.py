"""How many threads are used, that results do not depend on it, and what happens after a fork."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from conftest import random_matrix, run_python

import cymbals
from cymbals import ALS
from cymbals.base.threads import _cgroup_quota


def test_default_number_of_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    monkeypatch.delenv("CYMBALS_NUM_THREADS", raising=False)
    assert cymbals.threads() == 3
    monkeypatch.setenv("CYMBALS_NUM_THREADS", "5")
    assert cymbals.threads() == 5
    for bad in ("0", "many", "-1", "5000000000", "²"):
        monkeypatch.setenv("CYMBALS_NUM_THREADS", bad)
        with pytest.raises(ValueError, match="CYMBALS_NUM_THREADS"):
            cymbals.threads()
    monkeypatch.delenv("CYMBALS_NUM_THREADS")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= cymbals.threads() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_counts():
    code = "import os, cymbals; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(cymbals.threads())"
    assert run_python(code).strip() == "1"


def test_cgroup_quotas(tmp_path):
    own = tmp_path / "cgroup"
    v2 = tmp_path / "v2"
    (v2 / "a" / "b").mkdir(parents=True)
    own.write_text("0::/a/b\n")
    assert _cgroup_quota(v2, own) is None
    (v2 / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert _cgroup_quota(v2, own) is None
    (v2 / "a" / "cpu.max").write_text("250000 100000\n")
    assert _cgroup_quota(v2, own) == 3
    (v2 / "cpu.max").write_text("10000 100000\n")
    assert _cgroup_quota(v2, own) == 1
    v1 = tmp_path / "v1"
    (v1 / "cpu" / "job").mkdir(parents=True)
    own.write_text("5:memory:/job\n4:cpu,cpuacct:/job\n")
    (v1 / "cpu" / "job" / "cpu.cfs_quota_us").write_text("200000\n")
    (v1 / "cpu" / "job" / "cpu.cfs_period_us").write_text("100000\n")
    assert _cgroup_quota(v1, own) == 2
    (v1 / "cpu" / "job" / "cpu.cfs_quota_us").write_text("-1\n")
    assert _cgroup_quota(v1, own) is None
    assert _cgroup_quota(v1, tmp_path / "absent") is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited through Linux's address space")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="RLIMIT_STACK sets the stacks of threads only with glibc")
@pytest.mark.skipif("CYMBALS_EMULATED" in os.environ, reason="the emulator does not limit the address space")
def test_fit_goes_on_with_fewer_threads_if_some_cannot_be_started():
    """Each thread's stack takes half a gigabyte of address space; the limit leaves room for two or three."""
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


# -- results are the same for any number of threads ------------------------------------------------------------------


MATRICES = {
    "wide": random_matrix((90, 700), 0.15, seed=1, values=(1, 100)),
    "tall": random_matrix((900, 60), 0.2, seed=2, values=(1, 5)),
    "signed": random_matrix((300, 200), 0.1, seed=3, values=(-4, 9)),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("solver", ["auto", "cg", "exact"])
@pytest.mark.parametrize("factors", [64, 256])
def test_bitwise_equal_for_any_number_of_threads(name, solver, factors):
    fits = [
        ALS(factors=factors, solver=solver, iterations=2, random_state=0, n_threads=n).fit(
            MATRICES[name], compute_loss=True
        )
        for n in (1, 2, 3, 8)
    ]
    for other in fits[1:]:
        assert np.array_equal(fits[0].user_factors_, other.user_factors_)
        assert np.array_equal(fits[0].item_factors_, other.item_factors_)
        assert fits[0].history_[-1]["loss"] == other.history_[-1]["loss"]


def test_bitwise_equal_for_any_number_of_blas_threads():
    code = """
import hashlib, scipy.sparse as sp, cymbals
m = sp.random_array((500, 400), density=0.05, rng=0)
for n in (1, 2):
    fit = cymbals.ALS(factors=256, iterations=2, random_state=0, n_threads=n).fit(m)
    print(hashlib.sha256(fit.user_factors_.tobytes() + fit.item_factors_.tobytes()).hexdigest())
"""
    found = {line for blas in ("1", "2") for line in run_python(code, OPENBLAS_NUM_THREADS=blas).split()}
    assert len(found) == 1


# -- forks -----------------------------------------------------------------------------------------------------------


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
def test_a_child_forked_in_a_callback_can_do_its_own_fit():
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
in_child(lambda: (_core.gram(y, gram, 2), gram[0, 0])[1])  # the child can use a workspace of its own, which has one thread
"""
    lines = run_python(CHILD + code).splitlines()
    assert lines[0].startswith("child: ValueError workspace: it was made before a fork")
    assert lines[1] == "child: 200000.0"


def test_fork_after_a_parallel_fit():
    """The child works, on one thread, with one warning; it used to hang."""
    code = """
import os, sys, warnings, numpy as np, scipy.sparse as sp, cymbals
m = sp.random_array((300, 200), density=0.1, rng=0)
model = cymbals.ALS(factors=8, n_threads=2, random_state=0).fit(m)
want = model.recommend(np.arange(300))[0]
child = os.fork()
if child == 0:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = cymbals.ALS(factors=8, n_threads=2, random_state=0).fit(m)
        same = np.array_equal(again.recommend(np.arange(300))[0], want)
    told = [w for w in caught if "forked" in str(w.message)]
    os._exit(0 if same and len(told) == 1 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120).returncode == 0
