"""The laboratory in one page: data, cleaning, search, validation, the chosen model, recommendations, as one HTML file.

Every step runs here, in order; `sections` says what it found, the template lays that out.
"""

from __future__ import annotations

import base64
import io
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.checks import share, whole_number
from ..base.files import beside, check_writable
from ..base.format import cell, is_number, printable
from ..base.optional import optional
from ..choose import spaces
from ..choose.search import search
from ..data import split
from ..data.audioscrobbler import RawEvents
from ..data.ids import listed
from ..data.interactions import Interactions
from ..evaluation.baselines import contenders
from ..evaluation.evaluate import evaluate
from ..model.als import ALS
from . import sections
from .describe import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def report(
    data: Interactions | RawEvents,
    output: str | os.PathLike[str],
    *,
    title: str = "Music recommendation laboratory",
    test_fraction: float = 0.1,
    grid: Any = None,
    random: Any = None,
    n: int = 8,
    metric: str = "ndcg@10",
    n_users: int = 20_000,
    listeners: Any = None,
    seed: int = 0,
    progress: bool = False,
    **als: Any,
) -> Path:
    """Run the whole laboratory and write what it found to one self-contained HTML file.

    Parameters
    ----------
    data : RawEvents or Interactions
        Raw events are cleaned, and shown before and after.
    output : path-like
        Written beside and renamed.
    title : str
    test_fraction : float
        Share of the entries that is held out; the search never sees them.
    grid, random, n, metric
        What is searched, as `search` takes it; by default `n` draws of factors, regularization and alpha.
    n_users : int
        Users that are scored on the test part, drawn once where there are more; the search scores a tenth of them.
    listeners : array_like of ids, optional
        Whose recommendations to show; by default a very active, a typical and a little active one.
    seed : int
    progress : bool
        Say what is being done, on stderr where that is a terminal.
    **als
        Arguments of `ALS` for all settings; confidence is "log" unless given, which ranks far better on play counts.

    Returns
    -------
    Path
        `output`.

    Examples
    --------
    >>> import cymbals
    >>> data = cymbals.datasets.load("profiledata/")  # doctest: +SKIP
    >>> cymbals.report(data, "report.html", factors=50)  # doctest: +SKIP
    """
    fraction, n_users = share("test_fraction", test_fraction), whole_number("n_users", n_users, 1)
    template = _template()
    searched = spaces.checked("grid", grid) | spaces.checked("random", random)
    plain = "confidence" in searched or als.get("objective") == "explicit"
    fixed = ({} if plain else {"confidence": "log"}) | als
    check_writable(output)
    steps = _Steps(progress)
    with steps("clean and describe"):
        description = describe(data, values="sum of ratings" if als.get("objective") == "explicit" else "plays")
    cleaned = description.data
    if listeners is not None:
        cleaned.users.rows("listeners", listed(listeners))  # raises now what would be raised after minutes
    train, test = split.random(cleaned, fraction, seed)
    with steps("search"):
        scored = max(1, n_users // 10)
        found = search(train, grid, random, n=n, metric=metric, seed=seed, n_users=scored, refit=False, **fixed)
    with steps("fit"):
        model = ALS(**{"random_state": seed} | fixed | found.best_params_).fit(train, compute_loss=True)
    compared = contenders(model, train, seed)
    with steps("evaluate"):
        users, n_threads = cleaned.users.drawn(n_users, seed), fixed.get("n_threads")
        metrics = {name: evaluate(m, train, test, users=users, n_threads=n_threads) for name, m in compared.items()}
    if not metrics["ALS"].n_users:
        raise ValueError(f"test_fraction {fraction} of {cleaned.nnz} entries leaves nothing to score; hold more out")
    with steps("validate"):
        validated = sections.validated(compared, metrics, train, test, users, seed, n_threads)
    with steps("recommend"):
        recommended = sections.recommendations(model, train, listeners)
    pictures = description.figures()
    page = [
        sections.glance(description, found, metrics, steps.seconds),
        *sections.as_found(description, data),
        sections.cleaning(description, data),
        sections.activity(description, pictures),
        sections.top_lists(description, pictures),
        sections.searched(found, metric, scored, cleaned.shape[0]),
        sections.chosen(model),
        validated,
        recommended,
        sections.similar_items(model, train),
        sections.newcomer(model, train),
        sections.made(steps.rows, seed, fixed),
    ]
    filled = template.render(title=title, sections=page, cell=cell, is_number=is_number, picture=_picture)
    with beside(output) as unfinished:
        unfinished.write_text(filled, encoding="utf-8")
    return Path(output)


class _Steps:
    """Seconds of each step, and the most memory the process has had by its end."""

    def __init__(self, say: bool) -> None:
        self.say, self.rows = say, list[dict[str, Any]]()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        if self.say and sys.stderr.isatty():
            print(f"{what} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.rows.append({"step": what, "seconds": seconds, "peak memory so far, GB": _peak_memory() / 1e9})

    @property
    def seconds(self) -> float:
        return float(sum(row["seconds"] for row in self.rows))


def _peak_memory() -> int:
    """The most bytes this process has had; where Linux tells, not those of the one that started it."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _picture(figure: Figure) -> str:
    """A figure as a data URI, the same for the same figure."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cymbals"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()


def _template() -> Any:
    jinja2, _ = (optional(module, "a report") for module in ("jinja2", "matplotlib"))  # now rather than after minutes
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_printable
    )
    return environment.get_template("report.html")


def _printable(value: Any) -> Any:
    """What the template writes: texts as a file can hold them, markup as it is."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
