// Cholesky factorisation A = U'U, in place on the upper triangle of a row-major matrix, and the solves with it. The
// number of rows is a multiple of kPad. Elements below the diagonal are overwritten, and do not change the result.

// The number of rows that are factored before the matrix below them is updated.
template <class T>
constexpr int64_t kEdge = kPad<T> < 8 ? 8 : kPad<T>;

// a -= p'p on the upper triangle; p is n x m, n <= kEdge. The left operand is a negated copy.
template <class T>
inline void subtract_panel(T *a, int64_t lda, const T *p, int64_t ldp, int64_t n, int64_t m) {
    constexpr int64_t L = kLanes<T>, R = kTileRows<T>;
    T left[kEdge<T> * R];
    for (int64_t i = 0; i < m; i += R) {
        for (int64_t k = 0; k < n; k++)
            for (int64_t r = 0; r < R; r++) left[k * R + r] = -p[k * ldp + i + r];
        const int64_t j = i / L * L;
        strip_product<T, R>(a + i * lda + j, lda, left, R, 1, p + j, ldp, n, (m - j) / L);
    }
}

// Also sets inverse[k] = 1 / U[k][k]. False if a pivot is not positive and finite.
template <class T>
bool cholesky(T *a, int64_t lda, int64_t n, T *inverse) {
    constexpr int64_t L = kLanes<T>;
    for (int64_t k0 = 0; k0 < n; k0 += kEdge<T>) {
        const int64_t k1 = k0 + kEdge<T> < n ? k0 + kEdge<T> : n;
        for (int64_t k = k0; k < k1; k++) {
            T *row = a + k * lda;
            if (!(row[k] > 0 && row[k] < __builtin_inf())) return false;
            inverse[k] = 1 / root(row[k]);
            for (int64_t j = k / L * L; j < n; j += L) store(row + j, load(row + j) * inverse[k]);
            for (int64_t i = k + 1; i < k1; i++) {
                const int64_t j = i / L * L;
                add_scaled(a + i * lda + j, -row[i], row + j, n - j);
            }
        }
        if (k1 < n) subtract_panel(a + k1 * lda + k1, lda, a + k0 * lda + k1, lda, k1 - k0, n - k1);
    }
    return true;
}

// Sets b to A^-1 b, from the factor U of A.
template <class T>
void cholesky_solve(const T *a, int64_t lda, int64_t n, const T *inverse, T *b) {
    constexpr int64_t L = kLanes<T>;
    for (int64_t k = 0; k < n; k++) {  // U' y = b, one row of U at a time
        const T *row = a + k * lda, y = b[k] * inverse[k];
        b[k] = y;
        int64_t j = k + 1;
        for (; j % L != 0; j++) b[j] -= y * row[j];
        add_scaled(b + j, -y, row + j, n - j);
    }
    for (int64_t k = n - 1; k >= 0; k--) {  // U x = y
        const T *row = a + k * lda;
        int64_t j = k + 1;
        T total = 0;
        for (; j % L != 0; j++) total += row[j] * b[j];
        total += dot(row + j, b + j, n - j);
        b[k] = (b[k] - total) * inverse[k];
    }
}
