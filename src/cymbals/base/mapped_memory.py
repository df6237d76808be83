"""Arrays in temporary files, which are mapped: for arrays that are larger than memory.

The system writes their pages to the disk when it needs the memory. A file has no name that other processes can open, and it
is removed when the last array over it is gone, or when the process ends.
"""

from __future__ import annotations

import math
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ZEROS = bytes(2**20)


def mapped_array(folder: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of zeros in a temporary file in `folder`. Raises OSError if the disk has no room for it.

    The room is reserved at once. Otherwise writing to the array would end the process when the disk is full.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes == 0:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            else:
                for begin in range(0, n_bytes, len(_ZEROS)):
                    file.write(_ZEROS[: n_bytes - begin])
                file.flush()
        except OSError as error:
            raise OSError(
                error.errno, f"{folder} has no room for an array of {n_bytes:,} bytes: {error.strerror}"
            ) from None
        return np.memmap(file, dtype, "r+", shape=shape).view(np.ndarray)


def check_folder(name: str, folder: str) -> None:
    """Raises OSError if no files can be made in `folder`, which is the argument `name`."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise type(error)(error.errno, f"{name} must be a folder that you can write to: {error.strerror}", folder) from None
