"""Text tables read by pandas. Rows with more or fewer fields than the header are rejected, counted and named in a warning.

pandas itself would shift the columns where the first row is too long, and fill short rows with empty fields. It does not
tell where it did so: the csv module looks for such rows, in a second pass over files that can have some.
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


_field_limit = Writing()  # csv has one limit for all threads


class _Ragged(NamedTuple):
    """A row whose number of fields is not the header's: the lines it stands on, counted from 1, and its fields."""

    first_line: int
    last_line: int
    n_fields: int


def read(
    path: str | os.PathLike[str], separator: str, quotes: bool = True, errors: str = "strict", **how: Any
) -> tuple[pd.DataFrame, int]:
    """Read a UTF-8 file as a data frame; also returns the number of rows rejected.

    Parameters
    ----------
    path : path-like
    separator : str
    quotes : bool
        Whether fields can be quoted; if not, a quote is a character like any other.
    errors : str
        What to do with bytes that are not UTF-8, as `open` takes it.
    **how
        Other arguments of `pandas.read_csv`; its `na_values` must take an empty field for a missing one.
    """
    pd, frame = pandas(), None
    how |= {"sep": separator, "index_col": False, "encoding": "utf-8", "encoding_errors": errors}
    how["quoting"] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    try:
        # Below the header pandas lets the first row have surplus fields; below another row it raises.
        first_rows = pd.read_csv(path, header=None, nrows=2, **how)
        _check_names([str(name) for name in first_rows.iloc[0]])
        frame = pd.read_csv(path, **how)
        if frame.iloc[:, -1].notna().all():  # so no row is too short: pandas fills short rows with empty fields
            return frame, 0
    except pd.errors.ParserError:  # a row with surplus fields, or a quote that is not closed
        pass
    open_text: Any = gzip.open if os.fspath(path).lower().endswith(".gz") else open
    with open_text(path, "rt", encoding="utf-8-sig", errors=errors, newline="") as file:
        header, ragged = _ragged(file, separator, quotes)
        if frame is None or ragged:
            file.seek(0)
            frame = pd.read_csv(io.BytesIO(_without(file, ragged)), **how)
    if ragged:
        _tell(os.fspath(path), header, ragged, frame.empty)
    return frame, len(ragged)


def _check_names(header: list[str]) -> None:
    """pandas would rename the second of two columns of one name, and so use the first one without a word."""
    twice = [name for name, count in Counter(header).items() if count > 1 and name != "nan"]
    if twice:
        raise ValueError(f"columns stand more than once in the header: {', '.join(map(repr, twice))}; rename one of each")


def _tell(path: str, header: list[str], ragged: list[_Ragged], all_of_them: bool) -> None:
    """Warns of rejected rows; raises where no other is left."""
    if all_of_them:
        first = ragged[0]
        raise ValueError(
            f"none of the {len(ragged):,} rows has as many fields as the header, {len(header)} ({', '.join(header)}); "
            f"line {first.first_line} has {first.n_fields}. The header must name each field of a row"
        )
    rows, lines = ("row", "line") if len(ragged) == 1 else ("rows", "lines")
    warnings.warn(
        f"{path}: {len(ragged):,} {rows} rejected for having more or fewer fields than the header, {len(header)}: "
        f"{lines} {first_few([row.first_line for row in ragged])}",
        stacklevel=6,  # who called datasets.load
    )


def _ragged(file: TextIO, separator: str, quotes: bool) -> tuple[list[str], list[_Ragged]]:
    """The header, and the rows that have more or fewer fields. Blank lines are not rows."""
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
    if row:  # the added line break became part of a quoted field
        raise ValueError(f"a quoted field does not end in the row that starts on line {row_starts}")
    return header, ragged


@contextmanager
def _no_field_limit() -> Iterator[None]:
    """Lets the csv module read fields of any length, as pandas does, and restores its limit."""
    with _field_limit:
        before = csv.field_size_limit(sys.maxsize)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _is_blank(row: list[str]) -> bool:
    """Whether a line holds nothing but spaces and tabs: pandas skips it."""
    return not row or (len(row) == 1 and row[0] != "" and not row[0].strip(" \t"))


def _without(file: TextIO, ragged: list[_Ragged]) -> bytes:
    """The lines of a file without those of ragged rows."""
    left_out = {line for row in ragged for line in range(row.first_line, row.last_line + 1)}
    return "".join(text for line, text in enumerate(file, 1) if line not in left_out).encode()
