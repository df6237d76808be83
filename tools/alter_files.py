"""Alters model files, checkpoints and journals at random, most of them with correct checksums, then uses them.

A file must either load and work, or be refused with the documented exception. Anything else is a failure: the tool prints
it and keeps the file. Each batch of files runs in its own process, so that a crash is counted and the other batches still
run.
"""

import argparse
import collections
import contextlib
import json
import random
import sys
import tempfile
import traceback
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import cymbals
from cymbals.model import container

BATCH = 500
DATA = sp.csr_array(np.random.default_rng(0).poisson(0.6, (12, 9)).astype(np.float32))
FORGED = json.loads(r'[null, true, -1, 0, 1, 3, 2.5, 1e300, -1e-300, "", "x", "hu", "<f8", "\ud800", [], [0], [[[1]]], {}]')
FORGED += [2**31, 2**63, 10**400, float("nan"), float("inf"), "float64", "DEEP"]
NUMBERS = [np.nan, np.inf, 0, 1, -1, -2, 8, 255, 1e-300, 1e30, 3e38, 2**31, 2**62]
# Words of the messages with which update_users and explain refuse numbers that are too large.
OVERFLOW = ("factors grew beyond", "must not contain infs", "overflows", "too large for its type")
# Words of the messages with which resume refuses other data than those of the fit.
OTHER_DATA = ("must be the same as in the fit", "the fit had them")


def searched(path):
    grid = {"factors": [2], "alpha": [1.0, 9.0]}
    return cymbals.search(DATA, grid, iterations=2, n_threads=1, patience=2, refit=False, journal=path)


def originals(folder):
    """Write several models, checkpoints and a journal to a folder. Returns the content of each file by its path."""
    ids = {"user_ids": [f"u{i}" for i in range(12)], "item_ids": range(50, 59), "item_names": {50: "Abba", 51: "Blür"}}
    named = cymbals.Interactions.from_csr(DATA, **ids)
    for data, params in ((DATA, {"objective": "ials"}), (named, {}), (named, {"objective": "explicit", "biases": True})):
        for dtype in ("float32", "float64"):
            model = cymbals.ALS(factors=3, iterations=2, dtype=dtype, random_state=0, n_threads=1, **params).fit(data)
            for keep in (True, False):
                model.save(folder / f"{data is named} {len(params)} {dtype} {keep}.model", include_interactions=keep)
            with contextlib.suppress(KeyboardInterrupt):
                path = folder / f"{data is named} {len(params)} {dtype}.checkpoint"
                model.set_params(iterations=4, tol=1e-9).fit(DATA, checkpoint=path, callback=interrupt)
    searched(folder / "search.journal")
    return {path: path.read_bytes() for path in sorted(folder.iterdir())}


def interrupt(model, iteration):
    if iteration == 3:
        raise KeyboardInterrupt


def alter_bytes(rng, content, other):
    """Flip a bit, cut off the end, or insert noise or bytes of another file, or overwrite with them."""
    at, kind = rng.randrange(len(content)), rng.randrange(4)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at]
    new = rng.randbytes(rng.choice([1, 4, 64])) if kind == 2 else other[rng.randrange(len(other)) :][:500]
    return content[:at] + new + content[at + len(new) * rng.randrange(2) :]


def alter_json(rng, text):
    """Replace or remove one value, at any depth."""
    whole = inside = {"": json.loads(text)}
    key = ""
    while isinstance(inside[key], (dict, list)) and inside[key] and (inside is whole or rng.random() < 0.8):
        inside = inside[key]
        key = rng.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
    inside[key] = rng.choice(FORGED)
    if rng.random() < 0.1:
        del inside[key]
    deep = rng.choice([10, 70, 500, 5000])
    return json.dumps(whole.get("", 0)).replace('"DEEP"', "[" * deep + "]" * deep).encode()


def alter_header(rng, content, other):
    """Alter the header of a model file, and give it a correct checksum."""
    fixed = container._FIXED
    end = fixed.size + fixed.unpack_from(content)[3]
    header = content[fixed.size : end]
    header = alter_json(rng, header) if rng.random() < 0.8 else alter_bytes(rng, header, other)
    header += b" " * (-(fixed.size + len(header)) % 64)
    return fixed.pack(container.MAGIC, container.VERSION, zlib.crc32(header), len(header)) + header + content[end:]


def alter_array(rng, path):
    """Alter one array of a model file, and write the file with correct checksums and sizes."""
    facts, arrays = container.read(path)
    other, name = arrays[rng.choice(list(arrays))], rng.choice(list(arrays))
    array, kind = arrays.pop(name), rng.randrange(6)
    if kind == 0 and array.size:
        array.reshape(-1)[rng.randrange(array.size)] = np.float64(rng.choice(NUMBERS)).astype(array.dtype)
    shaped = array.reshape(rng.choice([(-1,), (-1, 1), (1, -1)]))
    made = [array, array.astype(rng.choice(container._TYPES)), array[: rng.randrange(len(array) + 1)], shaped, other]
    container.write(path, facts, arrays | ({name: made[kind]} if kind < 5 else {}))


def altered(rng, folder, number, files):
    """Alter one of `files` and write it as a new file, whose path is returned."""
    (suffix,) = rng.choices([".model", ".checkpoint", ".journal"], [6, 2, 2])
    source = rng.choice([name for name in files if name.suffix == suffix])
    path, content, other = folder / f"{number}{suffix}", files[source], files[rng.choice(list(files))]
    kind = rng.choice(["bytes", "json", "json", "array", "array"])
    if kind == "bytes":
        content = alter_bytes(rng, content, other)
    elif suffix == ".journal":
        lines = content.splitlines()
        at = rng.randrange(len(lines))
        content = b"\n".join([*lines[:at], alter_json(rng, lines[at]), *lines[at + 1 :], b""])
    elif kind == "json":
        content = alter_header(rng, content, other)
    path.write_bytes(content)
    if kind == "array" and suffix != ".journal":
        alter_array(rng, path)
    return path


def use(model, path):
    """Call the methods of a model that a service would call, then save it and load it again."""
    users, items, known = model.users_.all()[:2], model.items_.all()[:2], model.state_.seen is not None
    rows = sp.csr_array(np.ones((users.size, model.items_.n)))
    model.recommend(users, 4, exclude_seen=known), model.recommend(rows=rows, n=2), model.rank_items(users[0], items)
    model.similar_items(items, 3), model.similar_users(users, 3), model.predict(users[:1], items[:1]), repr(model)
    if known:
        model.explain(users[0], items[0]), model.popular(3), model.update_users(users, rows)
    model.save(path)
    cymbals.load(path).recommend(users[0], 2, exclude_seen=known), model.name_of(items[0])


def outcome(path):
    """Load a file, use it, and describe the outcome in words. Does not catch exceptions that are not documented."""
    try:
        if path.suffix == ".journal":
            searched(path)
            return "journals searched"
        cymbals.load(path)
        model = cymbals.load(path, mmap=True)
        if path.suffix == ".checkpoint":
            return resumed(path)
    except cymbals.ModelFileError:
        return "models refused"
    except ValueError as error:
        if not str(error).startswith("journal "):
            raise
        return "journals refused"
    try:
        use(model, path)
    except cymbals.SolveError:
        return "models used until a number overflowed"
    except ValueError as error:
        if not any(words in str(error) for words in OVERFLOW):
            raise
        return "models used until a number overflowed"
    return "models used"


def resumed(path):
    """Resume the fit of a checkpoint, and describe the outcome in words."""
    try:
        model = cymbals.ALS.resume(path, DATA, callback=False)
    except cymbals.ModelFileError:
        return "checkpoints refused"
    except cymbals.SolveError:
        return "checkpoints resumed until a number overflowed"
    except ValueError as error:
        if not any(words in str(error) for words in (*OVERFLOW, *OTHER_DATA)):
            raise
        return "checkpoints resumed until a number overflowed, or refused for the data"
    use(model, path)
    return "checkpoints resumed"


def batch(folder, seed, numbers):
    """Alter and use a batch of files, and count the outcomes. The files of failures stay in `folder`."""
    warnings.simplefilter("ignore")
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as sources:
        files = originals(Path(sources))
    for number in numbers:
        path = altered(random.Random(f"{seed} {number}"), folder, number, files)
        content = path.read_bytes()
        try:
            counts[outcome(path)] += 1
            path.unlink()
        except Exception:
            counts["failures"] += 1
            path.write_bytes(content)
            print(f"--seed {seed}, file {path}:\n{traceback.format_exc()}", file=sys.stderr)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="number of files to alter")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder, counts = Path(tempfile.mkdtemp(prefix="altered-")), collections.Counter(failures=0, crashes=0)
    for begin in range(0, options.n, BATCH):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            try:
                numbers = range(begin, min(begin + BATCH, options.n))
                counts.update(pool.submit(batch, folder, options.seed, numbers).result())
            except BrokenProcessPool:
                counts["crashes"] += 1
                print(f"--seed {options.seed}: a crash; its file is the newest one in {folder}", file=sys.stderr)
    print(", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())))
    return int(counts["failures"] + counts["crashes"] > 0)


if __name__ == "__main__":
    sys.exit(main())
