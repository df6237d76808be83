"""The command `explore`, which shows a model in a browser."""

from __future__ import annotations

import threading
import webbrowser

import click

from ..serving.server import ExploreServer
from . import options
from .group import cli
from .terminal import echo


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="Port of the page; 0: any free one."
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@options.threads
def explore(model: str, port: int, no_browser: bool, threads: int | None) -> None:
    """Try a model in a browser: recommendations with their reasons, similar items, the histories of users.

    The page is served on this machine only, and needs no network. Ctrl-C ends it.
    """
    try:
        server = ExploreServer(model, port, threads)
    except OSError as error:
        if error.filename is not None:  # the error is of the model's file
            raise
        raise OSError(
            f"cannot use port {port} ({error.strerror}): give --port another number above 1023, or 0 for any free port"
        ) from None
    with server:
        if server.explorer.model.item_names_ is None:
            echo("cymbals: the model has no names, so the page shows ids", err=True)
        echo(f"exploring {model} at {server.url} (Ctrl-C ends it)")
        if not no_browser:
            # Some browsers run in the terminal until they are closed, so the server must not wait for them.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("", err=True)
