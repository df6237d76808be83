"""HetRec 2011's Last.fm files: user_artists.dat (userID, artistID, weight) and artists.dat (id, name, ...)."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from .._pandas import pandas
from ..interactions import Interactions

PLAYS, ARTISTS = "user_artists.dat", "artists.dat"


def load(directory: str | os.PathLike[str]) -> Interactions:
    """Play counts with artist names, if those are there.

    Parameters
    ----------
    directory : path-like

    Returns
    -------
    Interactions
    """
    pd, folder = pandas(), Path(directory)
    how = {"sep": "\t", "quoting": csv.QUOTE_NONE, "encoding": "utf-8", "encoding_errors": "replace"}
    plays = pd.read_csv(folder / PLAYS, **how)
    names = None
    if (folder / ARTISTS).is_file():
        artists = pd.read_csv(folder / ARTISTS, keep_default_na=False, **how)
        names = artists.drop_duplicates("id").set_index("id")["name"]
    return Interactions.from_frame(plays, user="userID", item="artistID", value="weight", item_names=names)
