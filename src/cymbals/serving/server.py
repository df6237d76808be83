"""The HTTP server of `cymbals explore`. It listens on the loopback address only, and answers only its own page.

A web page from elsewhere can make a browser send requests to this address. Such requests are refused: they name another
host (after DNS rebinding) or another origin.
"""

from __future__ import annotations

import http
import http.server
import json
import os
import socketserver
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from ..base import strict_json
from .explorer import Explorer
from .fields import BadRequest, Fields
from .model_file import ModelFile

ADDRESS = "127.0.0.1"
LARGEST_BODY = 1 << 20  # bytes
_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/widgets.js": ("widgets.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_QUESTIONS = {
    "/items": Explorer.items,
    "/find-items": Explorer.find_items,
    "/find-users": Explorer.find_users,
    "/recommend": Explorer.recommend,
    "/similar": Explorer.similar,
    "/user": Explorer.user,
}


class ExploreServer(http.server.ThreadingHTTPServer):
    """A server for a model file.

    Parameters
    ----------
    path : path-like
    port : int
        0: any free port.
    n_threads : int, optional
        Threads of each call of the model.

    Raises
    ------
    OSError
        The port is in use, or the file cannot be read.
    ModelFileError
        The file is not a model file.
    """

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # on Windows it would allow two servers on one port
    allow_reuse_port = False

    def __init__(self, path: str | os.PathLike[str], port: int = 0, n_threads: int | None = None) -> None:
        super().__init__((ADDRESS, port), _Handler, bind_and_activate=False)
        try:
            self.server_bind()  # before the model is loaded, which can take a while
            self.file = ModelFile(path, n_threads)
            self.explorer = Explorer(self.file.model, path)
            self.server_activate()
        except BaseException:
            self.server_close()
            raise
        self.contents = {place: ((_PAGE / name).read_bytes(), kind) for place, (name, kind) in _FILES.items()}
        self._looking = threading.Lock()

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    @property
    def hosts(self) -> set[str]:
        """The names under which the page may ask."""
        port = self.server_address[1]
        names = {ADDRESS, "localhost"}
        return {f"{name}:{port}" for name in names} | (names if port == 80 else set())

    def server_bind(self) -> None:
        """Bind without looking up the name of this machine, as `HTTPServer` does: that can take seconds."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about a browser that closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def facts(self) -> dict[str, Any]:
        """What the page must know of the model. Takes a new file first, if the file was replaced."""
        with self._looking:
            self.file.look()
            error = self.file.error
            if self.explorer.model is not self.file.model:
                try:
                    self.explorer = Explorer(self.file.model, self.file.path)
                except (ArithmeticError, ValueError) as refusal:  # a model that cannot be shown: the old one stays
                    error = str(refusal)
            return self.explorer.facts() | {"error": error}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ExploreServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60  # seconds of silence after which a connection is closed

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        place = self.path.partition("?")[0]
        if place in self.server.contents:
            self._answer(200, *self.server.contents[place])
        elif place in _QUESTIONS or place == "/model":
            self._refuse(405, "send this request as POST")
        else:
            self._refuse(404, "there is no such page")

    def do_POST(self) -> None:
        began = time.perf_counter()
        body = self._body() if self._is_ours() else None
        if body is None:
            return
        try:
            if self.path == "/model":
                answer = self.server.facts()
            elif self.path in _QUESTIONS:
                answer = _QUESTIONS[self.path](self.server.explorer, Fields(_parsed(body)))
            else:
                self._refuse(404, "there is no such request")
                return
            content = json.dumps(answer, allow_nan=False).encode()
        except KeyError as error:
            self._refuse(404, str(error.args[0]))
        except (ArithmeticError, ValueError) as error:  # the model refuses what it cannot use
            self._refuse(400, str(error))
        except Exception:
            traceback.print_exc()
            self._refuse(500, "cymbals failed; the terminal in which it runs shows the reason")
        else:
            seconds = time.perf_counter() - began
            self._answer(200, content, "application/json", {"Server-Timing": f"answer;dur={seconds * 1e3:.2f}"})

    def _is_ours(self) -> bool:
        """Whether a request comes from the page itself or from the address bar. Else it is refused."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            self._refuse(403, f"open {self.server.url}: requests for other hosts are refused")
            return False
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.server.hosts}:
            self._refuse(403, "requests from other pages are refused")
            return False
        return True

    def _body(self) -> bytes | None:
        """The body of a request; None if it was refused."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json":
            self._refuse(415, "the body must be application/json")
        elif "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self._refuse(411, "the request must have a Content-Length")
        elif len(length) > 9 or int(length) > LARGEST_BODY:
            self._refuse(413, f"the body must have at most {LARGEST_BODY} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self._refuse(400, "the body is shorter than its Content-Length")
        return None

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error. The connection is closed, because the body may not have been read."""
        content = json.dumps({"error": message}).encode()
        self._answer(status, content, "application/json", {"Connection": "close"})

    def _answer(self, status: int, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        lengths = {"Content-Type": kind, "Content-Length": str(len(content))}
        for name, value in (_HEADERS | lengths | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer requests that are no HTTP, or use another method, as all other errors."""
        self._refuse(code, message or http.HTTPStatus(code).phrase)

    def version_string(self) -> str:
        """The name in the header Server. It does not say which Python runs."""
        return "cymbals"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the terminal shows errors only."""


def _parsed(body: bytes) -> Any:
    try:
        return strict_json.parse(body)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
