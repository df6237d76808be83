"""Reads tables with a column each for users, items and values (CSV, TSV, Parquet), and sparse matrices (.npz)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...base.optional import pandas
from ..interactions import Interactions
from . import delimited

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.0+)?")  # "-7", "7" and "7.0", but not "007", which stays a text


def load(
    path: str | os.PathLike[str],
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
) -> Interactions:
    """Read a .csv, .tsv, .csv.gz, .tsv.gz, .parquet or .npz file.

    Use it for a table or a matrix in a file; ``datasets.load`` calls it for such files.

    A row of a .csv or .tsv file that has more or fewer fields than the header is rejected. ``report["lines_rejected"]``
    counts such rows, and a warning names the line numbers of the first five. An empty field counts as a field, so
    ``1,2,`` is not rejected but raises an error: its value is missing. Blank lines are skipped and not counted.

    Parameters
    ----------
    path : path-like
        An .npz file must hold a sparse matrix that ``scipy.sparse.save_npz`` wrote, users in rows.
    user, item : str
        Names of the columns with ids.
    value : str or None
        Name of the column with counts or ratings; None counts each row as 1.
    time : str, optional
        Name of the column with times: numbers, or dates such as 2005-05-31 or 2005-05-31T12:00:00Z.

    Returns
    -------
    Interactions

    Raises
    ------
    ValueError
        The file name has an unknown ending, the file cannot be read in the format of its ending, or all rows are rejected.
    KeyError
        The table does not have one of the columns.
    """
    place = Path(path)
    kind = place.with_suffix("").suffix.lower() if place.suffix.lower() == ".gz" else place.suffix.lower()
    if kind not in (".csv", ".tsv", ".parquet", ".npz") or (kind in (".parquet", ".npz") and place.suffix.lower() != kind):
        raise ValueError(f"{place}: must end in .csv, .tsv, .csv.gz, .tsv.gz, .parquet or .npz")
    if kind == ".npz":
        return _matrix(place)
    pd = pandas()
    rejected = {}
    try:
        if kind == ".parquet":
            frame = pd.read_parquet(place)
        else:
            # read ids as texts: "NA" is not a missing value, and "007" is not 7
            text = dict.fromkeys((user, item), str)
            separator = "," if kind == ".csv" else "\t"
            frame, lines = delimited.read(place, separator, dtype=text, keep_default_na=False, na_values=[""])
            rejected["lines_rejected"] = lines
            for column in frame.columns.intersection([user, item]):
                frame[column] = _ids(*pd.factorize(frame[column]))
        if time in frame and not pd.api.types.is_numeric_dtype(frame[time]):
            frame[time] = pd.to_datetime(frame[time], utc=True, format="ISO8601").dt.tz_convert(None)
    except (FileNotFoundError, Warning):
        raise
    except Exception as error:  # pandas and Arrow raise many types of errors
        raise ValueError(f"{place}: cannot be read as {kind[1:]}: {error}") from error
    data = Interactions.from_frame(frame, user=user, item=item, value=value, time=time)
    data.report |= rejected
    return data


def _matrix(place: Path) -> Interactions:
    """Reads a sparse matrix that ``scipy.sparse.save_npz`` wrote, with users in rows. The row numbers become the ids."""
    try:
        with open(place, "rb") as file:
            matrix = scipy.sparse.load_npz(file)
    except FileNotFoundError:
        raise
    except Exception as error:  # broken zip files and array headers raise many types of errors
        raise ValueError(f"{place}: cannot be read as a matrix that scipy.sparse.save_npz wrote: {error}") from error
    return Interactions.from_csr(matrix)


def _ids(codes: NDArray[Any], distinct: Any) -> NDArray[Any]:
    """Ids from factorized texts: as whole numbers if all texts are different whole numbers that fit, else as texts."""
    texts = [str(text) for text in distinct]
    whole = all(_WHOLE.fullmatch(t) for t in texts)
    numbers = [int(t.partition(".")[0]) for t in texts] if whole else []
    fits = whole and all(abs(number) < 2**63 for number in numbers) and len(set(numbers)) == len(texts)
    values = np.array(numbers if fits else texts, dtype=object)
    out: NDArray[Any] = np.append(values, np.array([None]))[codes]  # code -1 is an empty cell
    return out.astype(np.int64) if fits and np.all(codes >= 0) else out
