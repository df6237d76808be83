// The table of kernels, and the structs that kernels take. Each instruction set has one table. Kernels never allocate,
// print, throw or touch Python. Their object files share only this header with the rest of the library, so it defines
// nothing with external linkage. csrc/README.md lists the shapes, flops and bytes of all kernels but `screen`.
#pragma once

#include <cstdint>
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ctime>
#endif

namespace cymbals {

// Reads a clock in a few nanoseconds. How long a tick is depends on the machine.
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

// Where the rows of a system come from: row i is weight[i] * (scale o rows[indices[i]]), where o multiplies element by
// element. scale is padded with zeros.
template <class T>
struct Source {
    const T *rows;
    int64_t stride;
    const T *scale, *weight;
};

// The same for the whitened 16-bit copy. The copy consists of pairs of numbers, whose order depends on the instruction
// set. `stride` counts pairs.
template <class T>
struct CompactSource {
    const int32_t *rows;  // null if there is no copy
    int64_t stride;
    // Null if the copy was whitened with the D (see Row) of the row that is solved. Else one number for each column:
    // the copy times these numbers is whitened with that D. Padded with zeros up to `side`.
    const T *scale;
};

// The system of one row: (D + sum_i sign_i weight_i^2 y_i y_i') x = sum_i weight_i q_i y_i, where y_i is row indices[i]
// of the fixed side. In whitened coordinates, z = D^(1/2) x, the system is (I + W'SW) z = W'q. Row i of W is
// weight_i D^(-1/2) y_i, and S is diagonal with the signs. The objective gives entry i the weight a_i and the weighted
// target b_i: weight_i is sqrt|a_i|, sign_i is the sign of a_i, and q_i is b_i / sqrt|a_i|.
template <class T>
struct Row {
    int64_t f;                 // rank
    Source<T> full;            // the fixed side itself: scale is D^(-1/2), weight sqrt|a|
    CompactSource<T> compact;  // the 16-bit copy, for CG
    const T *root;             // D^(1/2), padded with zeros
    // Row numbers of the fixed side: n of this row, n_next of the next rows, kGroup more. Entries that read
    // `full` although there is a copy have ~i here, where i is a row of `full`.
    const int64_t *indices;
    const T *q;                     // b / sqrt|a|; this and the weights are followed by kGroup zeros
    int64_t n, n_positive, n_next;  // the n_positive entries with a >= 0 come first
    T constant;                     // the row's loss at x = 0
    int64_t n_heavy;                // entries that read `full` although there is a copy
};

// Scratch memory of one thread. Vectors have `side` elements, of which `padded` are used; the matrix is side x side,
// the tile tile_rows x ld.
template <class T>
struct RowScratch {
    int64_t padded, ld, tile_rows, side;
    T *tile, *matrix;
    T *z, *r, *p, *ap, *scaled, *sum;  // zeros from `padded` to `side`
    T *t;                              // 2 * side
    int64_t *gathered;                 // null, or where a solver writes ticks() when it has gathered the row
};

// Notes that a row has been gathered. The primal gathers a row in parts if it does not fit in the tile or has negative
// weights; for later parts, the time since `begin` is added to what was noted before.
template <class T>
static inline __attribute__((always_inline)) void note_gathered(const RowScratch<T> &scratch, int64_t begin = 0) {
    if (scratch.gathered) *scratch.gathered = begin ? *scratch.gathered + ticks() - begin : ticks();
}

// Steps of conjugate gradients; short_passes is 1 if the last step computed no new residual, else 0.
struct CgSteps {
    int32_t all, short_passes;
};

// When conjugate gradients stop. |r|^2 is an upper bound of the excess loss, which is what further steps could gain.
// The steps end as soon as |r|^2 is at most t^2 times the smaller of two parts of the row's loss: the part that z
// explains, q'Wz, and the rest. t is `tight` before `wanted` steps, and `tolerance` afterwards. The start may explain
// most of the row already, because it is the result of the previous iteration. Then the steps also end once |r|^2 is at
// most share^2 times the loss that they have gained. The last step may leave out the new residual if another bound
// proves that the excess loss is at most four times what is allowed. After `most` steps they end in any case. This is a
// failure, unless the tolerance is 0.
struct Stop {
    int most, wanted;
    double tolerance, tight, share;
};

enum class Outcome : int { done, indefinite, not_converged, too_heavy, no_memory, bad_index };

// Kernels work on the rows of a tile in blocks of this many. Tiles are filled up to whole blocks with rows
// of zeros or of weight 0.
constexpr int64_t kBlock = 4;
// Conjugate gradients read the rows of a tile in groups of `pad`. This is the largest pad.
constexpr int64_t kGroup = 16;
// Columns of a register tile, in vectors.
constexpr int64_t kTileVectors = 3;
// The rows of a panel of the Gramian are a multiple of this number, which is a multiple of every pad.
constexpr int64_t kPanel = 64;

// The layout of items for screening with 8-bit products. Items are stored in groups of kScreenLanes. Columns are stored
// in quads of four, and quads in segments of kScreenSegment. The segments of a group follow one another in memory. The
// products of an item are added up in two 16-bit sums, one for the first two columns of each quad and one for the
// others. A segment begins with two 16-bit numbers for each item, the start values of the item's sums. Then it has 32
// bytes for each quad: four columns of the first item, four of the second, and so on.
constexpr int64_t kScreenLanes = 8, kScreenSegment = 32;
static constexpr int64_t screen_bytes(int64_t quads) {
    return 32 * (quads + (quads + kScreenSegment - 1) / kScreenSegment);
}

// Sums over the weights and weighted targets of a row.
template <class T>
struct WeightSums {
    T trace;     // of W'W: the sum of |a| y'D^(-1)y
    T heaviest;  // the largest term of the trace
    T constant;  // the sum of b, or of b^2
    T least;     // the lowest a, or 0 if none is negative
    bool finite;
};

template <class T>
struct Kernels {
    int64_t pad;                      // tile rows, vectors and matrix edges are multiples of this many elements
    int64_t lanes, strip, registers;  // elements of a vector; rows of a register tile; vector registers
    // Conjugate gradients, starting from x; *steps becomes the steps taken.
    Outcome (*solve_cg)(const Row<T> &, const RowScratch<T> &, const Stop &, T *x, CgSteps *steps);
    // Exact, with an n x n system. Needs n <= tile_rows, n rounded up to pad <= side, and n_positive == n.
    Outcome (*solve_dual)(const Row<T> &, const RowScratch<T> &, T *x);
    // Exact, with an f x f system, for rows of any length and sign. Needs padded <= side.
    Outcome (*solve_primal)(const Row<T> &, const RowScratch<T> &, T *x);
    // c[i][j] += sum_k p[k][i] p[k][j] for begin <= i < end and j >= i. Some elements just below the diagonal are
    // written, too. begin, end and m are multiples of pad; rows of c and p have at least m elements.
    void (*syrk)(T *c, int64_t ldc, const T *p, int64_t ldp, int64_t n, int64_t begin, int64_t end, int64_t m);
    // c = a b, where a is n x k and b is k x m; n is a multiple of kBlock, m of pad.
    void (*gemm)(T *c, int64_t ldc, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t n, int64_t k, int64_t m);
    // c[i][j] = a_i . b_j over any number f of elements. The order of additions is the same for all i and j.
    void (*dots)(T *c, int64_t ldc, const T *a, int64_t lda, int64_t na, const T *b, int64_t ldb, int64_t nb,
                 int64_t f);
    // norms[i] = sum_j (scale[j] y[i][j])^2 for n rows of f elements; scale null: 1.
    void (*row_norms)(T *norms, const T *y, int64_t stride, int64_t n, int64_t f, const T *scale);
    // pairs = y o scale in 16 bits (bfloat16), for n rows of f elements. Null for float64.
    void (*compress)(int32_t *pairs, int64_t pairs_stride, const T *y, int64_t stride, int64_t n, int64_t f,
                     const T *scale);
    // y = a row of `pairs` as floats.
    void (*expand)(T *y, const int32_t *pairs, int64_t f);
    // Replaces a by sqrt|a| with the sign of a, and b by b / sqrt|a|, and writes kGroup zeros after the n numbers of
    // each. The leverage of entry i is leverage[indices[i]], or leverage[i] if indices is null. With `squares`,
    // `constant` is the sum of b^2.
    WeightSums<T> (*weigh)(T *a, T *b, int64_t n, const int64_t *indices, const T *leverage, bool squares);
    // s[i] = x . fixed[indices[i]] for n rows of f elements.
    void (*scores)(T *s, const T *x, const T *fixed, int64_t stride, int64_t f, const int64_t *indices, int64_t n);
    // Writes the positions of the scores that are at least `least` to places, in order; returns their number. n < 2^31.
    int64_t (*find_at_least)(const T *s, int64_t n, T least, int32_t *places);
    // For each value: adds to less the number of scores below it, and to not_more the number of scores not above it. n
    // is below 2^24.
    void (*count)(const T *s, int64_t n, const T *values, int64_t n_values, int64_t *less, int64_t *not_more);

    // The two kernels that follow are for cymbals_measure_peaks.
    // Does this many rounds of independent multiply-adds in registers; returns the number of multiply-adds. *result is
    // read and written, so that compilers keep the loop.
    int64_t (*multiply_adds)(int64_t rounds, T *result);
    // Returns the sum of all elements of n rows. If indices is null, these are the first n rows; else they are
    // rows[indices[i]], and each is fetched `ahead` rows before it is read. f is a multiple of 64.
    T (*load_rows)(const T *rows, int64_t stride, int64_t f, const int64_t *indices, int64_t n, int64_t ahead);
};

struct KernelTable {
    const char *name;
    Kernels<float> f32;
    Kernels<double> f64;
    // Sets bit i of hits[u * hits_stride + g] if the product of user u with item i of group g is at least least[u].
    // Null if the instruction set has no instruction for such products.
    void (*screen)(const uint8_t *const *users, int64_t n_users, const int8_t *groups, int64_t n_groups, int64_t quads,
                   const int32_t *least, uint8_t *hits, int64_t hits_stride);
};

}  // namespace cymbals
