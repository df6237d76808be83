// The kernels of csrc/kernels, compiled from the same sources with vectors that count their operations. They are
// exported as the table `baseline`, so they run on any machine, whatever CYMBALS_BYTES and CYMBALS_REGISTERS are.
// Only the kernels of half-steps, Gramians, rotation and whitening are here. `weigh` is not counted.

#include "kernels/kernels.h"

#include "tally.h"

namespace cymbals {
namespace {

#include "kernels/scalar.inl"
//
namespace plain {  // weighing is not counted
#include "kernels/vector.inl"
//
#include "kernels/weigh.inl"
}  // namespace plain
//
#include "counted.inl"
//
#include "kernels/products.inl"
//
#include "kernels/cholesky.inl"
//
#include "kernels/compact.inl"
//
#include "kernels/gather.inl"
//
#include "kernels/passes.inl"
//
#include "kernels/compact_passes.inl"
//
#include "kernels/cg.inl"
//
#include "kernels/exact.inl"

using counting::Count;
using counting::counts;
using counting::Range;
using counting::tally;

// Counts what `solve` does with a row.
template <class T, class F>
Outcome count_row(int way, const Row<T> &row, const RowScratch<T> &work, F solve) {
    tally = {};
    if (!work.gathered) return solve();  // a later attempt in float64, whose cost is not recorded
    int64_t last = 0, last_full = row.compact.rows ? -1 : 0;
    for (int64_t i = 0; i < row.n + kGroup; i++) {
        const int64_t index = row.indices[i];
        last = index > last ? index : last;
        last_full = ~index > last_full ? ~index : last_full;
    }
    if (row.compact.rows)
        tally.fixed = Range(row.compact.rows, (last + 1) * row.compact.stride);
    else
        last_full = last;
    tally.heavy = Range(row.full.rows, (last_full + 1) * row.full.stride);
    tally.tile = Range(work.tile, work.tile_rows * work.ld);
    tally.gathered = work.gathered;
    tally.noted = *work.gathered;
    tally.gathering = true;
    tally.exact = way != 0;
    const Outcome outcome = solve();
    tally.look();
    const int length = 63 - __builtin_clzll((uint64_t)row.n);
    Count &gather = counts.gather[way][length], &rest = counts.solve[way][length];
    gather.flops += (double)tally.flops[1], rest.flops += (double)tally.flops[0];
    gather.bytes += (double)tally.from_fixed[1];
    // If CG gathers a row in every step, because it does not fit in the tile, only its loads from the fixed side count.
    rest.bytes += (double)(tally.from_fixed[0] ? tally.from_fixed[0] : tally.from_tile[0]);
    return outcome;
}
template <class T>
Outcome count_cg(const Row<T> &row, const RowScratch<T> &work, const Stop &stop, T *x, CgSteps *steps) {
    return count_row(0, row, work, [&] { return solve_cg(row, work, stop, x, steps); });
}
template <class T>
Outcome count_dual(const Row<T> &row, const RowScratch<T> &work, T *x) {
    return count_row(1, row, work, [&] { return solve_dual(row, work, x); });
}
template <class T>
Outcome count_primal(const Row<T> &row, const RowScratch<T> &work, T *x) {
    return count_row(2, row, work, [&] { return solve_primal(row, work, x); });
}

// Counts what `work` does with the rows of a matrix; each byte is read from memory once.
template <class F>
void count_matrix(Count &count, const Range &rows, double times, F work) {
    tally = {};
    tally.fixed = rows;
    tally.once = true;
    work();
    count.flops += (double)tally.flops[0];
    count.bytes += times * (double)tally.from_fixed[0];
}
template <class T>
void count_syrk(T *c, int64_t ldc, const T *p, int64_t ldp, int64_t n, int64_t begin, int64_t end, int64_t m) {
    count_matrix(counts.gram, Range(p, n * ldp), 1, [&] { syrk(c, ldc, p, ldp, n, begin, end, m); });
}
template <class T>
void count_gemm(T *c, int64_t ldc, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t n, int64_t k, int64_t m) {
    // The rows are read from the matrix and written back to it.
    count_matrix(counts.rotate, Range(a, n * lda), 2, [&] { gemm(c, ldc, a, lda, b, ldb, n, k, m); });
}
template <class T>
void count_norms(T *norms, const T *y, int64_t stride, int64_t n, int64_t f, const T *scale) {
    count_matrix(counts.whiten, Range(y, n * stride), 1, [&] { row_norms(norms, y, stride, n, f, scale); });
}
// Reads rows that row_norms has just read, and so from a cache.
void count_compress(int32_t *pairs, int64_t pairs_stride, const float *y, int64_t stride, int64_t n, int64_t f,
                    const float *scale) {
    tally = {};
    tally.copy = Range(pairs, n * pairs_stride);
    compress(pairs, pairs_stride, y, stride, n, f, scale);
    counts.whiten.flops += (double)tally.flops[0];
    counts.whiten.bytes += (double)tally.to_copy;
}

template <class T>
Kernels<T> counting_kernels() {
    Kernels<T> all = {};
    all.pad = kPad<T>, all.lanes = kLanes<T>, all.strip = kTileRows<T>, all.registers = CYMBALS_REGISTERS;
    all.solve_cg = count_cg<T>, all.solve_dual = count_dual<T>, all.solve_primal = count_primal<T>;
    all.syrk = count_syrk<T>, all.gemm = count_gemm<T>, all.row_norms = count_norms<T>;
    all.weigh = plain::weigh<T>;
    if constexpr (sizeof(T) == sizeof(float)) all.compress = count_compress;
    return all;
}

}  // namespace

extern const KernelTable kernels_baseline;
const KernelTable kernels_baseline = [] {
    KernelTable all = {};
    all.name = "baseline";
    all.f32 = counting_kernels<float>();
    all.f64 = counting_kernels<double>();
    return all;
}();

}  // namespace cymbals
