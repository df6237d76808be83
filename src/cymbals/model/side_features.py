"""The features of one side of a model: aligned with its rows, and with the map from features to factors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..base.caller import warn_caller
from ..base.format import first_few
from ..base.threads import resolve
from ..data.csr import Csr
from ..data.ids import Ids
from ..data.interactions import Interactions, as_interactions
from ..solve.projection import Projection
from .queries import histories

_EVIDENCE = 20.0  # number of entries at which the prior counts half


@dataclass(frozen=True)
class SideFeatures:
    """The features of the users or of the items.

    Attributes
    ----------
    rows : Csr, shape (n, n_features)
        Raw values, with a row for each row of the side.
    ids : Ids
        Of the features.
    projection : Projection or None
        None until it is fitted.
    """

    rows: Csr
    ids: Ids
    projection: Projection | None = None

    @classmethod
    def aligned(cls, name: str, given: Any, side: Ids, n_threads: int) -> tuple[Self, Ids]:
        """Bring features into the order of a side. Ids that only the features have are appended to the side.

        Returns the features and the longer ids.
        """
        found = as_interactions(name, given, n_threads)
        if isinstance(given, Interactions) and found.users.array is not None:
            if found.users.whole != side.whole:
                kinds = ("whole numbers", "strings")
                raise TypeError(
                    f"{name}: ids are {kinds[not found.users.whole]}, but those of train's {side.what}s are "
                    f"{kinds[not side.whole]}; give both the same type"
                )
            at = side.find(found.user_ids).astype(np.int64)
            new = np.flatnonzero(at < 0)
            if new.size == at.size:
                warn_caller(
                    f"{name}: none of its ids, {first_few(found.user_ids.tolist())}, occurs in train, whose "
                    f"{side.what}s are {first_few(side.all().tolist())}"
                )
            new = new[np.argsort(found.user_ids[new], kind="stable")]
            at[new] = side.n + np.arange(new.size)
            ids = side.extended(found.user_ids[new]) if new.size else side
        else:
            if side.array is not None and found.shape[0] != side.n:
                raise ValueError(
                    f"{name} must have a row for each of the {side.n} {side.what}s of train, got {found.shape[0]}; or give "
                    "Interactions with ids, as cymbals.features makes them"
                )
            if found.shape[0] < side.n:
                raise ValueError(
                    f"{name} must have at least as many rows as train has {side.what}s, {side.n}, got {found.shape[0]}"
                )
            at, ids = np.arange(found.shape[0]), side
            if found.shape[0] > side.n:
                ids = side.extended(np.arange(side.n, found.shape[0]))
        order = np.full(ids.n, found.shape[0], np.int64)  # rows without features are the empty row at the end
        order[at] = np.arange(found.shape[0])
        return cls(
            _with_empty_row(found.csr).take(order, n_threads).owned(), Ids("feature", found.shape[1], found.items.array)
        ), ids

    def fitted(self, factors: NDArray[Any], known: NDArray[np.bool_]) -> Self:
        """These features with the map that fits the factors of the `known` rows, which have entries."""
        there = known & (self.rows.lengths() > 0)
        return replace(self, projection=Projection.fitted(self.rows, factors, there))

    def prior(self, rows: Csr | NDArray[np.int64], n_entries: NDArray[np.int64]) -> NDArray[Any]:
        """The factors towards which the regularization pulls each row, given the rows' numbers of entries.

        `rows` are rows of features, or numbers of rows of the side. The factors are those of the map, times 20 / (20 + n)
        for a row with n entries: the regularization of a long row should still keep its factors small.
        """
        assert self.projection is not None
        found = self.projection.of(rows if isinstance(rows, Csr) else self.rows.take(rows))
        found *= (_EVIDENCE / (_EVIDENCE + n_entries))[:, None].astype(found.dtype)
        return found

    def explained(
        self, row: NDArray[np.int64], n_entries: int, directions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], list[list[tuple[Any, float]]]]:
        """What the prior of one row adds to the score in each direction, and what each of its features adds.

        Parameters
        ----------
        row : ndarray, shape (1,)
        n_entries : int
            Of the row.
        directions : ndarray, shape (m, f)

        Returns
        -------
        totals : ndarray, shape (m,)
        features : list of list of (id, float)
            For each direction, the features with what they add, largest first.
        """
        assert self.projection is not None
        features = self.rows.take(row)
        if not features.nnz:
            return np.zeros(len(directions)), [[] for _ in directions]
        parts = _EVIDENCE / (_EVIDENCE + n_entries) * self.projection.parts(features, directions)
        ids = self.ids.of(features.indices.astype(np.int64)).tolist()
        orders = np.argsort(-parts[:, :-1], axis=1, kind="stable").tolist()  # the last part is that of all rows
        return parts.sum(axis=1), [
            [(ids[j], float(of_one[j])) for j in order] for of_one, order in zip(parts, orders, strict=True)
        ]

    def of_strangers(self, name: str, given: Any, n_rows: int | None) -> tuple[bool, Csr]:
        """The features of people whom the model does not know, and whether it was a single one.

        `given` is a list of feature ids, a dict of feature id to value, a list of these, Interactions whose columns have
        feature ids, or a sparse matrix with the columns of the fit.
        """
        one = False
        if isinstance(given, Interactions):
            rows = self._columns_of(name, given)
        elif hasattr(given, "tocsr"):
            rows = as_interactions(name, given, resolve(None)).csr
            if rows.shape[1] != self.ids.n:
                raise ValueError(f"{name} must have a column for each of the {self.ids.n} features, got {rows.shape[1]}")
        else:
            one, rows = histories(name, given, self.ids)
        if n_rows is not None and rows.shape[0] != n_rows:
            raise ValueError(f"{name} must have a row for each of the {n_rows} rows, got {rows.shape[0]}")
        return one, rows

    def _columns_of(self, name: str, given: Interactions) -> Csr:
        """The rows of Interactions, with their columns in the order of the fit. Unknown features are left out."""
        at = self.ids.find(given.item_ids).astype(np.int64)
        csr = given.csr
        kept = at[csr.indices] >= 0
        if not kept.all():
            unknown = given.item_ids[at < 0].tolist()
            warn_caller(f"{name}: the model does not know the features {first_few(unknown)}; left out")
        return Csr.from_triplets(
            csr.row_numbers()[kept], at[csr.indices[kept]], csr.data[kept], (csr.shape[0], self.ids.n), resolve(None)
        )

    def taken(self, rows: NDArray[np.int64]) -> Self:
        """The features of some rows of the side."""
        return replace(self, rows=self.rows.take(rows).owned())

    def extended(self, n: int) -> Self:
        """These features for a side of `n` rows. New rows have none."""
        more = n - self.rows.shape[0]
        if not more:
            return self
        indptr = np.concatenate([self.rows.indptr, np.full(more, self.rows.indptr[-1])])
        return replace(self, rows=replace(self.rows, indptr=indptr, shape=(n, self.rows.shape[1])))


def of_strangers(side: SideFeatures | None, name: str, given: Any, n_rows: int | None) -> tuple[bool, Csr]:
    """As `SideFeatures.of_strangers`. Raises ValueError if the model was fitted without features of users."""
    if side is None:
        raise ValueError(f"{name} needs a model that was fitted with user_features=...")
    return side.of_strangers(name, given, n_rows)


def _with_empty_row(csr: Csr) -> Csr:
    whole = csr.whole()
    return replace(whole, indptr=np.append(whole.indptr, whole.indptr[-1]), shape=(csr.shape[0] + 1, csr.shape[1]))
