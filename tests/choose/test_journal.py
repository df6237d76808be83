"""Journals: damaged lines are named, and a claim of one process or thread excludes the others."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cymbals.choose.journal import Journal, Trial, key_of


def test_damaged_lines_are_reported_by_number(tmp_path):
    path, about = tmp_path / "j", {"data": "x"}
    good = '{"params": {"factors": 1}, "status": "done", "score": 0.5, "iterations": 3, "seconds": 0.1}\n'
    for bad in ("nonsense", '{"params": 5}', good.strip().replace("0.5", '"high"'), good.strip().replace("done", "fine")):
        path.unlink(missing_ok=True)
        with Journal(path, about):
            pass
        with open(path, "a") as file:
            file.write(good + bad + "\n")
        with (
            Journal(path, about) as notes,
            pytest.raises(ValueError, match=r"line 3 records no finished setting .* delete the line"),
        ):
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


def test_a_claim_of_one_process_excludes_other_processes(tmp_path):
    """A child process opens the second journal."""
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
        with notes.claim("b", False) as theirs:  # a killed process holds no claim
            assert theirs


# -- lines that no search wrote ------------------------------------------------------------------------------------


def deep(levels, inner="1"):
    return "[" * levels + inner + "]" * levels


GOOD = {"params": {"factors": 1}, "status": "done", "score": 0.5, "iterations": 3, "seconds": 0.1, "metrics": {"auc": 0.5}}
GOOD |= {"trace": [0.4, 0.5], "error": "", "number": -1}
LINES = {
    "deep": f'{{"params": {{"a": {deep(500)}}}}}',
    "deeper than Python's stack": deep(100_000),
    "deep trace": json.dumps(GOOD).replace("[0.4, 0.5]", deep(100)),
    "NaN": json.dumps(GOOD).replace("0.5", "NaN"),
    "Infinity": json.dumps(GOOD).replace("0.1", "Infinity"),
    "1e999": json.dumps(GOOD).replace("0.1", "1e999"),
    "5000 digits": json.dumps(GOOD).replace("0.1", "9" * 5000),
    "400 digits": json.dumps(GOOD).replace('"number": -1', '"number": 1' + "0" * 400),
    "NaN in params": json.dumps(GOOD).replace('"factors": 1', '"alpha": NaN'),
    "another field": json.dumps(GOOD | {"colour": "red"}),
    "no UTF-8": b'{"params": {"\xff": 1}}',
    "no object": "5",
    "nothing": "",
    "zeros": b"\0" * 100,
    "carriage returns": "\r\r\r5",
    "a failed one with a score": json.dumps(GOOD | {"status": "failed"}),
}


for name, values in {
    "params": (None, 5, [], [["factors", 1]], "x"),
    "status": (None, "fine", 1, [], {}),
    "score": (None, True, "0.5", [0.5], {}),
    "iterations": (None, True, 3.5, -1, 0, "3", 2**31, [3]),
    "seconds": (None, False, "1", [], {}),
    "metrics": (None, 5, [], "x", {"auc": None}, {"auc": "0.5"}, {"auc": True}, {"auc": [0.5]}),
    "trace": (None, 5, {}, "12", [None], ["0.5"], [True], [[0.5]]),
    "error": (None, 5, [], True),
    "number": (None, True, False, 0.5, "1", -2, [1]),
}.items():
    for value in values:
        LINES[f"{name} = {value!r}"] = json.dumps(GOOD | {name: value})
    if name in ("params", "status", "score", "iterations", "seconds"):
        LINES[f"without {name}"] = json.dumps({key: v for key, v in GOOD.items() if key != name})


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_not_from_a_search_is_reported_by_number(tmp_path, name):
    path, bad = tmp_path / "j", LINES[name]
    with Journal(path, {}):
        pass
    with open(path, "ab") as file:
        for line in (json.dumps(GOOD), bad, json.dumps(GOOD | {"params": {"factors": 2}})):
            file.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
    words = r"journal .*j: line 3 records no finished setting \(.*\): delete the line, or name another file"
    with Journal(path, {}) as notes:
        for _ in range(2):  # the second reading must report the line again
            with pytest.raises(ValueError, match=words):
                notes.trials()


@pytest.mark.parametrize(
    "first", [deep(100_000), '{"cymbals search": NaN}', '{"cymbals search": 1, "x": ' + deep(80) + "}", b"\xff\xfe", "5"]
)
def test_a_first_line_that_is_not_from_a_search(tmp_path, first):
    (tmp_path / "j").write_bytes((first if isinstance(first, bytes) else first.encode()) + b"\n")
    with pytest.raises(ValueError, match="is not the journal of a search; name another file"):
        Journal(tmp_path / "j", {})


def test_journals_of_version_0_1_0_still_load(tmp_path):
    (tmp_path / "j").write_text(
        '{"cymbals search": 1, "cymbals": "0.1.0", "als": {"random_state": 0}}\n'
        '{"params": {"factors": 2, "alpha": 1.0}, "status": "done", "score": 0.5, "iterations": 3, "seconds": 0.1, '
        '"metrics": {"auc": 0.5}, "trace": [], "error": "", "number": -1}\n'
        '{"params": {"factors": -2}, "status": "failed", "score": null, "iterations": 0, "seconds": 0.1, "metrics": {}, '
        '"trace": [], "error": "factors must be from 1", "number": 3}\n'
        '{"params": {"factors": 3}, "status": "pruned", "score": 1, "iterations": 1, "seconds": 1}\n'
    )
    with Journal(tmp_path / "j", {"als": {"random_state": 0}}) as notes:
        assert [trial.status for trial in notes.trials().values()] == ["done", "failed", "pruned"]


# -- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journals", [1, 2])
def test_threads_exclude_each_other(tmp_path, journals):
    """Through one journal, and through two on the same file."""
    open_ones = [Journal(tmp_path / "j", {}) for _ in range(journals)]
    mine, theirs = open_ones[0], open_ones[-1]
    told = []

    def other():
        with theirs.claim("a", wait=False) as got:
            told.append(got)
        with theirs.claim("b", wait=False) as got:
            told.append(got)
        with theirs.claim("a", wait=True) as got:
            told.append((got, list(theirs.trials())))

    with mine.claim("a", wait=False) as got:
        assert got
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.3)
        assert told == [False, True]
        mine.append(Trial({"factors": 1}, "done", 0.5, 3, 0.1))
    thread.join(60)
    assert told[2] == (True, [key_of({"factors": 1})])
    for journal in open_ones:
        journal.close()


def test_closing_another_journal_of_the_file_ends_no_claim(tmp_path):
    """Locks of POSIX end when the process closes any descriptor of the file."""
    script = (
        "from cymbals.choose.journal import Journal\n"
        f"with Journal({str(tmp_path / 'j')!r}, {{}}) as notes, notes.claim('a', False) as mine: print(mine)\n"
    )
    with Journal(tmp_path / "j", {}) as notes, notes.claim("a", False):
        Journal(tmp_path / "j", {}).close()
        (tmp_path / "j").read_bytes()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_does_not_inherit_claims_of_threads(tmp_path):
    with Journal(tmp_path / "j", {}) as notes, contextlib.ExitStack() as claims:
        claims.enter_context(notes.claim("a", False))
        child = os.fork()
        if not child:
            with Journal(tmp_path / "j", {}) as own, own.claim("a", False) as mine:
                os._exit(10 + mine)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
        child = os.fork()
        claims.close()
        if not child:
            signal.alarm(30)
            with Journal(tmp_path / "j", {}) as own, own.claim("a", True) as mine:
                os._exit(10 + mine)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
