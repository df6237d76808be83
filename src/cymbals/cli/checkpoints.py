"""What `cymbals fit --checkpoint` does: it goes on from a checkpoint that exists, and handles SIGTERM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..base.interrupt import exiting_on_sigterm
from ..data.interactions import Interactions
from ..distributed import NodeError
from ..model import checkpoint as checkpoints
from ..model.als import ALS
from ..model.container import ModelFileError
from ..model.stored import storable_params
from .fitters import Fitter
from .terminal import echo


@contextmanager
def recoverable(checkpoint: str) -> Iterator[None]:
    """In this block, SIGTERM lets the fit write a last checkpoint, and then ends the process with the status 143.

    If SIGTERM, Ctrl-C or the loss of nodes ends the block, a line on stderr says how to go on.
    """
    try:
        with exiting_on_sigterm():
            yield
    except (KeyboardInterrupt, SystemExit, NodeError):
        if Path(checkpoint).exists():
            echo(f"stopped; the same command goes on from {checkpoint}", err=True)
        raise


def fit_or_resume(model: ALS, fitter: Fitter, checkpoint: str, every: int | None, output: str) -> tuple[Interactions, ALS]:
    """The data, and the model fitted to them: by a new fit, or by going on from the checkpoint if the file exists."""
    path = Path(checkpoint)
    if path.resolve() == Path(output).resolve():
        raise click.UsageError(f"--checkpoint and -o are both {output}: name two files")
    if not path.exists():
        return fitter.fit(model, checkpoint=checkpoint, every=every or 1)
    try:
        found = checkpoints.read(checkpoint)
    except ModelFileError as error:
        raise ModelFileError(f"{error}; or remove the file, to fit from the beginning") from None
    _refuse_other_settings(found.state.params, model, checkpoint)
    if found.is_finished:
        echo(f"{checkpoint} holds the finished fit", err=True)
    else:
        echo(f"resuming after iteration {found.fit.iteration} of {found.fit.n_iterations}", err=True)
    return fitter.resume(checkpoint, every, model.n_threads)


def _refuse_other_settings(before: dict[str, Any], model: ALS, checkpoint: str) -> None:
    """Refuse to resume a fit whose settings are not those of the command line. The number of threads may differ."""
    now = storable_params(model.get_params())
    different = [
        f"{_option(name)} is {value}, but the checkpoint has {before.get(name)}"
        for name, value in now.items()
        if name != "n_threads" and before.get(name) != value
    ]
    if different:
        raise click.UsageError(
            f"{'; '.join(different)}: give the settings of {checkpoint}, or name another file for a new fit"
        )


def _option(name: str) -> str:
    """The option of the command line for an argument of `ALS`."""
    return "--seed" if name == "random_state" else f"--{name.replace('_', '-')}"
