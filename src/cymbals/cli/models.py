"""The commands that make and use models: `fit`, `recommend` and `similar`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..data.ids import one_id
from ..data.name_index import NameIndex
from ..model.als import ALS, load
from ..model.retrieval import MAX_N
from ..serving.answers import listed
from . import options
from .checkpoints import fit_or_resume, recoverable
from .fitters import ClusterFitter, Fitter, LocalFitter
from .group import cli
from .terminal import console, echo, print_json, show_tables

_MODEL = "model.cymbals"


@cli.command()
@options.data
@options.some
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help=f"Model file to write. Without this option: {_MODEL}, which must not exist yet.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False),
    help="File for the state of the fit. If it exists, the fit goes on from it, with the same data and settings.",
)
@click.option("--every", type=click.IntRange(1), help="With --checkpoint: iterations between checkpoints; 1 by default.")
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Fit on the Ray cluster at this address, such as auto. DATA is then a store that all nodes find under this path.",
)
@options.seed
@options.threads
@options.as_json
def fit(
    source: options.Source,
    output: str | None,
    checkpoint: str | None,
    every: int | None,
    address: str | None,
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Fit a model and save it to a file.

    By default the settings are those of ALS.auto, which fit the data. With --objective explicit, they are those of ALS.

    With --checkpoint, run the same command again after an interruption. SIGTERM then ends the fit after the
    current half-step, with a last checkpoint and the exit status 143.
    """
    if output is None:
        output = _MODEL
        if Path(output).exists():
            raise click.UsageError(f"{output} exists: name the file to write, as in -o {output} to replace it")
    options.check_writable(output, source.path)
    model = options.model(params, seed, threads)
    model.check_params()
    if every is not None and checkpoint is None:
        raise click.UsageError("--every needs --checkpoint")
    fitter: Fitter = LocalFitter(source) if address is None else ClusterFitter(source, address)
    if checkpoint is None:
        loaded, model = fitter.fit(model)
        save(model, output)
    else:
        options.check_writable(checkpoint, source.path)
        with recoverable(checkpoint):
            loaded, model = fit_or_resume(model, fitter, checkpoint, every, output)
            save(model, output)
    if as_json:
        print_json({"model": output, "report": loaded.report, "history": model.history_, "fit": model.report_})
        return
    seconds = sum(entry["seconds"] for entry in model.history_)
    last = model.history_[-1]
    loss = f", loss {last['loss']:.6f}" if "loss" in last else ""  # a fit that began in Python may compute no loss
    click.echo(f"fitted {model} in {seconds:.2f} s, {last['iteration']} iterations{loss}")
    echo(f"saved {output}")


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.option("--user", multiple=True, help="User id; may be given several times.")
@click.option("--history", multiple=True, help="Item id, or exact name, that a new person has; may be given several times.")
@click.option("--all", "everyone", is_flag=True, help="Recommend to all users, and write a table to the file of -o.")
@click.option("-n", type=click.IntRange(1, MAX_N), default=10, show_default=True, help="Items for each user.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="With --all: .parquet or .csv file to write.")
@options.threads
@options.as_json
def recommend(
    model: str,
    user: tuple[str, ...],
    history: tuple[str, ...],
    everyone: bool,
    n: int,
    output: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Recommend items that users have not seen yet."""
    if bool(user) + bool(history) + everyone != 1:
        raise click.UsageError("give --user ID, or --history ITEM, or --all with -o FILE")
    if everyone and (not output or Path(output).suffix not in (".parquet", ".csv")):
        raise click.UsageError("--all needs -o with a name that ends in .parquet or .csv")
    if output and not everyone:
        raise click.UsageError("-o needs --all")
    fitted = load(model, mmap=True)
    if everyone and output:
        _stream(fitted, model, n, output, threads)
        return
    if history:
        items = [_item(fitted, i) for i in history]
        ids, scores = fitted.recommend(history=[items], n=n, n_threads=threads)
        title = " and ".join(fitted.name_of(i) for i in items)
        show_lists(fitted, "history", [title], ids, scores, as_json)
        return
    users = [one_id(fitted.users_.whole, u) for u in user]
    ids, scores = fitted.recommend(users, n, n_threads=threads)
    show_lists(fitted, "user", users, ids, scores, as_json)


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.option("--item", multiple=True, required=True, help="Item id, or exact name; may be given several times.")
@click.option("-n", type=click.IntRange(1, MAX_N), default=10, show_default=True, help="Similar items for each.")
@options.threads
@options.as_json
def similar(model: str, item: tuple[str, ...], n: int, threads: int | None, as_json: bool) -> None:
    """List the items that are most similar to given items."""
    fitted = load(model, mmap=True)
    items = [_item(fitted, i) for i in item]
    ids, scores = fitted.similar_items(items, n, n_threads=threads)
    show_lists(fitted, "item", items, ids, scores, as_json)


def save(model: ALS, output: str) -> None:
    """Save a model without its number of threads, which would be wrong on another machine."""
    state = model.state_
    assert state.fit is not None
    fit = replace(state.fit, params=state.params | {"n_threads": None})
    model.replace_state(state.changed(fit=fit))
    model.set_params(n_threads=None)
    model.save(output)


def _item(model: ALS, text: str) -> Any:
    """Find an item by its id or, if no item has this id, by its exact name. The error suggests similar names."""
    names = model.item_names_
    if names is None:
        return one_id(model.items_.whole, text)
    try:
        one = one_id(model.items_.whole, text)
        model.items_.rows("--item", [one])
        return one
    except KeyError as error:
        rows = np.flatnonzero(names == text)
        if rows.size:
            return model.items_.of(rows[:1])[0]
        near = NameIndex(name or "" for name in names).find(text, 3, similarity=0.8)
        if not near.size:
            raise
        raise KeyError(f"{error.args[0]}. Did you mean {' or '.join(repr(names[row]) for row in near)}?") from None


def lists(model: ALS, asked: list[Any], ids: Any, scores: Any) -> dict[Any, list[dict[str, Any]]]:
    """For each user or item in `asked`, its list of items with ranks, names and scores. Leaves out scores of -inf."""
    return {
        one: [{"rank": rank} | found for rank, found in enumerate(listed(model, row, values), 1)]
        for one, row, values in zip(asked, ids, scores, strict=True)
    }


def show_lists(model: ALS, what: str, asked: list[Any], ids: Any, scores: Any, as_json: bool) -> None:
    """Print lists of recommended or similar items as tables, or as JSON."""
    rows_of = lists(model, asked, ids, scores)
    if as_json:
        print_json(rows_of)
        return
    titles = {"user": "user {}", "history": "for somebody with {}"}
    for one, found in rows_of.items():
        rows = found if model.item_names_ is not None else [{k: v for k, v in row.items() if k != "name"} for row in found]
        title = titles[what].format(one) if what in titles else f"like {model.name_of(one)}"
        show_tables(console(), {title: rows})


def _stream(model: ALS, path: str, n: int, output: str, threads: int | None) -> None:
    """Write recommendations for all users to a table."""
    options.check_writable(output, path)
    stream = model.recommend_all(n, n_threads=threads)
    if output.endswith(".parquet"):
        stream.to_parquet(output)
    else:
        stream.to_csv(output)
    echo(f"wrote {output}: {model.users_.n:,} users", err=True)
