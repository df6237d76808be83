"""Reads Arrow streams with pyarrow, which is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.optional import optional


class Columns(dict[str, "NDArray[Any]"]):
    """The selected columns as arrays by name. `columns` has the names of all columns of the stream."""

    columns: list[str]


def columns_of(stream: Any, wanted: Iterable[str | None]) -> Columns:
    """The columns in `wanted` that the stream has, as arrays. Nulls become None or NaN."""
    if not hasattr(stream, "__arrow_c_stream__"):
        raise TypeError(f"stream must have __arrow_c_stream__, as a pyarrow Table has; got {type(stream).__name__}")
    pa = optional("pyarrow")
    reader = pa.RecordBatchReader.from_stream(stream)
    names = [name for name in wanted if name is not None and name in reader.schema.names]
    parts: dict[str, list[NDArray[Any]]] = {name: [_empty(reader.schema.field(name).type)] for name in names}
    for batch in reader:
        for name in names:
            parts[name].append(_array(batch.column(name)))
    out = Columns({name: np.concatenate(arrays[1:] or arrays) for name, arrays in parts.items()})
    out.columns = list(reader.schema.names)
    return out


def _array(column: Any) -> NDArray[Any]:
    if hasattr(column, "dictionary_decode"):
        column = column.dictionary_decode()
    array: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return array


def _empty(kind: Any) -> NDArray[Any]:
    """An empty array of the dtype that `_array` gives for an Arrow type, for streams without batches."""
    import pyarrow as pa

    return _array(pa.array([], kind))
