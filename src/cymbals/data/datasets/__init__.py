"""Data sets in files: those that people have, recognised by what they look like, and one that we make ourselves."""

from __future__ import annotations

import os
from pathlib import Path

from .. import audioscrobbler
from ..interactions import Interactions
from . import hetrec, synthetic, tables

__all__ = ["hetrec", "load", "synthetic", "tables"]


def load(
    path: str | os.PathLike[str],
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
) -> Interactions:
    """Load play counts or ratings from wherever they are.

    Parameters
    ----------
    path : path-like
        A folder with Audioscrobbler's or HetRec's files, or a .csv, .tsv (also .csv.gz, .tsv.gz), .parquet or .npz file.
    user, item, value, time : str
        Columns of a .csv, .tsv or .parquet file; value None: every row counts 1; time None: no times. An .npz file has
        none: it holds a sparse matrix that ``scipy.sparse.save_npz`` wrote.

    Rejected lines are counted in ``report["lines_rejected"]``. In HetRec's, .csv and .tsv files these are rows with more
    or fewer fields than the header, which a warning names; in Audioscrobbler's files all lines that cannot be parsed.

    Returns
    -------
    Interactions

    Raises
    ------
    FileNotFoundError
        Nothing there, or nothing that is known.
    """
    found = read(path, user, item, value, time)
    return found.clean() if isinstance(found, audioscrobbler.RawEvents) else found


def read(
    path: str | os.PathLike[str],
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
) -> Interactions | audioscrobbler.RawEvents:
    """What `load` loads before it is cleaned, where there is anything to clean: Audioscrobbler's files."""
    place = Path(path)
    if place.is_file():
        return tables.load(place, user, item, value, time)
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such file or folder")
    if audioscrobbler.find(place, audioscrobbler.PLAYS):
        return audioscrobbler.read(place)
    if (place / hetrec.PLAYS).is_file():
        return hetrec.load(place)
    raise FileNotFoundError(
        f"{place}: holds neither Audioscrobbler's {audioscrobbler.PLAYS}.txt nor HetRec's {hetrec.PLAYS}; "
        "for a table, name the .csv, .tsv, .parquet or .npz file itself"
    )
