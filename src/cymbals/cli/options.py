"""Options that several commands share, and the conversion of their values."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..base import files
from ..data import datasets
from ..data.audioscrobbler import RawEvents
from ..data.interactions import Interactions
from ..model.als import ALS
from ..solve.objective import CONFIDENCES, OBJECTIVES, ROW_SIZES
from ..solve.rule import AUTO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DATA_FILES = (".csv", ".dat", ".parquet", ".tsv", ".txt")


@dataclass(frozen=True)
class Source:
    """The DATA argument of a command, and the names of the columns to read from a table."""

    path: str
    user: str
    item: str
    value: str | None
    time: str | None

    def read(self) -> Interactions | RawEvents:
        """Read the data without cleaning."""
        return datasets.read(self.path, self.user, self.item, self.value, self.time)

    def load(self) -> Interactions:
        """Read and clean the data, and print its size to stderr."""
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
    """Combine several click options into one decorator."""
    return lambda f: functools.reduce(lambda g, option: option(g), reversed(options), f)


def data(command: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that adds DATA and the options for column names, and passes them to the command as a `Source`."""

    @functools.wraps(command)
    def with_source(data: str, user: str, item: str, value: str, time: str | None, **rest: Any) -> Any:
        columns = {"--user": user != "user", "--item": item != "item", "--value": value != "value", "--time": time}
        for option in (option for option, given in columns.items() if given and os.path.isdir(data)):
            raise click.UsageError(f"{option} names a column of a table, but {data} is a folder: leave it out")
        return command(Source(data, user, item, value or None, time), **rest)

    wrapped: Callable[..., Any] = _options(
        click.argument("data", type=click.Path(exists=True)),
        click.option("--user", default="user", show_default=True, help="If DATA is a table: the column with users."),
        click.option("--item", default="item", show_default=True, help="If DATA is a table: the column with items."),
        click.option(
            "--value",
            default="value",
            show_default=True,
            help="If DATA is a table: the column with counts or ratings, or '' if every row counts 1.",
        ),
        click.option("--time", help="If DATA is a table: the column with times."),
    )(with_source)
    return wrapped


def number(value: Any) -> float | str:
    """An option's value: a number, or "auto"."""
    try:
        return AUTO if value == AUTO else float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor {AUTO!r}") from None


def _parameters(default: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator that adds the arguments of `ALS` as options.

    The function `default` takes an argument's default in `ALS` and returns the default of the option.
    """
    known = ALS().get_params()

    def option(name: str, **kwargs: Any) -> Any:
        value = default(known[name.removeprefix("--").replace("-", "_")])
        return click.option(name, default=value, show_default=value is not None, **kwargs)

    return _options(
        option("--factors", type=click.IntRange(1), help="Number of factors of each user and item."),
        option("--regularization", type=number, help="Strength of the regularization, or auto: by the data."),
        option("--alpha", type=number, help="Multiplier of the confidence in entries, or auto: by the data."),
        option("--unobserved-weight", type=number, help="Weight of pairs without an entry, or auto: by the data."),
        option("--objective", type=click.Choice(OBJECTIVES), help="hu and ials are for counts, explicit is for ratings."),
        option("--confidence", type=click.Choice(CONFIDENCES), help="How confidence grows with counts."),
        option("--nu", type=float, help="Exponent of frequency-scaled regularization."),
        option("--row-size", type=click.Choice(ROW_SIZES), help="The size of a row for --nu."),
        option("--biases", is_flag=True, help="Fit the mean and biases of users and items; needs --objective explicit."),
        option("--solver", type=click.Choice(("auto", "cg", "exact")), help="How rows are solved."),
        option("--iterations", type=click.IntRange(1), help="Number of iterations."),
    )


every = _parameters(lambda value: value)
# Only options that are given have a value. `model` and `cymbals.search` have their own defaults for the others.
some = _parameters(lambda value: None)
space = _options(
    click.option(
        "--grid", multiple=True, metavar="NAME=A,B,...", help="Values of a parameter; all combinations are tried."
    ),
    click.option("--random", "n", type=click.IntRange(1), help="Number of settings to draw."),
    click.option(
        "--space",
        multiple=True,
        metavar="NAME=LOW:HIGH[:log]",
        help="Range or list (NAME=A,B,...) to draw a parameter from. By default draws around the settings of ALS.auto.",
    ),
)
seed = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all random draws.")
threads = click.option(
    "--threads",
    type=click.IntRange(1),
    help="Number of threads. By default CYMBALS_NUM_THREADS or OMP_NUM_THREADS, or all CPUs that the process may use.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def given(params: dict[str, Any]) -> dict[str, Any]:
    """The options of `some` that were given on the command line."""
    return {name: value for name, value in params.items() if value is not None and value is not False}


def model(params: dict[str, Any], seed: int, threads: int | None) -> ALS:
    """The model of the options of `some`: `ALS.auto` with these arguments, or `ALS` if the objective is "explicit"."""
    make = ALS if params["objective"] == "explicit" else ALS.auto
    return make(random_state=seed, n_threads=threads, **given(params))


def search_space(grid: tuple[str, ...], n: int | None, space: tuple[str, ...]) -> dict[str, Any]:
    """--grid, --random and --space as arguments of `cymbals.search`."""
    listed = all_assigned("--grid", grid)
    drawn = {name: _drawn(name, values) for name, values in all_assigned("--space", space).items()}
    if space and not n:
        raise click.UsageError("--space needs --random N")
    return {"grid": listed or None, "random": drawn or (AUTO if n else None)} | ({"n": n} if n else {})


def all_assigned(option: str, texts: tuple[str, ...], same: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """The values of each parameter of an option that can be given several times, once for each parameter.

    `same` holds two names of one parameter; the dict uses the second.
    """
    values: dict[str, Any] = {}
    for name, listed in (assigned(option, text) for text in texts):
        name = same[1] if name == same[0] else name
        if name in values:
            raise click.UsageError(f"{option} {name} is given twice; list all its values in one option: {name}=A,B")
        values[name] = listed
    return values


def assigned(option: str, text: str) -> tuple[str, list[Any]]:
    """Parse NAME=A,B,... into the name and the values."""
    name, equals, values = text.partition("=")
    if not name or not equals or not values:
        raise click.UsageError(f"{option} needs NAME=VALUE,VALUE,..., got {text!r}")
    return name.strip().replace("-", "_"), [_value(v.strip()) for v in values.split(",")]


def _drawn(name: str, values: list[Any]) -> Any:
    """LOW:HIGH[:log] as a distribution. Without ":log" it draws whole numbers if both ends are whole.

    Lists are returned unchanged.
    """
    if len(values) > 1 or not isinstance(values[0], str) or ":" not in values[0]:
        return values
    low, high, *kind = (_value(part) for part in values[0].split(":"))
    if kind not in ([], ["log"]) or any(isinstance(end, str) for end in (low, high)) or not low < high:
        raise click.UsageError(f"--space needs NAME=LOW:HIGH or NAME=LOW:HIGH:log, got {name}={values[0]}")
    if kind and low <= 0:
        raise click.UsageError(f"--space {name}={values[0]}: a logarithm needs LOW above 0")
    import scipy.stats  # here, because it takes a second to load

    if kind:
        return scipy.stats.loguniform(low, high)
    if isinstance(low, int) and isinstance(high, int):
        return scipy.stats.randint(low, high + 1)
    return scipy.stats.uniform(low, high - low)


def _value(text: str) -> Any:
    """Parse a whole number, a number, true or false, or else return the text. "1_000" is text, not 1000 as in Python."""
    for kind in (int, float) if "_" not in text else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def check_writable(output: str, *sources: str | None) -> None:
    """Refuse an output file that cannot be written, that is one of `sources`, or that is a data file in a source folder.

    Callers check before they compute, because computing can take minutes.
    """
    target = Path(output).resolve()
    for source in sources:
        if source is None:
            continue
        exists = target.exists() and os.path.exists(source)
        same = target == Path(source).resolve() or (exists and target.samefile(source))
        if same or (exists and target.suffix in _DATA_FILES and target.parent.samefile(source)):
            raise click.UsageError(f"{output} would replace a file that is read from {source}: name another output file")
    try:
        files.check_writable(output)
    except OSError as error:
        raise click.UsageError(str(error)) from None


def check_picture(figure: str) -> None:
    """Refuse a picture that cannot be written: matplotlib is missing or does not know the file type.

    Callers check before they begin, because profiling and tuning can take minutes.
    """
    from matplotlib.figure import Figure

    kinds = Figure().canvas.get_supported_filetypes()
    if Path(figure).suffix.removeprefix(".") not in kinds:
        raise click.UsageError(f"--figure {figure}: its name must end in one of .{', .'.join(sorted(kinds))}")


def save_picture(picture: Figure, path: str | Path) -> None:
    """Write a picture to a temporary file, which is then renamed to `path`."""
    with files.beside(path) as unfinished:
        picture.savefig(unfinished, format=Path(path).suffix.removeprefix("."))
