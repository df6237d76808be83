"""Functions that download public data sets, keep them in a folder, and load them."""

from __future__ import annotations

import os
from pathlib import Path

from ...base.checks import boolean, one_of
from .. import audioscrobbler
from ..interactions import Interactions
from . import cache, hetrec, lightgcn, listening, movielens
from .catalog import CATALOG

_SIZES = ("latest-small", "100k", "1m", "10m", "20m", "25m", "32m")
_SPLITS = ("gowalla", "yelp2018", "amazon-book")


def fetch(
    name: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    progress: bool = True,
) -> Path:
    """Download a data set, unless it is there already, and return the folder with its files.

    Use it to have the files themselves, for example for `audioscrobbler.read` or for the command line. The functions whose
    names begin with ``fetch_`` also load them. It needs pooch.

    Before it downloads, it prints the size and the terms of use to stderr, and then shows the progress. A download that was
    cut off continues where it stopped. Several processes may fetch the same data set at once: one downloads, the others
    wait.

    Checksums: an MD5 that the publisher gives is compared with the file. It finds damaged files, but an attacker can make a
    file with the same MD5. If the publisher gives no checksum, the file is not verified. In both cases the SHA-256 of the
    first download is kept. A later download, and the files in the folder at each use, must have the same.

    Parameters
    ----------
    name : str
        "audioscrobbler-2005", "hetrec-lastfm-2k", "lastfm-360k", "taste-profile", "movielens-latest-small",
        "movielens-100k", "movielens-1m", "movielens-10m", "movielens-20m", "movielens-25m", "movielens-32m", "gowalla",
        "yelp2018" or "amazon-book".
    folder : path-like, optional
        Where to keep all data sets; each gets a subfolder. By default the environment variable ``CYMBALS_CACHE`` or, if it
        is not set, ``cymbals/datasets`` in the user's folder for caches (on Linux ``~/.cache``).
    mirror : str, optional
        The address of copies of the files: ``mirror/name/file`` instead of the publisher's address. By default the
        environment variable ``CYMBALS_MIRROR``, if it is set.
    progress : bool
        False prints nothing, the terms of use neither.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        The name is unknown, a checksum is wrong, a file in the folder has changed, or the archive is damaged. A file with a
        wrong checksum is removed.
    OSError
        The download failed, or the folder cannot be written to.
    ImportError
        pooch is not installed.

    Examples
    --------
    >>> import cymbals
    >>> folder = cymbals.datasets.fetch("audioscrobbler-2005")  # doctest: +SKIP
    >>> cymbals.audioscrobbler.read(folder).rejected  # doctest: +SKIP
    """
    one_of("name", name, tuple(CATALOG))
    return cache.ready(CATALOG[name], folder, mirror, boolean("progress", progress))


def fetch_audioscrobbler(
    *, folder: str | os.PathLike[str] | None = None, mirror: str | None = None, progress: bool = True
) -> Interactions:
    """Audioscrobbler's dump of May 2005: about 148,000 listeners and 24 million play counts.

    Use it to try cymbals on real play counts with misspelled names.

    Parameters
    ----------
    folder, mirror, progress
        As for `fetch`.

    Returns
    -------
    Interactions
        Play counts with artist names, cleaned as by `audioscrobbler.load`.

    Raises
    ------
    ValueError, OSError, ImportError
        As `fetch` raises them.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.datasets.fetch_audioscrobbler()  # doctest: +SKIP
    """
    return audioscrobbler.load(fetch("audioscrobbler-2005", folder=folder, mirror=mirror, progress=progress))


def fetch_hetrec(
    *, folder: str | os.PathLike[str] | None = None, mirror: str | None = None, progress: bool = True
) -> Interactions:
    """HetRec 2011 Last.fm: 1,892 listeners, 17,632 artists, 92,834 play counts.

    Use it to try cymbals on real play counts in seconds.

    Parameters
    ----------
    folder, mirror, progress
        As for `fetch`.

    Returns
    -------
    Interactions
        Play counts with artist names.

    Raises
    ------
    ValueError, OSError, ImportError
        As `fetch` raises them.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.datasets.fetch_hetrec()  # doctest: +SKIP
    """
    return hetrec.load(fetch("hetrec-lastfm-2k", folder=folder, mirror=mirror, progress=progress))


def fetch_lastfm_360k(
    *, folder: str | os.PathLike[str] | None = None, mirror: str | None = None, progress: bool = True
) -> Interactions:
    """Last.fm 360K: 17.5 million play counts, those of the favourite artists of 360,000 listeners.

    Use it to measure on a large and sparse matrix.

    Parameters
    ----------
    folder, mirror, progress
        As for `fetch`.

    Returns
    -------
    Interactions
        Play counts. The item ids are the artists' names, because many artists have no other id. Lines without a name are
        counted in ``report["lines_rejected"]``.

    Raises
    ------
    ValueError, OSError, ImportError
        As `fetch` raises them; also if a count is not a number. ImportError also if pyarrow is not installed.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.datasets.fetch_lastfm_360k()  # doctest: +SKIP
    """
    return listening.load(fetch("lastfm-360k", folder=folder, mirror=mirror, progress=progress))


def fetch_taste_profile(
    *, folder: str | os.PathLike[str] | None = None, mirror: str | None = None, progress: bool = True
) -> Interactions:
    """The Million Song Dataset's taste profile: 48 million play counts of songs by a million listeners.

    Use it to measure on many users.

    Parameters
    ----------
    folder, mirror, progress
        As for `fetch`.

    Returns
    -------
    Interactions
        Play counts. The ids are texts; the files have no names of songs.

    Raises
    ------
    ValueError, OSError, ImportError
        As `fetch` raises them; also if a count is not a number. ImportError also if pyarrow is not installed.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.datasets.fetch_taste_profile()  # doctest: +SKIP
    """
    return listening.load(fetch("taste-profile", folder=folder, mirror=mirror, progress=progress))


def fetch_movielens(
    size: str, *, folder: str | os.PathLike[str] | None = None, mirror: str | None = None, progress: bool = True
) -> Interactions:
    """MovieLens: ratings of movies, 0.5 to 5 stars.

    Use it for explicit ratings with times (``ALS(objective="explicit")``).

    Parameters
    ----------
    size : {"latest-small", "100k", "1m", "10m", "20m", "25m", "32m"}
        The number of ratings. GroupLens changes "latest-small" from time to time; for results that you publish, use
        another one.
    folder, mirror, progress
        As for `fetch`.

    Returns
    -------
    Interactions
        Ratings, with times (datetime64) and titles.

    Raises
    ------
    ValueError, OSError, ImportError
        As `fetch` raises them; also if a field is not a number. ImportError also if pandas or pyarrow is not installed.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.datasets.fetch_movielens("1m")  # doctest: +SKIP
    """
    one_of("size", size, _SIZES)
    return movielens.load(fetch(f"movielens-{size}", folder=folder, mirror=mirror, progress=progress))


def fetch_lightgcn(
    name: str, *, folder: str | os.PathLike[str] | None = None, mirror: str | None = None, progress: bool = True
) -> tuple[Interactions, Interactions]:
    """A data set in the split of the LightGCN paper, on which many later papers report their results.

    Use it to compare with published results.

    Parameters
    ----------
    name : {"gowalla", "yelp2018", "amazon-book"}
    folder, mirror, progress
        As for `fetch`.

    Returns
    -------
    train, test : Interactions
        All values are 1. Both have the same users and items, whose ids are the row and column numbers.

    Raises
    ------
    ValueError, OSError, ImportError
        As `fetch` raises them; also if a line holds something else than whole numbers.

    Examples
    --------
    >>> import cymbals
    >>> train, test = cymbals.datasets.fetch_lightgcn("gowalla")  # doctest: +SKIP
    """
    one_of("name", name, _SPLITS)
    return lightgcn.load(fetch(name, folder=folder, mirror=mirror, progress=progress))
