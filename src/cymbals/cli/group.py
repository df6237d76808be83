"""The command that all others belong to, and how a failure ends."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click

from .._core import version
from ..base.format import printable_lines
from .terminal import echo

# Everything that bad input, a full disk or a missing library can raise; anything else is our mistake and shows its trace.
_FAILURES = (ArithmeticError, ImportError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        showwarning, warnings.showwarning = warnings.showwarning, _warn
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: nothing more to say
            sys.exit(0)
        except click.exceptions.Exit:
            raise
        except click.ClickException as error:
            vars(error)["message"] = printable_lines(error.message)  # an attribute that type checkers take for final
            raise
        except _FAILURES as error:
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            _say(text)
            sys.exit(1)
        finally:
            warnings.showwarning = showwarning


def _warn(message: Warning | str, *where: Any, **how: Any) -> None:
    """What `warnings` calls to show a warning."""
    _say(message)


def _say(text: object) -> None:
    """A failure or a warning in one line."""
    echo(f"cymbals: {' '.join(str(text).split())}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(version(), prog_name="cymbals")
def cli() -> None:
    """Recommendations from play counts or ratings by alternating least squares.

    DATA is a folder with Audioscrobbler's or HetRec's files, or a .csv, .tsv or .parquet file.
    """
