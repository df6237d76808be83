// The Gramian Y'Y in float64. The rows are cut into segments and the result into panels by the shape alone, and
// segments are added in order, so that the sum does not depend on the number of threads.

#include <algorithm>

#include "cost_model.h"
#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 4096;  // summed in the matrix's own type before they join the float64 sum
constexpr int64_t kMostSegments = 16, kLeastBlocks = 4;
constexpr int64_t kBlockRows = 256;  // segments are whole numbers of these; rows filled up to whole vectors at a time
constexpr int64_t kSumBytes = 64 * 1024 * 1024;  // of all segments' sums together
constexpr int64_t kPartElements = 64 * 1024;     // of a panel: it stays in the second-level cache

template <class T>
int32_t gramian(const cymbals_matrix &y, double *gram, const Kernels<T> &kernels, ApiCall &call) {
    const int32_t n_threads = call.threads();
    const CostModel<T> cost_model(kernels, y.n_cols);
    const int64_t f = y.n_cols, padded = round_up(f, kernels.pad);
    const int64_t most_rows = std::min(padded, std::max(kPanel, kPartElements / padded / kPanel * kPanel));
    const int64_t panels = (padded + most_rows - 1) / most_rows, blocks = (y.n_rows + kBlockRows - 1) / kBlockRows;
    // Rows that can be read up to `padded` elements: what follows a row of f is the next, and sums with it are left
    // aside. The others are filled up with zeros.
    const int64_t in_place = f == padded ? y.n_rows : y.stride == f ? y.n_rows - (padded - f + f - 1) / f : 0;
    const int64_t fitting = std::max<int64_t>(1, kSumBytes / (f * f * (int64_t)sizeof(double)));
    const int64_t segments = std::max<int64_t>(1, std::min({kMostSegments, fitting, blocks / kLeastBlocks}));
    Buffer<double> sums = buffer<double>(segments * f * f);  // not a large_buffer: that would be cleared for each call
    if (!sums) return CYMBALS_NO_MEMORY;

    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Buffer<T> rows = buffer<T>(in_place == y.n_rows ? 1 : kBlockRows * padded),
                  part = buffer<T>(most_rows * padded);
        enough = rows && part;
#pragma omp for collapse(2) schedule(dynamic, 1)
        for (int64_t segment = 0; segment < segments; segment++) {
            for (int64_t panel = 0; panel < panels; panel++) {
                if (!enough) continue;
                Span span = call.span();
                // columns first .. of these rows of the result; part holds them from `first` on
                const int64_t first = panel * most_rows, height = std::min(most_rows, padded - first),
                              width = padded - first;
                double *sum = sums.get() + segment * f * f;
                for (int64_t i = first; i < std::min(first + height, f); i++)
                    std::fill_n(sum + i * f + first, f - first, 0.0);
                const int64_t end = std::min((segment + 1) * blocks / segments * kBlockRows, y.n_rows);
                const int64_t start = segment * blocks / segments * kBlockRows;
                const Cost cost = cost_model.gram(end - start, first, height);
                span.add(end - start, 0, cost.flops, cost.bytes);
                for (int64_t begin = start, n; begin < end; begin += n) {
                    n = std::min(kRows, end - begin);
                    const T *from = row_of<T>(y, begin) + first;
                    std::fill_n(part.get(), height * width, T(0));
                    int64_t done = std::clamp<int64_t>(in_place - begin, 0, n);
                    kernels.syrk(part.get(), width, from, y.stride, done, 0, height, width);
                    for (int64_t count; done < n; done += count) {
                        count = std::min(kBlockRows, n - done);
                        for (int64_t k = 0; k < count; k++) {
                            std::copy_n(from + (done + k) * y.stride, f - first, rows.get() + k * width);
                            std::fill_n(rows.get() + k * width + f - first, padded - f, T(0));
                        }
                        kernels.syrk(part.get(), width, rows.get(), width, count, 0, height, width);
                    }
                    for (int64_t i = 0; i < std::min(height, f - first); i++)
                        for (int64_t j = i; j < f - first; j++) sum[(first + i) * f + first + j] += part[i * width + j];
                }
            }
        }
    }
    if (!enough) return CYMBALS_NO_MEMORY;
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t i = 0; i < f; i++) {
        std::copy(&sums[i * f + i], &sums[i * f + f], gram + i * f + i);
        for (int64_t segment = 1; segment < segments; segment++)
            for (int64_t j = i; j < f; j++) gram[i * f + j] += sums[(segment * f + i) * f + j];
        for (int64_t j = i + 1; j < f; j++) gram[j * f + i] = gram[i * f + j];
    }
    return CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_gram(cymbals_workspace *workspace, const cymbals_matrix *matrix, double *gram) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_GRAM);
    if (!call.ready() || !call.matrix("matrix", matrix) || !call.not_null("gram", gram)) return CYMBALS_BAD_ARGUMENT;
    call.threads((double)matrix->n_rows * (double)matrix->n_cols * (double)matrix->n_cols / 2);
    return call.end(with_float(matrix->type, [&](auto zero) {
        using T = decltype(zero);
        return gramian<T>(*matrix, gram, kernels_of<T>(call.table()), call);
    }));
}
