"""Generates the two data sets of the benchmarks, which are called shapes, and smaller cuts of them.

dense: 138k users x 27k items, 10M entries, log-normal numbers of entries from 20 up. sparse: 359k x 292k, 19M entries,
about 53 for each user, Zipf-distributed items. Each user prefers one of several clusters of items. Values are
1 + lognormal(1, 1.2), at most 500. The same seed gives the same data.
"""

from __future__ import annotations

import numpy as np

from cymbals import Interactions

SHAPES = {"dense": (138_000, 27_000, 10_000_000), "sparse": (359_000, 292_000, 17_500_000)}
CLUSTERS = 50


def generate(shape: str = "dense", scale: float = 1.0, seed: int = 0) -> Interactions:
    """Generate one of SHAPES, with its numbers of users, items and entries multiplied by `scale`."""
    n_users, n_items, n_entries = (max(1, int(n * scale)) for n in SHAPES[shape])
    rng = np.random.default_rng(seed)
    least = 20 if shape == "dense" else 1
    activity = rng.lognormal(0.0, 1.1 if shape == "dense" else 0.7, n_users)
    activity = np.minimum(least + activity / activity.mean() * (n_entries / n_users * 1.19 - least), n_items / 4)
    counts = np.maximum(activity.astype(np.int64), 1)
    users = np.repeat(np.arange(n_users), counts)
    weights = 1.0 / np.arange(1, n_items + 1) ** (0.75 if shape == "dense" else 0.8)
    rank_of_item = rng.permutation(n_items)
    # Half of a user's entries are moved to the user's cluster c: the items whose popularity rank is c modulo CLUSTERS.
    cluster = rng.integers(CLUSTERS, size=n_users)[users]
    cumulative = np.cumsum(weights) / weights.sum()
    rank = np.minimum(np.searchsorted(cumulative, rng.random(users.size)), n_items - 1)
    own = rng.random(users.size) < 0.5
    rank = np.where(own, np.minimum(rank // CLUSTERS * CLUSTERS + cluster, n_items - 1), rank)
    pairs = np.unique(users * n_items + rank_of_item[rank])
    users, items = np.divmod(pairs, n_items)
    values = np.minimum(1 + rng.lognormal(1.0, 1.2, pairs.size), 500).astype(np.float32)
    return Interactions.from_arrays(users, items, values, shape=(n_users, n_items))
