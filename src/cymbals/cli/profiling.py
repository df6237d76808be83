"""The command `profile`: where the time of a fit goes, and how it grows with a parameter."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..base.optional import frame
from ..data.interactions import Interactions
from ..lab import figures
from ..model.als import ALS
from ..profiling.profile import Profile
from . import options
from .group import cli
from .terminal import console, echo, print_json, show_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PHASES = ("gram", "eigh", "rotate", "whiten", "gather", "cg", "dual", "primal", "wait")  # columns in a sweep's table


@cli.command()
@options.data
@options.every
@click.option(
    "--sweep",
    multiple=True,
    metavar="NAME=A,B,...",
    help="Values of a parameter of the model, or of threads; fits all combinations.",
)
@click.option("--rounds", type=click.IntRange(1), help="With --sweep: fits of each combination (default 3). Shows medians.")
@click.option("--trace", type=click.Path(dir_okay=False), help="Trace (.json) to write, for ui.perfetto.dev.")
@click.option(
    "--figure",
    type=click.Path(dir_okay=False),
    help="Picture (.svg, .png) to write: the roofline, or with --sweep the curves (default scaling.svg).",
)
@options.seed
@options.threads
@options.as_json
def profile(
    source: options.Source,
    sweep: tuple[str, ...],
    rounds: int | None,
    trace: str | None,
    figure: str | None,
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Fit a model, and show for each phase its seconds, threads, flops, bytes and share of this machine's limits."""
    varied = options.all_assigned("--sweep", sweep, same=("n_threads", "threads"))
    if varied and trace:
        raise click.UsageError("--trace cannot be used with --sweep: it shows a single fit")
    if rounds and not varied:
        raise click.UsageError("--rounds needs --sweep")
    if varied and not figure:
        figure = "scaling.svg"
    if figure and trace and Path(figure).resolve() == Path(trace).resolve():
        raise click.UsageError("--trace and --figure name the same file")
    for output in (trace, figure):
        if output:
            options.check_writable(output, source.path)
    if figure:
        options.check_picture(figure)
    fixed = params | {"random_state": seed, "n_threads": threads}
    settings = [_setting(fixed, varied, values) for values in itertools.product(*varied.values())]
    for setting in settings:
        ALS(**setting).check_params()
    data = source.load()
    if varied:
        rounds = rounds or 3
        table = _sweep(data, varied, settings, rounds)
        print_json(table) if as_json else show_tables(console(), {f"medians of {rounds} rounds": table})
        picture: Figure | None = figures.scaling(frame(table), list(varied), "seconds an iteration")
    else:
        found = _fitted(data, fixed)
        if as_json:
            print_json(found.to_dict())
        else:
            found.print()
            show_tables(console(), {"rows by length and solver": _by_length(found)})
        if trace:
            found.to_chrome_trace(trace)
            echo(f"wrote {trace}: open it at ui.perfetto.dev", err=True)
        picture = found.roofline() if figure else None
    if figure and picture:
        options.save_picture(picture, figure)
        echo(f"wrote {figure}", err=True)


def _setting(fixed: dict[str, Any], varied: dict[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
    chosen = dict(zip(varied, values, strict=True))
    if "threads" in chosen:
        chosen["n_threads"] = chosen.pop("threads")
    unknown = chosen.keys() - ALS().get_params().keys()
    if unknown:
        raise click.UsageError(f"--sweep needs threads or a parameter of the model, got {', '.join(sorted(unknown))}")
    return fixed | chosen


def _fitted(data: Interactions, setting: dict[str, Any]) -> Profile:
    return ALS(**setting).fit(data, profile=True).profile_


def _sweep(data: Interactions, varied: dict[str, Any], settings: list[dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    """Fit all settings in each round, and return a row of medians for each setting.

    Settings take turns, so that a disturbance of the machine does not affect only one of them.
    """
    found: list[list[dict[str, float]]] = [[] for _ in settings]
    for _ in range(rounds):
        for setting, profiles in zip(settings, found, strict=True):
            profiles.append(_iteration_means(_fitted(data, setting)))
    table = []
    for values, runs in zip(itertools.product(*varied.values()), found, strict=True):
        medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        table.append(dict(zip(varied, values, strict=True)) | medians)
    return table


def _iteration_means(profile: Profile) -> dict[str, float]:
    """Means over iterations: seconds of the half-steps, seconds of each phase, and GFLOP/s."""
    rows = [row for row in profile.phases(peaks=False) if row["side"]]
    n = max(row["iteration"] for row in rows)
    seconds = sum(row["seconds"] for row in rows) / n
    parts = {name: sum(row["seconds"] for row in rows if row["phase"] == name) / n for name in _PHASES}
    gflop = sum(row["gflop"] for row in rows) / n
    return {"seconds an iteration": seconds, **parts, "GFLOP/s": gflop / seconds}


def _by_length(profile: Profile) -> Any:
    """The time by number of entries of a row and by solver, over all iterations, as a data frame. Users come first."""
    table = profile.to_frame("row_classes").drop(columns="iteration")
    table["side"] = table["side"].astype("category").cat.set_categories(["users", "items", ""])
    table = table.groupby(["side", "least", "most", "solver"], observed=True).sum().reset_index()
    table.insert(1, "entries of a row", table.pop("least").astype(str) + "–" + table.pop("most").astype(str))
    return table
