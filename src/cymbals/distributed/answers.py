"""`recommend_all` and `evaluate` over several machines: each task of Ray does a range of users.

A task changes nothing, so Ray does the task of a lost worker again.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.checks import file_path, instance
from ..base.optional import optional
from ..base.threads import resolve
from ..data.csr import Csr
from ..data.ids import id_array, listed
from ..data.interactions import Interactions, stored_rows
from ..evaluation.evaluate import Metrics, aligned, cutoffs_of, fitted_entries, warn_of_fitted
from ..metrics.errors import errors
from ..metrics.ranking import coverage, item_novelty, ranked_users
from ..model.als import ALS, load
from ..model.exporting_model import Recommendations
from .cluster import ClusterRequest, connected, usable_nodes

_USERS = 4 * 8192  # of a task


def recommend_all(
    model: ALS | str | os.PathLike[str],
    n: int = 10,
    users: Any = None,
    *,
    exclude_seen: bool = True,
    exclude: Any = None,
    candidates: Any = None,
    threads_per_node: int | None = None,
    address: str | None = None,
) -> Recommendations:
    """Recommendations for all users, computed by all nodes of a Ray cluster.

    Parameters
    ----------
    model : ALS or path-like
        A fitted model, which is sent to the nodes, or the path of a model file that `ALS.save` wrote. All nodes must find
        the file under this path. They map it, so the workers of a node share its memory.
    n, users, exclude_seen, exclude, candidates
        As in `ALS.recommend_all`.
    threads_per_node, address
        As in `fit`.

    Returns
    -------
    Recommendations
        The same rows in the same order as those of `ALS.recommend_all`. The nodes work while the stream is read. A few
        ranges of users are in work at a time, so the stream needs little memory.

    Examples
    --------
    >>> import cymbals.distributed
    >>> stream = cymbals.distributed.recommend_all("model.cymbals", n=10, address="auto")  # doctest: +SKIP
    >>> stream.to_parquet("recommendations.parquet")  # doctest: +SKIP
    """
    local, sent = _local(model)
    cluster = ClusterRequest(None, threads_per_node, address)
    limits = {"exclude_seen": exclude_seen, "exclude": exclude, "candidates": candidates}
    schema = local.recommend_all(n, users, **limits).schema  # checks the arguments
    ray = optional("ray", "cymbals.distributed")
    wanted = local.users_.all() if users is None else id_array("users", listed(users)).copy()

    def batches() -> Iterator[Any]:
        with _tasks(ray, sent, cluster) as (run, threads):
            ranges = [wanted[begin : begin + _USERS] for begin in range(0, wanted.size, _USERS)]
            for found in run(_recommended, [(n, part, limits, threads) for part in ranges]):
                yield from found

    return Recommendations(schema, batches)


def evaluate(
    model: ALS | str | os.PathLike[str],
    train: Any,
    test: Any,
    k: int | Sequence[int] = (5, 10, 20),
    *,
    threads_per_node: int | None = None,
    address: str | None = None,
) -> Metrics:
    """Evaluate a model as `cymbals.evaluate` does, with all nodes of a Ray cluster.

    Parameters
    ----------
    model : ALS or path-like
        As in `recommend_all`.
    train, test : path-like, Interactions or scipy sparse
        As in `cymbals.evaluate`; or the path of a store, which all nodes must find under this path. A store with the
        users and items of the model, in their order, is opened on the nodes. Other data are sent from this process.
    k : int or sequence of int
    threads_per_node, address
        As in `fit`.

    Returns
    -------
    Metrics
        The metrics of each user, and their means, are bitwise those of `cymbals.evaluate`. So is coverage; rmse and mae are
        equal except for rounding.

    Examples
    --------
    >>> import cymbals.distributed
    >>> cymbals.distributed.evaluate("model.cymbals", "train", "test", k=10, address="auto")  # doctest: +SKIP
    """
    local, sent = _local(model)
    cluster = ClusterRequest(None, threads_per_node, address)
    cutoffs, n_threads = cutoffs_of(k), resolve(None)
    parts = [_Part.of(name, data, local, n_threads) for name, data in (("train", train), ("test", test))]
    novelty = item_novelty(local.entries(parts[0].csr))
    ray = optional("ray", "cymbals.distributed")
    n_users = local.state_.x.shape[0]
    ranges = [range(begin, min(begin + _USERS, n_users)) for begin in range(0, n_users, _USERS)]
    found: list[_Evaluated] = []
    with _tasks(ray, sent, cluster) as (run, threads):
        shared = ray.put(novelty)
        arguments = ((rows, *(part.rows(rows) for part in parts), cutoffs, shared, threads) for rows in ranges)
        found.extend(run(_evaluated, arguments))
    warn_of_fitted(sum(part.fitted[0] for part in found), sum(part.fitted[1] for part in found), stacklevel=3)
    per_user = {name: np.concatenate([part.per_user[name] for part in found]) for name in found[0].per_user}
    covered = functools.reduce(np.maximum, (part.covered for part in found))
    return Metrics(per_user, coverage(covered, cutoffs) | _joined([part.errors for part in found]))


class _Part(NamedTuple):
    """Train or test data: a matrix in the model's order, and the path of its store if nodes can open it."""

    csr: Csr
    path: str | None

    @classmethod
    def of(cls, name: str, data: Any, model: ALS, n_threads: int) -> _Part:
        if not isinstance(data, (str, os.PathLike)):
            return cls(aligned(name, data, model, n_threads), None)
        path = os.path.abspath(file_path(name, data))
        opened = Interactions.open(path)
        same = opened.users.same_as(model.users_) and opened.items.same_as(model.items_)
        return cls(opened.csr, path) if same else cls(aligned(name, opened, model, n_threads), None)

    def rows(self, rows: range) -> Csr | str:
        """Some rows, or the path of the store that has them."""
        return self.csr.between(rows.start, rows.stop) if self.path is None else self.path


class _Evaluated(NamedTuple):
    """What a task of `evaluate` returns."""

    per_user: dict[str, NDArray[np.float64]]
    covered: NDArray[np.uint8]
    errors: tuple[dict[str, float], int]  # over all entries of test, and how many they are
    fitted: tuple[int, int]


def _recommended(model: Any, n: int, users: NDArray[Any], limits: dict[str, Any], threads: int) -> list[Any]:
    return list(_model(model).recommend_all(n, users, n_threads=threads, **limits))


def _evaluated(
    model: Any,
    rows: range,
    train: Csr | str,
    test: Csr | str,
    cutoffs: NDArray[np.int64],
    novelty: NDArray[np.float64],
    threads: int,
) -> _Evaluated:
    fitted = _model(model)
    state = fitted.state_
    seen, held_out = (
        fitted.entries(stored_rows(part, "by_user", rows).whole() if isinstance(part, str) else part)
        for part in (train, test)
    )
    x, y = state.x[rows.start : rows.stop], state.scored_items
    per_user, covered = ranked_users(x, y, seen, held_out, cutoffs, threads, novelty)
    together: dict[str, float] = {}
    if fitted.predicts_values:
        of_users, together = errors(x, y, held_out)
        per_user |= of_users
    known = (0, 0)
    if state.seen is not None:
        known = fitted_entries(state.seen, seen, held_out, np.arange(rows.start, rows.stop))
    return _Evaluated(per_user, covered, (together, held_out.nnz), known)


def _joined(parts: list[tuple[dict[str, float], int]]) -> dict[str, float]:
    """The errors over all entries, from those over the entries of each range."""
    total = sum(n for _, n in parts)
    out: dict[str, float] = {}
    for name, power in (("rmse", 2), ("mae", 1)):
        if name in parts[0][0]:
            summed = sum(values[name] ** power * n for values, n in parts if n)
            out[name] = (summed / total) ** (1 / power) if total else float("nan")
    return out


@functools.lru_cache(maxsize=2)
def _loaded(path: str, _stamp: tuple[int, int]) -> ALS:
    return load(path, mmap=True)


def _model(model: Any) -> ALS:
    """The model of a task: it was sent, or it is loaded from its path once in each process."""
    if not isinstance(model, str):
        return instance("model", model, ALS)
    status = os.stat(model)
    return _loaded(model, (status.st_mtime_ns, status.st_size))


def _local(model: Any) -> tuple[ALS, Any]:
    """The model in this process, and what is sent to the nodes: the path of its file, or itself."""
    if isinstance(model, (str, os.PathLike)):
        path = os.path.abspath(file_path("model", model))
        return load(path, mmap=True), path
    fitted = instance("model", model, ALS).snapshot()
    return fitted, fitted


@contextmanager
def _tasks(ray: Any, model: Any, cluster: ClusterRequest) -> Iterator[tuple[Callable[..., Iterator[Any]], int]]:
    """A function that runs tasks on the nodes and yields their results in order, and the threads of each task."""
    with connected(ray, cluster.address):
        nodes, _, cpus = usable_nodes(ray, cluster.nodes)
        threads = cluster.threads_per_node or cpus
        sent = ray.put(model)

        def run(task: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
            remote = ray.remote(task).options(num_cpus=min(threads, cpus), scheduling_strategy="SPREAD")
            running: deque[Any] = deque()
            for given in arguments:
                running.append(remote.remote(sent, *given))
                if len(running) >= 2 * len(nodes):
                    yield ray.get(running.popleft())
            while running:
                yield ray.get(running.popleft())

        yield run, threads
