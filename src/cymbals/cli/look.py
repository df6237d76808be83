"""Looking at things: the demonstration, data, this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..data.audioscrobbler import RawEvents
from ..lab.describe import describe as description_of
from ..profiling.doctor import doctor as examine
from . import options
from .group import cli
from .terminal import console, echo, print_json, show_tables


@cli.command()
@click.option("--listeners", type=click.IntRange(50), default=3000, show_default=True)
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder to keep the data set and the model in.")
@options.seed
@options.threads
def demo(listeners: int, output: str | None, seed: int, threads: int | None) -> None:
    """Make a data set, and run the whole laboratory on it."""
    from ..lab.demo import run

    run(console(), listeners, seed, threads, show_tables, output)


@cli.command()
@options.data
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Length of the top lists.")
@click.option("--find", help="List the items whose name contains this, instead.")
@click.option(
    "--resolve", multiple=True, type=options.whole_id, metavar="ID", help="Tell what an artist stands for, instead."
)
@click.option("--figures", type=click.Path(file_okay=False), help="Folder to write the pictures to, as .svg files.")
@options.as_json
def describe(
    source: options.Source, top: int, find: str | None, resolve: tuple[int, ...], figures: str | None, as_json: bool
) -> None:
    """Show what a data set holds: activity, popularity, top lists, what loading rejected and merged."""
    data = source.read()
    found: dict[str, Any] = {}
    if resolve:
        if not isinstance(data, RawEvents):
            raise click.UsageError("--resolve goes with Audioscrobbler's files, which have aliases")
        stands_for = zip(resolve, data.resolve(list(resolve)).tolist(), strict=True)
        found["aliases"] = [{"artist": artist, "canonical": canonical} for artist, canonical in stands_for]
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
                picture.savefig(folder / f"{name.replace(' ', '-')}.svg")
            echo(f"wrote {len(pictures)} pictures to {figures}", err=True)
    if as_json:
        print_json(found)
    else:
        show_tables(console(), found)


@cli.command()
@click.option(
    "--peaks", is_flag=True, help="Measure multiply-adds (1e9/s), second-level cache, streaming and gathering (GB/s)."
)
@options.as_json
def doctor(peaks: bool, as_json: bool) -> None:
    """Tell version, instruction set, threads and why, compiler, OpenMP runtime."""
    facts = examine(peaks)
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        text = ", ".join(map(str, fact)) if isinstance(fact, list) else f"{fact:.1f}" if isinstance(fact, float) else fact
        echo(f"{name:18} {text}")
