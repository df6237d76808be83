// The table of kernels, one per instruction set, and the plain structs that cross it. Kernels never
// allocate, print, throw or touch Python; this header is the only thing that their objects share with
// the rest of the library, and it defines nothing with linkage. csrc/README.md gives each contract.
#pragma once

#include <cstdint>
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ctime>
#endif

namespace cymbals {

// A clock that is read in a few nanoseconds; its unit is the machine's own.
static inline __attribute__((always_inline)) int64_t ticks() {
#if defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    int64_t now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#else
    return (int64_t)std::clock();
#endif
}

// Where the rows of a system come from: row i is weight_i (scale o rows_where_i); scale is padded with zeros.
template <class T>
struct Source {
    const T *rows;
    int64_t stride;
    const T *scale, *weight;
};

// The same of a whitened copy in 16 bits: pairs of numbers, stride counted in pairs, in an order that is each
// instruction set's own.
template <class T>
struct CompactSource {
    const int32_t *rows;  // null where there is no copy
    int64_t stride;
    const T *scale;  // null where the copy is whitened with this row's own D; else zeros up to `side`
};

// One row's system: (D + sum_i sign_i weight_i^2 y_i y_i') x = sum_i weight_i q_i y_i, y_i the fixed side's row
// where_i.
template <class T>
struct Row {
    int64_t f;                      // rank
    Source<T> full;                 // the fixed side itself: scale is D^(-1/2), weight sqrt|a|
    CompactSource<T> compact;       // the same from 16 bits, for CG
    const T *root;                  // D^(1/2), padded with zeros
    const int64_t *indices;         // n row numbers of the fixed side, n_next of the next rows', kGroup of any row
    const T *q;                     // b / sqrt|a|; this and the weights have kGroup zeros behind them
    int64_t n, n_positive, n_next;  // the entries with a < 0 stand last
    T constant;                     // the row's loss at x = 0
};

// Memory of one thread. Vectors hold `padded` elements, the matrix side x side, the tile tile_rows rows of ld.
template <class T>
struct RowScratch {
    int64_t padded, ld, tile_rows, side;
    T *tile, *matrix;
    T *z, *r, *p, *ap, *scaled, *sum;  // zeros from `padded` to `side`
    T *t;                              // 2 * side
    int64_t *gathered;                 // null, or where a solver leaves when it had gathered the row: ticks()
};

// Tells when a row was gathered; a later part of it counts as if it had been gathered with the first.
template <class T>
static inline __attribute__((always_inline)) void note_gathered(const RowScratch<T> &scratch, int64_t begin = 0) {
    if (scratch.gathered) *scratch.gathered = begin ? *scratch.gathered + ticks() - begin : ticks();
}

// Steps of conjugate gradients, and how many of them needed no new residual: the last, at most.
struct CgSteps {
    int32_t all, short_passes;
};

// When conjugate gradients end: at `most` steps, or once |r|^2, which bounds what there is left to gain, is at most t^2
// times the part of the row's loss that is explained, b'z, and times that which remains. t is `tight` up to `wanted`
// steps and `tolerance` from there on. From a start that explained most already, as the last iteration's does, it is
// also enough if |r|^2 is at most share^2 times what the steps have gained. The last step may go without a new residual
// where another bound proves that no more than four times as much is left. With a tolerance of 0 reaching `most` is
// success.
struct Stop {
    int most, wanted;
    double tolerance, tight, share;
};

enum class Outcome : int { done, indefinite, not_converged, too_heavy, no_memory };

// Rows of a tile are worked in groups of this many; tiles are filled up with zero rows.
constexpr int64_t kBlock = 4;
constexpr int64_t kGroup = 16;  // and, in conjugate gradients, of up to this many
// Columns of a register tile, in vectors.
constexpr int64_t kTileVectors = 3;
// Edge of the blocks that the Gramian is cut into: a multiple of every pad.
constexpr int64_t kPanel = 64;

// Screening by 8-bit products: items stand in groups of kScreenLanes, four columns (a quad) of each side by side. A
// group's record is, for each segment of kScreenSegment quads, two 16-bit starts of its sums for every item, then the
// segment's quads, 32 bytes each.
constexpr int64_t kScreenLanes = 8, kScreenSegment = 32;
static constexpr int64_t screen_bytes(int64_t quads) { return 32 * (quads + (quads + kScreenSegment - 1) / kScreenSegment); }

// What a row's weights add up to.
template <class T>
struct WeightSums {
    T trace;     // of W'W: sum of |a| y'D^(-1)y
    T heaviest;  // the largest of these
    T constant;  // sum b, or of b^2
    T least;     // the lowest a
    bool finite;
};

template <class T>
struct Kernels {
    int64_t pad;           // tile rows, vectors and matrix edges are multiples of this many elements
    int64_t lanes, strip;  // elements of a vector; rows of a register tile
    // Conjugate gradients from x; *steps: those taken.
    Outcome (*solve_cg)(const Row<T> &, const RowScratch<T> &, const Stop &, T *x, CgSteps *steps);
    // Exact, n x n: needs n <= tile_rows, n rounded up to pad <= side, n_positive == n.
    Outcome (*solve_dual)(const Row<T> &, const RowScratch<T> &, T *x);
    // Exact, f x f: any length and sign; needs padded <= side.
    Outcome (*solve_primal)(const Row<T> &, const RowScratch<T> &, T *x);
    // c[i][j] += sum_k p[k][i] p[k][j] for begin <= i < end, j >= i (some j < i beside the diagonal are written
    // too). begin, end, m multiples of pad; c, p of row length >= m.
    void (*syrk)(T *c, int64_t ldc, const T *p, int64_t ldp, int64_t n, int64_t begin, int64_t end, int64_t m);
    // c = a b: a is n x k, b k x m; n a multiple of kBlock, m of pad.
    void (*gemm)(T *c, int64_t ldc, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t n, int64_t k, int64_t m);
    // c[i][j] = a_i . b_j over f elements (any number); each product is summed in the same order wherever it stands.
    void (*dots)(T *c, int64_t ldc, const T *a, int64_t lda, int64_t na, const T *b, int64_t ldb, int64_t nb,
                 int64_t f);
    // norms[i] = sum_j (scale_j y_ij)^2 for n rows of f elements; scale may be null.
    void (*row_norms)(T *norms, const T *y, int64_t stride, int64_t n, int64_t f, const T *scale);
    // y o scale in 16 bits (bfloat16), n rows of f elements. Null for float64.
    void (*compress)(int32_t *pairs, int64_t pairs_stride, const T *y, int64_t stride, int64_t n, int64_t f,
                     const T *scale);
    // a becomes sqrt|a| with the sign of a, b becomes b / sqrt|a|; both get kGroup zeros behind their n numbers.
    // where null: leverage is the entries' own.
    WeightSums<T> (*weigh)(T *a, T *b, int64_t n, const int64_t *indices, const T *leverage, bool squares);
    // s[i] = x . fixed[where_i] for n rows of f elements.
    void (*scores)(T *s, const T *x, const T *fixed, int64_t stride, int64_t f, const int64_t *indices, int64_t n);
    // The places of n < 2^31 scores that hold at least `least`, in order; returns how many.
    int64_t (*find_at_least)(const T *s, int64_t n, T least, int32_t *places);
    // Adds to less and not_more how many of n < 2^24 scores are below each of the values, and how many not above it.
    void (*count)(const T *s, int64_t n, const T *values, int64_t n_values, int64_t *less, int64_t *not_more);

    // For the sake of their speed.
    // Independent multiply-adds in registers: does so many rounds, returns how many they
    // were, and stores what came of them.
    int64_t (*multiply_adds)(int64_t rounds, T *result);
    // The sum of all elements of n rows, where_i or in order if that is null, fetched so many rows ahead; f a multiple
    // of 64.
    T (*load_rows)(const T *rows, int64_t stride, int64_t f, const int64_t *indices, int64_t n, int64_t ahead);
};

struct KernelTable {
    const char *name;
    Kernels<float> f32;
    Kernels<double> f64;
    // Bit i of hits[u * hits_stride + g]: whether the product of user u and item i of group g is at least least[u].
    // Null where the set has no instruction for it.
    void (*screen)(const uint8_t *const *users, int64_t n_users, const int8_t *groups, int64_t n_groups, int64_t quads,
                   const int32_t *least, uint8_t *hits, int64_t hits_stride);
};

}  // namespace cymbals
