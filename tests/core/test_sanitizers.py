"""The C programs of tests/c under sanitizers. The library is built anew from its sources for each sanitizer."""

import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = [
    pytest.mark.build,
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout: there is nothing to build"),
    pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers' options are for Linux"),
]


def sanitize(*arguments):
    command = [sys.executable, ROOT / "tests" / "c" / "sanitize.py", *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1200)
    if done.returncode == 2:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-20000:]
    return done.stdout


def test_memory_and_undefined_behaviour():
    assert "bad_arguments: " in sanitize("address")


def test_data_races():
    assert "threads: " in sanitize("thread", "--callers", 8, "--threads", 2)
