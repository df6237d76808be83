"""`ALS` as a field of a pydantic model. RecTools and LensKit describe a model by such a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator, SerializationInfo

from ..base.checks import plain, shown
from ..model.als import ALS


def _als(value: Any) -> ALS:
    """An unfitted model from its arguments by name. A model is returned unchanged."""
    if isinstance(value, Mapping):
        value = ALS().set_params(**value)
    if not isinstance(value, ALS):
        raise ValueError(f"must be an ALS or a dict of its arguments, got {shown(value)}")
    value.check_params()
    return value


def _arguments(als: ALS, info: SerializationInfo) -> dict[str, Any]:
    """The arguments of a model by name. For JSON, only numbers, strings, booleans and None."""
    params = als.get_params()
    if info.mode != "json":
        return params
    params = {name: plain(value) for name, value in params.items()} | {"dtype": np.dtype(als.dtype).name}
    for name, value in params.items():
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise TypeError(f"{name}={shown(value)} cannot be written as JSON: use a number or a name instead")
    return params


AlsField = Annotated[Any, PlainValidator(_als), PlainSerializer(_arguments)]
