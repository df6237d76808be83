"""Runs random programs of API calls, and compares each answer with tests/reference.py, in float64.

    python tools/random_programs.py --minutes 5    # exit code 1 if a program failed or crashed
    python tools/random_programs.py --only 1234    # repeat one program

Programs run in a child process. A crash ends only one program, and its seed is reported.
"""

import argparse
import faulthandler
import inspect
import os
import pickle
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import random_problems as problems
import scipy.sparse as sp
from random_problems import scores, stored

import cymbals
from cymbals import ALS, EarlyStopping, Interactions, SolveError, split, weighting

HOSTILE = (
    None, np.nan, np.inf, -np.inf, -1, 2**70, 10**400, 1j, "x", b"x", {1}, [None], [[0, 1]], np.zeros((2, 2, 2)), object(),
    np.ma.masked_array([0, 1], [False, True]), np.full(2, np.nan), sp.csr_array([[np.nan]]),
)  # fmt: skip
ACCEPTED = {("ids", -1), ("ids", "x"), ("now", -1), ("now", 2**70), ("tol", 2**70)}
# Bad values are not tried for these: the program could write files, or write to the terminal.
LEFT_ALONE = ("als", "path", "journal", "progress")
TIME_LIMIT = 120  # seconds; a program that takes longer counts as a crash


def must(what, *holds):
    if not all(np.all(each) for each in holds):
        raise AssertionError(what)


def bits(model):
    return model.user_factors_.tobytes() + model.item_factors_.tobytes()


class Program:
    """Draws a problem, makes random calls and checks their answers. `dense` has the seen values, and NaN elsewhere."""

    def __init__(self, seed):
        self.rng, self.calls, self.refusals = np.random.default_rng(seed), Counter(), Counter()
        self.pick = partial(problems.pick, self.rng)

    def run(self):
        self.call_fit()
        for _ in range(self.rng.integers(2, 12)):
            getattr(self, self.pick([name for name in dir(self) if name.startswith("call_")]))()

    def ask(self, call, **arguments):
        """Make a call and return its answer. One time in five, first make the same call with a bad argument."""
        if self.rng.random() < 0.2:
            names = [name for name in inspect.signature(call).parameters if name not in LEFT_ALONE]
            self.refuse(call, arguments, self.pick(names))
        self.calls[call.__name__] += 1
        return call(**arguments)

    def refuse(self, call, arguments, name):
        """Check that a bad argument raises an exception that names the argument, and that the model stays unchanged."""
        owner, bad = vars(getattr(call, "__self__", argparse.Namespace())), self.pick(HOSTILE)
        what, before = f"{call.__name__}({name}={bad!r:.60})", dict(owner)
        try:
            call(**arguments | {name: bad})
        except (ValueError, TypeError, KeyError, SolveError) as error:
            if isinstance(error, SolveError) and name not in str(error):
                raise  # it has another reason than the bad argument
            must(f"{what}: {error!r:.200} does not name {name}", name in str(error))
            must(f"{what} changes the model", [owner.get(key) is value for key, value in before.items()])
            self.refusals[type(error).__name__] += 1
        else:
            number = isinstance(bad, int) and bad > 0 and isinstance(arguments.get(name), float)
            plain = isinstance(bad, int | str) and (name, bad) in ACCEPTED
            must(f"{what} is accepted", bad is None or number or plain or (name == "k" and bad == {1}))
            owner.clear()
            owner.update(before)

    def draw(self, *shape):
        """A random scipy matrix, and a dense array of the entries that the model uses."""
        made, dense = problems.matrix(self.rng, self.values, shape or self.dense.shape)
        got = Interactions.from_csr(made).user_items.toarray().astype(float)
        must(f"{made!r}: other values than were stored", np.allclose(got, np.nan_to_num(dense), rtol=1e-6))
        dense = np.where(np.isnan(dense), np.nan, got)
        return made, dense if self.params["objective"] == "explicit" else np.where(dense == 0, np.nan, dense)

    def sides(self, model=None):
        """The factors with biases, [x, b_u] and [y, b_i], and the mean. Without biases: x, y and None."""
        model, mean = model or self.model, None
        x, y = model.user_factors_.astype(float), model.item_factors_.astype(float)
        if self.params["biases"]:
            x, y = np.column_stack([x, model.user_biases_]), np.column_stack([y, model.item_biases_])
            mean = model.global_mean_
        must("factors that are not finite", np.isfinite(x), np.isfinite(y))
        return x, y, mean

    def match(self, what, got, answers):
        """Check that rows of scores agree with the reference."""
        off, room = np.abs(got - answers[0]).max(axis=1, initial=0), self.reference.room(answers)
        must(f"{what}: {off.max(initial=0)} off, {(off / room).max(initial=0)} times what is allowed", off <= room)

    def top(self, what, found, want, room, ids):
        """Check that ids and scores are the best of each row of `want`, best first, and that ties are sorted by row.

        An item with -inf in `want` must not be among them.
        """
        row_of = {each: row for row, each in enumerate(ids.tolist())}
        for names, values, line, slack in zip(*found, want, room, strict=True):
            k = min(len(names), int(np.sum(line > -np.inf)))
            rows, best = np.array([row_of.get(name, -1) for name in names[:k].tolist()], int), np.sort(line)[::-1][:k]
            must(f"{what}: {names} are not {k} allowed items", len({*rows} - {-1}) == k, line[rows] > -np.inf)
            must(f"{what}: more than {k} items", set(names[k:].tolist()) <= {-1, None}, values[k:] == -np.inf)
            must(f"{what}: scores {values[:k]}, not {line[rows]}", np.abs(values[:k] - line[rows]) <= slack[rows])
            must(f"{what}: {values[:k]}, but the best are {best}", np.abs(values[:k] - best) <= slack.max())
            must(f"{what}: {values[:k]} tie out of order, {rows}", np.diff(rows)[np.diff(values[:k]) == 0] > 0)

    def call_fit(self):
        p = self.params = {name: self.pick(choices) for name, choices in problems.PARAMS.items()}
        p["biases"] &= p["objective"] == "explicit"
        if p["objective"] == "ials" and p["confidence"] == "total":
            p["confidence"] = "linear"
        self.values = self.pick([kind for kind in problems.VALUES if kind != "signed" or p["objective"] != "ials"])
        self.dense = np.full((self.rng.integers(1, 61), self.rng.integers(1, 41)), np.nan)
        while not np.nansum(np.abs(self.dense)):
            made, self.dense = self.draw()
        given, start, steps = [], [], []
        for n in self.dense.shape:
            given.append(problems.ids(self.rng, n))
            start.append(0.3 * self.rng.standard_normal((n, p["factors"])))
        self.numbered = [ids is None for ids in given]
        self.ids = [np.arange(n) if ids is None else ids for n, ids in zip(self.dense.shape, given, strict=True)]
        self.model, self.reference = ALS(**p), problems.Reference(p, self.rng, problems.LARGEST[self.values])
        arguments = {"train": Interactions.from_csr(made, *given), "init": start, "compute_loss": True}
        self.ask(self.model.fit, **arguments, callback=lambda model, _: steps.append(self.sides(model)))
        self.check_fit(np.pad(start[1], ((0, 0), (0, int(p["biases"])))), steps[-self.model.n_iter_ :])

    def check_fit(self, y, steps):
        """Check that the loss is correct and falls, and that half-steps end near their optimum.

        With "auto" the excess loss has a bound. With "exact" the scores must agree with the reference.
        """
        ref, p, losses = self.reference, self.params, [np.inf, *(entry["loss"] for entry in self.model.history_)]
        loss, relaxation = partial(ref.loss, self.dense), p["relaxation"] or {"auto": 1.3}.get(p["solver"], 1)
        for i, (x, solved, mean) in enumerate(steps):
            want, got, none = loss(x, solved), losses[i + 1], loss(x, 0 * y)
            must(f"loss {got}, not {want}", abs(got - want) <= ref.room_of_loss(self.dense, x, solved, mean))
            noise = np.inf if ref.vague else 1e3 * ref.eps * (none + np.square(mean or 0.0)) + 1e-30
            must(f"losses rise: {losses}", p["solver"] == "cg" or got <= losses[i] + noise)
            if p["solver"] != "cg" and (relaxation == 1 or i in (0, p["iterations"] - 1)):  # without over-relaxation
                best = loss(x, ref.solve(self.dense.T, x, mean, ref.least_ridge()))
                must(f"{p['solver']}: loss {want}, at best {best}, of {none}", want - best <= 0.05 * (none - best) + noise)
                if p["solver"] == "exact" and p["regularization"] > 0:  # else the users' factors are not unique
                    self.match(f"iteration {i + 1}", scores(x, solved, mean), ref.iteration(self.dense, y, mean))
            y = solved

    def call_recommend(self):
        (x, y, mean), at = self.sides(), self.rng.integers(len(self.dense), size=self.pick((1, 2, 5, 30)))
        want, room = scores(x[at], y, mean), self.reference.room_of_products(x[at], y, mean)
        arguments, seen = {"users": self.ids[0][at]}, ~np.isnan(self.dense[at])
        if self.rng.random() < 0.3:
            arguments["users"], (arguments["rows"], rows) = None, self.draw(len(at), len(y))
            seen, answers = ~np.isnan(rows), self.reference.answers(rows, y, mean, lambda x: scores(x, y, mean))
            want, room = answers[0], np.broadcast_to(self.reference.room(answers)[:, None], seen.shape)
        # Users without history get the most popular items.
        want = np.where(seen.any(axis=1, keepdims=True), want, np.sum(self.dense > 0, axis=0))
        some, mask = self.rng.random(len(y)) < 0.5, self.rng.random(seen.shape) < 0.3
        names, others, masked = self.ids[1][some], self.ids[1][~some], sp.csr_array(mask)
        limits = (False, {}), (some, {"exclude": names}), (some, {"candidates": others}), (mask, {"exclude": masked})
        without, limit = self.pick(limits)
        arguments |= limit | {"n": self.pick((1, 2, 10, 60)), "exclude_seen": self.pick((True, False))}
        want = np.where(without | (seen & arguments["exclude_seen"]), -np.inf, want)
        found, every, k = (
            self.ask(self.model.recommend, **arguments),
            arguments | {"n": len(y)},
            min(arguments["n"], len(y)),
        )
        self.top("recommend", found, want, room, self.ids[1])
        for few, all_of_them in zip(found, self.model.recommend(**every), strict=True):
            must("recommend: a smaller n gives other items", np.array_equal(few[:, :k], all_of_them[:, :k]))

    def call_similar(self):
        axis, name = self.pick(((0, "users"), (1, "items")))
        factors = np.asarray((self.model.user_factors_, self.model.item_factors_)[axis], float)
        at, length = self.rng.integers(len(factors), size=3), np.linalg.norm(factors, axis=1)
        unit, exists = factors / np.where(length > 0, length, 1)[:, None], length > 0
        want = np.where(exists[at][:, None] & exists & (at[:, None] != np.arange(len(unit))), unit[at] @ unit.T, -np.inf)
        room = np.full(want.shape, 16 * (self.params["factors"] + 8) * self.reference.eps)
        found = self.ask(getattr(self.model, f"similar_{name}"), **{name: self.ids[axis][at]}, n=self.pick((1, 5, 70)))
        self.top(f"similar_{name}", found, want, room, self.ids[axis])

    def call_predict(self):
        x, y, mean = self.sides()
        want, room = scores(x, y, mean), self.reference.room_of_products(x, y, mean)
        u, i = self.rng.integers(len(x), size=9), self.rng.integers(len(y), size=9)
        got = self.ask(self.model.predict, users=self.ids[0][u], items=self.ids[1][i])
        must(f"predict: {got}, not {want[u, i]}", np.abs(got - want[u, i]) <= room[u, i])
        found = self.ask(self.model.rank_items, user=self.ids[0][u[0]], items=self.ids[1][i])
        must("rank_items: not all items", found[0].size == np.unique(i).size)
        line = np.where(np.isin(np.arange(len(y)), i), want[u[:1]], -np.inf)
        self.top("rank_items", [part[None] for part in found], line, room[u[:1]], self.ids[1])

    def call_popular(self):
        found, want = self.ask(self.model.popular, n=self.pick((1, 5, 50))), np.sum(self.dense > 0, axis=0)[None] * 1.0
        self.top("popular", [part[None] for part in found], want, 0 * want, self.ids[1])

    def call_explain(self):
        (_, y, mean), u, i = self.sides(), self.rng.integers(len(self.dense)), self.rng.integers(self.dense.shape[1])
        got, row = self.ask(self.model.explain, user=self.ids[0][u], item=self.ids[1][i], n=None), self.dense[[u]]
        names, parts = [name for name, _ in got.contributions], [part for _, part in got.contributions]
        must("explain: other items than the seen ones", sorted(names) == sorted(self.ids[1][~np.isnan(row[0])].tolist()))
        must("explain: not sorted", parts == sorted(parts, reverse=True))
        must("explain: total is not the sum", abs(got.total - sum(parts)) <= 1e-12 * np.sum(np.abs(parts)))
        of_all = 0 if mean is None else mean + y[i, -1]
        answers = self.reference.answers(row, y, mean, lambda x: scores(x, y[[i]], mean) - of_all)
        self.match("explain", np.array([[got.total]]), answers)

    def call_fold_in(self):
        (_, y, mean), f = self.sides(), self.params["factors"]
        rows, dense = self.draw(self.pick((1, 3, 20)), len(y))
        got = self.ask(self.model.fold_in, rows=rows)
        self.match("fold_in", got @ y[:, :f].T, self.reference.answers(dense, y, mean, lambda x: x[:, :f] @ y[:, :f].T))

    def call_update(self):
        axis, name = self.pick(((0, "update_users"), (1, "update_items")))
        (*before, mean), ids, n_new = self.sides(), self.ids[axis], self.pick((0, 2))
        own, fixed, at = before[axis], before[1 - axis], self.rng.permutation(len(ids))[: self.pick((1, 3))]
        new = np.arange(len(ids), len(ids) + n_new) + (0 if self.numbered[axis] else 10**6)
        new = new if ids.dtype != object else np.array([f"new{number}" for number in new], object)
        rows, dense = self.draw(len(at) + n_new, len(fixed))
        self.ask(getattr(self.model, name), ids=np.concatenate([ids[at], new]), rows=rows)
        self.ids[axis], at = np.concatenate([ids, new]), np.concatenate([at, len(ids) + np.arange(n_new)])
        seen = np.pad((self.dense, self.dense.T)[axis], ((0, n_new), (0, 0)), constant_values=np.nan)
        seen[at] = dense
        self.dense, after, stays = (seen, seen.T)[axis], self.sides(), np.setdiff1d(np.arange(len(ids)), at)
        must(f"{name} changes other rows", np.array_equal(after[1 - axis], fixed), after[axis][stays] == own[stays])
        score = partial(scores, y=fixed, mean=mean)
        self.match(name, score(after[axis][at]), self.reference.answers(dense, fixed, mean, score))

    def call_store(self):
        with tempfile.TemporaryDirectory() as folder:
            self.ask(self.model.save, path=f"{folder}/model")
            back = self.ask(cymbals.load, path=f"{folder}/model", mmap=self.pick((True, False)))
        for other in (back, pickle.loads(pickle.dumps(self.model))):
            must("a stored model has other factors", bits(self.model) == bits(other))
            for ours, its in zip(self.model.recommend(self.ids[0]), other.recommend(self.ids[0]), strict=True):
                must("a stored model recommends other items", np.array_equal(ours, its))
        self.model = self.pick((self.model, back))

    def call_loss(self):
        (x, y, mean), dense = self.sides(), self.dense
        if mean is None and not np.isnan(dense).all():  # with biases, the reference would need the mean of the fit
            got, want = self.ask(self.model.loss, data=stored(dense)), self.reference.loss(dense, x, y)
            must(f"loss: {got}, not {want}", abs(got - want) <= self.reference.room_of_loss(dense, x, y, mean))

    def call_refit(self):
        """Check that the same arguments give bitwise the same factors on any number of threads."""
        made, dense = self.draw()
        if np.nansum(np.abs(dense)):
            models = [ALS().set_params(**self.model.get_params() | {"n_threads": n}) for n in (1, 2)]
            must("refit: other factors", len({bits(self.ask(model.fit, train=made)) for model in models}) == 1)

    def call_evaluate(self):
        (x, y, mean), k, (test, held) = self.sides(), self.pick((1, 3, 50)), self.draw()
        want, room = scores(x, y, mean), self.reference.room_of_products(x, y, mean)
        found = self.ask(cymbals.evaluate, model=self.model, train=stored(self.dense), test=test, k=k).per_user
        for u in self.rng.integers(len(x), size=3):
            free = np.isnan(self.dense[u])
            line, slack, hits = want[u, free], room[u, free], held[u, free] > 0
            must("evaluate: a metric without held-out items", hits.any() or np.isnan(found["mrr"][u]))
            if hits.any() and not hits.all():
                lead, slack = line - line[hits][:, None], slack + slack[hits][:, None]
                # For each hit, the least and the most items that rank above it.
                before = np.sum(lead > slack, axis=1), np.sum(lead >= -slack, axis=1) - 1
                bounds = {"mrr": [1 / (1 + b.min()) for b in before], f"recall@{k}": [np.mean(b < k) for b in before]}
                bounds["auc"] = np.mean((lead <= slack)[:, ~hits]), np.mean((lead < -slack)[:, ~hits])
                for name, (most, least) in bounds.items():
                    got = found[name][u]
                    must(f"evaluate: {name} {got}, not {least} to {most}", least - 1e-9 <= got <= most + 1e-9)

    def call_split(self):
        (made, _), call = self.draw(), self.pick((split.random, split.leave_k_out, split.k_fold))
        whole = Interactions.from_csr(made).user_items
        if whole.nnz >= 5:
            parts = self.ask(call, data=made, seed=self.pick((0, 1)))
            for train, test in parts if call is split.k_fold else [parts]:
                must(f"{call.__name__}: another type", (type(train), train.dtype) == (type(made), made.dtype))
                a, b = (Interactions.from_csr(part).user_items.toarray() for part in (train, test))
                must(f"{call.__name__}: other entries", a + b == whole.toarray(), a * b == 0)

    def call_weighting(self):
        made, dense = self.draw()
        r, n, users = np.nan_to_num(dense), len(dense), np.sum(dense > 0, axis=0)
        length = r.sum(axis=1, keepdims=True) / max(r.sum() / n, 1e-300)
        bm25 = r * 2.5 / (r + 1.5 * (0.6 + 0.4 * length)) * np.log1p((n - users + 0.5) / (users + 0.5))
        tfidf = r * (1 + np.log((1 + n) / (1 + users)))
        for call, arguments, want in ((weighting.clip, {"most": 3.5}, np.clip(r, -3.5, 3.5)), (weighting.tfidf, {}, tfidf),
                                (weighting.bm25, {"k1": 1.5, "b": 0.4}, bm25)):  # fmt: skip
            if call is weighting.clip or not np.any(r < 0):
                got = self.ask(call, data=made, **arguments).toarray()
                must(f"{call.__name__}: {got}, not {want}", np.allclose(got, want, rtol=1e-5, atol=1e-30))

    def call_times(self):
        users, items, times = (self.rng.integers(n, size=30) for n in (*self.dense.shape, 50))
        data = Interactions.from_arrays(users, items, shape=self.dense.shape, times=times)
        age = data.times.max() - data.times
        decayed = self.ask(weighting.time_decay, data=data, half_life=7.0).csr.data
        must("time_decay: other values", np.allclose(decayed, data.csr.data * 0.5 ** (age / 7), rtol=1e-6))
        if np.mean(age < age.max()) > 0.4:
            past, future = self.ask(split.by_time, data=data, test_fraction=0.3)
            must("by_time: not the latest", past.times.max() < future.times.min(), past.nnz + future.nnz == data.nnz)

    def call_search(self):
        """Check early stopping, and a search."""
        made, dense = self.draw()
        if np.sum(dense > 0) > 150:
            train, held_out = split.random(made, 0.3)
            stop, same = EarlyStopping(train, held_out, metric="mrr", patience=1), self.params | {"tol": None}
            self.ask(ALS(**same).fit, train=train, callback=stop)
            must("EarlyStopping: not the best", stop.best_score == max(stop.trace) == stop.trace[stop.best_iteration - 1])
            grid = {"factors": [1, 3], "alpha": [0.1, 2.0]}
            same = {name: value for name, value in same.items() if name not in grid}
            found = self.ask(cymbals.search, train=made, grid=grid, metric="mrr", **same)
            must("search: not the best", found.best_score_ == found.table["score"].max())
            must("search: another model", bits(ALS(**same | found.best_params_).fit(made)) == bits(found.best_model_))

    def call_constructor(self):
        def fit(**arguments):
            return ALS(**arguments).fit(stored(self.dense))

        unused = {"unobserved_weight"} if self.params["objective"] == "explicit" else set()
        if np.nansum(np.abs(self.dense)):
            self.refuse(fit, self.params, self.pick(sorted(self.params.keys() - unused)))


def play(seed):
    """Run one program. Returns the numbers of calls by name and of refusals by type, and the traceback of a failure."""
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    warnings.simplefilter("ignore")
    program, wrong = Program(seed), None
    try:
        program.run()
    except Exception as error:
        # With confidences below unobserved_weight, a row may have no solution.
        p = program.params
        below = p["objective"] == "hu" and (p["unobserved_weight"] > 1 or p["confidence"] == "total")
        if isinstance(error, SolveError) and (below or program.reference.vague):
            program.refusals["SolveError"] += 1
        else:
            wrong = traceback.format_exc()
    return program.calls, program.refusals, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the first program; each further program has the next number"
    )
    parser.add_argument("--only", type=int, help="run only the program with this seed")
    args = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "passive"  # for the child processes, whose threads wait most of the time
    first, pool = args.seed if args.only is None else args.only, None
    end, seed, calls, refusals, failed, crashed = time.monotonic() + 60 * args.minutes, first, Counter(), Counter(), [], []
    while seed == first or (args.only is None and time.monotonic() < end):
        pool = pool or ProcessPoolExecutor(1, get_context("spawn"))
        try:
            made, refused, wrong = pool.submit(play, seed).result()
            calls, refusals = calls + made, refusals + refused
            if wrong:
                failed.append(seed)
                print(f"--only {seed} fails:\n{wrong}", flush=True)
        except BrokenExecutor:
            crashed.append(seed)
            pool = None
            print(f"--only {seed} crashes", flush=True)
        seed += 1
    print(f"{seed - first} programs\ncalls: {dict(calls)}\nrefused: {dict(refusals)}")
    print(f"{len(failed)} failed: {failed}\n{len(crashed)} crashed: {crashed}")
    sys.exit(1 if failed or crashed else 0)


if __name__ == "__main__":
    main()
