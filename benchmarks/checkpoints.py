"""Ends fits at random instants, resumes them, and compares their factors with those of fits that nobody ended.

    python benchmarks/checkpoints.py

The processes end by SIGKILL, by SIGTERM (the command line) and by a full disk. Each fit and each resume is a process of its
own. The script prints how many iterations each resume ran, and exits with 1 if one of them is not as documented: the
iterations that are left and at most one more, and bitwise the factors of the uninterrupted fit.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import cymbals

ITERATIONS = 12
COMMON = {"factors": 48, "iterations": ITERATIONS, "random_state": 0}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"objective": "ials", "nu": 1.0, "regularization": "auto", "dtype": "float64"},
    {"objective": "explicit", "biases": True, "solver": "exact"},
    {"solver": "cg", "relaxation": 1.5, "tol": 1e-9},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="fits to kill after their first checkpoint")
    parser.add_argument("--terms", type=int, default=20, help="commands to end by SIGTERM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", nargs=3, metavar=("WHAT", "SETTING", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker[0], COMMON | SETTINGS[int(args.worker[1])], Path(args.worker[2]))
        return
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        lines = [*killed(Path(folder), args.kills, rng), *terminated(Path(folder), args.terms, rng), *full(Path(folder))]
    wrong = [line for line in lines if not line["right"]]
    resumed = [line for line in lines if line["ran"] is not None]
    print(
        f"{len(lines)} fits were ended, {len(resumed)} had a checkpoint and went on from it; "
        f"their resumes ran {sum(line['ran'] for line in resumed)} iterations in all, "
        f"{sum(line['ran'] - line['left'] for line in resumed)} of them for the second time; "
        f"{len(wrong)} were not as documented"
    )
    sys.exit(bool(wrong))


def data() -> sp.csr_array:
    matrix = sp.random_array((12_000, 6_000), density=0.01, format="csr", rng=np.random.default_rng(1), dtype=np.float32)
    matrix.data = np.ceil(matrix.data * 9)
    return matrix


# -- processes -------------------------------------------------------------------------------------------------------


def work(what: str, params: dict[str, Any], folder: Path) -> None:
    """One process: a fit without checkpoints, a fit with them, or a resume."""
    matrix, path = data(), folder / "checkpoint"
    if what == "limited":
        # Checkpoints of later iterations do not fit. A program that is sent SIGXFSZ and ignores it gets an OSError.
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LIMIT"]), resource.RLIM_INFINITY))
    print("begun", flush=True)
    if what == "whole":
        model = cymbals.ALS(**params).fit(matrix)
    elif what == "resume":
        model = cymbals.ALS.resume(path, matrix, callback=False)
        print(json.dumps({"resumed_at": model.report_["resumed_at"], "iterations": model.n_iter_}))
    else:
        model = cymbals.ALS(**params)
        try:
            model.fit(matrix, checkpoint=path, callback=lambda model, iteration: print(iteration, flush=True))
        except OSError as error:
            print(json.dumps({"error": str(error), "iterations": model.n_iter_}))
            return
    np.savez(folder / f"{what}.npz", x=model.state_.x, y=model.state_.y)


def started(what: str, setting: int, folder: Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--worker", what, str(setting), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)


def output(what: str, setting: int, folder: Path, **environment: str) -> list[str]:
    process = started(what, setting, folder, **environment)
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{what} with setting {setting} failed with {process.returncode}")
    return out.splitlines()


def resumed(setting: int, folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(output("resume", setting, folder)[-1])
    return found


def same_factors(a: Path, b: Path) -> bool:
    with np.load(a) as one, np.load(b) as other:
        return all(one[side].dtype == other[side].dtype and np.array_equal(one[side], other[side]) for side in "xy")


def line(kind: str, ran: int | None, left: int, right: bool, text: str) -> dict[str, Any]:
    """Print the outcome of one fit that was ended. `left` iterations had not been finished."""
    what = "had no checkpoint yet" if ran is None else f"the resume ran {ran} iterations"
    print(f"{kind}: {text}; {what}{'' if right else ': WRONG'}", flush=True)
    return {"ran": ran, "left": left, "right": right}


# -- kill -9 ---------------------------------------------------------------------------------------------------------


def killed(folder: Path, n: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    seconds = []
    for setting in range(len(SETTINGS)):
        wholes = folder / f"whole{setting}"
        wholes.mkdir()
        output("whole", setting, wholes)
        began, process = 0.0, started("fit", setting, wholes)
        assert process.stdout is not None
        for _ in process.stdout:
            began = began or time.perf_counter()
        seconds.append(time.perf_counter() - began)
        process.wait()
        if not same_factors(wholes / "whole.npz", wholes / "fit.npz"):
            raise RuntimeError(f"checkpoints changed the factors of setting {setting}")
    n_resumed = 0
    for i in itertools.count():
        if n_resumed == n:
            return
        setting = i % len(SETTINGS)
        trial = folder / f"kill{i}"
        trial.mkdir()
        process = started("fit", setting, trial)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, seconds[setting]))
        process.kill()
        done = process.communicate()[0].split()
        left, text = ITERATIONS - len(done), f"setting {setting}, killed after iteration {len(done)} of {ITERATIONS}"
        if not (trial / "checkpoint").exists():
            # The callback of the first iteration comes before its checkpoint.
            yield line(f"kill -9 {i + 1}", None, left, len(done) <= 1, text)
            continue
        n_resumed += 1
        found = resumed(setting, trial)
        ran = found["iterations"] - found["resumed_at"]
        equal = same_factors(trial / "resume.npz", folder / f"whole{setting}" / "whole.npz")
        clean = sorted(path.name for path in trial.iterdir() if path.suffix != ".npz") == ["checkpoint"]
        yield line(f"kill -9 {i + 1}", ran, left, left <= ran <= left + 1 and equal and (clean or not ran), text)


# -- SIGTERM on the command line ---------------------------------------------------------------------------------------


def terminated(folder: Path, n: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    sp.save_npz(folder / "data.npz", data())
    command = [sys.executable, "-m", "cymbals", "fit", str(folder / "data.npz"), "--factors", "48", "--json"]
    whole = folder / "whole.cymbals"
    subprocess.run([*command, "-o", whole], check=True, capture_output=True)
    seconds = sum(entry["seconds"] for entry in cymbals.load(whole).history_)
    for i in range(n):
        checkpoint, model = folder / f"term{i}.checkpoint", folder / f"term{i}.cymbals"
        again = [*command, "-o", str(model), "--checkpoint", str(checkpoint)]
        process = subprocess.Popen(again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        process.stderr.readline()  # "loaded ..."
        time.sleep(rng.uniform(0, 1.5 * seconds))
        process.send_signal(signal.SIGTERM)
        process.communicate()
        status, was_there = process.returncode, checkpoint.exists()
        done = cymbals.load(checkpoint).n_iter_ if was_there else 0
        report = json.loads(subprocess.run(again, check=True, capture_output=True, text=True).stdout)
        ran = len(report["history"]) - report["fit"].get("resumed_at", 0)
        left = len(report["history"]) - done
        equal = all(
            np.array_equal(getattr(cymbals.load(model).state_, side), getattr(cymbals.load(whole).state_, side))
            for side in "xy"
        )
        # It may also have ended before it handled the signal, or after the fit.
        right = equal and ran == left and status in ((143, 0) if was_there else (143, -signal.SIGTERM))
        text = f"status {status} after iteration {done} of {len(report['history'])}"
        yield line(f"SIGTERM {i + 1}", ran if was_there else None, left, right, text)


# -- a full disk -------------------------------------------------------------------------------------------------------


def full(folder: Path) -> Iterator[dict[str, Any]]:
    """A disk that has room for one checkpoint, but not for the next one beside it."""
    for setting in range(len(SETTINGS)):
        size = (folder / f"whole{setting}" / "checkpoint").stat().st_size
        with small_disk(folder / f"disk{setting}", int(1.6 * size)) as disk:
            if disk is None:  # a limit lets no checkpoint be written; the file is then one that an earlier process left
                disk = folder / f"limit{setting}"
                disk.mkdir()
                process = started("fit", setting, disk)
                assert process.stdout is not None
                while not (disk / "checkpoint").exists():
                    time.sleep(0.001)
                process.kill()
                process.communicate()
                before = cymbals.load(disk / "checkpoint").n_iter_
                out, kind = output("limited", setting, disk, LIMIT=str(size // 2)), "limit of the file size"
                kept = cymbals.load(disk / "checkpoint").n_iter_
                intact = kept == before
            else:
                out, kind = output("fit", setting, disk), "full disk"
                kept = cymbals.load(disk / "checkpoint").n_iter_
                intact = f"it still holds iteration {kept}" in out[-1]
            error = json.loads(out[-1])
            (trial := folder / f"after{setting}").mkdir()
            (trial / "checkpoint").write_bytes((disk / "checkpoint").read_bytes())
            found = resumed(setting, trial)
            ran = found["iterations"] - found["resumed_at"]
            equal = same_factors(trial / "resume.npz", folder / f"whole{setting}" / "whole.npz")
            right = intact and equal and ran == ITERATIONS - kept and "could not be written" in error["error"]
            yield line(f"{kind} {setting + 1}", ran, ITERATIONS - kept, right, error["error"].replace(str(folder), ""))


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path | None]:
    """A file system in memory of this many bytes. None if this process may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


if __name__ == "__main__":
    main()
