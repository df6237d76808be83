"""Fetching data sets from a server on this machine: checksums, the folder, several processes, each data set's files."""

import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ROOT, run_python
from faulty_server import serving

pytest.importorskip("pooch", reason="pooch is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from cymbals import audioscrobbler, datasets
from cymbals.base import download
from cymbals.data.datasets.catalog import CATALOG

RATINGS = "1::10::5::978300760\n1::20::3::978300761\n2::10::4::978300762\n"
MOVIES = "10::Heat (1995)::Action\n20::Les Misérables (1995)::Drama\n"


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


ONE_M = zipped(**{"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES.encode("latin-1"), "ml-1m/README": "?"})


def put(server, name, content, md5=None):
    """Serves a file of a data set and, beside it, an MD5."""
    (found,) = [d for d in CATALOG[name].downloads]
    server.files[f"/{name}/{found.name}"] = content
    if md5:
        server.files[f"/{name}/{found.name}.md5"] = f"MD5 ({found.name}) = {md5}\n".encode()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_BEFORE_NEXT_TRY", 0.001)
    with serving() as served:
        put(served, "movielens-1m", ONE_M, hashlib.md5(ONE_M).hexdigest())
        yield served


@pytest.fixture
def options(server, tmp_path):
    """Arguments that fetch from the server into an empty folder."""
    return {"folder": tmp_path / "sets", "mirror": server.address}


def check_1m(data):
    assert data.user_items.toarray().tolist() == [[5, 3], [4, 0]]
    assert data.user_ids.tolist() == [1, 2]
    assert data.item_names.tolist() == ["Heat (1995)", "Les Misérables (1995)"]
    assert data.times[0] == np.datetime64("2000-12-31T22:12:40")


def test_terms_progress_and_the_second_time_without_network(server, options, capsys):
    check_1m(datasets.fetch_movielens("1m", **options))
    said = capsys.readouterr().err
    assert said.index("Terms: for research") < said.index("ml-1m.zip, MB 1/1") < said.index("as its publisher gives it")
    assert server.paths() == ["/movielens-1m/ml-1m.zip.md5", "/movielens-1m/ml-1m.zip"]
    assert sorted(path.name for path in (options["folder"] / "movielens-1m").iterdir()) == ["movies.dat", "ratings.dat"]
    server.files.clear()
    check_1m(datasets.fetch_movielens("1m", **options))
    assert len(server.seen) == 2
    assert capsys.readouterr().err == ""


def test_without_progress_nothing_is_printed(server, options, capsys):
    datasets.fetch("movielens-1m", **options, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_wrong_checksum_removes_the_file(server, options):
    wrong = "0" * 32
    put(server, "movielens-1m", ONE_M, wrong)
    right = hashlib.md5(ONE_M).hexdigest()
    with pytest.raises(ValueError, match=rf"does not have the checksum that its publisher gives.*{wrong}.*{right}"):
        datasets.fetch_movielens("1m", **options)
    assert list((options["folder"] / "movielens-1m").iterdir()) == []
    put(server, "movielens-1m", ONE_M, right)
    check_1m(datasets.fetch_movielens("1m", **options))


def test_a_checksum_that_is_not_there_and_one_that_is_none(server, options, capsys):
    del server.files["/movielens-1m/ml-1m.zip.md5"]
    datasets.fetch_movielens("1m", **options)
    assert "unverified" in capsys.readouterr().err
    record = json.loads((options["folder"] / "movielens-1m.json").read_text())
    assert record["downloads"]["ml-1m.zip"]["sha256"] == hashlib.sha256(ONE_M).hexdigest()
    assert "unverified" in record["downloads"]["ml-1m.zip"]["checksum"]
    server.files["/movielens-10m/ml-10m.zip.md5"] = b"<html>Welcome</html>"
    with pytest.raises(ValueError, match="holds no MD5, but '<html>"):
        datasets.fetch_movielens("10m", **options)


def test_a_later_download_must_have_the_checksum_of_the_first(server, options):
    del server.files["/movielens-1m/ml-1m.zip.md5"]
    place = datasets.fetch("movielens-1m", **options)
    (place / "ratings.dat").unlink()
    put(server, "movielens-1m", zipped(**{"ml-1m/ratings.dat": RATINGS[:-1], "ml-1m/movies.dat": MOVIES}))
    for md5 in (False, True):
        if md5:
            content = server.files["/movielens-1m/ml-1m.zip"]
            put(server, "movielens-1m", content, hashlib.md5(content).hexdigest())
        with pytest.raises(ValueError, match=hashlib.sha256(ONE_M).hexdigest()):
            datasets.fetch("movielens-1m", **options)
        assert not (place / "ml-1m.zip").exists()
    place.with_name("movielens-1m.json").unlink()
    datasets.fetch("movielens-1m", **options)


def test_a_changed_file_is_found(server, options):
    place = datasets.fetch("movielens-1m", **options)
    (place / "ratings.dat").write_text(RATINGS.replace("5", "1"))
    with pytest.raises(ValueError, match=r"ratings\.dat has changed since it was downloaded.*remove the file"):
        datasets.fetch("movielens-1m", **options)
    (place / "ratings.dat").unlink()
    check_1m(datasets.fetch_movielens("1m", **options))


def test_a_damaged_record(server, options):
    place = datasets.fetch("movielens-1m", **options)
    place.with_name("movielens-1m.json").write_text("{")
    with pytest.raises(ValueError, match=r"movielens-1m\.json is damaged"):
        datasets.fetch("movielens-1m", **options)


def test_a_cut_download_continues_in_the_next_call(server, options):
    content = zipped(**{"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES, "x": os.urandom(200_000)})
    put(server, "movielens-1m", content, hashlib.md5(content).hexdigest())
    server.faults = [None, "cut"] + [503] * 10  # the first answer is the MD5
    with pytest.raises(OSError, match="failed 5 times in a row"):
        datasets.fetch_movielens("1m", **options)
    server.faults = []
    server.seen.clear()
    assert datasets.fetch_movielens("1m", **options).nnz == 3
    assert int(server.seen[1][1].removeprefix("bytes=").removesuffix("-")) > 80_000


def test_a_body_longer_than_stated(server, options):
    server.faults = [None, "long"]
    check_1m(datasets.fetch_movielens("1m", **options))


def test_absent_files(server, options):
    with pytest.raises(OSError, match=r"hetrec2011-lastfm-2k\.zip: the server answered 404"):
        datasets.fetch_hetrec(**options)
    put(server, "movielens-1m", zipped(**{"ml-1m/ratings.dat": RATINGS}))
    del server.files["/movielens-1m/ml-1m.zip.md5"]
    with pytest.raises(ValueError, match=r"the archive has no file ml-1m/movies\.dat; it has ml-1m/ratings\.dat"):
        datasets.fetch_movielens("1m", **options)


@pytest.mark.parametrize("name", ["movielens-1m", "audioscrobbler-2005"])
@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_damaged_archives(server, options, name, damage):
    names = list(CATALOG[name].downloads[0].members)
    content = dict.fromkeys(names, os.urandom(5000))
    packed = tarred(content) if name.startswith("audio") else zipped(**content)
    half = len(packed) // 3
    broken = {"cut": packed[:half], "changed": packed[:half] + bytes(99) + packed[half + 99 :], "other": b"<html>"}
    server.files.pop("/movielens-1m/ml-1m.zip.md5")
    put(server, name, broken[damage])
    with pytest.raises(ValueError, match="the archive is damaged"):
        datasets.fetch(name, **options)
    assert not (options["folder"] / f"{name}.json").exists()


def test_archives_write_only_the_named_files(server, options, tmp_path):
    content = zipped(**{"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES, "../evil": "x", "/abs": "x"})
    put(server, "movielens-1m", content, hashlib.md5(content).hexdigest())
    place = datasets.fetch("movielens-1m", **options)
    assert sorted(path.name for path in place.iterdir()) == ["movies.dat", "ratings.dat"]
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]


def test_links_in_archives_are_not_followed(server, options, tmp_path):
    (tmp_path / "secret").write_text("1 2 3\n")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in CATALOG["audioscrobbler-2005"].downloads[0].members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            archive.addfile(member)
    put(server, "audioscrobbler-2005", out.getvalue())
    with pytest.raises(ValueError, match="the archive has no file"):
        datasets.fetch("audioscrobbler-2005", **options)


def test_several_processes_at_once(server, options):
    content = zipped(**{"ml-1m/ratings.dat": RATINGS, "ml-1m/movies.dat": MOVIES, "x": os.urandom(2_000_000)})
    put(server, "movielens-1m", content, hashlib.md5(content).hexdigest())
    code = f"""
from cymbals import datasets
print(datasets.fetch_movielens("1m", folder={str(options["folder"])!r}, mirror={server.address!r}).nnz)
"""
    with ThreadPoolExecutor(3) as pool:
        outputs = list(pool.map(lambda _: run_python(code), range(3)))
    assert outputs == ["3\n"] * 3
    assert server.paths().count("/movielens-1m/ml-1m.zip") == 1


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="Windows has other permissions")
def test_a_folder_that_cannot_be_written_to(server, options):
    with tempfile.TemporaryDirectory() as name:
        options["folder"] = root = Path(name)
        datasets.fetch("movielens-1m", **options)
        root.chmod(0o555)
        before = os.geteuid()
        try:
            if before == 0:  # root may write everywhere
                os.seteuid(65534)
            server.seen.clear()
            check_1m(datasets.fetch_movielens("1m", **options))
            assert server.seen == []
            with pytest.raises(PermissionError, match=r"cannot write to the folder of data sets.*folder= or CYMBALS_CACHE"):
                datasets.fetch("hetrec-lastfm-2k", **options)
        finally:
            os.seteuid(before)
            root.chmod(0o755)


def test_where_the_folder_is(server, options, monkeypatch, tmp_path):
    monkeypatch.setenv("CYMBALS_MIRROR", server.address + "/")
    monkeypatch.setenv("CYMBALS_CACHE", str(tmp_path / "by variable"))
    assert datasets.fetch("movielens-1m") == tmp_path / "by variable" / "movielens-1m"
    assert datasets.fetch("movielens-1m", folder=tmp_path / "given") == tmp_path / "given" / "movielens-1m"
    monkeypatch.delenv("CYMBALS_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
        assert datasets.fetch("movielens-1m") == tmp_path / "home" / "cymbals" / "datasets" / "movielens-1m"


def test_bad_arguments(tmp_path, monkeypatch):
    for function, wrong in (
        (datasets.fetch, "movielens-2m"),
        (datasets.fetch_movielens, "2m"),
        (datasets.fetch_lightgcn, "movielens-1m"),
    ):
        with pytest.raises(ValueError, match="must be one of"):
            function(wrong, folder=tmp_path)
    with pytest.raises(ValueError, match="mirror must be an address that begins with http"):
        datasets.fetch("gowalla", folder=tmp_path, mirror="files")
    with pytest.raises(ValueError, match="folder is empty"):
        datasets.fetch("gowalla", folder="")
    with pytest.raises(TypeError, match="progress must be True or False"):
        datasets.fetch("gowalla", folder=tmp_path, progress="no")
    monkeypatch.setenv("CYMBALS_MIRROR", "ftp://x")
    with pytest.raises(ValueError, match="CYMBALS_MIRROR must be"):
        datasets.fetch("gowalla", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_all_names_are_documented():
    page = ROOT / "docs" / "datasets.md"
    if not page.is_file():
        pytest.skip("not a checkout: the docs are not here")
    text = page.read_text(encoding="utf-8")
    assert [name for name in CATALOG if f"`{name}`" not in text or f'"{name}"' not in datasets.fetch.__doc__] == []


def test_pooch_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.delenv("CYMBALS_CACHE", raising=False)
    with pytest.raises(ImportError, match=r"fetching data sets needs pooch: pip install"):
        datasets.fetch("gowalla")


def test_all_data_sets(server, options):
    """Each function fetches and reads a small set of the same format, and `load` recognises the folder."""
    titles = 'movieId,title,genres\n10,Heat (1995),Action\n20,"Misérables, Les (1995)",Drama\n'
    csv = "userId,movieId,rating,timestamp\n1,10,5.0,978300760\n1,20,3.0,978300761\n2,10,4.0,978300762\n"
    for size in ("latest-small", "20m", "25m", "32m"):
        put(server, f"movielens-{size}", zipped(**{f"ml-{size}/ratings.csv": csv, f"ml-{size}/movies.csv": titles}))
        data = datasets.fetch_movielens(size, **options)
        assert data.user_items.toarray().tolist() == [[5, 3], [4, 0]]
        assert data.item_names.tolist() == ["Heat (1995)", "Misérables, Les (1995)"]
    put(
        server,
        "movielens-10m",
        zipped(**{"ml-10M100K/ratings.dat": RATINGS.replace("5::9", "4.5::9"), "ml-10M100K/movies.dat": MOVIES}),
    )
    data = datasets.fetch_movielens("10m", **options)
    assert data.user_items.toarray().tolist() == [[4.5, 3], [4, 0]]
    assert data.item_names.tolist() == ["Heat (1995)", "Les Misérables (1995)"]
    items = "10|Heat (1995)|01-Jan-1995||http://x|0|1\n20|Les Misérables (1995)|01-Jan-1995||http://y|0|1\n"
    put(
        server,
        "movielens-100k",
        zipped(**{"ml-100k/u.data": RATINGS.replace("::", "\t"), "ml-100k/u.item": items.encode("latin-1")}),
    )
    check_1m(datasets.fetch_movielens("100k", **options))
    check_1m(datasets.load(options["folder"] / "movielens-100k"))

    plays = "a\t3bd7\tabba\t7\na\t\tblur\t2\nb\t\t\t3\nb\t3bd7\tabba\t4\n"
    put(server, "taste-profile", zipped(**{"train_triplets.txt": "a\tSOA\t7\nb\tSOA\t4\na\tSOB\t2\n"}))
    for data in (datasets.fetch_taste_profile(**options), datasets.load(options["folder"] / "taste-profile")):
        assert data.user_items.toarray().tolist() == [[7, 2], [4, 0]]
        assert (data.user_ids.tolist(), data.item_ids.tolist()) == (["a", "b"], ["SOA", "SOB"])
    place = options["folder"] / "lastfm-360k"
    place.mkdir()
    (place / "usersha1-artmbid-artname-plays.tsv").write_text(plays)
    with pytest.warns(UserWarning, match="1 line rejected"):
        data = datasets.load(place)
    assert data.item_ids.tolist() == ["abba", "blur"]

    server.files |= {"/gowalla/train.txt": b"0 2 1\n1 0 \n2\n", "/gowalla/test.txt": b"0 3\n2 1\n"}
    train, test = datasets.fetch_lightgcn("gowalla", **options)
    assert train.user_items.toarray().tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert test.user_items.toarray().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert datasets.load(options["folder"] / "gowalla" / "train.txt").nnz == 3


def test_lastfm_360k_is_read_from_its_archive(server, options):
    put(server, "lastfm-360k", tarred({"lastfm-dataset-360K/usersha1-artmbid-artname-plays.tsv": b"a\t\tabba\t7\n"}))
    assert datasets.fetch_lastfm_360k(**options).item_ids.tolist() == ["abba"]


def test_real_files_by_way_of_a_server(server, options, data_folder):
    hetrec = data_folder("hetrec_lastfm2k")
    put(server, "hetrec-lastfm-2k", zipped(**{n: (hetrec / n).read_bytes() for n in ("user_artists.dat", "artists.dat")}))
    data = datasets.fetch_hetrec(**options)
    assert (data.user_items != datasets.load(hetrec).user_items).nnz == 0
    small = data_folder("audioscrobbler_small")
    dump = {
        name: (small / Path(name).name.replace(".txt", "_small.txt")).read_bytes()
        for name in CATALOG["audioscrobbler-2005"].downloads[0].members
    }
    put(server, "audioscrobbler-2005", tarred(dump))
    data, want = datasets.fetch_audioscrobbler(**options), audioscrobbler.load(small)
    assert (data.user_items != want.user_items).nnz == 0
    assert data.item_names.tolist() == want.item_names.tolist()


def test_real_splits_by_way_of_a_server(server, options, data_folder):
    """The published Gowalla matrices, written as LightGCN's lists, are read as they were."""
    parts = {}
    for part in ("train", "test"):
        matrix = sp.csr_array(sp.load_npz(data_folder("gowalla") / f"{part}.npz"))
        lists = np.split(matrix.indices, matrix.indptr[1:-1])
        text = "\n".join(" ".join(map(str, [user, *items.tolist()])) for user, items in enumerate(lists))
        server.files[f"/gowalla/{part}.txt"] = text.encode()
        parts[part] = matrix
    train, test = datasets.fetch_lightgcn("gowalla", **options)
    assert train.shape == test.shape == (29_858, 40_981)
    assert (train.user_items != parts["train"]).nnz == 0
    assert (test.user_items != parts["test"]).nnz == 0
