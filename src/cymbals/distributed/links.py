"""Connections between workers, over which factor rows travel from the memory of one to that of another.

Everything else travels as objects of Ray. Rows do not, because they are nearly all of the bytes, and Ray takes 3.6 times as
much processor time for a byte and receives at most about 1 GB/s. Whoever connects must know the secret of the fit. As in
Ray itself, nothing is encrypted.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Address = tuple[str, int]

_BLOCK_BYTES = 1 << 20  # rows are sent in blocks of about this size
_CONNECT_SECONDS = 20.0
_ANSWER_SECONDS = 1200.0  # for the next bytes
_ALL, _SAME = -1, -2  # instead of a number of rows: all rows; those of the last request for this list
_REQUEST = struct.Struct("<qqqq")  # what, half-step, number of the list of rows, number of rows
_COUNT = struct.Struct("<q")


class LinkError(Exception):
    """The other worker does not answer, or does not have what is wanted."""


class Request(NamedTuple):
    """What a worker wants of another one."""

    what: int
    half_step: int
    rows: NDArray[np.int64] | None  # ascending numbers, counted from the other worker's first row; None: all


class Serving:
    """Accepts connections of other workers, and answers their requests, each connection in a thread of its own."""

    def __init__(self, host: str, secret: bytes, answer: Callable[[Request, socket.socket], None]) -> None:
        """`answer` sends what was requested. It raises LinkError to end the connection."""
        self._secret, self._answer = secret, answer
        self._socket = socket.create_server((host, 0), backlog=128)
        self.address: Address = self._socket.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lists: dict[int, NDArray[np.int64]] = {}
        with connection, suppress(LinkError, OSError, EOFError, AuthenticationError):
            _prepare(connection)
            _authenticate(connection, self._secret, (deliver_challenge, answer_challenge))
            while True:
                what, half_step, number, n = _REQUEST.unpack(_receive(connection, _REQUEST.size))
                if n >= 0:
                    lists[number] = np.empty(n, np.int64)
                    receive_into(connection, lists[number])
                self._answer(Request(what, half_step, None if n == _ALL else lists[number]), connection)


class Link:
    """A connection to another worker."""

    def __init__(self, address: Address, secret: bytes) -> None:
        self.address = address
        self._sent: set[int] = set()  # numbers of lists that the other one knows
        with _link_errors():
            self._socket = socket.create_connection(address, timeout=_CONNECT_SECONDS)
            try:
                _prepare(self._socket)
                _authenticate(self._socket, secret, (answer_challenge, deliver_challenge))
            except BaseException:
                self._socket.close()
                raise
            self._socket.settimeout(_ANSWER_SECONDS)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(self, wanted: Request, number: int | None = None) -> None:
        """Ask for rows. A list of rows with the same `number` as before is the same list, and is not sent again."""
        rows = wanted.rows
        n = _ALL if rows is None else _SAME if number in self._sent else rows.size
        with _link_errors():
            self._socket.sendall(_REQUEST.pack(wanted.what, wanted.half_step, -1 if number is None else number, n))
            if rows is not None and n != _SAME:
                send(self._socket, rows)
                if number is not None:
                    self._sent.add(number)

    def receive_rows(self, columns: Sequence[NDArray[Any]]) -> None:
        """Receive rows into these arrays, which have one element or row for each."""
        with _link_errors():
            for block in row_blocks(columns, columns[0].shape[0]):
                for column in columns:
                    receive_into(self._socket, column[block])

    def receive_numbers(self) -> NDArray[np.int64]:
        """Receive whole numbers, whose number is sent first."""
        with _link_errors():
            (n,) = _COUNT.unpack(_receive(self._socket, _COUNT.size))
            out = np.empty(n, np.int64)
            receive_into(self._socket, out)
            return out


def send_numbers(connection: socket.socket, numbers: NDArray[np.int64]) -> None:
    """Send whole numbers, and their number first."""
    connection.sendall(_COUNT.pack(numbers.size))
    send(connection, numbers)


def send(connection: socket.socket, array: NDArray[Any]) -> None:
    """Send the bytes of an array."""
    if array.size:
        connection.sendall(_bytes_of(np.ascontiguousarray(array)))


def receive_into(connection: socket.socket, array: NDArray[Any]) -> None:
    """Receive the bytes of a C-contiguous array."""
    if not array.size:
        return
    left = _bytes_of(array)
    while left:
        n = connection.recv_into(left)
        if n == 0:
            raise LinkError("the other worker has closed the connection")
        left = left[n:]


def row_blocks(columns: Sequence[NDArray[Any]], n: int) -> list[slice]:
    """The blocks in which n rows travel."""
    size = sum(column.itemsize * (column.shape[1] if column.ndim > 1 else 1) for column in columns)
    step = max(1, _BLOCK_BYTES // max(1, size))
    return [slice(begin, min(begin + step, n)) for begin in range(0, n, step)]


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.data.cast("B")


def _receive(connection: socket.socket, n: int) -> bytes:
    out = np.empty(n, np.uint8)
    receive_into(connection, out)
    return out.tobytes()


def _prepare(connection: socket.socket) -> None:
    """Send at once, and notice within a minute if the other machine is lost."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _authenticate(connection: socket.socket, secret: bytes, steps: Sequence[Callable[[Connection, bytes], None]]) -> None:
    """Prove to each other that both know the secret. Afterwards, nothing limits how long the connection blocks."""
    connection.settimeout(None)  # a `Connection` needs a socket that blocks
    _limit(connection, int(_CONNECT_SECONDS))
    wrapped = Connection(connection.dup().detach())
    try:
        for step in steps:
            step(wrapped, secret)
    finally:
        wrapped.close()
    _limit(connection, 0)


def _limit(connection: socket.socket, seconds: int) -> None:
    """Have the system limit how long a read blocks; 0: no limit."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


@contextmanager
def _link_errors() -> Iterator[None]:
    """Errors of a connection become LinkError."""
    try:
        yield
    except (OSError, EOFError, AuthenticationError) as error:
        raise LinkError(str(error)) from error
