"""Builds the extension module. It finds the library through the capsule, so it needs no linking."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import cymbals

extension = Extension(
    "row_server", ["row_server.pyx"], include_dirs=[cymbals.get_include()], define_macros=[("CYMBALS_USE_CAPSULE", None)]
)
setup(ext_modules=cythonize([extension], language_level=3), py_modules=[])
