"""Recommendations for all users as an Arrow stream, and factors as Arrow tables."""

import numpy as np
import pytest
from conftest import random_matrix

from cymbals import ALS, Interactions
from cymbals.model import exporting_model

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
M = random_matrix((70, 40), 0.3, values=(1, 9))


@pytest.fixture(scope="module", params=["numbers", "strings", "none"])
def model(request):
    users, items = [100 + k for k in range(70)], [1000 - k for k in range(40)]
    if request.param == "strings":
        users, items = [f"u{k}" for k in users], [f"i{k}" for k in items]
    data = Interactions.from_csr(M, users, items, {items[3]: "three"}) if request.param != "none" else M
    return ALS(factors=5, random_state=0).fit(data)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(exporting_model, "_USERS", 16)


@pytest.mark.parametrize(
    "options", [{}, {"exclude_seen": False}, {"n": 40}, {"exclude": range(30)}, {"candidates": [1, 5]}]
)
def test_recommend_all_is_recommend_for_all(model, options, small_batches):
    for name in ("exclude", "candidates"):
        if name in options:
            options = options | {name: model.item_ids_[list(options[name])]}
    table = pa.table(model.recommend_all(**options))
    assert table.schema.names == ["user", "rank", "item", "score"]
    ids, scores = model.recommend(model.user_ids_, **options)
    filled = scores > -np.inf
    query, place = np.nonzero(filled)
    assert table["user"].to_pylist() == model.user_ids_[query].tolist()
    assert table["rank"].to_pylist() == (place + 1).tolist()
    assert table["item"].to_pylist() == ids[filled].tolist()
    np.testing.assert_allclose(table["score"].to_numpy(), scores[filled], rtol=1e-6)


def test_recommend_all_of_some_users_in_their_order(model):
    some = model.user_ids_[[5, 2, 60]]
    table = pa.table(model.recommend_all(3, some))
    assert table["user"].to_pylist() == np.repeat(some, 3).tolist()
    with pytest.raises(KeyError, match="users: no user"):
        model.recommend_all(3, ["nobody"] if some.dtype == object else [-7])


def test_the_stream_reads_the_state_of_the_call_again_and_again(small_batches):
    model = ALS(factors=5, random_state=0).fit(M)
    stream = model.recommend_all(2)
    before = pa.table(stream)
    model.update(([3], [5], [50.0]))
    assert pa.table(stream).equals(before)
    assert [batch.num_rows for batch in stream] == [30, 32, 32, 32, 12]  # one user has all items
    assert not pa.table(model.recommend_all(2)).equals(before)


def test_parquet_is_written_as_a_whole(model, tmp_path, monkeypatch):
    path = tmp_path / "all.parquet"
    assert model.recommend_all(3).to_parquet(path) == 207  # one user has all items
    assert parquet.read_table(path).equals(pa.table(model.recommend_all(3)))
    before = path.read_bytes()
    stream = model.recommend_all(3)

    def fails(*args):
        raise RuntimeError

    monkeypatch.setattr(type(model), "_ranked", fails)
    with pytest.raises(RuntimeError):
        stream.to_parquet(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["all.parquet"]


def test_other_libraries_read_the_stream(model):
    want = pa.table(model.recommend_all(2))
    polars = pytest.importorskip("polars", reason="polars is not installed")
    assert polars.from_arrow(pa.table(model.recommend_all(2))).rows() == polars.from_arrow(want).rows()
    assert polars.DataFrame(model.recommend_all(2)).rows() == polars.from_arrow(want).rows()


def test_the_stream_keeps_no_array_of_the_caller(model):
    users, mask = model.user_ids_[[5, 2, 60]].copy(), np.arange(40) % 2 == 0
    stream = model.recommend_all(3, users, exclude=mask)
    before = pa.table(stream)
    users[:] = model.user_ids_[0]
    mask[:] = True
    assert pa.table(stream).equals(before)
    empty = model.recommend_all(3, [])
    assert empty.schema == stream.schema
    assert "function" not in repr(empty)


def test_recommend_all_refuses(model):
    for call, kind in (
        (lambda: model.recommend_all(0), ValueError),
        (lambda: model.recommend_all(exclude=M), TypeError),
        (lambda: model.recommend_all(candidates=np.ones(3, bool)), ValueError),
        (lambda: model.recommend_all(exclude_seen=1), TypeError),
    ):
        with pytest.raises(kind):
            call()
    stripped = model.snapshot()
    stripped.replace_state(model.state_.changed(seen=None))
    with pytest.raises(ValueError, match="no interactions"):
        stripped.recommend_all()
    assert sum(batch.num_rows for batch in stripped.recommend_all(1, exclude_seen=False)) == 70


def vectors(table):
    return np.array(table["vector"].to_pylist())


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exported_factors_give_the_scores(dtype, biases):
    settings = {"objective": "explicit", "biases": biases, "regularization": 0.2, "dtype": dtype}
    data = Interactions.from_csr(M, item_ids=[f"i{k}" for k in range(40)], item_names={"i3": "three"})
    model = ALS(factors=5, random_state=0, **settings).fit(data)
    items, users = model.export_factors("items"), model.export_factors("users")
    assert items.schema.names == ["id", "name", "vector"]
    assert users.schema.names == ["id", "vector"]
    assert items["id"].to_pylist() == model.item_ids_.tolist()
    assert items["name"].to_pylist()[2:4] == [None, "three"]
    kind = pa.float32() if dtype == "float32" else pa.float64()
    assert items.schema.field("vector").type == pa.list_(kind, 7 if biases else 5)
    scores = vectors(users) @ vectors(items).T
    want = np.array([[model.predict([u], [i])[0] for i in model.item_ids_] for u in (0, 7)])
    np.testing.assert_allclose(scores[[0, 7]], want, rtol=1e-4, atol=1e-5)


def test_augmented_vectors_rank_by_cosine_and_by_distance(model):
    items, users = (vectors(model.export_factors(side, augment=True)) for side in ("items", "users"))
    scores = users @ items.T
    lengths = np.linalg.norm(items, axis=1)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-5)
    for user in (0, 7, 30):
        distances = np.linalg.norm(items - users[user], axis=1)
        order = np.argsort(-scores[user])
        assert np.all(np.diff(distances[order]) > -1e-4)
        cosines = scores[user] / lengths
        assert np.all(np.diff(cosines[order]) < 1e-5)
    both = vectors(model.export_factors("items", augment=True, normalize=True))
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, rtol=1e-5)


def test_normalized_vectors_have_length_1(model):
    biased = ALS(factors=4, objective="explicit", biases=True, random_state=0).fit(M)
    ids, cosines = biased.similar_items(4, 3)
    found = vectors(biased.export_factors("items", normalize=True))
    np.testing.assert_allclose(found[ids] @ found[4], cosines, rtol=1e-4)
    for side, factors in (("items", model.item_factors_), ("users", model.user_factors_)):
        found = vectors(model.export_factors(side, normalize=True))
        lengths = np.linalg.norm(factors, axis=1)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths > 0, atol=1e-5)
    ids, cosines = model.similar_items(model.item_ids_[4], 3)
    rows = model.items_.rows("items", ids)
    found = vectors(model.export_factors("items", normalize=True))
    np.testing.assert_allclose(found[rows] @ found[4], cosines, rtol=1e-4)
    with pytest.raises(ValueError, match="side must be one of"):
        model.export_factors("both")
