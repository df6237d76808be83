"""Imports libraries that only some functions need. If one is missing, the error message says how to install it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

# What pip must install for modules that "cymbals[lab]" does not bring
_ELSEWHERE = {
    "lenskit": '"cymbals[lenskit]"',
    "mlflow": '"cymbals[mlflow]"',
    "optuna": "optuna",
    "polars": "polars",
    "ray": '"cymbals[ray]"',
    "rectools": '"cymbals[rectools]"',
}
_PACKAGES = {"sklearn": "scikit-learn"}  # modules whose package has another name


def optional(module: str, feature: str = "this") -> Any:
    """Imports a module. If that fails, the ImportError says that `feature` needs the module and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(missing(error.name or module, feature)) from None


def missing(module: str, feature: str) -> str:
    """Error message: `feature` needs a module that is not installed."""
    name = module.partition(".")[0]
    package, install = _PACKAGES.get(name, name), _ELSEWHERE.get(name, '"cymbals[lab]"')
    return f"{feature} needs {package}: pip install {install}"


def pandas() -> Any:
    """The module pandas."""
    return optional("pandas")


def frame(content: dict[str, Any] | list[dict[str, Any]]) -> DataFrame:
    """A data frame from a dict of columns or a list of rows."""
    pd = pandas()
    try:
        out: DataFrame = pd.DataFrame(content)
    except UnicodeEncodeError:  # a text has a single surrogate, which pandas' string type refuses: use objects
        if not isinstance(content, dict):
            raise
        texts = {name for name, column in content.items() if np.asarray(column).dtype.kind in "OU"}
        columns = {name: pd.Series(c, dtype=object if name in texts else None) for name, c in content.items()}
        out = pd.DataFrame(columns)
    return out
