"""Ctrl-C during a fit, and signal handlers that return."""

import os
import signal

import numpy as np
import pytest

from cymbals import ALS


def test_ctrl_c_leaves_a_usable_model(matrix):
    model = ALS(factors=8, iterations=1000, random_state=0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore SIGINT
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(matrix, callback=lambda m, i: signal.raise_signal(signal.SIGINT) if i == 3 else None)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert model.n_iter_ == 3
    assert np.isfinite(model.recommend(0)[1]).all()


def test_a_handler_that_returns_lets_the_fit_go_on(matrix):
    met = []
    before = signal.signal(signal.SIGINT, lambda number, frame: met.append(number))
    try:
        model = ALS(factors=4, iterations=6, random_state=0)
        model.fit(matrix, callback=lambda m, i: os.kill(os.getpid(), signal.SIGINT) if i == 2 else None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert met == [signal.SIGINT]
    assert model.n_iter_ == 6
