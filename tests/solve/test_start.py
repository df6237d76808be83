"""Where a fit starts: random numbers, given arrays, another model, arrays of other libraries."""

import numpy as np
import pytest
import reference
from bad_input import check_refused
from conftest import SMALL, random_matrix

import cymbals
from cymbals import ALS, Interactions
from cymbals.solve.start import noise


def test_start(matrix, data):
    rng = np.random.default_rng(5)
    start = rng.standard_normal((80, 12))[:, ::2], np.asfortranarray(rng.standard_normal((50, 6)))
    kept = [s.copy() for s in start]
    a = ALS(factors=6, iterations=3, relaxation=1).fit(matrix, init=start)
    b = ALS(factors=6, iterations=2, relaxation=1).fit(matrix, init=start)
    c = ALS(factors=6, iterations=1, relaxation=1).fit(matrix, init=b)
    assert all(np.array_equal(s, k) for s, k in zip(start, kept, strict=True))
    scores = a.user_factors_ @ a.item_factors_.T
    assert np.abs(c.user_factors_ @ c.item_factors_.T - scores).max() < 1e-3 * np.abs(scores).max()
    half = Interactions.from_csr(matrix[40:], user_ids=data.user_ids[40:], item_ids=data.item_ids)
    fitted = ALS(factors=6, random_state=0).fit(half)
    assert ALS(factors=6, random_state=0, iterations=1).fit(data, init=fitted).n_iter_ == 1


def test_equal_random_states_give_equal_starts(matrix):
    def factors(state):
        return ALS(factors=3, iterations=1, random_state=state).fit(matrix).item_factors_

    assert np.array_equal(factors(7), factors(np.random.default_rng(7)))
    assert np.array_equal(factors(np.random.RandomState(1)), factors(np.random.RandomState(1)))
    assert not np.array_equal(factors(None), factors(None))


def test_philox_is_that_of_its_authors():
    """Known answers of the Random123 library, so that the reference itself is checked."""
    assert reference.philox((0, 0, 0, 0), (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert reference.philox((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("biases", [False, True])
def test_a_row_depends_on_key_side_and_number_alone(dtype, biases):
    key = 0xFEDCBA9876543210
    for rank in (*range(1, 10), 64, 130):
        for side, rows in ((0, range(3)), (1, range(2**33 - 2, 2**33 + 3))):
            drawn = noise(key, side, rows, rank, dtype, biases, 2) / (0.1 / np.sqrt(rank))
            want = [reference.normal_row(key, side, row, rank) for row in rows]
            assert drawn.shape == (len(rows), rank + biases)
            np.testing.assert_allclose(drawn[:, :rank], want, rtol=0, atol=2e-6)
            assert not biases or not drawn[:, rank].any()
    whole, part = noise(key, 0, range(5000), 30, dtype, biases, 2), noise(key, 0, range(1700, 5000), 30, dtype, biases, 1)
    assert np.array_equal(part, whole[1700:])


def test_starts_are_normal():
    drawn = noise(5, 0, range(200_000), 4, "float64", False, 2).ravel() / 0.05
    bins = np.histogram(drawn, [-np.inf, -2, -1, -0.5, 0, 0.5, 1, 2, np.inf])[0] / drawn.size
    want = [0.02275, 0.13591, 0.14988, 0.19146, 0.19146, 0.14988, 0.13591, 0.02275]
    np.testing.assert_allclose(bins, want, atol=5 * 0.5 / np.sqrt(drawn.size))
    assert 4 < np.abs(drawn).max() < 6.7
    squares = drawn.reshape(-1, 4) ** 2
    assert np.abs(np.corrcoef(squares.T) - np.eye(4)).max() < 5 / np.sqrt(squares.shape[0])


class OnlyDlpack:
    """An array of another library, which speaks DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_factors_are_exchanged_without_copies(tmp_path):
    """Factors can be read by the buffer protocol and DLPack, also if they are memory-mapped; a start is read by DLPack."""
    matrix = random_matrix((30, 20))
    model = cymbals.ALS(factors=4, iterations=2, random_state=0).fit(matrix)
    for factors in (model.user_factors_, model.item_factors_):
        assert np.shares_memory(np.from_dlpack(factors), factors)
        assert memoryview(factors).shape == factors.shape
    model.save(tmp_path / "m.cymbals")
    mapped = cymbals.load(tmp_path / "m.cymbals", mmap=True)
    assert memoryview(mapped.item_factors_).readonly
    start = (model.user_factors_, model.item_factors_)
    want = cymbals.ALS(factors=4, iterations=1).fit(matrix, init=start)
    got = cymbals.ALS(factors=4, iterations=1).fit(matrix, init=tuple(map(OnlyDlpack, start)))
    assert np.array_equal(got.item_factors_, want.item_factors_)


def test_wrong_starting_factors_of_other_libraries_are_refused():
    class OnDevice:
        def __array__(self, *args, **kwargs):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    matrix = random_matrix((30, 20))
    with pytest.raises(TypeError, match="Y0 must be an array in main memory that NumPy can read: can't convert cuda"):
        cymbals.ALS(factors=4).fit(matrix, init=(np.zeros((30, 4)), OnDevice()))


def test_masked_starting_factors():
    y = np.ma.array(np.ones((12, 3)))
    y[4, 1] = y[7] = np.ma.masked
    with pytest.raises(ValueError, match=r"init: Y0: 4 of 36 values are masked, the first at row 4"):
        ALS(factors=3).fit(SMALL, init=(np.ones((20, 3)), y))


X0, Y0 = np.ones((20, 4)), np.ones((12, 4))
NAMED = Interactions.from_csr(SMALL, user_ids=[f"u{i}" for i in range(20)])
STARTS = {  # name: a function that returns `init`
    "one array": lambda: X0,
    "three": lambda: (X0, Y0, Y0),
    "swapped": lambda: (Y0, X0),
    "wrong rank": lambda: (X0[:, :3], Y0[:, :3]),
    "nan": lambda: (X0 * np.nan, Y0),
    "inf": lambda: (X0, Y0 * np.inf),
    "text": lambda: (X0.astype(str), Y0),
    "none inside": lambda: (None, Y0),
    "number": lambda: 3,
    "unfitted": lambda: ALS(),
    "other rank": lambda: ALS(factors=3, iterations=1).fit(SMALL),
    "too large": lambda: (X0 * 1e300, Y0),
    "other ids": lambda: ALS(factors=4, iterations=1).fit(NAMED),
}
CASES = {f"init {name}": (make, "" if name == "unfitted" else "init") for name, make in STARTS.items()}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name):
    make, words = CASES[name]
    init = make()
    check_refused(lambda: ALS(factors=4).fit(SMALL, init=init), words)
