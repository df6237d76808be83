"""Arrays in temporary files."""

import gc
import os
import sys

import numpy as np
import pytest

from cymbals.base.mapped_memory import check_folder, mapped_array


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 4), (3, 5), (1000, 700)])
def test_an_array_of_zeros_that_can_be_written(shape, dtype, tmp_path):
    array = mapped_array(str(tmp_path), shape, dtype)
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.dtype(dtype), True)
    assert not array.any()
    array[:] = 7
    assert (array == 7).all()


@pytest.mark.skipif(os.name == "nt", reason="on Windows the file has a name until it is closed")
def test_the_file_has_no_name(tmp_path):
    array = mapped_array(str(tmp_path), (300, 100), "float32")
    assert list(tmp_path.iterdir()) == []
    del array


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the maps of a process")
def test_the_file_goes_with_the_last_view(tmp_path):
    def is_mapped():
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return str(tmp_path) in maps.read()

    view = mapped_array(str(tmp_path), (3000, 100), "float32")[5:]
    gc.collect()
    assert is_mapped()
    del view
    gc.collect()
    assert not is_mapped()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="writes the zeros instead")
def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    def full(descriptor, begin, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"has no room for an array of 120,000 bytes: No space left on device"):
        mapped_array(str(tmp_path), (300, 100), "float32")


def test_zeros_are_written_where_room_cannot_be_reserved(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    array = mapped_array(str(tmp_path), (900, 500), "float64")
    assert not array.any()
    array[-1] = 3
    assert array.sum() == 1500


def test_folders_are_checked(tmp_path):
    check_folder("path", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for name in ("file", "absent"):
        with pytest.raises(OSError, match="path must be a folder that you can write to"):
            check_folder("path", str(tmp_path / name))
