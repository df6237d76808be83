"""Models in MLflow's local stores: a SQLite database and a folder."""

import doctest
import json
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import run_listing

import cymbals.adapters
from cymbals import ALS, Interactions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own modules when it is imported
    pytest.importorskip("mlflow.pyfunc", reason="MLflow is not installed; see docs/develop/frameworks.md")
import mlflow
import pandas as pd
from mlflow.models import ModelSignature, convert_input_example_to_serving_input, validate_serving_input
from mlflow.types import DataType, ParamSchema, ParamSpec

from cymbals.adapters.mlflow import load_model, log_model, save_model

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow and its libraries warn of each other
N_USERS, N_ITEMS = 30, 20


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The address of a SQLite database, which takes MLflow seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def store(database, tmp_path, monkeypatch):
    """MLflow writes to the database, and to a new folder."""
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(database)
    yield tmp_path
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module", params=["texts", "numbers"])
def model(request):
    rng = np.random.default_rng(0)
    users, items, plays = rng.integers(N_USERS, size=200), rng.integers(N_ITEMS, size=200), rng.integers(1, 9, 200)
    if request.param == "texts":
        users, items = [f"u{u}" for u in users], [f"i{i}" for i in items]
        names = {item: f"the {item}" for item in items}
    else:
        names = None
    data = Interactions.from_arrays(users, items, plays, item_names=names)
    return ALS(factors=4, confidence="log", random_state=0).fit(data)


@pytest.fixture
def served(model, tmp_path):
    save_model(model, tmp_path / "model")
    return mlflow.pyfunc.load_model(str(tmp_path / "model"))


@pytest.mark.parametrize("kind", ["database", "folder"])
def test_logged_model_is_the_model(model, kind, tmp_path, monkeypatch):
    if kind == "folder":
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3.17 refuses folders otherwise
        mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run():
        info = log_model(model, name="artists", registered_model_name="artists")
    for uri in (info.model_uri, f"models:/artists/{info.registered_model_version}"):
        again = load_model(uri)
        assert type(again) is ALS
        assert again.get_params() == model.get_params()
        np.testing.assert_array_equal(again.item_factors_, model.item_factors_)
        assert again.user_ids_.tolist() == model.user_ids_.tolist()
        served = mlflow.pyfunc.load_model(uri)
        pd.testing.assert_frame_equal(
            served.predict(pd.DataFrame({"user": model.user_ids_[:3]})), model.recommend(model.user_ids_[:3], to_frame=True)
        )


def test_the_artifact_is_the_model_file(model, tmp_path):
    save_model(model, tmp_path / "model")
    model.save(tmp_path / "file")
    stored = tmp_path / "model" / "data" / "model.cymbals"
    assert stored.read_bytes() == (tmp_path / "file").read_bytes()
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    content = np.frombuffer(stored.read_bytes(), np.uint8).copy()
    content[content.size // 2 :] ^= 1
    stored.write_bytes(content.tobytes())
    with pytest.raises(cymbals.ModelFileError):
        load_model(str(tmp_path / "model"))


def test_requirements_are_recorded(model, tmp_path):
    save_model(model, tmp_path / "model")
    lines = (tmp_path / "model" / "requirements.txt").read_text().split()
    assert f"cymbals=={cymbals.__version__}" in lines
    assert f"pandas=={pd.__version__}" in lines
    save_model(model, tmp_path / "other", pip_requirements=["cymbals>=0.1"])
    assert "cymbals>=0.1" in (tmp_path / "other" / "requirements.txt").read_text().split()


def test_params_mean_what_they_mean_in_recommend(model, served):
    users = model.user_ids_[[4, 0, 4]]
    asked = pd.DataFrame({"user": users})
    for params in ({"n": 3}, {"n": 50, "exclude_seen": False}, {}):
        pd.testing.assert_frame_equal(served.predict(asked, params), model.recommend(users, **params, to_frame=True))
    stranger = "nobody" if model.user_ids_.dtype == object else 1000
    with pytest.raises(KeyError, match=f"no user {stranger!r}"):
        served.predict(pd.DataFrame({"user": [stranger]}))
    popular = served.predict(pd.DataFrame({"user": [stranger]}), {"unknown": "popular", "n": 3})
    assert popular["item"].tolist() == model.popular(3)[0].tolist()


def test_histories(model, served):
    a, b, c = model.item_ids_[:3].tolist()
    found = served.predict(pd.DataFrame({"history": [[a, b], [c]]}), {"n": 4})
    pd.testing.assert_frame_equal(found, model.recommend(history=[[a, b], [c]], n=4, to_frame=True))
    assert found["user"].tolist() == [0] * 4 + [1] * 4
    valued = served.predict(pd.DataFrame({"history": [[a, b, a]], "values": [[5.0, 1.0, 2.0]]}))
    pd.testing.assert_frame_equal(valued, model.recommend(history=[{a: 7.0, b: 1.0}], to_frame=True))
    with pytest.raises(ValueError, match="2 items in 'history', but 1 in 'values'"):
        served.predict(pd.DataFrame({"history": [[a, b]], "values": [[5.0]]}))


def test_no_requests_get_no_answers(model, served):
    for column in ("user", "history"):
        answer = served.predict(pd.DataFrame({column: []}, dtype=model.user_ids_.dtype if column == "user" else object))
        assert len(answer) == 0
        assert {"user", "rank", "item", "score"} <= set(answer)


@pytest.mark.parametrize("columns", [["person"], ["user", "history"], []])
def test_other_frames_are_refused(model, served, columns):
    content = {"user": model.user_ids_[:1], "history": [model.item_ids_[:1].tolist()], "person": ["x"]}
    with pytest.raises(ValueError, match="a column 'user' or a column 'history', got"):
        served.predict(pd.DataFrame({column: content[column] for column in columns}))


def test_requests_over_http_are_json(model, tmp_path):
    uri = str(tmp_path / "model")
    save_model(model, uri)
    user, item = model.user_ids_[:1].tolist()[0], model.item_ids_[:1].tolist()[0]
    request = {"dataframe_records": [{"user": user}], "params": {"n": 2}}
    answer = validate_serving_input(uri, json.dumps(request))
    assert answer["item"].tolist() == model.recommend(user, n=2)[0].tolist()
    example = json.loads((tmp_path / "model" / "serving_input_example.json").read_text())
    assert example == json.loads(convert_input_example_to_serving_input(pd.DataFrame({"history": [[item]]})))
    assert len(validate_serving_input(uri, json.dumps(example))) == 10


def test_the_signature_describes_the_answer(model, served):
    answer = served.predict(pd.DataFrame({"user": model.user_ids_[:2]}))
    assert served.metadata.get_output_schema().input_names() == list(answer)
    assert {spec.name: spec.default for spec in served.metadata.get_params_schema()} == {
        "n": 10,
        "exclude_seen": True,
        "unknown": "raise",
    }


def test_settings_of_mlflow_can_be_given(model, tmp_path):
    signature = ModelSignature(params=ParamSchema([ParamSpec("n", DataType.long, 3)]))
    save_model(model, tmp_path / "model", metadata={"owner": "ann"}, signature=signature)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert loaded.metadata.metadata == {"owner": "ann"}
    a, b = model.item_ids_[:2].tolist()
    valued = loaded.predict(pd.DataFrame({"history": [{a: 2.0, b: 1.0}]}))
    pd.testing.assert_frame_equal(valued, model.recommend(history={a: 2.0, b: 1.0}, n=3, to_frame=True))


def test_what_cannot_be_stored_leaves_nothing(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(cymbals.NotFittedError):
        save_model(ALS(), path)
    with pytest.raises(ValueError, match="confidence is a function"):
        save_model(ALS(confidence=np.sqrt, random_state=0).fit(sp.eye_array(5)), path)
    with pytest.raises(TypeError, match="model must be"):
        save_model("model", path)
    assert not path.exists()


def test_models_of_other_libraries_are_refused(tmp_path):
    class Other(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input

    mlflow.pyfunc.save_model(str(tmp_path / "other"), python_model=Other(), pip_requirements=[])
    with pytest.raises(ValueError, match=r"is a model of mlflow.pyfunc.model, not of cymbals.adapters.mlflow"):
        load_model(str(tmp_path / "other"))


def test_the_example_runs():
    failed, attempted = doctest.testmod(cymbals.adapters.mlflow)
    assert failed == 0
    assert attempted > 0


def test_the_listings_of_the_docs_run(store):
    names = run_listing("MLflow", store)
    assert names["model"].recommend("bob", n=1)[0].tolist() == ["blur"]
    names = run_listing("Experiment trackers", store)
    run = mlflow.last_active_run()
    losses = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in losses] == list(range(1, 16))
    assert losses[-1].value < losses[0].value
    assert run.data.metrics["ndcg10"] == names["cymbals"].evaluate(names["model"], names["train"], names["test"])["ndcg@10"]
    assert run.data.params["factors"] == "16"
