"""HetRec 2011's Last.fm files: user_artists.dat (userID, artistID, weight) and artists.dat (id, name, ...)."""

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
    """Play counts with artist names, if those are there.

    Rows with more or fewer fields than their file's header are rejected: a warning names them, and
    ``report["lines_rejected"]`` counts them.

    Parameters
    ----------
    directory : path-like

    Returns
    -------
    Interactions
    """
    folder = Path(directory)
    plays, rejected = _read(folder / PLAYS)
    names = None
    if (folder / ARTISTS).is_file():
        artists, no_artists = _read(folder / ARTISTS, dtype={"name": str}, keep_default_na=False, na_values=[""])
        names = artists.drop_duplicates("id").set_index("id")["name"].fillna("")
        rejected += no_artists
    data = Interactions.from_frame(plays, user="userID", item="artistID", value="weight", item_names=names)
    data.report["lines_rejected"] = rejected
    return data


def _read(path: Path, **how: Any) -> tuple[pd.DataFrame, int]:
    try:
        return delimited.read(path, "\t", quotes=False, errors="replace", **how)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
