"""The part of implicit 0.7 that fits ALS on the CPU and evaluates it, computed by cymbals.

Change ``import implicit`` to ``from cymbals.compat import implicit``. The modules have the same names as in implicit:
`als`, `cpu.als`, `evaluation`, `nearest_neighbours`, `recommender_base`, `utils`. implicit itself is not needed and never
called.
"""

from . import als, cpu, evaluation, gpu, nearest_neighbours, recommender_base, utils
from .als import AlternatingLeastSquares

__version__ = "0.7.3"  # the version of implicit whose behaviour this is


def __getattr__(name: str) -> object:
    if name in ("ann", "approximate_als", "bpr", "datasets", "lmf"):
        raise AttributeError(f"cymbals has no implicit.{name}: it fits ALS on the CPU only; use implicit for the rest")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AlternatingLeastSquares",
    "__version__",
    "als",
    "cpu",
    "evaluation",
    "gpu",
    "nearest_neighbours",
    "recommender_base",
    "utils",
]
