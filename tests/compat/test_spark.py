"""Reading the folder that Spark's ALSModel.save writes. tools/conventions.py reads one that Spark itself wrote."""

import json

import numpy as np
import pytest

import cymbals
from cymbals.compat import spark

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
METADATA = {"class": "org.apache.spark.ml.recommendation.ALSModel", "rank": 3, "sparkVersion": "4.0.0"}


def write(folder, metadata=METADATA, parts=2, factors=3):
    """A model of the users 0, 10, 20, ... and the items 0, 7, 14, ..., in files whose rows are in no order."""
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "part-00000").write_text(json.dumps(metadata) + "\n")
    for name, side, step in (("userFactors", X, 10), ("itemFactors", Y, 7)):
        (folder / name).mkdir()
        (folder / name / "_SUCCESS").touch()
        for part in range(parts):
            rows = np.arange(len(side))[::-1][part::parts]
            features = pa.array([row[:factors].tolist() for row in side[rows]], pa.list_(pa.float32()))
            table = pa.table({"id": pa.array(rows * step, pa.int32()), "features": features})
            parquet.write_table(table, folder / name / f"part-{part}-x.snappy.parquet")
    return folder


@pytest.mark.parametrize("parts", [1, 2, 7])  # with 7, some files are empty
def test_load(tmp_path, parts):
    model = spark.load(write(tmp_path / "model", parts=parts), implicitPrefs=True, regParam=0.3, alpha=4.0)
    assert model.user_ids_.tolist() == [0, 10, 20, 30, 40]
    assert model.item_ids_.tolist() == [0, 7, 14, 21]
    assert np.array_equal(model.user_factors_, X)
    assert np.array_equal(model.item_factors_, Y)
    assert (model.alpha, model.regularization, model.nu, model.row_size, model.factors) == (4.0, 0.3, 1.0, "entries", 3)
    ids, scores = model.recommend(20, n=2, exclude_seen=False)
    assert ids.tolist() == (7 * np.argsort(-(Y @ X[2]))[:2]).tolist()
    np.testing.assert_allclose(scores, np.sort(Y @ X[2])[::-1][:2], rtol=1e-5, atol=1e-6)


def test_folders_that_hold_no_model(tmp_path):
    cases = {
        "absent": (tmp_path / "absent", "it has no metadata"),
        "other": (write(tmp_path / "other", {"class": "org.apache.spark.ml.PipelineModel", "rank": 3}), "not an ALSModel"),
        "no rank": (write(tmp_path / "rank", {"class": "ALSModel"}), "it has no metadata with a class and a rank"),
        "list": (write(tmp_path / "list", [1, 2]), "it has no metadata with a class and a rank"),
        "no files": (write(tmp_path / "files", parts=0), "has no Parquet files"),
        "shorter": (write(tmp_path / "shorter", factors=2), "has 6 factors in 3 rows, but the model's rank is 3"),
    }
    for folder, message in cases.values():
        with pytest.raises(ValueError, match=message):
            spark.load(folder)
    with pytest.raises(ValueError, match="regPram is no setting of spark"):
        spark.load(write(tmp_path / "good"), regPram=0.1)
    with pytest.raises(TypeError, match="path must be the path of a file"):
        spark.load(5)


def test_the_ratings_are_matched_by_id(tmp_path):
    ratings = cymbals.Interactions.from_arrays([40, 0, 0, 99], [7, 21, 0, 7], [1.0, 2.0, 3.0, 4.0])
    with pytest.warns(UserWarning, match="1 of 4 entries are left out"):
        model = spark.load(write(tmp_path / "model"), ratings, implicitPrefs=True)
    assert model.state_.seen.to_scipy().toarray()[0].tolist() == [3, 0, 0, 2]
    assert set(model.recommend(0, 4)[0].tolist()) == {7, 14, -1}
