"""A model that is loaded again when its file is replaced."""

import os

import pytest
from conftest import random_matrix

from cymbals import ALS, ModelFileError
from cymbals.serving.model_file import ModelFile


@pytest.mark.parametrize("include_interactions", [True, False])
def test_a_new_file_is_loaded(tmp_path, include_interactions):
    path = tmp_path / "m"
    models = [ALS(factors=f, random_state=0).fit(random_matrix((30, 20), 0.3)) for f in (2, 3)]
    models[0].save(path, include_interactions)
    file = ModelFile(path, n_threads=1)
    before = file.model
    assert (before.get_params()["factors"], before.n_threads, file.look(), file.loads) == (2, 1, False, 1)
    models[1].save(path, include_interactions)
    assert file.look()
    assert (file.model.get_params()["factors"], file.loads, file.error) == (3, 2, "")
    assert before.recommend(history=[1])[0].tolist() == models[0].recommend(history=[1])[0].tolist()


def test_the_old_model_stays(tmp_path):
    path = tmp_path / "m"
    model = ALS(factors=2, random_state=0).fit(random_matrix((30, 20), 0.3))
    model.save(path)
    file = ModelFile(path)
    before = file.model
    (tmp_path / "new").write_bytes(b"no model")
    os.replace(tmp_path / "new", path)
    assert not file.look()
    assert "m" in file.error
    assert file.model is before
    path.unlink()
    assert not file.look()
    assert "No such file" in file.error
    model.save(path)
    assert file.look()
    assert file.error == ""


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(FileNotFoundError):
        ModelFile(tmp_path / "absent")
    (tmp_path / "m").write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        ModelFile(tmp_path / "m")
