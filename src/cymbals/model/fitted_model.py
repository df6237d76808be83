"""A model with a fitted state: its ids, factors and names.

Methods that read are thread-safe. Each takes the current immutable `State` once and uses only that, even if another thread
updates the model meanwhile.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import EllipsisType
from typing import Any, Self

from numpy.typing import NDArray

from ..base.checks import instance
from ..base.threads import resolve
from ..base.writing import Writing
from ..data.csr import Csr
from ..data.ids import Ids, one_row
from ..data.interactions import Interactions
from .state import State


class NotFittedError(ValueError, AttributeError):
    """The model has not been fitted, so it has no factors yet.

    If scikit-learn is loaded, the error is also an instance of its class of this name.
    """

    def __reduce__(self) -> tuple[Callable[[str], NotFittedError], tuple[Any, ...]]:
        return not_fitted, self.args  # the class that is scikit-learn's too cannot be pickled by name


def not_fitted(message: str) -> NotFittedError:
    """A NotFittedError, which is scikit-learn's too if that is loaded."""
    theirs = getattr(sys.modules.get("sklearn.exceptions"), "NotFittedError", None)
    kind: type[NotFittedError] = NotFittedError if theirs is None else type("NotFittedError", (NotFittedError, theirs), {})
    return kind(message)


class FittedModel:
    """A model with a state. `FactorModel` adds the methods that answer questions."""

    _state: State | None = None
    _writing: Writing  # held while the state is replaced
    n_threads: int | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        model = super().__new__(cls)
        model._writing = Writing()
        return model

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles get a lock of their own.
        return {name: value for name, value in vars(self).items() if name != "_writing"}

    def __sklearn_is_fitted__(self) -> bool:
        return self._state is not None

    @property
    def state_(self) -> State:
        """The fitted state: factors, ids, seen items. Raises NotFittedError before the first fit."""
        if self._state is None:
            raise not_fitted(f"this {type(self).__name__} is not fitted yet; call fit first")
        return self._state

    def replace_state(self, state: State | None, *, only_if: State | EllipsisType | None = ...) -> None:
        """Give the model another state. Use it in a callback that keeps the best state and then stops the fit.

        Parameters
        ----------
        state : State, or None
            The new state: an earlier value of `state_`. None: the model is then not fitted.
        only_if : State, or None, optional
            The state that the model must still have. If it has another, the call changes nothing.
        """
        if state is not None:
            instance("state", state, State)
        with self._writing:
            if only_if is ... or self._state is only_if:
                self._state = state

    def snapshot(self) -> Self:
        """A copy of this model with its present state. Use it where later updates must not have an effect.

        Returns
        -------
        model
            It shares the factors with this model, so making it is cheap.
        """
        return copy.copy(self)

    @property
    def user_factors_(self) -> NDArray[Any]:
        """User factors, shape (n_users, factors)."""
        return self.state_.user_factors

    @property
    def item_factors_(self) -> NDArray[Any]:
        """Item factors, shape (n_items, factors)."""
        return self.state_.item_factors

    @property
    def global_mean_(self) -> float:
        """The mean of the fitted values. Only for models with biases."""
        return self._with_biases("global_mean_")[1]

    @property
    def user_biases_(self) -> NDArray[Any]:
        """The bias that each user adds to a score, shape (n_users,). 0 for users without entries. Needs ``biases=True``."""
        return self._with_biases("user_biases_")[0].x[:, -2].copy()

    @property
    def item_biases_(self) -> NDArray[Any]:
        """The bias that each item adds to a score, shape (n_items,). 0 for items without entries. Needs ``biases=True``."""
        return self._with_biases("item_biases_")[0].y[:, -1].copy()

    def _with_biases(self, name: str) -> tuple[State, float]:
        state = self.state_
        if state.mean is None:
            raise AttributeError(f"{name}: this model has biases=False; fit ALS(objective='explicit', biases=True)")
        return state, state.mean

    @property
    def predicts_values(self) -> bool:
        """Whether a score is an estimate of the entry's value. In models of ratings it is."""
        return False

    @property
    def users_(self) -> Ids:
        """The users' ids, for conversion between ids and rows."""
        return self.state_.users

    @property
    def items_(self) -> Ids:
        """The items' ids, for conversion between ids and rows."""
        return self.state_.items

    @property
    def user_ids_(self) -> NDArray[Any]:
        """The ids of users in row order, shape (n_users,)."""
        return self.state_.users.all()

    @property
    def item_ids_(self) -> NDArray[Any]:
        """The ids of items in row order, shape (n_items,)."""
        return self.state_.items.all()

    @property
    def item_names_(self) -> NDArray[Any] | None:
        """The name of each item, or None for items without one. None if the data had no names at all."""
        return self.state_.names

    @property
    def interactions_(self) -> Interactions:
        """All interactions that the model holds, those of updates too, with ids and names. They have no times.

        Use it to evaluate a loaded model, or to fit it again after updates: ``model.fit(model.interactions_, init=model)``.
        """
        state = self._with_interactions()
        assert state.seen is not None
        return Interactions(state.seen.whole().owned(), state.users, state.items, state.names)

    def name_of(self, item: Any) -> str:
        """The name of an item, or its id as text if it has no name. Use it to print recommendations.

        Parameters
        ----------
        item : id

        Returns
        -------
        str

        Raises
        ------
        KeyError
            The model does not know the id.
        """
        state = self.state_
        row = one_row(state.items, "item", item)
        name = None if state.names is None else state.names[row]
        return str(item) if name is None else str(name)

    # -- shared with the subclasses ----------------------------------------------------------------------------------

    def _with_interactions(self) -> State:
        state = self.state_
        if state.seen is None:
            raise ValueError(
                "this model has no interactions, but this method needs them: save it with include_interactions=True, go on "
                "from a checkpoint with ALS.resume instead of load, or give data to ALS.from_factors"
            )
        return state

    def entries(self, csr: Csr) -> Csr:
        """The entries of a matrix that count as seen. Stored zeros do not."""
        return csr.without_zeros()

    def _threads(self, n_threads: int | None) -> int:
        return resolve(self.n_threads if n_threads is None else n_threads)
