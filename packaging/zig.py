"""Compiles every source of the C library with Zig, for each platform that has wheels. Nothing is linked or run.

    python packaging/zig.py

Needs ziglang from PyPI, and gcc, whose OpenMP header is used. A source that does not compile for one of the platforms ends
the program with the compiler's messages. Takes about four minutes the first time, then seconds.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "csrc"))
import compile as clib

TARGETS = {
    "x86_64-linux-gnu.2.28": "linux",
    "aarch64-linux-gnu.2.28": "linux",
    "x86_64-linux-musl": "linux",
    "aarch64-linux-musl": "linux",
    "x86_64-macos.13.0": "darwin",
    "aarch64-macos.14.0": "darwin",
    "x86_64-windows-gnu": "win32",
}


def main():
    with tempfile.TemporaryDirectory() as temporary:
        include = Path(temporary, "openmp", "include")
        include.mkdir(parents=True)
        found = subprocess.run(["gcc", "-print-file-name=include/omp.h"], check=True, capture_output=True, text=True)
        shutil.copy(found.stdout.strip(), include)
        os.environ["CYMBALS_OPENMP"] = str(include.parent)
        for target, system in TARGETS.items():
            began = time.monotonic()
            compiler = clib.Compiler.find([sys.executable, "-m", "ziglang", "c++", "-target", target])
            if (compiler.system, compiler.x86) != (system, target.startswith("x86_64")):
                sys.exit(f"{target}: taken for {compiler.system}, x86 {compiler.x86}")
            folder = Path(temporary, target)
            folder.mkdir()
            try:
                objects = compiler.compile(folder)
            except clib.BuildError as error:
                sys.exit(f"{target}: {error}")
            print(f"{target}: {len(objects)} sources compile, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
