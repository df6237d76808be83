"""Compiles libcymbals, the C library, with GCC, Clang or Zig. It needs neither Python's headers nor any package.

    python csrc/compile.py FOLDER                                      with c++
    CXX="zig c++ -target aarch64-macos" python csrc/compile.py FOLDER  for another platform

The macros that the compiler defines say for which system and processor it compiles. setup.py and the sanitizers use the
same flags. Environment variables change them:

- CXXFLAGS and LDFLAGS come before the library's own flags, CYMBALS_CFLAGS and CYMBALS_LDFLAGS after them.
- CYMBALS_OPENMP is the folder of LLVM's OpenMP library, with `include` and `lib`, for compilers that do not find one.
  Apple's compiler has none; for macOS, the default is the folder of Homebrew's package libomp.

Paths in CXXFLAGS, LDFLAGS and the like must be absolute, because the compiler runs in the root of the source code.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
INCLUDE = [ROOT / "src" / "cymbals" / "include", ROOT / "csrc"]
FLAGS = "-std=c++17 -O3 -g1 -DNDEBUG -DCYMBALS_BUILD -fvisibility=hidden -fno-omit-frame-pointer -fno-lto".split()
FLAGS += "-fno-math-errno -fno-trapping-math -ffp-contract=fast".split()
KERNELS = {  # each is compiled with flags of its own; the library chooses one at run time
    "kernels_avx2.cpp": "-mavx2 -mfma".split(),
    "kernels_avx512.cpp": "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma".split(),
}
NAMES = {"linux": "libcymbals.so", "darwin": "libcymbals.dylib", "win32": "cymbals.dll"}
IMPORT_LIBRARY = "cymbals.lib"  # on Windows, the file that programs link with


class BuildError(Exception):
    """The library cannot be built here. The message says what is missing."""


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler, and the platform that it compiles for."""

    command: tuple[str, ...]
    system: str  # "linux", "darwin" or "win32", as in sys.platform
    x86: bool
    clang: bool

    @classmethod
    def find(cls, command: list[str]) -> Compiler:
        """Asks the compiler for its platform."""
        try:
            macros = set(_run([*command, "-dM", "-E", "-x", "c++", os.devnull]).split())
        except BuildError as error:
            raise BuildError(
                f"it needs a C++17 compiler (Debian: apt install g++; Fedora: dnf install gcc-c++; macOS: "
                f"xcode-select --install; Windows: MinGW-w64), or the name of one in CXX.\n{error}"
            ) from None
        system = "darwin" if "__APPLE__" in macros else "win32" if "_WIN32" in macros else "linux"
        if not macros & {"__x86_64__", "__aarch64__"}:
            raise BuildError(f"{command[0]} compiles for neither x86-64 nor arm64, and cymbals runs on no other processor")
        return cls(tuple(command), system, "__x86_64__" in macros, "__clang__" in macros)

    @property
    def library(self) -> str:
        """Name of the library's file."""
        return NAMES[self.system]

    def flags(self) -> list[str]:
        """Flags with which every source is compiled."""
        flags = [*_words("CXXFLAGS"), *FLAGS]
        # Every command runs in ROOT and names files from there, so debug information has no other path of this machine
        flags += [f"-I{folder.relative_to(ROOT)}" for folder in INCLUDE]
        # Apple's compiler knows OpenMP, but its own option -fopenmp asks for a library that Apple does not ship
        flags += ["-Xclang", "-fopenmp"] if self.system == "darwin" else ["-fopenmp"]
        flags += [f"-I{folder / 'include'}" for folder in self._libomp()]
        if self.system != "win32":
            flags += ["-fPIC"]
        elif not self.clang:  # GCC stores vectors in its stack as if that were aligned for them (GCC bug 54412)
            flags += ["-Wa,-muse-unaligned-vector-move"]
        return flags + _words("CYMBALS_CFLAGS")

    def link_flags(self, folder: Path) -> list[str]:
        """Flags with which the library is linked in `folder`."""
        if self.system == "darwin":
            flags = ["-dynamiclib", f"-Wl,-install_name,@rpath/{self.library}"]
            flags += [f"-Wl,-exported_symbols_list,{ROOT / 'csrc' / 'libcymbals.exports'}"]
        elif self.system == "win32":
            # GCC's libraries become part of the DLL, so that a program needs this one file only
            flags = ["-shared", "-static", f"-Wl,--out-implib,{folder / IMPORT_LIBRARY}"]
            flags += [f"-Wl,--output-def,{folder / 'cymbals.def'}"]
        else:
            flags = ["-shared", f"-Wl,-soname,{self.library}"]
            flags += [f"-Wl,--version-script={ROOT / 'csrc' / 'libcymbals.map'}"]
        return [*_words("LDFLAGS"), *flags, *self._openmp_link_flags(), *_words("CYMBALS_LDFLAGS")]

    def _openmp_link_flags(self) -> list[str]:
        """Flags that link the OpenMP library. On macOS its own name can begin with @rpath, so its folder becomes one."""
        if self.system != "darwin":
            return ["-fopenmp", *(f"-L{folder / 'lib'}" for folder in self._libomp())]
        return ["-lomp", *(f"{flag}{folder / 'lib'}" for folder in self._libomp() for flag in ("-L", "-Wl,-rpath,"))]

    def sources(self) -> dict[Path, list[str]]:
        """All sources, each with the flags that only it gets."""
        found = sorted(ROOT.glob("csrc/*.cpp")) + sorted(ROOT.glob("csrc/kernels/*.cpp"))
        return {source.relative_to(ROOT): KERNELS.get(source.name, []) if self.x86 else [] for source in found}

    def _libomp(self) -> list[Path]:
        """The folder of an OpenMP library that the compiler does not find itself; empty if none is known."""
        if os.environ.get("CYMBALS_OPENMP"):
            return [Path(os.environ["CYMBALS_OPENMP"]).resolve()]
        homebrew = self.system == "darwin" and shutil.which("brew")
        return [Path(_run([homebrew, "--prefix", "libomp"]).strip())] if homebrew else []

    def compile(self, folder: Path, extra: list[str] | None = None) -> list[Path]:
        """Compiles all sources into a folder, several at a time; returns the object files."""
        flags, sources = [*self.flags(), *(extra or [])], self.sources()
        objects = [folder / f"{source.stem}.o" for source in sources]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            tasks = [
                pool.submit(_run, [*self.command, *flags, *sources[source], "-c", str(source), "-o", str(to)])
                for source, to in zip(sources, objects, strict=True)
            ]
        for task in tasks:
            task.result()
        return objects

    def probe(self) -> None:
        """Raises BuildError if the compiler lacks a C++17 library or OpenMP."""
        before, after = _words("LDFLAGS"), _words("CYMBALS_LDFLAGS")
        needs = {
            "a C++17 standard library": ("#include <memory>\nint main() {}\n", [*_words("CXXFLAGS"), "-std=c++17"], []),
            "OpenMP for that compiler (GCC brings its own; Clang on Debian: apt install libomp-dev; macOS: brew install "
            "libomp, or the folder of another LLVM OpenMP in CYMBALS_OPENMP)": (
                "#include <omp.h>\nint main() { return omp_get_max_threads(); }\n",
                self.flags(),
                self._openmp_link_flags(),
            ),
        }
        for need, (program, flags, link) in needs.items():
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "probe.cpp")
                source.write_text(program)
                try:
                    _run([*self.command, *flags, str(source), *before, *link, *after, "-o", str(Path(folder, "probe"))])
                except BuildError as error:
                    raise BuildError(f"it needs {need}.\n{error}") from None


def command() -> list[str]:
    """The compiler's command: CXX, else g++ on Windows and c++ elsewhere."""
    words = _words("CXX") or ["g++" if sys.platform == "win32" else "c++"]
    if os.path.dirname(words[0]):
        words[0] = os.path.abspath(words[0])
    return words


def build(folder: Path, compiler: Compiler) -> Path:
    """Compiles the library into a folder and returns its path."""
    compiler.probe()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory(dir=folder) as linked:
        objects = compiler.compile(Path(temporary))
        to = Path(linked, compiler.library)
        _run([*compiler.command, *map(str, objects), "-o", str(to), *compiler.link_flags(to.parent)])
        for made in to.parent.iterdir():  # renamed: a process that has loaded the old library keeps it
            made.replace(folder / made.name)
    return folder / compiler.library


def split_debug(library: Path, folder: Path) -> None:
    """Moves the debug information to a file in `folder`. The library keeps the names of functions.

    gdb and perf look for that file next to the library, or where the user tells them. OBJCOPY names the tool, which belongs
    to the compiler. On macOS there is nothing to move: the linker leaves debug information in the object files.
    """
    if library.suffix == ".dylib":
        return
    folder.mkdir(parents=True, exist_ok=True)
    debug, objcopy = folder / f"{library.name}.debug", os.environ.get("OBJCOPY", "objcopy")
    _run([objcopy, "--only-keep-debug", str(library), str(debug)])
    _run([objcopy, "--strip-debug", f"--add-gnu-debuglink={debug}", str(library)])


def _words(variable: str) -> list[str]:
    """The words of an environment variable, as a shell would split them. On Windows, backslashes belong to paths."""
    text = os.environ.get(variable, "")
    try:
        return shlex.split(text.replace("\\", "\\\\") if os.name == "nt" else text)
    except ValueError as error:
        raise BuildError(f"{variable} is {text!r}: {error}") from None


def _run(command: list[str]) -> str:
    """Returns what a command prints; raises BuildError with its messages if it fails."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace", "cwd": ROOT}
    try:
        done = subprocess.run(command, **options)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise BuildError(f"{shlex.join(command)}\nended with {done.returncode}:\n{done.stdout[-20000:]}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        print(build(Path(sys.argv[1]).resolve(), Compiler.find(command())))
    except (BuildError, OSError) as error:
        sys.exit(f"cymbals cannot be built here: {error}")
