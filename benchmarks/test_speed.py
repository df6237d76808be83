"""Times each part on a cut of the dense shape with pytest-benchmark, for comparing the code before and after a change.

pytest benchmarks/test_speed.py --benchmark-autosave
pytest benchmarks/test_speed.py --benchmark-compare
"""

from __future__ import annotations

import numpy as np
import pytest
from compare import OBJECTIVE
from shapes import generate

import cymbals
from cymbals import _core
from cymbals.solve.basis import eigenbasis, gramian
from cymbals.solve.half_step import Settings, solve_rows

THREADS = cymbals.threads()


@pytest.fixture(scope="module")
def data():
    return generate("dense", 0.1)


@pytest.fixture(scope="module")
def split(data):
    train, test = cymbals.split.random(data, test_fraction=0.1, seed=0)
    return train, test, cymbals.ALS(factors=64, iterations=3, random_state=0).fit(train)


@pytest.mark.parametrize("factors", [32, 64, 128, 256])
@pytest.mark.parametrize("solver", ["auto", "cg", "exact"])
@pytest.mark.parametrize("side", ["users", "items"])
def test_half_step(benchmark, data, side, solver, factors):
    rng = np.random.default_rng(0)
    x, y = ((rng.standard_normal((n, factors)) * 0.1 / np.sqrt(factors)).astype(np.float32) for n in data.shape)
    rows, fixed, solved = (data.csr, y, x) if side == "users" else (data.by_item(), x, y)
    settings = Settings(OBJECTIVE, solver)
    spectrum, basis = eigenbasis(gramian(fixed, THREADS))
    _core.rotate(fixed, basis, THREADS)
    benchmark(lambda: solve_rows(rows, fixed, spectrum, solved.copy(), settings, THREADS))


@pytest.mark.parametrize("factors", [64, 128, 256])
def test_gramian(benchmark, factors):
    y = np.random.default_rng(0).standard_normal((100_000, factors), dtype=np.float32)
    benchmark(gramian, y, THREADS)


@pytest.mark.parametrize("factors", [64, 128, 256])
def test_rotate(benchmark, factors):
    y = np.random.default_rng(0).standard_normal((100_000, factors), dtype=np.float32)
    benchmark(_core.rotate, y, np.eye(factors), THREADS)


def test_transpose(benchmark, data):
    benchmark(data.csr.transposed, THREADS)


def test_recommend(benchmark, split):
    benchmark(split[2].recommend, np.arange(5000), n=10)


def test_evaluate(benchmark, split):
    train, test, model = split
    benchmark(cymbals.evaluate, model, train, test)
