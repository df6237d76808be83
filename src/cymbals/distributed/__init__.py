"""Fits over several machines with Ray: the same factors, bit for bit, as on one machine.

Import it as ``import cymbals.distributed``. Ray is imported only when a function is called.
"""

from .answers import evaluate, recommend_all
from .fit import fit
from .resume import resume
from .traffic import bytes_per_iteration
from .workers import NodeError

__all__ = ["NodeError", "bytes_per_iteration", "evaluate", "fit", "recommend_all", "resume"]
