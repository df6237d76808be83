"""Builds the C library for Windows on Linux, compares its exports with the header, and runs the C programs under wine.

    python packaging/windows.py FOLDER

Needs Debian's packages g++-mingw-w64-x86-64, wine64 and llvm-19, and lief, cython and pycparser from PyPI. `_core`, the
module, is compiled against CPython's own headers for Windows, and not linked. The exit status is 1 if anything fails.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from binaries import ROOT, compile_core, exports_are_right
from debian import fetch_source

MINGW = "x86_64-w64-mingw32-{}-posix"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder for what is built")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True)

    environment = os.environ | {"CXX": MINGW.format("g++")}
    subprocess.run([sys.executable, ROOT / "csrc/compile.py", folder], env=environment, check=True)
    good = exports_are_right(folder / "cymbals.dll")
    # Microsoft's linker gets an import library that its own tool makes from the list of exports. LLVM has the same tool.
    made = ["llvm-lib-19", "/machine:x64", f"/def:{folder / 'cymbals.def'}", f"/out:{folder / 'microsoft.lib'}"]
    subprocess.run(made, check=True)
    print("an import library in Microsoft's format can be made")
    python = folder / "python"
    fetch_source("bookworm", "python3.11", python)
    compile_core([MINGW.format("gcc")], [python / "PC", python / "Include"], folder)

    environment = os.environ | {"WINEDEBUG": "-all", "WINEPREFIX": str(folder / "wine")}
    subprocess.run(["/usr/lib/wine/wine64", "wineboot"], env=environment, capture_output=True)
    command = [sys.executable, ROOT / "packaging/c_programs.py", folder, "--cc", MINGW.format("gcc")]
    done = subprocess.run([*command, "--run", "/usr/lib/wine/wine64"], env=environment)
    sys.exit(done.returncode or not good)


if __name__ == "__main__":
    main()
