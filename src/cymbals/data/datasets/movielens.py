"""Reads MovieLens' folders: ratings with times and titles, in the three formats that GroupLens has used.

u.data and u.item (100K), ratings.dat and movies.dat (1M, 10M), ratings.csv and movies.csv (all later ones).
"""

from __future__ import annotations

import os
from pathlib import Path

from ..interactions import Interactions
from . import delimited, rows

_FIELDS = ("user", "item", "value", "time")
# The file with ratings, how it is laid out, and the file with titles
_FORMATS = {
    "u.data": (rows.Layout(_FIELDS, "\t"), "u.item"),
    "ratings.dat": (rows.Layout(_FIELDS, "::"), "movies.dat"),
    "ratings.csv": (rows.Layout(_FIELDS, ",", header=True), "movies.csv"),
}


def recognised(folder: Path) -> bool:
    """Whether a folder holds MovieLens' files."""
    return any((folder / ratings).is_file() and (folder / titles).is_file() for ratings, (_, titles) in _FORMATS.items())


def load(directory: str | os.PathLike[str]) -> Interactions:
    """Read ratings, times and titles.

    Parameters
    ----------
    directory : path-like
        The folder with the two files.

    Returns
    -------
    Interactions
        Values are ratings, 0.5 to 5 stars. ``report["lines_rejected"]`` counts the lines that were not read.

    Raises
    ------
    ValueError
        A field is not a number. The message names the line.
    """
    folder = Path(directory)
    ratings, (layout, titles) = next(
        (name, found) for name, found in _FORMATS.items() if (folder / name).is_file() and (folder / found[1]).is_file()
    )
    names, rejected = _titles(folder / titles)
    data = rows.load(folder / ratings, layout, names)
    data.report["lines_rejected"] += rejected
    return data


def _titles(path: Path) -> tuple[dict[int, str], int]:
    """The title of each movie, and the number of rejected lines."""
    if path.suffix == ".csv":
        try:
            frame, rejected = delimited.read(path, ",", dtype={"movieId": "int64", "title": str})
            return dict(zip(frame["movieId"].tolist(), frame["title"].tolist(), strict=True)), rejected
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}: {error}") from error
    separator = b"::" if path.suffix == ".dat" else b"|"
    names = {}
    rejected = 0
    for line in path.read_bytes().splitlines():
        movie, *rest = line.split(separator)
        if rest and movie.isdigit():
            names[int(movie)] = _decoded(rest[0])
        else:
            rejected += bool(line.strip())
    return names, rejected


def _decoded(title: bytes) -> str:
    """A title as text. The 10M data are UTF-8, the older ones Latin-1."""
    try:
        return title.decode()
    except UnicodeDecodeError:
        return title.decode("latin-1")
