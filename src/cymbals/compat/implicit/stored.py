"""The ``.npz`` files of models. implicit reads and writes the same files."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

import numpy as np

from ...base.checks import file_path
from ...base.files import beside

# What a file can hold, with the class of the value. implicit writes the same names.
_STORED = {
    "factors": int,
    "regularization": float,
    "alpha": float,
    "use_native": bool,
    "use_cg": bool,
    "cg_steps": int,
    "iterations": int,
    "calculate_training_loss": bool,
    "num_threads": int,
    "random_state": int,
}


def write(model: Any, fileobj_or_path: Any) -> None:
    """Write a model to a file, or to a path as a whole."""
    values = {name: getattr(model, name) for name in ("user_factors", "item_factors", *_STORED)}
    if not isinstance(model.random_state, (int, np.integer)):
        values["random_state"] = None  # such a file cannot hold a generator, and a fitted model does not need it
    values = {name: value for name, value in values.items() if value is not None} | {"dtype": _dtype(model)}
    if hasattr(fileobj_or_path, "write"):
        np.savez(fileobj_or_path, **values)
        return
    with beside(_with_ending(fileobj_or_path)) as part, open(part, "wb") as file:
        np.savez(file, **values)


def read(model: Any, fileobj_or_path: Any) -> None:
    """Give a new model what a file holds. Raises ValueError if the file holds no model."""
    if hasattr(fileobj_or_path, "read"):
        _read(model, fileobj_or_path, "the file")
        return
    # implicit adds the ending to texts only
    path = (
        _with_ending(fileobj_or_path) if isinstance(fileobj_or_path, str) else file_path("fileobj_or_path", fileobj_or_path)
    )
    with open(path, "rb") as file:
        _read(model, file, path)


def _read(model: Any, file: Any, name: str) -> None:
    try:
        with np.load(file, allow_pickle=False) as stored:
            _fill(model, stored)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name} holds no ALS model of implicit: {error}") from None


def _fill(model: Any, stored: Any) -> None:
    for name, kind in _STORED.items():
        if name in stored.files and (name != "random_state" or _readable(stored, name)):
            setattr(model, name, kind(stored[name].item()))
    if "dtype" in stored.files:
        model.dtype = np.dtype(str(stored["dtype"]))
    sides = [stored[name] for name in ("user_factors", "item_factors") if name in stored.files]
    if not sides:
        return  # a model that was not fitted
    if len(sides) != 2 or any(side.ndim != 2 or side.dtype.kind != "f" for side in sides):
        raise ValueError("it needs two matrices of factors")
    if sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(f"users have {sides[0].shape[1]} factors, items have {sides[1].shape[1]}")
    model.user_factors, model.item_factors = sides


def _readable(stored: Any, name: str) -> bool:
    """Whether a value can be read without pickle. implicit stores a generator as a pickle."""
    try:
        return bool(stored[name].dtype.kind in "iu")
    except ValueError:
        return False


def _dtype(model: Any) -> str:
    """The dtype of the factors. Factors that were assigned can have another one than the constructor was given."""
    factors = model.item_factors
    return str(model.dtype.name if factors is None else factors.dtype.name)


def _with_ending(path: Any) -> str:
    name = file_path("fileobj_or_path", path)
    return name if name.endswith(".npz") else name + ".npz"
