"""The laboratory's notebook runs from top to bottom on made-up data, and its own assertions hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "laboratory.ipynb"
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="docs are not part of this installation")
def test_it_runs(tmp_path):
    out = tmp_path / "run.ipynb"
    environment = {name: value for name, value in os.environ.items() if name != "CYMBALS_LAB"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK), str(out)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = "\n".join(o.get("text", "") for cell in nbformat.read(out, 4).cells for o in cell.get("outputs", []))
    assert "RMSE at the start: 1.806" in text
    assert "best x11: 2.600" in text
    assert "then best y11: 1.617" in text
    als, popular = map(float, re.search(r"on the test part: AUC ([\d.]+), .*popularity ([\d.]+),", text).groups())
    assert als > popular + 0.1


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="docs are not part of this installation")
def test_it_has_the_eleven_steps_and_its_outputs():
    cells = nbformat.read(NOTEBOOK, 4).cells
    headings = re.findall(r"^## (\d+)\. ", "\n".join(c.source for c in cells if c.cell_type == "markdown"), re.M)
    assert headings == [str(step) for step in range(1, 12)]
    code = [c for c in cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code)
    assert not [o for c in code for o in c.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert NOTEBOOK.stat().st_size < 1_000_000
