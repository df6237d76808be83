"""Interactions from Arrow tables and streams."""

import numpy as np
import pytest

from cymbals import Interactions


def test_from_arrow():
    """Batches, dictionaries, small whole numbers, times; a stream is read once and may have other columns."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "who": pa.array(["ann", "bob", "ann", "cy"]).dictionary_encode(),
            "what": pa.array([7, 7, 7, 9], pa.int32()),
            "plays": pa.array([1, 2, 3, 4], pa.int8()),
            "when": pa.array([3, 1, 5, 2], pa.timestamp("us")),
            "note": ["x"] * 4,
        }
    )
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))
    data = Interactions.from_arrow(reader, "who", "what", "plays", "when", item_names={7: "seven"})
    assert data.user_items.toarray().tolist() == [[4, 0], [2, 0], [0, 4]]
    assert data.user_ids.tolist() == ["ann", "bob", "cy"]
    assert data.times.astype(np.int64).tolist() == [5000, 1000, 2000]
    assert data.item_names.tolist() == ["seven", None]
    assert Interactions.from_arrow(table, "who", "what", None).nnz == 3
    assert Interactions.from_arrow(table.slice(0, 0), "who", "what", "plays").shape == (0, 0)
    with pytest.raises(KeyError, match="no such column; the table has who, what, plays, when, note"):
        Interactions.from_arrow(table)
    with pytest.raises(ValueError, match="row 1 has no id"):
        Interactions.from_arrow(pa.table({"user": ["a", None], "item": [1, 2], "value": [1, 1]}))
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        Interactions.from_arrow({"user": [1]})
