"""Searches: every setting as if fitted alone, the best refitted, interruptions survived, work shared, bad input named."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from sklearn.model_selection import GridSearchCV, ParameterGrid

import cymbals
from cymbals import ALS, EarlyStopping, evaluate, search, split
from cymbals.choose.journal import Journal, Trial, key_of

GRID = {"factors": [2, 5], "regularization": [0.1, 10.0], "alpha": [1.0, 20.0]}


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    taste, kind = rng.integers(4, size=150), rng.integers(4, size=80)
    liked = rng.random((150, 80)) < np.where(taste[:, None] == kind, 0.4, 0.05)
    return sp.csr_array(liked * rng.integers(1, 30, (150, 80)).astype(np.float32))


def test_grid_is_every_setting_fitted_alone(plays):
    found = search(plays, GRID, metric="ndcg@7", iterations=4, seed=3, confidence="log")
    train, validation = split.random(plays, 0.1, 3)
    want = {}
    for params in ParameterGrid(GRID):
        model = ALS(iterations=4, confidence="log", random_state=3, **params).fit(train)
        want[key_of(params)] = evaluate(model, train, validation, k=7)["ndcg@7"]
    assert {t.key: t.score for t in found.trials} == pytest.approx(want, abs=0)
    table = found.table
    assert table["score"].tolist() == sorted(want.values(), reverse=True)
    assert {"factors", "alpha", "auc", "recall@10", "seconds", "status"} <= set(table)
    best = max(want, key=want.get)
    assert (key_of(found.best_params_), found.best_score_) == (best, want[best])
    again = ALS(iterations=4, confidence="log", random_state=3, **found.best_params_).fit(plays)
    assert np.array_equal(found.best_model_.item_factors_, again.item_factors_)
    assert "8 settings; best ndcg@7" in str(found)


def test_random_draws_and_explicit_errors(plays):
    space = {"factors": scipy.stats.randint(2, 6), "regularization": scipy.stats.loguniform(0.01, 10)}
    found = search(plays, random=space, n=5, metric="rmse", objective="explicit", biases=True, iterations=3)
    scores = found.table["score"].tolist()
    assert scores == sorted(scores)
    assert found.best_score_ == scores[0]
    assert len(scores) == 5
    assert isinstance(found.best_params_["factors"], int)
    again = search(plays, random=space, n=5, metric="rmse", objective="explicit", biases=True, iterations=3, refit=False)
    assert [t.score for t in again.trials] == [t.score for t in found.trials]
    assert again.best_model_ is None
    assert len(search(plays, random={"factors": [2, 3]}, n=9, iterations=1, refit=False).trials) == 2


def test_without_a_space_the_laboratorys(plays):
    found = search(plays, n=2, iterations=2, refit=False)
    assert set(found.best_params_) == {"factors", "regularization", "alpha"}


def test_early_stopping_restores_the_best_iteration(plays):
    train, validation = split.random(plays, 0.2, 0)
    stop = EarlyStopping(train, validation, metric="ndcg@5", patience=3)
    model = ALS(factors=20, regularization=0.001, alpha=5.0, relaxation=1, iterations=25, random_state=0)
    model.fit(train, callback=stop)
    assert model.n_iter_ == stop.best_iteration == 1 + int(np.argmax(stop.trace))
    assert len(stop.trace) == stop.best_iteration + 3 < 25
    assert len(model.history_) == model.n_iter_
    assert evaluate(model, train, validation, k=5)["ndcg@5"] == stop.best_score == max(stop.trace)
    shorter = ALS(factors=20, regularization=0.001, alpha=5.0, relaxation=1, iterations=model.n_iter_, random_state=0)
    assert np.array_equal(shorter.fit(train).user_factors_, model.user_factors_)


def test_what_would_end_a_fit_before_is_refused(plays):
    train, validation = split.random(plays, 0.2, 0)
    with pytest.raises(ValueError, match=r"tol=0.1 would end the fit before .* leave tol out"):
        ALS(tol=0.1, random_state=0).fit(train, callback=EarlyStopping(train, validation))


def test_nothing_to_score_is_said(plays):
    with pytest.raises(ValueError, match="no entry of the validation part can be scored by ndcg@10"):
        search(plays, {"factors": [3]}, validation=1e-9, iterations=1)


def test_search_with_patience_refits_as_many_iterations(plays):
    found = search(
        plays, {"factors": [20], "regularization": [0.001]}, metric="ndcg@5", patience=2, iterations=25, alpha=5.0
    )
    (trial,) = found.trials
    assert found.best_params_["iterations"] == trial.iterations == 1 + int(np.argmax(trial.trace)) < 25
    assert found.best_model_.n_iter_ == trial.iterations
    assert trial.score == max(trial.trace)


def test_pruning_gives_up_what_is_below_the_median(plays):
    bad = [1000.0, 2000.0, 4000.0]
    found = search(plays, {"regularization": [0.5, 1.0, 2.0, 3.0, *bad]}, prune=True, factors=6, iterations=6, refit=False)
    status = {t.params["regularization"]: t.status for t in found.trials}
    assert all(status[r] == "pruned" for r in bad)
    assert all(status[r] == "done" for r in (0.5, 1.0, 2.0, 3.0))
    assert all(len(t.trace) == 2 for t in found.trials if t.status == "pruned")
    assert found.best_params_["regularization"] not in bad


def test_warm_start_begins_where_the_last_ended(plays):
    grid = {"factors": [5], "regularization": [0.1, 0.2, 0.4]}
    cold, warm = (search(plays, grid, iterations=2, patience=2, warm_start=w, refit=False) for w in (False, True))
    assert cold.trials[0].trace == warm.trials[0].trace
    assert all(w.trace[0] > c.trace[0] for c, w in zip(cold.trials[1:], warm.trials[1:], strict=True))


def test_optuna_proposes_and_goes_on_where_it_was(plays, tmp_path):
    space = {
        "factors": scipy.stats.randint(2, 9),
        "regularization": scipy.stats.loguniform(0.01, 10),
        "confidence": ["log", "linear"],
    }
    how = {"backend": "optuna", "iterations": 2, "refit": False}
    whole = search(plays, random=space, n=6, **how)
    search(plays, random=space, n=3, journal=tmp_path / "j", **how)
    resumed = search(plays, random=space, n=6, journal=tmp_path / "j", **how)
    assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]
    assert len({t.key for t in whole.trials}) == 6
    assert len(search(plays, random={"factors": [2, 3]}, n=5, **how).trials) == 2
    with pytest.raises(ValueError, match="takes one dict as random, and no grid"):
        search(plays, grid=GRID, **how)
    with pytest.raises(ValueError, match="belongs to another search: space is"):
        search(plays, random=space | {"factors": scipy.stats.randint(20, 30)}, n=6, journal=tmp_path / "j", **how)
    assert len(search(plays, random=space, n=2, journal=tmp_path / "j", **how).trials) == 2
    with pytest.raises(ValueError, match="norm distribution; Optuna takes"):
        search(plays, random={"alpha": scipy.stats.norm()}, **how)


def test_validation_by_a_function(plays):
    seen = []

    def cut(data):
        seen.append(data)
        return split.leave_k_out(data, 2, seed=5)

    found = search(plays, {"factors": [3]}, validation=cut, iterations=2, refit=False)
    assert len(seen) == 1
    train, validation = split.leave_k_out(plays, 2, seed=5)
    model = ALS(factors=3, iterations=2, random_state=0).fit(train)
    assert found.best_score_ == evaluate(model, train, validation)["ndcg@10"]


def test_some_users(plays):
    found = search(plays, {"factors": [3]}, n_users=20, iterations=2, refit=False)
    whole = search(plays, {"factors": [3]}, iterations=2, refit=False)
    assert found.best_score_ != whole.best_score_


def test_a_setting_that_fails_is_noted_and_others_go_on(plays):
    grid = {"confidence": [np.sqrt, np.negative]}
    found = search(plays, grid, factors=3, iterations=2, refit=False)
    failed = next(t for t in found.trials if t.params["confidence"] is np.negative)
    assert (failed.status, failed.score) == ("failed", None)
    assert "keep the sign" in failed.error
    assert found.table["status"].tolist() == ["done", "failed"]
    with pytest.raises(ValueError, match="none of the 1 settings could be fitted and scored"):
        search(plays, {"confidence": [np.negative]}, factors=3, iterations=2)
    with pytest.raises(TypeError, match="journal can only store numbers and texts"):
        search(plays, grid, journal="never-made")


# -- journal ---------------------------------------------------------------------------------------------------------


def test_journal_is_not_repeated_and_knows_its_search(plays, tmp_path, monkeypatch):
    path = tmp_path / "j.jsonl"
    first = search(plays, GRID, iterations=2, journal=path)
    fits = []
    fit = ALS.fit
    monkeypatch.setattr(ALS, "fit", lambda self, *a, **k: fits.append(self) or fit(self, *a, **k))
    again = search(plays, GRID, iterations=2, journal=path)
    assert len(fits) == 1  # the best, on all data
    assert again.trials == first.trials
    wider = search(plays, GRID | {"alpha": [1.0, 20.0, 40.0]}, iterations=2, journal=path, refit=False)
    assert len(fits) == 1 + 4
    assert len(wider.trials) == 12
    for other, words in (
        ({"metric": "auc"}, "metric is 'ndcg@10' there, 'auc' here"),
        ({"seed": 1}, "another search: seed is 0 there, 1 here"),
        ({"iterations": 3}, "als is"),
    ):
        with pytest.raises(ValueError, match=words):
            search(plays, GRID, **{"iterations": 2, "journal": path} | other)
    (tmp_path / "text").write_text("not a journal\n")
    with pytest.raises(ValueError, match="is not the journal of a search"):
        search(plays, GRID, iterations=2, journal=tmp_path / "text")
    assert (tmp_path / "text").read_text() == "not a journal\n"


def test_damage_is_named(tmp_path):
    path, about = tmp_path / "j", {"data": "x"}
    good = '{"params": {"factors": 1}, "status": "done", "score": 0.5, "iterations": 3, "seconds": 0.1}\n'
    for bad in ("nonsense", '{"params": 5}', good.strip().replace("0.5", '"high"'), good.strip().replace("done", "fine")):
        path.unlink(missing_ok=True)
        with Journal(path, about):
            pass
        with open(path, "a") as file:
            file.write(good + bad + "\n")
        with Journal(path, about) as notes, pytest.raises(ValueError, match=r"line 3 is no finished setting .* delete it"):
            notes.trials()
    for half in (b"", b'{"cymb', b'{"cymbals search": 1, "data"'):  # killed while the first line was written
        path.write_bytes(half)
        with Journal(path, about) as notes:
            notes.append(Trial({"factors": 1}, "done", 0.5, 3, 0.1))
        with Journal(path, about) as notes:
            assert len(notes.trials()) == 1


def test_half_a_line_is_dropped(tmp_path):
    path, about = tmp_path / "j", {"data": "x"}
    trials = [Trial({"factors": f}, "done", 0.5, 3, 0.1) for f in (1, 2)]
    with Journal(path, about) as notes:
        notes.append(trials[0])
    with open(path, "ab") as file:
        file.write(b'{"params": {"fac')
    with Journal(path, about) as notes:
        assert list(notes.trials().values()) == trials[:1]
        notes.append(trials[1])
        assert list(notes.trials().values()) == trials
    assert len(path.read_text().splitlines()) == 3


def test_two_journals_of_one_file_share_claims(tmp_path):
    """Locks are a process's, so the other one is a child."""
    path = tmp_path / "j"
    script = (
        "import sys; from cymbals.choose.journal import Journal\n"
        f"with Journal({str(path)!r}, {{}}) as notes, notes.claim('a', False) as mine, notes.claim('b', False) as other:\n"
        "    print(mine, other, flush=True); sys.stdin.read()\n"
    )
    with Journal(path, {}) as notes, notes.claim("a", False) as mine:
        assert mine
        child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "False True\n"
        with notes.claim("b", False) as theirs:
            assert not theirs
        child.send_signal(signal.SIGKILL)
        child.communicate()
        with notes.claim("b", False) as theirs:  # whoever is killed holds nothing any more
            assert theirs


def test_killed_and_started_again_it_goes_on(tmp_path, plays):
    """The whole of it through the command line: no finished setting is fitted twice, the outcome is the same."""
    coo = plays.tocoo()
    table = tmp_path / "plays.csv"
    np.savetxt(table, np.column_stack([*coo.coords, coo.data]), "%d", ",", header="user,item,value", comments="")
    values = ",".join(str(1 + i / 10) for i in range(40))
    command = [sys.executable, "-m", "cymbals", "search", str(table), "--grid", f"regularization={values}", "--json"]
    command += ["--grid", "factors=8,40", "--iterations", "30", "--solver", "exact", "--threads", "1"]
    cache = tmp_path / "cache"
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(6000):
        journals = list(cache.glob("cymbals/*.jsonl"))
        if journals and len(journals[0].read_bytes().splitlines()) > 5:
            break
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    child.kill()
    child.communicate()
    before = journals[0].read_bytes().splitlines()[1:]
    assert 4 <= len(before) < 80
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    assert len(found["table"]) == 80
    seconds = {json.loads(line)["seconds"] for line in before if line.endswith(b"}")}
    assert seconds <= {row["seconds"] for row in found["table"]}  # as they were noted: not fitted again
    assert not list(cache.glob("cymbals/*.jsonl"))


def test_processes_share_a_search(tmp_path, plays):
    """Two processes on one journal: each setting once, both know all."""
    sp.save_npz(tmp_path / "plays.npz", plays.tocsr())
    script = (
        "import cymbals, scipy.sparse as sp\n"
        f"plays = sp.load_npz({str(tmp_path / 'plays.npz')!r})\n"
        "grid = {'regularization': [1 + i / 10 for i in range(20)]}\n"
        f"how = {{'journal': {str(tmp_path / 'j')!r}, 'iterations': 20, 'factors': 30, 'n_threads': 1, 'refit': False}}\n"
        "found = cymbals.search(plays, grid, **how)\n"
        "print(len(found.trials), found.best_params_['regularization'])\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outs = {child.communicate()[0] for child in both}
    assert len(outs) == 1
    assert outs.pop().startswith("20 ")
    assert len((tmp_path / "j").read_text().splitlines()) == 21


# -- manners ---------------------------------------------------------------------------------------------------------


def test_grid_search_cv(plays):
    found = GridSearchCV(ALS(iterations=3, random_state=0), {"factors": [2, 6], "regularization": [0.1, 1e4]}, cv=3).fit(
        plays
    )
    assert found.best_params_["regularization"] == 0.1
    assert 0.5 < found.best_score_ < 1
    rated = GridSearchCV(ALS(iterations=3, objective="explicit", biases=True, random_state=0), {"factors": [2, 3]}, cv=2)
    assert rated.fit(plays).best_score_ < 0


def test_score_is_the_auc_of_folded_in_users(plays):
    model = ALS(factors=6, random_state=0).fit(plays[:100])
    rest, held_out = split.random(plays[100:], 0.1, 0)
    x = model.fold_in(rest)
    auc = []
    for u in range(50):
        seen, positives = set(rest[[u]].indices.tolist()), held_out[[u]].indices.tolist()
        scores = model.item_factors_ @ x[u]
        others = [i for i in range(80) if i not in seen and i not in positives]
        if positives:
            auc.append(np.mean([[scores[p] > scores[o] for o in others] for p in positives]))
    assert model.score(plays[100:]) == pytest.approx(np.mean(auc), abs=1e-3)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"grid": {"factor": [2]}}, ValueError, "ALS has no parameter 'factor'; its parameters are factors"),
        ({"grid": GRID, "factors": 3}, ValueError, "factors is searched and given at once"),
        ({"grid": {"factors": [2, -1]}}, ValueError, "factors must be from 1"),
        ({"grid": GRID, "metric": "accuracy"}, ValueError, "metric must be auc, mrr"),
        ({"grid": GRID, "metric": "rmse"}, ValueError, "needs objective 'explicit', got objective 'hu'"),
        ({"grid": GRID, "validation": 1.0}, ValueError, "validation must be below 1"),
        ({"grid": GRID, "validation": "x"}, TypeError, "validation must be a number"),
        ({"grid": GRID, "n": 0}, ValueError, "n must be from 1"),
        ({"grid": GRID, "patience": 0}, ValueError, "patience must be from 1"),
        ({"grid": GRID, "prune": 1}, TypeError, "prune must be True or False"),
        ({"grid": GRID, "n_users": 0}, ValueError, "n_users must be from 1"),
        ({"grid": GRID, "backend": "ray"}, ValueError, "backend must be None or 'optuna'"),
        ({"grid": GRID, "seed": -1}, ValueError, "seed must be from 0"),
        ({"grid": GRID, "journal": "/nowhere/at/all"}, FileNotFoundError, "nowhere"),
        ({"grid": GRID, "journal": os.devnull}, ValueError, "is not a regular file"),
        ({"grid": 5}, TypeError, "grid must be a dict of parameters and their values, or a list of such dicts; got 5"),
        ({"grid": [("factors", [2])]}, TypeError, "grid must be a dict"),
        ({"grid": {"factors": 5}}, TypeError, "grid: 'factors' must have a list of values"),
        ({"random": {"factors": []}}, TypeError, "random: 'factors' must have a list of values or a scipy distribution"),
        ({"grid": GRID, "validation": lambda data: None}, TypeError, "validation must return"),
        (
            {"grid": GRID, "validation": lambda data: (data, sp.eye_array(3))},
            ValueError,
            "parts with the shape of the data",
        ),
        ({"grid": GRID, "confidence": np.sqrt, "journal": "x"}, TypeError, "not confidence=<ufunc 'sqrt'>"),
    ],
)
def test_bad_input_is_named_before_anything_is_fitted(plays, monkeypatch, how, error, words):
    monkeypatch.setattr(ALS, "fit", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(error, match=words):
        search(plays, **how)


def test_train_of_other_kinds(plays):
    data = cymbals.Interactions.from_csr(plays, item_ids=[f"i{i}" for i in range(80)])
    found = search(data, {"factors": [3]}, iterations=2)
    assert found.best_model_.recommend(0, 2)[0][0].startswith("i")
    with pytest.raises(TypeError, match="scipy sparse"):
        search([[1]], {"factors": [3]})


def test_journals_of_another_version_are_gone_on_with(plays, tmp_path):
    path = tmp_path / "j.jsonl"
    first = search(plays, GRID, iterations=2, journal=path, metric="auc", refit=False)
    header, *trials = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(header) | {"cymbals": "0.0.9"}), *trials]) + "\n")
    assert search(plays, GRID, iterations=2, journal=path, metric="auc", refit=False).trials == first.trials


def test_what_a_search_prints(plays):
    found = search(plays, GRID, iterations=2, refit=False)
    assert "\n" not in repr(found)
    assert repr(found).startswith("<SearchResult: 8 settings; best ndcg@10")
    assert list(found.table)[: 1 + len(GRID)] == ["score", *sorted(GRID)]
    html = found._repr_html_()
    assert html.count("<tr>") == 9
    assert "ndcg@10" in html
