"""The command that builds stores of data that may be larger than memory: `build`."""

from __future__ import annotations

import click

from ..data.interactions import Interactions
from . import options
from .group import cli
from .terminal import echo, print_json


@cli.command()
@click.argument("source", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder of the store to write.")
@click.option("--user", default="user", show_default=True, help="The column with users.")
@click.option("--item", default="item", show_default=True, help="The column with items.")
@click.option(
    "--value", default="value", show_default=True, help="The column with counts or ratings, or '' if every row counts 1."
)
@click.option("--time", help="The column with times.")
@click.option("--memory", default="4GB", show_default=True, help="How much memory to use, such as 512MB or 4GB.")
@click.option(
    "--temporary",
    type=click.Path(exists=True, file_okay=False),
    help="Folder for temporary files. By default they are beside the store.",
)
@options.threads
@click.option("--quiet", is_flag=True, help="Do not show progress.")
@options.as_json
def build(
    source: tuple[str, ...],
    output: str,
    user: str,
    item: str,
    value: str,
    time: str | None,
    memory: str,
    temporary: str | None,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build a store from events that may be larger than memory.

    SOURCE is a .parquet, .csv or .tsv file (the last two also with .gz), a folder of such files,
    several of them, or the address of one, such as s3://bucket/events. If the build is broken off,
    the same command goes on behind the last finished step. The store can be the DATA of the other
    commands.
    """
    made = Interactions.build(
        list(source),
        output,
        user=user,
        item=item,
        value=value or None,
        time=time,
        memory=memory,
        temporary=temporary,
        progress=not quiet,
        n_threads=threads,
    )
    if as_json:
        print_json({"store": output, "users": made.shape[0], "items": made.shape[1], "report": made.report})
    else:
        rejected = made.report.get("lines_rejected")
        echo(
            f"built {output} from {made.report['rows']:,} rows: {made.nnz:,} distinct pairs, {made.shape[0]:,} users, "
            f"{made.shape[1]:,} items{f', {rejected:,} lines rejected' if rejected else ''}"
        )
