"""The command line. Results go to stdout, notes to stderr; exit code 2 for bad usage, 1 for a failure told in one line."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import datasets, split
from ._core import version
from .als import ALS, load
from .baselines import Popularity
from .describe import tables
from .doctor import doctor as examine
from .evaluation import Metrics
from .evaluation import evaluate as score
from .interactions import Interactions
from .model import FactorModel
from .objective import CONFIDENCES, OBJECTIVES
from .retrieval import MOST_PLACES

# Everything that bad input, a full disk or a missing library can raise; anything else is our mistake and shows its trace.
_FAILURES = (ArithmeticError, ImportError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: nothing more to say
            sys.exit(0)
        except click.exceptions.Exit:
            raise
        except _FAILURES as error:
            text = error.args[0] if isinstance(error, KeyError) and error.args else error
            click.echo(f"cymbals: {' '.join(str(text).split())}", err=True)
            sys.exit(1)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several click options as one decorator."""
    return lambda f: functools.reduce(lambda g, option: option(g), reversed(options), f)


_data = _options(
    click.argument("data", type=click.Path(exists=True)),
    click.option("--user", default="user", show_default=True, help="Column with users, in a table."),
    click.option("--item", default="item", show_default=True, help="Column with items, in a table."),
    click.option(
        "--value",
        default="value",
        show_default=True,
        help="Column with counts or ratings, in a table; '' where every row counts 1.",
    ),
)
_fit = _options(
    click.option("--factors", type=click.IntRange(1), default=64, show_default=True, help="Rank of the model."),
    click.option("--regularization", type=float, default=0.01, show_default=True),
    click.option("--alpha", type=float, default=1.0, show_default=True, help="Scales confidence."),
    click.option("--unobserved-weight", type=float, default=1.0, show_default=True),
    click.option("--objective", type=click.Choice(OBJECTIVES), default="hu", show_default=True),
    click.option("--confidence", type=click.Choice(CONFIDENCES), default="linear", show_default=True),
    click.option("--nu", type=float, default=0.0, show_default=True, help="Exponent of frequency-scaled regularization."),
    click.option("--solver", type=click.Choice(("auto", "cg", "exact")), default="auto", show_default=True),
    click.option("--iterations", type=click.IntRange(1), default=15, show_default=True),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
)
_threads = click.option("--threads", type=click.IntRange(1), help="Threads; by default what this process may use.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(version(), prog_name="cymbals")
def cli() -> None:
    """Recommendations from play counts or ratings by alternating least squares.

    DATA is a folder with Audioscrobbler's or HetRec's files, or a .csv, .tsv or .parquet file.
    """


@cli.command()
@click.option("--listeners", type=click.IntRange(50), default=3000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@_threads
def demo(listeners: int, seed: int, threads: int | None) -> None:
    """Make a data set, and run the whole laboratory on it."""
    from .demo import run

    run(_console(), listeners, seed, threads, _show_tables)


@cli.command()
@_data
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Length of the top lists.")
@_json
def describe(data: str, user: str, item: str, value: str, top: int, as_json: bool) -> None:
    """Show what a data set holds: activity, popularity, top lists, what loading rejected and merged."""
    loaded = datasets.load(data, user, item, value or None)
    found = tables(loaded, top)
    if as_json:
        _print_json(found)
    else:
        _show_tables(_console(), found)


@cli.command()
@_data
@_fit
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Model file to write.")
@_threads
@_json
def fit(
    data: str,
    user: str,
    item: str,
    value: str,
    output: str,
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Fit a model and save it."""
    loaded = datasets.load(data, user, item, value or None)
    _check_writable(output)
    _say_loaded(loaded)
    model = ALS(random_state=seed, n_threads=threads, **params).fit(loaded, compute_loss=True, progress=True)
    model.set_params(n_threads=None)  # a choice for this machine, not for those that will read the file
    model.save(output)
    if as_json:
        _print_json({"model": output, "report": loaded.report, "history": model.history_, "fit": model.report_})
        return
    seconds = sum(entry["seconds"] for entry in model.history_)
    last = model.history_[-1]
    click.echo(f"fitted {model} in {seconds:.2f} s, {last['iteration']} iterations, loss {last['loss']:.6f}")
    click.echo(f"saved {output}")


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.option("--user", multiple=True, help="User id; may be given several times.")
@click.option("--all", "everyone", is_flag=True, help="All users, streamed to a table.")
@click.option("-n", type=click.IntRange(1, MOST_PLACES), default=10, show_default=True, help="Items for each user.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="With --all: a .parquet or .csv file.")
@_threads
@_json
def recommend(
    model: str, user: tuple[str, ...], everyone: bool, n: int, output: str | None, threads: int | None, as_json: bool
) -> None:
    """Recommend items that users have not had yet."""
    if everyone == bool(user):
        raise click.UsageError("give --user ID, or --all with -o FILE")
    if everyone and (not output or Path(output).suffix not in (".parquet", ".csv")):
        raise click.UsageError("--all needs -o with a name that ends in .parquet or .csv")
    if output and not everyone:
        raise click.UsageError("-o goes with --all")
    fitted = load(model, mmap=True)
    if everyone and output:
        _stream(fitted, n, output, threads)
        return
    users = [_id(fitted.users_.whole, u) for u in user]
    ids, scores = fitted.recommend(users, n, n_threads=threads)
    _show_lists(fitted, "user", users, ids, scores, as_json)


@cli.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.option("--item", multiple=True, required=True, help="Item id or exact name; may be given several times.")
@click.option("-n", type=click.IntRange(1, MOST_PLACES), default=10, show_default=True, help="Items for each.")
@_threads
@_json
def similar(model: str, item: tuple[str, ...], n: int, threads: int | None, as_json: bool) -> None:
    """List the items most like others."""
    fitted = load(model, mmap=True)
    items = [_item(fitted, i) for i in item]
    ids, scores = fitted.similar_items(items, n, n_threads=threads)
    _show_lists(fitted, "item", items, ids, scores, as_json)


@cli.command()
@_data
@_fit
@click.option("--test-fraction", type=float, default=0.1, show_default=True, help="Share of the entries held out.")
@click.option("-k", multiple=True, type=click.IntRange(1), default=(5, 10, 20), show_default=True, help="Cut-offs.")
@_threads
@_json
def evaluate(
    data: str,
    user: str,
    item: str,
    value: str,
    test_fraction: float,
    k: tuple[int, ...],
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Hold entries out, fit on the rest, and score the ranking beside that by popularity."""
    loaded = datasets.load(data, user, item, value or None)
    _say_loaded(loaded)
    train, test = split.random(loaded, test_fraction, seed)
    model = ALS(random_state=seed, n_threads=threads, **params).fit(train, progress=True)
    found = {name: score(m, train, test, k, n_threads=threads) for name, m in _contenders(model, train).items()}
    if as_json:
        _print_json({name: dict(metrics) for name, metrics in found.items()})
    else:
        show_metrics(_console(), found)


@cli.command()
@click.option(
    "--peaks", is_flag=True, help="Measure multiply-adds (1e9/s), second-level cache, streaming and gathering (GB/s)."
)
@_json
def doctor(peaks: bool, as_json: bool) -> None:
    """Tell version, instruction set, threads and why, compiler, OpenMP runtime."""
    facts = examine(peaks)
    if as_json:
        _print_json(facts)
        return
    for name, fact in facts.items():
        text = ", ".join(map(str, fact)) if isinstance(fact, list) else f"{fact:.1f}" if isinstance(fact, float) else fact
        click.echo(f"{name:18} {text}")


# -- shared ----------------------------------------------------------------------------------------------------------


def _contenders(model: ALS, train: Interactions) -> dict[str, FactorModel]:
    return {"ALS": model, "popularity": Popularity().fit(train)}


def show_metrics(console: Console, found: dict[str, Metrics]) -> None:
    """Metrics of several models side by side."""
    rows = [
        {"metric": name} | {model: f"{m[name]:.4f}" for model, m in found.items()} for name in next(iter(found.values()))
    ]
    _show_tables(console, {"ranking of held-out items": rows})


def _say_loaded(data: Interactions) -> None:
    report = data.report
    rejected = f", {report['lines_rejected']:,} lines rejected" if report.get("lines_rejected") else ""
    click.echo(
        f"loaded {report.get('rows', data.nnz):,} rows, {data.nnz:,} distinct pairs, "
        f"{data.shape[0]:,} users, {data.shape[1]:,} items{rejected}",
        err=True,
    )


def _check_writable(output: str) -> None:
    """Before minutes of work, not after them."""
    target = Path(output).resolve()
    if target.exists() and not target.is_file():
        raise click.UsageError(f"cannot write {output}: it is no regular file")
    folder = target.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise click.UsageError(f"cannot write {output}: {folder} is no folder that can be written to")


def _id(whole: bool, text: str) -> Any:
    if not whole:
        return text
    try:
        return int(text)
    except ValueError:
        raise KeyError(f"no id {text!r}; this model's ids are whole numbers") from None


def _item(model: ALS, text: str) -> Any:
    names = model.item_names_
    if names is not None:
        rows = np.flatnonzero(names == text)
        if rows.size:
            return model.items_.of(rows[:1])[0]
    return _id(model.items_.whole, text)


def _show_lists(model: ALS, what: str, asked: list[Any], ids: Any, scores: Any, as_json: bool) -> None:
    lists = {}
    for one, row, values in zip(asked, ids, scores, strict=True):
        lists[str(one)] = [
            {"rank": rank, "item": i, "name": model.name_of(i), "score": float(v)}
            for rank, (i, v) in enumerate(zip(row.tolist(), values.tolist(), strict=True), 1)
            if v != -np.inf
        ]
    if as_json:
        _print_json(lists)
        return
    for one, found in lists.items():
        title = f"{what} {one}" if what == "user" else f"like {model.name_of(_id(model.items_.whole, one))}"
        _show_tables(_console(), {title: [r | {"score": f"{r['score']:.4f}"} for r in found]})


def _stream(model: ALS, n: int, output: str, threads: int | None) -> None:
    """Recommendations for all users, a block at a time, written beside the target and renamed."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    _check_writable(output)
    users = model.users_.all()
    kinds = [pa.int64() if ids.whole else pa.string() for ids in (model.users_, model.items_)]
    schema = pa.schema([("user", kinds[0]), ("rank", pa.int32()), ("item", kinds[1]), ("score", pa.float64())])
    beside = Path(f"{Path(output).resolve()}.part")
    open_writer = pyarrow.parquet.ParquetWriter if output.endswith(".parquet") else pyarrow.csv.CSVWriter
    try:
        with open_writer(str(beside), schema) as writer:
            for begin in range(0, users.size, 8192):
                block = users[begin : begin + 8192]
                ids, scores = model.recommend(block, n, n_threads=threads)
                kept = scores.reshape(-1) != -np.inf
                columns = (np.repeat(block, n), np.tile(np.arange(1, n + 1, dtype=np.int32), block.size), ids, scores)
                arrays = [pa.array(c.reshape(-1)[kept], t) for c, t in zip(columns, schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        beside.replace(Path(output).resolve())
    finally:
        beside.unlink(missing_ok=True)
    click.echo(f"wrote {output}: {users.size:,} users", err=True)


def _console() -> Console:
    # in a pipe a table is as wide as it needs
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def _show_tables(console: Console, found: dict[str, list[dict[str, Any]]]) -> None:
    for title, rows in found.items():
        if not rows:
            console.print(Text(f"{title}: nothing"))
            continue
        table = Table(title=Text(title), title_justify="left")
        for column in rows[0] if rows else ():
            numeric = isinstance(rows[0][column], (int, float, np.number)) or column in ("score", "value")
            table.add_column(column, justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*(_cell(column, value) for column, value in row.items()))
        console.print(table, markup=False)


def _cell(column: str, value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if number.is_integer():
            return f"{number:,.0f}"
        return f"{number:,.1f}" if abs(number) >= 100 else f"{number:.4g}"
    if isinstance(value, (int, np.integer)) and column not in ("user", "item"):
        return f"{value:,}"
    return str(value)


def _print_json(value: Any) -> None:
    def plain(x: Any) -> Any:
        if isinstance(x, np.generic):
            return x.item()
        raise TypeError(type(x).__name__)

    click.echo(json.dumps(value, indent=2, default=plain, ensure_ascii=False))
