"""Profiles: their counts agree with the fit's report, their times add up, and taking one changes no result."""

import contextlib
import contextvars
import functools
import io
import json
import threading

import numpy as np
import pytest
import scipy.sparse as sp

import cymbals
from cymbals import _core


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(0)
    lengths = np.concatenate(([0, 1, 2, 700], rng.integers(3, 60, 396)))
    rows = np.repeat(np.arange(400), lengths)
    columns = np.concatenate([rng.choice(900, n, replace=False) for n in lengths])
    return sp.csr_array((1 + rng.poisson(2, rows.size).astype(np.float32), (rows, columns)), shape=(400, 900))


def fitted(plays, **params):
    params = {"factors": 24, "iterations": 3, "random_state": 0, "n_threads": 2} | params
    return cymbals.ALS(**params).fit(plays, compute_loss=True, profile=True)


@pytest.mark.parametrize(
    "params", [{}, {"solver": "exact"}, {"solver": "cg", "dtype": "float64"}, {"objective": "explicit", "nu": 1.0}]
)
def test_counts_of_a_profile_equal_those_of_the_fit(plays, params):
    model = fitted(plays, **params)
    profile, report = model.profile_, model.report_
    rows = profile.phases(peaks=False)
    for side in ("users", "items"):
        for iteration in (1, 2, 3):
            gathered = [r for r in rows if (r["iteration"], r["side"], r["phase"]) == (iteration, side, "gather")]
            assert sum(r["entries"] for r in gathered) == plays.nnz
    classes = profile.row_classes()
    for solver in ("cg", "dual", "primal"):
        of_solver = [c for c in classes if c["solver"] == solver]
        assert sum(c["rows"] for c in of_solver) == report[f"rows_{solver}"]
        assert sum(r["cg_steps"] for r in rows if r["phase"] == solver) == (report["cg_steps"] if solver == "cg" else 0)
    assert sum(c["retried"] for c in classes) == report["rows_retried"]
    assert sum(c["entries"] for c in classes) == 2 * 3 * plays.nnz
    for c in classes:
        assert c["least"] * c["rows"] <= c["entries"] <= c["most"] * c["rows"]
    with_gramian = params.get("objective") != "explicit"
    phases = {r["phase"] for r in rows if r["side"]}
    assert phases >= {"whiten", "gather", "other"} | ({"gram", "eigh", "rotate"} if with_gramian else set())
    assert {"data", "start", "transpose", "loss", "rest"} <= {r["phase"] for r in rows}


def test_seconds_of_phases_add_up_to_the_total(plays):
    profile = fitted(plays).profile_
    for rows in (profile.phases(peaks=False), profile.summary(peaks=False)):
        assert sum(row["seconds"] for row in rows) == pytest.approx(profile.seconds, rel=1e-9)
    for row in rows:
        if row["thread_max"] is not None:
            assert 0 <= row["thread_min"] <= row["thread_mean"] <= row["thread_max"] <= profile.seconds
    assert profile.n_threads == 2


def test_a_profile_does_not_change_the_fit(plays):
    with_profile = fitted(plays)
    without = cymbals.ALS(**with_profile.get_params()).fit(plays)
    assert np.array_equal(with_profile.user_factors_, without.user_factors_)
    assert not hasattr(without, "profile_")
    assert not hasattr(with_profile.fit(plays), "profile_")  # the profile was of the first fit


def test_evaluating_and_recommending(plays):
    train, test = cymbals.split.random(plays, seed=0)
    model = fitted(train)
    with cymbals.Profile() as profile:
        metrics = cymbals.evaluate(model, train, test)
        ids, _ = model.recommend(np.arange(400), n_threads=2)
    rows = {row["phase"]: row for row in profile.summary(peaks=False)}
    assert rows["metrics"]["rows"] == 400
    # Users without history take a second search: for the most popular items.
    assert rows["topk"]["rows"] == 400 + np.sum(np.diff(train.indptr) == 0)
    assert rows["metrics"]["gflop"] > 0
    assert rows["topk"]["gflop"] > 0
    assert cymbals.evaluate(model, train, test)["auc"] == metrics["auc"]
    assert np.array_equal(model.recommend(np.arange(400), n_threads=2)[0], ids)


def test_profile_of_folding_in_a_single_row(plays):
    model = fitted(plays)
    with cymbals.Profile() as profile:
        model.fold_in(plays[[3]])
    (row,) = profile.row_classes()
    assert (row["rows"], row["entries"], row["least"]) == (1, 700, 512)
    assert {"gather", row["solver"]} <= {r["phase"] for r in profile.summary(peaks=False)}


def test_chrome_trace(plays, tmp_path):
    """Complete and metadata events as the trace event format has them, properly nested on each track."""
    profile = fitted(plays).profile_
    profile.to_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    tracks = {}
    for event in trace["traceEvents"]:
        assert event["ph"] in "XM"
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        if event["ph"] == "M":
            assert event["name"] == "thread_name"
            assert isinstance(event["args"]["name"], str)
            continue
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        tracks.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    assert tracks.keys() == {0, 1, 2}  # calls, and both threads
    for spans in tracks.values():
        open_until = []
        for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin + 1e-3:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-3
            open_until.append(end)


def test_outputs(plays):
    profile = fitted(plays).profile_
    assert json.loads(json.dumps(profile.to_dict()))["peaks"].keys() == {"multiply_adds", "near", "stream", "gather"}
    frame = profile.to_frame()
    assert {"iteration", "side", "phase", "seconds", "gflop_per_s", "of_peak_flops"} <= set(frame)
    assert (frame["of_peak_flops"] >= 0).all()
    assert "solver" in profile.to_frame("row_classes")
    text = io.StringIO()
    profile.print(text)
    assert "gather" in text.getvalue()
    assert "peaks:" in text.getvalue()
    figure = profile.roofline()
    assert "gather" in figure.get_label()
    with pytest.raises(ValueError, match="what must be one of"):
        profile.to_frame("everything")


def test_a_profile_records_only_its_thread_and_block(plays):
    model = fitted(plays)
    with cymbals.Profile() as profile:
        for target in (model.recommend, functools.partial(contextvars.copy_context().run, model.recommend)):
            other = threading.Thread(target=target, args=([1],))
            other.start()
            other.join()
    model.recommend([1])
    assert {row["phase"] for row in profile.summary(peaks=False)} == {"rest"}
    with contextlib.suppress(ValueError), profile:
        raise ValueError("the block ends all the same")
    with profile, pytest.raises(RuntimeError, match="active already"):
        profile.__enter__()
    before = profile.to_dict(peaks=False)["phases"]
    model.recommend([1])
    assert profile.to_dict(peaks=False)["phases"] == before


def test_a_call_is_recorded_by_the_inner_and_the_outer_profile(plays):
    with cymbals.Profile() as outer:
        model = fitted(plays)
    inner = model.profile_
    for name in ("gather", "eigh", "start"):
        (a,), (b,) = (
            [
                r
                for r in p.phases(peaks=False)
                if (r["phase"], r["iteration"]) == (name, name != "start") and r["side"] != "items"
            ]
            for p in (outer, inner)
        )
        assert (a["calls"], a["rows"]) == (b["calls"], b["rows"])


def test_a_profile_can_be_read_before_its_end_and_without_records():
    with cymbals.Profile() as profile:
        profile.print(io.StringIO(), peaks=False)
        assert profile.phases(peaks=False)[-1]["seconds"] > 0
    empty = cymbals.Profile()
    empty.print(io.StringIO(), peaks=False)
    assert empty.to_dict(peaks=False)["phases"] == [{**empty.summary(peaks=False)[0], "iteration": 0}]


def test_error_message_is_kept_when_a_profile_reads_the_records():
    with cymbals.Profile(), pytest.raises(ValueError, match="outside"):
        _core.number_ids(np.array([7]), 0, np.zeros(3, np.int32), 1)


def test_an_interrupted_fit_keeps_its_profile(plays):
    def stop(model, iteration):
        raise KeyboardInterrupt

    model = cymbals.ALS(factors=4, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(plays, callback=stop, profile=True)
    assert model.n_iter_ == 1
    assert {row["iteration"] for row in model.profile_.phases(peaks=False)} == {0, 1}


def test_a_failed_fit_has_no_profile(plays):
    bad = plays.copy()
    bad.data[:] = np.float32(3e38)
    model = cymbals.ALS(factors=4, alpha=1e30)
    with pytest.raises(cymbals.SolveError):
        model.fit(bad, profile=True)
    assert not hasattr(model, "profile_")
    with pytest.raises(TypeError, match="profile"):
        model.fit(plays, profile="yes")


def test_workspaces_keep_their_memory(plays):
    """A half-step allocates what half_step_bytes says, and the next one nothing; `forget` drops the records."""
    space = _core.Workspace(2, record=True)
    rows = cymbals.Interactions.from_csr(plays).csr
    fixed, solved = np.full((900, 24), 0.1, np.float32), np.zeros((400, 24), np.float32)
    wanted = _core.half_step_bytes(rows, fixed, 0, 3, 2, space)
    for _ in range(2):
        _core.half_step(rows, (0, 0, 1.0, 1.0, 1.0), fixed, np.ones(24), solved, 0.1, 0, 3, 0.016, 1.0, 2, space)
        assert space.nbytes == wanted
    assert len(space.spans()[0]) > 0
    assert len(space.row_classes()) > 0
    space.forget()
    assert space.spans() == (b"", 0)
    assert space.row_classes() == b""
