// A row's entries as a tile: the rows of the fixed side that it touches, whitened and weighted, side by side in the
// first- or second-level cache. Everything that a solver does afterwards reads the tile alone.

constexpr int64_t kAhead = 16;  // entries between the one being gathered and the one being fetched from memory

// Entries i to i + 3 as rows of the tile, w_k = weight (scale o y): zero rows from n on. With kDots also s_k = w_k . z.
template <class T, class From, bool kDots>
inline void gather_from(const Row<T> &row, const Source<T, From> &from, int64_t i, const Work<T> &work, T *tile,
                        const T *z, T *s) {
    constexpr int64_t L = kLanes<T>;
    const int64_t ld = work.ld, padded = work.padded, whole = from.readable / L * L;
    const T *scale = from.scale;
    const From *y[kBlock];
    T weight[kBlock];
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++) {
        const int64_t at = i + k < row.n ? i + k : row.n - 1;
        y[k] = from.rows + row.where[at] * from.stride;
        weight[k] = i + k < row.n ? from.weight[at] : 0;
    }
    Vec<T> sums[kBlock] = {};
    for (int64_t j = 0; j < whole; j += L) {
        const Vec<T> by = load(scale + j), other = kDots ? load(z + j) : by;
#pragma GCC unroll 4
        for (int64_t k = 0; k < kBlock; k++) {
            const Vec<T> w = weight[k] * (by * read<T>(y[k] + j));
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

// Fetches what entry i will gather, of this row or, from n on, of the next.
template <class T>
CYMBALS_INLINE void fetch(const Row<T> &row, int64_t i) {
    if (i >= row.n + row.n_next) return;
    if (row.compact.rows)
        prefetch_row(row.compact.rows + row.where[i] * row.compact.stride, row.f);
    else
        prefetch_row(row.full.rows + row.where[i] * row.full.stride, row.f);
}

template <class T, bool kDots>
inline void gather4(const Row<T> &row, int64_t i, const Work<T> &work, T *tile, const T *z, T *s) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++) fetch(row, i + kAhead + k);
    if constexpr (sizeof(T) == sizeof(float))
        if (row.compact.rows) return gather_from<T, int16_t, kDots>(row, row.compact, i, work, tile, z, s);
    gather_from<T, T, kDots>(row, row.full, i, work, tile, z, s);
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
