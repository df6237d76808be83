"""The laboratory's notebook runs from top to bottom, solutions included, on made-up and on real data. The outputs
stored in it come from running it. It has the eleven steps and uses public names only."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from conftest import DATA, in_background
from conftest import run as run_command

NOTEBOOK = Path(__file__).parents[1] / "docs" / "laboratory.ipynb"
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""
pytestmark = pytest.mark.skipif(not NOTEBOOK.exists(), reason="docs are not part of this installation")


def solutions(cell):
    """The code blocks of a markdown cell."""
    return re.findall(r"```python\n(.*?)```", cell.source, re.S) if cell.cell_type == "markdown" else []


def run(folder, data=None):
    """Runs the notebook with each solution in a cell after its exercise. Returns the cells with their outputs."""
    notebook = nbformat.read(NOTEBOOK, 4)
    cells = []
    for cell in notebook.cells:
        cells += [cell, *(nbformat.v4.new_code_cell(code, metadata={"solution": True}) for code in solutions(cell))]
    notebook.cells = cells
    nbformat.write(notebook, folder / "with_solutions.ipynb")
    environment = {name: value for name, value in os.environ.items() if name != "CYMBALS_LAB"}
    # runs go on beside others, and several threads for each would wait for processors
    environment |= dict.fromkeys(("CYMBALS_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-c", RUN, "with_solutions.ipynb", "run.ipynb"]
    run_command(*command, cwd=folder, env=environment | ({"CYMBALS_LAB": str(data)} if data else {}))
    return nbformat.read(folder / "run.ipynb", 4).cells


def run_on_both(folder):
    """The cells of runs on made-up and on real data, which go on at the same time; without real data of one only."""
    given = [None, DATA / "audioscrobbler_small"]
    folders = [folder / "made_up", folder / "real"]
    for one in folders:
        one.mkdir()
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, folders, given if given[1].is_dir() else given[:1]))


runs = in_background("runs", run_on_both)


def printed(cells):
    # what a cell prints can arrive in several pieces
    return "\n".join("".join(o.get("text", "") for o in cell.get("outputs", [])) for cell in cells)


def frames(cells):
    """The data frames that cells show, as text."""
    shown = [o.data for cell in cells for o in cell.get("outputs", []) if "data" in o]
    return [data["text/plain"] for data in shown if "text/html" in data]


def check_ending(cells):
    """Checks that the last sentences agree with the numbers printed before them."""
    text = printed(cells)
    numbers = r"on the test part: AUC ([\d.]+), NDCG@10 ([\d.]+); popularity ([\d.]+), ([\d.]+)"
    auc, ndcg, bar_auc, bar_ndcg = map(float, re.search(numbers, text).groups())
    for metric, mine, its in (("auc", auc, bar_auc), ("ndcg@10", ndcg, bar_ndcg)):
        sentence = re.search(rf"By {metric}, .*", text)[0]
        assert f"({mine:.3f} against {its:.3f})" in sentence
        if "does not show" not in sentence:
            assert ("ranks better" in sentence) == (mine > its)
    return auc, bar_auc


def test_it_runs(runs):
    cells = runs[0]
    text = printed(cells)
    assert "RMSE at the start: 1.806" in text
    assert "best x11: 2.600" in text
    assert "then best y11: 1.617" in text
    als, popular = check_ending(cells)
    assert als > popular + 0.1
    answers = [cell for cell in cells if cell.metadata.get("solution")]
    assert len(answers) == 15
    assert all(printed([cell]).strip() for cell in answers)
    committed = nbformat.read(NOTEBOOK, 4).cells
    own = [cell for cell in cells if not cell.metadata.get("solution")]
    # seconds and rounding differ from machine to machine, the course of the text does not
    assert re.sub(r"[\d.]+", "", printed(own)[:900]) == re.sub(r"[\d.]+", "", printed(committed)[:900])


def test_it_runs_on_real_data(runs, data_folder):
    data_folder("audioscrobbler_small")  # skips without it
    cells = runs[1]
    check_ending(cells)
    assert frames(cells)
    assert not [text for text in frames(cells) if "Empty DataFrame" in text]


def test_it_has_the_eleven_steps_exercises_and_its_outputs():
    cells = nbformat.read(NOTEBOOK, 4).cells
    markdown = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    assert re.findall(r"^## (\d+)\. ", markdown, re.M) == [str(step) for step in range(1, 12)]
    assert re.findall(r"^\*\*Exercise (\d+)\.\*\*", markdown, re.M) == [str(n) for n in range(1, 16)]
    hidden = [c for c in cells if solutions(c)]
    assert len(hidden) == 15
    for cell in hidden:
        assert cell.source.startswith("<details>\n<summary>Solution</summary>\n\n")
        assert cell.source.endswith("</details>")
    code = [c for c in cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code)
    assert not [o for c in code for o in c.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [text for text in frames(code) if "Empty DataFrame" in text]
    assert not re.findall(r"\d\.\d{7,}", printed(code))
    assert NOTEBOOK.stat().st_size < 1_000_000


def test_it_uses_only_public_names():
    cells = nbformat.read(NOTEBOOK, 4).cells
    code = "\n".join([c.source for c in cells if c.cell_type == "code"] + [s for cell in cells for s in solutions(cell)])
    assert ".csr." not in code
    assert not re.findall(r"\.(?:csr|by_item|state_|users|items)\b(?!\()", code)
    assert not re.findall(r"\._\w", code)
