"""cymbals fit, recommend, similar and evaluate."""

import json
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from conftest import cymbals_cli, environment

import cymbals

pytestmark = pytest.mark.usefixtures("own_cache")


def test_fit_recommend_similar(tmp_path, table):
    model = tmp_path / "m.cymbals"
    fitted = cymbals_cli("fit", table, "-o", model, "--factors", 5, "--iterations", 3, "--seed", 1)
    assert "loaded 900 rows" in fitted.stderr
    assert "saved" in fitted.stdout
    found = json.loads(cymbals_cli("recommend", model, "--user", 3, "--user", 4, "-n", 4, "--json").stdout)
    back = cymbals.load(model)
    ids, _ = back.recommend([3, 4], 4)
    assert [[r["item"] for r in found[u]] for u in ("3", "4")] == ids.tolist()
    assert "user 3" in cymbals_cli("recommend", model, "--user", 3).stdout
    near = json.loads(cymbals_cli("similar", model, "--item", 7, "-n", 2, "--json").stdout)
    assert [r["item"] for r in near["7"]] == back.similar_items(7, 2)[0].tolist()
    for suffix in ("parquet", "csv"):
        target = tmp_path / f"recs.{suffix}"
        cymbals_cli("recommend", model, "--all", "-n", 3, "-o", target)
        frame = pd.read_parquet(target) if suffix == "parquet" else pd.read_csv(target)
        assert frame.columns.tolist() == ["user", "rank", "item", "score"]
        assert frame[frame["user"] == 3]["item"].tolist() == back.recommend(3, 3)[0].tolist()
    assert not list(tmp_path.glob("*.part"))


def test_fit_without_options(tmp_path, table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "saved model.cymbals" in cymbals_cli("fit", table).stdout
    model = cymbals.load("model.cymbals")
    assert (model.regularization, model.unobserved_weight, model.factors) == ("auto", "auto", 128)
    before = (tmp_path / "model.cymbals").read_bytes()
    assert "model.cymbals exists: name the file to write" in cymbals_cli("fit", table, "--factors", 2, code=2).stderr
    assert (tmp_path / "model.cymbals").read_bytes() == before


def test_fit_and_recommend_on_the_audioscrobbler_sample(tmp_path, data_folder):
    model = tmp_path / "m.cymbals"
    how = ("--factors", 10, "--iterations", 5, "--regularization", 0.01, "--alpha", 1.0)
    out = cymbals_cli("fit", data_folder("audioscrobbler_small"), "-o", model, *how)
    assert "loaded 49,481 rows, 48,943 distinct pairs, 50 users" in out.stderr
    found = json.loads(cymbals_cli("recommend", model, "--user", 1059637, "-n", 5, "--json").stdout)["1059637"]
    data = cymbals.audioscrobbler.load(data_folder("audioscrobbler_small"))
    row = data.user_ids.tolist().index(1059637)
    heard = {data.item_ids[i] for i in data.user_items[[row]].indices}
    assert len(found) == 5
    assert all(r["item"] not in heard and not r["name"].isdigit() for r in found)


def test_splits(tmp_path, table):
    df = pd.read_csv(table).drop_duplicates(["user", "item"])
    df["when"] = pd.date_range("2005-01-01", periods=len(df)).strftime("%Y-%m-%d")
    df.to_csv(tmp_path / "timed.csv", index=False)
    data = cymbals.datasets.load(tmp_path / "timed.csv", time="when")
    how = {"factors": 4, "iterations": 3, "random_state": 0}
    for words, parts in (
        (("--split", "by-time", "--time", "when"), [cymbals.split.by_time(data, 0.1)]),
        (("--split", "leave-k-out", "--leave", 2), [cymbals.split.leave_k_out(data, 2)]),
        (("--split", "k-fold", "--folds", 3), cymbals.split.k_fold(data, 3)),
    ):
        args = ("evaluate", tmp_path / "timed.csv", "--factors", 4, "--iterations", 3, "-k", 5, *words)
        got = json.loads(cymbals_cli(*args, "--json").stdout)["ALS"]
        want = [cymbals.evaluate(cymbals.ALS.auto(**how).fit(train), train, test, k=5) for train, test in parts]
        assert got["ndcg@5"] == pytest.approx(np.mean([m["ndcg@5"] for m in want]), abs=1e-12)
        out = cymbals_cli(*args).stdout
        assert ("ALS minus popularity: auc" in out) == (len(want) == 1)


def test_other_spellings_are_suggested(tmp_path):
    names = {1: "Radiohead", 2: "Portishead", 3: "Blur"}
    data = cymbals.Interactions.from_arrays([1, 1, 2, 2, 3], [1, 2, 2, 3, 1], item_names=names)
    cymbals.ALS(2, random_state=0).fit(data).save(tmp_path / "m")
    assert "Did you mean 'Radiohead'?" in cymbals_cli("similar", tmp_path / "m", "--item", "radiohead", code=1).output
    assert "Did you mean 'Portishead'?" in cymbals_cli("similar", tmp_path / "m", "--item", "Portishaed", code=1).output
    assert "Did you mean" not in cymbals_cli("similar", tmp_path / "m", "--item", "77", code=1).output


def test_an_id_comes_before_an_equal_name(tmp_path):
    data = cymbals.Interactions.from_arrays([1, 1, 2, 2, 3], [19, 7, 7, 8, 19], item_names={19: "Blur", 7: "19", 8: "8"})
    cymbals.ALS(2, random_state=0).fit(data).save(tmp_path / "m")
    assert "like Blur" in cymbals_cli("similar", tmp_path / "m", "--item", "19").stdout
    assert "like Blur" in cymbals_cli("similar", tmp_path / "m", "--item", "Blur").stdout


def test_recommendations_to_somebody_with_a_history(tmp_path):
    names = {1: "Radiohead", 2: "Portishead", 3: "Blur"}
    data = cymbals.Interactions.from_arrays([1, 1, 2, 2, 3, 4, 4], [1, 2, 2, 3, 1, 1, 3], item_names=names)
    model = cymbals.ALS(2, random_state=0).fit(data)
    model.save(tmp_path / "m")
    found = json.loads(cymbals_cli("recommend", tmp_path / "m", "--history", "Blur", "--history", 1, "--json").stdout)
    ids, _ = model.recommend(history=[3, 1])
    assert [row["item"] for row in found["Blur and Radiohead"]] == [2] == ids[:1].tolist()
    assert "for somebody with Blur" in cymbals_cli("recommend", tmp_path / "m", "--history", "Blur").stdout
    assert "Did you mean 'Blur'?" in cymbals_cli("recommend", tmp_path / "m", "--history", "blurr", code=1).output
    both = cymbals_cli("recommend", tmp_path / "m", "--history", "Blur", "--user", 1, code=2)
    assert "--history ITEM" in both.output


def test_evaluate_a_saved_model(tmp_path, table):
    frame = pd.read_csv(table).drop_duplicates(["user", "item"])
    frame["user"], frame["item"] = "u" + frame["user"].astype(str), "i" + frame["item"].astype(str)
    train, test = frame[::2], frame[1::2]
    test.to_csv(tmp_path / "test.csv", index=False)
    data = cymbals.Interactions.from_frame(train)
    model = cymbals.ALS(4, random_state=0).fit(data)
    model.save(tmp_path / "m")
    args = ("evaluate", tmp_path / "test.csv", "--model", tmp_path / "m", "-k", 5)
    found = json.loads(cymbals_cli(*args, "--json").stdout)
    held_out = cymbals.Interactions.from_frame(test, like=model)
    assert found["ALS"] == pytest.approx(dict(cymbals.evaluate(model, data, held_out, k=5)))
    assert set(found) == {"ALS", "popularity", "random"}
    assert "--split is for a fit or a split" in cymbals_cli(*args, "--split", "random", code=2).output
    assert "--factors is for a fit or a split" in cymbals_cli(*args, "--factors", 3, code=2).output
    model.save(tmp_path / "small", include_interactions=False)
    args = ("evaluate", tmp_path / "test.csv", "--model", tmp_path / "small")
    assert "saved without interactions" in cymbals_cli(*args, code=2).output


# -- checkpoints -----------------------------------------------------------------------------------------------------

HOW = ("--factors", 5, "--iterations", 6, "--seed", 1)


def stopped_after(iterations, *args, code=143):
    """What `cymbals fit` prints if SIGTERM arrives in the half-step that follows so many iterations."""
    from cymbals.solve import loop

    run, ran = loop.half_step, []

    def half_step(*arguments):
        ran.append(1)
        if len(ran) == 2 * iterations + 1:
            signal.raise_signal(signal.SIGTERM)
        return run(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "half_step", half_step)
        return cymbals_cli("fit", *args, code=code)


def test_sigterm_ends_a_fit_that_the_same_command_resumes(tmp_path, table):
    cymbals_cli("fit", table, "-o", tmp_path / "whole", *HOW)
    args = (table, "-o", tmp_path / "m", "--checkpoint", tmp_path / "c", *HOW)
    before = signal.getsignal(signal.SIGTERM)
    out = stopped_after(3, *args, "--threads", 1, "--every", 4)
    assert f"stopped; the same command goes on from {tmp_path / 'c'}" in out.stderr
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "m").exists()
    assert cymbals.load(tmp_path / "c").n_iter_ == 3
    assert [e["iteration"] for e in cymbals.load(tmp_path / "c").history_] == [1, 2, 3]

    out = cymbals_cli("fit", *args, "--threads", 2, "--json")
    assert "resuming after iteration 3 of 6" in out.stderr
    found = json.loads(out.stdout)
    assert found["fit"]["resumed_at"] == 3
    assert [entry["iteration"] for entry in found["history"]] == [1, 2, 3, 4, 5, 6]
    whole, model = cymbals.load(tmp_path / "whole"), cymbals.load(tmp_path / "m")
    assert np.array_equal(model.user_factors_, whole.user_factors_)
    assert np.array_equal(model.item_factors_, whole.item_factors_)
    assert model.get_params() == whole.get_params()
    assert model.recommend(3)[0].tolist() == whole.recommend(3)[0].tolist()

    (tmp_path / "m").unlink()
    out = cymbals_cli("fit", *args)
    assert f"{tmp_path / 'c'} holds the finished fit" in out.stderr
    assert "6 iterations, loss" in out.stdout
    assert np.array_equal(cymbals.load(tmp_path / "m").item_factors_, whole.item_factors_)


def test_other_settings_than_those_of_the_checkpoint_are_refused_by_name(tmp_path, table):
    args = ("fit", table, "-o", tmp_path / "m", "--checkpoint", tmp_path / "c")
    stopped_after(2, *args[1:], *HOW)
    before = (tmp_path / "c").read_bytes()
    for changes, words in (
        (("--factors", 7), "--factors is 7, but the checkpoint has 5"),
        (("--seed", 2), "--seed is 2, but the checkpoint has 1"),
        (("--iterations", 9, "--alpha", 2), "--alpha is 2.0, but the checkpoint has auto; --iterations is 9, but"),
        (("--confidence", "linear"), "--confidence is linear, but the checkpoint has log"),
        (("--objective", "explicit"), "--objective is explicit, but the checkpoint has ials"),
    ):
        assert words in " ".join(cymbals_cli(*args, *HOW, *changes, code=2).stderr.split())
    frame = pd.read_csv(table)
    frame.loc[0, "value"] += 1
    frame.to_csv(tmp_path / "other.csv", index=False)
    out = cymbals_cli("fit", tmp_path / "other.csv", *args[2:], *HOW, code=1)
    assert "data must be the same as in the fit, but here it has other values" in out.stderr
    assert (tmp_path / "c").read_bytes() == before
    assert not (tmp_path / "m").exists()


def test_refused_checkpoints(tmp_path, table):
    output = ("-o", tmp_path / "m")
    assert "--every needs --checkpoint" in cymbals_cli("fit", table, *output, "--every", 2, code=2).stderr
    assert "name two files" in cymbals_cli("fit", table, *output, "--checkpoint", tmp_path / "m", code=2).stderr
    assert "would replace a file" in cymbals_cli("fit", table, *output, "--checkpoint", table, code=2).stderr
    missing = tmp_path / "no" / "c"
    assert "cannot write" in cymbals_cli("fit", table, *output, "--checkpoint", missing, code=2).stderr
    (tmp_path / "c").write_bytes(b"hello")
    out = cymbals_cli("fit", table, *output, "--checkpoint", tmp_path / "c", code=1)
    assert "not a cymbals model file; or remove the file, to fit from the beginning" in out.stderr
    cymbals_cli("fit", table, "-o", tmp_path / "c", *HOW)
    out = cymbals_cli("fit", table, *output, "--checkpoint", tmp_path / "c", *HOW, code=1)
    assert "a model, but not a checkpoint" in out.stderr
    assert not (tmp_path / "m").exists()


def test_a_checkpoint_that_a_program_wrote(tmp_path, table):
    data = cymbals.datasets.load(table)
    cymbals.ALS.auto(factors=5, iterations=6, random_state=1, n_threads=1).fit(data, checkpoint=tmp_path / "c")
    out = cymbals_cli("fit", table, "-o", tmp_path / "m", "--checkpoint", tmp_path / "c", *HOW)
    assert "6 iterations\n" in out.stdout  # it computed no loss
    assert cymbals.load(tmp_path / "m").n_iter_ == 6


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_sigterm_from_outside(tmp_path, with_checkpoint):
    """Without --checkpoint, SIGTERM ends the process at once, as before."""
    matrix = scipy.sparse.random_array((3000, 2000), density=0.01, format="csr", rng=0)
    scipy.sparse.save_npz(tmp_path / "data.npz", matrix)
    args = ["fit", tmp_path / "data.npz", "-o", tmp_path / "m", "--factors", 16, "--iterations", 100_000]
    args += ["--checkpoint", tmp_path / "c"] * with_checkpoint
    process = subprocess.Popen(
        [sys.executable, "-m", "cymbals", *map(str, args)], stderr=subprocess.PIPE, text=True, env=environment()
    )
    for line in process.stderr:
        if line.startswith("fit "):
            break
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=60)[1]
    if not with_checkpoint:
        assert process.returncode == -signal.SIGTERM
        return
    assert process.returncode == 143
    assert rest.splitlines()[-1] == f"stopped; the same command goes on from {tmp_path / 'c'}"
    assert 1 <= cymbals.load(tmp_path / "c").n_iter_ < 100_000
    assert not list(tmp_path.glob("*.part"))
