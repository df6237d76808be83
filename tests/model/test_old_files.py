"""Files that earlier versions wrote still load: the folders in tests/files are named after the commits that wrote them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ROOT

import cymbals
from cymbals import ALS, Interactions

FOLDERS = sorted((ROOT / "tests/files").iterdir())


@pytest.fixture(scope="module")
def data():
    """What the models were fitted on."""
    matrix = sp.random_array((30, 20), density=0.3, rng=np.random.default_rng(0), format="csr")
    matrix.data = np.ceil(matrix.data * 9)
    names = {0: "a", 3: "b"}
    return Interactions.from_csr(
        matrix, user_ids=[f"u{i}" for i in range(30)], item_ids=np.arange(20) * 3, item_names=names
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", ["hu", "ials64", "bias"])
def test_models(folder, name, data):
    model, want = cymbals.load(folder / f"{name}.cymbals"), np.load(folder / f"{name}.npz")
    assert np.array_equal(model.user_factors_, want["x"])
    assert np.array_equal(model.item_factors_, want["y"])
    assert np.allclose(model.recommend("u3", 4)[1], want["r"], rtol=1e-5)
    assert model.n_iter_ == len(model.history_) == 2
    assert model.name_of(3) == "b"
    assert model.loss(data) == pytest.approx(model.history_[-1]["loss"], rel=1e-5)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_journals(folder, data, tmp_path, monkeypatch):
    """The journal of an earlier version, whose settings began from other defaults, is refused and not changed."""
    pytest.importorskip("sklearn", reason="search needs scikit-learn")
    path = shutil.copy(folder / "journal.jsonl", tmp_path)
    before = Path(path).read_bytes()
    monkeypatch.setattr(ALS, "fit", lambda *args, **how: pytest.fail("a setting was fitted"))
    with pytest.raises(ValueError, match="belongs to another search: n_users is None there"):
        cymbals.search(data, {"factors": [2, 3]}, iterations=2, journal=path, metric="auc", seed=0, refit=False)
    how = {"journal": path, "metric": "auc", "n_users": None, "refit": False}
    with pytest.raises(ValueError, match="belongs to another search: als is"):
        cymbals.search(data, {"factors": [2, 3]}, iterations=2, **how)
    assert Path(path).read_bytes() == before
