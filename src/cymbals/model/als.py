"""The estimator `ALS`: it checks its arguments, fits a model, and saves and loads model files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

from numpy.typing import NDArray

from .._core import Workspace
from ..base.caller import warn_caller
from ..base.checks import boolean, file_path, whole_number
from ..base.recorder import phase
from ..base.threads import MOST
from ..data.interactions import Interactions, as_interactions
from ..profiling.profile import Profile
from ..solve import rule
from ..solve.loop import FitLoop, FitState
from ..solve.start import FittedFactors, key_of, start
from . import checkpoint as checkpoints
from . import container, fitting, memory, preparing, resuming, stored
from .arguments import checked
from .exchange import Exchange
from .factor_model import FactorModel
from .fit_request import FitRequest
from .memory import MemoryNeeded
from .solving_model import refuse_dislikes
from .state import FitRecord, State
from .updating_model import UpdatingModel

_AUTO: dict[str, Any] = {
    "objective": "ials",
    "confidence": "log",
    "nu": 1.0,
    "alpha": rule.AUTO,
    "unobserved_weight": rule.AUTO,
    "regularization": rule.AUTO,
    # A fit that stops before it converges ranks as well or better, most of all on large sparse data.
    "solver": "cg",
    "cg_steps": 2,
    "iterations": 8,
}
LARGE_RANK = 1024  # from here on, `fit` warns about more factors than the matrix can use


class ALS(Exchange, UpdatingModel):
    """Matrix factorisation of users x items by alternating least squares.

    Use objective "hu" or "ials" for counts such as plays, clicks or purchases, and "explicit" for ratings.

    The model minimises, over user factors x and item factors y, the sum over all cells of weight (target - x.y)^2, plus
    regularization. With w = alpha g(abs(r)) for a stored value r:

    * "hu" (Hu, Koren, Volinsky 2008): a cell with r > 0 has weight 1 + w and target 1. A cell with r < 0 has weight
      1 + w and target 0. All other cells have weight `unobserved_weight` and target 0.
    * "ials" (Rendle et al. 2021): every cell adds a term with weight `unobserved_weight` and target 0. A stored cell adds
      a second term with weight w and target 1.
    * "explicit": only stored cells count. They have weight 1 and target r. With `biases` the estimate of a rating is
      mu + b_u + b_i + x.y (Koren, Bell, Volinsky 2009), where mu is the mean of all ratings.

    `regularization`, `alpha` and `unobserved_weight` may be "auto" with objectives "hu" and "ials". `fit` then chooses them
    from the data: alpha so that w is 1 on average, and the other two by the density of the matrix. The rule was fitted for
    ``objective="ials", nu=1``. `ALS.auto` makes a model with these settings.

    Parameters
    ----------
    factors : int
        Rank f: the number of factors of each user and each item.
    regularization : float or "auto"
        lambda. A row of the size s has the regularization lambda s^nu, see `row_size`.
    alpha : float or "auto"
        Multiplier of the confidence. A larger value gives entries more weight, compared with cells without an entry.
    unobserved_weight : float or "auto"
        alpha0, the weight of cells without an entry. Not used with "explicit".
    objective : {"hu", "ials", "explicit"}
    confidence : {"linear", "log", "binary", "total"} or callable
        g(r) for r above 0: "linear" is r, "log" is log(1 + r), "binary" is 1. A function takes the array of values and
        returns an array of the same length with the same signs, element by element. With "total", w is alpha abs(r) - 1,
        so alpha abs(r) is the total weight of the cell; only for "hu". Not used with "explicit".
    nu : float
        Exponent of frequency-scaled regularization. 0: the same regularization for all rows. 1: proportional to the size
        of the row.
    biases : bool
        For "explicit" only: estimate a bias for each user and each item. A bias is one more factor: a half-step computes it
        together with the other factors, with the same regularization.
    solver : {"auto", "cg", "exact"}
        "auto" chooses for each row the method that is predicted to reach a small residual first. "cg" does `cg_steps`
        conjugate-gradient steps from the previous factors. "exact" solves every row exactly.
    cg_steps : int
        "cg": the exact number of steps. "auto": the minimum, unless the residual is nearly zero before that.
    iterations : int
        Number of iterations. Each solves all users, then all items.
    tol : float, optional
        Stop once an iteration lowers the loss by less than this share.
    dtype : {"float32", "float64"}
    n_threads : int, optional
        See `cymbals.threads`. The factors are bitwise the same for any number of threads.
    random_state : int, Generator, RandomState or None
        Seed of the starting factors, which are drawn from N(0, (0.1 / sqrt(f))^2) on both sides.
    compact : bool
        For float32 models with solver "auto" or "cg". A half-step solves one side while the factors of the other side stay
        fixed. True: rows are solved with a 16-bit copy (bfloat16) of the fixed factors. This halves memory traffic. The
        copy is not used if the fixed factors take less than 2 MB, or if `solver` is "cg" and `cg_steps` above 8. An entry
        with so large a weight that rounding to 16 bits would show reads its fixed row in float32.
    relaxation : float or None
        1 is plain alternating least squares: each half-step moves the factors to their least-squares solution. With a
        value between 1 and 2, the factors move this many times as far, in all iterations but the first and the last. The
        loss still falls in each half-step, and the fit needs fewer iterations (successive over-relaxation: Young 1954).
        None: with solver "auto" 1.3 in the second iteration, rising to 1.8; with the other solvers 1.
    row_size : {"weighted", "entries"}
        The size of a row of n entries, for `nu`. "weighted": n + unobserved_weight N, where N is the number of rows of the
        other side (Rendle et al. 2021). "entries": n. With "explicit" it is always n.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray, shape (n_users, f) and (n_items, f)
        The factors of users and items without entries are 0, unless they have features. The basis is arbitrary: other
        factors can give the same scores, so compare scores, not factors. Do not write to the arrays: the model caches
        indexes derived from them.
    global_mean_, user_biases_, item_biases_ : float, ndarray of shape (n_users,), ndarray of shape (n_items,)
        Only with `biases`. Without, reading them raises AttributeError.
    n_iter_ : int
        Number of iterations done.
    history_ : list of dict
        For each iteration "iteration", "seconds" (the half-steps only) and, if it was computed, "loss".
    report_ : dict
        Counts of the fit: stored zeros dropped, rows by solver, rows retried. Also the numbers that were chosen for
        arguments that are "auto".
    profile_ : Profile
        The time of each phase. Only after ``fit(profile=True)``.

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
        regularization: float | str = 0.01,
        alpha: float | str = 1.0,
        unobserved_weight: float | str = 1.0,
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
        row_size: str = "weighted",
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
        self.row_size = row_size

    @classmethod
    def auto(cls, factors: int = 128, **params: Any) -> Self:
        """A model for counts and clicks whose settings fit the data. Start with it.

        Its objective is "ials" with frequency-scaled regularization (Rendle et al. 2021). Counts are weighted by their
        logarithm. `alpha`, `unobserved_weight` and `regularization` are "auto". The fit does 8 iterations with two CG steps
        for each row, and so stops before it converges: on large sparse data this ranks a few per cent better.

        Parameters
        ----------
        factors : int
        **params
            Other arguments of `ALS`, instead of those above.

        Returns
        -------
        ALS
            Not fitted yet.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> train = scipy.sparse.random_array((60, 40), density=0.1, rng=0)
        >>> model = cymbals.ALS.auto(factors=8, random_state=0).fit(train)
        >>> model.regularization, round(model.report_["unobserved_weight"], 3)
        ('auto', 0.218)
        """
        return cls(**{"factors": factors} | _AUTO | params)

    def __repr__(self) -> str:
        report = {} if self._state is None or self._state.fit is None else self._state.fit.report
        names = [name for name in rule.AUTOMATIC if name in report and getattr(self, name) == rule.AUTO]
        numbers = ", ".join(f"{name} = {report[name]:.4g}" for name in names)
        return super().__repr__() + (f" with {numbers}" if numbers else "")

    # -- attributes of a fit -----------------------------------------------------------------------------------------

    @property
    def _record(self) -> FitRecord:
        record = self.state_.fit
        assert record is not None
        return record

    @property
    def n_iter_(self) -> int:
        """Number of iterations done."""
        return self._record.n_iter

    @property
    def history_(self) -> list[dict[str, Any]]:
        """For each iteration "iteration", "seconds" (the half-steps only) and, if it was computed, "loss"."""
        return self._record.history

    @property
    def report_(self) -> dict[str, Any]:
        """Counts of the fit: stored zeros dropped, rows by solver, rows retried; and the numbers for "auto"."""
        return self._record.report

    @property
    def profile_(self) -> Profile:
        """The time of each phase of the fit. Only after ``fit(profile=True)``."""
        if self._record.profile is None:
            raise AttributeError("profile_: this model was fitted without a profile; fit it with fit(..., profile=True)")
        return self._record.profile

    # -- checking ----------------------------------------------------------------------------------------------------

    def check_params(self) -> None:
        """Check the constructor arguments as `fit` does. Use it to find a wrong argument before loading data.

        Raises
        ------
        ValueError, TypeError
            An argument is wrong.
        """
        checked(self.get_params())
        if self.n_threads is not None:
            whole_number("n_threads", self.n_threads, 1, MOST)

    # -- fitting -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        y: None = None,
        *,
        item_features: Any = None,
        user_features: Any = None,
        init: Any = None,
        callback: Callable[[ALS, int], Any] | None = None,
        compute_loss: bool = False,
        progress: bool = False,
        profile: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 1,
        max_memory: int | str | None = None,
        factors_path: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Fit user and item factors to a matrix of values. An earlier fit of the same model is discarded.

        Each iteration solves users first, then items. Ctrl-C finishes the current half-step, leaves a usable model and
        raises KeyboardInterrupt.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix or array, shape (n_users, n_items)
            With Interactions, all methods of the model take and return their ids. With a matrix, ids are row numbers.
        y : None
            Ignored; scikit-learn passes it.
        item_features, user_features : Interactions or scipy sparse, shape (n, n_features), optional
            Features, such as genres, tags or ages, with a row for each item or user. `cymbals.features` makes them from a
            frame, and ``Interactions.from_frame(tags, user="item", item="tag")`` from pairs. Interactions with
            ids are matched by id; if `train` has no ids, these are its row numbers. Without ids, row i has the features of
            item or user i. Items and users that only the features know become rows of the model too. So those without
            entries can be recommended, and get recommendations. A row with entries is pulled towards what its features
            say. This pull is strong if the row has few entries. Only the last iteration uses features; a fit that stops
            early does it then. A value v counts as log(1 + v), and -v as -log(1 + v).
        init : (X0, Y0) or fitted ALS, optional
            Starting factors, shapes (n_users, f) and (n_items, f): NumPy arrays, or arrays that support DLPack. Or a
            fitted model, whose rows are matched by id; users and items that it does not know start at random. Biases start
            at 0, or at those of the fitted model.
        callback : callable, optional
            Called as ``callback(model, iteration)`` after each iteration, counted from 1. If it returns True, the fit
            stops, and the model keeps the state of this iteration. A callback can also give the model an earlier state
            with `replace_state` before it returns True, as `EarlyStopping` does.
        compute_loss : bool
            Compute the loss after each iteration and add it to `history_`.
        progress : bool
            Show a progress bar on stderr.
        profile : bool
            Record a `Profile` of the fit in `profile_`.
        checkpoint : path-like, optional
            A file that gets the state of the fit during the fit. If the process ends early, `ALS.resume` goes on from this
            file. After the fit, the file stays and has the fitted model. `cymbals.load` reads it at any time as the model
            of the last checkpoint, without interactions. If the file exists, the first checkpoint replaces it. An
            interrupted fit writes a checkpoint after the current half-step.
        every : int
            The number of iterations from one checkpoint to the next. Each one writes all factors. With a larger number, a
            fit of short iterations takes less time, and loses more iterations if the process is killed.
        max_memory : int or str, optional
            A number of bytes, or a text such as "8GB". If `memory_needed` is more, the fit raises ValueError before it
            starts, and the message says what needs the memory. Features do not count.
        factors_path : path-like, optional
            A folder. The factors are then mapped from temporary files in it, not held in memory. Use it if the factors of
            one side are larger than memory. The model keeps using these files, which are removed when the last array over
            them is gone. Put the folder on a fast disk: the fit reads the factors of one side in random order.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            An argument or a value of `train` is wrong. The model is then unchanged.
        OSError
            A checkpoint cannot be written, for example because the disk is full. The model then has the factors of this
            iteration, and the file has the checkpoint before it.
        SolveError
            The linear system of a row overflows, or it is not positive definite. Rounding can cause the second if a
            confidence is far below `unobserved_weight`. The model then has the state from before the fit, unless a callback
            or another thread has given it another state meanwhile.
        """
        if isinstance(y, (FactorModel, tuple)):
            raise TypeError(
                f"the second argument of fit is y, which is ignored, and not init: write init={type(y).__name__}"
            )
        if isinstance(y, Interactions) or hasattr(y, "tocsr"):
            raise TypeError("the second argument of fit is y, which is ignored, and not features: write item_features=...")
        features = (user_features, item_features)
        asked = FitRequest(
            train, callback, compute_loss, progress, checkpoint, every, features, init, max_memory, factors_path
        )
        return self._profiled(profile, lambda: self._fit(asked.checked()))

    def _profiled(self, profile: bool, fit: Callable[[], None]) -> Self:
        """Call `fit` and, if `profile` is true, record it in `profile_`."""
        if not boolean("profile", profile):
            fit()
            return self
        recorded, before = Profile(), self._state
        try:
            with recorded:
                fit()
                return self
        finally:
            state = self._state
            if state is not None and state is not before and state.fit is not None:  # possibly from an interrupted fit
                self.replace_state(state.changed(fit=replace(state.fit, profile=recorded)))

    def _fit(self, asked: FitRequest) -> None:
        params, n_threads = self.get_params(), self._threads(None)
        arguments = asked.arguments(params)
        settings, rank, iterations, schedule, tol, dtype, rng = arguments
        if iterations < 2 and any(given is not None for given in asked.features):
            raise ValueError(f"iterations must be at least 2 with features, which the last one uses; got {iterations}")
        with phase("data"):
            data, seen = preparing.entries("train", asked.train, settings.objective, n_threads)
            if asked.max_memory is not None:
                has_callback, on_disk = asked.callback is not None, asked.factors_path is not None
                needed = memory.needed(data, arguments, n_threads, has_callback, asked.compute_loss, on_disk)
                memory.refuse_more(asked.max_memory, needed)
            sides = preparing.sides(asked.features, data, n_threads)
            problem = preparing.problem(data, seen, params, n_threads)
        if rank > min(data.shape) and rank >= LARGE_RANK:
            warn_caller(
                f"factors={rank} is more than a matrix of {data.shape[0]} x {data.shape[1]} can use, and slow: "
                f"{min(data.shape)} factors can fit it exactly"
            )
        with phase("start"):
            given = _fitted_factors(asked.init) if isinstance(asked.init, FactorModel) else asked.init
            workspace = Workspace(n_threads)
            x, y = start(
                given, data, rank, settings.objective.biases, dtype, key_of(rng), workspace, asked.arrays_for_factors()
            )
        from_noise = not isinstance(asked.init, FactorModel)
        around = asked.around(problem, tol, sides, from_noise)
        loop = FitLoop(problem.rows, problem.columns, problem.settings, schedule, from_noise, workspace)
        publisher = fitting.Publisher(self, problem, params, before=self._state)
        fitting.run(loop, FitState(x, y, iterations - any(sides)), publisher, around, sides)

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        data: Any,
        *,
        item_features: Any = None,
        user_features: Any = None,
        callback: Callable[[ALS, int], Any] | Literal[False] | None = None,
        progress: bool = False,
        profile: bool = False,
        every: int | None = None,
        n_threads: int | None = None,
    ) -> Self:
        """Go on with a fit from its checkpoint, and return the fitted model.

        The factors are bitwise those of the fit without an interruption. The settings come from the checkpoint. Further
        checkpoints go to the same file. If the fit is finished, its model is returned at once.

        Parameters
        ----------
        path : path-like
            The `checkpoint` of `ALS.fit` or of `cymbals.distributed.fit`.
        data : Interactions or scipy sparse matrix or array, shape (n_users, n_items)
            The `train` of the fit. The checkpoint does not contain it, only checksums of its entries and ids.
        item_features, user_features : Interactions or scipy sparse, shape (n, n_features), optional
            Those of the fit, if it had any.
        callback : callable or False, optional
            As in `fit`. It is first called after the first iteration of this call. If the fit had a callback, give it
            again, or False to go on without one. `EarlyStopping` gets its scores and its best state from the checkpoint.
        progress : bool
            Show a progress bar on stderr.
        profile : bool
            Record a `Profile` of this call in `profile_`.
        every : int, optional
            The number of iterations from one checkpoint to the next. By default that of the fit.
        n_threads : int, optional
            By default that of the fit.

        Returns
        -------
        ALS
            Its `n_iter_` and `history_` are those of the whole fit. ``report_["resumed_at"]`` is the number of iterations
            that were complete in the checkpoint, so this call ran ``n_iter_ - report_["resumed_at"]`` iterations. This does
            not hold if a callback gave the model an earlier state.

        Raises
        ------
        ModelFileError
            The file is no checkpoint, or it is damaged.
        ValueError, TypeError
            `data` or the features are not those of the fit; the message says what differs. Or another argument is wrong.
        OSError
            The file cannot be read, or a checkpoint cannot be written. The file then has the checkpoint before it.
        SolveError
            As in `fit`.

        Examples
        --------
        >>> import cymbals, scipy.sparse, tempfile
        >>> data = scipy.sparse.random_array((90, 40), density=0.2, rng=0).tocsr()
        >>> path = tempfile.mkdtemp() + "/fit.checkpoint"
        >>> def fail(model, iteration):
        ...     if iteration == 4:
        ...         raise RuntimeError("the machine is needed for something else")
        >>> try:
        ...     cymbals.ALS(factors=8, iterations=10, random_state=0).fit(data, callback=fail, checkpoint=path)
        ... except RuntimeError:
        ...     model = cymbals.ALS.resume(path, data, callback=False)
        >>> model.n_iter_, model.report_["resumed_at"]
        (10, 3)
        >>> whole = cymbals.ALS(factors=8, iterations=10, random_state=0).fit(data)
        >>> bool((model.item_factors_ == whole.item_factors_).all())
        True
        """
        model, found = cls._of_checkpoint(file_path("path", path))
        if n_threads is not None:
            model.n_threads = n_threads
            model.check_params()
        features = (user_features, item_features)
        request = resuming.Request(data, features, callback, progress, every)
        return model._profiled(
            profile, lambda: resuming.run(model, model.get_params(), model._threads(None), os.fspath(path), found, request)
        )

    def memory_needed(
        self, train: Any, *, callback: bool = False, compute_loss: bool = False, factors_on_disk: bool = False
    ) -> MemoryNeeded:
        """Predict how much memory `fit` takes at its peak, in addition to the data and whatever the process holds.

        Use it before a large fit. The prediction is for a fit without features that starts at random. It reads the data but
        it computes no factors. What is mapped from a store does not count, because the system can drop it at any time.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix or array, shape (n_users, n_items)
        callback : bool
            Whether `fit` gets a callback, for which it copies the factors.
        compute_loss : bool
            Whether `fit` gets ``compute_loss=True``.
        factors_on_disk : bool
            Whether `fit` gets a `factors_path`.

        Returns
        -------
        MemoryNeeded
            The number of bytes, an int. Its repr says what the memory is for; its `parts` are a dict.

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> train = scipy.sparse.random_array((60_000, 2_000), density=0.001, rng=0)
        >>> needed = cymbals.ALS(factors=64, n_threads=1).memory_needed(train)
        >>> needed.parts["factors"] == 4 * 64 * (60_000 + 2_000)
        True
        """
        arguments, n_threads = checked(self.get_params()), self._threads(None)
        data = as_interactions("train", train, n_threads)
        flags = {"callback": callback, "compute_loss": compute_loss, "factors_on_disk": factors_on_disk}
        return memory.needed(data, arguments, n_threads, *(boolean(name, flag) for name, flag in flags.items()))

    # -- storage -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], include_interactions: bool = True) -> None:
        """Write the model to one checksummed file without pickle. Read it with `cymbals.load`.

        The model is first written to a temporary file, which is then renamed to `path`. If `path` exists, the new file
        gets its permissions, and its owner and group if the process may set them.

        Parameters
        ----------
        path : path-like
        include_interactions : bool
            Store the training matrix too. `explain`, the updates, and `recommend` with `exclude_seen=True` need it.
        """
        path = file_path("path", path)
        boolean("include_interactions", include_interactions)
        stored.write(path, self.state_, include_interactions)

    @classmethod
    def _load(cls, path: str | os.PathLike[str], mmap: bool) -> ALS:
        state, _, _ = stored.read(path, mmap, cls._stored_names())
        with container.refusing(path):
            return cls._of_stored(state)

    @classmethod
    def _of_checkpoint(cls, path: str) -> tuple[Self, checkpoints.Checkpoint]:
        """A checkpoint, and the model that goes on from it."""
        found = checkpoints.read(path)
        with container.refusing(path):
            return cls._of_stored(found.state), found

    @classmethod
    def _of_stored(cls, state: State) -> Self:
        """The model with a state from a file. Raises ValueError or TypeError for parameters that no fit has."""
        known = cls._defaults()
        out = cls(**{name: value for name, value in state.params.items() if name in known})
        out._check_stored(state)
        assert state.fit is not None
        out._state = state.changed(fit=replace(state.fit, params=out.get_params()))
        return out

    @staticmethod
    def _stored_names() -> tuple[str, ...]:
        """The class names that a model file may contain: ALS and its subclasses."""
        kinds: list[type[ALS]] = [ALS, *ALS.__subclasses__()]
        return tuple(kind.__name__ for kind in kinds)

    def _check_stored(self, state: State) -> None:
        """Refuse parameters of a file that contradict its arrays, or that `fit` would refuse."""
        rank = state.x.shape[1] - (0 if state.mean is None else 2)
        by_arrays = {"factors": rank, "dtype": state.x.dtype.name, "biases": state.mean is not None}
        for name, value in by_arrays.items():
            if getattr(self, name) != value:
                raise ValueError(f"the parameters say {name}={getattr(self, name)!r}, but the arrays say {value!r}")
        self.check_params()
        assert state.fit is not None
        chosen: dict[str, Any] = {name: state.fit.report.get(name) for name in rule.automatic(self.get_params())}
        for name, number in chosen.items():
            if number is None:
                raise ValueError(f"the parameters say {name}='auto', but the report has no number for it")
        checked(self.get_params(), chosen)
        if state.seen is not None and self.objective == "ials":
            refuse_dislikes("seen", state.seen, 1)


def load(path: str | os.PathLike[str], mmap: bool = False) -> ALS:
    """Read a model that `ALS.save` wrote, or a checkpoint of `ALS.fit` as the model of that moment.

    Parameters
    ----------
    path : path-like
    mmap : bool
        Map the file instead of reading it into memory. Use it if several processes serve the same model: they share the
        memory. The arrays are then read-only. Replace a mapped file only by renaming another file to its name, as
        `ALS.save` does: writing into the file changes the factors in all these processes, and shortening it ends them
        with SIGBUS.

    Returns
    -------
    ALS

    Raises
    ------
    ModelFileError
        The file is not a model file, has another format version, is truncated, was altered after it was written, or
        contains something that no fit produces.
    """
    return ALS._load(file_path("path", path), boolean("mmap", mmap))


def _fitted_factors(model: FactorModel) -> FittedFactors:
    """The factors and ids of a fitted model, for a fit that starts from it."""
    state = model.state_
    rank = state.item_factors.shape[1]
    return FittedFactors(state.users, state.items, state.solved_users(), state.solved_items(), rank)
