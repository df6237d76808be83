// A row's entries as a tile: the rows of the fixed side that it touches, whitened and weighted, side by side in the
// first- or second-level cache. Everything that a solver does afterwards reads the tile alone.

constexpr int64_t kAhead = 16;      // entries between the one being gathered and the one being fetched from memory
constexpr int64_t kFetchEvery = 2;  // later passes fetch for the next row, an entry for so many of this

// Fetches what entry i will gather, of this row or, from n on, of the next.
template <class T>
CYMBALS_INLINE void fetch(const Row<T> &row, int64_t i) {
    if (i < row.n + row.n_next) prefetch_row(row.full.rows + row.where[i] * row.full.stride, row.f);
}

// Entries i to i + 3 as rows of the tile, w_k = weight (scale o y): zero rows from n on. With kDots also s_k = w_k . z.
template <class T, bool kDots>
inline void gather4(const Row<T> &row, int64_t i, const Work<T> &work, T *tile, const T *z, T *s) {
    constexpr int64_t L = kLanes<T>;
    const int64_t ld = work.ld, padded = work.padded, whole = row.f / L * L;
    const T *scale = row.full.scale;
    const T *y[kBlock];
    T weight[kBlock];
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++) {
        fetch(row, i + kAhead + k);
        const int64_t at = i + k < row.n ? i + k : row.n - 1;
        y[k] = row.full.rows + row.where[at] * row.full.stride;
        weight[k] = i + k < row.n ? row.full.weight[at] : 0;
    }
    Vec<T> sums[kBlock] = {};
    for (int64_t j = 0; j < whole; j += L) {
        const Vec<T> by = load(scale + j), other = kDots ? load(z + j) : by;
#pragma GCC unroll 4
        for (int64_t k = 0; k < kBlock; k++) {
            const Vec<T> w = weight[k] * (by * load(y[k] + j));
            store(tile + k * ld + j, w);
            if (kDots) sums[k] += w * other;
        }
    }
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++) {
        T *w = tile + k * ld;
        for (int64_t j = whole; j < padded; j++) w[j] = j < row.f ? weight[k] * (scale[j] * y[k][j]) : 0;
        if (!kDots) continue;
        for (int64_t j = whole; j < padded; j += L) sums[k] += load(w + j) * load(z + j);
        s[k] = sum<T>(sums[k]);
    }
}

// tile[i] = weight_i (scale o y_i) for begin <= i < end, then zero rows up to a multiple of kBlock; returns that many.
template <class T>
int64_t gather(const Row<T> &row, int64_t begin, int64_t end, const Work<T> &work) {
    Row<T> part = row;
    part.n = end;
    int64_t filled = 0;
    for (int64_t i = begin; i < end; i += kBlock, filled += kBlock)
        gather4<T, false>(part, i, work, work.tile + filled * work.ld, nullptr, nullptr);
    return filled;
}
