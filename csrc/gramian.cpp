// The Gramian Y'Y in float64. The shape of Y alone decides how its rows are cut into segments, and the result into
// panels. The sums of the segments are added in order. So the result does not depend on the number of threads.

#include <algorithm>

#include "cost_model.h"
#include "workspace.h"

namespace cymbals {
namespace {

constexpr int64_t kRows = 4096;  // rows that are summed in the matrix's own type; their sum is then added in float64
constexpr int64_t kMostSegments = 64, kLeastBlocks = 4;  // segments at most; blocks of a segment at least
constexpr int64_t kBlockRows = 256;                      // rows of a block
constexpr int64_t kSumBytes = 64 * 1024 * 1024;          // size of all segments' sums together
constexpr int64_t kPartElements = 64 * 1024;             // size of a panel, which stays in the second-level cache

// How the work is cut. It depends on the shape of the matrix alone.
struct Cut {
    int64_t f, padded;          // the rank; the rank rounded up to whole vectors
    int64_t most_rows, panels;  // the most rows of a panel of the result; the number of panels
    int64_t blocks, segments;   // number of blocks of rows; number of segments: several blocks that have one sum
    // The number of rows at the beginning that are read in place, because `padded` elements of each can be read. Later
    // rows are copied.
    int64_t in_place;

    Cut(const cymbals_matrix &y, int64_t pad) {
        f = y.n_cols, padded = round_up(f, pad);
        most_rows = std::min(padded, std::max(kPanel, kPartElements / padded / kPanel * kPanel));
        panels = (padded + most_rows - 1) / most_rows;
        blocks = (y.n_rows + kBlockRows - 1) / kBlockRows;
        const int64_t fitting = std::max<int64_t>(1, kSumBytes / (f * f * (int64_t)sizeof(double)));
        segments = std::max<int64_t>(1, std::min({kMostSegments, fitting, blocks / kLeastBlocks}));
        // If rows are contiguous, the elements after a row's f elements belong to the next row, and can be read. They
        // only change columns of the sums that are not part of the result.
        in_place = f == padded ? y.n_rows : y.stride == f ? y.n_rows - (padded - f + f - 1) / f : 0;
    }
};

// Adds rows begin to begin + n - 1 of the matrix to `part`. It holds rows first to first + height - 1 of the result,
// from column `first` on; only the upper triangle is computed. `rows` has room for kBlockRows rows.
template <class T>
void add_rows(const cymbals_matrix &y, const Cut &cut, int64_t begin, int64_t n, int64_t first, int64_t height, T *part,
              T *rows, const Kernels<T> &kernels) {
    const int64_t width = cut.padded - first;
    const T *from = row_of<T>(y, begin) + first;
    int64_t done = std::clamp<int64_t>(cut.in_place - begin, 0, n);
    kernels.syrk(part, width, from, y.stride, done, 0, height, width);
    for (int64_t count; done < n; done += count) {
        count = std::min(kBlockRows, n - done);
        for (int64_t k = 0; k < count; k++) {
            std::copy_n(from + (done + k) * y.stride, cut.f - first, rows + k * width);
            std::fill_n(rows + k * width + cut.f - first, cut.padded - cut.f, T(0));
        }
        kernels.syrk(part, width, rows, width, count, 0, height, width);
    }
}

// Computes one panel of one segment's sum (f x f). The products of kRows rows at a time are added up in T, and these
// sums in float64.
template <class T>
void sum_panel(const cymbals_matrix &y, const Cut &cut, int64_t segment, int64_t panel, double *sum, T *part, T *rows,
               const Kernels<T> &kernels, ApiCall &call) {
    Span span = call.span();
    const int64_t f = cut.f, first = panel * cut.most_rows, height = std::min(cut.most_rows, cut.padded - first),
                  width = cut.padded - first;
    for (int64_t i = first; i < std::min(first + height, f); i++) std::fill_n(sum + i * f + first, f - first, 0.0);
    const int64_t end = std::min((segment + 1) * cut.blocks / cut.segments * kBlockRows, y.n_rows);
    const int64_t start = segment * cut.blocks / cut.segments * kBlockRows;
    const Cost cost = CostModel<T>(kernels, f).gram(end - start, first, height);
    span.add(end - start, 0, cost.flops, cost.bytes);
    for (int64_t begin = start, n; begin < end; begin += n) {
        n = std::min(kRows, end - begin);
        std::fill_n(part, height * width, T(0));
        add_rows(y, cut, begin, n, first, height, part, rows, kernels);
        for (int64_t i = 0; i < std::min(height, f - first); i++)
            for (int64_t j = i; j < f - first; j++) sum[(first + i) * f + first + j] += part[i * width + j];
    }
}

template <class T>
int32_t gramian(const cymbals_matrix &y, double *gram, const Kernels<T> &kernels, ApiCall &call) {
    const int32_t n_threads = call.threads();
    const Cut cut(y, kernels.pad);
    const int64_t f = cut.f, segments = cut.segments;
    // A large_buffer would be slower: the system would fill its new pages with zeros in every call.
    Buffer<double> sums = buffer<double>(segments * f * f);
    if (!sums) return CYMBALS_NO_MEMORY;

    bool enough = true;
#pragma omp parallel num_threads(n_threads) reduction(&& : enough)
    {
        Buffer<T> rows = buffer<T>(cut.in_place == y.n_rows ? 1 : kBlockRows * cut.padded),
                  part = buffer<T>(cut.most_rows * cut.padded);
        enough = rows && part;
#pragma omp for collapse(2) schedule(dynamic, 1)
        for (int64_t segment = 0; segment < segments; segment++)
            for (int64_t panel = 0; panel < cut.panels; panel++)
                if (enough)
                    sum_panel(y, cut, segment, panel, sums.get() + segment * f * f, part.get(), rows.get(), kernels,
                              call);
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
