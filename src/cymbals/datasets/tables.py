"""Plain tables with a column for users, one for items and one for values: CSV, TSV, Parquet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..interactions import Interactions


def load(path: str | os.PathLike[str], user: str = "user", item: str = "item", value: str | None = "value") -> Interactions:
    """Read a .csv, .tsv or .parquet file.

    Parameters
    ----------
    path : path-like
    user, item, value : str
        Column names; value None: every row counts 1.

    Returns
    -------
    Interactions

    Raises
    ------
    ValueError
        Another kind of file, or one that cannot be read as what its name says.
    KeyError
        A column that is not there.
    """
    pd, place = pandas(), Path(path)
    kind = place.suffix.lower()
    if kind not in (".csv", ".tsv", ".parquet"):
        raise ValueError(f"{place}: must end in .csv, .tsv or .parquet")
    try:
        if kind == ".parquet":
            frame = pd.read_parquet(place)
        else:
            # an id such as "NA" or "null" is an id
            frame = pd.read_csv(place, sep="," if kind == ".csv" else "\t", keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise
    except Exception as error:  # pandas and Arrow raise many kinds
        raise ValueError(f"{place}: cannot be read as {kind[1:]}: {error}") from error
    return Interactions.from_frame(frame, user=user, item=item, value=value)


def pandas() -> Any:
    """pandas, or an error that says how to get it."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("reading this needs pandas: pip install 'cymbals[lab]'") from None
    return pd
