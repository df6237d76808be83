"""Every system that is compared, as one function: a fit from a given start that reports each iteration.

All minimise Hu, Koren and Volinsky's objective with confidence 1 + r: cymbals is given r, implicit 1 + r with alpha 1,
irspack r with its "ORIGINAL" loss, cmfrec r. Each runs at its best: single precision, its own threads, OpenBLAS with
one. Seconds are those of the half-steps alone.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before any of them loads it

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

import cymbals

REGULARIZATION = 0.05
# iteration, its seconds, user factors and item factors (None where only the last iteration has any)
Report = Callable[[int, float, Any, Any], None]


def matrix(data: cymbals.Interactions, add: float = 0.0) -> sp.csr_matrix:
    """In the index types that all of them take."""
    csr = data.csr
    return sp.csr_matrix((csr.data + np.float32(add), csr.indices.copy(), csr.indptr.astype(np.int32)), shape=csr.shape)


def _cymbals(solver: str, **settings: Any):
    def run(data, start, iterations, n_threads, report: Report) -> None:
        model = cymbals.ALS(
            factors=start[0].shape[1],
            regularization=REGULARIZATION,
            iterations=iterations,
            n_threads=n_threads,
            solver=solver,
            **settings,
        )

        def callback(m, iteration):
            report(iteration, m.history_[-1]["seconds"], m.user_factors_, m.item_factors_)

        model.fit(data, init=start, callback=callback)

    return run


def _implicit(use_cg: bool):
    def run(data, start, iterations, n_threads, report: Report) -> None:
        from implicit.cpu.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=start[0].shape[1],
            regularization=REGULARIZATION,
            alpha=1.0,
            iterations=iterations,
            num_threads=n_threads,
            use_cg=use_cg,
        )
        model.user_factors, model.item_factors = start[0].copy(), start[1].copy()

        def callback(iteration, seconds, _loss):
            report(iteration + 1, seconds, model.user_factors, model.item_factors)

        model.fit(matrix(data, add=1), show_progress=False, callback=callback)

    return run


def implicit_model(model: cymbals.ALS, n_threads: int) -> Any:
    """implicit's model with the factors of ours, for what it does after a fit."""
    from implicit.cpu.als import AlternatingLeastSquares

    copy = AlternatingLeastSquares(factors=model.item_factors_.shape[1], num_threads=n_threads)
    copy.user_factors, copy.item_factors = model.user_factors_, model.item_factors_
    return copy


def _irspack(solver: str):
    def run(data, start, iterations, n_threads, report: Report) -> None:
        from irspack.recommenders.ials import IALSTrainer, str_to_loss_type, str_to_solver_type

        trainer = IALSTrainer(
            matrix(data),
            n_components=start[0].shape[1],
            alpha0=1.0,
            reg=REGULARIZATION,
            nu=0.0,
            init_std=0.1,
            solver_type=str_to_solver_type(solver),
            max_cg_steps=3,
            ialspp_subspace_dimension=64,
            loss_type=str_to_loss_type("ORIGINAL"),
            random_seed=0,
            n_threads=n_threads,
            prediction_time_max_cg_steps=5,
            prediction_time_ialspp_iteration=1,
        )
        core = trainer.core_trainer
        core.user, core.item = start[0].copy(), start[1].copy()
        for iteration in range(1, iterations + 1):
            begin = time.perf_counter()
            core.step(trainer.solver_config)
            report(iteration, time.perf_counter() - begin, core.user, core.item)

    return run


def _cmfrec(data, start, iterations, n_threads, report: Report) -> None:
    # No callback and no start: what n iterations take beyond one, shared out; factors of the last alone. Items first.
    from cmfrec import CMF_implicit

    def fit(n: int):
        model = CMF_implicit(
            k=start[0].shape[1],
            lambda_=REGULARIZATION,
            alpha=1.0,
            use_cg=True,
            niter=n,
            use_float=True,
            precompute_for_predictions=False,
            finalize_chol=False,
            nthreads=n_threads,
        )
        begin = time.perf_counter()
        model.fit(entries)
        return model, time.perf_counter() - begin

    entries = sp.coo_matrix(matrix(data))
    shortest = fit(1)[1] if iterations > 1 else 0.0
    model, longest = fit(iterations)
    for iteration in range(1, iterations + 1):
        last = iteration == iterations
        seconds = (longest - shortest) / max(1, iterations - 1)
        report(iteration, seconds, model.A_ if last else None, model.B_ if last else None)


SYSTEMS = {
    "cymbals-auto": _cymbals("auto"),
    "cymbals-exact": _cymbals("exact"),
    "cymbals-float": _cymbals("auto", compact=False),
    "implicit-cg": _implicit(True),
    "implicit-cholesky": _implicit(False),
    "irspack-cg": _irspack("CG"),
    "irspack-cholesky": _irspack("CHOLESKY"),
    "cmfrec-cg": _cmfrec,
}
