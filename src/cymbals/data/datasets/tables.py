"""Plain tables with a column for users, one for items and one for values: CSV, TSV, Parquet."""

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

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.0+)?")  # as programs write them: no leading zeros


def load(
    path: str | os.PathLike[str],
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
) -> Interactions:
    """Read a .csv, .tsv (also .csv.gz, .tsv.gz), .parquet or .npz file.

    A row of a .csv or .tsv file that has more or fewer fields than the header is rejected. ``report["lines_rejected"]``
    counts such rows, and a warning names the line numbers of the first five. An empty field counts as a field, so
    ``1,2,`` is not rejected: its missing value is an error. Blank lines are skipped and not counted.

    Parameters
    ----------
    path : path-like
    user, item, value : str
        Column names; value None: every row counts 1.
    time : str, optional
        Column with numbers, or dates such as 2005-05-31 or 2005-05-31T12:00:00Z.

    Returns
    -------
    Interactions

    Raises
    ------
    ValueError
        Another kind of file, one that cannot be read as what its name says, or one whose rows are all rejected.
    KeyError
        A column that is not there.
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
            # an id such as "NA" or "007" is an id
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
    except Exception as error:  # pandas and Arrow raise many kinds
        raise ValueError(f"{place}: cannot be read as {kind[1:]}: {error}") from error
    data = Interactions.from_frame(frame, user=user, item=item, value=value, time=time)
    data.report |= rejected
    return data


def _matrix(place: Path) -> Interactions:
    """A sparse matrix that ``scipy.sparse.save_npz`` wrote, users in rows; row numbers are the ids."""
    try:
        with open(place, "rb") as file:
            matrix = scipy.sparse.load_npz(file)
    except FileNotFoundError:
        raise
    except Exception as error:  # zip files and headers go wrong in many ways
        raise ValueError(f"{place}: cannot be read as a matrix that scipy.sparse.save_npz wrote: {error}") from error
    return Interactions.from_csr(matrix)


def _ids(codes: NDArray[Any], distinct: Any) -> NDArray[Any]:
    """Texts as whole numbers where all of them are written as such, else as they are."""
    texts = [str(text) for text in distinct]
    whole = all(_WHOLE.fullmatch(t) for t in texts)
    numbers = [int(t.partition(".")[0]) for t in texts] if whole else []
    fits = whole and all(abs(number) < 2**63 for number in numbers) and len(set(numbers)) == len(texts)
    values = np.array(numbers if fits else texts, dtype=object)
    out: NDArray[Any] = np.append(values, np.array([None]))[codes]  # code -1 is an empty cell
    return out.astype(np.int64) if fits and np.all(codes >= 0) else out
