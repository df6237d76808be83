"""A fitted model that lives on: new events, changed rows, people and products that leave."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.checks import one_of, whole_number
from ..data.csr import Csr
from ..data.events import Events
from ..data.ids import Ids
from ..data.interactions import with_names
from ..data.merge import transposed_by_sorting, without_rows_and_columns
from ..data.overlay import with_changes, with_values
from . import updates
from .attaching import refeatured
from .drift import REFIT_DRIFT, drift
from .solving_model import SolvingModel
from .state import State, item_rows, user_rows


@dataclass(frozen=True)
class UpdateReport:
    """What `ALS.update` did.

    Attributes
    ----------
    events : int
        Number of events that were given.
    new_users, new_items : int
        Users and items that the model did not know before.
    touched_users, touched_items : int
        Users and items with events, or with more sweeps also their neighbours; each counted once.
    deferred : int
        How many of them were not solved again. A row with over 1,000 entries whose values only grow waits until the number
        of its entries, or the sum of its values, has grown by about 0.4 %. Less hardly changes its factors.
    seconds : float
        For the whole call.
    drift : float
        How far the factors are from a solution for the present values: the relative change of the scores if one side were
        solved again, users or items, whichever is larger. It is measured on a sample of both. It is not 0 after a fit,
        because a fit stops before the factors have converged. Infinity if a row of the sample cannot be solved.
    refit_due : bool
        Whether a new fit is worth its time: the drift is larger by 0.1 than it was before the first update.
    """

    events: int
    new_users: int
    new_items: int
    touched_users: int
    touched_items: int
    deferred: int
    seconds: float
    drift: float
    refit_due: bool


@dataclass(frozen=True)
class _Touched:
    """The rows of one side that have events, in rising order, and whether each has moved enough to be solved again."""

    rows: NDArray[np.int64]
    moved: NDArray[np.bool_]

    @classmethod
    def of(cls, before: Csr, after: Csr, of_pair: NDArray[Any], gains: NDArray[np.float64]) -> _Touched:
        """`of_pair` is the row of each pair with events, and `gains` by how much its value has grown."""
        falls, counts = (np.bincount(part, minlength=after.shape[0]) for part in (of_pair[gains < 0], of_pair))
        rows = np.flatnonzero(counts)
        return cls(rows, updates.moved(before, after, rows, falls[rows] > 0))


class UpdatingModel(SolvingModel):
    """The methods that change a fitted model. Each replaces the whole state at once: readers see the old or the new one."""

    def update(
        self,
        events: Any,
        how: str = "add",
        sweeps: int = 1,
        *,
        user: str = "user",
        item: str = "item",
        value: str | None = "value",
        user_features: Any = None,
        item_features: Any = None,
        n_threads: int | None = None,
    ) -> UpdateReport:
        """Take in new events, with new users and items among them, and solve again the rows that they touch.

        Use it between fits, as often as events arrive. Factors, seen items and ids change together; if an argument is
        wrong, nothing changes.

        Parameters
        ----------
        events : DataFrame, Arrow stream, Interactions, or (users, items) or (users, items, values)
            The events by id, with an element for each. Unknown ids become new users and items. In a model without ids, they
            must be the next row numbers.
        how : {"add", "replace"}
            "add": values are added to those of the fit, as for plays. "replace": values replace them, as for ratings; if a
            pair occurs several times, the last value counts. A pair whose value becomes 0 is deleted, except with objective
            "explicit", where 0 is a rating.
        sweeps : int
            1: users with events are solved again, then items with events. A second sweep goes one step further: it also
            solves all users who have one of these items, then all items that one of these users has; and so on.
        user, item, value : str
            Names of columns, if `events` is a frame or a stream. A `value` of None counts each row as 1.
        user_features, item_features : Interactions, optional
            Features of new users and items, by id, or new features of known ones, as in `fit`. A row with entries that is
            not solved again keeps its factors until it is. Ids without events become rows of the model too. Features that
            the fit did not have are left out, with a warning.
        n_threads : int, optional

        Returns
        -------
        UpdateReport

        Examples
        --------
        >>> import cymbals
        >>> plays = cymbals.Interactions.from_arrays(["ann", "ann", "bob", "cy"], ["abba", "blur", "abba", "blur"])
        >>> model = cymbals.ALS(factors=2, random_state=0).fit(plays)
        >>> report = model.update((["dan", "dan", "ann"], ["abba", "cure", "cure"]))
        >>> report.new_users, report.new_items, report.touched_users, report.touched_items
        (1, 1, 2, 2)
        >>> model.recommend("dan", n=1)[0].tolist()
        ['blur']
        """
        began = time.perf_counter()
        one_of("how", how, ("add", "replace"))
        sweeps, n = whole_number("sweeps", sweeps, 1), self._threads(n_threads)
        given = Events.of(events, user, item, value)
        with self._writing:
            state = self._with_interactions()
            featured = refeatured(state, user_features, item_features, n)
            after, users, items = self._merged(featured, given, how, n)
            after = self._swept(self._seeded(after, state, n), users.rows[users.moved], items.rows[items.moved], n)
            at_users, at_items = users.rows, items.rows
            for _ in range(1, sweeps):
                assert after.seen is not None
                at_users = np.union1d(at_users, after.seen_by_item(n).take(at_items).indices)
                at_items = np.union1d(at_items, after.seen.take(at_users).indices)
                after = self._swept(after, at_users, at_items, n)
            # A fit may stop before it converges. What it left is no reason to fit again.
            left = _left_by_fit(state, n)
            moved = drift(after, n)
            assert after.fit is not None
            report = after.fit.report | {"drift_of_fit": left}
            self.replace_state(after.changed(fit=replace(after.fit, report=report)))
        return UpdateReport(
            events=given.users.size,
            new_users=after.users.n - state.users.n,
            new_items=after.items.n - state.items.n,
            touched_users=at_users.size,
            touched_items=at_items.size,
            deferred=0 if sweeps > 1 else int(np.sum(~users.moved) + np.sum(~items.moved)),
            seconds=time.perf_counter() - began,
            drift=moved,
            refit_due=moved > REFIT_DRIFT + left,
        )

    def _merged(self, state: State, events: Events, how: str, n_threads: int) -> tuple[State, _Touched, _Touched]:
        """The state with the events' users, items and values, and the users and items with events.

        Factors of new items are 0, so a new item has no effect on its users until it is solved itself. New users get
        factors only when they are solved.
        """
        assert state.seen is not None
        users, items, rows, cols = events.rows_among(state.users, state.items)
        shape = (users.n, items.n)
        changes = events.matrix(rows, cols, shape, how, n_threads)
        before, before_by_item = state.seen.owned(), state.seen_by_item(n_threads)
        seen, values, gains = with_changes(before, changes, how, n_threads)
        by_item = with_values(before_by_item, transposed_by_sorting(values), n_threads)
        kind = state.settings.objective.kind
        if kind == "ials":
            _refuse_negative(values, users, items)
        if kind != "explicit" and (values.data == 0).any():
            seen, by_item = seen.whole().without_zeros(), by_item.whole().without_zeros()
        names = with_names(state.names, items.n)
        after = state.changed(users=users, items=items, names=names, seen=seen).caching_seen_by_item(by_item)
        after = after.with_longer_features(users.n, items.n)
        if items.n > state.items.n:
            new = np.arange(state.items.n, items.n)
            zeros = np.zeros((new.size, state.y.shape[1] - (state.mean is not None)), state.y.dtype)
            y = updates.with_rows(state.y, new, item_rows(zeros, state.mean), items.n)
            after = after.with_items(y, new, n_threads)
        return (
            after,
            _Touched.of(before, seen, values.row_numbers(), gains),
            _Touched.of(before_by_item, by_item, values.indices, gains),
        )

    def _seeded(self, state: State, before: State, n_threads: int) -> State:
        """Give new items small random factors if only new users have them, and these users have no other items.

        Such users and items would be solved from factors of 0, and stay 0.
        """
        assert state.seen is not None
        n_users, n_items = before.users.n, before.items.n
        if state.users.n == n_users or state.items.n == n_items:
            return state
        new_users = state.seen.take(np.arange(n_users, state.users.n))
        only_new = np.ones(state.users.n, bool)
        only_new[:n_users] = False
        only_new[n_users + new_users.row_numbers()[new_users.indices < n_items]] = False
        new_items = state.seen_by_item(n_threads).take(np.arange(n_items, state.items.n))
        alone = np.ones(state.items.n - n_items, bool)
        alone[new_items.row_numbers()[~only_new[new_items.indices]]] = False
        rows, rank = n_items + np.flatnonzero(alone), state.y.shape[1] - 2 * (state.mean is not None)
        if not rows.size:
            return state
        noise = np.random.default_rng(n_items).standard_normal((rows.size, rank)) * (0.1 / np.sqrt(rank))
        solved = np.zeros((rows.size, rank + (state.mean is not None)), state.y.dtype)
        solved[:, :rank] = noise
        y = updates.with_rows(state.y, rows, item_rows(solved, state.mean), state.items.n)
        return state.with_items(y, rows, n_threads)

    def _swept(self, state: State, users: NDArray[np.int64], items: NDArray[np.int64], n_threads: int) -> State:
        """Solve these users, then these items, with the fit's own solver, from their old factors.

        Users who had only new items come out as 0 at first. They are solved once more, after their items.
        """
        state = self._with_users_solved(state, users, n_threads)
        rows = state.seen_by_item(n_threads).take(items, n_threads)
        solved = self._solve(
            state,
            rows,
            state.near_user_side(n_threads),
            Ids(state.items.what, items.size, state.items.of(items)),
            n_threads,
            start=state.solved_items(items),
            prior=state.item_prior(items, rows),
        )
        y = updates.with_rows(state.y, items, item_rows(solved, state.mean), state.items.n)
        state = state.with_items(y, items, n_threads)
        rank = state.x.shape[1] - 2 * (state.mean is not None)
        silent = users[~state.x[users, :rank].any(axis=1)]
        return self._with_users_solved(state, silent, n_threads) if silent.size else state

    def _with_users_solved(self, state: State, users: NDArray[np.int64], n_threads: int) -> State:
        assert state.seen is not None
        n = state.x.shape[0]
        start = state.solved_users(np.minimum(users, n - 1))
        start[users >= n] = 0
        rows = state.seen.take(users, n_threads)
        solved = self._solve(
            state,
            rows,
            state.near_item_side(n_threads),
            Ids(state.users.what, users.size, state.users.of(users)),
            n_threads,
            start=start,
            prior=state.user_prior(users, rows),
        )
        x = updates.with_rows(state.x, users, user_rows(solved, state.mean), state.users.n)
        return state.with_users(x, users, n_threads)

    def remove(self, users: Any = None, items: Any = None) -> None:
        """Forget people who leave and products that are no longer sold.

        Their rows and their entries leave the model. All other factors stay as they are until the next fit or update.

        Parameters
        ----------
        users, items : id or array_like of ids, optional
            In a model without ids, rows behind a removed one move up, because the ids are the row numbers.

        Raises
        ------
        KeyError
            The model does not know an id. Nothing is removed then.
        ValueError
            No user, or no item, would be left.
        """
        if users is None and items is None:
            raise TypeError("remove takes users, items, or both")
        with self._writing:
            state = self.state_
            keep = state.users.kept("users", users), state.items.kept("items", items)
            for name, mask in zip(("users", "items"), keep, strict=True):
                if not mask.any():
                    raise ValueError(f"{name}: none of the {mask.size} {name} of the model would be left")
            kept = [np.flatnonzero(mask) for mask in keep]
            seen = None if state.seen is None else without_rows_and_columns(state.seen.whole().owned(), *keep)
            names = None if state.names is None else state.names[keep[1]]
            self.replace_state(
                state.changed(
                    x=state.x[keep[0]],
                    y=state.y[keep[1]],
                    users=state.users.taken(kept[0]),
                    items=state.items.taken(kept[1]),
                    names=names,
                    seen=seen,
                    user_features=None if state.user_features is None else state.user_features.taken(kept[0]),
                    item_features=None if state.item_features is None else state.item_features.taken(kept[1]),
                )
            )

    def update_users(self, ids: Any, rows: Any, n_threads: int | None = None) -> None:
        """Replace the values of some users and compute their factors again. Unknown ids become new users.

        Use it between fits, when users have new events. Factors, seen items and ids change together; if an argument is
        wrong, nothing changes.

        Parameters
        ----------
        ids : id or array_like of ids
            Each id only once. In a model without ids, new users get the next row numbers.
        rows : scipy sparse, shape (m, n_items)
            All raw values of these users, old and new, with items in the model's row order.
        n_threads : int, optional
        """
        with self._writing:
            state, n = self._with_interactions(), self._threads(n_threads)
            rows = self._raw_rows("rows", rows, state, n)
            users, at = updates.placed(state.users, "ids", ids, rows.shape[0])
            state = state.with_longer_features(users.n, state.items.n)
            who = Ids(users.what, at.size, users.of(at))
            solved = self._solve(state, rows, state.item_side(n), who, n, prior=state.user_prior(at, rows))
            x = updates.with_rows(state.x, at, user_rows(solved, state.mean), users.n)
            assert state.seen is not None
            seen = updates.with_seen(state.seen.whole(), at, rows, users.n, n)
            self.replace_state(state.changed(x=x, users=users, seen=seen))

    def update_items(self, ids: Any, rows: Any, n_threads: int | None = None) -> None:
        """Replace the values of some items and compute their factors again. Unknown ids become new items.

        Use it between fits, when items are new or have new events.

        Parameters
        ----------
        ids : id or array_like of ids
            Each id only once. In a model without ids, new items get the next row numbers.
        rows : scipy sparse, shape (m, n_users)
            All raw values of these items, old and new, with users in the model's row order.
        n_threads : int, optional
        """
        with self._writing:
            state, n = self._with_interactions(), self._threads(n_threads)
            rows = self._raw_rows("rows", rows, state, n, by_item=True)
            items, at = updates.placed(state.items, "ids", ids, rows.shape[0])
            state = state.with_longer_features(state.users.n, items.n)
            which = Ids(items.what, at.size, items.of(at))
            solved = self._solve(state, rows, state.user_side(n), which, n, prior=state.item_prior(at, rows))
            y = updates.with_rows(state.y, at, item_rows(solved, state.mean), items.n)
            seen = updates.with_seen(state.seen_by_item(n), at, rows, items.n, n)
            names = with_names(state.names, items.n)
            self.replace_state(state.changed(y=y, items=items, names=names, seen=seen.transposed(n)))


def _left_by_fit(state: State, n_threads: int) -> float:
    """The drift of the model before its first update."""
    assert state.fit is not None
    known = state.fit.report.get("drift_of_fit")
    if known is not None:
        return float(known)
    found = drift(state, n_threads)
    return found if np.isfinite(found) else 0.0


def _refuse_negative(values: Csr, users: Ids, items: Ids) -> None:
    """Refuse events after which a value is below 0, which objective "ials" cannot use. The message names the pair."""
    negative = np.flatnonzero(values.data < 0)
    if not negative.size:
        return
    at = negative[:1]
    user, item = users.of(values.row_numbers()[at]).tolist()[0], items.of(values.indices[at].astype(np.int64)).tolist()[0]
    raise ValueError(
        f"events: the value of user {user!r} and item {item!r} becomes {values.data[at[0]]}; objective 'ials' takes no "
        "negative values: drop these events, or use objective 'hu' (negative feedback)"
    )
