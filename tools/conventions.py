"""Compares `ALS.from_convention` with the libraries themselves, on made-up counts.

    python tools/conventions.py implicit irspack cmfrec lenskit spark    # those that are installed

Give each library an environment of its own: LensKit wants pandas 2, Spark needs Java. Where a library takes starting
factors, both run three iterations from the same start, and their scores must agree. Where it does not, the side that the
library solved last is solved again by cymbals from the library's other side. Where a library reports its loss, both
losses of the same factors must agree. The exit code is 1 if a number is outside its tolerance.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from importlib.metadata import version

import numpy as np
import scipy.sparse as sp

from cymbals import ALS

SHAPE, RANK = (300, 200), 12
failed = []


def counts(seed: int = 0, density: float = 0.08) -> sp.csr_matrix:
    """Counts from 1 to 20. Each user and each item has an entry."""
    rng = np.random.default_rng(seed)
    stored = rng.random(SHAPE) < density
    stored[np.arange(SHAPE[0]), rng.integers(SHAPE[1], size=SHAPE[0])] = True
    stored[rng.integers(SHAPE[0], size=SHAPE[1]), np.arange(SHAPE[1])] = True
    return sp.csr_matrix(np.where(stored, rng.integers(1, 21, SHAPE), 0).astype(np.float64))


def start(seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal((n, RANK)) * 0.1 / np.sqrt(RANK)).astype(np.float32) for n in SHAPE]


def report(what: str, difference: float, tolerance: float) -> None:
    verdict = "agrees" if difference <= tolerance else "DIFFERS"
    print(f"  {what}: {verdict}, {difference:.1e} (tolerance {tolerance:.0e})", flush=True)
    if verdict == "DIFFERS":
        failed.append(what)


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def ours(convention: str, settings: dict, **more) -> ALS:
    return ALS.from_convention(convention, **settings, solver="exact", relaxation=1.0, **more)


def objective_of(model: ALS) -> dict:
    return {name: value for name, value in model.get_params().items() if name not in ("factors", "dtype")}


def compare_scores(what: str, model: ALS, scores: np.ndarray, tolerance: float) -> None:
    report(f"{what}: scores after 3 iterations", relative(model.user_factors_ @ model.item_factors_.T, scores), tolerance)


def compare_loss(what: str, model: ALS, x: np.ndarray, y: np.ndarray, matrix: sp.csr_matrix, loss: float) -> None:
    """`loss` is the library's, as the sum over all cells."""
    factors = ALS.from_factors(np.asarray(x, float), np.asarray(y, float), data=matrix, **objective_of(model))
    report(f"{what}: loss of the same factors", abs(factors.loss(matrix) * SHAPE[0] * SHAPE[1] / loss - 1), 1e-5)


def solve_again(name: str, settings: dict, x: np.ndarray, y: np.ndarray, solved_last: str) -> None:
    """Solve the users again from the library's items, or the items from the library's users. Compare scores."""
    x, y = (np.asarray(side, np.float64) for side in (x, y))
    fixed, solved, rows = (y, x, counts()) if solved_last == "users" else (x, y, counts().T.tocsr())
    params = objective_of(ours(name, settings))
    again = ALS.from_factors(np.zeros((1, fixed.shape[1])), fixed, **params).fold_in(rows)
    report(f"{settings}: {solved_last} solved again", relative(again @ fixed.T, solved @ fixed.T), 1e-4)


def compare_implicit() -> None:
    import implicit.cpu.als as als

    for alpha, scale in ((1.0, 1.0), (2.5, 1.0), (0.05, 1.0), (1.0, -1.0)):
        matrix = counts()
        matrix.data[::5] *= scale
        settings = {"factors": RANK, "regularization": 0.1, "alpha": alpha}
        theirs = als.AlternatingLeastSquares(use_cg=False, iterations=3, dtype=np.float64, **settings)
        theirs.user_factors, theirs.item_factors = (side.astype(np.float64) for side in start())
        theirs.fit(matrix, show_progress=False)
        model = ours("implicit", settings, iterations=3, dtype="float64").fit(matrix, init=start())
        what = f"{settings}{' with dislikes' if scale < 0 else ''}"
        compare_scores(what, model, theirs.user_factors @ theirs.item_factors.T, 1e-6)
        if scale > 0:  # with dislikes, implicit's loss is not its objective
            c = sp.csr_matrix(alpha * matrix)
            loss = als.calculate_loss(c, theirs.user_factors, theirs.item_factors, 0.1)
            weights = c.sum() + SHAPE[0] * SHAPE[1] - c.nnz  # by which implicit divides
            compare_loss(what, model, theirs.user_factors, theirs.item_factors, matrix, loss * weights)


def compare_irspack() -> None:
    from irspack.recommenders.ials import IALSTrainer, str_to_loss_type, str_to_solver_type

    for settings in (
        {"alpha0": 0.2, "reg": 0.02, "nu": 1.0, "loss_type": "IALSPP"},
        {"alpha0": 1.0, "reg": 0.05, "nu": 0.5, "loss_type": "ORIGINAL"},
        {"alpha0": 0.3, "reg": 0.05, "nu": 0.0, "loss_type": "ORIGINAL"},
    ):
        trainer = IALSTrainer(
            counts(), n_components=RANK, alpha0=settings["alpha0"], reg=settings["reg"], nu=settings["nu"], init_std=0.1,
            solver_type=str_to_solver_type("CHOLESKY"), max_cg_steps=3, ialspp_subspace_dimension=64,
            loss_type=str_to_loss_type(settings["loss_type"]), random_seed=0, n_threads=1,
            prediction_time_max_cg_steps=5, prediction_time_ialspp_iteration=1,
        )  # fmt: skip
        core = trainer.core_trainer
        core.user, core.item = start()
        for _ in range(3):
            trainer.run_epoch()
        x, y = np.asarray(core.user), np.asarray(core.item)
        model = ours("irspack", {"n_components": RANK} | settings, iterations=3, dtype="float64").fit(
            counts(), init=start()
        )
        compare_scores(str(settings), model, x @ y.T, 1e-4)
        scale = settings["alpha0"] if settings["loss_type"] == "ORIGINAL" else 1.0  # by which ours is divided
        compare_loss(str(settings), model, x, y, counts(), 2 * trainer.compute_loss() / scale)  # irspack's has a factor 1/2


def compare_cmfrec() -> None:
    from cmfrec import CMF_implicit

    for settings in ({"k": RANK, "lambda_": 1.0, "alpha": 1.0}, {"k": RANK, "lambda_": 5.0, "alpha": 7.5}):
        theirs = CMF_implicit(**settings, use_cg=False, niter=3, use_float=False, nthreads=1, verbose=False)
        theirs.fit(sp.coo_matrix(counts()))
        solve_again("cmfrec", settings, theirs.A_, theirs.B_, "users")


def compare_lenskit() -> None:
    import pandas as pd
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df

    entries = sp.coo_matrix(counts())
    frame = pd.DataFrame({"user_id": entries.row, "item_id": entries.col, "rating": entries.data})
    for settings in (
        {"embedding_size": RANK, "weight": 40.0, "regularization": 0.1},
        {"embedding_size": RANK, "weight": 2.0, "regularization": 1.0, "use_ratings": True},
    ):
        theirs = ImplicitMFScorer(**settings, epochs=3, user_embeddings=True)
        data = from_interactions_df(frame)
        theirs.train(data)
        x = theirs.user_embeddings[theirs.users.numbers(np.arange(SHAPE[0]))]
        y = theirs.item_embeddings[theirs.items.numbers(np.arange(SHAPE[1]))]
        solve_again("lenskit", settings, x, y, "items")


def compare_spark() -> None:
    from pyspark.ml.recommendation import ALS as SparkALS
    from pyspark.sql import SparkSession

    from cymbals.compat import spark as ours_of_spark

    config = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.parquet.compression.codec": "gzip",  # it needs no native library
    }
    session = SparkSession.builder.master("local[2]").config(map=config).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    entries = sp.coo_matrix(counts())
    rows = [(int(u), int(i), float(r)) for u, i, r in zip(entries.row, entries.col, entries.data, strict=True)]
    frame = session.createDataFrame(rows, ["user", "item", "rating"])
    for settings in (
        {"rank": RANK, "regParam": 0.1, "implicitPrefs": True, "alpha": 5.0},
        {"rank": RANK, "regParam": 0.1, "implicitPrefs": False},
    ):
        theirs = SparkALS(maxIter=3, seed=0, **settings).fit(frame)
        with tempfile.TemporaryDirectory() as folder:
            theirs.write().overwrite().save(f"{folder}/model")
            model = ours_of_spark.load(f"{folder}/model", **settings)
        assert model.user_ids_.tolist() == list(range(SHAPE[0]))
        scores = {(r.user, r.item): r.prediction for r in theirs.transform(frame).collect()}
        pairs = np.array(list(scores))
        predictions = np.array(list(scores.values()))
        report(f"{settings}: predictions of the loaded model", relative(model.predict(*pairs.T), predictions), 1e-5)
        solve_again("spark", settings, model.user_factors_, model.item_factors_, "users")
    session.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="+", choices=("implicit", "irspack", "cmfrec", "lenskit", "spark"))
    warnings.simplefilter("ignore")
    for library in parser.parse_args().libraries:
        print(library, version("pyspark" if library == "spark" else library))
        globals()[f"compare_{library}"]()
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
