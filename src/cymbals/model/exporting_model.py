"""What leaves a model as Arrow data: recommendations for all users, and factors for search engines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import boolean, file_path, one_of
from ..base.files import beside
from ..base.optional import optional
from ..data.ids import Ids, id_array, listed
from .factor_model import FactorModel, checked_n
from .state import State

_USERS = 8192  # for each batch of recommendations


@dataclass(frozen=True)
class Recommendations:
    """Recommendations as an Arrow stream with the columns user, rank (from 1), item and score.

    They are computed while they are read, a batch of users at a time, from the state that the model had at the call. Each
    reading computes them again. Give this object to a library that reads Arrow streams (Polars, DuckDB, pyarrow, pandas),
    iterate over it for record batches, or call `to_parquet`.

    Attributes
    ----------
    schema : pyarrow.Schema
    """

    schema: Any
    _batches: Callable[[], Iterator[Any]] = field(repr=False)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        pa = optional("pyarrow")
        return pa.RecordBatchReader.from_batches(self.schema, self._batches()).__arrow_c_stream__(requested_schema)

    def to_parquet(self, path: str | os.PathLike[str]) -> int:
        """Write them to a Parquet file. An existing file is replaced at the end, as a whole.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        int
            Number of rows.
        """
        writer = optional("pyarrow.parquet", "to_parquet").ParquetWriter
        # not the scores: nearly all are different, so a dictionary of them would only cost time and space
        repeated = [name for name in self.schema.names if name != "score"]
        return self._write(path, partial(writer, use_dictionary=repeated))

    def to_csv(self, path: str | os.PathLike[str]) -> int:
        """Write them to a CSV file with a header. An existing file is replaced at the end, as a whole.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        int
            Number of rows.
        """
        return self._write(path, optional("pyarrow.csv", "to_csv").CSVWriter)

    def _write(self, path: str | os.PathLike[str], open_writer: Any) -> int:
        n_rows = 0
        # Pass an open file: pyarrow refuses file names that are not UTF-8.
        with beside(file_path("path", path)) as part, open(part, "wb") as file, open_writer(file, self.schema) as writer:
            for batch in self:
                writer.write_batch(batch)
                n_rows += batch.num_rows
        return n_rows


class ExportingModel(FactorModel):
    """The methods of a model that give its answers and its factors to other programs. They need pyarrow."""

    def recommend_all(
        self,
        n: int = 10,
        users: Any = None,
        *,
        exclude_seen: bool = True,
        exclude: Any = None,
        candidates: Any = None,
        n_threads: int | None = None,
    ) -> Recommendations:
        """Recommendations for all users, as a stream that needs little memory for any number of users.

        Parameters
        ----------
        n : int
            Number of items for each user. Places that cannot be filled have no row.
        users : array_like of ids, optional
            Only these users, in this order.
        exclude_seen, exclude, candidates
            As in `recommend`. `exclude` must be the same for all users.
        n_threads : int, optional

        Returns
        -------
        Recommendations

        Examples
        --------
        >>> import cymbals, scipy.sparse
        >>> model = cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1))
        >>> stream = model.recommend_all(n=2)
        >>> stream.schema.names
        ['user', 'rank', 'item', 'score']
        >>> sum(batch.num_rows for batch in stream)
        60
        """
        pa = optional("pyarrow", "recommend_all")
        state, k, threads_used = self.state_, checked_n(n), self._threads(n_threads)
        boolean("exclude_seen", exclude_seen)
        if hasattr(exclude, "tocsr"):
            raise TypeError(
                "recommend_all takes exclude as item ids or a mask, not as a matrix: use recommend for some users"
            )
        wanted = state.users.all() if users is None else id_array("users", listed(users)).copy()
        state.users.rows("users", wanted)
        limits = self._limits(state, exclude, candidates, 0, threads_used)
        if exclude_seen:
            self._with_interactions()
        item_ids = _ids(pa, state.items)
        user_ids = _ids(pa, Ids("user", wanted.size, wanted)) if wanted.size else _ids(pa, state.users).slice(0, 0)
        score = pa.float32() if state.y.dtype == np.float32 else pa.float64()
        fields = [("user", user_ids.type), ("rank", pa.int32()), ("item", item_ids.type), ("score", score)]
        schema = pa.schema(fields)

        def batches() -> Iterator[Any]:
            index = None  # is made once, not for each batch
            if wanted.size > _USERS and self._uses_index(state, k, limits):
                index = state.item_index(threads_used)
            for begin in range(0, wanted.size, _USERS):
                queries = self._known_users(state, wanted[begin : begin + _USERS], exclude_seen, "raise")
                rows, scores = self._ranked(state, queries, k, exclude_seen, limits, threads_used, index)
                query, place = np.nonzero(rows >= 0)
                users_of, items_of = user_ids.take(pa.array(begin + query)), item_ids.take(pa.array(rows[query, place]))
                columns = [users_of, pa.array((place + 1).astype(np.int32)), items_of]
                yield pa.record_batch([*columns, pa.array(scores[query, place])], schema=schema)

        return Recommendations(schema, batches)

    def export_factors(self, side: str, *, normalize: bool = False, augment: bool = False) -> Any:
        """The factors with ids and names, for a search engine or a vector database.

        The inner product of a user's vector and an item's vector is the score, unless `normalize` is true. In a model with
        biases, the vectors have two more dimensions for them.

        Parameters
        ----------
        side : {"items", "users"}
        normalize : bool
            Divide each vector by its length, for engines that want unit vectors. The inner product of two items is then
            their cosine, as in `similar_items`; for this, biases are left out unless `augment` is true.
        augment : bool
            Add a dimension that gives all items the same length, for engines that search only by cosine or by Euclidean
            distance. The nearest items of an augmented user are then those with the highest scores (Bachrach et al. 2014).
            Do it on both sides.

        Returns
        -------
        pyarrow.Table
            The columns "id", "name" (for items, if the model has names) and "vector", a list of fixed size of float32 or
            float64.

        Examples
        --------
        >>> import cymbals
        >>> model = cymbals.ALS.from_factors([[1.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]], item_ids=["a", "b"])
        >>> model.export_factors("items", augment=True)["vector"].to_pylist()
        [[3.0, 4.0, 0.0], [0.0, 1.0, 4.898979663848877]]
        """
        pa = optional("pyarrow", "export_factors")
        one_of("side", side, ("items", "users"))
        state = self.state_
        vectors = exported(state, side, boolean("normalize", normalize), boolean("augment", augment))
        ids = state.items if side == "items" else state.users
        columns: dict[str, Any] = {"id": _ids(pa, ids)}
        if side == "items" and state.names is not None:
            columns["name"] = _texts(pa, "item name", state.names)
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        return pa.table(columns | {"vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})


def exported(state: State, side: str, normalize: bool, augment: bool) -> NDArray[Any]:
    """The vectors of one side, shape (n, f); more dimensions with biases or with `augment`."""
    vectors = state.scored_items if side == "items" else state.x
    if normalize and not augment:
        vectors = state.item_factors if side == "items" else state.user_factors
    if augment:
        squared = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
        extra = np.sqrt(np.maximum(squared.max(initial=0) - squared, 0)) if side == "items" else np.zeros(len(vectors))
        vectors = np.column_stack([vectors, extra.astype(vectors.dtype)])
    if normalize:
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        vectors = (vectors / np.where(lengths > 0, lengths, 1)[:, None]).astype(vectors.dtype)
    return vectors


def _ids(pa: Any, ids: Ids) -> Any:
    """Ids as an Arrow array."""
    return pa.array(ids.all()) if ids.whole else _texts(pa, f"{ids.what} id", ids.all())


def _texts(pa: Any, what: str, texts: NDArray[Any]) -> Any:
    """Texts as an Arrow array. Raises ValueError for a text that is not valid UTF-8, which Arrow cannot hold."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the {what} {error.object!r} contains half of a surrogate pair, which Arrow cannot hold; use recommend instead"
        ) from None
