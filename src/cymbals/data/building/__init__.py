"""Builds stores of any number of events with bounded memory. `build` is what others call."""

from .steps import build

__all__ = ["build"]
