"""Reads the play counts of Last.fm 360K and of the Million Song taste profile: one large file each, with texts as ids."""

from __future__ import annotations

import os
from pathlib import Path

from ..interactions import Interactions
from . import rows

_LAYOUTS = {
    # many artists have no MusicBrainz id, so the name is the id
    "usersha1-artmbid-artname-plays.tsv": rows.Layout(("user", "mbid", "item", "value"), "\t", texts=True),
    "train_triplets.txt": rows.Layout(("user", "item", "value"), "\t", texts=True),
}


def recognised(folder: Path) -> bool:
    """Whether a folder holds one of the files."""
    return any((folder / name).is_file() for name in _LAYOUTS)


def load(directory: str | os.PathLike[str]) -> Interactions:
    """Read the play counts in a folder. ``report["lines_rejected"]`` counts the lines that were not read."""
    path = next(path for path in (Path(directory) / name for name in _LAYOUTS) if path.is_file())
    return rows.load(path, _LAYOUTS[path.name])
