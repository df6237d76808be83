"""Builds libcymbals, the C library, by csrc/compile.py, and cymbals._core, the Cython module that calls it.

CYMBALS_DEBUG_DIR names a folder for the C library's debug information; if it is not set, the debug information stays inside
the library. csrc/compile.py names the other environment variables.
"""

import os
import platform
import re
import shlex
import shutil
import sys
import sysconfig
from functools import cached_property
from itertools import takewhile
from pathlib import Path

if sys.version_info < (3, 11) or platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
    sys.exit(
        f"\ncymbals needs 64-bit CPython 3.11 or later, and this is {platform.python_implementation()} "
        f"{platform.python_version()} with {platform.architecture()[0]}. Install it with another Python.\n"
    )

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

sys.path.insert(0, str(Path(__file__).parent / "csrc"))
import compile as clib

if sys.platform == "darwin":  # one processor a wheel: a Python for two would ask for both, but libomp is for one
    os.environ.setdefault("ARCHFLAGS", f"-arch {platform.machine()}")

HEADER = Path("src/cymbals/include/cymbals/cymbals.h").read_text(encoding="utf-8")
VERSION = re.search(r'#define CYMBALS_VERSION "(.+)"', HEADER)[1]
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")  # the stable ABI has no free-threaded build yet
LIBRARY = "cymbals.libcymbals"


def cannot_build(error):
    sys.exit(
        f"\ncymbals cannot be built here: {error}\nA ready-made wheel needs no compiler, and pip takes it where one fits. "
        "If there should be one for this system, try `python -m pip install --upgrade pip` first.\n"
    )


class BuildExt(build_ext):
    """Builds the C library with csrc/compile.py, and _core with the compiler that Python's settings name."""

    @cached_property
    def cxx(self):
        """The compiler in CXX, else Python's own, with ARCHFLAGS on macOS."""
        words = shlex.split(sysconfig.get_config_var("CXX") or "")
        own = list(takewhile(lambda word: not word.startswith("-"), words))
        try:
            command = own if own and shutil.which(own[0]) and not os.environ.get("CXX") else clib.command()
            return clib.Compiler.find([*command, *shlex.split(os.environ.get("ARCHFLAGS", ""))])
        except clib.BuildError as error:
            cannot_build(error)

    def get_ext_filename(self, name):
        *folders, last = name.split(".")
        # setuptools also asks for the name where nothing is built and no compiler is needed
        library = clib.NAMES.get(sys.platform, "libcymbals.so")
        return os.path.join(*folders, library) if last == "libcymbals" else super().get_ext_filename(name)

    def build_extension(self, ext):
        library = Path(self.get_ext_fullpath(LIBRARY)).resolve()
        if ext.name == LIBRARY:
            try:
                self.build_library(library, ext.depends)
            except clib.BuildError as error:
                cannot_build(error)
            return
        ext.library_dirs.append(str(self.made))
        if self.cxx.system != "win32":
            ext.extra_link_args.append("-Wl,-rpath," + ("@loader_path" if self.cxx.system == "darwin" else "$ORIGIN"))
            # Python's own flags can contain -g, with which the file would be five times larger
            ext.extra_compile_args.append("-g0")
        super().build_extension(ext)

    @property
    def made(self):
        """The folder in which the library is built. Only what belongs to the package is copied from it."""
        return Path(self.build_temp, "libcymbals").resolve()

    def build_library(self, library, depends):
        """Builds the library unless it is newer than its sources and was built with the same settings."""
        debug, record = os.environ.get("CYMBALS_DEBUG_DIR"), self.made / "settings.txt"
        settings = repr((str(library), self.cxx.command, self.cxx.flags(), self.cxx.link_flags(self.made)))
        same = library.exists() and record.exists() and record.read_text(encoding="utf-8") == settings
        if same and not debug and not self.force and not newer_group(depends, str(library)):
            return
        record.unlink(missing_ok=True)
        built = clib.build(self.made, self.cxx)
        if debug:
            clib.split_debug(built, Path(debug).resolve())
        self.copy(built, library.parent)
        if self.cxx.system == "win32":
            self.make_import_library()
            self.copy(self.made / clib.IMPORT_LIBRARY, library.parent)
        if not debug:  # without its debug information, the library is not what these settings give
            record.write_text(settings, encoding="utf-8")

    def make_import_library(self):
        """Replaces GCC's import library by one that Microsoft's own tool makes, if Microsoft's linker links _core."""
        if self.compiler.compiler_type == "msvc":
            if not self.compiler.initialized:
                self.compiler.initialize()
            parts = [f"/def:{self.made / 'cymbals.def'}", f"/out:{self.made / clib.IMPORT_LIBRARY}"]
            self.spawn([self.compiler.lib, "/nologo", "/machine:x64", *parts])

    def copy_extensions_to_source(self):
        super().copy_extensions_to_source()
        if self.cxx.system == "win32":
            self.copy(self.made / clib.IMPORT_LIBRARY, Path("src/cymbals"))

    def copy(self, file, folder):
        """Copies a file and renames the copy, so a process that has loaded an old library keeps it."""
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{file.name}.new"
        shutil.copy(file, new)
        new.replace(folder / file.name)


sources = [p for top in (Path("csrc"), clib.INCLUDE[0]) for p in top.rglob("*")]
depends = [str(p) for p in sources if p.suffix in (".cpp", ".h", ".inl", ".map", ".exports", ".py")]
library = Extension(LIBRARY, [], depends=depends)
core = Extension("cymbals._core", ["src/cymbals/_core.pyx"], libraries=["cymbals"], py_limited_api=LIMITED)
core.include_dirs, core.depends = [str(clib.INCLUDE[0])], depends
core.define_macros = [("Py_LIMITED_API", "0x030B0000")] * LIMITED
setup(
    version=VERSION,
    ext_modules=[library, *cythonize([core], build_dir="build/cython", language_level=3)],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
