// Checks whether a CSR matrix is valid. Reports the first problem in the order of cymbals.h, with its lowest row.

#include <algorithm>
#include <cmath>

#include "workspace.h"

namespace cymbals {
namespace {

// A problem with a lower number is worse. Negative and zero values are allowed, so their problems have the highest
// numbers.
struct Finding {
    int64_t row = INT64_MAX, position = -1;
    int32_t problem = CYMBALS_CSR_GOOD;

    bool worse_than(const Finding &o) const {
        if (o.problem == CYMBALS_CSR_GOOD) return problem != CYMBALS_CSR_GOOD;
        if (problem == CYMBALS_CSR_GOOD) return false;
        return problem != o.problem ? problem < o.problem : row < o.row;
    }
};

template <class I, class V>
Finding check_row(const cymbals_csr &m, int64_t r) {
    const I *indices = static_cast<const I *>(m.indices);
    const V *values = static_cast<const V *>(m.values);
    Finding worst;
    for (int64_t i = m.indptr[r]; i < m.indptr[r + 1]; i++) {
        int32_t problem = CYMBALS_CSR_GOOD;
        if (indices[i] < 0 || indices[i] >= m.n_cols)
            problem = CYMBALS_CSR_INDEX;
        else if (values && !std::isfinite(values[i]))
            problem = CYMBALS_CSR_NAN;
        else if (i > m.indptr[r] && indices[i] <= indices[i - 1])
            problem = CYMBALS_CSR_UNSORTED;
        else if (values && values[i] < 0)
            problem = CYMBALS_CSR_NEGATIVE;
        else if (values && values[i] == 0)
            problem = CYMBALS_CSR_ZERO;
        Finding here;
        here.row = r, here.position = i, here.problem = problem;
        if (here.worse_than(worst)) worst = here;
    }
    return worst;
}

template <class I, class V>
Finding check(const cymbals_csr &m, int64_t n_entries, ApiCall &call) {
    Finding worst;
    for (int64_t r = 0; r <= m.n_rows; r++) {
        const int64_t previous = r == 0 ? 0 : m.indptr[r - 1];
        if (m.indptr[r] < previous || m.indptr[r] > n_entries || (r == 0 && m.indptr[r] != 0)) {
            worst.row = std::max<int64_t>(0, r - 1), worst.position = r, worst.problem = CYMBALS_CSR_INDPTR;
            return worst;
        }
    }
#pragma omp parallel num_threads(call.threads())
    {
        Finding mine;
        Span span = call.span();
#pragma omp for schedule(dynamic, 256) nowait
        for (int64_t r = 0; r < m.n_rows; r++) {
            const Finding here = check_row<I, V>(m, r);
            if (here.worse_than(mine)) mine = here;
        }
#pragma omp critical
        if (mine.worse_than(worst)) worst = mine;
    }
    return worst;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_check_csr(cymbals_workspace *workspace, const cymbals_csr *matrix, int64_t n_entries,
                                     cymbals_csr_report *report) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_CHECK);
    if (!call.ready() || !call.csr("matrix", matrix, false) || (matrix->values && !call.csr("matrix", matrix, true)) ||
        !call.not_null("report", report) || !call.between("n_entries", n_entries, 0))
        return CYMBALS_BAD_ARGUMENT;
    return with_index(matrix->index_type, [&](auto index) {
        return with_float(matrix->value_type, [&](auto value) {
            const Finding worst = check<decltype(index), decltype(value)>(*matrix, n_entries, call);
            *report = {worst.problem, worst.problem == CYMBALS_CSR_GOOD ? -1 : worst.row, worst.position};
            return (int32_t)CYMBALS_OK;
        });
    });
}
