"""The command line. Results go to stdout, notes to stderr; exit code 2 for bad usage, 1 for a failure told in one line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import scipy.stats

from . import datasets, spaces, split, validation
from ._core import version
from ._files import beside
from ._terminal import console, print_json, show_tables
from .als import ALS, load
from .audioscrobbler import RawEvents
from .baselines import Popularity, Random
from .describe import describe as description_of
from .doctor import doctor as examine
from .evaluation import Metrics
from .evaluation import evaluate as score
from .interactions import Interactions
from .model import FactorModel
from .objective import CONFIDENCES, OBJECTIVES
from .report import report as write_report
from .retrieval import MOST_PLACES
from .search import search as try_settings

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


@dataclass(frozen=True)
class _Source:
    """Where a command's data come from."""

    path: str
    user: str
    item: str
    value: str | None
    time: str | None

    def read(self) -> Interactions | RawEvents:
        """As found."""
        return datasets.read(self.path, self.user, self.item, self.value, self.time)

    def load(self) -> Interactions:
        """Cleaned, with a word on stderr of what there is."""
        found = datasets.load(self.path, self.user, self.item, self.value, self.time)
        report = found.report
        rejected = f", {report['lines_rejected']:,} lines rejected" if report.get("lines_rejected") else ""
        click.echo(
            f"loaded {report.get('rows', found.nnz):,} rows, {found.nnz:,} distinct pairs, "
            f"{found.shape[0]:,} users, {found.shape[1]:,} items{rejected}",
            err=True,
        )
        return found


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several click options as one decorator."""
    return lambda f: functools.reduce(lambda g, option: option(g), reversed(options), f)


def _data(command: Callable[..., Any]) -> Callable[..., Any]:
    """DATA and the names of a table's columns, as a `_Source`."""

    @functools.wraps(command)
    def with_source(data: str, user: str, item: str, value: str, time: str | None, **rest: Any) -> Any:
        return command(_Source(data, user, item, value or None, time), **rest)

    wrapped: Callable[..., Any] = _options(
        click.argument("data", type=click.Path(exists=True)),
        click.option("--user", default="user", show_default=True, help="Column with users, in a table."),
        click.option("--item", default="item", show_default=True, help="Column with items, in a table."),
        click.option(
            "--value",
            default="value",
            show_default=True,
            help="Column with counts or ratings, in a table; '' where every row counts 1.",
        ),
        click.option("--time", help="Column with times, in a table."),
    )(with_source)
    return wrapped


_fit = _options(
    click.option("--factors", type=click.IntRange(1), default=64, show_default=True, help="Rank of the model."),
    click.option("--regularization", type=float, default=0.01, show_default=True),
    click.option("--alpha", type=float, default=1.0, show_default=True, help="Scales confidence."),
    click.option("--unobserved-weight", type=float, default=1.0, show_default=True),
    click.option("--objective", type=click.Choice(OBJECTIVES), default="hu", show_default=True),
    click.option("--confidence", type=click.Choice(CONFIDENCES), default="linear", show_default=True),
    click.option("--nu", type=float, default=0.0, show_default=True, help="Exponent of frequency-scaled regularization."),
    click.option("--biases", is_flag=True, help="Mean and biases, with objective explicit."),
    click.option("--solver", type=click.Choice(("auto", "cg", "exact")), default="auto", show_default=True),
    click.option("--iterations", type=click.IntRange(1), default=15, show_default=True),
)
_space = _options(
    click.option(
        "--grid", multiple=True, metavar="NAME=A,B,...", help="Values of a parameter of which all combinations are tried."
    ),
    click.option("--random", "n", type=click.IntRange(1), help="Settings to draw."),
    click.option(
        "--space",
        multiple=True,
        metavar="NAME=LOW:HIGH[:log]",
        help="What to draw a parameter from, or NAME=A,B,...; by default factors 10 to 50, regularization, alpha.",
    ),
)
_seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
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
@_seed
@_threads
def demo(listeners: int, seed: int, threads: int | None) -> None:
    """Make a data set, and run the whole laboratory on it."""
    from .demo import run

    run(console(), listeners, seed, threads, show_tables)


@cli.command()
@_data
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Length of the top lists.")
@click.option("--find", help="List the items whose name contains this, instead.")
@click.option("--resolve", multiple=True, type=int, help="Tell what an artist id stands for, instead.")
@click.option("--figures", type=click.Path(file_okay=False), help="Folder to write the pictures to, as .svg files.")
@_json
def describe(
    source: _Source, top: int, find: str | None, resolve: tuple[int, ...], figures: str | None, as_json: bool
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
            for name, figure in description.figures().items():
                figure.savefig(folder / f"{name.replace(' ', '-')}.svg")
            click.echo(f"wrote {len(description.figures())} pictures to {figures}", err=True)
    if as_json:
        print_json(found)
    else:
        show_tables(console(), found)


@cli.command()
@_data
@_fit
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Model file to write.")
@_seed
@_threads
@_json
def fit(source: _Source, output: str, seed: int, threads: int | None, as_json: bool, **params: Any) -> None:
    """Fit a model and save it."""
    _check_writable(output)
    loaded = source.load()
    model = ALS(random_state=seed, n_threads=threads, **params).fit(loaded, compute_loss=True, progress=True)
    _save(model, output)
    if as_json:
        print_json({"model": output, "report": loaded.report, "history": model.history_, "fit": model.report_})
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
@click.option("--split", "how", type=click.Choice(("random", "leave-k-out", "by-time", "k-fold")), default="random")
@click.option("--test-fraction", type=float, default=0.1, help="Share held out, with random and by-time.")
@click.option("--leave", type=click.IntRange(1), default=1, help="Entries of each user held out, with leave-k-out.")
@click.option("--folds", type=click.IntRange(2), default=5, help="Parts, with k-fold; means over them are shown.")
@click.option("-k", multiple=True, type=click.IntRange(1), default=(5, 10, 20), show_default=True, help="Cut-offs.")
@_seed
@_threads
@_json
def evaluate(
    source: _Source,
    how: str,
    test_fraction: float,
    leave: int,
    folds: int,
    k: tuple[int, ...],
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Hold entries out, fit on the rest, and score the ranking beside those by popularity and at random."""
    data = source.load()
    parts: Iterable[tuple[Interactions, Interactions]]
    if how == "k-fold":
        parts = split.k_fold(data, folds, seed)
    elif how == "leave-k-out":
        parts = [split.leave_k_out(data, leave, seed)]
    else:
        parts = [split.random(data, test_fraction, seed) if how == "random" else split.by_time(data, test_fraction)]
    found: dict[str, list[Metrics]] = {}
    for train, test in parts:
        model = ALS(random_state=seed, n_threads=threads, **params).fit(train, progress=True)
        for name, contender in _contenders(model, train, seed).items():
            found.setdefault(name, []).append(score(contender, train, test, k, n_threads=threads))
    means = {name: {m: float(np.mean([f[m] for f in folded])) for m in folded[0]} for name, folded in found.items()}
    if as_json:
        print_json(means)
        return
    rows = [{"metric": m} | {name: f"{of[m]:.4f}" for name, of in means.items() if m in of} for m in means["ALS"]]
    show_tables(console(), {"ranking of held-out items": rows})
    if len(found["ALS"]) == 1:
        low, high = validation.interval(found["ALS"][0], "auc", seed=seed)
        click.echo(f"AUC of ALS: 95 % interval over users {low:.4f} to {high:.4f}")
        click.echo(f"ALS less popularity: {validation.compare(found['ALS'][0], found['popularity'][0], 'auc', seed=seed)}")


@cli.command()
@_data
@_fit
@_space
@click.option("--metric", default="auc", show_default=True, help="What decides: auc, ndcg@10, recall@20, ..., rmse, mae.")
@click.option("--validation", type=float, default=0.1, show_default=True, help="Share held out to score settings on.")
@click.option("--patience", type=click.IntRange(1), help="Stop a fit after so many iterations without a better one.")
@click.option("--prune", is_flag=True, help="Give settings up that fall below the median.")
@click.option("--backend", type=click.Choice(["optuna"]), help="Who proposes the settings that are drawn.")
@click.option("--journal", type=click.Path(), help="File to note finished settings in, and to go on from; kept.")
@click.option("--listener", "listeners", multiple=True, help="User id to recommend to; may be given several times.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Model file to write the best model to.")
@_seed
@_threads
@_json
def search(
    source: _Source,
    grid: tuple[str, ...],
    n: int | None,
    space: tuple[str, ...],
    metric: str,
    validation: float,
    patience: int | None,
    prune: bool,
    backend: str | None,
    journal: str | None,
    listeners: tuple[str, ...],
    output: str | None,
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Try settings, show how each ranks held-out items, fit the best on all data, and recommend.

    Killed and started again, it goes on where it was. Settings given as options are the same for all.
    """
    if output:
        _check_writable(output)
    tried = _tried(grid, n, space)
    data = source.load()
    users = [_id(data.users.whole, u) for u in listeners] or data.user_ids[:3].tolist()
    data.users.rows("listener", users)
    found = try_settings(
        data,
        **tried,
        metric=metric,
        validation=validation,
        seed=seed,
        journal=journal or _cache(),
        backend=backend,
        patience=patience,
        prune=prune,
        progress=True,
        n_threads=threads,
        **_given(params),
    )
    best = found.best_model_
    assert best is not None
    if output:
        _save(best, output)
    ids, scores = best.recommend(users, 5)
    table = found.table
    columns = [*found.trials[0].params, "score", "auc", "ndcg@10", "recall@10", "iterations", "seconds", "status"]
    if as_json:
        chosen = {"metric": metric, "score": found.best_score_, "params": found.best_params_}
        print_json({"table": table, "best": chosen, "recommendations": _lists(best, users, ids, scores)})
        return
    show_tables(console(), {f"settings by {metric}": table[[c for c in dict.fromkeys(columns) if c in table]]})
    click.echo(found)
    _show_lists(best, "user", users, ids, scores, False)


@cli.command()
@_data
@_fit
@_space
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="HTML file to write.")
@click.option("--title", default="Music recommendation laboratory", show_default=True)
@click.option("--metric", default="ndcg@10", show_default=True, help="What decides the search.")
@click.option("--test-fraction", type=float, default=0.1, show_default=True, help="Share of the entries held out.")
@click.option("--users", type=click.IntRange(1), default=20_000, show_default=True, help="Users to score, at most.")
@click.option("--listener", "listeners", multiple=True, help="User id to show recommendations of; several times.")
@_seed
@_threads
def report(
    source: _Source,
    grid: tuple[str, ...],
    n: int | None,
    space: tuple[str, ...],
    output: str,
    title: str,
    metric: str,
    test_fraction: float,
    users: int,
    listeners: tuple[str, ...],
    seed: int,
    threads: int | None,
    **params: Any,
) -> None:
    """Run the whole laboratory, and write all it found to one HTML file."""
    _check_writable(output)
    tried = _tried(grid, n, space)
    data = source.read()
    whole = isinstance(data, RawEvents) or data.users.whole
    write_report(
        data,
        output,
        title=title,
        test_fraction=test_fraction,
        metric=metric,
        n_users=users,
        listeners=[_id(whole, user) for user in listeners] or None,
        seed=seed,
        progress=True,
        n_threads=threads,
        **tried,
        **_given(params),
    )
    click.echo(f"wrote {output}")


@cli.command()
@click.option(
    "--peaks", is_flag=True, help="Measure multiply-adds (1e9/s), second-level cache, streaming and gathering (GB/s)."
)
@_json
def doctor(peaks: bool, as_json: bool) -> None:
    """Tell version, instruction set, threads and why, compiler, OpenMP runtime."""
    facts = examine(peaks)
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        text = ", ".join(map(str, fact)) if isinstance(fact, list) else f"{fact:.1f}" if isinstance(fact, float) else fact
        click.echo(f"{name:18} {text}")


# -- shared ----------------------------------------------------------------------------------------------------------


def _contenders(model: ALS, train: Interactions, seed: int) -> dict[str, FactorModel]:
    return {"ALS": model, "popularity": Popularity().fit(train), "random": Random(seed).fit(train)}


def _given(params: dict[str, Any]) -> dict[str, Any]:
    """Those that stand on the command line; a search leaves the others alone."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in params.items() if source(name) is click.core.ParameterSource.COMMANDLINE}


def _tried(grid: tuple[str, ...], n: int | None, space: tuple[str, ...]) -> dict[str, Any]:
    """--grid, --random and --space as `search` takes them."""
    listed = dict(_assigned("--grid", text) for text in grid)
    drawn = {name: _drawn(name, values) for name, values in (_assigned("--space", text) for text in space)}
    if space and not n:
        raise click.UsageError("--space goes with --random N")
    random = drawn or (spaces.usual() if n else None)
    return {"grid": listed or None, "random": random} | ({"n": n} if n else {})


def _assigned(option: str, text: str) -> tuple[str, list[Any]]:
    """NAME=A,B,... as name and values."""
    name, equals, values = text.partition("=")
    if not name or not equals or not values:
        raise click.UsageError(f"{option} takes NAME=VALUE,VALUE,..., got {text!r}")
    return name.strip().replace("-", "_"), [_value(v.strip()) for v in values.split(",")]


def _drawn(name: str, values: list[Any]) -> Any:
    """LOW:HIGH[:log] as a distribution: of whole numbers where both ends are; other values as they are."""
    if len(values) > 1 or not isinstance(values[0], str) or ":" not in values[0]:
        return values
    low, high, *kind = (_value(part) for part in values[0].split(":"))
    if kind not in ([], ["log"]) or any(isinstance(end, str) for end in (low, high)) or not low < high:
        raise click.UsageError(f"--space takes NAME=LOW:HIGH or NAME=LOW:HIGH:log, got {name}={values[0]}")
    if kind:
        return scipy.stats.loguniform(low, high)
    if isinstance(low, int) and isinstance(high, int):
        return scipy.stats.randint(low, high + 1)
    return scipy.stats.uniform(low, high - low)


def _value(text: str) -> Any:
    """A whole number, a number, true or false, or a text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _cache() -> Path:
    """The folder in which unfinished searches are noted."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "cymbals")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _save(model: ALS, output: str) -> None:
    """Without the number of threads: a choice for this machine, not for those that will read the file."""
    model.set_params(n_threads=None)
    model.save(output)


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


def _lists(model: ALS, asked: list[Any], ids: Any, scores: Any) -> dict[Any, list[dict[str, Any]]]:
    """Items with names and scores for each that was asked for; places that could not be filled are left out."""
    return {
        one: [
            {"rank": rank, "item": i, "name": model.name_of(i), "score": float(v)}
            for rank, (i, v) in enumerate(zip(row.tolist(), values.tolist(), strict=True), 1)
            if v != -np.inf
        ]
        for one, row, values in zip(asked, ids, scores, strict=True)
    }


def _show_lists(model: ALS, what: str, asked: list[Any], ids: Any, scores: Any, as_json: bool) -> None:
    lists = _lists(model, asked, ids, scores)
    if as_json:
        print_json(lists)
        return
    for one, found in lists.items():
        show_tables(console(), {f"user {one}" if what == "user" else f"like {model.name_of(one)}": found})


def _stream(model: ALS, n: int, output: str, threads: int | None) -> None:
    """Recommendations for all users, a block at a time, written beside the target and renamed."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    _check_writable(output)
    users = model.users_.all()
    kinds = [pa.int64() if ids.whole else pa.string() for ids in (model.users_, model.items_)]
    schema = pa.schema([("user", kinds[0]), ("rank", pa.int32()), ("item", kinds[1]), ("score", pa.float64())])
    open_writer = pyarrow.parquet.ParquetWriter if output.endswith(".parquet") else pyarrow.csv.CSVWriter
    with beside(output) as unfinished, open_writer(str(unfinished), schema) as writer:
        for begin in range(0, users.size, 8192):
            block = users[begin : begin + 8192]
            ids, scores = model.recommend(block, n, n_threads=threads)
            kept = scores.reshape(-1) != -np.inf
            columns = (np.repeat(block, n), np.tile(np.arange(1, n + 1, dtype=np.int32), block.size), ids, scores)
            arrays = [pa.array(c.reshape(-1)[kept], t) for c, t in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    click.echo(f"wrote {output}: {users.size:,} users", err=True)
