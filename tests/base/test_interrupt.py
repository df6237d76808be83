"""Ctrl-C during a fit, SIGTERM, and signal handlers that return."""

import os
import signal
from contextlib import ExitStack

import numpy as np
import pytest

from cymbals import ALS
from cymbals.base.interrupt import exiting_on_sigterm, interruptible


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


def terminated(steps, *blocks):
    """What SIGTERM raises inside these blocks. Notes in `steps` whether the code after it ran."""
    with ExitStack() as stack:
        for block in blocks:
            stack.enter_context(block)
        signal.raise_signal(signal.SIGTERM)
        steps.append("ran")


def test_sigterm_exits_with_its_status_after_the_block_that_delays_it():
    before, steps = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(SystemExit) as caught:
        terminated(steps, exiting_on_sigterm(), interruptible())
    assert caught.value.code == 143
    assert steps == ["ran"]
    with pytest.raises(SystemExit):
        terminated(steps, exiting_on_sigterm())  # at once, because nothing delays it
    assert steps == ["ran"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_of_sigterm_that_a_program_has_set_is_not_delayed():
    met = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: met.append(number))
    try:
        with interruptible() as interrupted:
            signal.raise_signal(signal.SIGTERM)
            assert met == [signal.SIGTERM]
            assert not interrupted()
    finally:
        signal.signal(signal.SIGTERM, before)
