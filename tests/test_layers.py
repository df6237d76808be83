"""Imports between modules: the contract in pyproject.toml, and the compiled module, which import-linter cannot read."""

import re

import pytest
from conftest import ROOT, run_python

pytest.importorskip("importlinter", reason="import-linter is not installed")


def test_imports_point_one_way(monkeypatch):
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("pyproject.toml is not beside the tests")
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True, is_debug_mode=False) == 0


def test_the_compiled_module_imports_only_the_lowest_folder():
    source = ROOT / "src/cymbals/_core.pyx"
    if not source.is_file():
        pytest.skip("src is not beside the tests")
    imported = re.findall(r"from (cymbals[.\w]*) import", source.read_text(encoding="utf-8"))
    assert imported
    assert all(name.startswith("cymbals.base.") for name in imported)


def test_importing_cymbals_loads_no_heavy_library():
    """Some versions of scipy.sparse load scipy.linalg, so what cymbals cannot do without is loaded before."""
    heavy = (
        "click",
        "jinja2",
        "matplotlib",
        "optuna",
        "pandas",
        "pooch",
        "pyarrow",
        "ray",
        "requests",
        "rich",
        "scipy.linalg",
        "scipy.stats",
        "sklearn",
    )
    code = f"""
import sys, scipy.sparse, threadpoolctl
before = set(sys.modules)
import cymbals
print([name for name in {heavy!r} if name in set(sys.modules) - before])
"""
    assert run_python(code) == "[]\n"
