"""The same bits for any number of threads, BLAS's included; where the default comes from; CYMBALS_SIMD."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import random_matrix

import cymbals
from cymbals import ALS
from cymbals.base.threads import _cgroup_quota

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


def run(code, **environment):
    env = {k: v for k, v in os.environ.items() if k not in ("CYMBALS_SIMD", "CYMBALS_NUM_THREADS", "OMP_NUM_THREADS")}
    return subprocess.run([sys.executable, "-c", code], env=env | environment, capture_output=True, text=True, timeout=300)


def test_bitwise_equal_for_any_number_of_blas_threads():
    code = """
import hashlib, scipy.sparse as sp, cymbals
m = sp.random_array((500, 400), density=0.05, rng=0)
for n in (1, 2):
    fit = cymbals.ALS(factors=256, iterations=2, random_state=0, n_threads=n).fit(m)
    print(hashlib.sha256(fit.user_factors_.tobytes() + fit.item_factors_.tobytes()).hexdigest())
"""
    found = {line for blas in ("1", "2") for line in run(code, OPENBLAS_NUM_THREADS=blas).stdout.split()}
    assert len(found) == 1


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
    assert run(code).stdout.strip() == "1"


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


def test_instruction_set_can_be_forced():
    code = "import cymbals; print(cymbals.simd())"
    for name in cymbals.doctor()["simd_supported"]:
        assert run(code, CYMBALS_SIMD=name).stdout.strip() == name
    absent = {"avx2", "avx512", "sse9"} - set(cymbals.doctor()["simd_supported"])
    for name in absent:
        failed = run(code, CYMBALS_SIMD=name)
        assert failed.returncode != 0
        assert f"CYMBALS_SIMD='{name}'" in failed.stderr


def test_instruction_sets_agree():
    code = """
import sys, numpy as np, scipy.sparse as sp, cymbals
m = sp.random_array((200, 150), density=0.1, rng=0)
fit = cymbals.ALS(factors=40, iterations=3, random_state=0, dtype="float64").fit(m)
sys.stdout.buffer.write((fit.user_factors_ @ fit.item_factors_.T).tobytes())
"""
    scores = []
    for name in cymbals.doctor()["simd_supported"]:
        env = os.environ | {"CYMBALS_SIMD": name}
        out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True, timeout=300).stdout
        scores.append(np.frombuffer(out).reshape(200, 150))
    for other in scores[1:]:
        assert np.abs(other - scores[0]).max() < 1e-5
