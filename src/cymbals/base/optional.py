"""Libraries that only some functions need: loaded when such a function is called, with one message where one is missing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_NOT_IN_LAB = ("optuna",)
_PACKAGES = {"sklearn": "scikit-learn"}  # where a package is not named as its module


def optional(module: str, what: str = "this") -> Any:
    """A module, or an ImportError that says how to install it and `what` needs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(missing(error.name or module, what)) from None


def missing(module: str, what: str) -> str:
    """The message for a missing module."""
    name = module.partition(".")[0]
    package = _PACKAGES.get(name, name)
    install = package if name in _NOT_IN_LAB else "'cymbals[lab]'"
    return f"{what} needs {package}: pip install {install}"


def pandas() -> Any:
    """pandas."""
    return optional("pandas")


def frame(content: dict[str, Any] | list[dict[str, Any]]) -> pd.DataFrame:
    """A data frame of columns, or of rows."""
    make = pandas()
    try:
        out: pd.DataFrame = make.DataFrame(content)
    except UnicodeEncodeError:  # half of a surrogate pair, which pandas' own strings cannot hold
        if not isinstance(content, dict):
            raise
        texts = {name for name, column in content.items() if np.asarray(column).dtype.kind in "OU"}
        columns = {name: make.Series(c, dtype=object if name in texts else None) for name, c in content.items()}
        out = make.DataFrame(columns)
    return out
