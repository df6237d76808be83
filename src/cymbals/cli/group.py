"""The command `cymbals`, to which all other commands belong. It turns errors and warnings into single lines."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click

from .._core import version
from ..base.format import printable_lines
from .terminal import echo

# Bad input, a full disk or a missing library can raise these. Any other error is a bug in cymbals and shows its traceback.
_FAILURES = (ArithmeticError, ImportError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        showwarning, warnings.showwarning = warnings.showwarning, _warn
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of the pipe has ended. /dev/null keeps Python from reporting the same error again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except click.exceptions.Exit:
            raise
        except click.ClickException as error:
            vars(error)["message"] = printable_lines(error.message)  # type checkers refuse an assignment to it
            raise
        except _FAILURES as error:
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            _print_note(text)
            sys.exit(1)
        finally:
            warnings.showwarning = showwarning


def _warn(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    """Show a warning. Replaces `warnings.showwarning`."""
    _print_note(message)


def _print_note(text: object) -> None:
    """Print an error or a warning as one line on stderr."""
    echo(f"cymbals: {' '.join(str(text).split())}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(version(), prog_name="cymbals")
def cli() -> None:
    """Recommend items from play counts or ratings, by alternating least squares.

    DATA is a folder with the files of Audioscrobbler, HetRec or MovieLens, or another one
    that `fetch` or `build` made, or a .csv, .tsv (also with .gz), .parquet or .npz file.
    """
