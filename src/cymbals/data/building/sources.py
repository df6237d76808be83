"""Reads the events of a source batch by batch: Parquet files and folders, CSV and TSV files, and Arrow streams.

A source holds at most a few batches in memory. Files are opened one after another, in the order of their paths, through
any file system of pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...base.format import first_few
from ...base.optional import optional
from ..columns import check_names

_PARQUET = (".parquet", ".pq", ".parq")
_TEXTS = {".csv": ",", ".tsv": "\t"}
_BATCH = 1 << 17  # rows that are decoded at a time
_BLOCK = 1 << 22  # bytes of a text file that are parsed at a time
_FEATURE = "Interactions.build"


class ValuesAreFloats(Exception):
    """A text file has a value that is not a whole number. The source must be read again from the beginning."""


@dataclass(frozen=True)
class Part:
    """Consecutive events. `label` names their file or stream, and `first` is the row of the first one in it."""

    columns: dict[str, Any]  # an Arrow array for each argument that names a column
    label: str
    first: int

    @property
    def size(self) -> int:
        return len(self.columns["user"])

    def slice(self, begin: int, n: int) -> Part:
        """At most `n` of the events, from the one at `begin`."""
        columns = {name: column.slice(begin, n) for name, column in self.columns.items()}
        return Part(columns, self.label, self.first + begin)


@dataclass
class Source:
    """Events to read.

    Attributes
    ----------
    parts : function
        Reads the events from the beginning.
    identity : object or None
        Content of JSON that changes if the files change. None for a stream, which can be read only once.
    rows : int or None
        Number of events, if it is known before they are read.
    n_bytes : int or None
        Size of text files.
    texts : bool
        Whether the ids were read as texts, and are whole numbers if all texts are.
    rejected : dict
        For each text file, how many rows with too few or too many fields were left out.
    """

    parts: Callable[[], Iterator[Part]]
    identity: Any = None
    rows: int | None = None
    n_bytes: int | None = None
    texts: bool = False
    rejected: dict[str, int] = field(default_factory=dict)
    floats: bool = False


def open_source(source: Any, named: Mapping[str, str | None], filesystem: Any) -> Source:
    """Recognise a source. `named` has the name of the column for each argument, or None."""
    optional("pyarrow", _FEATURE)
    if isinstance(source, (str, os.PathLike)):
        return _of_paths([source], named, filesystem)
    if isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, os.PathLike)) for one in source):
        return _of_paths(list(source), named, filesystem)
    if filesystem is not None:
        raise TypeError(f"filesystem is only for paths, and source is {type(source).__name__}")
    if hasattr(source, "collect") and hasattr(source, "collect_schema"):  # a lazy Polars frame
        wanted = [name for name in named.values() if name is not None]
        check_names(named, source.collect_schema().names())
        source = source.select(list(dict.fromkeys(wanted))).collect()
    for method in ("to_arrow_reader", "fetch_arrow_reader"):  # DuckDB
        if hasattr(source, "fetch_arrow_table") and hasattr(source, method):
            return _of_stream(getattr(source, method)(_BATCH), named)
    if hasattr(source, "__arrow_c_stream__"):
        return _of_stream(source, named)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, Mapping)):
        return Source(lambda: _of_batches(iter(source), named))
    raise TypeError(
        "source must be a path, a list of paths, an object with __arrow_c_stream__ or an iterable of record batches; got "
        f"{type(source).__name__}"
    )


# -- streams -------------------------------------------------------------------------------------------------------------


def _of_stream(stream: Any, named: Mapping[str, str | None]) -> Source:
    import pyarrow as pa

    rows = None
    if isinstance(stream, pa.RecordBatch):
        stream = pa.Table.from_batches([stream])
    if isinstance(stream, pa.Table):
        names, batches, rows = stream.schema.names, stream.to_batches, stream.num_rows
        check_names(named, names)
        return Source(lambda: _of_batches(iter(batches()), named, stream.schema), rows=rows)
    try:
        reader = stream if isinstance(stream, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(stream)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TypeError(f"pyarrow cannot read this source: {error}; cast its columns to usual types") from None
    check_names(named, reader.schema.names)
    return Source(lambda: _of_batches(iter(reader), named, reader.schema))


def _of_batches(batches: Iterator[Any], named: Mapping[str, str | None], schema: Any = None) -> Iterator[Part]:
    import pyarrow as pa

    row = 0
    if schema is not None:  # an empty part, so that the types are known even if there are no batches
        yield Part(_taken(schema.empty_table().to_batches(), schema, named), "the stream", 0)
    for number, batch in enumerate(batches):
        if not isinstance(batch, (pa.RecordBatch, pa.Table)):
            raise TypeError(f"source must hold record batches of pyarrow; element {number} is {type(batch).__name__}")
        if schema is None:
            check_names(named, batch.schema.names)
            schema = batch.schema
        for part in batch.to_batches() if isinstance(batch, pa.Table) else [batch]:
            wanted = {a: name for a, name in named.items() if name is not None}
            for name in wanted.values():
                if name not in part.schema.names or part.schema.field(name).type != schema.field(name).type:
                    raise TypeError(f"batch {number} has another type of column {name!r} than the first one")
            yield Part({a: part.column(name) for a, name in wanted.items()}, "the stream", row)
            row += part.num_rows


def _taken(batches: list[Any], schema: Any, named: Mapping[str, str | None]) -> dict[str, Any]:
    """The named columns of a table without rows."""
    import pyarrow as pa

    return {a: pa.array([], schema.field(name).type) for a, name in named.items() if name is not None}


# -- files ---------------------------------------------------------------------------------------------------------------


def _of_paths(paths: list[Any], named: Mapping[str, str | None], filesystem: Any) -> Source:
    files, fs = _listed(paths, filesystem)
    kinds = {_ending(file.path) for file in files}
    identity = [[file.path, file.size, file.mtime_ns] for file in files]
    if kinds <= set(_PARQUET):
        return _of_parquet([file.path for file in files], fs, named, identity, _base(paths))
    if kinds <= set(_TEXTS):
        return _of_texts([file.path for file in files], fs, named, identity, sum(file.size or 0 for file in files))
    raise ValueError(f"source has files of several kinds ({', '.join(sorted(kinds))}); build a store from one kind")


def _listed(paths: list[Any], filesystem: Any) -> tuple[list[Any], Any]:
    """The files of paths and folders, in order, and their file system."""
    from pyarrow import fs as arrow_fs

    fs, files = _filesystem(filesystem), []
    for path in paths:
        place = os.fspath(path)
        if fs is None and "://" in place:
            fs, place = arrow_fs.FileSystem.from_uri(place)
        elif "://" in place:
            place = place.split("://", 1)[1]
        here = fs or arrow_fs.LocalFileSystem()
        place = os.path.abspath(place) if isinstance(here, arrow_fs.LocalFileSystem) else place.rstrip("/")
        info = here.get_file_info(place)
        if info.type == arrow_fs.FileType.NotFound:
            raise FileNotFoundError(f"{path}: no such file or folder")
        if info.type == arrow_fs.FileType.Directory:
            found = here.get_file_info(arrow_fs.FileSelector(place, recursive=True))
            inside = [one for one in found if one.type == arrow_fs.FileType.File and not _hidden(one.path, place)]
            known = sorted((one for one in inside if _ending(one.path)), key=lambda one: one.path)
            if not known:
                seen = f"; it has {first_few([one.base_name for one in inside])}" if inside else ""
                raise FileNotFoundError(f"{path}: holds no .parquet, .csv or .tsv files{seen}")
            files += known
        elif not _ending(info.path):
            raise ValueError(f"{path}: must end in .parquet, .csv, .tsv, .csv.gz or .tsv.gz")
        else:
            files.append(info)
    return files, fs or arrow_fs.LocalFileSystem()


def _filesystem(given: Any) -> Any:
    from pyarrow import fs as arrow_fs

    if given is None or isinstance(given, arrow_fs.FileSystem):
        return given
    if isinstance(given, str):
        return arrow_fs.FileSystem.from_uri(given)[0]
    return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(given))


def _hidden(path: str, base: str) -> bool:
    """Whether programs that write tables left a file beside the data, such as _SUCCESS or .part.crc."""
    return any(name.startswith(("_", ".")) for name in path[len(base) :].replace("\\", "/").split("/"))


def _ending(path: str) -> str:
    """The known ending of a path, without .gz; "" if there is none."""
    lower = path.lower()
    found = next((end for end in _PARQUET if lower.endswith(end)), "")
    return found or next((end for end in _TEXTS if lower.removesuffix(".gz").endswith(end)), "")


def _base(paths: list[Any]) -> str | None:
    return os.fspath(paths[0]) if len(paths) == 1 else None


def _of_parquet(paths: list[str], fs: Any, named: Mapping[str, str | None], identity: Any, base: str | None) -> Source:
    import pyarrow as pa
    from pyarrow import dataset

    try:
        found = dataset.dataset(paths, format="parquet", filesystem=fs, partitioning="hive")
        rows = found.count_rows()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{base or paths[0]}: cannot be read as Parquet: {error}") from None
    check_names(named, found.schema.names)
    types = {name: found.schema.field(name).type for name in named.values() if name is not None}
    return Source(lambda: _parquet_parts(found, fs, named, types), identity, rows)


def _parquet_parts(found: Any, fs: Any, named: Mapping[str, str | None], types: dict[str, Any]) -> Iterator[Part]:
    import pyarrow as pa
    from pyarrow import parquet
    from pyarrow.dataset import get_partition_keys

    wanted = {a: name for a, name in named.items() if name is not None}
    yield Part({a: pa.array([], types[name]) for a, name in wanted.items()}, "", 0)
    for fragment in found.get_fragments():
        keys, row = get_partition_keys(fragment.partition_expression), 0
        try:
            with fs.open_input_file(fragment.path) as file:
                # without pre_buffer, which would read a whole row group
                content = parquet.ParquetFile(file, pre_buffer=False, buffer_size=_BLOCK)
                inside = [name for name in dict.fromkeys(wanted.values()) if name in content.schema_arrow.names]
                for batch in content.iter_batches(_BATCH, columns=inside):
                    columns = {name: batch.column(name) for name in inside}
                    for name in types:
                        if name not in columns and name in keys:
                            columns[name] = pa.repeat(pa.scalar(keys[name], types[name]), batch.num_rows)
                        elif name not in columns:
                            raise ValueError(f"it has no column {name!r}, as the first file has")
                        elif columns[name].type != types[name]:
                            columns[name] = columns[name].cast(types[name])
                    yield Part({a: columns[name] for a, name in wanted.items()}, fragment.path, row)
                    row += batch.num_rows
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise ValueError(f"{fragment.path}: cannot be read as Parquet: {error}") from None


def _of_texts(paths: list[str], fs: Any, named: Mapping[str, str | None], identity: Any, size: int) -> Source:
    source = Source(lambda: iter(()), identity, n_bytes=size, texts=True)
    source.parts = lambda: _text_parts(paths, fs, named, source)
    return source


def _text_parts(paths: list[str], fs: Any, named: Mapping[str, str | None], source: Source) -> Iterator[Part]:
    import pyarrow as pa
    from pyarrow import csv

    wanted = {a: name for a, name in named.items() if name is not None}
    # Ids are texts: "NA" is not a missing value, and "007" is not 7. Values are whole numbers until one is not.
    types = {wanted["user"]: pa.string(), wanted["item"]: pa.string()}
    if "value" in wanted:
        types[wanted["value"]] = pa.float64() if source.floats else pa.int64()
    for path in paths:
        row, source.rejected[path] = 0, 0

        def reject(invalid: Any, path: str = path) -> str:
            source.rejected[path] += 1
            return "skip"

        parse = csv.ParseOptions(delimiter=_TEXTS[_ending(path)], newlines_in_values=True, invalid_row_handler=reject)
        convert = csv.ConvertOptions(
            column_types=types,
            include_columns=list(dict.fromkeys(wanted.values())),
            null_values=[""],
            strings_can_be_null=True,
        )
        read = csv.ReadOptions(block_size=_BLOCK)
        try:
            with fs.open_input_stream(path) as stream:
                _check_header(fs, path, _TEXTS[_ending(path)], named)
                for batch in csv.open_csv(stream, read, parse, convert):
                    yield Part({a: batch.column(name) for a, name in wanted.items()}, path, row)
                    row += batch.num_rows
        except pa.ArrowInvalid as error:
            if "conversion error to int64" in str(error) and not source.floats:
                source.floats = True
                raise ValuesAreFloats from None
            raise ValueError(f"{path}: cannot be read as {_ending(path)[1:]}: {error}") from None


def _check_header(fs: Any, path: str, separator: str, named: Mapping[str, str | None]) -> None:
    """Refuse a file without the named columns, or with a column name that occurs twice."""
    import csv

    with fs.open_input_stream(path) as stream:
        first = stream.read(1 << 16).decode("utf-8-sig", "replace")
    names = next(csv.reader(first.splitlines()[:1], delimiter=separator), [])
    check_names(named, names)
    for name in named.values():
        if name is not None and names.count(name) > 1:
            raise ValueError(f"{path}: column {name!r} occurs more than once in the header; give each column its own name")
