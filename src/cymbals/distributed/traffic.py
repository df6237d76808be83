"""How many bytes the nodes of a distributed fit receive from each other: the model that a plan uses."""

from __future__ import annotations

from collections.abc import Sequence

from .._core import gram_segments

_BLOCK_ROWS = 256  # segments of a Gramian begin at multiples of it: see csrc/gramian.cpp


def bytes_per_iteration(
    shape: tuple[int, int],
    factors: int,
    nodes: int,
    *,
    itemsize: int = 4,
    needed: Sequence[float] = (1.0, 1.0),
    rotates: bool = True,
) -> dict[str, int]:
    """Predict the bytes that all nodes together receive in one iteration of `cymbals.distributed.fit`.

    In a half-step, a node receives the following, where n is the number of rows of the fixed side and f the rank:

    - "shards": the rows of the fixed side that it needs and does not own, f numbers each. From its neighbour it takes all
      rows, needed or not, because it keeps a second copy of them in case the neighbour is lost.
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
        By default all, which is so unless the data are very sparse. From 0.8 on, all rows travel.
    rotates : bool
        Whether factors are rotated: not with an unobserved weight of 0, or with objective "explicit".

    Returns
    -------
    dict of str to int
        "shards", "gramians", "bases", "borders" and "total".

    Examples
    --------
    >>> from cymbals.distributed import bytes_per_iteration
    >>> bytes_per_iteration((359_000, 292_000), 128, nodes=4)["shards"] == 3 * (359_000 + 292_000) * 128 * 4
    True
    """
    out = dict.fromkeys(("shards", "gramians", "bases", "borders"), 0)
    width = factors * itemsize
    for n, share in ((shape[1], needed[0]), (shape[0], needed[1])):
        share = 1.0 if share >= WHOLE_SHARE else share
        to_neighbours = (nodes > 1) * n
        to_others = max(nodes - 2, 0) * n * share
        out["shards"] += round((to_neighbours + to_others) * width)
        if not rotates:
            continue
        segments = len(gram_segments(n, factors)) - 1
        out["gramians"] += 8 * factors**2 * min(nodes, segments)
        out["bases"] += 8 * factors**2 * nodes
        out["borders"] += round(_border_rows(n, nodes, segments) * width)
    return out | {"total": sum(out.values())}


WHOLE_SHARE = 0.8  # from this share of the rows of a node on, another node takes all of them, in one object for all


def _border_rows(n: int, nodes: int, segments: int) -> float:
    """How many rows are summed by a node that does not own them, on average over the places where ranges begin."""
    if segments >= nodes:
        return (nodes - 1) * n / segments / 4
    return n * (1 - segments / nodes)  # each segment is summed by the one of several nodes that owns most of it
