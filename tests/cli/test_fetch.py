"""cymbals fetch."""

import json
import zipfile

import pytest
from conftest import cymbals_cli
from faulty_server import serving

pytest.importorskip("pooch", reason="pooch is not installed")


def test_fetch_then_fit(tmp_path):
    packed = tmp_path / "packed"
    ratings = "".join(f"{u}::{i}::{1 + (u * i) % 5}::{u + i}\n" for u in range(1, 12) for i in range(1, 9))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", ratings)
        archive.writestr("ml-1m/movies.dat", "".join(f"{i}::Movie {i} (1999)::Drama\n" for i in range(1, 9)))
    with serving() as server:
        server.files["/movielens-1m/ml-1m.zip"] = packed.read_bytes()
        common = ("fetch", "movielens-1m", "--folder", tmp_path / "sets", "--mirror", server.address)
        first = cymbals_cli(*common)
        assert "Terms: for research" in first.stderr
        found = json.loads(cymbals_cli(*common, "--json").stdout)
    assert found["files"] == ["ratings.dat", "movies.dat"]
    assert found["folder"] == first.stdout.strip() == str(tmp_path / "sets" / "movielens-1m")
    cymbals_cli("fit", found["folder"], "-o", tmp_path / "m", "--factors", 2, "--objective", "explicit")
    assert "Movie" in cymbals_cli("similar", tmp_path / "m", "--item", 3, "-n", 2).stdout
    quiet = cymbals_cli("fetch", "movielens-1m", "--folder", tmp_path / "sets", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (first.stdout, "")


def test_the_list():
    assert "audioscrobbler-2005" in cymbals_cli("fetch", "--list").stdout
    found = json.loads(cymbals_cli("fetch", "--list", "--json").stdout)
    assert {"movielens-32m", "gowalla", "taste-profile"} <= {row["name"] for row in found}
    assert all(row["terms"] and row["size"] and row["page"].startswith("http") for row in found)


def test_bad_usage(tmp_path):
    cymbals_cli("fetch", code=2)
    cymbals_cli("fetch", "gowalla", "--list", code=2)
    cymbals_cli("fetch", "netflix", code=2)
    found = cymbals_cli("fetch", "gowalla", "--folder", tmp_path, "--mirror", "x", code=1)
    assert "cymbals: mirror must be an address" in found.stderr
