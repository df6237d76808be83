"""cymbals explore: what it prints, how it ends, and how it refuses."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from conftest import SMALL, cymbals_cli, environment

from cymbals import ALS, Interactions
from cymbals.serving.server import ExploreServer


@pytest.fixture
def path(tmp_path):
    ALS(factors=2, random_state=0).fit(SMALL).save(tmp_path / "m.cymbals")
    return tmp_path / "m.cymbals"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("named", [True, False])
def test_it_serves_until_ctrl_c(tmp_path, named):
    data = Interactions.from_csr(SMALL, item_names={0: "Abba"} if named else None)
    ALS(factors=2, random_state=0).fit(data).save(tmp_path / "m")
    command = [
        sys.executable,
        "-m",
        "cymbals",
        "explore",
        str(tmp_path / "m"),
        "--port",
        "0",
        "--no-browser",
        "--threads",
        "1",
    ]
    # A shell starts background jobs with SIGINT ignored, and Python would then ignore it, too.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        line = process.stdout.readline()
        url = re.fullmatch(r"exploring .*m at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n", line)[1]
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{url}find-items", b'{"text": "0"}', headers)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            assert json.load(answer)["items"][0]["name"] == ("Abba" if named else "0")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (0, "")
    assert err.strip() == ("" if named else "cymbals: the model has no names, so the page shows ids")


def test_a_browser_is_opened(path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(ExploreServer, "serve_forever", lambda self: opened.append(self.url))
    cymbals_cli("explore", path, "--port", 0)
    assert len(opened) == 2
    assert opened[0] == opened[1]
    opened.clear()
    cymbals_cli("explore", path, "--port", 0, "--no-browser")
    assert len(opened) == 1


def test_an_occupied_port(path):
    with ExploreServer(path) as server:
        port = server.server_address[1]
        result = cymbals_cli("explore", path, "--port", port, "--no-browser", code=1)
    assert f"cannot use port {port} (Address already in use): give --port another number" in result.stderr


def test_wrong_models(tmp_path):
    assert "does not exist" in cymbals_cli("explore", tmp_path / "absent", code=2).stderr
    assert "is a directory" in cymbals_cli("explore", tmp_path, code=2).stderr
    (tmp_path / "m").write_text("no model")
    assert "cymbals: " in cymbals_cli("explore", tmp_path / "m", code=1).stderr
    assert "--port" in cymbals_cli("explore", tmp_path / "m", "--port", 70000, code=2).stderr
