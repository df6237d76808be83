"""Runs RecTools' and LensKit's own pipelines with their ALS and with cymbals in its place, on real listeners.

    python tools/frameworks.py rectools     # or lenskit, or mlflow, each in an environment of its own

The data are HetRec's: $CYMBALS_DATA, or ../shared/data, has a folder hetrec_lastfm2k with user_artists.dat. A fifth of each
listener's artists are held out. Both models get the same settings and minimise the same objective, so their metrics must
agree. It prints the seconds and the metrics of both. For MLflow it prints how long a model takes to be stored, loaded and
asked. The exit code is 1 if the metrics differ by more than 3 %, or an answer of MLflow's is not the model's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from cymbals import ALS, Interactions

SEED, TOLERANCE = 0, 0.03
FACTORS, ITERATIONS, REGULARIZATION = 64, 15, 10.0
threads, rounds = None, 3


def plays() -> pd.DataFrame:
    """The columns user, item and weight: how often a listener played an artist."""
    folder = Path(os.environ.get("CYMBALS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    frame = pd.read_csv(folder / "hetrec_lastfm2k" / "user_artists.dat", sep="\t")
    return frame.set_axis(["user", "item", "weight"], axis=1)


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A train part and a test part: a fifth of each user's items."""
    shuffled = frame.sample(frac=1, random_state=SEED)
    place = shuffled.groupby("user").cumcount()
    held_out = place < shuffled.groupby("user")["item"].transform("size") // 5
    return shuffled[~held_out], shuffled[held_out]


def timed(what: str, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Calls a function several times, prints the seconds of the fastest call, and returns its last result."""
    seconds = []
    for _ in range(rounds):
        begin = perf_counter()
        result = function(*arguments, **more)
        seconds.append(perf_counter() - begin)
    print(f"  {what}: {min(seconds):.3f} s", flush=True)
    return result


def agree(name: str, theirs: float, ours: float) -> bool:
    different = abs(ours / theirs - 1) > TOLERANCE
    print(f"  {name}: {theirs:.4f} (theirs) {ours:.4f} (cymbals){', DIFFERS' if different else ''}", flush=True)
    return not different


def loss(settings: ALS, x: np.ndarray, y: np.ndarray, matrix: Any) -> float:
    """The loss that both models minimise, for these factors."""
    own = ("factors", "dtype")
    params = {name: value for name, value in settings.get_params().items() if name not in own}
    return ALS.from_factors(x, y, **params).loss(matrix)


def run_rectools() -> bool:
    from implicit.als import AlternatingLeastSquares
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.metrics import MAP, NDCG, Recall, calc_metrics
    from rectools.models import ImplicitALSWrapperModel

    from cymbals.adapters.rectools import ALSModel

    names = {"user": Columns.User, "item": Columns.Item, "weight": Columns.Weight}
    train, test = (part.rename(columns=names).assign(**{Columns.Datetime: "2011-01-01"}) for part in split(plays()))
    train[Columns.Weight] = np.log1p(train[Columns.Weight])
    dataset = Dataset.construct(train)
    users, items = test[Columns.User].unique(), train[Columns.Item].unique()
    settings = {"factors": FACTORS, "regularization": REGULARIZATION, "alpha": 2.0, "iterations": ITERATIONS}
    implicit = AlternatingLeastSquares(**settings, random_state=SEED, num_threads=threads or 0)
    ours = ALS.from_convention("implicit", **settings, random_state=SEED, n_threads=threads)
    metrics = {"NDCG@10": NDCG(10), "MAP@10": MAP(10), "Recall@10": Recall(10)}
    results = []
    models = ImplicitALSWrapperModel(implicit), ALSModel(ours)
    for model in models:
        print(f" {type(model).__name__} {settings}")
        timed("fit", model.fit, dataset)
        found = timed(
            f"recommend 10 of {dataset.n_hot_items} items to {users.size} users",
            model.recommend,
            users,
            dataset,
            k=10,
            filter_viewed=True,
            on_unsupported_targets="ignore",
        )
        timed("recommend_to_items, 10 for each item", model.recommend_to_items, items, dataset, k=10)
        results.append(calc_metrics(metrics, found, test))
    losses = [loss(ours, *model.get_vectors(), dataset.get_user_item_matrix()) for model in models]
    return all([agree("loss", *losses), *(agree(name, *(result[name] for result in results)) for name in metrics)])


def run_lenskit() -> bool:
    from lenskit.als import ImplicitMFScorer
    from lenskit.batch import predict, recommend
    from lenskit.data import ItemListCollection, UserIDKey, from_interactions_df
    from lenskit.metrics import NDCG, Recall, RunAnalysis
    from lenskit.pipeline import topn_pipeline
    from lenskit.training import TrainingOptions

    from cymbals.adapters.lenskit import ALSScorer

    names = {"user": "user_id", "item": "item_id", "weight": "rating"}
    train, test = (part.rename(columns=names) for part in split(plays()))
    train["rating"] = np.log1p(train["rating"])
    data = from_interactions_df(train)
    held_out = ItemListCollection.from_df(test, UserIDKey)
    settings = {"embedding_size": FACTORS, "regularization": REGULARIZATION, "weight": 2.0, "use_ratings": True}
    settings["epochs"] = ITERATIONS
    ours = ALS.from_convention("lenskit", **settings, n_threads=threads)
    results = []
    scorers = ImplicitMFScorer(**settings), ALSScorer(als=ours, values="rating")
    for scorer in scorers:
        print(f" {type(scorer).__name__} {settings}")
        pipeline = topn_pipeline(scorer, n=10, predicts_ratings=True)
        timed("train", pipeline.train, data, TrainingOptions(rng=SEED))
        found = timed(
            f"recommend 10 of {data.item_count} items to {len(held_out)} users",
            recommend,
            pipeline,
            held_out,
            10,
            n_jobs=1,
        )
        timed(f"score {len(test)} held-out pairs", predict, pipeline, held_out, n_jobs=1)
        analysis = RunAnalysis()
        for metric in (NDCG(10), Recall(10)):
            analysis.add_metric(metric)
        results.append(analysis.measure(found, held_out).list_summary()["mean"])
    matrix, fitted = data.interactions().matrix().scipy("rating"), scorers[1].als_
    factors = (scorers[0].user_embeddings, scorers[0].item_embeddings), (fitted.user_factors_, fitted.item_factors_)
    losses = [loss(ours, *pair, matrix) for pair in factors]
    return all([agree("loss", *losses), *(agree(name, *(result[name] for result in results)) for name in results[0].index)])


def run_mlflow() -> bool:
    import mlflow

    from cymbals.adapters.mlflow import load_model, log_model

    frame = plays()
    model = ALS(factors=FACTORS, confidence="log", random_state=SEED, n_threads=threads)
    model.fit(Interactions.from_frame(frame, user="user", item="item", value="weight"))
    users = pd.DataFrame({"user": model.user_ids_})
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("cymbals", artifact_location=Path(folder).as_uri()))
        with mlflow.start_run():
            info = timed("log_model", log_model, model)
        print(f"  model file: {next(Path(folder).rglob('*.cymbals')).stat().st_size / 2**20:.1f} MB")
        loaded = timed("load_model", load_model, info.model_uri)
        served = timed("mlflow.pyfunc.load_model", mlflow.pyfunc.load_model, info.model_uri)
        answer = timed(f"predict for {len(users)} users", served.predict, users)
        timed("predict for one user", served.predict, users[:1])
    same = np.array_equal(loaded.item_factors_, model.item_factors_) and answer["item"].tolist() == (
        model.recommend(model.user_ids_, to_frame=True)["item"].tolist()
    )
    print(f"  factors and answers: {'the same as before' if same else 'DIFFER'}")
    return same


def main() -> None:
    global threads, rounds
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=("rectools", "lenskit", "mlflow"))
    parser.add_argument("--threads", type=int, help="for implicit and cymbals; LensKit reads LK_NUM_THREADS")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each step runs; the fastest is printed")
    arguments = parser.parse_args()
    threads, rounds = arguments.threads, arguments.rounds
    warnings.simplefilter("ignore")
    print(arguments.framework, version(arguments.framework), "numpy", np.__version__)
    sys.exit(not globals()[f"run_{arguments.framework}"]())


if __name__ == "__main__":
    main()
