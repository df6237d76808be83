"""Uses cymbals beside other libraries that start threads, and compares the factors with those of a process of its own.

    python tools/neighbours.py                       all pairs, both orders of import, and all libraries at once
    python tools/neighbours.py --libraries torch,faiss

Each case runs in a new process. It imports the libraries in one order, fits a model, lets each library compute with its
threads, and fits again. Then it fits in child processes, which import the libraries in the same order. multiprocessing
starts them with "spawn", "forkserver" and "fork", and joblib starts them with loky. A case fails if it does not end within
the time limit, if it ends with an error, or if one factor differs in one bit. Libraries that are not installed are left
out, and named.
"""

import argparse
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

WORK = {  # what each library computes with its threads
    "torch": "torch.set_num_threads(2); x = torch.rand(500, 500); (x @ x).sum().item()",
    "sklearn": """
from sklearn.ensemble import HistGradientBoostingClassifier
HistGradientBoostingClassifier(max_iter=3).fit(numpy.arange(400).reshape(200, 2), numpy.arange(200) % 2)""",
    "faiss": """
index = faiss.IndexFlatL2(16)
index.add(numpy.random.default_rng(0).random((2000, 16), "float32"))
index.search(numpy.ones((500, 16), "float32"), 5)""",
    "lightgbm": """
rows = lightgbm.Dataset(numpy.arange(400.0).reshape(200, 2), numpy.arange(200) % 2)
lightgbm.train({"verbose": -1, "num_threads": 2}, rows, 3)""",
    "xgboost": """
xgboost.train({"nthread": 2}, xgboost.DMatrix(numpy.arange(400.0).reshape(200, 2), numpy.arange(200) % 2), 3)""",
    "polars": "polars.DataFrame({'a': range(10000)}).lazy().group_by(polars.col('a') % 7).agg(polars.len()).collect()",
    "implicit": """
import implicit.als, scipy.sparse
model = implicit.als.AlternatingLeastSquares(8, iterations=1, num_threads=2)
model.fit(scipy.sparse.eye(50, format="csr"), show_progress=False)""",
}
CASE = """
import hashlib, importlib, json, multiprocessing, sys, warnings

def fit(order=()):
    for name in order:
        importlib.import_module(name)
    import cymbals, scipy.sparse
    warnings.simplefilter("ignore")  # a forked child warns that it uses one thread
    plays = scipy.sparse.random_array((3000, 900), density=0.02, rng=0)
    model = cymbals.ALS(factors=32, iterations=3, random_state=0, n_threads=2).fit(plays)
    return hashlib.sha256(model.user_factors_.tobytes() + model.item_factors_.tobytes()).hexdigest()

def child(queue, order):
    queue.put(fit(order))

if __name__ == "__main__":
    import numpy
    order, work = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    for name in order:
        globals()[name] = importlib.import_module(name)
    hashes = {"first": fit()} if order else {}
    for name in order:
        if name != "cymbals":
            exec(work[name], globals())
    hashes["after"] = fit()
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=child, args=(queue, order))
        process.start()
        hashes[method] = queue.get(timeout=100)
        process.join()
    from joblib import Parallel, delayed
    hashes["loky"], = set(Parallel(n_jobs=2)(delayed(fit)(order) for _ in range(2)))
    import cymbals
    print(json.dumps({"hashes": hashes, "openmp": len(cymbals.doctor()["openmp"])}))
"""


def run(order, script, limit):
    """Runs a case; returns its hashes and the number of OpenMP copies, or why it failed."""
    work = {name: WORK[name] for name in order if name != "cymbals"}
    try:
        command = [sys.executable, script, json.dumps(order), json.dumps(work)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None, f"did not end within {limit} seconds"
    if done.returncode:
        return None, f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    return json.loads(done.stdout.splitlines()[-1]), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", default=",".join(WORK), help="names with commas (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for a case (default: %(default)s)")
    asked = parser.parse_args()
    names = asked.libraries.split(",")
    present = [name for name in names if importlib.util.find_spec(name)]
    if absent := sorted(set(names) - set(present)):
        print(f"not installed: {', '.join(absent)}")

    orders = [["cymbals"], *(list(pair) for name in present for pair in itertools.permutations(("cymbals", name)))]
    orders += [["cymbals", *present], [*present, "cymbals"], [*reversed(present), "cymbals"]]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "case.py")  # a file, because "spawn" and "forkserver" import it in the child
        script.write_text(CASE)
        expected = None
        for order in orders:
            found, reason = run(order, script, asked.limit)
            hashes = set(found["hashes"].values()) if found else set()
            expected = expected or next(iter(hashes), None)
            good = hashes == {expected}
            failed += not good
            copies = f"{found['openmp']} OpenMP" if found else ""
            print(
                f"{' '.join(order):60} {copies:9} {'same factors' if good else 'FAILED: ' + (reason or 'factors differ')}",
                flush=True,
            )
    print(f"{len(orders) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
