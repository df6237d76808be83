// The part of the loss that comes from the stored entries: the sum of a s^2 - 2 b s + c. The caller adds the parts of
// the unobserved cells and of the regularization, which it computes from two Gramians. The sums over blocks of rows are
// added in order, so the result does not depend on the number of threads.

#include <algorithm>

#include "objective.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 64;       // rows of a block
constexpr int64_t kEntries = 1024;  // entries of a row that are scored at a time

template <class T>
int32_t loss(const cymbals_csr &rows, const Objective<double> &objective, const cymbals_matrix &x,
             const cymbals_matrix &y, const Kernels<T> &kernels, double *result, ApiCall &call) {
    const int64_t blocks = (rows.n_rows + kRows - 1) / kRows;
    Buffer<double> parts = buffer<double>(blocks);
    if (!parts) return CYMBALS_NO_MEMORY;
    int64_t bad_row = rows.n_rows;  // the first row with an index that is not a row of y
#pragma omp parallel for schedule(dynamic, 4) num_threads(call.threads()) reduction(min : bad_row)
    for (int64_t block = 0; block < blocks; block++) {
        Span span = call.span();
        double total = 0;
        for (int64_t r = block * kRows; r < std::min(rows.n_rows, (block + 1) * kRows); r++) {
            for (int64_t begin = rows.indptr[r]; begin < rows.indptr[r + 1]; begin += kEntries) {
                int64_t indices[kEntries];
                T s[kEntries];
                const int64_t n = std::min(kEntries, rows.indptr[r + 1] - begin);
                bool good = true;
                for (int64_t i = 0; i < n; i++) {
                    indices[i] = index_at(rows, begin + i);
                    good &= indices[i] >= 0 && indices[i] < y.n_rows;
                }
                if (!good) {
                    bad_row = std::min(bad_row, r);
                    break;
                }
                kernels.scores(s, row_of<T>(x, r), row_of<T>(y, 0), y.stride, x.n_cols, indices, n);
                for (int64_t i = 0; i < n; i++) {
                    const Cell<double> cell = objective(value_at(rows, begin + i));
                    const double score = s[i];
                    total += (cell.a * score - 2 * cell.b) * score + objective.constant(cell.b);
                }
            }
        }
        parts[block] = total;
        const int64_t first = block * kRows, last = std::min(rows.n_rows, first + kRows),
                      entries = rows.indptr[last] - rows.indptr[first];
        span.add(last - first, entries, 2.0 * (double)(entries * x.n_cols),
                 (double)(entries * x.n_cols) * (double)sizeof(T));
    }
    if (!call.require(bad_row == rows.n_rows, "row %lld of rows has an index that is not a row of y",
                      (long long)bad_row))
        return CYMBALS_BAD_ARGUMENT;
    *result = 0;
    for (int64_t block = 0; block < blocks; block++) *result += parts[block];
    return CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_loss(cymbals_workspace *workspace, const cymbals_csr *rows,
                                const cymbals_objective *objective, const cymbals_matrix *x, const cymbals_matrix *y,
                                double *result) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_LOSS);
    if (!call.ready() || !call.csr("rows", rows, true) || !good_objective(call, objective) || !call.matrix("x", x) ||
        !call.matrix("y", y) || !call.not_null("loss", result) || !call.equal("x->type", x->type, "y->type", y->type) ||
        !call.equal("x->n_cols", x->n_cols, "y->n_cols", y->n_cols) ||
        !call.equal("x->n_rows", x->n_rows, "rows->n_rows", rows->n_rows) ||
        !call.equal("y->n_rows", y->n_rows, "rows->n_cols", rows->n_cols))
        return CYMBALS_BAD_ARGUMENT;
    return call.end(with_float(x->type, [&](auto zero) {
        using T = decltype(zero);
        return loss<T>(*rows, Objective<double>(*objective), *x, *y, kernels_of<T>(call.table()), result, call);
    }));
}
