"""A model that a service loads from a file, and loads again when the file is replaced."""

from __future__ import annotations

import os

from ..model.als import load


class ModelFile:
    """The model in a file. The file is mapped, so that several processes share its memory.

    Use `model` once in each request: after `look`, it can be another object, but a model that a request has taken does not
    change.

    Parameters
    ----------
    path : path-like
    n_threads : int, optional
        Threads of each call. Choose 1 if requests run side by side.

    Attributes
    ----------
    path : str
    model : ALS
        The model that was loaded last.
    loads : int
        How often a model was loaded.
    error : str
        Why the file could not be loaded at the last `look`; "" if it could.

    Raises
    ------
    OSError, ModelFileError
        The file cannot be loaded.

    Examples
    --------
    >>> import cymbals, scipy.sparse, tempfile
    >>> from cymbals.serving.model_file import ModelFile
    >>> path = tempfile.mkdtemp() + "/m.cymbals"
    >>> cymbals.ALS(factors=4, random_state=0).fit(scipy.sparse.random_array((30, 20), density=0.3, rng=1)).save(path)
    >>> file = ModelFile(path, n_threads=1)
    >>> file.look(), file.loads
    (False, 1)
    """

    def __init__(self, path: str | os.PathLike[str], n_threads: int | None = None) -> None:
        self.path, self._n_threads = os.fspath(path), n_threads
        self.error, self.loads = "", 0
        self._refused: tuple[int, int, int] | None = None
        self._load(self._stamp())

    def look(self) -> bool:
        """Load the file if another one has taken its name, as `ALS.save` does it. Call this from one thread at a time.

        Returns
        -------
        bool
            Whether `model` is a new one. If the new file cannot be loaded, the old model stays, and `error` says why.
        """
        try:
            stamp = self._stamp()
            if stamp == self._loaded:
                self.error = ""
            if stamp in (self._loaded, self._refused):
                return False
            self._refused = stamp  # a damaged file is read once
            self._load(stamp)
        except (OSError, ValueError) as error:
            self.error = str(error)
            return False
        return True

    def _stamp(self) -> tuple[int, int, int]:
        found = os.stat(self.path)
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _load(self, stamp: tuple[int, int, int]) -> None:
        model = load(self.path, mmap=True)
        model.set_params(n_threads=self._n_threads)
        model.recommend(history=[], n=1)  # fills the caches before the first request
        self.model, self._loaded, self._refused, self.error = model, stamp, None, ""
        self.loads += 1
