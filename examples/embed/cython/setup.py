"""One extension module. By the capsule it needs cymbals' header, and nothing to link."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import cymbals

extension = Extension(
    "als", ["als.pyx"], include_dirs=[cymbals.get_include()], define_macros=[("CYMBALS_USE_CAPSULE", None)]
)
setup(ext_modules=cythonize([extension], language_level=3), py_modules=[])
