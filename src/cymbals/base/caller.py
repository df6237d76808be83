"""Warnings that point at the line of the program that called cymbals."""

from __future__ import annotations

import sys
import warnings


def warn_caller(message: str, kind: type[Warning] = UserWarning) -> None:
    """Warn the nearest caller that is not in cymbals, whatever function of cymbals the warning comes from."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("cymbals."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level)
