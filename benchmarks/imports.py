"""Measures what an import costs: CPU seconds and peak memory of a process that imports one package and ends.

    python benchmarks/imports.py cymbals implicit numpy

The processes of the packages alternate. The table shows medians.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median

CODE = """
import resource
import {module}
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()

    costs: dict[str, list[list[float]]] = {module: [] for module in args.modules}
    for _ in range(args.rounds):
        for module in args.modules:
            command = [sys.executable, "-c", CODE.format(module=module)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            costs[module].append([float(number) for number in done.stdout.split()])
    print(f"{'':16} CPU seconds  peak MB   (medians of {args.rounds})")
    for module, found in costs.items():
        seconds, megabytes = (median(column) for column in zip(*found, strict=True))
        print(f"{module:16} {seconds:11.3f} {megabytes:8.1f}")


if __name__ == "__main__":
    main()
