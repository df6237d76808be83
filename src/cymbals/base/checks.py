"""Checks of arguments. Error messages name the argument, and usually the wrong value and the values that are allowed."""

from __future__ import annotations

import math
import numbers
import operator
import os
import re
from typing import Any, TypeVar

import numpy as np

Kind = TypeVar("Kind")
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?I?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def shown(value: Any) -> str:
    """repr(value) for a message. Python raises ValueError for whole numbers with thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return f"<{type(value).__name__} too large to print>"


def refuse_masked(name: str, values: Any) -> None:
    """Raises if a numpy.ma array has masked entries: `np.asarray` would use the numbers under the mask."""
    if not isinstance(values, np.ma.MaskedArray) or not (masked := np.ma.getmaskarray(values)).any():
        return
    first = np.argwhere(np.atleast_1d(masked))[0, 0]
    raise ValueError(
        f"{name}: {np.count_nonzero(masked):,} of {masked.size:,} values are masked, the first at row {first}; "
        "masked values are missing values: drop such rows, or fill them in with numpy.ma.filled"
    )


def is_missing(value: Any) -> bool:
    """Whether a value means "missing": None, NaN, NaT, pandas' NA, numpy's masked."""
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # an array, whose comparison has no single truth value
        return False


def whole_number(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    """`value` as an int. Raises TypeError if it is not a whole number, ValueError if it is outside [least, most]."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {shown(value)}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {shown(number)}")
    return number


def byte_count(name: str, value: Any) -> int:
    """A number of bytes, or a text such as "4GB" or "4GiB", as an int. Raises TypeError or ValueError for others."""
    if isinstance(value, str):
        found = _BYTES.fullmatch(value.strip())
        if not found:
            raise ValueError(f"{name} must be a number of bytes, or a text such as '4GB' or '512MB'; got {value!r}")
        return int(float(found[1]) * _UNITS[found[2].upper()])
    try:
        return whole_number(name, value, 0, 2**62)
    except TypeError:
        raise TypeError(f"{name} must be a number of bytes, or a text such as '4GB'; got {shown(value)}") from None


def real_number(name: str, value: Any, *, least: float = 0.0, open_end: bool = False) -> float:
    """`value` as a finite float that is at least `least`, or above `least` with `open_end`.

    Raises TypeError if it is not a number, ValueError if it is out of range.
    """
    if isinstance(value, (bool, np.bool_, np.timedelta64)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # from an int or a Fraction
        raise ValueError(
            f"{name} must be finite; the {type(value).__name__} given is beyond the largest float, 1.8e308"
        ) from None
    if not math.isfinite(number) or number < least or (open_end and number == least):
        bound = f" and {'above' if open_end else 'at least'} {least:g}" if least > -math.inf else ""
        raise ValueError(f"{name} must be finite{bound}, got {number}")
    return number


def share(name: str, value: Any) -> float:
    """`value` as a float above 0 and below 1."""
    number = real_number(name, value, open_end=True)
    if number >= 1:
        raise ValueError(f"{name} must be below 1, got {number}")
    return number


def boolean(name: str, value: Any) -> bool:
    """`value` as a bool. Raises TypeError unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def instance(name: str, value: Any, kind: type[Kind]) -> Kind:
    """`value`. Raises TypeError unless it has the type `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {kind.__name__}, got {shown(value)}")
    return value


def file_path(name: str, value: Any) -> str:
    """The path of a file as str. Raises TypeError for numbers, which `open` would use as file descriptors."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(path := os.fspath(value), str):
        raise TypeError(f"{name} must be the path of a file, got {shown(value)}")
    if "\0" in path or not path:
        raise ValueError(f"{name} must be the path of a file, got {path!r}")
    return path


def plain(value: Any) -> Any:
    """Numbers of any type as Python's int, float or bool; numpy scalars as Python objects; other values unchanged."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    try:
        return float(value) if isinstance(value, numbers.Real) else value
    except OverflowError:
        return value  # real_number raises an error that names the argument


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`. Raises ValueError unless it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {shown(value)}")
    return value


def generator(random_state: Any, name: str = "random_state") -> np.random.Generator | np.random.RandomState:
    """A random generator from None, a seed, a Generator or a RandomState; the last two are returned unchanged."""
    if random_state is None or isinstance(random_state, (np.random.Generator, np.random.RandomState)):
        return np.random.default_rng() if random_state is None else random_state
    try:
        return np.random.default_rng(whole_number(name, random_state, 0, 2**64 - 1))
    except TypeError:
        raise TypeError(
            f"{name} must be None, a whole number, a numpy Generator or RandomState; got {shown(random_state)}"
        ) from None
