"""The specification: alternating least squares in dense float64 NumPy, one row at a time, slow and plain.

Every fast path is compared with this file. Matrices are dense with NaN where nothing was observed.
"""

import numpy as np


def weights(values, kind, alpha=1.0, alpha0=1.0, confidence="linear", epsilon=1.0):
    """a, b and c of each observed value.

    Every cell has the loss alpha0 s^2. An observed cell has in addition the loss a s^2 - 2 b s + c.
    """
    r = np.asarray(values, dtype=np.float64)
    if kind == "explicit":
        return np.ones_like(r), r, r**2
    size = {"linear": np.abs(r), "log": np.log1p(np.abs(r) / epsilon), "binary": (r != 0) * 1.0, "total": np.abs(r)}
    w = alpha * size[confidence] - (confidence == "total")
    if kind == "ials":
        return w, w, w
    b = np.where(r > 0, 1 + w, 0.0)
    return 1 + w - alpha0, b, b


def row_regularization(dense, kind, reg, nu, alpha0, row_size="weighted"):
    n = np.sum(~np.isnan(dense), axis=1)
    others = dense.shape[1] if kind != "explicit" and row_size == "weighted" else 0
    return reg * (n + alpha0 * others) ** float(nu)


def solve(
    dense,
    y,
    kind,
    reg=0.01,
    nu=0.0,
    alpha=1.0,
    alpha0=1.0,
    confidence="linear",
    epsilon=1.0,
    row_size="weighted",
    prior=None,
):
    """All rows of `dense` against y, exactly. The regularization pulls them towards the rows of `prior`, or towards 0."""
    alpha0 = 0.0 if kind == "explicit" else alpha0
    regs = row_regularization(dense, kind, reg, nu, alpha0, row_size)
    x = np.zeros((dense.shape[0], y.shape[1])) if prior is None else np.array(prior, float)
    gram = alpha0 * (y.T @ y)
    for u, row in enumerate(dense):
        seen = ~np.isnan(row)
        if not seen.any():
            continue
        a, b, _ = weights(row[seen], kind, alpha, alpha0, confidence, epsilon)
        rows = y[seen]
        system = gram + rows.T @ (a[:, None] * rows) + regs[u] * np.eye(y.shape[1])
        x[u] = np.linalg.solve(system, rows.T @ b + (0 if prior is None else regs[u] * x[u]))
    return x


def fit(dense, x, y, iterations, **how):
    """x and y after each iteration, users first."""
    for _ in range(iterations):
        x = solve(dense, y, **how)
        y = solve(dense.T, x, **how)
        yield x, y


def loss(dense, x, y, kind, reg=0.01, nu=0.0, alpha=1.0, alpha0=1.0, confidence="linear", epsilon=1.0, row_size="weighted"):
    """The objective divided by the number of cells; with "explicit", by the number of entries."""
    alpha0 = 0.0 if kind == "explicit" else alpha0
    scores = x @ y.T
    seen = ~np.isnan(dense)
    a, b, c = weights(dense[seen], kind, alpha, alpha0, confidence, epsilon)
    s = scores[seen]
    total = np.sum(a * s**2 - 2 * b * s + c) + alpha0 * np.sum(scores**2)
    total += np.sum(row_regularization(dense, kind, reg, nu, alpha0, row_size) * np.sum(x**2, axis=1))
    total += np.sum(row_regularization(dense.T, kind, reg, nu, alpha0, row_size) * np.sum(y**2, axis=1))
    return total / (np.sum(seen) if kind == "explicit" else dense.size)


def solve_biased(dense, fixed, mean, reg=0.01, nu=0.0):
    """Solves all rows of "explicit" for fixed [y, b]; returns [x, b].

    The targets are r - mean - b, with b of the fixed side. A row's own bias is the coefficient of a column of ones."""
    ones = np.column_stack([fixed[:, :-1], np.ones(len(fixed))])
    return solve(dense - mean - fixed[:, -1], ones, "explicit", reg, nu)


def fit_biased(dense, x, y, iterations, **how):
    """[x, b] and [y, b] after each iteration, users first; biases start at 0."""
    mean = np.nanmean(dense)
    x, y = (np.column_stack([side, np.zeros(len(side))]) for side in (x, y))
    for _ in range(iterations):
        x = solve_biased(dense, y, mean, **how)
        y = solve_biased(dense.T, x, mean, **how)
        yield x, y


def scores_biased(dense, x, y):
    """mean + b_u + b_i + x.y."""
    return np.nanmean(dense) + x[:, -1:] + y[:, -1] + x[:, :-1] @ y[:, :-1].T


def loss_biased(dense, x, y, reg=0.01, nu=0.0):
    """Squared errors plus regularization, divided by the number of entries. Biases are regularized like factors."""
    total = np.nansum((dense - scores_biased(dense, x, y)) ** 2)
    total += np.sum(row_regularization(dense, "explicit", reg, nu, 0.0) * np.sum(x**2, axis=1))
    total += np.sum(row_regularization(dense.T, "explicit", reg, nu, 0.0) * np.sum(y**2, axis=1))
    return total / np.sum(~np.isnan(dense))


def philox(counter, key):
    """Four 32-bit words from a counter of four words and a key of two: Philox4x32-10 of Salmon et al. 2011."""
    c0, c1, c2, c3 = counter
    for i in range(10):
        k0, k1 = (key[0] + i * 0x9E3779B9) % 2**32, (key[1] + i * 0xBB67AE85) % 2**32
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = b >> 32 ^ c1 ^ k0, b % 2**32, a >> 32 ^ c3 ^ k1, a % 2**32
    return c0, c1, c2, c3


def normal_row(key, stream, row, rank):
    """The random start of a row, N(0, 1): Box and Muller's formula on the words of `philox`."""
    out = []
    for group in range(-(-rank // 4)):
        words = philox((group, stream, row % 2**32, row >> 32), (key % 2**32, key >> 32))
        for u, v in (words[:2], words[2:]):
            # v has a quarter of the circle in its upper two bits, and a signed part of a quarter below
            angle = (v >> 30) + ((v % 2**30 ^ 2**29) - 2**29) / 2**30
            radius = np.sqrt(-2 * np.log(((u >> 1) + 0.5) / 2**31))
            out += [radius * np.cos(np.pi / 2 * angle), radius * np.sin(np.pi / 2 * angle)]
    return np.array(out[:rank])
