"""Kernels against dense NumPy, in one process. Most tests run at every instruction set of this machine."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import reference
from conftest import csr_of, dense_of, objective, random_matrix

from cymbals import SolveError, _core
from cymbals._core import Workspace
from cymbals.metrics.loss import loss
from cymbals.profiling.doctor import supported
from cymbals.solve.basis import eigenbasis, gramian
from cymbals.solve.compact import Copy, Whitening, heaviest_weights, heavy_rows, weighted_spectrum
from cymbals.solve.fold_in import FixedSide
from cymbals.solve.half_step import ALWAYS, NEVER, Part, Settings, half_step, solve_rows

SETS = list(supported().values())
RANKS = [*range(1, 18), 23, 31, 32, 33, 47, 48, 63, 64, 65, 96, 100, 127, 128, 129, 130, 257]
SHAPE = (24, 70)


def scores_of(kind, solve, simd, dtype, rank, matrix, *, alpha=2.0, alpha0=0.7, nu=0.0, reg=0.1, index=None, compact=False):
    """The scores after one half-step from a random start, the scores of the reference, and the solve info."""
    rng = np.random.default_rng(0)
    y = (rng.standard_normal((matrix.shape[1], rank)) * 0.3).astype(dtype)
    x = (rng.standard_normal((matrix.shape[0], rank)) * 0.3).astype(dtype)
    want = reference.solve(dense_of(matrix), y.astype(np.float64), kind, reg, nu, alpha, alpha0) @ y.T.astype(np.float64)
    tolerance = 1e-11 if dtype == "float64" else 1e-6
    goal = objective(kind, alpha, alpha0, reg, nu)
    settings = Settings(goal, solve, 400, tolerance, compact=ALWAYS * compact)
    info = half_step(csr_of(matrix, index), y, x, settings, Workspace(2, simd))
    return x @ y.T, want, info


def assert_close(got, want, dtype, times=1):
    assert np.abs(got - want).max() <= times * (1e-8 if dtype == "float64" else 5e-4) * np.abs(want).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("solve", ["auto", "cg", "exact", "dual", "primal"])
def test_half_step_at_every_rank(solve, simd, dtype):
    matrix = random_matrix(SHAPE)
    for rank in RANKS:
        got, want, info = scores_of("hu", solve, simd, dtype, rank, matrix)
        assert_close(got, want, dtype)
        assert info["rows_empty"] == 1
        assert not got[1].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["hu", "ials", "explicit"])
def test_objectives_with_scaled_regularization(kind, nu, simd, dtype):
    for rank in (3, 16, 50):
        for solve in ("auto", "exact"):
            got, want, _ = scores_of(kind, solve, simd, dtype, rank, random_matrix(SHAPE), nu=nu)
            assert_close(got, want, dtype)


@pytest.mark.parametrize(
    ("kind", "confidence"),
    [
        ("hu", "linear"),
        ("hu", "log"),
        ("hu", "binary"),
        ("hu", "total"),
        ("ials", "linear"),
        ("ials", "log"),
        ("ials", "binary"),
    ],
)
@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("solve", ["auto", "exact"])
def test_confidences(kind, confidence, solve, simd):
    matrix = random_matrix(SHAPE, values=(1, 400))
    matrix.data[::7] *= 1 if kind == "ials" else -1
    matrix.data[::5] /= 500  # with "total", weights below those of cells without an entry
    y = np.random.default_rng(0).standard_normal((SHAPE[1], 20)) * 0.3
    want = reference.solve(dense_of(matrix), y, kind, 0.1, 0.0, 3.0, 0.5, confidence) @ y.T
    x = np.zeros((SHAPE[0], 20))
    settings = Settings(objective(kind, 3.0, 0.5, 0.1, 0.0, confidence), solve, cg_tolerance=1e-12)
    half_step(csr_of(matrix), y, x, settings, Workspace(2, simd))
    assert_close(x @ y.T, want, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
def test_negative_feedback(solve, simd, dtype):
    matrix = random_matrix(SHAPE, values=(-3, 5))
    matrix.eliminate_zeros()
    for rank in (5, 16, 40):
        got, want, _ = scores_of("hu", solve, simd, dtype, rank, matrix, alpha0=1.0)
        assert_close(got, want, dtype)


@pytest.mark.parametrize("simd", SETS)
def test_confidence_below_unobserved_weight(simd):
    """Weights a < 0 are accepted if the system is definite. If it is not, an error names the row."""
    matrix = random_matrix(SHAPE, values=(1, 3))
    rng = np.random.default_rng(0)
    y = rng.standard_normal((SHAPE[1], 12)) * 0.3
    for solve in ("auto", "cg", "exact"):
        got, want, _ = scores_of("hu", solve, simd, "float64", 12, matrix, alpha=0.5, alpha0=1.8, reg=0.1)
        assert_close(got, want, "float64")
    few = np.repeat(y[:1], SHAPE[1], axis=0)  # equal items, no Gramian: weights below 0 make the system indefinite
    x = np.zeros((SHAPE[0], 12))
    spectrum = np.zeros(12)
    settings = Settings(objective("hu", 0.5, 5.0, 0.01), "exact")
    with pytest.raises(SolveError, match="positive definite") as failure:
        solve_rows(csr_of(matrix), few, spectrum, x, settings, Workspace(2, simd))
    assert failure.value.row == 0


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("nu", [0.0, 1.0])
def test_compact_changes_only_auto_and_cg_in_float32(simd, nu):
    """They give nearly the same from 16-bit copies, whatever the weights. Float64 and solver "exact" do not use copies."""
    for rank, density in ((1, 0.05), (7, 0.3), (16, 0.3), (33, 0.6), (130, 0.6)):
        matrix = random_matrix((30, 90), density)
        got = {}
        for dtype, solve, alpha, compact in itertools.product(
            ("float32", "float64"), ("cg", "auto", "exact"), (2.0, 1e3, 1e6), (True, False)
        ):
            rng = np.random.default_rng(0)
            y = (rng.standard_normal((90, rank)) * 0.3).astype(dtype)
            x = (rng.standard_normal((30, rank)) * 0.3).astype(dtype)
            goal = objective("hu", alpha, 1.0, 0.1, nu)
            settings = Settings(goal, solve, 5, compact=ALWAYS * compact)
            half_step(csr_of(matrix), y, x, settings, Workspace(2, simd))
            got[dtype, solve, alpha, compact] = x @ y.T
        for dtype, solve, alpha in {key[:3] for key in got}:
            with_copy, without = got[dtype, solve, alpha, True], got[dtype, solve, alpha, False]
            if dtype == "float32" and solve != "exact":
                # the copy has 8 significant bits, and solving amplifies its rounding errors
                assert np.abs(with_copy - without).max() < 1e-2 * np.abs(without).max()
                assert np.abs(with_copy - without).max() > 0 or alpha > 2
            else:
                np.testing.assert_array_equal(with_copy, without)


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("nu", [0.0, 1.0])
@pytest.mark.parametrize("solve", ["auto", "cg"])
def test_a_copy_made_in_parts_gives_the_bits_of_the_whole(solve, nu, simd):
    """With the copy and the rows that heavy entries may name, the other fixed rows are not needed."""
    shape = (40, 150)
    for rank, density, alpha in itertools.product((1, 7, 16, 33, 64, 130), (0.05, 0.6), (2.0, 1e4)):
        matrix = random_matrix(shape, density, values=(-3, 6))
        matrix.eliminate_zeros()
        rows = csr_of(matrix)
        rng = np.random.default_rng(0)
        workspace = Workspace(2, simd)
        goal = objective("hu", alpha, 1.0, 0.1, nu)
        settings = Settings(goal, solve, 5, compact=ALWAYS, relaxation=1.3)
        y, x = ((0.3 * rng.standard_normal((n, rank))).astype(np.float32) for n in (shape[1], shape[0]))
        spectrum, basis = eigenbasis(gramian(y, workspace))
        _core.rotate(y, basis, workspace)
        want, got = x.copy(), x.copy()
        counts = solve_rows(rows, y, spectrum, want, settings, workspace)
        part = Part.of(goal, rows.indptr, shape[1])
        whitening = Whitening(weighted_spectrum(goal, spectrum), part.least_reg, part.most_reg)
        copy = Copy.empty(shape[1], rank)
        for begin in range(0, shape[1], 37):
            whitening.write(y[begin : begin + 37], copy, begin, workspace)
        columns = matrix.tocsc()
        columns.sort_indices()
        heaviest = heaviest_weights(goal, columns.indptr.astype(np.int64), columns.data)
        copy = copy._replace(heavy=heavy_rows(copy.leverage, heaviest))
        assert (copy.heavy.size > 0) == (alpha > 2)
        few = np.ascontiguousarray(y[copy.heavy])
        assert solve_rows(rows, few, spectrum, got, settings, workspace, part=part, copy=copy) == counts
        np.testing.assert_array_equal(got, want)


def test_a_heavy_entry_whose_row_is_missing_is_an_error():
    matrix = random_matrix(SHAPE)
    rng = np.random.default_rng(0)
    y, x = ((0.3 * rng.standard_normal((n, 4))).astype(np.float32) for n in (SHAPE[1], SHAPE[0]))
    goal = objective("hu", 1e6, 1.0, 0.1, 0.0)
    copy = Copy.empty(SHAPE[1], 4)
    Whitening(np.ones(4), 0.1, 0.1).write(y, copy, 0, Workspace(1))
    with pytest.raises(SolveError) as failure:
        solve_rows(csr_of(matrix), y[:0], np.ones(4), x, Settings(goal), 1, part=Part(0.1, 0.1, 0), copy=copy)
    assert failure.value.row == 0
    with pytest.raises(ValueError, match="a copy needs a part"):
        solve_rows(csr_of(matrix), y[:0], np.ones(4), x, Settings(goal), 1, copy=copy)


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("solve", ["auto", "cg"])
def test_compact_is_exact_for_factors_with_8_bits(solve, simd):
    """Where whitening changes nothing and the factors fit 8 bits, the 16-bit copy holds the same numbers."""
    rng = np.random.default_rng(0)
    for rank in [*RANKS, 256, 512]:
        for matrix in (random_matrix(SHAPE), random_matrix(SHAPE, values=(-3, 5))):
            matrix.eliminate_zeros()
            y = (rng.integers(-128, 129, (SHAPE[1], rank)) / 512).astype(np.float32)
            x = {compact: np.zeros((SHAPE[0], rank), np.float32) for compact in (True, False)}
            for compact, solved in x.items():
                goal = objective("hu", 0.1, 1.0, 1.0, 0.0)
                settings = Settings(goal, solve, 6, 1e-6, compact=ALWAYS * compact)
                info = solve_rows(csr_of(matrix), y, np.zeros(rank), solved, settings, Workspace(2, simd))
                assert info["rows_cg"] > 0 or rank < 4
            scores = {compact: solved @ y.T for compact, solved in x.items()}
            assert np.abs(scores[True] - scores[False]).max() < 2e-5 * np.abs(scores[False]).max()


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_index_and_value_types(index, dtype):
    for values in (np.float32, np.float64):
        got, want, _ = scores_of("hu", "auto", 0, dtype, 10, random_matrix(SHAPE, dtype=values), index=index)
        assert_close(got, want, dtype)


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(("solve", "kind"), [("cg", "hu"), ("auto", "hu"), ("exact", "hu"), ("exact", "explicit")])
def test_rows_longer_than_any_tile(solve, kind, compact, simd):
    matrix = random_matrix((5, 9001), density=0.5)
    for values in ((1, 3), (-2, 3)):
        if values[0] < 0 and kind == "hu":
            matrix = random_matrix((5, 9001), density=0.5, values=values)
        got, want, _ = scores_of(kind, solve, simd, "float32", 130, matrix, alpha=0.01, alpha0=1.0, compact=compact)
        assert_close(got, want, "float32", 10 if compact and solve != "exact" else 1)


def test_unregularized():
    """Without regularization, solutions are finite, and with "explicit" as good as least squares.

    "hu" has a Gramian of deficient rank here, and "explicit" has none.
    """
    matrix = random_matrix((30, 8), density=0.6)
    for dtype in ("float32", "float64"):
        for kind, alpha0 in (("hu", 1.0), ("explicit", 0.0)):
            rng = np.random.default_rng(0)
            y, x = rng.standard_normal((8, 12)).astype(dtype), np.zeros((30, 12), dtype)
            half_step(csr_of(matrix), y, x, Settings(objective(kind, reg=0.0, alpha0=alpha0)), 2)
            assert np.isfinite(x).all()
            if kind == "explicit":  # eight items at most, twelve factors: ratings are met exactly
                dense = dense_of(matrix)
                assert np.nanmax(np.abs(dense - x @ y.T)) < (1e-2 if dtype == "float32" else 1e-6)


@pytest.mark.parametrize("simd", SETS)
def test_rows_that_fail_in_float32_are_solved_in_float64(simd):
    """Weights spread over twelve powers of ten: the heaviest entries are fitted as well as by the reference."""
    rng = np.random.default_rng(0)
    matrix = random_matrix((40, 60), 0.5, values=(1, 3), dtype=np.float64)
    matrix.data *= 10.0 ** rng.integers(0, 12, matrix.nnz)
    dense = dense_of(matrix)
    retried = 0
    for rank in (8, 70):
        got, want, info = scores_of("hu", "primal", simd, "float32", rank, matrix, alpha=1.0, alpha0=1.0, reg=0.01)
        retried += info["rows_retried"]
        seen = ~np.isnan(dense)
        misfit = [np.sum(dense[seen] * (1 - s[seen]) ** 2) / np.sum(dense[seen]) for s in (got, want)]
        assert misfit[0] <= 1.01 * misfit[1] + 1e-3
    assert retried > 0


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gramian_and_rotation(dtype, simd):
    rng = np.random.default_rng(0)
    for rank in (1, 2, 7, 16, 33, 64, 65, 130, 200):
        for n in (0, 1, 5, 255, 256, 257, 1500):
            y = rng.standard_normal((n, rank)).astype(dtype)
            exact = y.astype(np.float64)
            gram = gramian(y, Workspace(2, simd))
            tolerance = 1e-12 if dtype == "float64" else 1e-5
            assert np.abs(gram - exact.T @ exact).max() <= tolerance * max(n, 1)
            assert np.array_equal(gram, gram.T)
            basis = np.linalg.qr(rng.standard_normal((rank, rank)))[0]
            _core.rotate(y, basis, 2, simd)
            assert np.abs(y - exact @ basis).max(initial=0) < (1e-12 if dtype == "float64" else 1e-5) * rank


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("simd", SETS)
def test_gramian_in_parts(simd, dtype):
    """Segments that are summed anywhere add up to the bits of the Gramian."""
    rng = np.random.default_rng(0)
    for n in (0, 1, 255, 5000, 70_000):
        for rank in (1, 3, 8, 30, 33, 64, 100, 129)[:: 1 if n < 70_000 else 3]:
            y = rng.standard_normal((n, rank)).astype(dtype)
            begins = np.array(_core.gram_segments(n, rank))
            assert begins[0] == 0
            assert begins[-1] == n
            sums, n_segments = [], begins.size - 1
            assert n_segments == min(64, max(1, -(-n // 256) // 4))
            for nodes in np.array_split(np.arange(n_segments), 3):
                if nodes.size:
                    own = begins[nodes[0] : nodes[-1] + 2]
                    sums.append(np.empty((nodes.size, rank, rank)))
                    _core.gram_parts(y[own[0] : own[-1]].copy(), own, sums[-1], Workspace(1, simd))
            total = np.zeros((rank, rank))
            for one in np.concatenate(sums):
                assert np.array_equal(one, one.T)
                total = total + one
            assert np.array_equal(total, gramian(y, Workspace(2, simd)))


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("kind", ["hu", "ials", "explicit"])
def test_loss(kind, simd):
    rng = np.random.default_rng(0)
    matrix = random_matrix(SHAPE)
    for dtype in ("float32", "float64"):
        for rank in (1, 6, 17, 64):
            x, y = (rng.standard_normal((n, rank)).astype(dtype) for n in SHAPE)
            goal = objective(kind, 2.0, 0.3, 0.1, 0.5)
            csr = csr_of(matrix)
            got = loss(csr, x, y, goal, csr.transposed(1).indptr, Workspace(2, simd))
            want = reference.loss(dense_of(matrix), x.astype(float), y.astype(float), kind, 0.1, 0.5, 2.0, 0.3)
            assert got == pytest.approx(want, rel=1e-9 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_topk(dtype, simd):
    """Small whole factors: exact scores and many ties."""
    rng = np.random.default_rng(0)
    for rank in (1, 3, 8, 17, 50):
        for n_queries, n_items, k in ((1, 1, 1), (5, 9, 20), (33, 300, 7), (70, 600, 600)):
            q, y = (rng.integers(-2, 3, (n, rank)).astype(dtype) for n in (n_queries, n_items))
            seen = csr_of(random_matrix((n_queries, n_items), 0.3))
            listed = np.flatnonzero(rng.random(n_items) < 0.7)
            for items, skip in ((None, None), (None, seen), (listed, seen)):
                ids, scores = np.empty((n_queries, k), np.int64), np.empty((n_queries, k), dtype)
                _core.topk(q, y, items, None, skip, ids, scores, 2, simd)
                want = (q @ y.T).astype(float)
                if items is not None:
                    want[:, np.setdiff1d(np.arange(n_items), items)] = -np.inf
                if skip is not None:
                    want[skip.row_numbers(), skip.indices] = -np.inf
                order = np.argsort(-want, axis=1, kind="stable")[:, :k]
                best = np.take_along_axis(want, order, axis=1)
                order[best == -np.inf] = -1
                pad = ((0, 0), (0, k - order.shape[1]))
                assert np.array_equal(ids, np.pad(order, pad, constant_values=-1))
                assert np.array_equal(scores, np.pad(best, pad, constant_values=-np.inf))


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_parse_numbers(n_threads):
    text = b"1 2 3\n\n4\t5  6\r\n  7 8 9  \n1 2\n1 2 3 4\n1 x 3\n1 -2 3\n1 2 99999999999999999999\n"
    text += b"-0 +1 9223372036854775807\n1 2 3"
    out = np.empty((3, _core.count_lines(text, n_threads)), np.int64)
    good, rejected = _core.parse_numbers(text, out, n_threads)
    assert out[:, :good].T.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 2**63 - 1], [1, 2, 3]]
    assert rejected == [(0, 0), (2, 5), (1, 7), (1, 8), (1, 9), (0, 0)]
    assert _core.parse_numbers(b"", np.empty((3, 0), np.int64), n_threads)[0] == 0


def test_an_instruction_set_that_the_processor_lacks_is_refused():
    missing = [n for n in (2, 3) if n not in SETS]
    for number in [*missing, 9, -1]:
        with pytest.raises(RuntimeError, match="instruction set"):
            gramian(np.ones((3, 2)), Workspace(1, number))


def test_binding_refuses_arrays_that_it_cannot_read_in_place():
    y = np.ones((4, 6))
    with pytest.raises(ValueError, match="C-contiguous"):
        gramian(y.T, 1)
    with pytest.raises(ValueError, match="type"):
        gramian(y.astype(np.int32), 1)
    y.flags.writeable = False
    assert gramian(y, 1)[0, 0] == 4
    with pytest.raises((BufferError, ValueError), match=r"read-only|writable"):
        _core.rotate(y, np.eye(6), 1)
    with pytest.raises(ValueError, match="expected 4"):
        _core.half_step(
            csr_of(random_matrix((3, 4))),
            objective().code,
            np.ones((4, 4)),
            np.ones(3),
            np.ones((3, 4)),
            0.1,
            0,
            3,
            0.1,
            1.0,
            True,
            1,
        )


@pytest.mark.parametrize("bad", [SHAPE[1], -1, 2**31 - 1, -(2**31), 2**40])
@pytest.mark.parametrize("solve", ["auto", "cg", "exact"])
def test_an_index_out_of_range_is_refused_before_it_is_used(solve, bad):
    """As in a mapped file that was changed after it was checked."""
    matrix = csr_of(random_matrix(SHAPE), np.int64 if abs(bad) > 2**31 else np.int32)
    row = int(np.flatnonzero(matrix.lengths())[2])
    indices = matrix.indices.copy()
    indices[matrix.indptr[row + 1] - 1] = bad
    broken = replace(matrix, indices=indices)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 20)).astype(np.float32) for n in SHAPE)
    fixed = FixedSide.of(y, 1)
    settings = Settings(objective("hu", 1.0, 1.0, 0.1, 0.0), solve, 5)
    want, got = fixed.into(x, 1), fixed.into(x, 1)
    solve_rows(matrix, fixed.rotated, fixed.spectrum, want, settings, Workspace(2), None)
    with pytest.raises(ValueError, match=f"row {row} has an index out of range: the matrix was changed since"):
        solve_rows(broken, fixed.rotated, fixed.spectrum, got, settings, Workspace(2), None)
    others = np.arange(SHAPE[0]) != row
    assert np.array_equal(want[others], got[others])
    with pytest.raises(ValueError, match=f"row {row} of rows has an index that is not a row of y"):
        _core.loss(broken, objective("hu", 1.0, 1.0, 0.1, 0.0).code, x, y, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("simd", SETS)
@pytest.mark.parametrize("solve", ["cg", "exact", "dual", "primal"])
@pytest.mark.parametrize("compact", [NEVER, ALWAYS])
@pytest.mark.parametrize(("kind", "nu"), [("hu", 0.0), ("ials", 1.0), ("explicit", 0.5)])
def test_the_regularization_pulls_rows_towards_a_prior(kind, nu, compact, solve, simd, dtype):
    matrix = random_matrix(SHAPE)
    matrix.data[:5] = 0 if kind == "explicit" else matrix.data[:5]
    rng = np.random.default_rng(0)
    for rank in (1, 7, 16, 33, 65, 130):
        y, x, prior = (0.3 * rng.standard_normal((n, rank)) for n in (SHAPE[1], SHAPE[0], SHAPE[0]))
        how = {"reg": 0.1, "nu": nu, "alpha": 2.0, "alpha0": 0.7}
        want = reference.solve(dense_of(matrix), y, kind, prior=prior, **how) @ y.T
        settings = Settings(objective(kind, 2.0, 0.7, 0.1, nu), solve, 400, compact=compact)
        fixed = FixedSide.of(y.astype(dtype), 1)
        spectrum = fixed.spectrum if kind != "explicit" else np.zeros(rank)
        solved, towards = (fixed.into(side.astype(dtype), 1) for side in (x, prior))
        info = solve_rows(csr_of(matrix), fixed.rotated, spectrum, solved, settings, Workspace(2, simd), towards)
        rounded = (compact, solve, dtype) == (ALWAYS, "cg", "float32")  # the solver reads a copy with 8 significant bits
        assert_close(solved @ fixed.rotated.T, want, dtype, times=40 if rounded else 2)
        empty = dense_of(matrix)
        empty = np.isnan(empty).all(axis=1)
        assert info["rows_empty"] == empty.sum()
        assert np.array_equal(solved[empty], towards[empty])


def test_a_prior_of_another_shape_or_type_is_refused():
    matrix = random_matrix(SHAPE)
    y, x = np.ones((SHAPE[1], 3), np.float32), np.ones((SHAPE[0], 3), np.float32)
    for prior in (x[:-1], x[:, :2].copy(), x.astype(np.float64)):
        with pytest.raises(ValueError, match="options->prior"):
            solve_rows(csr_of(matrix), y, np.zeros(3), x, Settings(objective("explicit")), 1, prior)
