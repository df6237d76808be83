"""MLflow: models as artifacts. The artifact is the model file that `ALS.save` writes, with checksums and without pickle.

`mlflow.pyfunc.load_model` imports this module by its name, which every stored model contains, and calls `_load_pyfunc`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core import version
from ..base.checks import instance, is_missing, shown
from ..base.optional import missing
from ..model.als import ALS
from ..model.als import load as load_file

try:
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array
except ImportError as error:
    raise ImportError(missing("mlflow", __name__)) from error

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo


def save_model(model: ALS, path: str | os.PathLike[str], **settings: Any) -> None:
    """Write a model to a folder in MLflow's format.

    Parameters
    ----------
    model : ALS
        A fitted model.
    path : path-like
        A folder that does not exist yet.
    **settings
        Further arguments of `mlflow.pyfunc.save_model`. By default, `pip_requirements` has this version of cymbals and of
        pandas, `signature` describes the requests and their answers, and `input_example` is a request.

    Raises
    ------
    ValueError
        The model is not fitted, or its confidence is a function, which a model file cannot hold.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> import mlflow, scipy.sparse
    >>> import cymbals
    >>> from cymbals.adapters.mlflow import save_model
    >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, os.path.join(folder, "model"))
    ...     loaded = mlflow.pyfunc.load_model(os.path.join(folder, "model"))
    >>> loaded.predict(pd.DataFrame({"user": [0, 1]}), params={"n": 3}).shape
    (6, 4)
    """
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(os.fspath(path), **_stored(model, folder), **_defaults(model) | settings)


def log_model(model: ALS, name: str = "model", **settings: Any) -> ModelInfo:
    """Store a model in MLflow, in the active run. If no run is active, MLflow starts one.

    Parameters
    ----------
    model : ALS
        A fitted model.
    name : str
        The name of the model in MLflow.
    **settings
        Further arguments of `mlflow.pyfunc.log_model`, such as `registered_model_name`. The defaults are those of
        `save_model`.

    Returns
    -------
    ModelInfo
        Its `model_uri` is what `load_model` and `mlflow.pyfunc.load_model` take.

    Raises
    ------
    ValueError
        The model is not fitted, or its confidence is a function, which a model file cannot hold.
    """
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(name=name, **_stored(model, folder), **_defaults(model) | settings)


def load_model(model_uri: str) -> ALS:
    """Read a model that `save_model` or `log_model` stored.

    Parameters
    ----------
    model_uri : str
        The folder, or an address such as ``"models:/name/1"`` or ``"runs:/id/model"``.

    Returns
    -------
    ALS

    Raises
    ------
    ValueError
        MLflow holds a model of another kind there.
    ModelFileError
        The model file is damaged.
    """
    loaded = mlflow.pyfunc.load_model(model_uri)
    if loaded.loader_module != __name__:
        raise ValueError(f"{model_uri} is a model of {loaded.loader_module}, not of {__name__}")
    model: ALS = loaded.get_raw_model()
    return model


def _stored(model: ALS, folder: str) -> dict[str, Any]:
    """Writes the model file into a folder. Returns the arguments that tell MLflow about the file."""
    path = Path(folder) / "model.cymbals"
    instance("model", model, ALS).save(path)
    return {"loader_module": __name__, "data_path": str(path)}


def _defaults(model: ALS) -> dict[str, Any]:
    """The requirements of a model, its signature, and an example of a request."""
    # In an answer, "user" is an id, or for a history the number of the request. MLflow has one type for both: any.
    user, item = (DataType.long if ids.whole else DataType.string for ids in (model.users_, model.items_))
    columns = [ColSpec(AnyType(), "user", required=False), ColSpec(DataType.long, "rank"), ColSpec(item, "item")]
    if model.item_names_ is not None:
        columns.append(ColSpec(DataType.string, "name", required=False))
    return {
        "pip_requirements": [f"cymbals=={version()}", f"pandas=={pd.__version__}"],
        "input_example": pd.DataFrame({"history": [model.item_ids_[:1].tolist()]}),
        "signature": ModelSignature(
            inputs=Schema(
                [
                    ColSpec(user, "user", required=False),
                    ColSpec(Array(item), "history", required=False),
                    ColSpec(Array(DataType.double), "values", required=False),
                ]
            ),
            outputs=Schema([*columns, ColSpec(DataType.double, "score")]),
            params=ParamSchema(
                [
                    ParamSpec("n", DataType.long, 10),
                    ParamSpec("exclude_seen", DataType.boolean, True),
                    ParamSpec("unknown", DataType.string, "raise"),
                ]
            ),
        ),
    }


class _Recommender:
    """What MLflow's pyfunc calls: it answers a frame of requests with a frame of recommendations."""

    def __init__(self, model: ALS) -> None:
        self._model = model

    def get_raw_model(self) -> ALS:
        return self._model

    def predict(self, requests: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        if not isinstance(requests, pd.DataFrame) or ("user" in requests) == ("history" in requests):
            got = list(requests.columns) if isinstance(requests, pd.DataFrame) else shown(requests)
            raise ValueError(f"requests must be a data frame with a column 'user' or a column 'history', got {got}")
        asked: dict[str, Any] = {"users": requests.get("user")}
        if "history" in requests:
            asked = {"history": [_history(row) for row in requests.to_dict("records")]}
        if requests.empty:
            asked = {"users": []}
        recommended: pd.DataFrame = self._model.recommend(**asked, **params or {}, to_frame="pandas")
        return recommended


def _history(row: Mapping[Any, Any]) -> Any:
    """The items of one person: a list, or a dict if they have values. The values of an item that occurs twice are added."""
    items, values = row["history"], row.get("values")
    if is_missing(items):
        raise ValueError("a request has no 'history'; give an empty list to somebody without one")
    if values is None or is_missing(values):
        return items
    if len(items) != len(values):
        raise ValueError(f"a request has {len(items)} items in 'history', but {len(values)} in 'values'")
    total: dict[Any, float] = {}
    for item, value in zip(items, values, strict=True):
        total[item] = total.get(item, 0) + value
    return total


def _load_pyfunc(path: str) -> _Recommender:
    return _Recommender(load_file(path))
