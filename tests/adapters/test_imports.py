"""Nothing loads a framework that was not asked for, and a framework that is missing is an error that says what to do."""

import importlib
import sys

import pytest
from conftest import run_python

FRAMEWORKS = ("lenskit", "mlflow", "rectools")


def test_cymbals_loads_no_framework():
    loaded = run_python("import sys, cymbals, cymbals.adapters; print(*sys.modules)").split()
    assert not set(loaded) & {*FRAMEWORKS, "pydantic", "sklearn"}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_missing_framework(name, monkeypatch):
    monkeypatch.delitem(sys.modules, f"cymbals.adapters.{name}", raising=False)
    for module in [name, *(module for module in sys.modules if module.startswith(f"{name}."))]:
        monkeypatch.setitem(sys.modules, module, None)  # its import then fails
    wanted = rf'cymbals\.adapters\.{name} needs {name}: pip install "cymbals\[{name}\]"'
    with pytest.raises(ImportError, match=wanted):
        importlib.import_module(f"cymbals.adapters.{name}")
