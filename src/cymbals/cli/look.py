"""The commands that show something: `demo`, `describe` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..data.audioscrobbler import RawEvents
from ..data.ids import whole_id
from ..lab.describe import describe as description_of
from ..profiling.doctor import doctor as examine
from . import options
from .group import cli
from .terminal import console, echo, print_json, show_tables


@cli.command()
@click.option("--listeners", type=click.IntRange(50), default=3000, show_default=True, help="Number of users to make.")
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder to write the data set and the model to.")
@options.seed
@options.threads
def demo(listeners: int, output: str | None, seed: int, threads: int | None) -> None:
    """Make a small data set; show how to clean it, fit a model, validate the model and recommend."""
    from ..lab.demo import run

    run(console(), listeners, seed, threads, show_tables, output)


@cli.command()
@options.data
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Length of the top lists.")
@click.option("--find", help="Only list the items whose name contains this text.")
@click.option(
    "--resolve",
    multiple=True,
    type=whole_id,
    metavar="ID",
    help="Only show which artist this id is an alias of; may be given several times.",
)
@click.option("--figures", type=click.Path(file_okay=False), help="Folder to write the pictures to, as .svg files.")
@options.as_json
def describe(
    source: options.Source, top: int, find: str | None, resolve: tuple[int, ...], figures: str | None, as_json: bool
) -> None:
    """Describe a data set: activity, popularity, top lists, and what loading rejected and merged."""
    data = source.read()
    found: dict[str, Any] = {}
    if resolve:
        if not isinstance(data, RawEvents):
            raise click.UsageError("--resolve needs Audioscrobbler's files: other data have no aliases")
        canonical_ids = zip(resolve, data.resolve(list(resolve)).tolist(), strict=True)
        found["aliases"] = [{"artist": artist, "canonical": canonical} for artist, canonical in canonical_ids]
    if find:
        found[f"names with {find!r}"] = data.find(find)
    if not found or figures:
        description = description_of(data, top)
        found = found or description.tables
        if figures:
            folder = Path(figures)
            folder.mkdir(parents=True, exist_ok=True)
            pictures = description.figures()
            for name, picture in pictures.items():
                options.save_picture(picture, folder / f"{name.replace(' ', '-')}.svg")
            echo(f"wrote {len(pictures)} pictures to {figures}", err=True)
    if as_json:
        print_json(found)
    else:
        show_tables(console(), found)


@cli.command()
@click.option(
    "--peaks",
    is_flag=True,
    help="Also measure this machine's limits: multiply-adds (1e9/s), and L2 cache, streaming and gathering (GB/s).",
)
@options.as_json
def doctor(peaks: bool, as_json: bool) -> None:
    """Show the version, the instruction set, the number of threads and its reason, the compiler and the OpenMP runtime."""
    facts = examine(peaks)
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        text = ", ".join(map(str, fact)) if isinstance(fact, list) else f"{fact:.1f}" if isinstance(fact, float) else fact
        echo(f"{name:18} {text}")
