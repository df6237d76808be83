"""implicit's ALS model as programs create it, with the option that chooses between CPU and GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu import als


class AlternatingLeastSquares(als.AlternatingLeastSquares):
    """implicit's model, fitted by cymbals. Like `cpu.als.AlternatingLeastSquares`, with the argument `use_gpu`.

    Parameters
    ----------
    factors, regularization, alpha, dtype, use_native, use_cg
        See `cpu.als.AlternatingLeastSquares`.
    use_gpu : bool
        Must be False.
    iterations, calculate_training_loss, num_threads, random_state
        See `cpu.als.AlternatingLeastSquares`.

    Raises
    ------
    ValueError
        `use_gpu` is true.

    Examples
    --------
    >>> import scipy.sparse
    >>> from cymbals.compat.implicit.als import AlternatingLeastSquares
    >>> plays = scipy.sparse.random(30, 20, density=0.3, format="csr", random_state=1)
    >>> model = AlternatingLeastSquares(factors=4, random_state=0)
    >>> model.fit(plays, show_progress=False)
    >>> ids, scores = model.recommend(0, plays[0], N=3)
    >>> ids.shape, scores.dtype
    ((3,), dtype('float32'))
    """

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        dtype: Any = np.float32,
        use_native: bool = True,
        use_cg: bool = True,
        use_gpu: bool = False,
        iterations: int = 15,
        calculate_training_loss: bool = False,
        num_threads: int = 0,
        random_state: Any = None,
    ) -> None:
        if use_gpu:
            raise ValueError("use_gpu=True: cymbals computes on the CPU only; leave use_gpu out, or set it to False")
        super().__init__(
            factors,
            regularization,
            alpha,
            dtype,
            use_native,
            use_cg,
            iterations,
            calculate_training_loss,
            num_threads,
            random_state,
        )
