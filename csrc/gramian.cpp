// The Gramian Y'Y in float64. The shape of Y alone decides how its rows are cut into segments, and the result into
// panels. The sums of the segments are added in order. So the result does not depend on the number of threads, nor on
// where a segment is summed.

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

// Into how many segments the rows of an n x f matrix are cut, and the first row of a segment.
int64_t segments_of(int64_t n, int64_t f) {
    const int64_t blocks = (n + kBlockRows - 1) / kBlockRows;
    const int64_t fitting = std::max<int64_t>(1, kSumBytes / (f * f * (int64_t)sizeof(double)));
    return std::max<int64_t>(1, std::min({kMostSegments, fitting, blocks / kLeastBlocks}));
}
int64_t segment_begin(int64_t n, int64_t segments, int64_t segment) {
    const int64_t blocks = (n + kBlockRows - 1) / kBlockRows;
    return std::min(segment * blocks / segments * kBlockRows, n);
}

// How a segment's sum is cut into panels.
struct Panels {
    int64_t f, padded;     // the rank; the rank rounded up to whole vectors
    int64_t most_rows, n;  // the most rows of a panel; the number of panels
    // The number of rows at the end of a segment that are copied, because `padded` elements of each cannot be read in
    // place. If rows are contiguous, the elements after a row's f elements belong to the next row, and can be read.
    // They only change columns of the sums that are not part of the result.
    int64_t copied;

    Panels(const cymbals_matrix &y, int64_t pad) {
        f = y.n_cols, padded = round_up(f, pad);
        most_rows = std::min(padded, std::max(kPanel, kPartElements / padded / kPanel * kPanel));
        n = (padded + most_rows - 1) / most_rows;
        copied = f == padded ? 0 : y.stride == f ? (padded - f + f - 1) / f : y.n_rows;
    }
};

// Adds rows begin to begin + n - 1 of the matrix to `part`; those from `in_place` on are copied first. `part` holds
// rows first to first + height - 1 of the result, from column `first` on; only the upper triangle is computed. `rows`
// has room for kBlockRows rows.
template <class T>
void add_rows(const cymbals_matrix &y, const Panels &panels, int64_t begin, int64_t n, int64_t in_place, int64_t first,
              int64_t height, T *part, T *rows, const Kernels<T> &kernels) {
    const int64_t f = panels.f, width = panels.padded - first;
    const T *from = row_of<T>(y, begin) + first;
    int64_t done = std::clamp<int64_t>(in_place - begin, 0, n);
    kernels.syrk(part, width, from, y.stride, done, 0, height, width);
    for (int64_t count; done < n; done += count) {
        count = std::min(kBlockRows, n - done);
        for (int64_t k = 0; k < count; k++) {
            std::copy_n(from + (done + k) * y.stride, f - first, rows + k * width);
            std::fill_n(rows + k * width + f - first, panels.padded - f, T(0));
        }
        kernels.syrk(part, width, rows, width, count, 0, height, width);
    }
}

// Computes one panel of the sum (f x f) of the rows start to end - 1. The products of kRows rows at a time are added up
// in T, and these sums in float64.
template <class T>
void sum_panel(const cymbals_matrix &y, const Panels &panels, int64_t start, int64_t end, int64_t panel, double *sum,
               T *part, T *rows, const Kernels<T> &kernels, ApiCall &call) {
    Span span = call.span();
    const int64_t f = panels.f, first = panel * panels.most_rows,
                  height = std::min(panels.most_rows, panels.padded - first), width = panels.padded - first;
    for (int64_t i = first; i < std::min(first + height, f); i++) std::fill_n(sum + i * f + first, f - first, 0.0);
    const Cost cost = CostModel<T>(kernels, f).gram(end - start, first, height);
    span.add(end - start, 0, cost.flops, cost.bytes);
    for (int64_t begin = start, n; begin < end; begin += n) {
        n = std::min(kRows, end - begin);
        std::fill_n(part, height * width, T(0));
        add_rows(y, panels, begin, n, end - panels.copied, first, height, part, rows, kernels);
        for (int64_t i = 0; i < std::min(height, f - first); i++)
            for (int64_t j = i; j < f - first; j++) sum[(first + i) * f + first + j] += part[i * width + j];
    }
}

// Computes the upper triangles of the sums (f x f each) of segments. Segment s has the rows from begin(s) to
// begin(s + 1).
template <class T, class Begin>
int32_t sum_segments(const cymbals_matrix &y, int64_t segments, Begin begin, double *sums, const Kernels<T> &kernels,
                     ApiCall &call) {
    const Panels panels(y, kernels.pad);
    bool enough = true;
#pragma omp parallel num_threads(call.threads()) reduction(&& : enough)
    {
        Buffer<T> rows = buffer<T>(panels.copied ? kBlockRows * panels.padded : 1),
                  part = buffer<T>(panels.most_rows * panels.padded);
        enough = rows && part;
#pragma omp for collapse(2) schedule(dynamic, 1)
        for (int64_t segment = 0; segment < segments; segment++)
            for (int64_t panel = 0; panel < panels.n; panel++)
                if (enough)
                    sum_panel(y, panels, begin(segment), begin(segment + 1), panel,
                              sums + segment * panels.f * panels.f, part.get(), rows.get(), kernels, call);
    }
    return enough ? CYMBALS_OK : CYMBALS_NO_MEMORY;
}

template <class T>
int32_t gramian(const cymbals_matrix &y, double *gram, const Kernels<T> &kernels, ApiCall &call) {
    const int64_t n = y.n_rows, f = y.n_cols, segments = segments_of(n, f);
    // A large_buffer would be slower: the system would fill its new pages with zeros in every call.
    Buffer<double> sums = buffer<double>(segments * f * f);
    if (!sums) return CYMBALS_NO_MEMORY;
    const auto begin = [=](int64_t segment) { return segment_begin(n, segments, segment); };
    const int32_t status = sum_segments(y, segments, begin, sums.get(), kernels, call);
    if (status != CYMBALS_OK) return status;
#pragma omp parallel for schedule(static) num_threads(call.threads())
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

extern "C" int32_t cymbals_gram_segments(int64_t n_rows, int64_t n_cols, int64_t *n_segments, int64_t *begins) {
    using namespace cymbals;
    if (n_rows < 0 || n_cols < 1 || n_cols > kMostColumns || !n_segments) return CYMBALS_BAD_ARGUMENT;
    *n_segments = segments_of(n_rows, n_cols);
    for (int64_t segment = 0; begins && segment <= *n_segments; segment++)
        begins[segment] = segment_begin(n_rows, *n_segments, segment);
    return CYMBALS_OK;
}

extern "C" int32_t cymbals_gram_parts(cymbals_workspace *workspace, const cymbals_matrix *matrix, int64_t n_segments,
                                      const int64_t *begins, double *sums) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_GRAM);
    if (!call.ready() || !call.matrix("matrix", matrix) || !call.between("n_segments", n_segments, 0) ||
        !call.not_null("begins", begins) || !call.require(n_segments == 0 || sums, "sums is null") ||
        !call.equal("begins[n_segments] - begins[0]", begins[n_segments] - begins[0], "matrix->n_rows", matrix->n_rows))
        return CYMBALS_BAD_ARGUMENT;
    for (int64_t s = 0; s < n_segments; s++)
        if (!call.require(begins[s] <= begins[s + 1], "begins[%lld] is %lld, and the next is less", (long long)s,
                          (long long)begins[s]))
            return CYMBALS_BAD_ARGUMENT;
    const int64_t f = matrix->n_cols;
    call.threads((double)matrix->n_rows * (double)f * (double)f / 2);
    return call.end(with_float(matrix->type, [&](auto zero) {
        using T = decltype(zero);
        const auto begin = [=](int64_t segment) { return begins[segment] - begins[0]; };
        const int32_t status = sum_segments(*matrix, n_segments, begin, sums, kernels_of<T>(call.table()), call);
        for (int64_t s = 0; status == CYMBALS_OK && s < n_segments; s++)
            for (int64_t i = 0; i < f; i++)
                for (int64_t j = 0; j < i; j++) sums[(s * f + i) * f + j] = sums[(s * f + j) * f + i];
        return status;
    }));
}
