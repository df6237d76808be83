// The Gramian Y'Y in float64. The rows are cut into segments and the result into panels by the shape alone, and
// segments are added in order, so that the sum does not depend on the number of threads.

#include <algorithm>

#include "common.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 1024;  // summed in the matrix's own type before they join the float64 sum
constexpr int64_t kMostSegments = 16;
constexpr int64_t kSumBytes = 64 * 1024 * 1024;  // of all segments' sums together
constexpr int64_t kPartElements = 64 * 1024;     // of a panel: it stays in the second-level cache

template <class T>
int32_t gramian(const cymbals_matrix &y, double *gram, const Kernels<T> &kernels, int32_t n_threads) {
    const int64_t f = y.n_cols, padded = round_up(f, kernels.pad);
    const int64_t most_rows = std::min(padded, std::max(kPanel, kPartElements / padded / kPanel * kPanel));
    const int64_t panels = (padded + most_rows - 1) / most_rows, blocks = (y.n_rows + kRows - 1) / kRows;
    const int64_t fitting = std::max<int64_t>(1, kSumBytes / (f * f * (int64_t)sizeof(double)));
    const int64_t segments = std::max<int64_t>(1, std::min({kMostSegments, fitting, blocks}));
    Buffer<double> sums = large_buffer<double>(segments * f * f);
    if (!sums) return CYMBALS_NO_MEMORY;

    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Buffer<T> rows = buffer<T>(f == padded ? 1 : kRows * padded), part = buffer<T>(most_rows * padded);
        enough = rows && part;
#pragma omp for collapse(2) schedule(dynamic, 1)
        for (int64_t segment = 0; segment < segments; segment++) {
            for (int64_t panel = 0; panel < panels; panel++) {
                if (!enough) continue;
                // columns first .. of these rows of the result; part holds them from `first` on
                const int64_t first = panel * most_rows, height = std::min(most_rows, padded - first),
                              width = padded - first;
                double *sum = sums.get() + segment * f * f;
                for (int64_t i = first; i < std::min(first + height, f); i++)
                    std::fill_n(sum + i * f + first, f - first, 0.0);
                for (int64_t block = segment * blocks / segments; block < (segment + 1) * blocks / segments; block++) {
                    const int64_t begin = block * kRows, n = std::min(kRows, y.n_rows - begin);
                    const T *from = row_of<T>(y, begin) + first;
                    int64_t stride = y.stride;
                    if (f != padded) {
                        for (int64_t k = 0; k < n; k++) {
                            std::copy_n(from + k * stride, f - first, rows.get() + k * width);
                            std::fill_n(rows.get() + k * width + f - first, padded - f, T(0));
                        }
                        from = rows.get(), stride = width;
                    }
                    std::fill_n(part.get(), height * width, T(0));
                    kernels.syrk(part.get(), width, from, stride, n, 0, height, width);
                    for (int64_t i = 0; i < std::min(height, f - first); i++)
                        for (int64_t j = i; j < f - first; j++) sum[(first + i) * f + first + j] += part[i * width + j];
                }
            }
        }
    }
    if (!enough) return CYMBALS_NO_MEMORY;
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t i = 0; i < f; i++)
        for (int64_t j = i; j < f; j++) {
            double total = 0;
            for (int64_t segment = 0; segment < segments; segment++) total += sums[segment * f * f + i * f + j];
            gram[i * f + j] = gram[j * f + i] = total;
        }
    return CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_gramian(const cymbals_matrix *matrix, double *gram, int32_t n_threads, int32_t simd) {
    using namespace cymbals;
    if (!good(matrix) || !gram || n_threads < 1) return CYMBALS_BAD_ARGUMENT;
    int32_t status;
    const KernelTable *table = kernel_table(simd, &status);
    if (!table) return status;
    return with_float(matrix->type, [&](auto zero) {
        using T = decltype(zero);
        const double work = (double)matrix->n_rows * (double)matrix->n_cols * (double)matrix->n_cols;
        return gramian<T>(*matrix, gram, kernels_of<T>(*table), worth(n_threads, work / 2));
    });
}
