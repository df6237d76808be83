"""A server of `cymbals explore` in a thread, and its answers, for the tests of this folder."""

import contextlib
import http.client
import json
import threading

from cymbals.serving.server import ExploreServer


@contextlib.contextmanager
def exploring(model, path, **saving):
    """The server for a model, which is saved to `path`."""
    model.save(path, **saving)
    with ExploreServer(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def send(server, method, path, body=None, **headers):
    """The status, the content and the headers of an answer. A body that is not bytes is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    with contextlib.closing(connection):
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        json_type = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, content, json_type | {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def ask(server, question, status=200, **fields):
    """The answer to a question, which must have this status."""
    found, content, headers = send(server, "POST", f"/{question}", fields)
    assert (found, headers["Content-Type"]) == (status, "application/json"), content
    answer = json.loads(content)
    assert (list(answer) == ["error"]) == (status != 200)
    return answer


def ran(call):
    """The ids and scores that a copied program computes."""
    names = {}
    exec(call, names)
    return names["ids"].tolist(), names["scores"].tolist()
