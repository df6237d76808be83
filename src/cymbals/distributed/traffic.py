"""How many bytes the nodes of a distributed fit receive from each other: the model that a plan uses."""

from __future__ import annotations

from collections.abc import Sequence

from .._core import compact_width, gram_segments
from ..solve.half_step import LARGE_BYTES
from .table import NEARLY_ALL


def bytes_per_iteration(
    shape: tuple[int, int],
    factors: int,
    nodes: int,
    *,
    itemsize: int = 4,
    needed: Sequence[float] = (1.0, 1.0),
    heavy: Sequence[float] = (0.0, 0.0),
    copies: bool = True,
    rotates: bool = True,
) -> dict[str, int]:
    """Predict the bytes that all nodes together receive in one iteration of `cymbals.distributed.fit`.

    In a half-step, a node receives the following, where n is the number of rows of the fixed side and f the rank:

    - "rows": the rows of the fixed side that it needs, of all nodes but itself and the node before it. With copies in 16
      bits, a row has f numbers of 2 bytes, where f is rounded up to a multiple of 32, and one of 4 bytes. Heavy rows come
      as they are, too. Without copies, a row has f numbers of `itemsize` bytes.
    - "replicas": all rows of the node before it, as they are. It keeps them in case that node is lost.
    - "gramians": the sums of f x f numbers of float64 of the node before it. The last node sends them to the driver.
    - "bases": the eigenvectors, f x f numbers of float64 from the driver.
    - "borders": a segment of the Gramian is summed by the node that owns most of its rows. The others send it their rows,
      a quarter of a segment on average for each pair of neighbours.

    Parameters
    ----------
    shape : (n_users, n_items)
    factors : int
        Rank f, with one more for biases.
    nodes : int
    itemsize : int
        Bytes of a number of the factors: 4 or 8.
    needed : (float, float)
        The share of the items that the users of one node need on average, and the share of the users that its items need.
        By default all, which is so unless the data are very sparse. From 0.95 on, all rows travel.
    heavy : (float, float)
        The share of the items, and of the users, that entries of very large weight name.
    copies : bool
        Whether solvers read a 16-bit copy of a large fixed side: with solver "auto" or "cg" and ``compact=True``. A side of
        less than 2 MB, or with another `itemsize` than 4, has none.
    rotates : bool
        Whether factors are rotated: not with an unobserved weight of 0, or with objective "explicit". There are no copies
        then.

    Returns
    -------
    dict of str to int
        "rows", "replicas", "gramians", "bases", "borders" and "total".

    Examples
    --------
    >>> from cymbals.distributed import bytes_per_iteration
    >>> found = bytes_per_iteration((359_000, 292_000), 128, nodes=4)
    >>> found["rows"] == 2 * (359_000 + 292_000) * (128 * 2 + 4)
    True
    >>> found["replicas"] == (359_000 + 292_000) * 128 * 4
    True
    """
    out = dict.fromkeys(("rows", "replicas", "gramians", "bases", "borders"), 0)
    width = factors * itemsize
    for n, share, of_heavy in ((shape[1], needed[0], heavy[0]), (shape[0], needed[1], heavy[1])):
        copied = copies and rotates and itemsize == 4 and n * width >= LARGE_BYTES
        share = 1.0 if share >= NEARLY_ALL else share
        of_row = 4 * (compact_width(factors) + 1) + of_heavy * width if copied else width
        out["rows"] += round(max(nodes - 2, 0) * n * share * of_row)
        out["replicas"] += (nodes > 1) * n * width
        if not rotates:
            continue
        segments = len(gram_segments(n, factors)) - 1
        out["gramians"] += 8 * factors**2 * min(nodes, segments)
        out["bases"] += 8 * factors**2 * nodes
        out["borders"] += round(_border_rows(n, nodes, segments) * width)
    return out | {"total": sum(out.values())}


def _border_rows(n: int, nodes: int, segments: int) -> float:
    """How many rows are summed by a node that does not own them, on average over the places where ranges begin."""
    if segments >= nodes:
        return (nodes - 1) * n / segments / 4
    return n * (1 - segments / nodes)  # each segment is summed by the one of several nodes that owns most of it
