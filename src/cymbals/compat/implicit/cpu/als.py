"""implicit's ALS model on the CPU, fitted by cymbals."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ...._core import SolveError, Workspace
from ....base.interrupt import interruptible
from ....base.progress import progress_bar
from ....solve.fold_in import FixedSide
from ....solve.loop import FitLoop, FitState, Schedule
from .. import stored
from ..confidence import confidences
from ..recommender_base import ModelFitError
from ..solvers import calculate_loss, least_squares, least_squares_cg, loss_of
from ..utils import check_csr, check_random_state, n_threads_of
from .matrix_factorization_base import MatrixFactorizationBase

__all__ = ["AlternatingLeastSquares", "calculate_loss", "least_squares", "least_squares_cg"]

log = logging.getLogger("implicit")  # the name that programs configure


class AlternatingLeastSquares(MatrixFactorizationBase):
    """implicit's model of implicit feedback (Hu, Koren, Volinsky 2008), fitted by cymbals.

    An entry r of the matrix gives the confidence c = alpha r. A cell with c > 0 has weight c and target 1. A cell with
    c < 0 has weight -c and target 0. All other cells have weight 1 and target 0.

    Parameters
    ----------
    factors : int
        Number of factors of each user and each item.
    regularization : float
    alpha : float
        Multiplier of the values.
    dtype : data-type
        float32 or float64.
    use_native : bool
        No effect: cymbals has only one implementation.
    use_cg : bool
        True: solver "auto" of `cymbals.ALS`, which solves rows by conjugate gradients or exactly. It does at least
        `cg_steps` (3) steps. False: solve every row exactly.
    iterations : int
        Number of iterations. Each solves all users, then all items.
    calculate_training_loss : bool
        Compute the loss after each iteration, and write it to the logger "implicit".
    num_threads : int
        0: see `cymbals.threads`.
    random_state : int, Generator, RandomState or None
        Seed of the starting factors, which are drawn from the uniform distribution on [0, 0.01).

    Attributes
    ----------
    user_factors, item_factors : ndarray, shape (n_users, factors) and (n_items, factors), or None
    cg_steps : int
        See `use_cg`.
    fit_callback : callable or None
        Used if `fit` gets no callback.
    """

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        use_native: bool = True,
        use_cg: bool = True,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(num_threads=num_threads)
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.dtype = np.dtype(dtype)
        self.use_native = use_native
        self.use_cg = use_cg
        self.iterations = iterations
        self.calculate_training_loss = calculate_training_loss
        self.fit_callback: Callable[[int, float, float | None], Any] | None = None
        self.cg_steps = 3
        self.random_state = random_state

    def _forget_users(self) -> None:
        super()._forget_users()
        self._user_side: FixedSide | None = None
        self._XtX: NDArray[Any] | None = None

    def _forget_items(self) -> None:
        super()._forget_items()
        self._item_side: FixedSide | None = None
        self._YtY: NDArray[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        caches = ("_user_norms", "_item_norms", "_user_side", "_item_side", "_XtX", "_YtY")
        return {name: value for name, value in vars(self).items() if name not in caches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget_users()
        self._forget_items()

    # -- fitting -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        user_items: Any,
        show_progress: bool = True,
        callback: Callable[[int, float, float | None], Any] | None = None,
    ) -> None:
        """Fit the factors to a matrix of users x items.

        If the model has factors, because it was fitted before or because they were assigned, the fit goes on from them.

        Parameters
        ----------
        user_items : csr_matrix, shape (n_users, n_items)
            A value above 0 says how sure it is that the user likes the item, a value below 0 that they do not.
        show_progress : bool
            Show a progress bar on stderr.
        callback : callable, optional
            Called as ``callback(iteration, seconds, loss)`` after each iteration, counted from 0. The loss is None without
            `calculate_training_loss`.

        Raises
        ------
        ValueError
            The matrix has another shape than the factors that the model has already, or a row cannot be solved exactly.
        ModelFitError
            A value is not finite, or the factors become so.
        """
        n_threads = n_threads_of(self.num_threads)
        random_state = check_random_state(self.random_state)
        given = confidences("user_items", user_items, self.alpha, self._used_dtype(), n_threads)
        n_users, n_items = given.csr.shape
        from_noise = self.user_factors is None or self.item_factors is None
        x = self._start("user_factors", n_users, random_state)
        y = self._start("item_factors", n_items, random_state)
        if x.shape[1] != y.shape[1] or x.dtype != y.dtype:
            raise ValueError(
                "user_factors and item_factors must have the same number of factors and the same dtype; they have "
                f"{x.shape[1]} in {x.dtype} and {y.shape[1]} in {y.dtype}"
            )
        settings = given.settings(
            self.regularization, solver="auto" if self.use_cg else "exact", cg_steps=max(1, self.cg_steps)
        )
        columns = given.csr.transposed(n_threads)
        loop = FitLoop(given.csr, columns, settings, Schedule(), from_noise, Workspace(n_threads))
        state = FitState(x, y, int(self.iterations))
        self.user_factors, self.item_factors = x, y
        training_loss, start = None, time.perf_counter()
        # A half-step changes both sides in place, so Ctrl-C must wait for its end.
        with interruptible() as interrupted, progress_bar(bool(show_progress), state.n_iterations, "fit") as advance:
            while not state.finished:
                with self._failing():
                    state = loop.step(state)
                self.user_factors, self.item_factors = state.x, state.y
                if interrupted():
                    interrupted.deliver()
                if not state.between_iterations:
                    continue
                entry: dict[str, Any] = {"iteration": state.iteration}
                if self.calculate_training_loss:
                    training_loss = loss_of(given, state.x, state.y, self.regularization, loop.workspace)
                    entry["loss"] = training_loss
                    if not show_progress:
                        log.info("loss %.4f", training_loss)
                advance(entry)
                callback = callback or self.fit_callback
                if callback:
                    callback(state.iteration - 1, time.perf_counter() - start, training_loss)
                start = time.perf_counter()
        if training_loss is not None:
            log.info("Final training loss %.4f", training_loss)
        self._check_fit_errors()

    def _used_dtype(self) -> Any:
        """The dtype of the factors that the model has, or of those that it will get."""
        for factors in (self.user_factors, self.item_factors):
            if factors is not None:
                return np.dtype(factors.dtype)
        return np.dtype(self.dtype)

    def _start(self, name: str, n_rows: int, random_state: np.random.Generator) -> NDArray[Any]:
        """A copy of the factors that the model has, or random ones."""
        factors = getattr(self, name)
        if factors is None:
            return random_state.random((n_rows, self.factors), dtype=self._used_dtype()) * 0.01
        if factors.ndim != 2 or factors.shape[0] != n_rows:
            raise ValueError(
                f"user_items needs {n_rows} rows of {name}, but the model has {name} of shape {factors.shape} already, "
                "and fit goes on from them; to begin anew, fit a new model"
            )
        if factors.dtype not in (np.dtype("float32"), np.dtype("float64")):
            raise ValueError(f"{name} must be float32 or float64, got {factors.dtype}")
        return np.array(factors, order="C")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Raise implicit's errors for a row that cannot be solved: another one for each solver."""
        try:
            yield
        except SolveError as error:
            kind = ModelFitError if self.use_cg else ValueError
            raise kind(f"row {error.row}: {error}. Try increasing the regularization parameter, or lower alpha") from None

    # -- solving rows again ------------------------------------------------------------------------------------------

    def recalculate_user(self, userid: Any, user_items: Any) -> NDArray[Any]:
        """Compute the factors of users from their values, without storing them.

        Parameters
        ----------
        userid : int or array_like of int
            Only the number of users counts.
        user_items : csr_matrix
            One row for each user.

        Returns
        -------
        ndarray, shape (f,) or (m, f)
        """
        n_threads = n_threads_of(self.num_threads)
        if self._item_side is None:
            self._item_side = FixedSide.of(np.array(self.item_factors, order="C"), n_threads)
        return self._recalculated(userid, user_items, self._item_side, "user_items", "items", n_threads)

    def recalculate_item(self, itemid: Any, item_users: Any) -> NDArray[Any]:
        """Compute the factors of items from their values, without storing them.

        Parameters
        ----------
        itemid : int or array_like of int
            Only the number of items counts.
        item_users : csr_matrix
            One row for each item, with a column for each user.

        Returns
        -------
        ndarray, shape (f,) or (m, f)
        """
        n_threads = n_threads_of(self.num_threads)
        if self._user_side is None:
            self._user_side = FixedSide.of(np.array(self.user_factors, order="C"), n_threads)
        return self._recalculated(itemid, item_users, self._user_side, "item_users", "users", n_threads)

    def _recalculated(self, ids: Any, rows: Any, fixed: FixedSide, name: str, others: str, n_threads: int) -> NDArray[Any]:
        one = np.isscalar(ids)
        n_rows = 1 if one else len(ids)
        if rows.shape[0] != n_rows:
            raise ValueError(f"{name} should have one row for each id: it has {rows.shape[0]} rows for {n_rows} ids")
        given = confidences(name, rows, self.alpha, fixed.rotated.dtype, n_threads)
        n_others = fixed.rotated.shape[0]
        indices = given.csr.indices
        if indices.size and (largest := int(indices.max())) >= n_others:
            raise ValueError(f"{name} has an entry in column {largest}, but the model has {n_others} {others}")
        with self._failing():
            solved = fixed.solve(
                replace(given.csr, shape=(n_rows, n_others)), given.settings(self.regularization, solver="exact"), n_threads
            )
        return solved[0] if one else solved

    def partial_fit_users(self, userids: Any, user_items: Any) -> None:
        """Compute the factors of users from their values, and store them. New users get new rows.

        Parameters
        ----------
        userids : array_like of int
        user_items : csr_matrix
            One row for each user, with all their values.
        """
        if len(userids) != user_items.shape[0]:
            raise ValueError(
                f"user_items must contain 1 row for every user in userids: it has {user_items.shape[0]} rows for "
                f"{len(userids)} users"
            )
        rows = self.recalculate_user(userids, user_items)
        self.user_factors = _with_rows(self.user_factors, userids, rows)

    def partial_fit_items(self, itemids: Any, item_users: Any) -> None:
        """Compute the factors of items from their values, and store them. New items get new rows.

        Parameters
        ----------
        itemids : array_like of int
        item_users : csr_matrix
            One row for each item, with all its values.
        """
        if len(itemids) != item_users.shape[0]:
            raise ValueError(
                f"item_users must contain 1 row for every item in itemids: it has {item_users.shape[0]} rows for "
                f"{len(itemids)} items"
            )
        rows = self.recalculate_item(itemids, item_users)
        self.item_factors = _with_rows(self.item_factors, itemids, rows)

    def explain(
        self, userid: int, user_items: Any, itemid: int, user_weights: Any = None, N: int = 10
    ) -> tuple[float, list[tuple[Any, Any]], Any]:
        """Say how much each item of a user contributes to the score of an item (Hu, Koren, Volinsky 2008, section 5).

        Parameters
        ----------
        userid : int
            Row of `user_items`.
        user_items : csr_matrix
            The values of all users, with a row for each.
        itemid : int
        user_weights : optional
            The third result of an earlier call for this user; it saves time.
        N : int
            Number of contributions to return.

        Returns
        -------
        total_score : float
            The sum of all contributions: the score of the item with the user's exact factors.
        top_contributions : list of (int, float)
            Items and their contributions, largest first.
        user_weights : tuple
            The Cholesky factor of the user's linear system, as `scipy.linalg.cho_factor` returns it.
        """
        csr = check_csr(user_items)
        part = slice(csr.indptr[userid], csr.indptr[userid + 1])
        items, entry_of = np.unique(csr.indices[part], return_inverse=True)  # as `fit` does: entries of an item are added,
        c = np.zeros(items.size, csr.data.dtype if csr.data.dtype.kind == "f" else np.float64)
        np.add.at(c, entry_of, csr.data[part] * self.alpha)
        items, c = items[c != 0], c[c != 0]  # and zeros are dropped
        own = self.item_factors[items].astype(np.float64)
        if user_weights is None:
            system = self.YtY + float(self.regularization) * np.eye(own.shape[1])
            system += own.T @ ((np.abs(c) - 1)[:, None] * own)
            user_weights = scipy.linalg.cho_factor(system)
        liked = c > 0
        items, c, own = items[liked], c[liked], own[liked]
        parts = c * (own @ scipy.linalg.cho_solve(user_weights, self.item_factors[itemid].astype(np.float64)))
        largest = np.lexsort((items, parts))[::-1][: max(0, N)]
        return parts.sum(), list(zip(items[largest], parts[largest], strict=True)), user_weights

    @property
    def solver(self) -> Callable[..., None]:
        """A function that solves one side: ``solver(Cui, X, Y, regularization, num_threads=0)``. It writes to X."""
        return partial(least_squares_cg, cg_steps=self.cg_steps) if self.use_cg else least_squares

    @property
    def YtY(self) -> NDArray[Any]:
        """The Gramian of the items' factors, shape (f, f)."""
        if self._YtY is None:
            self._YtY = self.item_factors.T.dot(self.item_factors)
        return self._YtY

    @property
    def XtX(self) -> NDArray[Any]:
        """The Gramian of the users' factors, shape (f, f)."""
        if self._XtX is None:
            self._XtX = self.user_factors.T.dot(self.user_factors)
        return self._XtX

    def to_gpu(self) -> Any:
        """Not possible: raises ValueError."""
        raise ValueError("cymbals computes on the CPU only; leave to_gpu out")

    def to_cpu(self) -> Any:
        """Not needed: raises ValueError."""
        raise ValueError("this model is on the CPU already; leave to_cpu out")

    # -- storage -----------------------------------------------------------------------------------------------------

    def save(self, fileobj_or_path: Any) -> None:
        """Write the model to an ``.npz`` file that implicit can read, too.

        Parameters
        ----------
        fileobj_or_path : str, path-like or file open for writing bytes
            A path without the ending ``.npz`` gets it. An existing file is replaced at the end, as a whole.
        """
        stored.write(self, fileobj_or_path)

    @classmethod
    def load(cls, fileobj_or_path: Any) -> Self:
        """Read a model that `save` or implicit wrote.

        Parameters
        ----------
        fileobj_or_path : str, path-like or file open for reading bytes

        Returns
        -------
        AlternatingLeastSquares

        Raises
        ------
        ValueError
            It is not such a file.
        """
        model = cls()
        stored.read(model, fileobj_or_path)
        return model


def _with_rows(factors: NDArray[Any], ids: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """A copy of `factors` with some rows replaced, and with rows of zeros up to the largest id."""
    longer = np.zeros((max(factors.shape[0], max(ids) + 1), factors.shape[1]), factors.dtype)
    longer[: factors.shape[0]] = factors
    longer[np.asarray(ids)] = rows
    return longer
