"""The C programs of tests/c under sanitizers. The library is built anew from its sources for each sanitizer."""

import subprocess
import sys

import pytest
from conftest import ROOT, in_background

pytestmark = [
    pytest.mark.build,
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout: there is nothing to build"),
    pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers' options are for Linux"),
]


def sanitize(*arguments):
    """What the programs print."""
    command = [sys.executable, ROOT / "tests" / "c" / "sanitize.py", *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1200)
    if done.returncode == 2:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-20000:]
    return done.stdout


def with_address_sanitizer(_):
    return sanitize("address", "--optimize=-O0")  # GCC then compiles twice as fast


def with_thread_sanitizer(_):
    return sanitize("thread", "--callers", 8, "--threads", 2)


address = in_background("address", with_address_sanitizer)
races = in_background("races", with_thread_sanitizer)


def test_memory_and_undefined_behaviour(address):
    assert "bad_arguments: " in address


def test_data_races(races):
    assert "threads: " in races
