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
        own = shlex.split(sysconfig.get_config_var("CXX") or "")[:1]
        command = clib.command() if os.environ.get("CXX") or not own else own
        try:
            return clib.Compiler.find([*command, *shlex.split(os.environ.get("ARCHFLAGS", ""))])
        except clib.BuildError as error:
            cannot_build(error)

    def get_ext_filename(self, name):
        *folders, last = name.split(".")
        return os.path.join(*folders, self.cxx.library) if last == "libcymbals" else super().get_ext_filename(name)

    def build_extension(self, ext):
        library = Path(self.get_ext_fullpath(LIBRARY)).resolve()
        if ext.name == LIBRARY:
            if self.force or newer_group(ext.depends, str(library)):
                self.build_library(library)
            return
        ext.library_dirs.append(str(library.parent))
        if self.cxx.system != "win32":
            ext.extra_link_args.append("-Wl,-rpath," + ("@loader_path" if self.cxx.system == "darwin" else "$ORIGIN"))
            # Python's own flags can contain -g, with which the file would be five times larger
            ext.extra_compile_args.append("-g0")
        elif hasattr(self.compiler, "lib"):  # Microsoft's linker wants an import library that Microsoft's tool has made
            parts = [f"/{name}:{library.with_suffix(suffix)}" for name, suffix in (("def", ".def"), ("out", ".lib"))]
            self.spawn([self.compiler.lib, "/nologo", "/machine:x64", *parts])
        super().build_extension(ext)

    def build_library(self, library):
        try:
            clib.build(library.parent, self.cxx)
            if os.environ.get("CYMBALS_DEBUG_DIR"):
                clib.split_debug(library, Path(os.environ["CYMBALS_DEBUG_DIR"]))
        except clib.BuildError as error:
            cannot_build(error)

    def copy_extensions_to_source(self):
        super().copy_extensions_to_source()
        if self.cxx.system == "win32":
            shutil.copy(Path(self.build_lib, "cymbals", clib.IMPORT_LIBRARY), "src/cymbals")


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
