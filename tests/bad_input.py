"""What the tests of refused input share: broken arrays and matrices, and the check that an error says something."""

import numpy as np
import pytest
from conftest import SMALL

ERRORS = (ArithmeticError, KeyError, MemoryError, OSError, TypeError, ValueError)
TEN = np.arange(10)
MASKED = r"3 of 10 values are masked, the first at row 2; "


def check_refused(call, words=""):
    """`call()` must raise one of ERRORS, with a message that has `words` and is not empty."""
    with pytest.raises(ERRORS) as caught:
        call()
    assert words in str(caught.value)
    assert str(caught.value), "an error must say something"


def broken_csr(indptr=None, indices=None, data=None, shape=None):
    """SMALL with parts replaced without scipy's checks."""
    out = SMALL.copy()
    for part, new in (("indptr", indptr), ("indices", indices), ("data", data)):
        if new is not None:
            setattr(out, part, new)
    if shape is not None:
        out._shape = shape
    return out


def poked(array, at, value):
    """A copy with one entry replaced."""
    out = array.copy()
    out[at] = value
    return out


def masked(values):
    """An array of ten entries; entries 2, 5 and 8 are masked."""
    return np.ma.array(values, mask=TEN % 3 == 2)
