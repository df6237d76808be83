"""Downloads that are cut off, refused, or not as long as the server says."""

import pytest
from faulty_server import serving

pytest.importorskip("requests", reason="requests is not installed")

from cymbals.base import download

BODY = bytes(range(256)) * 4000  # a megabyte


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_BEFORE_NEXT_TRY", 0.001)
    with serving() as served:
        served.files["/file"] = BODY
        yield served


@pytest.fixture
def fetch(server, tmp_path):
    """A function that downloads the file, and returns what it wrote."""

    def downloaded(show=False):
        download.Downloader(tmp_path / "file.partial", show)(server.address + "/file", str(tmp_path / "out"), None)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        return (tmp_path / "out").read_bytes()

    return downloaded


def starts(server):
    """The first byte that each request asked for."""
    return [int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0 for _, asked in server.seen]


def about(part):
    """A position in the file, which may be a piece too low: half a piece is lost with the connection."""
    return pytest.approx(part * len(BODY) - download._PIECE / 2, abs=download._PIECE / 2)


def test_a_plain_download(server, fetch):
    assert fetch() == BODY
    assert starts(server) == [0]


def test_a_cut_download_continues(server, fetch):
    server.faults = ["cut", "cut"]
    assert fetch() == BODY
    assert starts(server) == [0, about(0.5), about(0.75)]


@pytest.mark.parametrize("attribute", ["ranges", "tags"])
def test_without_ranges_or_tags_it_starts_again(server, fetch, attribute):
    setattr(server, attribute, False)
    server.faults = ["cut"]
    assert fetch() == BODY
    assert starts(server) == ([0, about(0.5)] if attribute == "ranges" else [0, 0])


def test_a_later_call_continues(server, fetch, tmp_path):
    server.faults = ["cut"] + [503] * 10
    with pytest.raises(OSError, match=r"failed 5 times in a row, after [0-9,]+ bytes: the server answered 503.*continues"):
        fetch()
    assert not (tmp_path / "out").exists()
    server.faults = []
    assert fetch() == BODY
    assert starts(server)[-1] == about(0.5)


def test_parts_of_two_versions_are_not_joined(server, fetch):
    server.faults = ["cut"] + [503] * 10
    with pytest.raises(OSError, match="503"):
        fetch()
    server.faults = []
    server.files["/file"] = BODY[::-1]
    server.versions["/file"] = '"two"'
    assert fetch() == BODY[::-1]


def test_parts_of_two_addresses_are_not_joined(server, fetch, tmp_path):
    server.files["/other"] = BODY[::-1]
    server.faults = ["cut"] + [503] * 10
    with pytest.raises(OSError, match="503"):
        download.Downloader(tmp_path / "file.partial", False)(server.address + "/other", str(tmp_path / "out"), None)
    server.faults = []
    assert fetch() == BODY
    assert starts(server)[-1] == 0


def test_a_server_that_grows_the_file_under_the_same_tag(server, fetch):
    server.faults = ["cut"] + [503] * 10
    with pytest.raises(OSError, match="503"):
        fetch()
    server.faults = []
    server.files["/file"] = BODY + b"more"
    assert fetch() == BODY + b"more"


def test_progress_counts_as_success(server, fetch, monkeypatch):
    """Six tries in a row fail, but each brings new bytes."""
    monkeypatch.setattr(download, "_PIECE", 1000)
    server.faults = ["cut"] * 6
    assert fetch() == BODY


def test_a_server_that_always_sends_too_little(server, fetch):
    server.ranges, server.faults = False, ["cut"] * 100
    with pytest.raises(OSError, match=r"failed 5 times in a row, after [0-9,]+ bytes"):
        fetch()
    assert len(server.seen) == 6


def test_bytes_behind_the_stated_length_are_ignored(server, fetch):
    server.faults = ["long"]
    assert fetch() == BODY


def test_a_length_that_is_not_stated(server, fetch):
    server.says_length = False
    assert fetch() == BODY


def test_busy_servers_are_asked_again_and_refusals_are_not(server, fetch):
    server.faults = [503, 429]
    assert fetch() == BODY
    server.seen.clear()
    server.faults = [404]
    with pytest.raises(OSError, match=r"/file: the server answered 404 Not Found.*mirror="):
        fetch()
    assert len(server.seen) == 1


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_BEFORE_NEXT_TRY", 0.001)
    with serving() as gone:
        pass
    with pytest.raises(OSError, match="failed 5 times in a row, after 0 bytes"):
        download.Downloader(tmp_path / "file.partial", False)(gone.address + "/file", str(tmp_path / "out"), None)


def test_progress_on_stderr(server, fetch, capsys):
    server.files["/file"] = BODY * 3 + b"!"
    fetch(show=True)
    assert capsys.readouterr().err.splitlines()[-1] == "file, MB 4/4"
    fetch(show=False)
    assert capsys.readouterr().err == ""
