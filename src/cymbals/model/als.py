"""The estimator: checks its arguments, fits a model, stores it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .._core import Workspace
from ..base.checks import boolean, file_path, generator, plain, real_number, shown, whole_number
from ..base.recorder import phase
from ..base.threads import MOST
from ..data.csr import Csr, refuse_negative
from ..data.interactions import as_interactions
from ..profiling.profile import Profile
from ..solve.half_step import Settings
from ..solve.loop import FitLoop, FitState, Schedule
from ..solve.start import Known, start
from . import container, fitting, stored
from .factor_model import FactorModel
from .params import Params
from .solving_model import SolvingModel, entries_of, settings_of, transformed
from .state import FitRecord, State

_OVER_RELAXED = Schedule(second=1.3, growth=0.1, most=1.8)  # of solver "auto"; others are plain unless told otherwise

_LARGE_RANK = 1024


class _Arguments(NamedTuple):
    """Constructor arguments, checked."""

    settings: Settings
    rank: int
    iterations: int
    schedule: Schedule
    tol: float | None
    dtype: np.dtype[Any]
    rng: np.random.Generator | np.random.RandomState


class ALS(Params, SolvingModel):
    """Matrix factorisation of users x items by alternating least squares.

    Minimises, over user factors x and item factors y, the sum over all cells of weight (target - x.y)^2 plus
    regularization. With w = alpha g(r) for a stored value r:

    * "hu" (Hu, Koren, Volinsky 2008): a cell with r > 0 has weight 1 + w and target 1, one with r < 0 weight 1 + abs(w) and
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

    # -- what a fit leaves -------------------------------------------------------------------------------------------

    @property
    def _record(self) -> FitRecord:
        record = self.state_.fit
        assert record is not None
        return record

    @property
    def n_iter_(self) -> int:
        """Iterations done."""
        return self._record.n_iter

    @property
    def history_(self) -> list[dict[str, Any]]:
        """For each iteration "iteration", "seconds" (the half-steps alone) and, where asked for, "loss"."""
        return self._record.history

    @property
    def report_(self) -> dict[str, Any]:
        """Counts of what the fit did."""
        return self._record.report

    @property
    def profile_(self) -> Profile:
        """Where the time of ``fit(profile=True)`` went."""
        if self._record.profile is None:
            raise AttributeError("profile_: this model was fitted without a profile; fit it with fit(..., profile=True)")
        return self._record.profile

    # -- checking ----------------------------------------------------------------------------------------------------

    def check_params(self) -> None:
        """Raise what `fit` would about constructor arguments."""
        self._checked()
        if self.n_threads is not None:
            whole_number("n_threads", self.n_threads, 1, MOST)

    def _checked(self) -> _Arguments:
        return _Arguments(
            settings_of(self.get_params()),
            whole_number("factors", self.factors, 1, 65_536),
            whole_number("iterations", self.iterations, 1),
            self._schedule(),
            None if self.tol is None else real_number("tol", self.tol),
            self._held_by_dtype("regularization", "unobserved_weight"),
            generator(self.random_state),
        )

    def _held_by_dtype(self, *names: str) -> np.dtype[Any]:
        """The dtype, which must hold these arguments."""
        dtype = _dtype(self.dtype)
        for name in names:
            if float(getattr(self, name)) > (most := float(np.finfo(dtype).max)):
                raise ValueError(f"{name} must be at most {most:.3g} with dtype {dtype.name!r}, got {getattr(self, name)}")
        return dtype

    def _schedule(self) -> Schedule:
        if self.relaxation is None:
            return _OVER_RELAXED if self.solver == "auto" else Schedule()
        most = real_number("relaxation", self.relaxation, open_end=True)
        if most >= 2:
            raise ValueError(f"relaxation must be below 2, got {most}")
        return Schedule(most, 0.0, most)

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
        if not boolean("profile", profile):
            return self._fit(train, init, callback, compute_loss, progress)
        recorded, before = Profile(), self._state
        try:
            with recorded:
                return self._fit(train, init, callback, compute_loss, progress)
        finally:
            state = self._state
            if state is not None and state is not before and state.fit is not None:  # possibly from an interrupted fit
                self.replace_state(state.changed(fit=replace(state.fit, profile=recorded)))

    def _fit(self, train: Any, init: Any, callback: Any, compute_loss: bool, progress: bool) -> Self:
        for name, value in (("compute_loss", compute_loss), ("progress", progress)):
            boolean(name, value)
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be a function of the model and the iteration, got {shown(callback)}")
        settings, rank, iterations, schedule, tol, dtype, rng = self._checked()
        params, n_threads = self.get_params(), self._threads(None)
        objective = settings.objective
        with phase("data"):
            data = as_interactions("train", train, n_threads)
            seen = entries_of("train", data.csr, objective, n_threads)
            if seen.nnz == 0:
                raise ValueError(f"train has no entries (shape {data.shape}); nothing can be learnt from it")
            mean = _mean(seen, dtype) if objective.biases else None
            rows = transformed(seen, objective)
            columns = data.by_item(n_threads) if rows is data.csr else rows.transposed(n_threads)
            for side in (rows, columns):  # raises now what would be raised after the first half-step
                objective.row_regularization(side.indptr, side.shape[1])
        if rank > min(data.shape) and rank >= _LARGE_RANK:
            warnings.warn(
                f"factors={rank} is more than a matrix of {data.shape[0]} x {data.shape[1]} has use for, and slow: "
                f"{min(data.shape)} factors can fit it exactly",
                stacklevel=3,
            )
        with phase("start"):
            given = _known(init) if isinstance(init, FactorModel) else init
            x, y = start(given, data, rank, objective.biases, dtype, rng)
        from_noise = not isinstance(init, FactorModel)
        loop = FitLoop(rows, columns, replace(settings, mean=mean), schedule, from_noise, Workspace(n_threads))
        report = {"stored_zeros_dropped": data.csr.nnz - seen.nnz}
        showing = fitting.Showing(self, data, seen, mean, params, report, before=self._state)
        fitting.run(loop, FitState(x, y, iterations), showing, callback, tol, compute_loss, progress)
        return self

    def set_back(self, state: State, n_iter: int) -> None:
        """Take `state_` as it was after an earlier iteration; for a callback that keeps the best one and stops the fit."""
        with self._writing:
            now = self._record
            record = replace(now, n_iter=n_iter, history=now.history[:n_iter])
            self.replace_state(state.changed(fit=record))

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
        path = file_path("path", path)
        boolean("include_interactions", include_interactions)
        state = self.state_  # of one moment, whatever is fitted or updated meanwhile
        if callable(state.params["confidence"]):
            raise ValueError("confidence is a function, which a model file cannot hold; pickle the model instead")
        params = {name: plain(value) for name, value in state.params.items()} | {"dtype": state.y.dtype.name}
        if not isinstance(params["random_state"], int):
            params["random_state"] = None  # a generator's state is of no use to a fitted model
        stored.write(path, state, params, include_interactions)

    @classmethod
    def _load(cls, path: str | os.PathLike[str], mmap: bool) -> ALS:
        state = stored.read(path, mmap, cls._stored_names())
        with container.refusing(path):
            known = cls._defaults()
            out = cls(**{name: value for name, value in state.params.items() if name in known})
            out._check_stored(state)
        assert state.fit is not None
        out._state = state.changed(fit=replace(state.fit, params=out.get_params()))
        return out

    @staticmethod
    def _stored_names() -> tuple[str, ...]:
        """Class names that files may bear: those of subclasses, too."""
        kinds: list[type[ALS]] = [ALS, *ALS.__subclasses__()]
        return tuple(kind.__name__ for kind in kinds)

    def _check_stored(self, state: State) -> None:
        """Refuses arguments that do not go with the factors, or that `fit` would refuse."""
        rank = state.x.shape[1] - (0 if state.mean is None else 2)
        by_arrays = {"factors": rank, "dtype": state.x.dtype.name, "biases": state.mean is not None}
        for name, value in by_arrays.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is {getattr(self, name)!r} among the parameters, but {value!r} by the arrays")
        self.check_params()
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
    return ALS._load(file_path("path", path), boolean("mmap", mmap))


def _known(model: FactorModel) -> Known:
    """What a fitted model knows of its users and items, for a fit that starts from it."""
    state = model.state_
    rank = state.item_factors.shape[1]
    return Known(state.users, state.items, state.solved_users(), state.solved_items(), rank)


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        out: np.dtype[Any] = np.dtype(dtype if isinstance(dtype, (str, type, np.dtype)) else object)
    except TypeError:
        out = np.dtype(object)
    if out not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return out


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
