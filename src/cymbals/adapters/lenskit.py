"""LensKit: a scorer that takes the place of `ImplicitMFScorer` and `BiasedMFScorer` in its pipelines.

A pipeline asks it for one user at a time, and LensKit runs several pipelines in parallel. So the history of a query is
folded in on one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.optional import missing
from ..data.csr import Csr, summed, values_array
from ..data.interactions import Interactions
from ..model.als import ALS
from ..model.state import State

try:
    from lenskit.data import Dataset, ItemList, QueryInput, RecQuery, Vocabulary
    from lenskit.pipeline import Component
    from lenskit.training import Trainable, TrainingOptions
    from pydantic import BaseModel, ConfigDict, Field
except ImportError as error:
    raise ImportError(missing("lenskit", __name__)) from error

from .config import AlsField


class ALSScorerConfig(BaseModel):  # type: ignore[misc]
    """The configuration of an `ALSScorer`.

    Parameters
    ----------
    als : ALS or dict
        An unfitted model, or its arguments by name. ``ALS()`` by default. If its `random_state` is None, the starting
        factors are drawn from the random numbers of LensKit's `TrainingOptions`.
    values : str, optional
        The attribute of the interactions that holds the values, such as "rating" or "count". By default every user-item
        pair that occurs has the value 1.
    fold_in : bool
        True: if the query has items, the user's factors are computed from them. False: a user whom the model knows has the
        factors of the fit, which takes less time.
    """

    model_config = ConfigDict(extra="forbid")

    als: AlsField = Field(default_factory=ALS)
    values: str | None = None
    fold_in: bool = True


class ALSScorer(Component[ItemList], Trainable):  # type: ignore[misc]
    """A LensKit scorer that trains and scores with `cymbals.ALS`.

    Items that the model does not know get the score NaN. So do all items if the query has neither a known user nor a known
    item.

    Parameters
    ----------
    config : ALSScorerConfig, optional
        Or its fields by name: ``ALSScorer(als=ALS(factors=64), values="rating")``.

    Attributes
    ----------
    als_ : ALS
        The fitted model, with LensKit's ids.
    users_, items_ : Vocabulary
        LensKit's ids of the rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from cymbals import ALS
    >>> from cymbals.adapters.lenskit import ALSScorer
    >>> from lenskit.data import from_interactions_df
    >>> from lenskit.pipeline import topn_pipeline
    >>> plays = pd.DataFrame({"user_id": ["ann", "ann", "bob", "cy"], "item_id": ["abba", "blur", "abba", "blur"]})
    >>> pipeline = topn_pipeline(ALSScorer(als=ALS(factors=2, random_state=0)), n=1)
    >>> pipeline.train(from_interactions_df(plays))
    >>> pipeline.run("recommender", query="bob").ids().tolist()
    ['blur']
    """

    config: ALSScorerConfig
    als_: ALS
    users_: Vocabulary
    items_: Vocabulary

    def is_trained(self) -> bool:
        """Whether the model is fitted."""
        return hasattr(self, "als_")

    def train(self, data: Dataset, options: TrainingOptions = TrainingOptions()) -> None:  # noqa: B008
        """Fit the model.

        Parameters
        ----------
        data : Dataset
        options : TrainingOptions
            ``retrain=False`` keeps a model that is fitted. `rng` is used as `ALSScorerConfig` says.

        Raises
        ------
        ValueError
            The interactions do not have the attribute `values`.
        """
        if self.is_trained() and not options.retrain:
            return
        table, values = data.interactions().matrix(), self.config.values
        if values is not None and values not in table.attribute_names:
            raise ValueError(f"values={values!r}: the interactions have no such attribute, only {table.attribute_names}")
        matrix = table.scipy(attribute=values)
        params = self.config.als.get_params()
        if params["random_state"] is None:
            params["random_state"] = options.random_generator()
        self.als_ = ALS(**params).fit(Interactions.from_csr(matrix, user_ids=data.users.ids(), item_ids=data.items.ids()))
        self.users_, self.items_ = data.users, data.items

    def __call__(self, query: QueryInput, items: ItemList) -> ItemList:
        """Score items for a user.

        Parameters
        ----------
        query : RecQuery, user id or ItemList
            The user, their items, or both.
        items : ItemList
            The items to score.

        Returns
        -------
        ItemList
            The same items with scores.

        Raises
        ------
        ValueError
            The query's items do not have the field `values`.
        """
        state = self.als_.state_
        user = self._user(RecQuery.create(query), state)
        if user is None:
            return ItemList(items, scores=np.nan)
        rows, y = items.numbers(vocabulary=self.items_, missing="negative"), state.scored_items
        known = rows >= 0
        found = rows[known]
        scores = np.full(len(items), np.nan, y.dtype)
        # For many items, copying their rows takes longer than scoring all items.
        scores[known] = (y @ user)[found] if found.size > len(y) // 4 else y[found] @ user
        return ItemList(items, scores=scores)

    def _user(self, query: RecQuery, state: State) -> NDArray[Any] | None:
        """The vector of the query's user, or None if nothing is known about them."""
        row = None if query.user_id is None else self.users_.number(query.user_id, missing=None)
        if self.config.fold_in or row is None:
            history = self._history(query.query_items)
            if history is not None:
                rows = self.als_._raw_rows("query", history, state, 1)
                user: NDArray[Any] = self.als_._fold_in(state, rows, 1)[0]  # with the bias, which `ALS.fold_in` leaves out
                return user
        return None if row is None else state.x[row]

    def _history(self, items: ItemList | None) -> Csr | None:
        """The items of a query as a matrix of one row, or None if the model knows none of them."""
        if items is None or not len(items):
            return None
        columns, name = items.numbers(vocabulary=self.items_, missing="negative"), self.config.values
        values = np.ones(len(items), np.float32) if name is None else items.field(name)
        if values is None:
            raise ValueError(f"the query's items have no field {name!r}: the model takes its values from there, so add it")
        values = values_array("query", values)
        kept = (columns >= 0) & ~np.isnan(values)  # LensKit writes NaN where a value is missing
        if not kept.any():
            return None
        return summed(np.zeros(kept.sum(), np.int64), columns[kept], values[kept], (1, len(self.items_)), 1)
