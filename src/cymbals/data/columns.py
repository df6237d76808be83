"""Takes named columns out of any kind of frame: pandas, Polars, pyarrow, DuckDB, or another Arrow stream.

Frames with Arrow's stream interface are read by pyarrow, pandas frames by themselves. A column stays in the form that its
frame gives it, so that the codes of categories and dictionaries are not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..base.optional import optional


def columns_of(frame: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that callers name.

    Parameters
    ----------
    frame : object
        A frame, a stream, or a mapping of names to arrays.
    named : mapping of str to object
        The name of the column for each argument; None for an argument without a column.

    Returns
    -------
    dict
        The column of each argument, or None.

    Raises
    ------
    KeyError
        The frame does not have one of the columns.
    """
    wanted = [name for name in named.values() if name is not None]
    if hasattr(frame, "collect") and hasattr(frame, "collect_schema"):  # a lazy Polars frame
        known = frame.collect_schema().names()
        check_names(named, known)
        frame = frame.select(list(dict.fromkeys(wanted))).collect()
    if hasattr(frame, "__arrow_c_stream__") and not _can_be_indexed(frame, wanted):
        columns = _of_stream(frame, named, wanted)
    else:
        columns = {name: _column(frame, argument, name) for argument, name in named.items() if name is not None}
    return {argument: None if name is None else columns[name] for argument, name in named.items()}


def is_frame(value: Any) -> bool:
    """Whether `columns_of` can read an argument."""
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "collect_schema"):
        return True
    return hasattr(value, "__getitem__") and not isinstance(value, (str, bytes, np.ndarray)) and not sp.issparse(value)


def _can_be_indexed(frame: Any, wanted: list[Any]) -> bool:
    """Whether a frame with the stream interface is better asked for its columns.

    These are frames of pandas, and those of Polars without pyarrow or with Python objects, whose addresses Arrow would get.
    """
    if not hasattr(frame, "get_column"):
        return hasattr(frame, "iloc")
    return not find_spec("pyarrow") or any(_has_objects(frame[name]) for name in wanted if name in frame.columns)


def _has_objects(column: Any) -> bool:
    """Whether a Polars Series holds Python objects."""
    return str(getattr(column, "dtype", "")) == "Object"


def _of_stream(stream: Any, named: Mapping[str, Any], wanted: list[Any]) -> dict[Any, Any]:
    pa = optional("pyarrow")
    if isinstance(stream, pa.RecordBatch):
        stream = pa.Table.from_batches([stream])
    is_table = isinstance(stream, pa.Table)  # is not read as a stream: pyarrow 23 crashes then if there are string views
    try:
        reader = stream if is_table else pa.RecordBatchReader.from_stream(stream)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TypeError(f"pyarrow cannot read this frame: {error}; cast its columns to usual types") from None
    check_names(named, reader.schema.names)
    if is_table:
        return {name: stream.column(name) for name in wanted}
    parts: dict[Any, list[Any]] = {name: [] for name in wanted}
    for batch in reader:
        for name, chunks in parts.items():
            chunks.append(batch.column(name))
    return {name: pa.chunked_array(chunks, reader.schema.field(name).type) for name, chunks in parts.items()}


def _column(frame: Any, argument: str, name: Any) -> Any:
    try:
        return frame[name]
    except (KeyError, IndexError, ValueError):
        raise _no_column(argument, name, getattr(frame, "columns", frame)) from None
    except TypeError:
        raise TypeError(f"events must be a frame, an Arrow stream or a mapping, got {type(frame).__name__}") from None


def check_names(named: Mapping[str, Any], known: list[str]) -> None:
    for argument, name in named.items():
        if name is not None and name not in known:
            raise _no_column(argument, name, known)


def _no_column(argument: str, name: Any, known: Any) -> KeyError:
    fix = "; value=None (--value '') counts every row as 1" if argument == "value" else ""
    return KeyError(f"{argument}={name!r}: no such column; the table has {', '.join(map(str, known))}{fix}")


def as_arrow(column: Any) -> Any:
    """A column as a pyarrow ChunkedArray, if its data are in Arrow's format and pyarrow is installed; otherwise None."""
    if not find_spec("pyarrow"):
        return None
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column
    if hasattr(column, "array"):  # a pandas Series or Index
        return _of_pandas(column.array)
    if hasattr(column, "__arrow_array__"):  # an extension array of pandas
        return _of_pandas(column)
    if hasattr(column, "__arrow_c_stream__"):  # a Polars Series
        return None if _has_objects(column) else pa.chunked_array(column)
    if hasattr(column, "__arrow_c_array__"):
        return pa.chunked_array([pa.array(column)])
    return None


def _of_pandas(extension: Any) -> Any:
    """An extension array of pandas as a ChunkedArray, if it holds strings or other objects in Arrow's format."""
    kind = extension.dtype
    in_arrow = hasattr(extension, "__arrow_array__") and getattr(kind, "storage", "") != "python"
    if not in_arrow or getattr(kind, "kind", "") != "O":
        return None
    import pyarrow as pa

    array = pa.array(extension)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def to_numpy(column: Any) -> Any:
    """A column as an array. Nulls become None or NaN. Lists and arrays are returned as they are."""
    arrow = as_arrow(column)
    if arrow is None:
        return column.to_numpy() if hasattr(column, "to_numpy") else column
    parts = [part.dictionary_decode() if hasattr(part, "dictionary_decode") else part for part in arrow.chunks]
    if not parts:
        import pyarrow as pa

        kind = arrow.type
        parts = [pa.array([], kind.value_type if pa.types.is_dictionary(kind) else kind)]
    arrays = [part.to_numpy(zero_copy_only=False) for part in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
