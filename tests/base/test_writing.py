"""The lock that serializes writers of one model."""

import os
import signal
import threading

import pytest

from cymbals.base.writing import Writing


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # from Python 3.12 on
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_can_write_even_if_a_thread_of_its_parent_was_writing():
    writing, inside, leave = Writing(), threading.Event(), threading.Event()

    def hold():
        with writing:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=hold, daemon=True)  # so that a failure does not make the tests hang
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for the parent's thread waits for ever
        with writing:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    leave.set()
    thread.join()
    assert status == 0
