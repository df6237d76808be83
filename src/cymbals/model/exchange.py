"""Models and settings for and from other libraries: the methods of `ALS` that translate them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..base.checks import real_number, refuse_masked
from ..data.ids import Ids
from ..data.interactions import Interactions, as_interactions, names_of
from .arguments import numbers, settings_of
from .params import Params
from .solving_model import entries_of
from .state import FitRecord, State, item_rows, user_rows

# Constructor arguments that no convention determines. They do not change the model that is fitted, only how.
_OWN = ("solver", "cg_steps", "iterations", "tol", "dtype", "n_threads", "random_state", "compact", "relaxation")


class Exchange(Params):
    """`from_convention`, `to_convention` and `from_factors`."""

    _state: State | None

    def check_params(self) -> None:
        raise NotImplementedError

    @classmethod
    def from_convention(cls, name: str, **settings: Any) -> Self:
        """A model with another library's settings, under the names that the library gives them.

        Use it to bring settings that were chosen for another library. The model minimises the same objective.

        Parameters
        ----------
        name : {"implicit", "spark", "irspack", "rendle", "cmfrec", "lenskit"}
            "rendle" is the program of Rendle et al. 2021, "spark" is `pyspark.ml.recommendation.ALS`, "lenskit" is
            `ImplicitMFScorer`, "cmfrec" is `CMF_implicit`.
        **settings
            The library's arguments; those that are left out get the library's defaults. You can add arguments of `ALS` that
            do not change the objective, such as ``random_state`` and ``n_threads``.

        Returns
        -------
        ALS
            Not fitted yet.

        Raises
        ------
        ValueError
            A setting has no counterpart. The message says why.

        Notes
        -----
        The page "Conventions" of the documentation has all formulas, and says which data each convention is exact for.

        Examples
        --------
        >>> import cymbals
        >>> cymbals.ALS.from_convention("spark", rank=32, regParam=0.05, implicitPrefs=True, alpha=40.0, random_state=0)
        ALS(factors=32, regularization=0.05, alpha=40.0, nu=1.0, iterations=10, random_state=0, row_size='entries')
        """
        from . import conventions  # here, because few programs need it

        return cls(**conventions.from_theirs(name, settings, _OWN))

    def to_convention(self, name: str) -> dict[str, Any]:
        """This model's settings for another library, under the names that the library gives them.

        Parameters
        ----------
        name : {"implicit", "spark", "irspack", "rendle", "cmfrec", "lenskit"}
            See `from_convention`.

        Returns
        -------
        dict of str to object

        Raises
        ------
        ValueError
            The library cannot express a setting. The message says which and why.

        Examples
        --------
        >>> import cymbals
        >>> cymbals.ALS(factors=32, objective="ials", unobserved_weight=0.1, nu=1).to_convention("irspack")["alpha0"]
        0.1
        """
        from . import conventions

        fitted = None if self._state is None or self._state.fit is None else self._state.fit.report
        return conventions.to_theirs(name, numbers(self.get_params(), fitted))

    @classmethod
    def from_factors(
        cls,
        user_factors: Any,
        item_factors: Any,
        *,
        data: Any = None,
        user_ids: Any = None,
        item_ids: Any = None,
        item_names: Any = None,
        user_biases: Any = None,
        item_biases: Any = None,
        global_mean: float | None = None,
        **params: Any,
    ) -> Self:
        """A fitted model from factors that another program computed.

        Parameters
        ----------
        user_factors, item_factors : array_like, shape (n_users, f) and (n_items, f)
            They are copied.
        data : Interactions or scipy sparse, shape (n_users, n_items), optional
            The values that the factors were fitted to, with users and items in the same order. `recommend` with
            ``exclude_seen=True``, `explain` and the updates need it.
        user_ids, item_ids : array_like, optional
            The id of each row. By default those of `data`, or the row numbers.
        item_names : mapping or Series, optional
            Maps item ids to names. By default the names of `data`.
        user_biases, item_biases : array_like, optional
            Shape (n_users,) and (n_items,). Together with `global_mean`, for objective "explicit".
        global_mean : float, optional
        **params
            Arguments of `ALS`. They must describe the objective that the factors were fitted to: `fold_in`, `explain`, the
            updates and `loss` use it.

        Returns
        -------
        ALS

        Examples
        --------
        >>> import cymbals
        >>> users, items = [[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.1], [0.0, 2.0], [1.0, 1.0]]
        >>> model = cymbals.ALS.from_factors(users, items, item_ids=["a", "b", "c"])
        >>> model.recommend(1, n=2, exclude_seen=False)
        (array(['b', 'c'], dtype=object), array([1., 1.], dtype=float32))
        """
        x, y = _factors("user_factors", user_factors), _factors("item_factors", item_factors)
        if x.shape[1] != y.shape[1]:
            raise ValueError(
                f"user_factors has {x.shape[1]} factors and item_factors {y.shape[1]}; they must have the same number"
            )
        dtype = np.result_type(x, y)
        own = {"factors": x.shape[1], "dtype": params.get("dtype", dtype.name)}
        for name, side in (("user_factors", x), ("item_factors", y)):
            if not side.shape[0]:
                raise ValueError(f"{name} has no rows; a model needs at least one user and one item")
        biases = [user_biases, item_biases, global_mean]
        if params.get("biases") and all(part is None for part in biases):
            raise ValueError("biases=True needs user_biases, item_biases and global_mean")
        if any(part is not None for part in biases):
            own |= {"biases": True, "objective": "explicit"}
        for key, value in own.items():
            if params.get(key, value) != value:
                raise ValueError(
                    f"{key}={params[key]!r} contradicts the factors, for which it must be {value!r}; leave it out"
                )
        model = cls(**params | own)
        model.check_params()
        numbers(model.get_params(), None)  # refuses "auto": the rule needs the data of a fit
        mean = None
        if own.get("biases"):
            if any(part is None for part in biases):
                raise ValueError("user_biases, item_biases and global_mean belong together: give all three, or none")
            mean = real_number("global_mean", global_mean, least=-np.inf)
            if abs(mean) > np.finfo(own["dtype"]).max:
                raise ValueError(f"global_mean must be within the range of {own['dtype']}, got {mean}")
            x = np.column_stack([x, _biases("user_biases", user_biases, x.shape[0])])
            y = np.column_stack([y, _biases("item_biases", item_biases, y.shape[0])])
        known = _interactions(data, (x.shape[0], y.shape[0]), user_ids, item_ids, item_names)
        x, y = (np.ascontiguousarray(side, dtype=own["dtype"]) for side in (x, y))
        for name, side in (("user_factors", x), ("item_factors", y)):
            if not np.isfinite(side).all():
                raise ValueError(f"{name} has values that are not finite in {side.dtype}")
        seen = None if data is None else entries_of("data", known.csr, settings_of(model.get_params()).objective, 1)
        record = FitRecord(0, [], {}, model.get_params())
        model._state = State(
            user_rows(x, mean), item_rows(y, mean), known.users, known.items, known.item_names, seen, mean, record
        )
        return model


def _factors(name: str, side: Any) -> NDArray[Any]:
    """A float32 or float64 matrix of factors."""
    refuse_masked(name, side)
    out = np.asarray(side)
    if out.ndim != 2 or out.dtype.kind not in "iuf" or not out.shape[1]:
        raise ValueError(f"{name} must be numbers of shape (rows, factors), got {out.dtype} of shape {out.shape}")
    return out.astype(np.float64 if out.dtype.itemsize > 4 and isinstance(side, np.ndarray) else np.float32)


def _biases(name: str, biases: Any, n: int) -> NDArray[Any]:
    refuse_masked(name, biases)
    out = np.asarray(biases)
    if out.shape != (n,) or out.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be {n} numbers, got {out.dtype} of shape {out.shape}")
    return out


def _interactions(data: Any, shape: tuple[int, int], user_ids: Any, item_ids: Any, item_names: Any) -> Interactions:
    """The caller's data; without data, a matrix without entries. Both have the shape and the ids of the factors."""
    known = as_interactions("data", sp.csr_array(shape) if data is None else data, 1)
    if known.shape != shape:
        raise ValueError(f"data must have a row for each user and a column for each item, {shape}; got {known.shape}")
    if not isinstance(data, Interactions):
        users, items = Ids.checked("user", user_ids, shape[0]), Ids.checked("item", item_ids, shape[1])
        return Interactions(known.csr, users, items, names_of(item_names, items))
    for name, given in (("user_ids", user_ids), ("item_ids", item_ids), ("item_names", item_names)):
        if given is not None:
            raise ValueError(f"{name} is for factors without Interactions; leave it out: `data` has its own ids and names")
    return known
