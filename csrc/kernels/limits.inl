// Loops that measure the limits of a processor and its memory: each does one kind of work and nothing else.

template <class T>
int64_t multiply_adds(int64_t rounds, T *result) {
    constexpr int64_t chains = kTileRows<T> * kTileVectors;
    Vec<T> sums[chains];
#pragma GCC unroll 24
    for (int64_t c = 0; c < chains; c++) sums[c] = spread(T(c));
    const Vec<T> factor = spread(*result * T(1e-30) + T(0.5));  // a value that the compiler does not know
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 24
        for (int64_t c = 0; c < chains; c++) sums[c] = sums[c] * factor + factor;
#pragma GCC unroll 24
    for (int64_t c = 1; c < chains; c++) sums[0] += sums[c];
    *result = sum<T>(sums[0]);
    return rounds * chains * kLanes<T>;
}

template <class T>
T load_rows(const T *rows, int64_t stride, int64_t f, const int64_t *indices, int64_t n, int64_t ahead) {
    constexpr int64_t L = kLanes<T>;
    Vec<T> sums[4] = {};
    for (int64_t i = 0; i < n; i++) {
        if (indices && i + ahead < n) prefetch_row(rows + indices[i + ahead] * stride, f);
        const T *row = rows + (indices ? indices[i] : i) * stride;
        for (int64_t j = 0; j < f; j += 4 * L)
#pragma GCC unroll 4
            for (int64_t k = 0; k < 4; k++) sums[k] += load(row + j + k * L);
    }
    return sum<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}
