// A change of basis, X <- XQ, in place: blocks of rows are multiplied into a thread's own memory and written back.

#include <algorithm>

#include "common.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 64;

template <class T>
int32_t rotate(cymbals_matrix &x, const double *basis, const Kernels<T> &kernels, int32_t n_threads) {
    const int64_t f = x.n_cols, padded = round_up(f, kernels.pad);
    const int64_t ld = padded + 64 / (int64_t)sizeof(T);  // keeps a strip of the basis out of one cache set
    Buffer<T> q = buffer<T>(f * ld);
    if (!q) return CYMBALS_NO_MEMORY;
    for (int64_t i = 0; i < f; i++)
        for (int64_t j = 0; j < padded; j++) q[i * ld + j] = j < f ? (T)basis[i * f + j] : 0;
    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Buffer<T> rows = buffer<T>(kRows * f), product = buffer<T>(kRows * padded);
        enough = rows && product;
#pragma omp for schedule(static)
        for (int64_t block = 0; block < (x.n_rows + kRows - 1) / kRows; block++) {
            if (!enough) continue;
            const int64_t begin = block * kRows, n = std::min(kRows, x.n_rows - begin), filled = round_up(n, kBlock);
            for (int64_t i = 0; i < n; i++) std::copy_n(row_of<T>(x, begin + i), f, rows.get() + i * f);
            std::fill_n(rows.get() + n * f, (filled - n) * f, T(0));
            kernels.gemm(product.get(), padded, rows.get(), f, q.get(), ld, filled, f, padded);
            for (int64_t i = 0; i < n; i++) std::copy_n(product.get() + i * padded, f, row_of<T>(x, begin + i));
        }
    }
    return enough ? CYMBALS_OK : CYMBALS_NO_MEMORY;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_rotate(cymbals_matrix *matrix, const double *basis, int32_t n_threads, int32_t simd) {
    using namespace cymbals;
    if (!good(matrix) || !basis || n_threads < 1) return CYMBALS_BAD_ARGUMENT;
    int32_t status;
    const KernelTable *table = kernel_table(simd, &status);
    if (!table) return status;
    return with_float(matrix->type, [&](auto zero) {
        using T = decltype(zero);
        const double work = (double)matrix->n_rows * (double)matrix->n_cols * (double)matrix->n_cols;
        return rotate<T>(*matrix, basis, kernels_of<T>(*table), worth(n_threads, work));
    });
}
