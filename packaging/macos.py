"""Builds the C library for macOS on Linux, and compares its exports, install name and libraries with what they must be.

    python packaging/macos.py FOLDER

It builds for both processors, arm64 and x86-64. Zig (`pip install ziglang`) compiles: it brings Apple's C headers. LLVM's
linker for macOS (Debian: lld-19) links, because Zig's ignores lists of exports. LLVM's OpenMP comes from the macOS wheels
of faiss-cpu, and its header from Debian's libomp-dev. `_core`, the module, is compiled and not linked. Nothing runs.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import lief
from binaries import clib, compile_core, exports_are_right

ZIG = [sys.executable, "-m", "ziglang"]
# LLVM's linker exports common symbols in spite of the list; Apple's does not. These are the compiler's locks for OpenMP's
# critical sections and reductions. A hidden definition takes the place of a common one.
HIDDEN = """
.private_extern "_.gomp_critical_user_.var"
.zerofill __DATA,__bss,"_.gomp_critical_user_.var",32,3
.private_extern "_.gomp_critical_user_.reduction.var"
.zerofill __DATA,__bss,"_.gomp_critical_user_.reduction.var",32,3
"""
PROCESSORS = {"arm64": ("aarch64-macos.14.0", "14.0"), "x86_64": ("x86_64-macos.13.0", "13.0")}


def newest(pattern):
    """The last of the files that match, which is that of the newest version."""
    return sorted(glob.glob(pattern))[-1]


def openmp(processor, folder):
    """A folder with LLVM's OpenMP library for macOS and its header."""
    wheels = folder / "wheels"
    platforms = [f"--platform=macosx_{version}_0_{processor}" for version in (14, 15)]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11", "--abi=abi3", "--abi=cp311"]
    command = [sys.executable, "-m", "pip", "download", *options, *platforms, "--dest", wheels, "faiss-cpu"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (folder / "include").mkdir()
    (folder / "lib").mkdir()
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (folder / "lib" / "libomp.dylib").write_bytes(packed.read("faiss/.dylibs/libomp.dylib"))
    shutil.copy(newest("/usr/lib/llvm-*/lib/clang/*/include/omp.h"), folder / "include")
    return folder


def runtime(target, folder):
    """Zig's C++ library for a target, which Zig compiles when it first links a program that needs it."""
    (folder / "some.cpp").write_text("#include <vector>\nint some() { return (int)std::vector<int>(3).size(); }\n")
    command = [*ZIG, "c++", "-target", target, "-dynamiclib", folder / "some.cpp", "-o", folder / "some.dylib"]
    done = subprocess.run(
        command, env=os.environ | {"ZIG_VERBOSE_LINK": "1"}, check=True, stderr=subprocess.PIPE, text=True
    )
    link = next(line for line in done.stderr.splitlines() if line.startswith("zig ld "))
    return [word for word in link.split() if word.endswith(".a")]


def build(processor, folder):
    """Compiles and links the library; returns its path."""
    target, version = PROCESSORS[processor]
    os.environ["CYMBALS_OPENMP"] = str(openmp(processor, folder))
    compiler = clib.Compiler.find([*ZIG, "c++", "-target", target])
    assert (compiler.system, compiler.x86) == ("darwin", processor == "x86_64")
    objects = compiler.compile(folder)
    library = folder / compiler.library
    flags = [part for flag in compiler.link_flags(folder) for part in flag.removeprefix("-Wl,").split(",")]
    flags[flags.index("-dynamiclib")] = "-dylib"
    system = folder / "libSystem.tbd"
    text = Path(newest(f"{sys.prefix}/lib/python*/site-packages/ziglang/lib/libc/darwin/{system.name}")).read_text()
    # Apple's list of the system's functions names processors that this linker does not know
    system.write_text(re.sub(r",\s*arm64e\.x1-\w+", "", text).replace("arm64e-", "arm64-"))
    (folder / "hidden.s").write_text(HIDDEN)
    hidden = folder / "hidden.o"
    subprocess.run([*ZIG, "cc", "-target", target, "-c", folder / "hidden.s", "-o", hidden], check=True)
    command = ["ld64.lld-19", "-arch", processor, "-platform_version", "macos", version, "15.0", *flags]
    subprocess.run([*command, *objects, hidden, *runtime(target, folder), system, "-o", library], check=True)
    return library


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder for what is built")
    folder = parser.parse_args().folder.resolve()
    good = True
    for processor, (target, _) in PROCESSORS.items():
        print(f"{processor}:")
        (folder / processor).mkdir(parents=True)
        library = build(processor, folder / processor)
        compile_core([*ZIG, "cc", "-target", target], [sysconfig.get_path("include")], folder / processor)
        binary = lief.MachO.parse(str(library)).at(0)
        name = next(c.name for c in binary.commands if c.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB)
        print(f"install name {name}; needs {', '.join(lib.name for lib in binary.libraries if lib.name != name)}")
        good = exports_are_right(library) and name == "@rpath/libcymbals.dylib" and good
    print("exports and install names are right" if good else "FAILED")
    sys.exit(not good)


if __name__ == "__main__":
    main()
