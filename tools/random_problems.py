"""Used by random_programs.py: random matrices and arguments, and the answers of the reference with their tolerances."""

import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import reference

VALUES = {  # kind: a function that draws stored values, and the dtypes that can hold them
    "counts": (lambda rng, shape: rng.integers(1, 100, shape), "int8 uint8 int16 int32 int64 uint64 float32 float64"),
    "ratings": (lambda rng, shape: rng.integers(1, 11, shape) / 2, "float32 float64"),
    "signed": (lambda rng, shape: rng.integers(1, 9, shape) * rng.choice([-1, 1], shape), "int8 int64 float32 float64"),
    "binary": (lambda rng, shape: np.ones(shape), "bool uint8 int32 float32"),
    "fractional": (lambda rng, shape: 0.01 + rng.random(shape), "float32 float64"),
    "large": (lambda rng, shape: 10 ** rng.uniform(-6, 7, shape), "float32 float64"),
}
PARAMS = {
    "factors": tuple(range(1, 41)), "objective": ("hu", "ials", "explicit"),
    "confidence": ("linear", "log", "binary", "total"), "row_size": ("weighted", "entries"),
    "alpha": (0.0, 0.1, 1.0, 40.0), "unobserved_weight": (0.0, 0.1, 1.0, 1.8), "nu": (0.0, 0.5, 1.0),
    "regularization": (0.0, 1e-3, 0.1, 1.0, 10.0), "biases": (False, True), "solver": ("auto", "cg", "exact", "exact"),
    "cg_steps": (1, 3, 9), "tol": (None, None, 1e-2), "iterations": (1, 2, 3, 5), "dtype": ("float32", "float64"),
    "relaxation": (None, 1.0, 1.5), "n_threads": (1, 2, 3), "compact": (True, False), "random_state": (0, 7),
}  # fmt: skip
NAMES = {"kind": "objective", "reg": "regularization", "nu": "nu", "alpha": "alpha", "alpha0": "unobserved_weight"}
NAMES |= {name: name for name in ("confidence", "row_size")}
# The tolerance of a score is about this many times the change of the reference's score when its inputs are rounded.
SLACK = 30
# Replaces SLACK if the dtype is float64, or if there is no regularization. Without regularization, rounding decides the
# factors in the directions that the data do not determine.
LARGE_SLACK = 300
# A bound of the absolute values of each kind.
LARGEST = {"counts": 100, "ratings": 5, "signed": 8, "binary": 1, "fractional": 1.01, "large": 1e7}


def pick(rng, choices):
    return choices[rng.integers(len(choices))]


def ids(rng, n):
    """None, whole numbers or strings."""
    numbers = rng.permutation(3 * n)[:n]
    return pick(rng, (None, numbers, np.array([f"id{number}" for number in numbers], object)))


def matrix(rng, kind, shape):
    """A scipy matrix of a random format, and the same as a dense array, with NaN where nothing is stored."""
    draw, dtypes = VALUES[kind]
    values = draw(rng, shape).astype(pick(rng, dtypes.split()))
    values[rng.random(shape) < pick(rng, (0, 0, 0.1))] = 0
    stored = rng.random(shape) < pick(rng, (0.02, 0.2, 0.6, 1))
    stored &= (rng.random((shape[0], 1)) < 0.9) & (rng.random(shape[1]) < 0.9)  # empty rows and columns
    if rng.random() < 0.3:  # two equal items, whose scores tie
        values[:, -1], stored[:, -1] = values[:, 0], stored[:, 0]
    rows, cols = rng.permutation(np.argwhere(stored)).T  # in random order
    data = values[rows, cols]
    if rng.random() < 0.2 and data.dtype != bool:  # duplicate entries, which must be summed
        rows, cols, data = np.tile(rows, 2), np.tile(cols, 2), np.concatenate([data // 3, data - data // 3])
    form, ending = pick(rng, ("csr", "csc", "coo", "lil", "bsr")), pick(rng, ("array", "matrix"))
    made = getattr(sp, f"coo_{ending}")((data, (rows, cols)), shape=shape)
    if form in ("csr", "csc"):  # made without scipy's conversion, which would sort and sum the entries
        along, across = (rows, cols) if form == "csr" else (cols, rows)
        order, index = np.argsort(along, kind="stable"), pick(rng, (np.int32, np.int64))
        indptr = np.searchsorted(along[order], np.arange(shape[form == "csc"] + 1))
        made = getattr(sp, f"{form}_{ending}")((data[order], across[order], indptr), shape=shape)
        made.indices, made.indptr = made.indices.astype(index), made.indptr.astype(index)
        for array in (made.data, made.indices, made.indptr):
            array.flags.writeable = bool(rng.random() < 0.7)
    dense = np.where(stored, values.astype(float), np.nan)
    if form == "bsr":  # fills its blocks with zeros, so no stored zero can be told from them
        dense = np.where(dense == 0, np.nan, dense)
    return made.asformat(form), dense


def stored(dense):
    """A CSR array with all entries that are not NaN."""
    at = np.nonzero(~np.isnan(dense))
    return sp.csr_array((dense[at], at), shape=dense.shape)


def scores(x, y, mean=None):
    """All scores of users [x, b_u] and items [y, b_i]. Without a mean, of users x and items y."""
    return x @ y.T if mean is None else mean + x[:, -1:] + y[:, -1] + x[:, :-1] @ y[:, :-1].T


class Reference:
    """tests/reference.py with the arguments of one model. Also computes how far rounding may move a solver from it."""

    def __init__(self, params, rng, largest):
        self.rng, self.eps, self.biases = rng, np.finfo(params["dtype"]).eps, params["biases"]
        self.arguments = {name: params[of] for name, of in NAMES.items()}
        self.size = largest if params["objective"] == "explicit" else 1.0  # size of a target
        self.slack = SLACK if params["regularization"] > 0 and params["dtype"] == "float32" else LARGE_SLACK
        # Rounding decides the solution in two cases, and the scores are then not compared: without a Gramian, if the
        # regularization is tiny compared with the heaviest entry; and in float32, if there is no regularization.
        explicit, reg = params["objective"] == "explicit", params["regularization"]
        heaviest = self.size**2 if explicit else params["alpha"] * largest
        tiny = reg <= (1e-6 if params["dtype"] == "float64" else 1e-4) * heaviest
        self.vague = (tiny and (explicit or params["unobserved_weight"] == 0)) or (reg == 0 and self.eps > 1e-10)

    def solve(self, dense, fixed, mean, ridge=0.0):
        """Solve rows. `ridge` times a bound of the elements of all systems is added to the regularization."""
        if mean is not None:
            dense, fixed = dense - mean - fixed[:, -1], np.column_stack([fixed[:, :-1], np.ones(len(fixed))])
        size = fixed.shape[1] * np.sum(fixed**2) * max(1, self.weights(dense).max())
        try:
            return reference.solve(dense, fixed, **self.arguments | {"reg": self.arguments["reg"] + ridge * size})
        except np.linalg.LinAlgError:
            return reference.solve(dense, fixed, **self.arguments | {"reg": 1e-12 * size + 1e-300, "nu": 0.0})

    def weights(self, dense):
        """The weight of the squared error of each cell."""
        arguments = {name: value for name, value in self.arguments.items() if name not in ("reg", "nu", "row_size")}
        of_all = 0.0 if arguments["kind"] == "explicit" else arguments["alpha0"]
        of_stored = reference.weights(dense, **arguments | {"alpha0": of_all})[0]
        return np.where(np.isnan(dense), 0, of_stored) + of_all

    def loss(self, dense, x, y):
        if self.biases:
            return reference.loss_biased(dense, x, y, self.arguments["reg"], self.arguments["nu"])
        return reference.loss(dense, x, y, **self.arguments)

    def rounded(self, side, eps):
        """Factors rounded in a random basis, relative to the longest row. Equal rows stay equal."""
        grid = 2 * eps * np.linalg.norm(side, axis=1).max()
        basis = np.linalg.qr(self.rng.standard_normal((side.shape[1],) * 2))[0]
        return np.round(side @ basis / grid) * grid @ basis.T if grid else side

    def least_ridge(self):
        """The ridge that every solver adds, so that the rounding of factors has no effect."""
        return max(16 * self.eps**2, 2e-16)

    def problems(self):
        """Pairs of a rounding error and a ridge: first (0, 0), then pairs that a solver of this precision may have."""
        return (0, 0), (self.eps, self.least_ridge()), (self.eps, self.least_ridge()), (self.eps, self.eps)

    def answers(self, dense, fixed, mean, score):
        """`score` of the solutions of the rows, then of the solutions of slightly different problems."""
        return [score(self.solve(dense, self.rounded(fixed, e), mean, ridge)) for e, ridge in self.problems()]

    def iteration(self, dense, y, mean):
        """All scores after one iteration that starts from y; then the same for slightly different problems."""
        users = ((self.rounded(self.solve(dense, self.rounded(y, e), mean, r), e), r) for e, r in self.problems())
        return [scores(x, self.solve(dense.T, x, mean, ridge), mean) for x, ridge in users]

    def room(self, answers):
        """The tolerance of each row of scores around `answers[0]`. Infinite if rounding changes the answers by 0.1 %."""
        moved = np.max([np.abs(other - answers[0]) for other in answers], axis=(0, 2), initial=0)
        size = np.abs(answers[0]).max(axis=1, initial=0) + self.size
        return np.where((moved > 1e-3 * size) | self.vague, np.inf, self.slack * (moved + 20 * self.eps * size))

    def room_of_products(self, x, y, mean):
        """How far each score that the library computes from these factors may be from the result of scores()."""
        size = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
        size = size if mean is None else size + abs(mean) + abs(x[:, -1:]) + abs(y[:, -1])
        return 4 * (x.shape[1] + 8) * self.eps * size + 1e-36

    def room_of_loss(self, dense, x, y, mean):
        """The tolerance of a loss around `loss`, due to the rounding of scores and sums."""
        cells = np.sum(~np.isnan(dense)) if self.arguments["kind"] == "explicit" else dense.size
        moved = np.sum(self.weights(dense) * self.room_of_products(x, y, mean) ** 2) / cells
        want, none = abs(self.loss(dense, x, y)), self.loss(dense, 0 * x, 0 * y) + np.square(mean or 0.0)
        return 1e3 * self.eps * (want + none) + 2 * np.sqrt(want * moved) + moved + 1e-30
