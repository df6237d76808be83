"""The command line. Results go to stdout, notes to stderr. A failure prints one line and exits with 1; bad usage exits
with 2."""

from . import build, choose, explore, fetch, look, models, plan, profiling
from .group import cli

__all__ = ["build", "choose", "cli", "explore", "fetch", "look", "models", "plan", "profiling"]
