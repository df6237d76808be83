"""Options that several commands share, and what they turn into."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..base import files
from ..choose import spaces
from ..data import datasets
from ..data.audioscrobbler import RawEvents
from ..data.interactions import Interactions
from ..model.als import ALS
from ..solve.objective import CONFIDENCES, OBJECTIVES

_DATA_FILES = (".csv", ".dat", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True)
class Source:
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


def data(command: Callable[..., Any]) -> Callable[..., Any]:
    """DATA and the names of a table's columns, as a `Source`."""

    @functools.wraps(command)
    def with_source(data: str, user: str, item: str, value: str, time: str | None, **rest: Any) -> Any:
        return command(Source(data, user, item, value or None, time), **rest)

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


def _parameters(default: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Arguments of `ALS`, each with what `default` makes of its default."""
    known = ALS().get_params()

    def option(name: str, **how: Any) -> Any:
        value = default(known[name.removeprefix("--").replace("-", "_")])
        return click.option(name, default=value, show_default=value is not None, **how)

    return _options(
        option("--factors", type=click.IntRange(1), help="Rank of the model."),
        option("--regularization", type=float),
        option("--alpha", type=float, help="Scales confidence."),
        option("--unobserved-weight", type=float),
        option("--objective", type=click.Choice(OBJECTIVES)),
        option("--confidence", type=click.Choice(CONFIDENCES)),
        option("--nu", type=float, help="Exponent of frequency-scaled regularization."),
        option("--biases", is_flag=True, help="Mean and biases, with objective explicit."),
        option("--solver", type=click.Choice(("auto", "cg", "exact"))),
        option("--iterations", type=click.IntRange(1)),
    )


fit = _parameters(lambda value: value)
fixed = _parameters(lambda value: None)  # the same for all settings of a search, where given
space = _options(
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
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
threads = click.option("--threads", type=click.IntRange(1), help="Threads; by default what this process may use.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def given(params: dict[str, Any]) -> dict[str, Any]:
    """Those of `fixed` that stand on the command line; a search leaves the others alone."""
    return {name: value for name, value in params.items() if value is not None and value is not False}


def tried(grid: tuple[str, ...], n: int | None, space: tuple[str, ...], fixed: dict[str, Any]) -> dict[str, Any]:
    """--grid, --random and --space as `search` takes them."""
    listed = dict(assigned("--grid", text) for text in grid)
    drawn = {name: _drawn(name, values) for name, values in (assigned("--space", text) for text in space)}
    if space and not n:
        raise click.UsageError("--space goes with --random N")
    if n and listed and not drawn:
        drawn = spaces.usual(fixed)
    return {"grid": listed or None, "random": drawn or None} | ({"n": n} if n else {})


def assigned(option: str, text: str) -> tuple[str, list[Any]]:
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
    if kind and low <= 0:
        raise click.UsageError(f"--space {name}={values[0]}: a logarithm needs LOW above 0")
    import scipy.stats  # takes a second to load

    if kind:
        return scipy.stats.loguniform(low, high)
    if isinstance(low, int) and isinstance(high, int):
        return scipy.stats.randint(low, high + 1)
    return scipy.stats.uniform(low, high - low)


def _value(text: str) -> Any:
    """A whole number, a number, true or false, or a text; "1_000" is a text, though Python takes it for 1000."""
    for kind in (int, float) if "_" not in text else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def check_writable(output: str, source: str | None = None) -> None:
    """Before minutes of work, not after them: refuses a file that cannot be written, or that is part of `source`."""
    if source is not None and os.path.exists(output):
        target = Path(output).resolve()
        inside = os.path.isdir(source) and target.suffix in _DATA_FILES and os.path.samefile(target.parent, source)
        if inside or os.path.samefile(target, source):
            raise click.UsageError(f"--output {output} would replace what is read from {source}: name another file")
    try:
        files.check_writable(output)
    except OSError as error:
        raise click.UsageError(str(error)) from None


def whole_id(text: str) -> int:
    """An id in digits; int() takes "1_000" for 1000."""
    if "_" in text:
        raise ValueError(text)
    return int(text)


def one_id(whole: bool, text: str) -> Any:
    if not whole:
        return text
    try:
        return whole_id(text)
    except ValueError:
        raise KeyError(f"no id {text!r}; this model's ids are whole numbers") from None
