"""Forcing an instruction set by CYMBALS_SIMD, and that all sets agree."""

import os
import subprocess
import sys

import numpy as np
from conftest import environment, run_python

import cymbals


def test_instruction_set_can_be_forced():
    code = "import cymbals; print(cymbals.simd())"
    for name in cymbals.doctor()["simd_supported"]:
        assert run_python(code, CYMBALS_SIMD=name).strip() == name
    absent = {"avx2", "avx512", "sse9"} - set(cymbals.doctor()["simd_supported"])
    for name in absent:
        failed = subprocess.run(
            [sys.executable, "-c", code], env=environment(CYMBALS_SIMD=name), capture_output=True, text=True, timeout=300
        )
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
