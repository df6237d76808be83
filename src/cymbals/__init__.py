"""cymbals: alternating least squares on the CPU, from raw play counts to validated recommendations."""

import sys as _sys
from pathlib import Path as _Path

from ._core import SolveError
from ._core import version as _version
from .base.threads import threads
from .choose.result import SearchResult
from .choose.search import search
from .choose.tune import tune
from .data import audioscrobbler, datasets, split, weighting
from .data.features import features
from .data.interactions import Interactions
from .data.stored_array import StoreError
from .evaluation import baselines, validation
from .evaluation.early_stopping import EarlyStopping
from .evaluation.evaluate import Metrics, evaluate
from .lab import figures
from .lab.describe import describe
from .lab.report import report
from .model.als import ALS, load
from .model.container import ModelFileError
from .model.fitted_model import NotFittedError
from .model.solving_model import Explanation
from .profiling.doctor import doctor, simd
from .profiling.profile import Profile

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
    "SearchResult",
    "SolveError",
    "StoreError",
    "audioscrobbler",
    "baselines",
    "datasets",
    "describe",
    "doctor",
    "evaluate",
    "features",
    "figures",
    "get_include",
    "get_library",
    "get_library_dir",
    "load",
    "report",
    "search",
    "simd",
    "split",
    "threads",
    "tune",
    "validation",
    "weighting",
]


def get_include() -> str:
    """Folder with the C header, for ``#include "cymbals/cymbals.h"``.

    Pass it to the C or C++ compiler after ``-I`` when you compile code that calls the C library.

    Returns
    -------
    str
    """
    return str(_Path(__file__).parent / "include")


def get_library() -> str:
    """Path of the C library, for ``ctypes.CDLL`` and for tools that read it.

    Call this instead of adding a name to `get_library_dir`: the file is ``libcymbals.so`` on Linux, ``libcymbals.dylib`` on
    macOS and ``cymbals.dll`` on Windows.

    Returns
    -------
    str

    Examples
    --------
    >>> import ctypes
    >>> import cymbals
    >>> ctypes.CDLL(cymbals.get_library()).cymbals_abi_version()
    2
    """
    names = {"darwin": "libcymbals.dylib", "win32": "cymbals.dll"}
    return str(_Path(__file__).parent / names.get(_sys.platform, "libcymbals.so"))


def get_library_dir() -> str:
    """Folder with the C library, for ``-lcymbals``.

    Pass it to the linker after ``-L`` when you link code that calls the C library.

    Returns
    -------
    str
    """
    return str(_Path(__file__).parent)
