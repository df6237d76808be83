"""What tests of distributed fits share."""

import threading
import time

import numpy as np


def same(model, other):
    return np.array_equal(model.user_factors_, other.user_factors_) and np.array_equal(
        model.item_factors_, other.item_factors_
    )


def during(fleets, half_step, act):
    """Start a thread that calls `act` with the fleet once this half-step is under way."""

    def wait():
        while not fleets or fleets[-1].now < half_step:
            time.sleep(0.0005)
        time.sleep(0.01)
        act(fleets[-1])

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
