"""Copying files out of archives: damage anywhere in the archive is found, and leaves no file."""

import io
import random
import tarfile
import zipfile

import pytest

from cymbals.data.datasets.archives import copy_out

CONTENT = {"a/plays.txt": b"1 2 3\n" * 3000, "a/names.txt": bytes(range(256)) * 40, "a/other": b"?" * 500}


@pytest.fixture(params=[".zip", ".tar.gz"])
def archive(request, tmp_path):
    path = tmp_path / f"packed{request.param}"
    if request.param == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in CONTENT.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as packed:
            for name, content in CONTENT.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def targets(tmp_path):
    return {"a/plays.txt": tmp_path / "out-plays", "a/names.txt": tmp_path / "out-names"}


def test_only_the_named_files_are_written(archive, targets, tmp_path):
    copy_out(archive, targets)
    assert {name: path.read_bytes() for name, path in targets.items()} == {name: CONTENT[name] for name in targets}
    assert len(list(tmp_path.iterdir())) == 3


def test_an_absent_file(archive, targets, tmp_path):
    with pytest.raises(ValueError, match=r"has no file a/x; it has a/plays\.txt, a/names\.txt, a/other"):
        copy_out(archive, targets | {"a/x": tmp_path / "x"})
    assert list(tmp_path.iterdir()) == [archive]


def test_changed_bytes_are_found_or_change_nothing(archive, targets, tmp_path):
    """A changed byte in a field that nobody reads, such as a date, may leave the content as it was."""
    good, rng = archive.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(100):
        at = rng.randrange(len(good))
        archive.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
        try:
            copy_out(archive, targets)
        except ValueError:
            refused += 1
            assert list(tmp_path.iterdir()) == [archive]
        else:
            for name, path in targets.items():
                assert path.read_bytes() == CONTENT[name]
                path.unlink()
    assert refused > 20


def test_an_archive_that_ends_too_soon(archive, targets):
    good = archive.read_bytes()
    for length in (0, 1, len(good) // 2, len(good) - 1):
        archive.write_bytes(good[:length])
        with pytest.raises(ValueError, match="the archive is damaged"):
            copy_out(archive, targets)
