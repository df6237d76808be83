"""The command that downloads data sets: `fetch`."""

from __future__ import annotations

import click

from ..data import datasets
from ..data.datasets.catalog import CATALOG
from . import options
from .group import cli
from .terminal import console, echo, print_json, show_tables


@cli.command()
@click.argument("name", type=click.Choice(tuple(CATALOG)), metavar="[NAME]", required=False)
@click.option("--list", "listed", is_flag=True, help="List the names of all data sets, with sizes and terms of use.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    help="Folder for data sets. By default CYMBALS_CACHE, or a folder for caches.",
)
@click.option("--mirror", help="Address of copies of the files (MIRROR/NAME/file). By default CYMBALS_MIRROR.")
@click.option("--quiet", is_flag=True, help="Print neither the terms of use nor the progress.")
@options.as_json
def fetch(name: str | None, listed: bool, folder: str | None, mirror: str | None, quiet: bool, as_json: bool) -> None:
    """Download a public data set, unless it is there already, and print its folder.

    The folder can be the DATA of the other commands. Of gowalla, yelp2018 and amazon-book,
    which are split, give train.txt in the folder.
    """
    if listed == (name is not None):
        raise click.UsageError("give the NAME of a data set, or --list")
    if listed:
        rows = [
            {"name": d.name, "what": d.title, "size": d.size, "terms": d.terms, "page": d.page} for d in CATALOG.values()
        ]
        if as_json:
            print_json(rows)
        else:
            show_tables(console(), {"data sets": rows})
        return
    place = datasets.fetch(str(name), folder=folder, mirror=mirror, progress=not quiet)
    if as_json:
        print_json({"name": name, "folder": str(place), "files": list(CATALOG[str(name)].files)})
    else:
        echo(place)
