"""Searches: every setting is scored as if fitted alone, the best one is refitted, and bad input is named before any fit."""

import json
import os
import subprocess
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import SMALL, planted_clusters, random_matrix
from sklearn.model_selection import ParameterGrid

import cymbals
from cymbals import ALS, evaluate, search, split
from cymbals.choose.journal import key_of

GRID = {"factors": [2, 5], "regularization": [0.1, 10.0], "alpha": [1.0, 20.0]}


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    liked = planted_clusters(rng, (150, 80), 0.4, 0.05)
    return sp.csr_array(liked * rng.integers(1, 30, (150, 80)).astype(np.float32))


def test_grid_equals_separate_fits_of_all_settings(plays):
    found = search(plays, GRID, metric="ndcg@7", iterations=4, seed=3)
    train, validation = split.random(plays, 0.1, 3)
    want = {}
    for params in ParameterGrid(GRID):
        model = ALS.auto(iterations=4, random_state=3, **params).fit(train)
        want[key_of(params)] = evaluate(model, train, validation, k=7)["ndcg@7"]
    assert {t.key: t.score for t in found.trials} == pytest.approx(want, abs=0)
    table = found.table
    assert table["score"].tolist() == sorted(want.values(), reverse=True)
    assert {"factors", "alpha", "auc", "recall@10", "seconds", "status"} <= set(table)
    best = max(want, key=want.get)
    assert (key_of(found.best_trial_.params), found.best_score_) == (best, want[best])
    again = ALS(**found.best_params_).fit(plays)
    assert np.array_equal(found.best_model_.item_factors_, again.item_factors_)
    assert "8 settings; best ndcg@7" in str(found)


def test_search_with_patience_refits_up_to_the_best_iteration(plays):
    found = search(
        plays, {"factors": [20], "regularization": [0.001]}, metric="ndcg@5", patience=2, iterations=25, alpha=5.0
    )
    (trial,) = found.trials
    assert found.best_params_["iterations"] == trial.iterations == 1 + int(np.argmax(trial.trace)) < 25
    assert found.best_model_.n_iter_ == trial.iterations
    assert trial.score == max(trial.trace)


def test_error_says_that_no_validation_entry_can_be_scored(plays):
    with pytest.raises(ValueError, match="no entry of the validation part can be scored by ndcg@10"):
        search(plays, {"factors": [3]}, validation=1e-9, iterations=1)


def test_pruning_stops_settings_below_the_median(plays):
    bad = [1000.0, 2000.0, 4000.0]
    found = search(plays, {"regularization": [0.5, 1.0, 2.0, 3.0, *bad]}, prune=True, factors=6, iterations=6, refit=False)
    status = {t.params["regularization"]: t.status for t in found.trials}
    assert all(status[r] == "pruned" for r in bad)
    assert all(status[r] == "done" for r in (0.5, 1.0, 2.0, 3.0))
    assert all(len(t.trace) == 2 for t in found.trials if t.status == "pruned")
    assert found.best_params_["regularization"] not in bad


def test_warm_start_begins_with_the_factors_of_the_last_fit(plays):
    grid = {"factors": [5], "regularization": [0.1, 0.2, 0.4]}
    cold, warm = (search(plays, grid, iterations=2, patience=2, warm_start=w, refit=False) for w in (False, True))
    assert cold.trials[0].trace == warm.trials[0].trace
    assert all(w.trace[0] > c.trace[0] for c, w in zip(cold.trials[1:], warm.trials[1:], strict=True))


def test_validation_by_a_function(plays):
    seen = []

    def cut(data):
        seen.append(data)
        return split.leave_k_out(data, 2, seed=5)

    found = search(plays, {"factors": [3]}, validation=cut, iterations=2, refit=False)
    assert len(seen) == 1
    train, validation = split.leave_k_out(plays, 2, seed=5)
    model = ALS.auto(3, iterations=2, random_state=0).fit(train)
    assert found.best_score_ == evaluate(model, train, validation)["ndcg@10"]


def test_validation_by_held_out_users(plays):
    grid = {"factors": [3]}
    found = search(plays, grid, validation=lambda data: split.users(data, 30, seed=5), iterations=2, refit=False)
    train, fold, validation = split.users(plays, 30, seed=5)
    model = ALS.auto(3, iterations=2, random_state=0).fit(train)
    assert found.best_score_ == evaluate(model, rows=fold, test=validation)["ndcg@10"]
    named = search(plays, grid, validation="users", iterations=2, patience=2, seed=5)
    train, fold, validation = split.users(plays, 15, seed=5)
    model = ALS.auto(3, relaxation=1.0, iterations=named.trials[0].iterations, random_state=5).fit(train)
    assert named.best_score_ == evaluate(model, rows=fold, test=validation)["ndcg@10"]
    assert named.best_model_.user_factors_.shape[0] == 150


def test_some_users(plays):
    found = search(plays, {"factors": [3]}, n_users=20, iterations=2, refit=False)
    whole = search(plays, {"factors": [3]}, iterations=2, refit=False)
    assert found.best_score_ != whole.best_score_


def test_a_failing_setting_is_recorded_and_the_search_goes_on(plays):
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


def test_search_takes_interactions_and_refuses_lists(plays):
    data = cymbals.Interactions.from_csr(plays, item_ids=[f"i{i}" for i in range(80)])
    found = search(data, {"factors": [3]}, iterations=2)
    assert found.best_model_.recommend(0, 2)[0][0].startswith("i")
    with pytest.raises(TypeError, match="scipy sparse"):
        search([[1]], {"factors": [3]})


def test_repr_of_a_search(plays):
    found = search(plays, GRID, iterations=2, refit=False)
    assert "\n" not in repr(found)
    assert repr(found).startswith("<SearchResult: 8 settings; best ndcg@10")
    assert list(found.table)[: 1 + len(GRID)] == ["score", *sorted(GRID)]
    html = found._repr_html_()
    assert html.count("<tr>") == 9
    assert "ndcg@10" in html


# -- interrupted and shared searches --------------------------------------------------------------------------------


def test_settings_in_a_journal_are_not_fitted_again_and_another_search_is_refused(plays, tmp_path, monkeypatch):
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


def test_search_resumes_from_a_journal_of_another_version(plays, tmp_path):
    path = tmp_path / "j.jsonl"
    first = search(plays, GRID, iterations=2, journal=path, metric="auc", refit=False)
    header, *trials = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(header) | {"cymbals": "0.0.9"}), *trials]) + "\n")
    assert search(plays, GRID, iterations=2, journal=path, metric="auc", refit=False).trials == first.trials


def test_a_killed_search_resumes(tmp_path, plays):
    """Through the command line: no finished setting is fitted again."""
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
    # Settings in the journal keep their times: they were not fitted again.
    assert seconds <= {row["seconds"] for row in found["table"]}
    assert not list(cache.glob("cymbals/*.jsonl"))


def test_processes_share_a_search(tmp_path, plays):
    """Two processes share one journal: each setting is fitted once, and both return all results."""
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


def test_threads_share_a_search(tmp_path, monkeypatch):
    fits, fit, lock = [], ALS.fit, threading.Lock()

    def counted(self, *args, **options):
        with lock:
            fits.append(self.regularization)
        time.sleep(0.01)
        return fit(self, *args, **options)

    monkeypatch.setattr(ALS, "fit", counted)
    data, results = random_matrix((60, 40), 0.3), []
    grid = {"regularization": [1 + i / 10 for i in range(12)]}

    def run():
        how = {"factors": 2, "iterations": 2, "n_threads": 1, "refit": False, "journal": tmp_path / "j"}
        results.append(search(data, grid, **how))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fits) == grid["regularization"]  # each once
    assert [len(found.trials) for found in results] == [12] * 3
    assert len({found.best_params_["regularization"] for found in results}) == 1


# -- input that is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"grid": {"factor": [2]}}, ValueError, "ALS has no parameter 'factor'; its parameters are factors"),
        ({"grid": GRID, "factors": 3}, ValueError, "factors is given twice: as a parameter to search"),
        ({"grid": {"factors": [2, -1]}}, ValueError, "factors must be from 1"),
        ({"grid": GRID, "metric": "accuracy"}, ValueError, "metric must be auc, mrr"),
        ({"grid": GRID, "metric": "rmse"}, ValueError, "needs objective 'explicit', got objective 'ials'"),
        ({"grid": GRID, "validation": 1.0}, ValueError, "validation must be below 1"),
        ({"grid": GRID, "validation": "x"}, ValueError, "validation must be a share of the entries, 'users' or a function"),
        ({"grid": GRID, "validation": [0.1]}, TypeError, "validation must be a number"),
        ({"random": "all"}, TypeError, "random must be a dict of parameters"),
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
            r"validation: part 1 must have the shape \(150, 80\), got \(3, 3\)",
        ),
        ({"grid": GRID, "confidence": np.sqrt, "journal": "x"}, TypeError, "not confidence=<ufunc 'sqrt'>"),
    ],
)
def test_bad_input_is_named_before_anything_is_fitted(plays, monkeypatch, how, error, words):
    monkeypatch.setattr(ALS, "fit", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(error, match=words):
        search(plays, **how)


def test_a_search_refuses_a_number_beyond_a_float_and_names_it():
    with pytest.raises(ValueError, match=r"^alpha must be finite"):
        cymbals.search(SMALL, {"alpha": [Fraction(10**400)]})


def test_a_huge_cutoff_is_refused_before_any_fit(monkeypatch):
    monkeypatch.setattr(ALS, "fit", lambda *args, **how: pytest.fail("a model was fitted"))
    with pytest.raises(ValueError, match=r"metric 'ndcg@99999999999': k must be from 1"):
        cymbals.search(random_matrix((9, 8), 0.4), n=2, metric="ndcg@99999999999")
