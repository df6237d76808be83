"""The estimator: alternates half-steps, folds new rows in, re-solves changed ones, says how well it fits."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import _core, _json, container, solver, split, updates
from ._core import SolveError
from ._interrupt import interruptible
from ._progress import progress_bar
from ._record import at, phase
from ._validation import boolean, generator, one_of, plain, real_number, shown, whole_number
from .csr import Csr, refuse_negative
from .evaluation import evaluate
from .ids import Ids
from .interactions import Interactions, as_interactions
from .model import Explanation, FactorModel, State, item_rows, user_rows
from .objective import Objective
from .profile import Profile
from .start import start
from .threads import MOST

# Relaxation where it is not given: of the second iteration, growth an iteration, and the most there is.
_RELAXATION = (1.3, 0.1, 1.8)
_OF_OBJECTIVE = tuple(inspect.signature(Objective.checked).parameters)
_FITTED = ("_state", "n_iter_", "history_", "report_", "profile_")  # what a fit sets


class ALS(FactorModel):
    """Matrix factorisation of users x items by alternating least squares.

    Minimises, over user factors x and item factors y, the sum over all cells of weight (target - x.y)^2 plus
    regularization. With w = alpha g(r) for a stored value r:

    * "hu" (Hu, Koren, Volinsky 2008): a cell with r > 0 has weight 1 + w and target 1, one with r < 0 weight 1 + |w| and
      target 0, any other weight `unobserved_weight` and target 0.
    * "ials" (Rendle et al. 2021): all cells have `unobserved_weight` with target 0; a stored one has in addition weight
      w with target 1.
    * "explicit": only stored cells count, with weight 1 and target r. With `biases` a rating is estimated by
      mu + b_u + b_i + x.y (Koren, Bell, Volinsky 2009), with mu the mean of all ratings.

    Parameters
    ----------
    factors : int
        Rank f.
    regularization : float
        lambda. A row of n entries is regularized by lambda (n + unobserved_weight N)^nu, N being the rows of the other
        side; "explicit": lambda n^nu.
    alpha : float
        Scales confidence.
    unobserved_weight : float
        alpha0, the weight of cells without an entry; unused with "explicit".
    objective : {"hu", "ials", "explicit"}
    confidence : {"linear", "log", "binary"} or callable
        g(r): r, log(1 + r), 1; or a function that takes the array of values and returns as many, of the same signs,
        applied once. Unused with "explicit".
    nu : float
        Exponent of frequency-scaled regularization; 0 for none, 1 for scaling by frequency.
    biases : bool
        Of "explicit": each half-step solves a side's biases together with its factors, as one more factor, regularized
        alike.
    solver : {"auto", "cg", "exact"}
        "exact" solves every row exactly, "cg" takes `cg_steps` conjugate-gradient steps from the previous factors,
        "auto" chooses for each row whatever reaches a small residual soonest.
    cg_steps : int
        Steps of "cg". "auto" takes fewer only where the residual is all but gone, and more until it is small.
    iterations : int
    tol : float, optional
        Stop once the loss falls by less than this share in an iteration.
    dtype : {"float32", "float64"}
    n_threads : int, optional
        See `cymbals.threads`. Factors are the same to the bit for any number.
    random_state : int, Generator, RandomState or None
        Seeds the start, N(0, (0.1 / sqrt(f))^2) on both sides.
    compact : bool
        Conjugate gradients of float32 models read a large fixed side from a 16-bit copy (bfloat16), which halves what they
        wait for; losses moved by less than 2e-4 of themselves wherever it was tried. False: float32 throughout. Sides
        below 2 MB, more than 8 steps of solver "cg", exact rows, rows with a very heavy entry, and float64 models never use
        it.
    relaxation : float or None
        From the second iteration to the last but one, factors move this many times as far as their least-squares
        solution: with more than 1, up to below 2, the loss falls in each half-step still, but fewer iterations are needed
        (successive over-relaxation: Young 1954). None: from 1.3 in the second iteration up to 1.8 with solver "auto",
        else 1, which is plain alternating least squares.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray, shape (n_users, f) and (n_items, f)
        In an arbitrary basis: only scores mean something. Users and items without entries have zeros. Not to be written to:
        what is made of them once, for searching and folding in, is kept.
    global_mean_, user_biases_, item_biases_ : float, ndarray of shape (n_users,), ndarray of shape (n_items,)
        With `biases` alone; without, asking for them raises AttributeError.
    n_iter_ : int
        Iterations done.
    history_ : list of dict
        For each iteration "iteration", "seconds" (the half-steps alone) and, where asked for, "loss".
    report_ : dict
        Counts of what the fit did: stored zeros dropped, rows by solver, rows retried.
    profile_ : Profile
        With ``fit(profile=True)`` alone: where the time went.

    Examples
    --------
    >>> import cymbals
    >>> users, artists = ["ann", "ann", "bob", "cy"], ["abba", "blur", "abba", "blur"]
    >>> plays = cymbals.Interactions.from_arrays(users, artists, [9, 1, 4, 7])
    >>> model = cymbals.ALS(factors=2, iterations=5, random_state=0).fit(plays)
    >>> model.recommend("bob", n=1)[0]
    array(['blur'], dtype=object)
    """

    n_iter_: int
    history_: list[dict[str, Any]]
    report_: dict[str, Any]
    profile_: Profile

    def __init__(
        self,
        factors: int = 64,
        regularization: float = 0.01,
        alpha: float = 1.0,
        unobserved_weight: float = 1.0,
        objective: str = "hu",
        confidence: str | Callable[[NDArray[Any]], Any] = "linear",
        nu: float = 0.0,
        biases: bool = False,
        solver: str = "auto",
        cg_steps: int = 3,
        iterations: int = 15,
        tol: float | None = None,
        dtype: Any = "float32",
        n_threads: int | None = None,
        random_state: Any = None,
        compact: bool = True,
        relaxation: float | None = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.unobserved_weight = unobserved_weight
        self.objective = objective
        self.confidence = confidence
        self.nu = nu
        self.biases = biases
        self.solver = solver
        self.cg_steps = cg_steps
        self.iterations = iterations
        self.tol = tol
        self.dtype = dtype
        self.n_threads = n_threads
        self.random_state = random_state
        self.compact = compact
        self.relaxation = relaxation

    # -- manners -----------------------------------------------------------------------------------------------------

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {k: p.default for k, p in inspect.signature(cls.__init__).parameters.items() if k != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Changes constructor arguments; they take effect at the next fit."""
        for name, value in params.items():
            if name not in self._defaults():
                raise ValueError(f"ALS has no parameter {name!r}; there are {', '.join(self._defaults())}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; only called where it is installed."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=InputTags(sparse=True))

    def __repr__(self) -> str:
        changed = {k: v for k, v in self.get_params().items() if v is not (d := self._defaults()[k]) and not _equal(v, d)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _settings(self, params: dict[str, Any], n_threads: int | None = None, **changes: Any) -> solver.Settings:
        """Constructor arguments, checked: this estimator's for a fit, those of its fit (`State.fitted`) for a model."""
        settings = solver.Settings(
            objective=Objective.checked(**{name: params[name] for name in _OF_OBJECTIVE}),
            solver=one_of("solver", params["solver"], ("auto", "cg", "exact")),
            cg_steps=whole_number("cg_steps", params["cg_steps"], 1, 10_000),
            n_threads=self._threads(n_threads),
            compact=solver.LARGE if boolean("compact", params["compact"]) else solver.NEVER,
        )
        return replace(settings, **changes)

    # -- fitting -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        init: Any = None,
        callback: Callable[[ALS, int], Any] | None = None,
        compute_loss: bool = False,
        progress: bool = False,
        profile: bool = False,
    ) -> Self:
        """Factorise a matrix; users are solved first. Nothing of an earlier fit is reused.

        Ctrl-C lets the half-step in hand end, leaves a usable model and raises KeyboardInterrupt.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix or array, shape (n_users, n_items)
            The model speaks the ids of Interactions, or row numbers of a matrix.
        init : (X0, Y0) or fitted ALS, optional
            Starting factors, (n_users, f) and (n_items, f), arrays or what exchanges them by DLPack; from a model, rows are
            matched by id, and what it does not
            know starts at random. Biases start at 0, or as the model has them.
        callback : callable, optional
            Called as ``callback(model, iteration)`` after each iteration, counted from 1; True stops the fit, and the
            model stays as the callback leaves it (`EarlyStopping` sets it back to the best iteration).
        compute_loss : bool
            Put the loss into `history_`.
        progress : bool
            Show a progress bar on stderr.
        profile : bool
            Leave a `Profile` of the fit in `profile_`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            An argument or a value of `train` that will not do; nothing is changed then.
        SolveError
            A row's system is not positive definite (a confidence below `unobserved_weight`) or overflows.
        """
        if boolean("profile", profile):
            recorded, before_it = Profile(), self._state
            try:
                with recorded:
                    return self.fit(train, init, callback, compute_loss, progress)
            finally:
                if self._state is not before_it:  # there is a model, be it of a fit that was broken off
                    self.profile_ = recorded
        for name, value in (("compute_loss", compute_loss), ("progress", progress)):
            boolean(name, value)
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be a function of the model and the iteration, got {shown(callback)}")
        settings, rank, relaxation, tol, dtype, rng = self._checked()
        params, iterations = self.get_params(), len(relaxation)
        with phase("data"):
            data = as_interactions("train", train, settings.n_threads)
            seen = self._entries("train", data.csr, settings)
            if seen.nnz == 0:
                raise ValueError(f"train has no entries (shape {data.shape}); nothing can be learnt from it")
            if settings.objective.biases:
                settings = replace(settings, mean=_mean(seen, dtype))
            rows = _transformed(seen, settings.objective)
            columns = data.by_item(settings.n_threads) if rows is data.csr else rows.transposed(settings.n_threads)
            for side in (rows, columns):  # raises now what would be raised after the first half-step
                settings.objective.row_regularization(side.indptr, side.shape[1])
        with phase("start"):
            x, y = start(init, data, rank, settings.objective.biases, dtype, rng)
        settings = replace(settings, workspace=_core.Workspace(settings.n_threads))

        before = {k: v for k, v in vars(self).items() if k in _FITTED}
        report = {"stored_zeros_dropped": data.csr.nnz - seen.nnz}
        history: list[dict[str, Any]] = []
        published: list[State] = []  # of this fit, the last alone

        def publish(x: NDArray[Any], y: NDArray[Any]) -> None:
            mean = settings.mean
            x, y = user_rows(x, mean), item_rows(y, mean)
            published[:] = [State(x, y, data.users, data.items, data.item_names, seen, mean, params)]
            with self._writing:
                (self._state,) = published
                vars(self).pop("profile_", None)  # it was of another fit
                self.n_iter_, self.history_, self.report_ = len(history), list(history), dict(report)

        def take_back() -> None:
            """The factors in hand are neither old nor new: what this fit has published gives way to what was before it."""
            with self._writing:
                if published and self._state is published[0]:
                    for name in _FITTED:
                        vars(self).pop(name, None)
                    vars(self).update(before)

        def half_step(part: Csr, fixed: NDArray[Any], solved: NDArray[Any], axis: Ids, relaxation: float) -> None:
            # from noise the usual tolerance stops a little early
            tolerance = settings.cg_tolerance / (1 if history or isinstance(init, FactorModel) else 2)
            try:
                with _naming(axis), at(len(history) + 1, f"{axis.what}s"):
                    how = replace(settings, relaxation=relaxation, cg_tolerance=tolerance)
                    info = solver.half_step(part, fixed, solved, how)
            except BaseException:
                take_back()
                raise
            for name, count in info.items():
                report[name] = report.get(name, 0) + count

        def publish_copies() -> None:
            with phase("keep"):
                publish(x.copy(), y.copy())  # what is kept must not change under its keeper

        process, converged = os.getpid(), False
        with interruptible(publish_copies) as checkpoint, progress_bar(progress, iterations, "fit") as advance:
            for iteration, by in enumerate(relaxation, 1):
                by = 1.0 if converged else by
                started = time.perf_counter()
                half_step(rows, y, x, data.users, by)
                checkpoint()
                half_step(columns, x, y, data.items, by)
                entry: dict[str, Any] = {"iteration": iteration, "seconds": time.perf_counter() - started}
                if compute_loss or tol is not None:
                    entry["loss"] = solver.loss(rows, x, y, settings.objective, columns.indptr, settings.how, settings.mean)
                history.append(entry)
                advance(entry)
                checkpoint()
                if callback is not None:
                    publish_copies()
                    answer = callback(self, iteration)
                    if os.getpid() != process:
                        raise RuntimeError(
                            "this process was forked in the fit's callback, and only its parent can go on with the fit: "
                            "leave the child with os._exit, or start it with 'spawn' or 'forkserver'"
                        )
                    if isinstance(answer, (bool, np.bool_)) and answer:
                        return self  # as the callback leaves it
                if converged:
                    break
                if tol is not None and iteration > 1:
                    last = history[-2]["loss"]
                    converged = last - entry["loss"] < tol * abs(last)
                    if converged and by == 1:  # after an over-relaxed iteration one more ends at the solution
                        break
            publish(x, y)
        return self

    def check_params(self) -> None:
        """Raise what `fit` would about constructor arguments."""
        self._checked()

    def _checked(self) -> tuple[solver.Settings, int, list[float], float | None, np.dtype[Any], Any]:
        """Constructor arguments as a fit uses them: settings, rank, relaxation of each iteration, tol, dtype, generator."""
        return (
            self._settings(self.get_params()),
            whole_number("factors", self.factors, 1, 65_536),
            self._relaxations(whole_number("iterations", self.iterations, 1)),
            None if self.tol is None else real_number("tol", self.tol),
            _dtype(self.dtype),
            generator(self.random_state),
        )

    def set_back(self, state: State, n_iter: int) -> None:
        """Take `state_` as it was after an earlier iteration; for a callback that keeps the best one and stops the fit."""
        with self._writing:
            self._state, self.n_iter_, self.history_ = state, n_iter, self.history_[:n_iter]

    def _relaxations(self, iterations: int) -> list[float]:
        """How far each iteration goes. The first is far from where going further is any use, the last must end at the
        solution; in between the loss of half-steps a little further on pays for what these lose themselves."""
        if self.relaxation is not None:
            most = real_number("relaxation", self.relaxation, open_end=True)
            if most >= 2:
                raise ValueError(f"relaxation must be below 2, got {most}")
            between = [most] * iterations
        elif self.solver == "auto":
            first, growth, most = _RELAXATION
            between = [min(most, first + growth * i) for i in range(iterations)]
        else:
            between = [1.0] * iterations
        return [1.0, *between[: iterations - 2], 1.0][:iterations]

    @staticmethod
    def _entries(name: str, csr: Csr, settings: solver.Settings) -> Csr:
        """What the objective takes as entries: without zeros unless explicit, without negatives in "ials"."""
        kind = settings.objective.kind
        if kind == "ials":
            refuse_negative(name, csr, "objective 'ials'", settings.n_threads)
        return _taken(kind, csr)

    def _raw_rows(self, name: str, rows: Any, state: State, n_threads: int, *, by_item: bool = False) -> Csr:
        csr = super()._raw_rows(name, rows, state, n_threads, by_item=by_item)
        return self._entries(name, csr, self._settings(state.fitted, n_threads))

    def entries(self, csr: Csr) -> Csr:
        """What of a matrix says that a user has had an item: in "explicit" a rating of 0 does, too."""
        return _taken(self.state_.fitted["objective"], csr)

    @property
    def predicts_values(self) -> bool:
        """Whether scores estimate the values themselves: with "explicit" they do."""
        return bool(self.state_.fitted["objective"] == "explicit")

    def loss(self, data: Any, n_threads: int | None = None) -> float:
        """The objective on `data`, regularization included, over the number of cells (explicit: of entries).

        Parameters
        ----------
        data : Interactions or scipy sparse, shape (n_users, n_items)
            In the model's row order.
        n_threads : int, optional

        Returns
        -------
        float
        """
        state = self.state_
        settings = self._settings(state.fitted, n_threads)
        csr = as_interactions("data", data, settings.n_threads).csr
        if csr.shape != (state.x.shape[0], state.y.shape[0]):
            raise ValueError(f"data must have the model's shape {(state.x.shape[0], state.y.shape[0])}, got {csr.shape}")
        rows = _transformed(self._entries("data", csr, settings), settings.objective)
        indptr = np.concatenate(([0], np.cumsum(np.bincount(rows.indices, minlength=csr.shape[1]))))
        x, y = state.solved_users(), state.solved_items()
        return solver.loss(rows, x, y, settings.objective, indptr, settings.n_threads, state.mean)

    def score(self, rows: Any, y: None = None) -> float:
        """How well held-out items of users that the model has not seen are ranked: what scikit-learn's searches maximise.

        A tenth of the entries, the same ones each time, is held out, the rest folded in.

        Parameters
        ----------
        rows : scipy sparse, shape (m, n_items)
            Raw values of users, items in the model's row order.
        y : None
            Ignored; scikit-learn passes it.

        Returns
        -------
        float
            Mean AUC, as `evaluate` has it; with objective "explicit" the RMSE, negative.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> from sklearn.model_selection import GridSearchCV
        >>> plays = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
        >>> grid = GridSearchCV(cymbals.ALS(random_state=0), {"factors": [2, 4], "alpha": [1.0, 40.0]}, cv=3).fit(plays)
        >>> sorted(grid.best_params_)
        ['alpha', 'factors']
        """
        state, n = self.state_, self._threads(None)
        given = self._raw_rows("rows", rows, state, n)
        users = Ids("user", given.shape[0])
        rest, held_out = split.random(Interactions(given, users, state.items), 0.1, seed=0)
        guest = self.snapshot()._replace(state, x=self._fold_in(state, rest.csr, n), users=users, seen=rest.csr)
        found = evaluate(guest, rest, held_out, n_threads=n)
        return -found["rmse"] if self.predicts_values else found["auc"]

    # -- rows outside a fit --------------------------------------------------------------------------------------------

    def fold_in(self, rows: Any, n_threads: int | None = None) -> NDArray[Any]:
        """Factors of users that the model has not seen: what a half-step of a fit would give them, exactly solved.

        Parameters
        ----------
        rows : scipy sparse, shape (m, n_items)
            Raw values, items in the model's row order.
        n_threads : int, optional

        Returns
        -------
        ndarray, shape (m, f)
            Zeros for empty rows. Without the bias that a model with biases solves with them, and recommends `rows` by.
        """
        state, n = self.state_, self._threads(n_threads)
        users = self._fold_in(state, self._raw_rows("rows", rows, state, n), n)
        return users if state.mean is None else users[:, :-2].copy()

    def _fold_in(self, state: State, rows: Csr, n_threads: int) -> NDArray[Any]:
        solved = self._solve(state, rows, state.item_basis(n_threads), Ids("row", rows.shape[0]), n_threads)
        return user_rows(solved, state.mean)

    def _solve(self, state: State, rows: Csr, basis: solver.Basis, axis: Ids, n_threads: int) -> NDArray[Any]:
        settings = self._settings(state.fitted, n_threads, solver="exact")
        with _naming(axis):
            return basis.solve(_transformed(rows, settings.objective), settings)

    def update_users(self, ids: Any, rows: Any, n_threads: int | None = None) -> None:
        """Replace what some users did, and solve them again; unknown ids become new users.

        Factors, seen items and ids change together or, where anything is wrong, not at all.

        Parameters
        ----------
        ids : id or array_like of ids
            Distinct. New users of a model without ids are numbered on.
        rows : scipy sparse, shape (m, n_items)
            The whole raw rows of these users, items in the model's row order.
        n_threads : int, optional
        """
        with self._writing:
            state, n = self._with_interactions(), self._threads(n_threads)
            assert state.seen is not None
            rows = self._raw_rows("rows", rows, state, n)
            users, at = updates.placed(state.users, "ids", ids, rows.shape[0])
            solved = self._solve(state, rows, state.item_basis(n), Ids(users.what, at.size, users.of(at)), n)
            x = updates.with_rows(state.x, at, user_rows(solved, state.mean), users.n)
            seen = updates.with_seen(state.seen, at, rows, users.n, n)
            self._replace(state, x=x, users=users, seen=seen)

    def update_items(self, ids: Any, rows: Any, n_threads: int | None = None) -> None:
        """Replace who used some items, and solve them again; unknown ids become new items.

        Parameters
        ----------
        ids : id or array_like of ids
            Distinct. New items of a model without ids are numbered on.
        rows : scipy sparse, shape (m, n_users)
            The whole raw rows of these items, users in the model's row order.
        n_threads : int, optional
        """
        with self._writing:
            state, n = self._with_interactions(), self._threads(n_threads)
            rows = self._raw_rows("rows", rows, state, n, by_item=True)
            items, at = updates.placed(state.items, "ids", ids, rows.shape[0])
            solved = self._solve(state, rows, state.user_basis(n), Ids(items.what, at.size, items.of(at)), n)
            y = updates.with_rows(state.y, at, item_rows(solved, state.mean), items.n)
            seen = updates.with_seen(state.seen_by_item(n), at, rows, items.n, n)
            names = state.names
            if names is not None:
                names = np.concatenate([names, np.full(items.n - names.size, None, dtype=object)])
            self._replace(state, y=y, items=items, names=names, seen=seen.transposed(n))

    def explain(self, user: Any, item: Any, n: int | None = 10) -> Explanation:
        """How much each item of a user's history contributes to the score of an item.

        The user's factors are linear in the targets b of his entries (Hu, Koren, Volinsky 2008, section 5), so the
        score of their exact solution is a sum over these entries. With biases, this is the part of the score that his
        ratings explain, x.y + b_u; mean and item bias, which everyone gets, are left out.

        Parameters
        ----------
        user, item : id
        n : int or None
            Contributions listed, largest first; None for all.

        Returns
        -------
        Explanation
            `total` is the sum of all contributions, with biases the score less mean and item bias.
        """
        state = self._with_interactions()
        assert state.seen is not None
        settings = self._settings(state.fitted)
        u, i = state.users.rows("user", [user])[0], state.items.rows("item", [item])[0]
        k = None if n is None else whole_number("n", n, 1)
        row = state.seen.take(np.array([u]))
        with _naming(Ids(state.users.what, 1, state.users.of(np.array([u])))):
            parts = state.item_explainer(settings.n_threads).parts(row, i, settings.objective)
        order = np.argsort(-parts, kind="stable")[:k]
        ids = state.items.of(row.indices[order].astype(np.int64))
        return Explanation(float(parts.sum()), [(i, float(p)) for i, p in zip(ids.tolist(), parts[order], strict=True)])

    # -- storage -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], include_interactions: bool = True) -> None:
        """Writes the model to one file: no pickle, checksummed, written beside `path` and renamed.

        A file that is replaced hands its permissions on, and its owner and group where the process may set them.

        Parameters
        ----------
        path : path-like
        include_interactions : bool
            Keep the training matrix: recommending without what was seen, explaining and updating need it.
        """
        boolean("include_interactions", include_interactions)
        with self._writing:
            model = self.snapshot()  # all of one moment, whatever is fitted or updated meanwhile
        fitted, dtype = model.state_.fitted, model.item_factors_.dtype.name
        if callable(fitted["confidence"]):
            raise ValueError("confidence is a function, which a model file cannot hold; pickle the model instead")
        params = {name: plain(value) for name, value in fitted.items()} | {"dtype": dtype}
        if not isinstance(params["random_state"], int):
            params["random_state"] = None  # a generator's state is of no use to a fitted model
        facts = {"params": params, "n_iter": model.n_iter_, "history": model.history_, "report": model.report_}
        model._write_state(path, facts, include_interactions)

    @classmethod
    def _load(cls, path: str | os.PathLike[str], mmap: bool) -> ALS:
        facts, state = cls._read_state(path, mmap)
        with container.refusing(path):
            (model, params), known = _stored_facts(facts), cls._defaults()
            out = cls(**{name: value for name, value in params.items() if name in known})
            out._check_stored(state)
        out._state = replace(state, fitted=out.get_params())
        out.n_iter_, out.history_, out.report_ = model["n_iter"], model["history"], model["report"]
        return out

    def _check_stored(self, state: State) -> None:
        """Refuses arguments that do not go with the factors, or that `fit` would refuse."""
        rank = state.x.shape[1] - (0 if state.mean is None else 2)
        fitted = {"factors": rank, "dtype": state.x.dtype.name, "biases": state.mean is not None}
        for name, value in fitted.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is {getattr(self, name)!r} among the parameters, but {value!r} by the arrays")
        whole_number("iterations", self.iterations, 1)
        if self.n_threads is not None:
            whole_number("n_threads", self.n_threads, 1, MOST)
        short = self.snapshot()  # check_params takes memory for each iteration, and counts as work of its threads
        short.iterations = short.n_threads = 1
        short.check_params()
        if state.seen is not None and self.objective == "ials":
            refuse_negative("seen", state.seen, "objective 'ials'", 1)


def load(path: str | os.PathLike[str], mmap: bool = False) -> ALS:
    """Read a model that `ALS.save` wrote.

    Parameters
    ----------
    path : path-like
    mmap : bool
        Map the file instead of reading it into memory: processes share it, and its arrays are read-only. Replace such a
        file only by renaming another one onto it, as `ALS.save` does. Whoever writes into it changes the factors of
        every process that has it mapped, and whoever shortens it ends these processes with SIGBUS.

    Returns
    -------
    ALS

    Raises
    ------
    ModelFileError
        Not a model file, of another format version, truncated, altered since it was written, or with content that no
        fit leaves.
    """
    return ALS._load(path, boolean("mmap", mmap))


def _stored_facts(facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts that `ALS.save` wrote, and the constructor arguments among them; ValueError for anything else."""
    kinds: list[type[ALS]] = [ALS, *ALS.__subclasses__()]
    known = [kind.__name__ for kind in kinds]
    if facts.get("class") not in known:
        raise ValueError(f"it holds {facts.get('class')!r}, not {' or '.join(known)}")
    model = facts.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("params"), dict):
        raise ValueError("its parameters are missing")
    if not _json.is_whole(model.get("n_iter")):
        raise ValueError(f"n_iter must be a whole number of at least 0, got {model.get('n_iter')!r}")
    history, report = model.get("history"), model.get("report")
    if not isinstance(history, list) or not all(map(_is_iteration, history)):
        raise ValueError("history must be a list of iterations, each with its number, its seconds and perhaps its loss")
    if not isinstance(report, dict) or not all(map(_json.is_number, report.values())):
        raise ValueError("report must hold numbers")
    return model, model["params"]


def _is_iteration(entry: Any) -> bool:
    """Whether this is an entry of `ALS.history_`; callbacks may have added others."""
    return (
        isinstance(entry, dict)
        and _json.is_whole(entry.get("iteration"), 1)
        and _json.is_number(entry.get("seconds"))
        and _json.is_number(entry.get("loss", 0))
    )


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        out: np.dtype[Any] = np.dtype(dtype if isinstance(dtype, (str, type, np.dtype)) else object)
    except TypeError:
        out = np.dtype(object)
    if out not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return out


def _taken(kind: str, csr: Csr) -> Csr:
    """What an objective takes as entries: stored zeros in "explicit" alone."""
    return csr if kind == "explicit" else csr.without_zeros()


def _transformed(csr: Csr, objective: Objective) -> Csr:
    """With a callable confidence applied; itself where there is none."""
    return csr if objective.transform is None else replace(csr, data=objective.apply(csr.data))


def _mean(csr: Csr, dtype: np.dtype[Any]) -> float:
    """Of the values; refuses one that `dtype` cannot hold."""
    with np.errstate(over="ignore"):
        mean = float(np.mean(csr.data, dtype=np.float64))
        held = np.isfinite(dtype.type(mean))
    if not held:
        raise ValueError(
            f"train: the mean of its values, {mean}, is beyond {dtype}; scale them down, or use dtype='float64'"
        )
    return mean


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


@contextmanager
def _naming(ids: Ids) -> Iterator[None]:
    """Tells which user or item a failing row belongs to."""
    try:
        yield
    except SolveError as error:
        who = ids.of(np.array([error.row])).tolist()[0]
        raise SolveError(
            f"{ids.what} {who!r} (row {error.row}): {error}. Confidences below unobserved_weight, or values too large "
            "for the dtype, cause this: raise alpha or regularization, lower unobserved_weight, or use dtype='float64'",
            error.row,
        ) from None
