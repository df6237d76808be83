"""Ids of users and items: finding them, and numbers that cannot be told apart."""

import numpy as np
import pytest

import cymbals
from cymbals import Interactions
from cymbals.data.ids import Ids


def test_ids_one_by_one_and_all_at_once():
    for array in (np.arange(5, 900, 3), np.array([7, 2**62, -(2**62), 0])):
        ids = Ids("item", array.size, array)
        wanted = np.concatenate([array, array + 1, [2**63 - 1, -(2**63)]])
        at_once = ids.find(wanted)
        assert at_once.tolist() == [ids.find(wanted[i : i + 1])[0] for i in range(wanted.size)]
        assert at_once[: array.size].tolist() == list(range(array.size))


def test_repr_of_raw_events_and_ids():
    names = cymbals.audioscrobbler.Names(b"", *np.empty((2, 0), np.int64))
    plays, aliases = np.zeros((900_000, 3), np.int64), np.empty((0, 2), np.int64)
    raw = cymbals.audioscrobbler.RawEvents(plays, np.empty(0, np.int64), names, aliases, [])
    assert repr(raw) == "<RawEvents: 900,000 lines of plays, 0 artist names, 0 aliases, 0 lines rejected>"
    assert repr(Ids("item", 3, np.array([5, 6, 7]))) == "<Ids: 3 items, whole numbers>"
    assert repr(Ids("user", 2)) == "<Ids: 2 users, row numbers>"


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 2.0**63])
def test_floats_that_cannot_tell_ids_apart_are_refused(value):
    with pytest.raises(ValueError, match="only below 2\\^53"):
        Interactions.from_arrays(np.array([1.0, value]), [0, 0])
