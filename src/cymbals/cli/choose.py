"""The commands that evaluate models and choose one: `evaluate`, `search`, `tune` and `report`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..choose.result import SearchResult
from ..choose.search import search as run_search
from ..choose.tune import tune as run_tune
from ..data import split as splits
from ..data.audioscrobbler import RawEvents
from ..data.ids import one_id
from ..data.interactions import Interactions
from ..evaluation import validation
from ..evaluation.baselines import contenders
from ..evaluation.evaluate import Metrics
from ..evaluation.evaluate import evaluate as score
from ..lab import figures
from ..lab.report import report as write_report
from ..model.als import ALS, load
from . import options
from .group import cli
from .models import lists, save, show_lists
from .terminal import console, echo, print_json, show_tables


@cli.command()
@options.data
@options.some
@click.option(
    "--split",
    type=click.Choice(("random", "leave-k-out", "by-time", "k-fold")),
    default="random",
    help="How to choose the entries to hold out.",
)
@click.option("--test-fraction", type=float, default=0.1, help="For random and by-time: share of entries to hold out.")
@click.option("--leave", type=click.IntRange(1), default=1, help="For leave-k-out: entries to hold out for each user.")
@click.option(
    "--folds", type=click.IntRange(2), default=5, help="For k-fold: number of parts. The table shows means over the parts."
)
@click.option(
    "-k",
    multiple=True,
    type=click.IntRange(1),
    default=(5, 10, 20),
    show_default=True,
    help="Length of the lists that are evaluated; may be given several times.",
)
@click.option(
    "--model",
    "path",
    type=click.Path(exists=True, dir_okay=False),
    help="Evaluate this model file on DATA, which has the held-out entries. Nothing is split or fitted.",
)
@options.seed
@options.threads
@options.as_json
def evaluate(
    source: options.Source,
    split: str,
    test_fraction: float,
    leave: int,
    folds: int,
    k: tuple[int, ...],
    path: str | None,
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Hold out entries, fit on the rest, and compare the ranking with a popularity ranking and a random one.

    By default the settings are those of ALS.auto, which fit the data. With --objective explicit, they are those of ALS.
    """
    fitted = None if path is None else _stored(path)
    data = source.load()
    parts: Iterable[tuple[Interactions, Interactions]]
    if fitted is not None:
        parts = [(fitted.interactions_, data)]
    elif split == "k-fold":
        parts = splits.k_fold(data, folds, seed)
    elif split == "leave-k-out":
        parts = [splits.leave_k_out(data, leave, seed)]
    else:
        parts = [splits.random(data, test_fraction, seed) if split == "random" else splits.by_time(data, test_fraction)]
    found: dict[str, list[Metrics]] = {}
    for train, test in parts:
        if not test.nnz and path is not None:
            raise ValueError(f"{source.path} has no entries to evaluate {path} on")
        if not test.nnz:
            raise ValueError(
                f"--split {split} of {data.nnz:,} entries leaves the test part empty: hold out another number or share"
            )
        model = fitted or options.model(params, seed, threads).fit(train, progress=True)
        for name, contender in contenders(model, train, seed).items():
            found.setdefault(name, []).append(score(contender, train, test, k, n_threads=threads))
    means = {name: {m: float(np.mean([f[m] for f in folded])) for m in folded[0]} for name, folded in found.items()}
    if as_json:
        print_json(means)
        return
    rows = [{"metric": m} | {name: values.get(m, np.nan) for name, values in means.items()} for m in means["ALS"]]
    show_tables(console(), {"ranking of held-out items": rows})
    if len(found["ALS"]) == 1 and np.isfinite(means["ALS"]["auc"]):
        low, high = validation.interval(found["ALS"][0], "auc", seed=seed)
        click.echo(f"AUC of ALS: 95 % confidence interval over users {low:.4f} to {high:.4f}")
        click.echo(f"ALS minus popularity: {validation.compare(found['ALS'][0], found['popularity'][0], 'auc', seed=seed)}")


def _stored(path: str) -> ALS:
    """The model of --model. Refuses options that describe a fit or a split, and a model without interactions."""
    context = click.get_current_context()
    allowed = ("source", "data", "user", "item", "value", "time", "k", "path", "seed", "threads", "as_json")
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "")
        if option.name not in allowed and given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} is for a fit or a split; leave it out with --model")
    model = load(path, mmap=True)
    if model.state_.seen is None:
        raise click.UsageError(f"{path} was saved without interactions, so it does not know what to leave out")
    return model


def _choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `search` and `tune` share."""
    for option in (
        options.as_json,
        options.threads,
        options.seed,
        click.option("-o", "--output", type=click.Path(dir_okay=False), help="Model file to write the best model to."),
        click.option("--listener", "listeners", multiple=True, help="User id to recommend to; may be given several times."),
        click.option("--journal", type=click.Path(), help="File that records finished settings, for resuming."),
        click.option(
            "--validation",
            default="0.1",
            show_default=True,
            help="Share of entries to hold out for scoring settings, or users: hold out whole users.",
        ),
        click.option(
            "--metric",
            default="ndcg@10",
            show_default=True,
            help="Metric that chooses the best setting: ndcg@10, auc, recall@20, ...; rmse and mae are for ratings.",
        ),
    ):
        command = option(command)
    return command


@cli.command()
@options.data
@options.some
@options.space
@_choosing
@click.option("--patience", type=click.IntRange(1), help="Stop a fit after this many iterations without a better score.")
@click.option("--prune", is_flag=True, help="Stop the fits of settings that score below the median of earlier ones.")
@click.option("--backend", type=click.Choice(["optuna"]), help="Let Optuna propose settings instead of random draws.")
def search(
    source: options.Source,
    grid: tuple[str, ...],
    n: int | None,
    space: tuple[str, ...],
    metric: str,
    validation: str,
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
    """Try settings, show how each ranks held-out items, fit the best on all data, and recommend items with it.

    If it is interrupted and started again with the same options, it continues where it stopped. A parameter that is given
    as an option, such as --alpha, has this value in all settings.
    """
    if output:
        options.check_writable(output, source.path, journal)
    fixed = options.given(params)
    searched = options.search_space(grid, n, space)
    data = source.load()
    users = _listeners(data, listeners)
    found = run_search(
        data,
        **searched,
        metric=metric,
        validation=_number_or_text(validation),
        seed=seed,
        journal=journal or _cache(),
        backend=backend,
        patience=patience,
        prune=prune,
        progress=True,
        n_threads=threads,
        **fixed,
    )
    _show(found, users, output, as_json)


@cli.command()
@options.data
@options.some
@click.option(
    "--budget",
    default="6",
    show_default=True,
    help="What to spend: a number of fits with 256 factors and 15 iterations, or a time such as 90s, 10min or 2h.",
)
@_choosing
@click.option(
    "--figure", type=click.Path(dir_okay=False), help="File for a picture of how sure the choice is: .svg, .png or .pdf."
)
def tune(
    source: options.Source,
    budget: str,
    metric: str,
    validation: str,
    journal: str | None,
    figure: str | None,
    listeners: tuple[str, ...],
    output: str | None,
    seed: int,
    threads: int | None,
    as_json: bool,
    **params: Any,
) -> None:
    """Find good settings within a budget, fit the best on all data, and recommend items with it.

    It needs no list of settings: it starts with those of ALS.auto. If it is interrupted and started again with the same
    options, it continues where it stopped. A parameter that is given as an option, such as --factors, has this value in all
    settings.
    """
    for path in filter(None, (output, figure)):
        options.check_writable(path, source.path, journal)
    if figure:
        options.check_picture(figure)
        if output and Path(figure).resolve() == Path(output).resolve():
            raise click.UsageError(f"--figure and -o name the same file, {figure}")
        if metric.startswith("coverage@"):
            raise click.UsageError(f"--figure needs a metric that is a mean over users, got --metric {metric}")
    data = source.load()
    users = _listeners(data, listeners)
    found = run_tune(
        data,
        _number_or_text(budget),
        metric,
        _number_or_text(validation),
        journal=journal or _cache(),
        seed=seed,
        progress=True,
        n_threads=threads,
        **options.given(params),
    )
    _show(found, users, output, as_json)
    if figure:
        options.save_picture(figures.tuning(found.table, metric), figure)


def _listeners(data: Interactions, given: tuple[str, ...]) -> list[Any]:
    """The ids of --listener, or the first three users. Raises KeyError for an unknown id."""
    users: list[Any] = [one_id(data.users.whole, user) for user in given] or data.user_ids[:3].tolist()
    data.users.rows("listener", users)
    return users


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _show(found: SearchResult, users: list[Any], output: str | None, as_json: bool) -> None:
    """Save the best model, and show all settings and its recommendations."""
    best = found.best_model_
    assert best is not None
    if output:
        save(best, output)
    ids, scores = best.recommend(users, 5)
    table = found.table
    if as_json:
        params, weighting = found.best_params_, found.best_weighting_
        chosen = {"metric": found.metric, "score": found.best_score_, "params": params, "weighting": weighting}
        print_json({"table": table, "best": chosen, "recommendations": lists(best, users, ids, scores)})
        return
    facts = ("weighting", "score", "ahead", "noise", "auc", "ndcg@10", "recall@10", "n_iter", "seconds", "status")
    columns = [name for name in dict.fromkeys([*found.best_trial_.params, *facts]) if name in table]
    varied = [name for name in columns if name in facts or table[name].astype(str).nunique() > 1]
    show_tables(console(), {f"settings by {found.metric}": table[varied]})
    click.echo(found)
    show_lists(best, "user", users, ids, scores, False)


@cli.command()
@options.data
@options.some
@options.space
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="HTML file to write.")
@click.option("--title", default="Music recommendation laboratory", show_default=True, help="Title of the page.")
@click.option("--metric", default="ndcg@10", show_default=True, help="Metric that chooses the best setting.")
@click.option("--test-fraction", type=float, default=0.1, show_default=True, help="Share of the entries to hold out.")
@click.option(
    "--users", type=click.IntRange(1), default=20_000, show_default=True, help="Largest number of users to evaluate."
)
@click.option(
    "--listener", "listeners", multiple=True, help="User id to show recommendations for; may be given several times."
)
@options.seed
@options.threads
def report(
    source: options.Source,
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
    """Run the whole laboratory, from cleaning to recommendations, and write the results to one HTML file."""
    options.check_writable(output, source.path)
    fixed = options.given(params)
    searched = options.search_space(grid, n, space)
    data = source.read()
    whole = isinstance(data, RawEvents) or data.users.whole
    write_report(
        data,
        output,
        title=title,
        test_fraction=test_fraction,
        metric=metric,
        n_users=users,
        listeners=[one_id(whole, user) for user in listeners] or None,
        seed=seed,
        progress=True,
        n_threads=threads,
        **searched,
        **fixed,
    )
    echo(f"wrote {output}")


def _cache() -> Path | None:
    """The folder for journals of unfinished searches, or None if it cannot be written to."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cymbals")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    echo(
        f"{folder} cannot be written to, so an interrupted search cannot be resumed; --journal FILE makes it resumable",
        err=True,
    )
    return None
