"""An HTTP server on this machine that makes mistakes on demand: it cuts connections, refuses, and lies about lengths."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer:
    """Serves `files` (path -> bytes), and notes all requests in `seen` as (path, Range header or None).

    `faults` are the mistakes of the next answers, one each: "cut" (half of the rest of the body, then the end of the
    connection), "long" (ten bytes more than Content-Length), a status code, or None for a good answer.
    """

    def __init__(self):
        self.files, self.seen, self.faults = {}, [], []
        self.ranges, self.tags, self.says_length = True, True, True
        self.versions = {}  # path -> ETag, if it is not the default
        self.address = ""

    def paths(self):
        return [path for path, _ in self.seen]


@contextmanager
def serving():
    """A FaultyServer that answers at its `address` in this block."""
    served = FaultyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.seen.append((self.path, self.headers["Range"]))
            fault = served.faults.pop(0) if served.faults else None
            body = served.files.get(self.path)
            if body is None or isinstance(fault, int):
                self.send_response(fault if isinstance(fault, int) else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            tag = served.versions.get(self.path, '"one"')
            start = 0
            if self.headers["Range"] and served.ranges and self.headers["If-Range"] == tag:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if served.tags:
                self.send_header("ETag", tag)
            rest = body[start:]
            if served.says_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: len(rest) // 2] if fault == "cut" else rest + b"0123456789" * (fault == "long"))

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.address = f"http://127.0.0.1:{http.server_port}"
    try:
        yield served
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
