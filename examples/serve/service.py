"""A recommendation service: answers HTTP requests with a model file, and takes a new file without dropping a request.

    MODEL=model.cymbals uvicorn service:app --host 127.0.0.1 --port 8000

The file is mapped, so several worker processes (``--workers 4``) share its memory. Once a second the service looks whether
another file has taken the name, as `ALS.save` does it, and loads that one. Requests that are running finish with the old
model.
"""

import contextlib
import os
import threading
import time
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from cymbals.serving.answers import id_of, listed
from cymbals.serving.model_file import ModelFile


class Latencies:
    """A histogram of the seconds of requests, in the text format of Prometheus."""

    BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, float("inf"))

    def __init__(self) -> None:
        self.counts, self.total, self.lock = [0] * len(self.BOUNDS), 0.0, threading.Lock()

    def add(self, seconds: float) -> None:
        place = next(i for i, bound in enumerate(self.BOUNDS) if seconds <= bound)
        with self.lock:
            self.counts[place] += 1
            self.total += seconds

    def __str__(self) -> str:
        with self.lock:
            counts, total = list(self.counts), self.total
        lines, so_far = ["# TYPE request_seconds histogram"], 0
        for bound, count in zip(self.BOUNDS, counts, strict=True):
            so_far += count
            lines.append(f'request_seconds_bucket{{le="{"+Inf" if bound == float("inf") else bound}"}} {so_far}')
        return "\n".join([*lines, f"request_seconds_sum {total:.6f}", f"request_seconds_count {so_far}", ""])


MOST = 10_000  # ids in a list of a request


class Valued(BaseModel):
    item: int | str
    value: float = 1.0


class Wanted(BaseModel):
    """Who wants recommendations: a user whom the model knows, or the history of somebody else."""

    user: int | str | None = None
    history: list[int | str | Valued] | None = Field(default=None, max_length=MOST)
    n: int = Field(default=10, ge=1, le=1000)
    exclude: list[int | str] | None = Field(default=None, max_length=MOST)
    candidates: list[int | str] | None = Field(default=None, max_length=MOST)


latencies = Latencies()
served: dict[str, ModelFile] = {}


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> Any:
    served["file"] = ModelFile(os.environ["MODEL"], n_threads=1)  # requests run side by side, each on one thread
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            served["file"].look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    stop.set()
    watcher.join()


app = FastAPI(title="Recommendations", lifespan=lifespan)


@app.middleware("http")
async def measure(request: Request, call_next: Any) -> Any:
    began = time.perf_counter()
    response = await call_next(request)
    latencies.add(time.perf_counter() - began)
    return response


@app.exception_handler(KeyError)
def unknown(request: Request, error: KeyError) -> PlainTextResponse:
    return PlainTextResponse(str(error.args[0]), status_code=404)


@app.exception_handler(ValueError)
def refused(request: Request, error: ValueError) -> PlainTextResponse:
    return PlainTextResponse(str(error), status_code=422)


@app.post("/recommend")
def recommend(wanted: Wanted) -> dict[str, Any]:
    """The best items for a known user, or for somebody with a history."""
    model = served["file"].model  # read once: the file can be replaced while this request runs
    if (wanted.user is None) == (wanted.history is None):
        raise HTTPException(422, "give either user or history")
    limits = {"exclude": wanted.exclude, "candidates": wanted.candidates}
    if wanted.user is not None:
        ids, scores = model.recommend(wanted.user, wanted.n, unknown="popular", **limits)
    else:
        valued = [one if isinstance(one, Valued) else Valued(item=one) for one in wanted.history or []]
        ids, scores = model.recommend(history={one.item: one.value for one in valued}, n=wanted.n, **limits)
    return {"items": listed(model, ids, scores)}


@app.get("/similar/{item}")
def similar(item: str, n: int = 10) -> dict[str, Any]:
    """The items most similar to an item."""
    model = served["file"].model
    ids, scores = model.similar_items(id_of(model.items_, item), n)
    return {"items": listed(model, ids, scores)}


@app.get("/health")
def health() -> dict[str, Any]:
    file = served["file"]
    return {
        "ok": not file.error,
        "error": file.error,
        "loads": file.loads,
        "users": file.model.users_.n,
        "items": file.model.items_.n,
    }


@app.get("/metrics")
def metrics() -> PlainTextResponse:
    return PlainTextResponse(str(latencies))
