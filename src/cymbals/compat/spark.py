"""Reads the factors of a model that Spark's ALS wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import file_path, instance
from ..base.optional import optional
from ..data.ids import Ids
from ..data.interactions import Interactions, in_order
from ..model.als import ALS


def load(path: str | os.PathLike[str], data: Any = None, **settings: Any) -> ALS:
    """A fitted `ALS` from the folder that ``pyspark.ml.recommendation.ALSModel.save`` wrote. Needs pyarrow, but no Spark.

    Parameters
    ----------
    path : path-like
        A folder in the local filesystem. For a model in another one, such as HDFS, copy the folder first.
    data : Interactions, optional
        The ratings that the model was fitted to, with Spark's ids. Spark does not store them. Without, the model does not
        know which items a user has, so call `recommend` with ``exclude_seen=False`` or with ``history``.
    **settings
        The arguments of Spark's ALS that the model was fitted with, such as ``regParam=0.1, implicitPrefs=True, alpha=40``.
        Spark does not store them. Those that are left out get Spark's defaults, among them ``implicitPrefs=False``.
        `fold_in`, the updates and `explain` need them.

    Returns
    -------
    ALS
        Its users and items have Spark's ids.

    Raises
    ------
    ValueError
        The folder holds no such model.
    """
    folder = Path(file_path("path", path))
    try:
        metadata = json.loads(next(folder.glob("metadata/part-*")).read_text().splitlines()[0])
        kind, rank = metadata["class"], metadata["rank"]
    except (StopIteration, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} holds no model of Spark's ALS: it has no metadata with a class and a rank") from error
    if not kind.endswith("ALSModel"):
        raise ValueError(f"{folder} holds a {kind}, not an ALSModel")
    users, x = _side(folder / "userFactors", rank)
    items, y = _side(folder / "itemFactors", rank)
    known = ALS.from_convention("spark", **{"rank": rank} | settings).get_params()
    params = {name: value for name, value in known.items() if name not in ("factors", "dtype")}
    own: dict[str, Any] = {"user_ids": users, "item_ids": items}
    if data is not None:
        sides = Ids.checked("user", users, users.size), Ids.checked("item", items, items.size)
        csr = in_order("data", instance("data", data, Interactions), *sides, 1)
        own = {"data": Interactions(csr, *sides)}
    return ALS.from_factors(x, y, **own, **params)


def _side(folder: Path, rank: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids in rising order, and their factors."""
    parquet = optional("pyarrow.parquet", "reading Spark's Parquet files")
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise ValueError(f"{folder} has no Parquet files")
    ids, factors = [], []
    for file in files:
        table = parquet.read_table(file, columns=["id", "features"])
        rows = table["features"].combine_chunks()
        ids.append(table["id"].to_numpy().astype(np.int64))
        flat = np.asarray(rows.flatten(), np.float32)
        if flat.size != len(rows) * rank:
            raise ValueError(f"{file} has {flat.size} factors in {len(rows)} rows, but the model's rank is {rank}")
        factors.append(flat.reshape(len(rows), rank))
    together = np.concatenate(ids)
    order = np.argsort(together, kind="stable")
    return together[order], np.concatenate(factors)[order]
