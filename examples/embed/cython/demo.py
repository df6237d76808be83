"""Fits a problem with the extension module: python demo.py PROBLEM FACTORS (../README.md describes both files)."""

import sys

import als
import numpy as np

with open(sys.argv[1], "rb") as file:
    n_rows, n_cols, nnz, f, iterations, n_threads = np.fromfile(file, np.int64, 6).tolist()
    indptr, indices = np.fromfile(file, np.int64, n_rows + 1), np.fromfile(file, np.int32, nnz)
    values = np.fromfile(file, np.float32, nnz)
    x, y = (np.fromfile(file, np.float32, n * f).reshape(n, f) for n in (n_rows, n_cols))
als.fit(indptr, indices, values, x, y, iterations, n_threads)
with open(sys.argv[2], "wb") as file:
    x.tofile(file)
    y.tofile(file)
print("scores of the first user:", x[0] @ y[:5].T)
