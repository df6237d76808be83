"""The memory that a fit is predicted to take, against what it takes."""

import json
import pickle
import sys

import numpy as np
import pytest
from conftest import random_matrix, run_python

import cymbals
from cymbals import ALS, Interactions
from cymbals.model.memory import MemoryNeeded

FIT = """
import ctypes, json, sys, threading
import numpy as np, scipy.sparse as sp
import cymbals

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))

store, params = json.loads({settings!r})
rng = np.random.default_rng(0)
data = cymbals.Interactions.from_arrays(
    rng.integers(0, 400_000, 2_000_000), rng.integers(0, 60_000, 2_000_000), shape=(400_000, 60_000)
)
if store:
    data.save(store)
    data = cymbals.Interactions.open(store)
model = cymbals.ALS(iterations=1, random_state=0, **params)
cymbals.ALS(params["factors"], iterations=1, random_state=0).fit(sp.random_array((100, 80), density=0.1, rng=0))
predicted = model.memory_needed(data)
ctypes.CDLL(None).malloc_trim(0)
peak, done = [before := anonymous()], threading.Event()

def sample():
    while not done.wait(0.0005):
        peak.append(anonymous())

thread = threading.Thread(target=sample)
thread.start()
model.fit(data)
done.set()
thread.join()
print(json.dumps([int(predicted), max(peak) - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much anonymous memory a process has")
@pytest.mark.parametrize(
    ("params", "store"),
    [
        ({"factors": 128, "n_threads": 2}, False),
        ({"factors": 64, "objective": "explicit", "biases": True}, False),
        ({"factors": 100, "nu": 1.0}, True),
    ],
)
def test_prediction(params, store, tmp_path):
    settings = json.dumps([str(tmp_path / "s") if store else "", params])
    predicted, measured = json.loads(run_python(FIT.format(settings=settings)))
    assert 0.88 < predicted / measured < 1.12


def test_parts():
    data = Interactions.from_csr(random_matrix((500, 300)))
    needed = ALS(16, n_threads=1).memory_needed(data)
    assert needed == sum(needed.parts.values())
    assert needed.parts["factors"] == 4 * 16 * 800
    assert "factors 51.2 kB" in repr(needed)
    assert repr(needed).startswith("6.")
    assert f"{needed:,}".startswith("6,")
    copy = pickle.loads(pickle.dumps(needed))
    assert (copy, copy.parts) == (needed, needed.parts)
    assert MemoryNeeded({"a": 3, "b": 0}).parts == {"a": 3}


def test_what_needs_more():
    matrix = random_matrix((500, 300))
    data, zeros = Interactions.from_csr(matrix), matrix.copy()
    zeros.data[::5] = 0
    plain = ALS(16, n_threads=1).memory_needed(data)
    for more in (
        ALS(16, n_threads=2).memory_needed(data),
        ALS(16, n_threads=1, dtype="float64").memory_needed(data),
        ALS(16, n_threads=1).memory_needed(data, callback=True),
        ALS(16, n_threads=1, confidence=np.sqrt).memory_needed(data),
        ALS(16, n_threads=1).memory_needed(zeros),
    ):
        assert more > plain
    data.by_item()
    assert ALS(16, n_threads=1).memory_needed(data) < plain


@pytest.mark.parametrize(
    "params",
    [{}, {"dtype": "float64"}, {"objective": "explicit", "biases": True}, {"solver": "exact", "nu": 1.0}, {"tol": 1e-9}],
)
def test_factors_in_files_have_the_same_bits(params, tmp_path):
    data = Interactions.from_csr(random_matrix((90, 70)))
    want = ALS(6, random_state=0, **params).fit(data)
    got = ALS(6, random_state=0, **params).fit(data, factors_path=tmp_path)
    assert np.array_equal(want.user_factors_, got.user_factors_)
    assert np.array_equal(want.item_factors_, got.item_factors_)
    assert str(want.recommend(range(90))) == str(got.recommend(range(90)))
    got.save(tmp_path / "model")
    assert np.array_equal(cymbals.load(tmp_path / "model").item_factors_, want.item_factors_)
    again = ALS(6, random_state=0, **params).fit(data, factors_path=tmp_path, init=got, callback=lambda model, i: i == 2)
    assert again.n_iter_ == 2


def test_factors_in_files_do_not_count():
    data = Interactions.from_csr(random_matrix((500, 300)))
    in_memory, on_disk = (ALS(16).memory_needed(data, factors_on_disk=on_disk) for on_disk in (False, True))
    assert in_memory - on_disk == 4 * 16 * 800


def test_a_fit_that_needs_too_much_is_refused(tmp_path):
    data = Interactions.from_csr(random_matrix((500, 300)))
    model = ALS(16, random_state=0)
    needed = model.memory_needed(data)
    with pytest.raises(
        ValueError, match=r"max_memory is 2 MB, but the fit needs \d.* MB: .*; use fewer factors or threads"
    ):
        model.fit(data, max_memory="2MB")
    with pytest.raises(ValueError, match="max_memory is"):
        model.fit(data, max_memory=int(needed) - 1)
    assert not hasattr(model, "item_factors_")
    model.fit(data, max_memory=int(needed))
    assert model.fit(data, max_memory=int(needed) - 1, factors_path=tmp_path).n_iter_ == 15


def test_bad_arguments_are_refused(tmp_path):
    data = random_matrix((50, 30))
    for call, words in (
        (lambda: ALS(0).memory_needed(data), "factors must be from 1"),
        (lambda: ALS(4).memory_needed(np.ones((3, 3))), "train must be Interactions or a scipy sparse"),
        (lambda: ALS(4).memory_needed(data, callback=print), "callback must be True or False"),
        (lambda: ALS(4).memory_needed(data, factors_on_disk=1), "factors_on_disk must be True or False"),
        (lambda: ALS(4).fit(data, max_memory="much"), "max_memory must be a number of bytes, or a text such as '4GB'"),
        (lambda: ALS(4).fit(data, max_memory=1.5), "max_memory must be a number of bytes, or a text such as '4GB'"),
        (lambda: ALS(4).fit(data, max_memory=-1), "max_memory must be from 0"),
        (lambda: ALS(4).fit(data, factors_path=3), "factors_path must be the path"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()
    with pytest.raises(OSError, match="factors_path must be a folder that you can write to"):
        ALS(4).fit(data, factors_path=tmp_path / "absent")
