"""One HTML file about a data set and a model: data, cleaning, search, the chosen model, validation, recommendations.

Every step runs here, in order. `sections` and `scores` put the findings into words, tables and pictures; `page` and the
template report.html lay them out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..base.checks import share, whole_number
from ..base.files import beside, check_writable
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
from .describe import describe


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
    """Describe data, search for settings, fit and validate a model, and write the results to one self-contained HTML file.

    Use it for a first look at new data, and to show to others what a model does with them.

    Parameters
    ----------
    data : RawEvents or Interactions
        Raw events are cleaned first, and the report shows them before and after.
    output : path-like
        The file to write. It appears when the report is complete.
    title : str
    test_fraction : float
        Share of the entries that is held out. The search does not see them.
    grid, random, n, metric
        Settings to search and the metric that chooses the best one, as in `search`. The default is `n` draws around the
        settings of `ALS.auto`.
    n_users : int
        The largest number of users to score on the test part. If there are more users, this many are drawn at random, once.
        The search scores a tenth of this number.
    listeners : array_like of ids, optional
        Users whose recommendations to show. By default three users: with many entries, with a typical number, and with few.
    seed : int
    progress : bool
        Name each step on stderr as it begins, if stderr is a terminal.
    **als
        Arguments of `ALS` for all settings. The others are those of `ALS.auto`, or those of `ALS` with objective
        "explicit".

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
    from . import scores, sections  # here, because `import cymbals` would take longer
    from .page import template

    fraction, n_users = share("test_fraction", test_fraction), whole_number("n_users", n_users, 1)
    page = template()
    for name, space in (("grid", grid), ("random", random)):
        spaces.parameters(name, space)  # raises for a wrong space now, not after minutes
    check_writable(output)
    steps = _Steps(progress)
    with steps("clean and describe"):
        description = describe(data, values="sum of ratings" if als.get("objective") == "explicit" else "plays")
    cleaned = description.data
    if listeners is not None:
        cleaned.users.rows("listeners", listed(listeners))  # an unknown id is an error now, not after minutes
    train, test = split.random(cleaned, fraction, seed)
    with steps("search"):
        scored = max(1, n_users // 10)
        found = search(train, grid, random, n=n, metric=metric, seed=seed, n_users=scored, refit=False, **als)
    with steps("fit"):
        model = ALS(**found.best_params_, n_threads=als.get("n_threads")).fit(train, compute_loss=True)
    compared = contenders(model, train, seed)
    with steps("evaluate"):
        users, n_threads = cleaned.users.drawn(n_users, seed), als.get("n_threads")
        metrics = {name: evaluate(m, train, test, users=users, n_threads=n_threads) for name, m in compared.items()}
    if not metrics["ALS"].n_users:
        raise ValueError(f"test_fraction {fraction} of {cleaned.nnz} entries leaves nothing to score; hold more out")
    with steps("validate"):
        validated = scores.validated(scores.Validated(compared, metrics, train, test, users, seed, n_threads))
    with steps("recommend"):
        recommended = sections.recommendations(model, train, listeners)
    found_out = [
        scores.glance(cleaned, found, metrics, steps.seconds),
        sections.data(description, data),
        sections.cleaning(description, data),
        sections.activity(description),
        sections.top_lists(description),
        sections.searched(found, metric, scored, cleaned.shape[0]),
        sections.chosen(model, found),
        validated,
        recommended,
        sections.similar_items(model, train),
        sections.newcomer(model, train),
        sections.made(steps.rows, seed, als),
    ]
    filled = page.render(title=title, sections=[section for section in found_out if section.parts])
    with beside(output) as unfinished:
        unfinished.write_text(filled, encoding="utf-8")
    return Path(output)


class _Steps:
    """Seconds of each step, and the peak memory of the process at the end of the step."""

    def __init__(self, say: bool) -> None:
        self.say, self.rows = say, list[dict[str, Any]]()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        if self.say:
            print(f"{what} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.rows.append({"step": what, "seconds": seconds, "peak memory, GB": _peak_memory() / 1e9})

    @property
    def seconds(self) -> float:
        return float(sum(row["seconds"] for row in self.rows))


def _peak_memory() -> int:
    """The most bytes that this process has had in memory.

    On Linux this reads /proc, because `ru_maxrss` can include the peak memory of the parent process there.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return int(optional("psutil", "the report").Process().memory_info().peak_wset)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
