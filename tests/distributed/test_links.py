"""Connections between workers: two ends in one process, without Ray."""

import contextlib
import os
import socket
import threading

import numpy as np
import pytest

from cymbals.distributed.links import Link, LinkError, Request, row_blocks
from cymbals.distributed.publishing import FIXED, REPLICA, Outlet, Publication

SECRET = b"of this test"


@pytest.fixture
def outlet():
    outlet = Outlet("127.0.0.1", SECRET)
    yield outlet
    outlet.close()


@pytest.mark.parametrize("wanted", [None, [0, 5, 17, 999], [], list(range(0, 40_000, 3))])
def test_rows_arrive_as_far_as_they_are_ready(outlet, wanted):
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 2**31, (40_000, 48), np.int32)
    lengths = rng.random(40_000, np.float32)
    rows = None if wanted is None else np.array(wanted, np.int64)
    heavy = np.array([3, 5, 17, 39_999])
    heavy_rows = rng.random((4, 7), np.float32)
    publication = Publication(4, [pairs, lengths])
    assert len(row_blocks([pairs, lengths], 40_000)) > 3

    def make():
        outlet.publish(FIXED, publication)
        for end in range(0, 40_001, 1000):
            publication.advance(end)
        publication.finish(heavy, heavy_rows)

    maker = threading.Timer(0.05, make)  # so the request is there before the rows are
    maker.start()
    link = Link(outlet.address, SECRET)
    for _ in range(2):  # the second time, the list of rows is known
        n = 40_000 if rows is None else rows.size
        got = np.empty((n, 48), np.int32), np.empty(n, np.float32)
        link.request(Request(FIXED, 4, rows), 1)
        link.receive_rows(got)
        places = link.receive_numbers()
        got_heavy = np.empty((places.size, 7), np.float32)
        link.receive_rows([got_heavy])
        which = slice(None) if rows is None else rows
        np.testing.assert_array_equal(got[0], pairs[which])
        np.testing.assert_array_equal(got[1], lengths[which])
        numbers = np.arange(40_000)[which]
        np.testing.assert_array_equal(numbers[places], np.intersect1d(numbers, heavy))
        np.testing.assert_array_equal(got_heavy, heavy_rows[np.isin(heavy, numbers)])
    maker.join()
    link.close()


def test_only_who_knows_the_secret_is_answered(outlet):
    with pytest.raises(LinkError):
        Link(outlet.address, b"another")
    with socket.create_connection(outlet.address) as stranger:
        stranger.sendall(os.urandom(200))
        with contextlib.suppress(ConnectionResetError):
            while stranger.recv(1000):
                pass
    Link(outlet.address, SECRET).close()


@pytest.mark.parametrize(
    "request_", [Request(FIXED, 1, None), Request(FIXED, 2, np.array([10])), Request(FIXED, 2, np.array([-1]))]
)
def test_rows_that_are_not_there_end_the_connection(outlet, request_):
    outlet.publish(FIXED, Publication(2, [np.zeros((10, 3))], ready=True))
    with Link(outlet.address, SECRET) as link:
        link.request(request_)
        with pytest.raises(LinkError):
            link.receive_rows([np.empty((1, 3))])


def test_a_worker_that_ends_is_noticed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with pytest.raises(LinkError):
            Link(address, SECRET)
        thread.join()
    with pytest.raises(LinkError):
        Link(address, SECRET)


def test_the_newest_publication_of_a_kind_is_served(outlet):
    for half_step in (0, 2):
        for what in (FIXED, REPLICA):
            outlet.publish(what, Publication(half_step, [np.full((5, 2), half_step + what)], ready=True))
    with Link(outlet.address, SECRET) as link:
        for what in (REPLICA, FIXED):
            got = np.empty((5, 2), int)
            link.request(Request(what, 2, None))
            link.receive_rows([got])
            assert link.receive_numbers().size == 0
            assert (got == 2 + what).all()
