"""Builds libcymbals, the C library, and cymbals._core, the Cython module that calls it.

The library's kernels are compiled once for each instruction set; which one runs is decided at run time.
CYMBALS_CFLAGS and CYMBALS_LDFLAGS add flags (sanitizers, coverage).
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

VERSION = re.search(r'^version = "(.+)"', Path("pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
X86 = platform.machine().lower() in ("x86_64", "amd64")
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")  # the stable ABI has no free-threaded build yet
KERNELS = {"csrc/kernels/kernels_baseline.cpp": []}
if X86:
    KERNELS["csrc/kernels/kernels_avx2.cpp"] = ["-mavx2", "-mfma"]
    KERNELS["csrc/kernels/kernels_avx512.cpp"] = "-mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma".split()
FLAGS = ["-std=c++17", "-O3", "-g1", "-fopenmp", "-fvisibility=hidden", "-fno-omit-frame-pointer", "-fno-lto"]
FLAGS += ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", *shlex.split(os.environ.get("CYMBALS_CFLAGS", ""))]
LINK = ["-fopenmp", *shlex.split(os.environ.get("CYMBALS_LDFLAGS", ""))]
INCLUDE = ["src/cymbals/include", "csrc"]
MACROS = [("CYMBALS_VERSION", VERSION), ("CYMBALS_HAVE_AVX2", int(X86)), ("CYMBALS_HAVE_AVX512", int(X86))]


class BuildExt(build_ext):
    """Gives each kernel source its flags, and the C library a name without Python's suffix."""

    def get_ext_filename(self, name):
        return name.replace(".", os.sep) + ".so" if name.endswith("libcymbals") else super().get_ext_filename(name)

    def build_extensions(self):
        self.check_compiler()
        super().build_extensions()

    def build_extension(self, ext):
        if ext.name == "cymbals.libcymbals":
            options = {"output_dir": self.build_temp, "include_dirs": INCLUDE, "depends": ext.depends}
            for source, flags in KERNELS.items():
                ext.extra_objects += self.compiler.compile([source], extra_postargs=FLAGS + flags, **options)
        else:
            ext.library_dirs.append(str(Path(self.get_ext_fullpath("cymbals.libcymbals")).parent))
        super().build_extension(ext)

    def check_compiler(self):
        """Say what is missing, before the compiler's own many lines do."""
        with tempfile.TemporaryDirectory() as folder:
            for flags, missing in (
                ([], "a C++17 compiler (Debian: apt install g++; Fedora: dnf install gcc-c++)"),
                (["-fopenmp"], "OpenMP for that compiler (GCC brings its own; clang: apt install libomp-dev)"),
            ):
                probe = Path(folder, "probe.cpp")
                probe.write_text(f"#include <memory>\n{'#include <omp.h>' if flags else ''}\nint main() {{}}\n")
                try:
                    objects = self.compiler.compile([str(probe)], folder, extra_postargs=["-std=c++17", *flags])
                    self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=flags, target_lang="c++")
                except Exception as error:
                    sys.exit(f"\ncymbals cannot be built here: it needs {missing}.\nThe compiler's answer: {error}\n")


depends = [str(p) for pattern in ("csrc/**/*", "src/cymbals/include/**/*") for p in Path().glob(pattern) if p.is_file()]
sources = [p for p in map(str, sorted(Path("csrc").glob("*.cpp")))]
library = Extension("cymbals.libcymbals", sources, include_dirs=INCLUDE, define_macros=MACROS, extra_compile_args=FLAGS,
                    extra_link_args=LINK, depends=depends, language="c++")
core = Extension("cymbals._core", ["src/cymbals/_core.pyx"], include_dirs=INCLUDE[:1], libraries=["cymbals"], depends=depends,
                 define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED else [], py_limited_api=LIMITED,
                 extra_link_args=["-Wl,-rpath,@loader_path" if sys.platform == "darwin" else "-Wl,-rpath,$ORIGIN"])
setup(
    ext_modules=[library, *cythonize([core], build_dir="build/cython", language_level=3)],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
