"""The systems to compare. Each is one function that fits from given starting factors and reports each iteration.

All minimise the objective of Hu, Koren and Volinsky with confidence 1 + r. cymbals, cmfrec and irspack (with its "ORIGINAL"
loss) are given r; implicit is given 1 + r with alpha 1. Each runs with its fastest settings: single precision, its own
threads, and one OpenBLAS thread. Seconds are those of the half-steps only.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # must be set before a library loads OpenBLAS

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

import cymbals

REGULARIZATION = 0.05
# Called with the iteration, its seconds, and both sides' factors, or None if the system does not give them.
Report = Callable[[int, float, Any, Any], None]


def matrix(data: cymbals.Interactions, add: float = 0.0) -> sp.csr_matrix:
    """The data as a scipy matrix with the index types that all systems accept. `add` is added to each value."""
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
    """A model of implicit with the factors of a cymbals model, for comparing top-k and metrics."""
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
    # cmfrec has no callback and takes no starting factors, and it solves items first. So the time of an iteration is the
    # difference between fits of n iterations and of one, divided by n - 1, and only the last iteration has factors.
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
