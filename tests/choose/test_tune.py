"""Tuning: known good settings come first, the budget holds, the choice is more than noise, and it can be resumed."""

import json
import os
from datetime import timedelta

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import planted_clusters

import cymbals
from cymbals import ALS, evaluate, split, tune, weighting
from cymbals.choose import tuning
from cymbals.choose.journal import Journal, Trial
from cymbals.choose.result import SearchResult, difference, is_ahead, is_behind
from cymbals.choose.runner import Cut, Hopeless, Runner


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    liked = planted_clusters(rng, (300, 120), 0.3, 0.02)
    return sp.csr_array(liked * rng.integers(1, 30, (300, 120)).astype(np.float32))


@pytest.fixture(scope="module")
def ratings():
    """Ratings with biases and two factors, a tenth of all."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 2)) for n in (400, 150))
    bias = rng.standard_normal((400, 1)) + rng.standard_normal((1, 150))
    return sp.csr_array(
        (3.5 + 0.5 * (bias + x @ y.T) + 0.3 * rng.standard_normal((400, 150))) * (rng.random((400, 150)) < 0.1)
    )


@pytest.fixture(scope="module")
def tuned(plays):
    return tune(plays, 20, "ndcg@10", seed=3)


def test_the_model_is_that_of_the_best_params(plays, tuned):
    again = ALS(**tuned.best_params_).fit(weighted(plays, tuned.best_weighting_))
    assert np.array_equal(tuned.best_model_.item_factors_, again.item_factors_)
    assert tuned.best_params_["random_state"] == 3
    assert tuned.best_trial_ in tuned.trials
    train, validation = split.random(plays, 0.1, 3)
    model = ALS(**tuned.best_params_).fit(weighted(train, tuned.best_weighting_))
    assert tuned.best_score_ == evaluate(model, train, validation)["ndcg@10"]


def weighted(data, name):
    return data if name is None else getattr(weighting, name)(data)


def test_the_settings_it_starts_with_are_not_ahead_of_the_best(tuned):
    starts = [t for t in tuned.trials if t.params == {"factors": 64, "iterations": 15}]  # ALS()
    starts += [t for t in tuned.trials if t.params.get("regularization") == "auto" and t.params["factors"] == 120]
    assert len(starts) > 1
    assert not any(is_ahead("ndcg@10", start, tuned.best_trial_) for start in starts if start.status == "done")


def test_the_space_has_weights_confidences_objectives_and_weightings(tuned):
    values = {
        name: {t.params.get(name) for t in tuned.trials} for name in ("confidence", "objective", "weighting", "factors")
    }
    assert {"log", "linear", "binary"} <= values["confidence"]
    assert {"ials", "hu"} <= values["objective"]
    assert {"tfidf", "bm25"} <= values["weighting"]
    assert {64, 120} <= values["factors"]
    assert max(values["factors"]) == 120  # the data allow no more
    w = [t.params["unobserved_weight"] for t in tuned.trials if isinstance(t.params.get("unobserved_weight"), float)]
    assert max(w) > 3 * min(w)


def test_the_table_says_how_far_a_setting_is_behind(tuned):
    table = tuned.table
    a, b = tuned.best_trial_, next(t for t in tuned.trials if t.score == table["score"].iloc[-1])
    values = np.array(a.per_user) - np.array(b.per_user)
    last = table.iloc[-1]
    assert (last["ahead"], last["noise"]) == pytest.approx((values.mean(), values.std(ddof=1) / values.size**0.5))
    assert last["ahead"] == pytest.approx(tuned.best_score_ - b.score, abs=1e-5)
    assert "ahead" in tuned._repr_html_()


def test_the_figure_of_a_tuning(tuned, tmp_path):
    figure = cymbals.figures.tuning(tuned.table, "ndcg@10", 8)
    assert "of the 8 best settings" in figure.get_label()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(labels) == 8
    assert all(label.startswith("f ") for label in labels)
    table = tuned.table
    chosen = table.index[(table["ahead"] == 0) & (table["noise"] == 0)]
    table["score"] = np.where(table.index.isin(chosen), 0.0, table["score"])
    last = cymbals.figures.tuning(table.sort_values("score", ascending=False), "ndcg@10", 8)
    assert "of the 9 best settings" in last.get_label()  # with the chosen one
    whole = cymbals.figures.tuning(tuned.table, "ndcg@10", 1000)
    assert "f 64, 15 iterations, ALS()" in [text.get_text() for text in whole.axes[0].get_yticklabels()]
    with pytest.raises(ValueError, match="give the table of a result of"):
        cymbals.figures.tuning(tuned.table.drop(columns="noise"), "ndcg@10")


@pytest.mark.usefixtures("clockwork")
def test_more_budget_means_more_trials_and_none_the_least(plays):
    counts = [len(tune(plays, budget, refit=False).trials) for budget in ("0.001s", 2, 20)]
    assert 1 <= counts[0] <= 2
    assert counts[0] < counts[1] < counts[2]


def test_fixed_arguments_are_in_all_settings(plays):
    found = tune(plays, 5, factors=7, iterations=3, objective="hu", n_threads=1)
    assert not any({"factors", "iterations", "objective"} & set(t.params) for t in found.trials)
    model = found.best_model_
    assert (model.factors, model.iterations, model.objective) == (7, 3, "hu")
    assert "n_threads" not in found.best_params_


@pytest.mark.usefixtures("clockwork")
def test_a_fixed_rank_above_that_of_screening_keeps_the_budget():
    data = sp.random_array((1100, 1100), density=0.02, rng=0, dtype=np.float32).tocsr()
    found = tune(data, "9.6s", factors=512, refit=False)
    assert 4.8 < sum(trial.seconds for trial in found.trials) < 9.6
    everything = {"objective": "ials", "confidence": "log", "alpha": 1.0, "unobserved_weight": 0.1, "regularization": 0.01}
    found = tune(data, "9s", validation="users", factors=80, **everything)
    assert all(set(trial.params) <= {"iterations", "nu", "solver", "cg_steps"} for trial in found.trials)


def plain_ahead_by(more):
    """A replacement of Runner.run: `ALS()` is ahead of all others by `more`, without noise."""

    def run(self, model, params, before=(), hopeless=None):
        users = [0.5 + more * (set(params) <= {"factors", "iterations"}) + 0.01 * (i % 2) for i in range(50)]
        phases = {"start": 0.0, "iterations": 0.01 * model.iterations, "scoring": 0.01}
        score, seconds = float(np.mean(users)), sum(phases.values())
        return Trial(params, "done", score, model.iterations, seconds, per_user=users, phases=phases)

    return run


def test_what_leads_if_als_is_better_or_equal(plays, monkeypatch):
    monkeypatch.setattr(tuning, "_TOGETHER", 0.0)
    monkeypatch.setattr(Runner, "run", plain_ahead_by(0.1))
    found = tune(plays, "5s", refit=False)
    assert found.best_trial_.params == {"factors": 64, "iterations": 15}
    assert {5, 10} <= {trial.params["iterations"] for trial in found.trials}  # the other settings are refined
    monkeypatch.setattr(Runner, "run", plain_ahead_by(0.0))
    for few in (plays, plays[:, :60]):  # where screening has the rank of the target, too
        assert tune(few, "5s", refit=False).best_trial_.params["regularization"] == "auto"


def test_ratings(ratings):
    train, test = split.random(ratings, 0.1, 0)
    found = tune(train, 30, "rmse")
    assert found.best_params_["objective"] == "explicit"
    error = evaluate(found.best_model_, train, test)["rmse"]
    plain = evaluate(ALS(objective="explicit", random_state=0).fit(train), train, test)["rmse"]
    assert 0.3 < error < 0.48 < plain / 1.8
    assert {t.params.get("biases") for t in found.trials} == {True, False, None}
    assert found.table["score"].is_monotonic_increasing


def test_held_out_users(plays):
    found = tune(plays, 5, validation="users", seed=1)
    train, fold, test = split.users(plays, 30, seed=1)
    assert found.best_score_ == evaluate(ALS(**found.best_params_).fit(train), rows=fold, test=test)["ndcg@10"]
    assert not any("weighting" in t.params for t in found.trials)  # new rows cannot be weighted as train was
    assert found.best_model_.user_factors_.shape[0] == 300


def test_most_users_may_have_a_single_entry():
    """Fifty of 1,000 users have two entries, so fifty can be held out, and not a hundred."""
    users = np.concatenate([np.arange(1000), np.arange(50)])
    items = np.concatenate([np.arange(1000), np.arange(50) + 1]) % 40
    data = sp.coo_array((np.ones(1050), (users, items)), (1000, 40)).tocsr()
    held_out = Cut.of(cymbals.Interactions.from_csr(data), "users", 0)
    assert (held_out.train.shape[0], held_out.fold.shape[0]) == (950, 50)
    with pytest.raises(
        ValueError, match=r"validation 'users' holds out users with two entries or more, .*, of whom 0 have"
    ):
        tune(sp.eye_array(30, format="csr"), validation="users")


def test_dislikes_need_objective_hu(plays):
    disliked = plays.copy()
    disliked.data[::7] *= -1
    found = tune(disliked, 3)
    assert found.best_params_["objective"] == "hu"
    assert not any("weighting" in t.params for t in found.trials)


def test_equal_values_need_no_confidences(plays):
    found = tune(sp.csr_array(plays > 0, dtype=np.float32), 20, refit=False)
    assert not any(t.params.get("confidence") in ("binary",) for t in found.trials)
    assert found.best_model_ is None


def test_one_thread_finds_the_scores_of_two(plays):
    scores = []
    for n_threads in (1, 2):
        found = tune(plays, 10, n_threads=n_threads, refit=False)
        scores.append({t.key: t.score for t in found.trials if t.status == "done"})
    common = set(scores[0]) & set(scores[1])
    assert len(common) > 5
    assert all(scores[0][key] == scores[1][key] for key in common)


def test_an_interrupted_tuning_goes_on(plays, tmp_path, monkeypatch):
    how = {"budget": "1h", "journal": tmp_path / "j", "n_threads": 1, "refit": False, "factors": 8}
    whole = tune(plays, **how | {"journal": None})
    fit, fitted = ALS.fit, []

    def interrupted(self, *args, **kwargs):
        fitted.append(self)
        if len(fitted) == 7:
            raise KeyboardInterrupt
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(ALS, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(plays, **how)
    assert len((tmp_path / "j").read_text().splitlines()) == 1 + 6
    resumed = tune(plays, **how)
    assert len(fitted) == 7 + len(resumed.trials) - 6
    assert {t.key for t in resumed.trials} == {t.key for t in whole.trials}
    assert resumed.best_params_ == whole.best_params_
    again = tune(plays, **how | {"budget": 2})
    assert len(fitted) == 7 + len(resumed.trials) - 6
    assert len(again.trials) <= len(resumed.trials)
    with pytest.raises(ValueError, match="belongs to another search: metric is 'ndcg@10' there"):
        tune(plays, metric="auc", **how)
    with pytest.raises(ValueError, match="belongs to another search"):
        cymbals.search(plays, {"factors": [2]}, journal=tmp_path / "j")


def test_a_journal_in_a_folder_is_removed(plays, tmp_path):
    tune(plays, 1, journal=tmp_path, factors=4)
    assert os.listdir(tmp_path) == []


def test_a_hopeless_fit_is_stopped(plays):
    cut = Cut.of(cymbals.Interactions.from_csr(plays), 0.1, 0)
    runner = Runner(cut, "ndcg@10", (10,), 0, keep_users=True)
    model = ALS.auto(4, random_state=0)
    trial = runner.run(model, {}, hopeless=Hopeless(runner, best=2.0, iteration=3, share=0.95))
    assert (trial.status, trial.iterations, model.n_iter_) == ("pruned", 3, 3)
    assert trial.score == evaluate(model, cut.train, cut.test)["ndcg@10"]
    done = runner.run(ALS.auto(4, random_state=0), {}, hopeless=Hopeless(runner, best=trial.score, iteration=3, share=0.5))
    assert (done.status, done.iterations) == ("done", 8)
    errors = Hopeless(Runner(cut, "rmse", (10,), 0), best=1.0, iteration=3, share=0.8)
    assert errors.least == 1.25


def test_noise_is_the_standard_error_of_paired_differences():
    rng = np.random.default_rng(0)
    common = rng.random(500)
    a, b = (Trial({}, "done", 0.5, 1, 1.0, per_user=(common + e).tolist()) for e in (0.01 * rng.standard_normal(500), 0.0))
    found = difference("ndcg@10", a, b)
    assert found.error == pytest.approx(0.01 / 500**0.5, rel=0.1)
    assert difference("rmse", a, b).mean == pytest.approx(-found.mean)
    better = Trial({}, "done", 0.6, 1, 1.0, per_user=(common + 0.1).tolist())
    assert is_ahead("ndcg@10", better, b)
    assert is_behind("rmse", better, b)
    assert not is_ahead("ndcg@10", b, b)
    assert difference("ndcg@10", a, Trial({}, "failed", None, 0, 1.0)) is None


def test_a_weighting_is_applied_before_the_last_fit(plays):
    trial = Trial({"weighting": "bm25", "factors": 3}, "done", 0.5, 5, 1.0)
    data = cymbals.Interactions.from_csr(plays)
    found = SearchResult.fitted([trial], "ndcg@10", trial, {"random_state": 0} | trial.params, data)
    want = ALS(3, random_state=0).fit(weighting.bm25(plays))
    assert np.array_equal(found.best_model_.item_factors_, want.item_factors_)
    assert (found.best_weighting_, found.best_params_) == ("bm25", {"random_state": 0, "factors": 3})


def test_trials_with_users_survive_a_journal(tmp_path):
    trial = Trial({"factors": 2}, "done", 0.5, 3, 1.5, per_user=[0.25, 1.0], phases={"start": 0.5})
    with Journal(tmp_path / "j", {}) as records:
        records.append(trial)
    with Journal(tmp_path / "j", {}) as records:
        assert list(records.trials().values()) == [trial]
    line = json.loads((tmp_path / "j").read_text().splitlines()[1])
    for name, value in (("per_user", ["x"]), ("phases", {"start": "x"})):
        with pytest.raises(ValueError, match=name):
            Trial.from_line(json.dumps(line | {name: value}).encode())


# -- input that is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"budget": 0}, ValueError, "budget must be finite and above 0"),
        ({"budget": -1}, ValueError, "budget must be"),
        (
            {"budget": "soon"},
            ValueError,
            "budget must be a number of fits, or a time like '90s', '10min', '2h' or a timedelta, above 0; got 'soon'",
        ),
        ({"budget": "0s"}, ValueError, "budget must be a number of fits, or a time"),
        ({"budget": "1" * 400 + "s"}, ValueError, "budget must be a number of fits, or a time"),
        ({"random_state": None}, TypeError, "random_state must be"),
        ({"random_state": np.random.default_rng(0)}, TypeError, "random_state must be"),
        ({"factors": 5000}, ValueError, "factors=5000 is more than a matrix of 300 x 120 can use"),
        ({"budget": timedelta(0)}, ValueError, "budget must be a number of fits, or a time"),
        ({"budget": None}, TypeError, "budget must be a number"),
        ({"metric": "accuracy"}, ValueError, "metric must be auc, mrr"),
        ({"metric": "rmse", "objective": "hu"}, ValueError, "needs objective 'explicit', got objective 'hu'"),
        ({"validation": 1.0}, ValueError, "validation must be below 1"),
        ({"validation": "items"}, ValueError, "validation must be a share of the entries, 'users' or a function"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"refit": 1}, TypeError, "refit must be True or False"),
        ({"journal": 5}, TypeError, "journal must be a path, got 5"),
        ({"factor": 5}, ValueError, "ALS has no parameter 'factor'"),
        ({"factors": 0}, ValueError, "factors must be from 1"),
        ({"confidence": np.sqrt, "journal": "x"}, TypeError, "not confidence=<ufunc 'sqrt'>"),
    ],
)
def test_bad_input_is_named_before_anything_is_fitted(plays, monkeypatch, how, error, words):
    monkeypatch.setattr(ALS, "fit", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(error, match=words):
        tune(plays, **how)


def test_data_without_a_score_are_named(plays):
    with pytest.raises(ValueError, match="no entry of the validation part can be scored by ndcg@10"):
        tune(plays, validation=1e-9)
    with pytest.raises(ValueError, match="train has no entries"):
        tune(sp.csr_array((5, 4), dtype=np.float32))


@pytest.mark.parametrize("budget", ["90s", "1.5 min", ".025h", timedelta(seconds=90)])
def test_times(budget):
    fits, seconds = cymbals.choose.tune._parsed(budget)
    assert (fits, seconds) == (None, 90)


@pytest.fixture
def clockwork(monkeypatch):
    """Trials that take exactly the seconds that this function of rank and iterations says, and rank a little by rank."""

    def phases(factors, iterations):
        return {"start": 0.02, "iterations": 0.01 * iterations * (factors / 64) ** 1.7, "scoring": 0.01}

    def run(self, model, params, before=(), hopeless=None):
        spent = phases(model.factors, model.iterations)
        users = (1 - 1 / (model.factors + np.arange(50))).tolist()
        score, seconds = float(np.mean(users)), sum(spent.values())
        return Trial(params, "done", score, model.iterations, seconds, per_user=users, phases=spent)

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(tuning, "_TOGETHER", 0.0)  # one fit at a time
    return phases


@pytest.mark.parametrize("fits", [1, 6, 24])
def test_the_budget_holds(clockwork, fits):
    data = sp.random_array((1100, 1100), density=0.02, rng=0, dtype=np.float32).tocsr()
    found = tune(data, fits, refit=False)
    unit = clockwork(256, 15)
    budget = fits * (unit["start"] + unit["iterations"])
    spent = sum(trial.seconds for trial in found.trials)
    assert 0.5 * budget < spent < budget
    tried = {trial.params["factors"] for trial in found.trials}
    assert tried >= {64, 256}
    assert (512 in tried) == (fits > 1)  # rank pays here, and the budget allows it
