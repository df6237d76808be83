"""The models on the CPU."""

from . import als, matrix_factorization_base

__all__ = ["als", "matrix_factorization_base"]
