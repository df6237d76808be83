"""Readers of data files. `load` recognises the format; `synthetic` writes made-up files for demonstrations.

`fetch` and the functions whose names begin with ``fetch_`` download public data sets.
"""

from __future__ import annotations

import os
from pathlib import Path

from .. import audioscrobbler, store
from ..interactions import Interactions
from . import hetrec, lightgcn, listening, movielens, synthetic, tables
from .fetching import (
    fetch,
    fetch_audioscrobbler,
    fetch_hetrec,
    fetch_lastfm_360k,
    fetch_lightgcn,
    fetch_movielens,
    fetch_taste_profile,
)

__all__ = [
    "fetch",
    "fetch_audioscrobbler",
    "fetch_hetrec",
    "fetch_lastfm_360k",
    "fetch_lightgcn",
    "fetch_movielens",
    "fetch_taste_profile",
    "hetrec",
    "load",
    "synthetic",
    "tables",
]


def load(
    path: str | os.PathLike[str],
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
) -> Interactions:
    """Load play counts or ratings from a file or folder, in any format that cymbals reads.

    Use it if your data are in a file. For data in memory use `from_frame`, `from_arrow`, `from_arrays` or `from_csr` of
    `Interactions`. The format is recognised by the names of the files.

    Parameters
    ----------
    path : path-like
        A store that `Interactions.save` or `Interactions.build` wrote, a folder with the files of Audioscrobbler,
        HetRec, MovieLens or another data set of `fetch`, or a .csv, .tsv, .csv.gz, .tsv.gz, .parquet or .npz file. An
        .npz file must hold a sparse matrix that ``scipy.sparse.save_npz`` wrote, users in rows. LightGCN's splits are
        two files: pass the path of ``train.txt`` or ``test.txt``.
    user, item : str
        Names of the columns with ids, in a .csv, .tsv or .parquet file.
    value : str or None
        Name of the column with counts or ratings; None counts each row as 1.
    time : str, optional
        Name of the column with times.

    Returns
    -------
    Interactions
        ``report["lines_rejected"]`` is the number of lines that were not read. In Audioscrobbler's files these are the
        lines that cannot be parsed. In .csv, .tsv and HetRec's files they are the rows with more or fewer fields than the
        header; a warning names the line numbers of the first five.

    Raises
    ------
    FileNotFoundError
        `path` does not exist, or the folder holds no files of a known format.
    ValueError
        The file cannot be read in the format of its ending.
    KeyError
        The file does not have one of the columns.
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
    """Like `load`, but returns Audioscrobbler's files as `RawEvents`, before cleaning."""
    place = Path(path)
    if place.is_file():
        if place.name in (lightgcn.TRAIN, lightgcn.TEST):
            return lightgcn.load_part(place)
        return tables.load(place, user, item, value, time)
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such file or folder")
    if (place / store.LIST).is_file():
        return Interactions.open(place)
    if any(place.glob(f"{audioscrobbler.PLAYS}*.txt")):
        return audioscrobbler.read(place)
    if (place / hetrec.PLAYS).is_file():
        return hetrec.load(place)
    if movielens.recognised(place):
        return movielens.load(place)
    if listening.recognised(place):
        return listening.load(place)
    raise FileNotFoundError(
        f"{place}: holds neither Audioscrobbler's {audioscrobbler.PLAYS}.txt nor HetRec's {hetrec.PLAYS} nor MovieLens' "
        "files; for a table, pass the path of the .csv, .tsv, .parquet or .npz file itself, and for LightGCN's split that "
        f"of {lightgcn.TRAIN}"
    )
