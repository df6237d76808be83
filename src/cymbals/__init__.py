"""cymbals: alternating least squares on the CPU, from raw play counts to validated recommendations."""

from pathlib import Path as _Path

from . import audioscrobbler, baselines, datasets, split, validation, weighting
from ._core import SolveError
from ._core import version as _version
from .als import ALS, load
from .container import ModelFileError
from .describe import describe
from .doctor import doctor, simd
from .early_stopping import EarlyStopping
from .evaluation import Metrics, evaluate
from .interactions import Interactions
from .model import Explanation, NotFittedError
from .profile import Profile
from .report import report
from .search import search
from .threads import threads

__version__ = _version()
__all__ = [
    "ALS",
    "EarlyStopping",
    "Explanation",
    "Interactions",
    "Metrics",
    "ModelFileError",
    "NotFittedError",
    "Profile",
    "SolveError",
    "audioscrobbler",
    "baselines",
    "datasets",
    "describe",
    "doctor",
    "evaluate",
    "get_include",
    "get_library_dir",
    "load",
    "report",
    "search",
    "simd",
    "split",
    "threads",
    "validation",
    "weighting",
]


def get_include() -> str:
    """The folder to pass to a compiler's ``-I`` for ``#include "cymbals/cymbals.h"``."""
    return str(_Path(__file__).parent / "include")


def get_library_dir() -> str:
    """The folder to pass to a linker's ``-L`` for ``-lcymbals``."""
    return str(_Path(__file__).parent)
