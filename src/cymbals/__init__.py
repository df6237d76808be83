"""cymbals: alternating least squares on the CPU, from raw play counts to validated recommendations."""

from pathlib import Path as _Path

from . import audioscrobbler, datasets, split
from ._core import SolveError
from ._core import version as _version
from .als import ALS, load
from .container import ModelFileError
from .doctor import doctor, simd
from .evaluation import Metrics, evaluate
from .interactions import Interactions
from .model import Explanation, NotFittedError
from .threads import threads

__version__ = _version()
__all__ = [
    "ALS",
    "Explanation",
    "Interactions",
    "Metrics",
    "ModelFileError",
    "NotFittedError",
    "SolveError",
    "audioscrobbler",
    "datasets",
    "doctor",
    "evaluate",
    "get_include",
    "get_library_dir",
    "load",
    "simd",
    "split",
    "threads",
]


def get_include() -> str:
    """The folder to pass to a compiler's ``-I`` for ``#include "cymbals/cymbals.h"``."""
    return str(_Path(__file__).parent / "include")


def get_library_dir() -> str:
    """The folder to pass to a linker's ``-L`` for ``-lcymbals``."""
    return str(_Path(__file__).parent)
