"""Writes random play counts and starting factors to a file: python problem.py FILE [USERS ITEMS FACTORS]."""

import sys

import numpy as np
import scipy.sparse as sp

n_users, n_items, factors = map(int, sys.argv[2:]) if len(sys.argv) > 2 else (2000, 3000, 32)
iterations, threads = 5, 2
rng = np.random.default_rng(0)
plays = sp.random_array(
    (n_users, n_items), density=0.02, rng=rng, format="csr", data_sampler=lambda size: rng.zipf(2, size)
)
start = [rng.standard_normal((n, factors)) * 0.1 / np.sqrt(factors) for n in plays.shape]

with open(sys.argv[1], "wb") as file:
    np.array([n_users, n_items, plays.nnz, factors, iterations, threads], np.int64).tofile(file)
    plays.sort_indices()
    plays.indptr.astype(np.int64).tofile(file)
    plays.indices.astype(np.int32).tofile(file)
    np.minimum(plays.data, 100).astype(np.float32).tofile(file)
    for side in start:
        side.astype(np.float32).tofile(file)
