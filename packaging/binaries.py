"""What the scripts of this folder share: the exports of a library, and compiling _core for another platform."""

import subprocess
import sys
from pathlib import Path

import lief

ROOT = Path(__file__).parents[1]
__all__ = ["ROOT", "clib", "compile_core", "exports_are_right"]

sys.path[:0] = [str(ROOT / "csrc"), str(ROOT / "tests")]
import abi  # noqa: E402
import compile as clib  # noqa: E402


def exports(library):
    """Names of the functions that a library for macOS or Windows exports."""
    binary = lief.parse(str(library))
    if isinstance(binary, lief.PE.Binary):
        return {entry.name for entry in binary.get_export().entries}
    return {symbol.name.removeprefix("_") for symbol in binary.symbols if symbol.has_export_info}


def exports_are_right(library):
    """Compares the exports with the functions that cymbals.h declares, and prints each difference."""
    found, declared = exports(library), set(abi.header().functions)
    for name in sorted(found ^ declared):
        print(f"{library}: {name} is {'exported' if name in found else 'declared'} only")
    print(f"{library.name}: {len(found)} exports, {library.stat().st_size:,} bytes")
    return found == declared


def compile_core(compiler, includes, folder):
    """Compiles the C file that Cython generates from _core.pyx, for the stable ABI. The result is not linked."""
    source = folder / "_core.c"
    subprocess.run([sys.executable, "-m", "cython", "-3", ROOT / "src/cymbals/_core.pyx", "-o", source], check=True)
    flags = ["-O1", "-DPy_LIMITED_API=0x030B0000", *(f"-I{i}" for i in (*includes, ROOT / "src/cymbals/include"))]
    subprocess.run([*compiler, *flags, "-c", source, "-o", folder / "_core.o"], check=True)
    print("_core compiles")
