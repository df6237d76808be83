"""Builds libcymbals, the C library, and cymbals._core, the Cython module that calls it.

Kernels are compiled once for each instruction set; which one runs is decided at run time.
CYMBALS_CFLAGS and CYMBALS_LDFLAGS add flags (sanitizers, coverage). CYMBALS_DEBUG_DIR names a folder for the C library's
debug information; if it is not set, the debug information stays inside the library.
"""

import os
import platform
import re
import shlex
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HEADER = Path("src/cymbals/include/cymbals/cymbals.h").read_text(encoding="utf-8")
VERSION = re.search(r'#define CYMBALS_VERSION "(.+)"', HEADER)[1]
X86 = int(platform.machine().lower() in ("x86_64", "amd64"))
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")  # the stable ABI has no free-threaded build yet
KERNELS = {"baseline": ""}
if X86:
    KERNELS |= {"avx2": "-mavx2 -mfma", "avx512": "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma"}
FLAGS = "-std=c++17 -O3 -g1 -fopenmp -fvisibility=hidden -fno-omit-frame-pointer -fno-lto -fno-math-errno".split()
FLAGS += ["-fno-trapping-math", "-ffp-contract=fast", *shlex.split(os.environ.get("CYMBALS_CFLAGS", ""))]
LINK = ["-fopenmp", *shlex.split(os.environ.get("CYMBALS_LDFLAGS", ""))]
INCLUDE = ["src/cymbals/include", "csrc"]
MACROS = [("CYMBALS_HAVE_AVX2", X86), ("CYMBALS_HAVE_AVX512", X86)]
NEEDS = {  # if a probe fails, setup.py names what is missing, below the output of the compiler
    "-std=c++17": "a C++17 compiler (Debian: apt install g++; Fedora: dnf install gcc-c++)",
    "-fopenmp": "OpenMP for that compiler (GCC brings its own; clang: apt install libomp-dev)",
}


class BuildExt(build_ext):
    """Gives each kernel source its flags, and the C library a name without Python's suffix."""

    def get_ext_filename(self, name):
        return name.replace(".", os.sep) + ".so" if name.endswith("libcymbals") else super().get_ext_filename(name)

    def build_extension(self, ext):
        if ext.name == "cymbals.libcymbals":
            self.probe()
            for kernel, flags in KERNELS.items():
                source, options = f"csrc/kernels/kernels_{kernel}.cpp", FLAGS + flags.split()
                ext.extra_objects += self.compiler.compile([source], self.build_temp, extra_postargs=options)
        else:
            ext.library_dirs.append(str(Path(self.get_ext_fullpath("cymbals.libcymbals")).parent))
        super().build_extension(ext)
        if ext.name == "cymbals.libcymbals" and os.environ.get("CYMBALS_DEBUG_DIR"):
            self.split_debug(Path(self.get_ext_fullpath(ext.name)), Path(os.environ["CYMBALS_DEBUG_DIR"]))

    def split_debug(self, library, folder):
        """Moves the debug information to a file in `folder`. The library keeps the names of functions.

        gdb and perf look for that file next to the library, or where the user tells them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        debug = folder / f"{library.name}.debug"
        self.spawn(["objcopy", "--only-keep-debug", str(library), str(debug)])
        self.spawn(["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", str(library)])

    def probe(self):
        for flag, need in NEEDS.items():
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "probe.cpp")
                source.write_text("#include <memory>\nint main() {}\n" + "#include <omp.h>\n" * (flag == "-fopenmp"))
                try:
                    objects = self.compiler.compile([str(source)], folder, extra_postargs=[flag])
                    self.compiler.link_executable(objects, "probe", folder, extra_postargs=[flag], target_lang="c++")
                except Exception as error:
                    sys.exit(f"\ncymbals cannot be built here: it needs {need}.\nThe compiler's answer: {error}\n")


depends = [str(p) for top in ("csrc", INCLUDE[0]) for p in Path(top).rglob("*") if p.suffix in (".cpp", ".h", ".inl")]
common = {"include_dirs": INCLUDE, "define_macros": MACROS, "depends": depends}
sources = [str(p) for p in sorted(Path("csrc").glob("*.cpp"))]
if sys.platform != "darwin":
    LINK += ["-Wl,-soname,libcymbals.so", "-Wl,--version-script=csrc/libcymbals.map"]
library = Extension("cymbals.libcymbals", sources, extra_compile_args=FLAGS, extra_link_args=LINK, language="c++", **common)
core = Extension("cymbals._core", ["src/cymbals/_core.pyx"], libraries=["cymbals"], py_limited_api=LIMITED, **common)
core.define_macros = [("Py_LIMITED_API", "0x030B0000")] * LIMITED
core.extra_link_args = ["-Wl,-rpath," + ("@loader_path" if sys.platform == "darwin" else "$ORIGIN")]
setup(
    version=VERSION,
    ext_modules=[library, *cythonize([core], build_dir="build/cython", language_level=3)],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
