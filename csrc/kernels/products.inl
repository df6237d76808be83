// Products of vectors, and of matrices on register tiles of kTileRows rows and kTileVectors vectors: syrk, gemm, and
// the dot products of rows that the dual and top-k use.

// In the next three functions n is a multiple of kLanes.
template <class T>
inline T dot(const T *a, const T *b, int64_t n) {
    Vec<T> s = {};
    for (int64_t j = 0; j < n; j += kLanes<T>) s += load(a + j) * load(b + j);
    return sum<T>(s);
}
template <class T>
inline void add_scaled(T *y, T a, const T *x, int64_t n) {
    for (int64_t j = 0; j < n; j += kLanes<T>) store(y + j, load(y + j) + a * load(x + j));
}
template <class T>
inline void multiply(T *out, const T *a, const T *b, int64_t n) {
    for (int64_t j = 0; j < n; j += kLanes<T>) store(out + j, load(a + j) * load(b + j));
}

// A product fetches one cache line every kFetchSteps steps. If it fetched more often, or several lines at once, its
// loads would wait.
constexpr int64_t kFetchSteps = 2;

// Adds a'b to c (R rows of NV vectors), where a is n x R and b has n rows of NV vectors. The elements of a for row r of
// c are at a + k * sk + r * sr, k < n. If `ahead` is not null, the memory from there on is fetched meanwhile.
template <class T, int64_t R, int64_t NV>
inline void tile_product(T *c, int64_t ldc, const T *a, int64_t sk, int64_t sr, const T *b, int64_t ldb, int64_t n,
                         const T *ahead = nullptr) {
    constexpr int64_t L = kLanes<T>;
    Vec<T> acc[R][NV];
#pragma GCC unroll 8
    for (int64_t r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int64_t v = 0; v < NV; v++) acc[r][v] = load(c + r * ldc + v * L);
    for (int64_t k = 0; k < n; k++) {
        if (ahead && k % kFetchSteps == 0) __builtin_prefetch(ahead + k / kFetchSteps * kLine<T>, 0, 2);
        Vec<T> right[NV];
#pragma GCC unroll 4
        for (int64_t v = 0; v < NV; v++) right[v] = load(b + k * ldb + v * L);
#pragma GCC unroll 8
        for (int64_t r = 0; r < R; r++) {
            const T left = load_one(a + k * sk + r * sr);
#pragma GCC unroll 4
            for (int64_t v = 0; v < NV; v++) acc[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 8
    for (int64_t r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int64_t v = 0; v < NV; v++) store(c + r * ldc + v * L, acc[r][v]);
}

// The same for any number of vectors in the rows of c and b.
template <class T, int64_t R>
inline void strip_product(T *c, int64_t ldc, const T *a, int64_t sk, int64_t sr, const T *b, int64_t ldb, int64_t n,
                          int64_t vectors, const T *ahead = nullptr) {
    constexpr int64_t L = kLanes<T>;
    int64_t v = 0;
    for (; vectors - v >= kTileVectors && vectors - v != 4; v += kTileVectors)
        tile_product<T, R, kTileVectors>(c + v * L, ldc, a, sk, sr, b + v * L, ldb, n, ahead);
    if (vectors - v == 4) {  // 2 + 2 is faster than 3 + 1
        tile_product<T, R, 2>(c + v * L, ldc, a, sk, sr, b + v * L, ldb, n);
        v += 2;
    }
    if (vectors - v == 2) tile_product<T, R, 2>(c + v * L, ldc, a, sk, sr, b + v * L, ldb, n, ahead);
    if (vectors - v == 1) tile_product<T, R, 1>(c + v * L, ldc, a, sk, sr, b + v * L, ldb, n, ahead);
}

template <class T>
void syrk(T *c, int64_t ldc, const T *p, int64_t ldp, int64_t n, int64_t begin, int64_t end, int64_t m) {
    constexpr int64_t L = kLanes<T>, R = kTileRows<T>;
    constexpr int64_t depth = 256;  // rows of p that are multiplied at a time
    for (int64_t k = 0; k < n; k += depth) {
        const int64_t rows = n - k < depth ? n - k : depth;
        const T *block = p + k * ldp, *next = block + rows * ldp, *const next_end = next + depth * ldp;
        for (int64_t j = begin / L * L, right; j < m; j = right) {
            // If the number of vectors is no multiple of kTileVectors, the first strip is the narrow one: the triangle
            // has the fewest rows there.
            right = j + (((m - j) / L - 1) % kTileVectors + 1) * L;
            for (int64_t i = begin; i < end && i < right; i += R) {
                const int64_t left = i / L * L > j ? i / L * L : j;
                strip_product<T, R>(c + i * ldc + left, ldc, block + i, ldp, 1, block + left, ldp, rows,
                                    (right - left) / L, next < next_end ? next : nullptr);
                next += (rows + kFetchSteps - 1) / kFetchSteps * kLine<T>;
            }
        }
    }
}

template <class T>
void gemm(T *c, int64_t ldc, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t n, int64_t k, int64_t m) {
    constexpr int64_t L = kLanes<T>;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j += L) store(c + i * ldc + j, Vec<T>{});
    constexpr int64_t depth = 256;  // rows of b multiplied at a time: a strip of them stays in the first-level cache
    for (int64_t k0 = 0; k0 < k; k0 += depth) {
        const int64_t rows = k - k0 < depth ? k - k0 : depth;
        for (int64_t j = 0, vectors; j < m; j += vectors * L) {
            const int64_t left = (m - j) / L;
            vectors = left > kTileVectors + 1 ? kTileVectors : left;
            int64_t i = 0;
            for (; i + kTileRows<T> <= n; i += kTileRows<T>)
                strip_product<T, kTileRows<T>>(c + i * ldc + j, ldc, a + i * lda + k0, 1, lda, b + k0 * ldb + j, ldb,
                                               rows, vectors);
            for (; i < n; i += kBlock)
                strip_product<T, kBlock>(c + i * ldc + j, ldc, a + i * lda + k0, 1, lda, b + k0 * ldb + j, ldb, rows,
                                         vectors);
        }
    }
}

// R x S dot products of f elements.
template <class T, int64_t R, int64_t S>
inline void tile_dots(T *c, int64_t ldc, const T *a, int64_t lda, const T *b, int64_t ldb, int64_t f) {
    constexpr int64_t L = kLanes<T>;
    Vec<T> acc[R][S] = {};
    int64_t j = 0;
    for (; j + L <= f; j += L) {
        Vec<T> right[S];
#pragma GCC unroll 4
        for (int64_t s = 0; s < S; s++) right[s] = load(b + s * ldb + j);
#pragma GCC unroll 4
        for (int64_t r = 0; r < R; r++) {
            const Vec<T> left = load(a + r * lda + j);
#pragma GCC unroll 4
            for (int64_t s = 0; s < S; s++) acc[r][s] += left * right[s];
        }
    }
#pragma GCC unroll 4
    for (int64_t r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int64_t s = 0; s < S; s++) {
            T total = sum<T>(acc[r][s]);
            for (int64_t t = j; t < f; t++) total = multiply_add(a[r * lda + t], b[s * ldb + t], total);
            c[r * ldc + s] = total;
        }
}

template <class T>
void dots(T *c, int64_t ldc, const T *a, int64_t lda, int64_t na, const T *b, int64_t ldb, int64_t nb, int64_t f) {
    int64_t i = 0;
    for (; i + 4 <= na; i += 4) {
        int64_t j = 0;
        for (; j + 2 <= nb; j += 2) tile_dots<T, 4, 2>(c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, f);
        for (; j < nb; j++) tile_dots<T, 4, 1>(c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, f);
    }
    for (; i < na; i++) {
        int64_t j = 0;
        for (; j + 2 <= nb; j += 2) tile_dots<T, 1, 2>(c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, f);
        for (; j < nb; j++) tile_dots<T, 1, 1>(c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, f);
    }
}

template <class T>
void scores(T *s, const T *x, const T *fixed, int64_t stride, int64_t f, const int64_t *indices, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (i + kAhead < n) prefetch_row(fixed + indices[i + kAhead] * stride, f);
        tile_dots<T, 1, 1>(s + i, 1, x, f, fixed + indices[i] * stride, stride, f);
    }
}

template <class T>
void row_norms(T *norms, const T *y, int64_t stride, int64_t n, int64_t f, const T *scale) {
    constexpr int64_t L = kLanes<T>;
    for (int64_t i = 0; i < n; i++) {
        const T *row = y + i * stride;
        Vec<T> acc = {}, more[3] = {};
        int64_t j = 0;
        for (; j + 4 * L <= f; j += 4 * L) {  // four sums, to hide the latency of one
#pragma GCC unroll 4
            for (int64_t k = 0; k < 4; k++) {
                const Vec<T> v = scale ? load(row + j + k * L) * load(scale + j + k * L) : load(row + j + k * L);
                (k ? more[k - 1] : acc) += v * v;
            }
        }
        acc += more[0] + (more[1] + more[2]);
        for (; j + L <= f; j += L) {
            const Vec<T> v = scale ? load(row + j) * load(scale + j) : load(row + j);
            acc += v * v;
        }
        T total = sum<T>(acc);
        for (; j < f; j++) {
            const T v = scale ? load_one(row + j) * scale[j] : load_one(row + j);
            total += v * v;
        }
        norms[i] = total;
    }
}
