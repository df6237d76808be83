"""The command line. Results go to stdout, notes to stderr; exit code 2 for bad usage, 1 for a failure told in one line."""

from . import choose, look, models, profiling
from .group import cli

__all__ = ["choose", "cli", "look", "models", "profiling"]
