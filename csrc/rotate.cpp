// Changes the basis in place, X = XQ: each thread multiplies blocks of rows into its own memory and copies them back.

#include <algorithm>

#include "cost_model.h"
#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 64;  // rows of a block

template <class T>
int32_t rotate(cymbals_matrix &x, const double *basis, const Kernels<T> &kernels, ApiCall &call) {
    const int64_t f = x.n_cols, padded = round_up(f, kernels.pad);
    const int64_t ld = padded + kLine<T>;  // else a column's elements could share a cache set
    Buffer<T> q = buffer<T>(f * ld);
    if (!q) return CYMBALS_NO_MEMORY;
    for (int64_t i = 0; i < f; i++)
        for (int64_t j = 0; j < padded; j++) q[i * ld + j] = j < f ? (T)basis[i * f + j] : 0;
    const CostModel<T> cost_model(kernels, f);
    bool enough = true;
#pragma omp parallel num_threads(call.threads()) reduction(&& : enough)
    {
        Buffer<T> rows = buffer<T>(kRows * f), product = buffer<T>(kRows * padded);
        enough = rows && product;
        Span span = call.span();
#pragma omp for schedule(static) nowait
        for (int64_t block = 0; block < (x.n_rows + kRows - 1) / kRows; block++) {
            if (!enough) continue;
            const int64_t begin = block * kRows, n = std::min(kRows, x.n_rows - begin), filled = round_up(n, kBlock);
            for (int64_t i = 0; i < n; i++) std::copy_n(row_of<T>(x, begin + i), f, rows.get() + i * f);
            std::fill_n(rows.get() + n * f, (filled - n) * f, T(0));
            kernels.gemm(product.get(), padded, rows.get(), f, q.get(), ld, filled, f, padded);
            for (int64_t i = 0; i < n; i++) std::copy_n(product.get() + i * padded, f, row_of<T>(x, begin + i));
            const Cost cost = cost_model.rotate(n);
            span.add(n, 0, cost.flops, cost.bytes);
        }
    }
    return enough ? CYMBALS_OK : CYMBALS_NO_MEMORY;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_rotate(cymbals_workspace *workspace, cymbals_matrix *matrix, const double *basis) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_ROTATE);
    if (!call.ready() || !call.matrix("matrix", matrix) || !call.not_null("basis", basis)) return CYMBALS_BAD_ARGUMENT;
    call.threads((double)matrix->n_rows * (double)matrix->n_cols * (double)matrix->n_cols);
    return call.end(with_float(matrix->type, [&](auto zero) {
        using T = decltype(zero);
        return rotate<T>(*matrix, basis, kernels_of<T>(call.table()), call);
    }));
}
