"""The library from other languages. The examples are built and run by the commands in their READMEs, with the wheel."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import BUILD, ROOT, run

import cymbals

pytestmark = BUILD
HEADER = (ROOT / "src/cymbals/include/cymbals/cymbals.h").read_text(encoding="utf-8") if (ROOT / "csrc").is_dir() else ""

# Runs a program in which numpy.linalg.eigh calls the function dsyevd of a given library file.
WITH_LAPACK = """
import ctypes, runpy, sys
import numpy as np
dsyevd = ctypes.CDLL(sys.argv[1]).scipy_dsyevd_
calls = 0
def eigh(gram):
    global calls
    calls += 1
    f, vectors = len(gram), gram.copy()
    n, lwork, liwork, info = (np.array(v, np.intc) for v in (f, 1 + 6 * f + 2 * f * f, 3 + 5 * f, 0))
    values, work, iwork = np.empty(f), np.empty(lwork), np.empty(liwork, np.intc)
    numbers = n, vectors, n, values, work, lwork, iwork, liwork, info
    dsyevd(b"V", b"L", *(ctypes.c_void_p(v.ctypes.data) for v in numbers))
    assert info == 0
    return values, vectors.T
np.linalg.eigh = eigh
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert calls >= 10
"""
# A program that fits the examples' problem with the estimator and prints the loss.
IN_PYTHON = """
import sys
import cymbals, numpy as np, scipy.sparse as sp
with open(sys.argv[1], "rb") as file:
    n_rows, n_cols, nnz, f, iterations, threads = np.fromfile(file, np.int64, 6).tolist()
    indptr, indices = np.fromfile(file, np.int64, n_rows + 1), np.fromfile(file, np.int32, nnz)
    plays = sp.csr_array((np.fromfile(file, np.float32, nnz), indices, indptr), shape=(n_rows, n_cols))
    start = [np.fromfile(file, np.float32, n * f).reshape(n, f) for n in plays.shape]
model = cymbals.ALS(f, 0.05, solver="cg", relaxation=1.0, iterations=iterations, n_threads=threads)
model.set_params(compact=sys.argv[3:] != ["whole"]).fit(plays, init=start, compute_loss=True)
with open(sys.argv[2], "wb") as file:
    model.user_factors_.tofile(file)
    model.item_factors_.tofile(file)
print(model.history_[-1]["loss"])
"""


class Examples:
    """A copy of examples/embed, and an environment in which the wheel is installed."""

    def __init__(self, folder, python):
        self.folder, self.python, self.followed = folder, python, {}
        path = os.pathsep.join([str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
        # one thread, because LAPACK's results depend on the number of threads
        self.env = os.environ | {"PATH": path, "OPENBLAS_NUM_THREADS": "1", "CARGO_NET_OFFLINE": "true"}
        shutil.copytree(ROOT / "examples" / "embed", folder)

    def follow(self, language):
        """Runs the first block of commands of a README, if it has not run yet; returns what it prints."""
        if language not in self.followed:
            self.followed[language] = self.sh(language, self.blocks(language)[0])
        return self.followed[language]

    def blocks(self, language):
        return re.findall(r"^```sh\n(.*?)^```$", (self.folder / language / "README.md").read_text("utf-8"), re.M | re.S)

    def sh(self, language, commands, **env):
        return run("sh", "-euc", commands, cwd=self.folder / language, env=self.env | env)

    def said(self, *options):
        return run(self.python, "-m", "cymbals", *options).strip()


@pytest.fixture(scope="module")
def installed(distribution):
    """The folder of the wheel's package and of its dependencies."""
    (folder,) = distribution[1].parents[1].glob("lib/python*/site-packages")
    return folder


@pytest.fixture(scope="module")
def examples(installed, tmp_path_factory):
    """What the examples install goes to an environment of their own, which finds the wheel's package in the other one."""
    folder = tmp_path_factory.mktemp("embed")
    venv.create(folder / "venv")
    (own,) = (folder / "venv").glob("lib/python*/site-packages")
    (own / "installed.pth").write_text(f"{installed}\n")
    return Examples(folder / "examples", folder / "venv" / "bin" / "python")


def need(*tools):
    for tool in tools:
        if not shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"):
            pytest.skip(f"{tool} is not on PATH")


@pytest.mark.parametrize("language", ["c", "cython", "ctypes"])
def test_readme(examples, language):
    examples.follow(language)
    problem, factors = (examples.folder / language / f"{name}.bin" for name in ("plays", "factors"))
    n_rows, n_cols, _, f = np.fromfile(problem, np.int64, 4)
    assert factors.stat().st_size == 4 * f * (n_rows + n_cols)
    assert np.isfinite(np.fromfile(factors, np.float32)).all()


def test_readme_of_c_with_the_systems_lapack(examples, tmp_path):
    need("pkg-config")
    probe = ["cc", "-shared", "-o", tmp_path / "probe.so", "-llapack"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("no LAPACK to link: apt install liblapack-dev")
    first, second = (
        np.float64(re.findall(r"loss (\S+)", out))
        for out in (examples.follow("c"), examples.sh("c", examples.blocks("c")[1]))
    )
    assert len(first) == 5
    np.testing.assert_allclose(second, first, rtol=1e-4)


@pytest.mark.parametrize(("shape", "factors"), [((200, 100), 10), ((300, 9000), 64)])
def test_languages_agree_to_the_bit(examples, installed, tmp_path, shape, factors):
    """All start from the same factors and call dsyevd in the same library; the larger case reads the 16-bit copy."""
    for language in ("c", "cython"):
        examples.follow(language)
    (lapack,) = installed.glob("scipy.libs/libscipy_openblas*.so")
    problem, folder = tmp_path / "plays.bin", examples.folder
    (tmp_path / "estimator.py").write_text(IN_PYTHON)
    run(examples.python, folder / "problem.py", problem, *shape, factors, env=examples.env)
    link = [*examples.said("--cflags", "--libs").split(), lapack, f"-Wl,-rpath,{lapack.parent}"]
    run("cc", "-std=c99", "-DDSYEVD=scipy_dsyevd_", folder / "c" / "fit.c", "-o", tmp_path / "fit", *link)

    def factors_by(*command):
        out = run(*command, env=examples.env)
        return (tmp_path / "factors.bin").read_bytes(), out.split()[-1]

    arguments, with_lapack = (problem, tmp_path / "factors.bin"), (examples.python, "-c", WITH_LAPACK, lapack)
    expected, loss = factors_by(*with_lapack, tmp_path / "estimator.py", *arguments)
    by_c, loss_of_c = factors_by(tmp_path / "fit", *arguments)
    assert len(expected) == 4 * factors * sum(shape)
    assert by_c == expected
    assert float(loss_of_c) == pytest.approx(float(loss), rel=1e-6)
    assert factors_by(examples.python, folder / "cython" / "demo.py", *arguments)[0] == expected
    assert factors_by(*with_lapack, folder / "ctypes" / "fit.py", *arguments)[0] == expected
    whole = factors_by(*with_lapack, tmp_path / "estimator.py", *arguments, "whole")[0]
    assert (whole == expected) == (factors == 10)


@pytest.fixture(scope="module")
def ratings():
    """The ratings that the C++ and Rust examples generate, and the estimator fitted to them."""
    state = 1

    def below(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    dense = np.array([[1 + (u + i) % 5 if below(10) < 3 else 0 for i in range(300)] for u in range(400)], np.float32)
    start = [np.array([below(2001) - 1000 for _ in range(n * 8)]).reshape(n, 8) / 10000 for n in dense.shape]
    als = cymbals.ALS(8, 0.1, objective="explicit", solver="exact", iterations=10, n_threads=2)
    return sp.csr_array(dense), als.fit(sp.csr_array(dense), init=start)


def check_best(line, model, user, seen):
    """Checks that a line names the five unseen items with the highest scores; nearly equal ones may be exchanged."""
    items = np.array(re.findall(r"\d+", line.split(":")[1]), np.int64)
    scores = model.item_factors_ @ user
    scores[seen] = -np.inf
    np.testing.assert_allclose(scores[items], np.sort(scores)[:-6:-1], rtol=1e-4)


def test_readme_of_cpp(examples, ratings):
    need("cmake")
    matrix, model = ratings
    rmse, best = examples.follow("cpp").splitlines()[-2:]
    off = matrix.data - model.predict(*matrix.nonzero())
    assert float(rmse.removeprefix("rmse ")) == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-3)
    check_best(best, model, model.user_factors_[0], matrix[[0]].indices)
    assert examples.sh("cpp", "build/ratings 0").startswith("out of time\nrmse ")


def test_readme_of_rust(examples, ratings):
    need("cargo")
    matrix, model = ratings
    best, newcomer = examples.follow("rust").splitlines()[-2:]
    check_best(best, model, model.user_factors_[0], matrix[[0]].indices)
    row = sp.csr_array((np.float32([5, 4, 1]), [0, 1, 4], [0, 3]), shape=(1, 300))
    check_best(newcomer, model, model.fold_in(row)[0], row.indices)


def test_readme_of_the_row_server(examples):
    """The example runs, and its recommendations equal those of model.recommend."""
    assert re.search(r"^2 threads: median .* requests/s$", examples.follow("row_server"), re.M)
    code = """
import cymbals, numpy as np, scipy.sparse as sp
from row_server import Server, Session
model = cymbals.load("plays.cymbals", mmap=True)
session = Session(Server(model, k=5))
for items in ([0], [3, 8, 2999], list(range(0, 3000, 7))):
    items, values = np.array(items, np.int32), np.arange(1, 1 + len(items)).astype(np.float32)
    row = sp.csr_array((values, items, np.array([0, items.size], np.int32)), shape=(1, 3000))
    (ids,), (scores,) = model.recommend(rows=row, n=5)
    own_ids, own_scores = session.recommend(items, values)
    assert own_ids.tolist() == ids.tolist()
    np.testing.assert_allclose(own_scores, scores, rtol=1e-3)
for items, values in (([], []), ([1], [1, 2]), ([3000], [1]), ([5, 1], [1, 1])):
    try:
        session.recommend(np.array(items, np.int32), np.array(values, np.float32))
        raise SystemExit("took bad input")
    except ValueError:
        pass
"""
    run(examples.python, "-c", code, cwd=examples.folder / "row_server", env=examples.env)


def test_exports_what_the_header_declares(examples):
    need("nm")
    declared = set(re.findall(r"^CYMBALS_API [^(;]*?\b(cymbals_\w+)\(", HEADER, re.M))
    assert len(declared) > 30
    symbols = run("nm", "-D", "--defined-only", f"{examples.said('--cmakedir')}/../libcymbals.so")
    assert {line.split()[-1] for line in symbols.splitlines()} == declared
    table = re.search(r"define CYMBALS_FUNCTIONS\(X\)(.*?)\n#define", HEADER, re.S)[1]
    assert {f"cymbals_{name}" for name in re.findall(r"X\((\w+)\)", table)} == declared - {"cymbals_functions"}
    renamed = re.findall(r"^#define (cymbals_(\w+)) \(\*cymbals_table->(\w+)\)$", HEADER, re.M)
    assert {name for name, *_ in renamed} == declared - {"cymbals_functions"}
    assert all(short == member for _, short, member in renamed)


@pytest.mark.parametrize(("language", "standard"), [("c", "c99"), ("c++", "c++17")])
def test_header_compiles_without_warnings(examples, language, standard):
    source = '#include "cymbals/cymbals.h"\nint main(void) { return cymbals_abi_version() != CYMBALS_ABI_VERSION; }\n'
    options = f"-x {language} -std={standard} -Wall -Wextra -Wpedantic -Werror -fsyntax-only -"
    run("cc", *options.split(), *examples.said("--cflags").split(), input=source)


def test_pkg_config_and_cmake_know_the_version(examples, tmp_path):
    need("pkg-config", "cmake")
    version = run(examples.python, "-c", "import cymbals; print(cymbals.__version__)")
    pkg_config = {"PKG_CONFIG_PATH": examples.said("--pkgconfigdir")}
    assert run("pkg-config", "--modversion", "cymbals", env=examples.env | pkg_config) == version
    project = "cmake_minimum_required(VERSION 3.16)\nproject(p NONE)\nfind_package(cymbals ${wanted} CONFIG)\n"
    (tmp_path / "CMakeLists.txt").write_text(project + 'message("found ${cymbals_FOUND} ${cymbals_VERSION}")\n')

    def found(wanted):
        command = 'cmake -S "$0" -B "$0/$1" -Dwanted=$1 -Dcymbals_DIR="$(python -m cymbals --cmakedir)" 2>&1'
        return run("sh", "-euc", command, tmp_path, wanted, env=examples.env)

    major, minor, _ = version.split(".")
    assert f"found 1 {version}" in found(f"{major}.{minor}")
    assert "found 0" in found(f"{major}.{int(minor) + 1}")
    assert "found 0" in found(f"{int(major) + 1}")
