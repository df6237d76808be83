// The table of kernels, one per instruction set, and the plain structs that cross it. Kernels never
// allocate, print, throw or touch Python; this header is the only thing that their objects share with
// the rest of the library, and it defines nothing with linkage. csrc/README.md gives each contract.
#pragma once

#include <cstdint>

namespace cymbals {

// One row's system: (D + sum_i sign_i weight_i^2 y_i y_i') x = sum_i weight_i q_i y_i, y_i = fixed[where_i].
template <class T>
struct Row {
    const T *fixed;         // the fixed side, row-major
    int64_t stride;         // elements from one of its rows to the next
    int64_t f;              // rank
    const T *scale;         // D^(-1/2), padded with zeros
    const T *root;          // D^(1/2), padded with zeros
    const int64_t *where;   // n row numbers of the fixed side
    const T *weight;        // sqrt|a|
    const T *q;             // b / sqrt|a|; readable, and zero, for kBlock entries beyond n
    int64_t n, n_positive;  // the entries with a < 0 stand last
    const int64_t *next;    // n_next row numbers that the next row will gather: a hint, to be fetched meanwhile
    int64_t n_next;
};

// Memory of one thread. Vectors hold `padded` elements, the matrix side x side, the tile tile_rows rows of ld.
template <class T>
struct Work {
    int64_t padded, ld, tile_rows, side;
    T *tile, *matrix, *z, *r, *p, *ap;
    T *t;  // 2 * side
};

enum class Solve : int { done, indefinite, not_converged };

// Rows of a tile are worked in groups of this many; tiles are filled up with zero rows.
constexpr int64_t kBlock = 4;
// Edge of the blocks that the Gramian is cut into: a multiple of every pad.
constexpr int64_t kPanel = 64;

template <class T>
struct Kernels {
    int64_t pad;  // tile rows, vectors and matrix edges are multiples of this many elements
    // Conjugate gradients from x: stops after max_steps, or once |r|^2 <= tolerance^2 b'z. *steps: those taken.
    Solve (*solve_cg)(const Row<T> &, const Work<T> &, int max_steps, T tolerance, T *x, int *steps);
    // Exact, n x n: needs n <= tile_rows, n rounded up to pad <= side, n_positive == n.
    Solve (*solve_dual)(const Row<T> &, const Work<T> &, T *x);
    // Exact, f x f: any length and sign; needs padded <= side.
    Solve (*solve_primal)(const Row<T> &, const Work<T> &, T *x);
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
    // s[i] = x . fixed[where_i] for n rows of f elements.
    void (*scores)(T *s, const T *x, const T *fixed, int64_t stride, int64_t f, const int64_t *where, int64_t n);
};

struct KernelTable {
    const char *name;
    Kernels<float> f32;
    Kernels<double> f64;
};

}  // namespace cymbals
