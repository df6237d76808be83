"""The ranges of nodes, and the model of the bytes that travel."""

import numpy as np
import pytest
from conftest import csr_of, random_matrix

from cymbals._core import gram_segments
from cymbals.distributed import bytes_per_iteration
from cymbals.distributed.plan import Side, balanced


@pytest.mark.parametrize("n_nodes", [1, 2, 3, 7])
@pytest.mark.parametrize("unit", [1, 64])
def test_ranges_cover_all_rows_and_balance_entries(n_nodes, unit):
    matrix = csr_of(random_matrix((3000, 40)))
    begins = balanced(matrix, n_nodes, unit)
    assert begins[0] == 0
    assert begins[-1] == 3000
    assert len(begins) == n_nodes + 1
    assert all(begin % unit == 0 for begin in begins[:-1])
    entries = np.diff(matrix.indptr[list(begins)])
    assert entries.max() <= matrix.nnz / n_nodes + 40 * unit


def test_more_nodes_than_rows_leave_nodes_without_rows():
    assert balanced(csr_of(random_matrix((5, 4))), 3, 64) == (0, 0, 0, 5)


@pytest.mark.parametrize(("n", "width"), [(10, 4), (3000, 32), (100_000, 8), (9000, 900)])
def test_each_row_of_a_segment_is_summed_once(n, width):
    side = Side(n, (0, n // 5, n // 5, n // 2 + 1, n), width)
    segments = gram_segments(n, width)
    covered = np.zeros(n, int)
    for node in range(4):
        own, mine = side.rows(node), side.segments_of(node)
        for s in mine:
            covered[max(own.start, segments[s]) : max(min(own.stop, segments[s + 1]), own.start)] += 1
        for border in side.borders(node):
            assert border.segment in side.segments_of(border.summed_by)
            covered[border.begin : border.end] += 1
    assert (covered == 1).all()
    assert side.summed_by == sorted(side.summed_by)


def test_one_node_receives_only_gramians_and_bases():
    found = bytes_per_iteration((1000, 500), 16, 1)
    of_basis = 2 * 16**2 * 8
    assert found == {"rows": 0, "replicas": 0, "gramians": of_basis, "bases": of_basis, "borders": 0, "total": 2 * of_basis}
    assert bytes_per_iteration((1000, 500), 16, 1, rotates=False)["total"] == 0


def test_rows_are_copies_if_solvers_read_copies():
    shape = 100_000, 100_000
    as_they_are = 6 * 200_000 * 64 * 4
    assert bytes_per_iteration(shape, 64, 8)["rows"] == 6 * 200_000 * (64 * 2 + 4)
    assert bytes_per_iteration(shape, 64, 8, heavy=(0.1, 0.1))["rows"] == 6 * 200_000 * (64 * 2 + 4 + 0.1 * 64 * 4)
    assert bytes_per_iteration(shape, 64, 8, copies=False)["rows"] == as_they_are
    assert bytes_per_iteration(shape, 64, 8, rotates=False)["rows"] == as_they_are
    assert bytes_per_iteration(shape, 64, 8, itemsize=8)["rows"] == 2 * as_they_are
    assert bytes_per_iteration((1000, 1000), 64, 8)["rows"] == 6 * 2000 * 64 * 4


def test_sparse_data_send_fewer_rows():
    shape = 100_000, 100_000
    whole, sparse = (bytes_per_iteration(shape, 64, 8, needed=(s, s)) for s in (1.0, 0.1))
    assert sparse["rows"] == 0.1 * whole["rows"]
    assert sparse["replicas"] == whole["replicas"] == 200_000 * 64 * 4
