// Gathers a row. Its entries name rows of the fixed side. These rows are whitened, weighted and written to the tile,
// which stays in the first- or second-level cache. After that a solver reads the tile, and not the fixed side. If there
// is a 16-bit copy, rows are read from it, except those of very heavy entries.

// A pass over a tile that is already filled fetches one entry of a later row for every two entries of this row.
constexpr int64_t kFetchEvery = 2;

// Fetches the row of the fixed side that entry i will read. Entries from n on belong to the rows that are solved next.
template <class T>
CYMBALS_INLINE void fetch(const Row<T> &row, int64_t i) {
    if (i >= row.n + row.n_next) return;
    const int64_t index = row.indices[i];
    if constexpr (sizeof(T) == sizeof(float))
        if (row.compact.rows && index >= 0)
            return fetch_pairs(row.compact.rows + index * row.compact.stride, pair_vectors(row.f));
    prefetch_row(row.full.rows + (index < 0 ? ~index : index) * row.full.stride, row.f);
}

// Writes a row of the copy, whitened with D of the row that is solved and multiplied by `weight`, to a row of the tile.
inline void gather_pairs(const Row<float> &row, const int32_t *pairs, float weight, float *tile, int64_t padded) {
    constexpr int64_t L = kLanes<float>, P = kPair<float>;
    const float *scale = row.compact.scale;
    for (int64_t j = 0; j < padded; j += P, pairs += L) {
        const Pairs both = load_pairs(pairs);
        store(tile + j, weight * (scale ? load(scale + j) * lower(both) : lower(both)));
        if (j + L < padded) store(tile + j + L, weight * (scale ? load(scale + j + L) * upper(both) : upper(both)));
    }
}

// Writes a row of the fixed side to a row of the tile: the same numbers as `gather4`.
inline void gather_full(const Row<float> &row, const float *y, float weight, float *tile, int64_t padded) {
    constexpr int64_t L = kLanes<float>;
    const int64_t whole = row.f / L * L;
    for (int64_t j = 0; j < whole; j += L) store(tile + j, weight * (load(row.full.scale + j) * load(y + j)));
    for (int64_t j = whole; j < padded; j++) tile[j] = j < row.f ? weight * (row.full.scale[j] * load_one(y + j)) : 0;
}

// As `gather4`, with a 16-bit copy.
inline void gather4_compact(const Row<float> &row, int64_t i, const RowScratch<float> &scratch, float *tile) {
    for (int64_t k = 0; k < kBlock; k++, tile += scratch.ld) {
        fetch(row, i + kAhead + k);
        if (i + k >= row.n) {
            for (int64_t j = 0; j < scratch.padded; j += kLanes<float>) store(tile + j, Vec<float>{});
            continue;
        }
        const int64_t index = row.indices[i + k];
        const float weight = row.full.weight[i + k];
        if (index < 0)
            gather_full(row, row.full.rows + ~index * row.full.stride, weight, tile, scratch.padded);
        else
            gather_pairs(row, row.compact.rows + index * row.compact.stride, weight, tile, scratch.padded);
    }
}

// Writes the rows of entries i to i + 3 to the tile, each as weight * (scale o y), where o multiplies element by
// element. Entries from n on get zeros.
template <class T>
inline void gather4(const Row<T> &row, int64_t i, const RowScratch<T> &scratch, T *tile) {
    constexpr int64_t L = kLanes<T>;
    if constexpr (sizeof(T) == sizeof(float))
        if (row.compact.rows) return gather4_compact(row, i, scratch, tile);
    const int64_t ld = scratch.ld, whole = row.f / L * L;
    const T *scale = row.full.scale;
    const T *y[kBlock];
    T weight[kBlock];
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++) {
        fetch(row, i + kAhead + k);
        const int64_t at = i + k < row.n ? i + k : row.n - 1;
        y[k] = row.full.rows + row.indices[at] * row.full.stride;
        weight[k] = i + k < row.n ? row.full.weight[at] : 0;
    }
    for (int64_t j = 0; j < whole; j += L) {
        const Vec<T> by = load(scale + j);
#pragma GCC unroll 4
        for (int64_t k = 0; k < kBlock; k++) store(tile + k * ld + j, weight[k] * (by * load(y[k] + j)));
    }
#pragma GCC unroll 4
    for (int64_t k = 0; k < kBlock; k++)
        for (int64_t j = whole; j < scratch.padded; j++)
            tile[k * ld + j] = j < row.f ? weight[k] * (scale[j] * load_one(y[k] + j)) : 0;
}

// Writes the rows of entries begin to end - 1 to the tile, then zero rows up to a multiple of kBlock. Returns the
// number of rows written.
template <class T>
CYMBALS_NAMED int64_t gather(const Row<T> &row, int64_t begin, int64_t end, const RowScratch<T> &scratch) {
    Row<T> part = row;
    part.n = end;
    int64_t filled = 0;
    for (int64_t i = begin; i < end; i += kBlock, filled += kBlock)
        gather4(part, i, scratch, scratch.tile + filled * scratch.ld);
    return filled;
}
