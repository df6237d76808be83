"""Reads the splits of the LightGCN paper: train.txt and test.txt, with a line for each user: user item item ..."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...base.checks import shown
from ..interactions import Interactions

TRAIN, TEST = "train.txt", "test.txt"


def load(directory: str | os.PathLike[str]) -> tuple[Interactions, Interactions]:
    """Read a split.

    Parameters
    ----------
    directory : path-like
        The folder with ``train.txt`` and ``test.txt``.

    Returns
    -------
    train, test : Interactions
        All values are 1. The numbers in the files are the row and column numbers, in both parts the same.

    Raises
    ------
    ValueError
        A line holds something else than whole numbers, or a number of 2^31 or more. The message names the line.
    """
    parts = [_pairs(Path(directory) / name) for name in (TRAIN, TEST)]
    shape = tuple(1 + max(int(part[side].max(initial=-1)) for part in parts) for side in (0, 1))
    train, test = (Interactions.from_arrays(*part, shape=(shape[0], shape[1])) for part in parts)
    return train, test


def load_part(path: str | os.PathLike[str]) -> Interactions:
    """Read one of the two files alone. Its numbers of users and items are one more than its highest numbers."""
    users, items = _pairs(Path(path))
    shape = (1 + int(users.max(initial=-1)), 1 + int(items.max(initial=-1)))
    return Interactions.from_arrays(users, items, shape=shape)


def _pairs(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The user and the item of each distinct pair."""
    users, counts, items = [], [], list[bytes]()
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if not all(field.isdigit() and len(field) <= 10 and int(field) < 2**31 for field in fields):
                start = shown(line[:60])[1:]
                raise ValueError(f"{path}: line {number}: must be a user and items, numbers below 2^31; got {start}")
            if fields:
                users.append(int(fields[0]))
                counts.append(len(fields) - 1)
                items += fields[1:]
    pairs = np.unique(np.array([np.repeat(users, counts), np.array(items, np.int64)], np.int64), axis=1)
    return pairs[0], pairs[1]
