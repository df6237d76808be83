"""Builds the extension module. It finds the library through the capsule: it needs the header, but no linking."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import cymbals

extension = Extension(
    "als", ["als.pyx"], include_dirs=[cymbals.get_include()], define_macros=[("CYMBALS_USE_CAPSULE", None)]
)
setup(ext_modules=cythonize([extension], language_level=3), py_modules=[])
