"""Builds the programs of tests/c for another platform, and runs each on every instruction set of this machine.

    python packaging/c_programs.py FOLDER --cc x86_64-w64-mingw32-gcc --run wine
    python packaging/c_programs.py FOLDER --cc aarch64-linux-gnu-gcc --run "qemu-aarch64-static -L /usr/aarch64-linux-gnu"

FOLDER contains the library that csrc/compile.py built for that platform. The exit status is 1 if a program fails.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted((ROOT / "tests" / "c").glob("*.c"))
FLAGS = "-std=c99 -D_POSIX_C_SOURCE=200809L -O1 -Wall -Wextra -Werror".split()
SETS = ("baseline", "avx2", "avx512")


def build(cc, program, folder):
    """Builds a program in the library's folder, where the system finds the library, and returns its path."""
    to = folder / (f"{program.stem}.exe" if (folder / "cymbals.dll").exists() else program.stem)
    link = ["-L", folder, "-lcymbals", "-pthread", "-lm"]
    link += ["-static"] if to.suffix else [f"-Wl,-rpath,{folder}"]
    subprocess.run([*cc, *FLAGS, f"-I{ROOT / 'src/cymbals/include'}", program, "-o", to, *link], check=True)
    return to


def run(before, path, simd):
    """Runs a program. Returns whether all its checks passed, and its last line."""
    # qemu runs one thread at a time for long stretches, and threads that wait without sleeping would fill them
    environment = os.environ | {"CYMBALS_SIMD": simd, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([*before, path], capture_output=True, env=environment, cwd=path.parent)
    lines = (done.stdout + done.stderr).decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
    return done.returncode == 0 and " 0 failed" in done.stdout.decode(errors="replace"), last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the library")
    parser.add_argument("--cc", default="cc", help="the C compiler (default: %(default)s)")
    parser.add_argument("--run", default="", help="command before each program, for example an emulator")
    parser.add_argument("--simd", default=",".join(SETS), help="instruction sets, with commas (default: %(default)s)")
    asked = parser.parse_args()

    passed = failed = 0
    before, folder = shlex.split(asked.run), asked.folder.resolve()
    for program in PROGRAMS:
        path = build(shlex.split(asked.cc), program, folder)
        for simd in asked.simd.split(","):
            began = time.monotonic()
            good, last = run(before, path, simd)
            passed, failed = passed + good, failed + (not good)
            print(
                f"{program.stem:14} {simd:9} {time.monotonic() - began:6.1f} s  {'' if good else 'FAILED: '}{last}",
                flush=True,
            )
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
