"""Reads the Last.fm files of HetRec 2011: user_artists.dat (userID, artistID, weight) and artists.dat (id, name, ...)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..interactions import Interactions
from . import delimited

if TYPE_CHECKING:
    import pandas as pd

PLAYS, ARTISTS = "user_artists.dat", "artists.dat"


def load(directory: str | os.PathLike[str]) -> Interactions:
    """Load play counts and, if ``artists.dat`` exists, artist names.

    Use it for the HetRec 2011 Last.fm data; ``datasets.load`` calls it for a folder with these files.

    Parameters
    ----------
    directory : path-like
        The folder with ``user_artists.dat``.

    Returns
    -------
    Interactions
        ``report["lines_rejected"]`` is the number of rows with more or fewer fields than the header of their file. A
        warning names the line numbers of the first five in each file.
    """
    folder = Path(directory)
    plays, rejected = _read(folder / PLAYS)
    names = None
    if (folder / ARTISTS).is_file():
        artists, rejected_artists = _read(folder / ARTISTS, dtype={"name": str}, keep_default_na=False, na_values=[""])
        names = artists.drop_duplicates("id").set_index("id")["name"].fillna("")
        rejected += rejected_artists
    data = Interactions.from_frame(plays, user="userID", item="artistID", value="weight", item_names=names)
    data.report["lines_rejected"] = rejected
    return data


def _read(path: Path, **options: Any) -> tuple[pd.DataFrame, int]:
    try:
        return delimited.read(path, "\t", quotes=False, errors="replace", **options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
