"""Reads text tables with pandas, and rejects rows with more or fewer fields than the header.

pandas alone would shift the columns if the first row is too long, and would fill short rows with empty fields, without
saying in which rows. If a file may have such rows, the csv module therefore reads it a second time and finds them.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from ...base.format import first_few
from ...base.optional import pandas
from ...base.writing import Writing

if TYPE_CHECKING:
    import pandas as pd


_field_limit = Writing()  # the csv module has one limit for all threads


class _Ragged(NamedTuple):
    """A row with more or fewer fields than the header. Its lines are counted from 1; a quoted field can span several."""

    first_line: int
    last_line: int
    n_fields: int


def read(
    path: str | os.PathLike[str], separator: str, quotes: bool = True, errors: str = "strict", **options: Any
) -> tuple[pd.DataFrame, int]:
    """Read a UTF-8 file as a data frame. Returns the frame and the number of rejected rows.

    A warning names the lines of the first rejected rows.

    Parameters
    ----------
    path : path-like
        A name that ends in .gz means a compressed file.
    separator : str
        The character between two fields.
    quotes : bool
        Whether fields can be quoted. If not, a quote is an ordinary character.
    errors : str
        How to treat bytes that are not UTF-8; see the argument `errors` of `open`.
    **options
        Further arguments of `pandas.read_csv`. With them, pandas must still read an empty field as a missing value.
    """
    pd, frame = pandas(), None
    options |= {"sep": separator, "index_col": False, "encoding": "utf-8", "encoding_errors": errors}
    options["quoting"] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    try:
        # With header=None the header is an ordinary row, so pandas raises if the row below it has more fields.
        first_rows = pd.read_csv(path, header=None, nrows=2, **options)
        _check_names([str(name) for name in first_rows.iloc[0]])
        frame = pd.read_csv(path, **options)
        if frame.iloc[:, -1].notna().all():  # a short row would have an empty last field
            return frame, 0
    except pd.errors.ParserError:  # a row with too many fields, or a quote that is not closed
        pass
    open_text: Any = gzip.open if os.fspath(path).lower().endswith(".gz") else open
    with open_text(path, "rt", encoding="utf-8-sig", errors=errors, newline="") as file:
        header, ragged = _ragged(file, separator, quotes)
        if frame is None or ragged:
            file.seek(0)
            frame = pd.read_csv(io.BytesIO(_lines_without(file, ragged)), **options)
    if ragged:
        _warn_of_rejected(os.fspath(path), header, ragged, frame.empty)
    return frame, len(ragged)


def _check_names(header: list[str]) -> None:
    """Raises if two columns have the same name: pandas would rename the second and silently use the first."""
    twice = [name for name, count in Counter(header).items() if count > 1 and name != "nan"]
    if twice:
        raise ValueError(
            f"columns occur more than once in the header: {', '.join(map(repr, twice))}; give each column its own name"
        )


def _warn_of_rejected(path: str, header: list[str], ragged: list[_Ragged], all_of_them: bool) -> None:
    """Warns of the rejected rows. Raises ValueError if all rows were rejected."""
    if all_of_them:
        first = ragged[0]
        raise ValueError(
            f"the header has {len(header)} fields ({', '.join(header)}), but none of the {len(ragged):,} rows has that "
            f"many; line {first.first_line} has {first.n_fields} instead of {len(header)}. The header must have a name for "
            "each field"
        )
    rows, lines = ("row", "line") if len(ragged) == 1 else ("rows", "lines")
    warnings.warn(
        f"{path}: {len(ragged):,} {rows} rejected for having more or fewer than the header's {len(header)} fields: "
        f"{lines} {first_few([row.first_line for row in ragged])}",
        stacklevel=6,  # the caller of datasets.load, or for HetRec datasets.load itself
    )


def _ragged(file: TextIO, separator: str, quotes: bool) -> tuple[list[str], list[_Ragged]]:
    """Reads the header, and finds the rows with more or fewer fields. Blank lines do not count as rows."""
    header: list[str] = []
    ragged = []
    first_line, row = 1, list[str]()
    try:
        with _no_field_limit():
            reader = csv.reader(
                itertools.chain(file, ["\n"]),
                delimiter=separator,
                quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
            )
            for row in reader:
                if len(row) != len(header) and not _is_blank(row):
                    if header:
                        ragged.append(_Ragged(first_line, reader.line_num, len(row)))
                    else:
                        header = row
                row_starts, first_line = first_line, reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    if row:  # the line break added above ended up in a quoted field that is not closed
        raise ValueError(f"a quoted field does not end in the row that starts on line {row_starts}")
    return header, ragged


@contextmanager
def _no_field_limit() -> Iterator[None]:
    """Lets the csv module read fields of any length in this block, as pandas does."""
    with _field_limit:
        before = csv.field_size_limit(sys.maxsize)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _is_blank(row: list[str]) -> bool:
    """Whether a line holds only spaces and tabs; pandas skips such lines."""
    return not row or (len(row) == 1 and row[0] != "" and not row[0].strip(" \t"))


def _lines_without(file: TextIO, ragged: list[_Ragged]) -> bytes:
    """The content of a file without the lines of ragged rows, as UTF-8."""
    left_out = {line for row in ragged for line in range(row.first_line, row.last_line + 1)}
    return "".join(text for line, text in enumerate(file, 1) if line not in left_out).encode()
